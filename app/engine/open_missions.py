"""All open missions of one engine: what the commands of channels do, what is published of them, what is kept.

Loaded when the first mission is opened (`app.engine.channels`): an engine without missions never reads it.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TypeVar

from app.channels.channel_plan import make_link
from app.channels.distance import Location
from app.channels.errors import ChannelError
from app.channels.finished_burst import FinishedBurst
from app.channels.links import Link
from app.channels.mission import Group, Mission
from app.channels.presence import MOST_COMMENT_BYTES, check_length
from app.engine import missions
from app.engine.battery import read_power
from app.engine.capture import PacketCapture
from app.engine.captured_link import CapturedLink
from app.engine.channel_desk import ChannelDesk
from app.engine.channel_timeline import ChannelTimeline
from app.engine.collated import Collated
from app.engine.connectivity import read_connectivity
from app.engine.errors import EngineError
from app.engine.kept import Kept
from app.engine.mission_store import KeptChannels, KeptMission, MissionStore
from app.engine.missions import PinWanted
from app.engine.network_watch import present_addresses
from app.engine.open_channel import ChannelHost, OpenChannel
from app.engine.open_mission import MissionHost, OpenMission, Self
from app.engine.talk_keys import TalkKeys
from app.engine.trigger import Trigger
from app.events import (
    BurstInfo,
    BurstKept,
    CallRule,
    ChannelChanged,
    ChannelFigures,
    ChannelId,
    ChannelInfo,
    Event,
    MissionInfo,
    MissionsChanged,
    PersonHere,
    Problem,
    RosterChanged,
    TalkMode,
    TextSeen,
)
from app.ice.interfaces import LocalAddress, choose_addresses
from app.owned_tasks import OwnedTasks

log = logging.getLogger(__name__)

T = TypeVar("T")

MOST_MISSIONS = 32
MACHINE_EVERY_S = 60.0  # its battery, how well its network is heard
LOOK_S, LOOK_ACTIVE_S = 1.0, 0.25  # for what no callback tells: levels, grades, devices, time that is over
MOST_VOLUME = 1.5


@dataclass(frozen=True, slots=True)
class _Changed:
    """What is to be told: all missions, a mission's roster, or one channel."""

    mission: str | None = None
    channel: ChannelId | None = None


class OpenMissions:
    """Used on the engine's loop. Commands raise EngineError or ChannelError."""

    def __init__(
        self,
        store: MissionStore,
        kept: Kept,
        publish: Callable[[Event], None],
        clock: Callable[[], float],
        *,
        keeps: bool,
        capture: PacketCapture | None = None,
    ) -> None:
        self._capture = capture
        self._store = store
        self._profile = kept
        self._publish_on = publish
        self._timeline = ChannelTimeline(kept, publish, self._tell_disk) if keeps else None
        self._desk = ChannelDesk(lambda: kept.settings.media)
        self._keys = TalkKeys(self)
        self._trigger = Trigger(kept.profile.root, self._keys)
        self._held_back: CallRule | None = None
        self._problems: tuple[str, ...] = ()
        self._interfaces = kept.settings.network.interfaces
        self._missions: dict[str, OpenMission] = {}
        self._unused: list[KeptMission] = []
        self._primary: ChannelId | None = None
        self._pressed: ChannelId | None = None
        self._me = Self(os.urandom(16), kept.own_name, kept.settings.talk_priority)
        self._changes = Collated(self._tell)
        self._told: dict[ChannelId, ChannelInfo] = {}  # as published last
        self._tasks = OwnedTasks("missions")
        self._stirred = asyncio.Event()  # something happened on a channel
        self._network_stirred = asyncio.Event()
        self._changing = asyncio.Lock()  # opening and closing, one after the other
        channels = ChannelHost(self._make_link, self._desk, self._channel_changed, self._talking, self._burst, clock)
        self._host = MissionHost(channels, self._roster_changed, publish, self._tell_trouble)

    async def open(self) -> None:
        """Open again what was open at the end of the run before."""
        kept = await self._store.load()
        own = self._profile
        self._me = Self(bytes.fromhex(kept.node_id), own.own_name, own.settings.talk_priority)
        if kept.primary:
            self._primary = ChannelId.parse(kept.primary)
        for one in kept.missions[:MOST_MISSIONS]:
            try:
                mission = await asyncio.to_thread(Mission.parse, one.text)
            except ChannelError as error:  # kept by another version
                self._unused.append(one)
                self._publish(Problem("disk", f"A kept mission cannot be opened, and stays kept: {error}"))
                continue
            await self._start(mission, one)
        if self._timeline is not None:
            self._timeline.start()
        await self._trigger.open()
        self._tasks.start(self._look(), "look at channels")
        self._tasks.start(self._watch_machine(), "watch the machine")
        self._all_changed()

    async def close(self) -> None:
        """Leave every channel and say goodbye."""
        await self._trigger.close()
        await self._tasks.close()
        async with self._changing:
            await asyncio.gather(*(one.close() for one in self._missions.values()))
        self._changes.close()
        if self._timeline is not None:
            await self._timeline.close()
        await self._store.close()

    def network_changed(self) -> None:
        self._network_stirred.set()
        for one in self._missions.values():
            one.network_changed()

    async def settings_changed(self) -> None:
        """Use other devices. Another name or priority, and other interfaces, need the channels to be joined anew."""
        await self._desk.settings_changed()
        settings, name = self._profile.settings, self._profile.own_name
        wanted = name, settings.talk_priority, settings.network.interfaces
        if wanted == (self._me.name, self._me.priority, self._interfaces):
            return
        async with self._changing:
            self._me = replace(self._me, name=name, priority=settings.talk_priority)
            self._interfaces = settings.network.interfaces
            for before in list(self._missions.values()):
                await self._replace(before, before.mission)
        self._all_changed()

    async def _make_link(self, mission: Mission, group: Group) -> Link:
        named = self._interfaces[0] if len(self._interfaces) == 1 else ""
        link = await make_link(group, mission, self._addresses, interface=named)
        return link if self._capture is None else CapturedLink(link, group, self._capture)

    def _addresses(self) -> list[LocalAddress]:
        """Where multicast is joined now: the interfaces that calls use too."""
        return choose_addresses(present_addresses(), self._interfaces)[0]

    # Missions ---------------------------------------------------------------------------------------------------

    def infos(self) -> tuple[MissionInfo, ...]:
        primary = self.primary
        return tuple(one.info(primary) for one in self._missions.values())

    async def open_mission(self, data: bytes | str, passphrase: str | None, pin: str | None) -> MissionInfo:
        mission = await asyncio.to_thread(missions.read, data, passphrase)
        missions.check_usable(mission, datetime.now(UTC))
        if mission.pin_digest is not None:
            if pin is None:
                raise PinWanted(f"The mission {mission.name} asks for its PIN.")
            if not await asyncio.to_thread(mission.pin_digest.matches, pin):
                raise PinWanted("The PIN is wrong.")
        async with self._changing:
            before = self._missions.get(mission.id)
            if before is None and len(self._missions) >= MOST_MISSIONS:
                raise EngineError(f"{MOST_MISSIONS} missions are open, which is the most: close one first.")
            made = await (self._start(mission, KeptMission("")) if before is None else self._replace(before, mission))
            self._all_changed()
            await self._store.save(self._kept)
        return made.info(self.primary)

    async def close_mission(self, mission_id: str) -> None:
        async with self._changing:
            mission = self.mission(mission_id)
            del self._missions[mission_id]
            await mission.close()
            for channel in mission.channels.values():
                self._changes.forget(_Changed(channel=channel.id))
            self._changes.forget(_Changed(mission_id))
            self._all_changed()
            await self._store.save(self._kept)
            if self._timeline is not None:
                await self._timeline.forget_mission(mission_id)

    def mission(self, mission_id: str) -> OpenMission:
        found = self._missions.get(mission_id)
        if found is None:
            raise EngineError("This mission is not open any more.")
        return found

    async def _start(self, mission: Mission, kept: KeptMission, before: OpenMission | None = None) -> OpenMission:
        if not self._missions:
            await self._look_at_machine()
        made = OpenMission(mission, kept, self._me, self._host)
        made.hold_back(self._held_back)
        if before is not None:
            made.take_over(before)
        self._missions[mission.id] = made  # in the place of the one before
        await made.start()
        return made

    async def _replace(self, before: OpenMission, mission: Mission) -> OpenMission:
        """Open a mission in the place of one with the same id; channels are left as the person had them."""
        await before.close()
        return await self._start(mission, before.kept(), before)

    async def _look(self) -> None:
        while True:
            active = [channel.id for channel in self._channels() if channel.is_active]
            for channel_id in active:
                self._changes.changed(_Changed(channel=channel_id))
            for problem in self._desk.problems:
                if problem not in self._problems:
                    self._publish(Problem("device", problem))
            self._problems = self._desk.problems
            ends = [ends_s for one in self._missions.values() if (ends_s := one.ends_in_s) is not None]
            pause_s = max(0.0, min([LOOK_ACTIVE_S if active else LOOK_S, *ends]))
            if active:
                await asyncio.sleep(pause_s)
            else:
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._stirred.wait(), pause_s)
            self._stirred.clear()
            async with self._changing:
                for one in self._missions.values():
                    if await one.follow_clock():
                        self._all_changed()

    async def _watch_machine(self) -> None:
        while True:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._network_stirred.wait(), MACHINE_EVERY_S)
            self._network_stirred.clear()
            if self._missions:
                await self._look_at_machine()
                for one in self._missions.values():
                    one.be(self._me)

    async def _look_at_machine(self) -> None:
        """Read what the others are told of this machine: how it is fed, and how it is connected."""
        power, connectivity = await asyncio.to_thread(lambda: (read_power(), read_connectivity(self._addresses())))
        self._me = replace(self._me, power=power, connectivity=connectivity)

    # Channels ---------------------------------------------------------------------------------------------------

    @property
    def primary(self) -> ChannelId | None:
        """The channel of the talk key: the chosen one, or else the first that is joined."""
        channels = self._channels()
        if any(channel.id == self._primary for channel in channels):
            return self._primary
        return next((channel.id for channel in channels if channel.kept.joined), None)

    def _channels(self) -> list[OpenChannel]:
        return [channel for mission in self._missions.values() for channel in mission.channels.values()]

    async def press(self, channel: ChannelId, *, emergency: bool = False) -> None:
        self._find(channel)[1].press(emergency=emergency)

    async def release(self, channel: ChannelId) -> None:
        self._find(channel)[1].release()

    async def press_primary(self) -> None:
        """Also remembers the channel: the key that goes up is that one's, whatever is chosen meanwhile."""
        if self.primary is None:
            raise EngineError("No channel is joined: open a mission first.")
        self._pressed = self.primary
        await self.press(self._pressed)

    async def release_primary(self) -> None:
        pressed, self._pressed = self._pressed, None
        if pressed is not None and pressed.mission in self._missions:
            await self.release(pressed)

    def hold_back(self, rule: CallRule | None) -> None:
        """Do on all channels what a call asks for; None: there is none."""
        self._held_back = rule
        for one in self._missions.values():
            one.hold_back(rule)

    def figures(self, mission_id: str) -> tuple[ChannelFigures, ...]:
        """Of the channels that are joined."""
        channels = self.mission(mission_id).channels.values()
        return tuple(figures for one in channels if (figures := one.figures()) is not None)

    async def join(self, channel_id: ChannelId) -> None:
        mission, channel = self._find(channel_id)
        await mission.join(channel)
        self._set(channel_id)

    async def leave(self, channel_id: ChannelId) -> None:
        mission, channel = self._find(channel_id)
        await mission.leave(channel)
        self._set(channel_id)

    def set_volume(self, channel_id: ChannelId, volume: float) -> None:
        self._set(channel_id, volume=_within(volume, 0.0, MOST_VOLUME))

    def set_muted(self, channel_id: ChannelId, on: bool) -> None:
        self._set(channel_id, muted=on)

    def set_pan(self, channel_id: ChannelId, pan: float) -> None:
        self._set(channel_id, pan=_within(pan, -1.0, 1.0))

    def set_talk_mode(self, channel_id: ChannelId, mode: TalkMode) -> None:
        self._set(channel_id, talk_mode=mode)

    def set_primary(self, channel_id: ChannelId) -> None:
        self._find(channel_id)
        before, self._primary = self.primary, channel_id
        if before is not None:
            self._channel_changed(before)
        self._set(channel_id)

    def _set(self, channel_id: ChannelId, **changes: object) -> None:
        _, channel = self._find(channel_id)
        channel.keep(**changes)
        self._channel_changed(channel_id)
        self._store.save_soon(self._kept)

    def _find(self, channel_id: ChannelId) -> tuple[OpenMission, OpenChannel]:
        mission = self.mission(channel_id.mission)
        channel = mission.channels.get(channel_id.group)
        if channel is None:
            raise EngineError("The mission has no such channel any more.")
        return mission, channel

    # Bursts -----------------------------------------------------------------------------------------------------

    def _burst(self, burst: FinishedBurst, group: Group) -> None:
        if self._timeline is not None:
            self._timeline.take(burst, group.timeline)
            return
        info = BurstInfo(
            *(os.urandom(8).hex(), burst.channels[0], burst.alias, burst.own, burst.emergency),
            *(burst.began_wall, burst.seconds, burst.levels),
        )
        self._publish(BurstKept(info))

    @property
    def timeline(self) -> ChannelTimeline:
        if self._timeline is None:
            raise EngineError("This run of Parley keeps no bursts.")
        return self._timeline

    # People -----------------------------------------------------------------------------------------------------

    def roster(self, mission_id: str) -> tuple[PersonHere, ...]:
        return self.mission(mission_id).people()

    def texts(self, mission_id: str) -> tuple[TextSeen, ...]:
        return tuple(self.mission(mission_id).texts)

    def send_text(self, mission_id: str, channel_id: ChannelId | None, words: str) -> None:
        if channel_id is not None:
            self._find(channel_id)
        self.mission(mission_id).say(words, channel_id)

    def set_status(self, words: str) -> None:
        check_length("A status", words, MOST_COMMENT_BYTES)
        self._be(replace(self._me, status=words))

    def set_place(self, latitude: float, longitude: float) -> None:
        try:
            self._be(replace(self._me, place=Location(latitude, longitude)))
        except ValueError as error:
            raise EngineError(f"{str(error)[:1].upper()}{str(error)[1:]}.") from error

    def clear_place(self) -> None:
        self._be(replace(self._me, place=None))

    def raise_emergency(self, mission_id: str, words: str) -> None:
        self.mission(mission_id).raise_emergency(words)
        self._all_changed()

    def clear_emergency(self, mission_id: str) -> None:
        self.mission(mission_id).clear_emergency()
        self._all_changed()

    def dismiss(self, mission_id: str, node_id: str) -> None:
        self.mission(mission_id).dismiss(node_id)

    def _be(self, me: Self) -> None:
        self._me = me
        for one in self._missions.values():
            one.be(me)
        self._all_changed()

    # What is told -----------------------------------------------------------------------------------------------

    def _kept(self) -> KeptChannels:
        primary = "" if self._primary is None else str(self._primary)
        return KeptChannels(
            self._me.node_id.hex(), primary, (*(one.kept() for one in self._missions.values()), *self._unused)
        )

    def _publish(self, event: Event) -> None:
        self._keys.saw(event)
        self._publish_on(event)

    def _tell_disk(self, words: str) -> None:
        self._publish(Problem("disk", words))

    def _tell_trouble(self, words: str) -> None:
        self._publish(Problem("network", words))

    def _channel_changed(self, channel_id: ChannelId) -> None:
        self._changes.changed(_Changed(channel=channel_id), urgent=True)
        self._stirred.set()

    def _talking(self, channel_id: ChannelId) -> None:
        mission = self._missions.get(channel_id.mission)
        if mission is not None:
            mission.talking()

    def _all_changed(self) -> None:
        self._changes.changed(_Changed())

    def _roster_changed(self, mission_id: str) -> None:
        self._changes.changed(_Changed(mission_id))
        self._all_changed()  # how many are here

    def _tell(self, what: _Changed) -> None:
        if what.channel is not None:
            mission = self._missions.get(what.channel.mission)
            channel = None if mission is None else mission.channels.get(what.channel.group)
            if mission is None or channel is None:
                return
            info = mission.channel_info(channel, self.primary)
            if info != self._told.get(info.id):
                self._told[info.id] = info
                self._publish(ChannelChanged(info))
        elif what.mission is not None and what.mission in self._missions:
            self._publish(RosterChanged(what.mission, self.roster(what.mission)))
        elif what.mission is None:
            infos = self.infos()
            self._told = {channel.id: channel for mission in infos for channel in mission.channels}
            self._publish(MissionsChanged(infos))


def _within(value: float, least: float, most: float) -> float:
    if not least <= value <= most:  # NaN is neither
        raise EngineError(f"{value:g} is not from {least:g} to {most:g}.")
    return float(value)
