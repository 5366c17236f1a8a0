"""The talk key for whoever is no window: says by name which channel is meant, and what pressing it came to.

A channel's talk mode gives its key different meanings; a program that presses from outside only wants to talk, or to
stop.
"""

from __future__ import annotations

import asyncio
from typing import Protocol

from app.channel_events import ChannelChanged, ChannelId, ChannelInfo, MissionInfo, MissionsChanged, TalkMode
from app.engine.errors import EngineError
from app.events import Event

_MOST_NAMES = 8


class PressedChannels(Protocol):
    """The engine's channels, as far as keys go; what a key does is done, and to be seen in `infos`, when it returns."""

    def infos(self) -> tuple[MissionInfo, ...]: ...

    async def press(self, channel: ChannelId, *, emergency: bool = False) -> None: ...

    async def release(self, channel: ChannelId) -> None: ...


class TalkKeys:
    """`app.engine.trigger.TalkKey` for the open channels. Used on the engine's loop."""

    def __init__(self, channels: PressedChannels) -> None:
        self._channels = channels
        self._changed = asyncio.Event()
        self._pressed: ChannelId | None = None  # as the primary one: it stays meant, whatever is chosen meanwhile

    def saw(self, event: Event) -> None:
        """Hear what the engine publishes."""
        if isinstance(event, (ChannelChanged, MissionsChanged)):
            self._changed.set()
            self._changed = asyncio.Event()

    async def press(self, channel: str | None) -> str:
        """Begin to talk on a channel (None: the primary one); gives one sentence. EngineError says why it is not.

        Where somebody here talks already, that goes on, and is what is asked for. Cancelled, it lets the key go.
        """
        info = self._ready(channel)
        if info.waiting:  # not for this press: it may be the window's emergency, which waits for as long as it takes
            raise EngineError(_down_already(info))
        return _talking(info if _is_down(info) else await self._begin(info))

    async def hold(self, channel: str | None) -> str:
        """The same for a key that is let go again: one that is down already is somebody else's, and refused."""
        info = self._ready(channel)
        if _is_down(info):
            raise EngineError(_down_already(info))
        return _talking(await self._begin(info))

    def _ready(self, channel: str | None) -> ChannelInfo:
        info = self._find(channel)
        if not info.joined:
            raise EngineError(f"{info.name} is not joined.")
        if info.why_mute:
            raise EngineError(info.why_mute)
        return info

    async def _begin(self, info: ChannelInfo) -> ChannelInfo:
        """Press a key that is up, and wait while it waits: for a link or the microphone, some seconds at most."""
        has_waited = False
        try:
            await self._channels.press(info.id)
            while (info := self._seen(info.id)).waiting:
                has_waited = True
                await self._change()
        except asyncio.CancelledError:
            await self._let_go(self._seen(info.id))
            raise
        if _is_down(info):
            return info
        if has_waited and not info.notice:
            raise EngineError(f"The key was let go before anything was sent on {info.name}.")
        raise EngineError(info.notice or f"Nothing is sent on {info.name}: {info.link.words}")

    async def release(self, channel: str | None) -> str:
        """Stop talking; gives one sentence, also where nobody did."""
        info = self._find(channel)
        if not _is_down(info):
            return f"Nobody talks on {info.name} from here."
        await self._let_go(info)
        return f"No longer talking on {info.name}."

    async def _let_go(self, info: ChannelInfo) -> None:
        if not _is_down(info):
            return
        is_held = info.talk_mode is TalkMode.HOLD or (info.talk_mode is TalkMode.VOICE and info.waiting)  # an emergency
        await (self._channels.release(info.id) if is_held else self._channels.press(info.id))

    async def ended(self, channel: str | None) -> str:
        """Wait until nothing is sent on a channel any more; gives the sentence that says why, as far as it is known."""
        info = self._find(channel)
        while _is_down(info := self._seen(info.id)):
            await self._change()
        return info.notice or f"The burst on {info.name} was ended in the window."

    def _find(self, name: str | None) -> ChannelInfo:
        """The channel of this name, of MISSION/NAME or of an id; None: the primary one."""
        missions = self._channels.infos()
        known = [(mission, channel) for mission in missions for channel in mission.channels]
        if not known:
            raise EngineError("No mission is open: open one first.")
        if name is None:
            pressed = [channel for _, channel in known if channel.id == self._pressed and _is_down(channel)]
            primary = pressed or [channel for _, channel in known if channel.primary]
            if not primary:
                raise EngineError("There is no primary channel: choose one, or say --channel NAME.")
            self._pressed = primary[0].id
            return primary[0]
        found = [
            channel
            for mission, channel in known
            if name.casefold() in (channel.name.casefold(), f"{mission.name}/{channel.name}".casefold())
            or name == str(channel.id)
        ]
        if not found:
            names = sorted({channel.name for _, channel in known})
            more = " …" if len(names) > _MOST_NAMES else ""
            raise EngineError(f"There is no channel {name!r}; there are: {', '.join(names[:_MOST_NAMES])}{more}.")
        if len(found) > 1:
            raise EngineError(f"Several missions have a channel {name!r}: say MISSION/{name}.")
        return found[0]

    async def _change(self) -> None:
        """Wait for the next event of a channel; several may wait."""
        await self._changed.wait()

    def _seen(self, channel: ChannelId) -> ChannelInfo:
        for mission in self._channels.infos():
            for info in mission.channels:
                if info.id == channel:
                    return info
        raise EngineError("The channel was closed.")


def _is_down(info: ChannelInfo) -> bool:
    """Whether the key counts as pressed: something is sent, or the voice, a link or the microphone would begin it."""
    return info.sending is not None or info.armed or info.waiting


def _down_already(info: ChannelInfo) -> str:
    return f"The key of {info.name} is down already. {info.notice}".rstrip()


def _talking(info: ChannelInfo) -> str:
    if info.sending is None:
        return f"Whoever speaks now talks on {info.name}."
    return f"Talking on {info.name}."
