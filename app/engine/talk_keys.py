"""The talk key for whoever is no window: says by name which channel is meant, and what pressing it came to.

A channel's talk mode gives its key different meanings; a program that presses from outside only wants to talk, or to
stop. What is known of the channels comes from the events that the engine publishes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Protocol

from app.channel_events import ChannelChanged, ChannelId, ChannelInfo, MissionInfo, MissionsChanged, TalkMode
from app.engine.errors import EngineError
from app.events import Event

ANSWER_S = 1.5  # so long a press may take until it shows


class PressedChannels(Protocol):
    """The engine's channels, as far as keys go; both raise EngineError."""

    async def press(self, channel: ChannelId, *, emergency: bool = False) -> None: ...

    async def release(self, channel: ChannelId) -> None: ...


class TalkKeys:
    """`app.engine.trigger.TalkKey` for the open channels. Used on the engine's loop."""

    def __init__(self, channels: PressedChannels) -> None:
        self._channels = channels
        self._missions: tuple[MissionInfo, ...] = ()
        self._known: dict[ChannelId, ChannelInfo] = {}
        self._changed = asyncio.Event()

    def saw(self, event: Event) -> None:
        """Hear what the engine publishes."""
        match event:
            case MissionsChanged(missions):
                self._missions = missions
                self._known = {channel.id: channel for mission in missions for channel in mission.channels}
            case ChannelChanged(channel):
                self._known[channel.id] = channel
            case _:
                return
        self._changed.set()
        self._changed = asyncio.Event()

    async def press(self, channel: str | None) -> str:
        """Begin to talk on a channel (None: the primary one); gives one sentence. EngineError says why it is not."""
        info = self._find(channel)
        if not info.joined:
            raise EngineError(f"{info.name} is not joined.")
        if info.why_mute:
            raise EngineError(info.why_mute)
        if not _is_down(info):
            await self._channels.press(info.id)
            before = info
            info = await self._until(info.id, lambda now: _is_down(now) or (now is not before and bool(now.notice)))
        if not _is_down(info):
            raise EngineError(info.notice or f"Nothing is sent on {info.name}: {info.link.words}")
        if info.sending is None:
            return f"Whoever speaks now talks on {info.name}."
        return f"Talking on {info.name}."

    async def release(self, channel: str | None) -> str:
        """Stop talking; gives one sentence, also where nobody did."""
        info = self._find(channel)
        if not _is_down(info):
            return f"Nobody talks on {info.name} from here."
        if info.talk_mode is TalkMode.HOLD:
            await self._channels.release(info.id)
        else:
            await self._channels.press(info.id)
        await self._until(info.id, lambda now: not _is_down(now))
        return f"No longer talking on {info.name}."

    async def ended(self, channel: str | None) -> str:
        """Wait until nothing is sent on a channel any more; gives the sentence that says why, as far as it is known."""
        info = self._find(channel)
        while _is_down(info := self._seen(info.id)):
            await self._change()
        return info.notice or f"The burst on {info.name} was ended in the window."

    def _find(self, name: str | None) -> ChannelInfo:
        """The channel of this name, of MISSION/NAME or of an id; None: the primary one."""
        if not self._known:
            raise EngineError("No mission is open: open one first.")
        if name is None:
            primary = next((channel for channel in self._known.values() if channel.primary), None)
            if primary is None:
                raise EngineError("There is no primary channel: choose one, or say --channel NAME.")
            return primary
        found = [
            self._known[channel.id]
            for mission in self._missions
            for channel in mission.channels
            if name.casefold() in (channel.name.casefold(), f"{mission.name}/{channel.name}".casefold())
            or name == str(channel.id)
        ]
        if not found:
            raise EngineError(f"There is no channel {name!r}; there are: {self._names()}.")
        if len(found) > 1:
            raise EngineError(f"Several missions have a channel {name!r}: say MISSION/{name}.")
        return found[0]

    def _names(self) -> str:
        names = sorted({channel.name for channel in self._known.values()})
        return ", ".join(names[:8]) + (" …" if len(names) > 8 else "")

    async def _until(self, channel: ChannelId, done: Callable[[ChannelInfo], bool]) -> ChannelInfo:
        """Wait until a channel is as it should be, for a moment; give how it is then."""
        with suppress(TimeoutError):
            async with asyncio.timeout(ANSWER_S):
                while not done(self._seen(channel)):
                    await self._change()
        return self._seen(channel)

    async def _change(self) -> None:
        """Wait for the next event of a channel; several may wait."""
        await self._changed.wait()

    def _seen(self, channel: ChannelId) -> ChannelInfo:
        info = self._known.get(channel)
        if info is None:
            raise EngineError("The channel was closed.")
        return info


def _is_down(info: ChannelInfo) -> bool:
    """Whether the key counts as pressed: something is sent, or the voice would begin it."""
    return info.sending is not None or info.armed
