"""Push-to-talk channels: the commands of the facade (`engine.channels`). docs/channels.md says what they mean."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from app.events import BurstInfo, CallRule, ChannelFigures, ChannelId, MissionInfo, PersonHere, TalkMode, TextSeen

if TYPE_CHECKING:
    from app.engine.facade import Engine
    from app.engine.missions import Mission
    from app.engine.open_missions import OpenMissions

T = TypeVar("T")


class ChannelCommands:
    """Missions, their channels and their people. Every failure is an EngineError with one sentence."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def list(self) -> tuple[MissionInfo, ...]:
        """Every open mission, in the order in which they were opened; MissionsChanged tells the same."""
        return await self._engine.run(self._engine.core.channels.list())

    async def open_mission(
        self, data: bytes | str, *, passphrase: str | None = None, pin: str | None = None
    ) -> MissionInfo:
        """Open a mission in any of its forms and join its channels; it is kept, and opened again at the next start.

        A mission of the same id is replaced. PassphraseWanted and PinWanted (app.engine.missions) say what is missing.
        """
        return await self._wait_for(lambda missions: missions.open_mission(data, passphrase, pin))

    async def fetch_mission(self, url: str) -> bytes:
        """Give what stands at a web address (https), to be read as a mission; only when a person has asked for it."""
        from app.engine.mission_web import fetch  # few need it

        settings = await self._engine.settings.get()
        return await self._engine.run(fetch(url, settings.network.ca_file))

    async def close_mission(self, mission_id: str) -> None:
        """Leave its channels and forget it here."""
        await self._wait_for(lambda missions: missions.close_mission(mission_id))

    async def mission(self, mission_id: str) -> Mission:
        """The mission itself, keys included: to export or to edit it."""
        return await self._use(lambda missions: missions.mission(mission_id).mission)

    async def join(self, channel: ChannelId) -> None:
        await self._wait_for(lambda missions: missions.join(channel))

    async def leave(self, channel: ChannelId) -> None:
        await self._wait_for(lambda missions: missions.leave(channel))

    async def press(self, channel: ChannelId, *, emergency: bool = False) -> None:
        """The talk key of a channel goes down; its TalkMode says what that means.

        What keeps a burst from beginning on the channel is its `notice`; an EngineError is what has nothing to do with
        the others on it. `emergency` talks by holding the key in any mode but LATCH, and over everybody.
        """
        await self._wait_for(lambda missions: missions.press(channel, emergency=emergency))

    async def release(self, channel: ChannelId) -> None:
        """The key goes up."""
        await self._wait_for(lambda missions: missions.release(channel))

    async def press_primary(self) -> None:
        """The same for the primary channel: the chosen one, or else the first that is joined."""
        await self._wait_for(lambda missions: missions.press_primary())

    async def release_primary(self) -> None:
        await self._wait_for(lambda missions: missions.release_primary())

    async def set_call_rule(self, rule: CallRule) -> None:
        """Say what becomes of channels while a call goes on; an emergency burst is heard whatever the rule."""
        settings = await self._engine.settings.get()
        await self._engine.settings.change(replace(settings, call_rule=rule))

    async def call_rule(self) -> CallRule:
        return (await self._engine.settings.get()).call_rule

    async def set_volume(self, channel: ChannelId, volume: float) -> None:
        """0 is silent, 1 as received, at most 1.5."""
        await self._use(lambda missions: missions.set_volume(channel, volume))

    async def set_muted(self, channel: ChannelId, on: bool) -> None:
        await self._use(lambda missions: missions.set_muted(channel, on))

    async def set_pan(self, channel: ChannelId, pan: float) -> None:
        """-1 is left, 1 right."""
        await self._use(lambda missions: missions.set_pan(channel, pan))

    async def set_primary(self, channel: ChannelId) -> None:
        """Let the talk key be this channel's."""
        await self._use(lambda missions: missions.set_primary(channel))

    async def set_talk_mode(self, channel: ChannelId, mode: TalkMode) -> None:
        await self._use(lambda missions: missions.set_talk_mode(channel, mode))

    async def figures(self, mission_id: str) -> tuple[ChannelFigures, ...]:
        """What the joined channels of a mission cost, and how good they are."""
        return await self._use(lambda missions: missions.figures(mission_id))

    async def bursts(self, channel: ChannelId | None = None, most: int = 100) -> tuple[BurstInfo, ...]:
        """The last bursts of a channel, or of all, the newest first."""
        return await self._wait_for(lambda missions: missions.timeline.bursts(channel, most))

    async def play(self, burst_id: str) -> None:
        """Play a burst, in place of another one that is played; PlaybackChanged says when it begins and ends."""
        await self._wait_for(lambda missions: missions.timeline.play(burst_id))

    async def stop_playing(self) -> None:
        await self._wait_for(lambda missions: missions.timeline.stop_playing())

    async def export_burst(self, burst_id: str, path: Path) -> None:
        """Write a burst to a WAV file."""
        await self._wait_for(lambda missions: missions.timeline.export(burst_id, path))

    async def clear_bursts(self, channel: ChannelId | None = None) -> None:
        """Delete what was said on a channel, or on all."""
        await self._wait_for(lambda missions: missions.timeline.clear(channel))

    async def roster(self, mission_id: str) -> tuple[PersonHere, ...]:
        """Everybody who is here, or gone with an emergency that nobody has dismissed; those in one first."""
        return await self._use(lambda missions: missions.roster(mission_id))

    async def texts(self, mission_id: str) -> tuple[TextSeen, ...]:
        """The texts of this run, oldest first."""
        return await self._use(lambda missions: missions.texts(mission_id))

    async def send_text(self, mission_id: str, channel: ChannelId | None, words: str) -> None:
        """Write to a channel, or to the whole mission."""
        await self._use(lambda missions: missions.send_text(mission_id, channel, words))

    async def set_status(self, words: str) -> None:
        """Say in a few words how this person is, to every mission."""
        await self._use(lambda missions: missions.set_status(words))

    async def set_place(self, latitude: float, longitude: float) -> None:
        """Say where this person is, in degrees north and east, to every mission."""
        await self._use(lambda missions: missions.set_place(latitude, longitude))

    async def clear_place(self) -> None:
        await self._use(lambda missions: missions.clear_place())

    async def raise_emergency(self, mission_id: str, words: str) -> None:
        """Alert everybody of a mission until `clear_emergency`."""
        await self._use(lambda missions: missions.raise_emergency(mission_id, words))

    async def clear_emergency(self, mission_id: str) -> None:
        await self._use(lambda missions: missions.clear_emergency(mission_id))

    async def dismiss(self, mission_id: str, node_id: str) -> None:
        """Forget somebody who is gone with their emergency uncleared."""
        await self._use(lambda missions: missions.dismiss(mission_id, node_id))

    async def _use(self, work: Callable[[OpenMissions], T]) -> T:
        return await self._engine.run(self._engine.core.channels.use(work))

    async def _wait_for(self, work: Callable[[OpenMissions], Awaitable[T]]) -> T:
        return await self._engine.run(self._engine.core.channels.wait_for(work))
