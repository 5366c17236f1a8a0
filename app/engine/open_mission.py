"""One open mission: its channels, its control channel with roster and texts, and its end.

What goes wrong with one channel is that channel's: it is told, and the others go on.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from app.channels.channel_state import Node
from app.channels.distance import Location
from app.channels.errors import ChannelError
from app.channels.mission import Group, GroupType, Mission
from app.channels.presence import MOST_ALIASES, MOST_NAME_BYTES, Connectivity, GroupAlias, Identity, Power, Text
from app.engine.control_session import ControlSession
from app.engine.errors import EngineError
from app.engine.mission_store import KeptChannel, KeptMission
from app.engine.missions import check_usable
from app.engine.open_channel import ChannelHost, OpenChannel
from app.events import CallRule, ChannelId, ChannelInfo, MissionInfo, PersonHere, TalkMode, TextSeen

log = logging.getLogger(__name__)

MOST_TEXTS = 200  # of one mission, in memory


@dataclass(frozen=True, slots=True)
class Self:
    """Who we are on all channels, and what of that is told to every mission."""

    node_id: bytes
    name: str
    priority: int = 0
    status: str = ""
    place: Location | None = None
    power: Power | None = None
    connectivity: Connectivity | None = None


@dataclass(frozen=True, slots=True)
class MissionHost:
    """Who runs missions: what channels need, and who is told what has changed."""

    channels: ChannelHost
    roster_changed: Callable[[str], None]
    text_seen: Callable[[TextSeen], None]
    trouble: Callable[[str], None]


class OpenMission:
    """Used on the engine's loop."""

    def __init__(self, mission: Mission, kept: KeptMission, me: Self, host: MissionHost) -> None:
        self.mission = mission
        self.channels = {
            group.id: OpenChannel(mission, group, kept.channels.get(group.id) or _unset(group), host.channels)
            for group in mission.groups_by_name
            if group.type is GroupType.AUDIO
        }
        self.texts: deque[TextSeen] = deque(maxlen=MOST_TEXTS)
        self.problem = ""
        self._emergency: str | None = None  # that stood when it was closed, or stands from the start
        self._me = me
        self._host = host
        self._control_group = next((one for one in mission.groups if one.type is GroupType.MISSION_CONTROL), None)
        self._control: ControlSession | None = None
        self._is_running = self._is_over = False

    @property
    def id(self) -> str:
        return self.mission.id

    async def start(self) -> None:
        """Join what is to be joined, unless the mission is over."""
        over = ""
        try:
            check_usable(self.mission, datetime.now(UTC))
        except EngineError as error:
            over = str(error)
        self._is_over = bool(over)
        self.problem = over
        for channel in self.channels.values():
            channel.over = over
        if over:
            return
        self._is_running = True
        joined = [one for one in self.channels.values() if one.kept.joined]
        await asyncio.gather(self._start_control(), *(one.start(self._node(one)) for one in joined))

    async def close(self) -> None:
        """Leave everything."""
        self._is_running = False
        control, self._control = self._control, None
        if control is not None:
            self._emergency = control.own_emergency
        leaving = [one.stop() for one in self.channels.values()]
        if control is not None:
            leaving.append(control.close())
        for failure in await asyncio.gather(*leaving, return_exceptions=True):
            if isinstance(failure, Exception):
                log.error("a channel of %s could not be left", self.mission.name, exc_info=failure)

    def take_over(self, before: OpenMission) -> None:
        """Go on in the place of what was open before, once started: texts stay, and an emergency stands."""
        self.texts.extend(before.texts)
        self._emergency = before._emergency

    @property
    def ends_in_s(self) -> float | None:
        """How long its time lasts; None without an end, and after it."""
        if self.mission.expires is None or not self._is_running:
            return None
        return (self.mission.expires - datetime.now(UTC)).total_seconds()

    async def follow_clock(self) -> bool:
        """Leave everything once the mission's time is over, and join again where the clock was wrong and is set right.

        Gives whether it was one of them.
        """
        has_expired = self.mission.has_expired(datetime.now(UTC))
        if self._is_running and has_expired:
            await self.close()
        elif not self._is_over or has_expired:
            return False
        await self.start()
        return True

    def network_changed(self) -> None:
        if self._control is not None:
            self._control.network_changed()
        for channel in self.channels.values():
            channel.network_changed()

    def hold_back(self, rule: CallRule | None) -> None:
        """Do on all channels what a call asks for; None: there is none."""
        for channel in self.channels.values():
            channel.hold_back(rule)

    async def join(self, channel: OpenChannel) -> None:
        channel.keep(joined=True)
        if self._is_running:
            await channel.start(self._node(channel))
        self._tell_channels()

    async def leave(self, channel: OpenChannel) -> None:
        channel.keep(joined=False)
        await channel.stop()
        self._tell_channels()

    def _node(self, channel: OpenChannel) -> Node:
        return Node(self._me.node_id, channel.group.alias or self._me.name, self._me.priority)

    # Mission control ------------------------------------------------------------------------------------------

    async def _start_control(self) -> None:
        group = self._control_group
        if group is None:
            return
        try:
            me = Identity(self._me.node_id.hex(), _cut(self._me.name, MOST_NAME_BYTES))
            link = await self._host.channels.make_link(self.mission, group)
            control = ControlSession(
                *(self.id, group, me, link, lambda: self._host.roster_changed(self.id)),
                *(self._text_heard, self._host.trouble),
            )
            control.set_status(self._me.status)
            control.set_place(self._me.place)
            control.set_machine(self._me.connectivity, self._me.power)
            control.set_channels(self._aliases())
            if group.presence is not None and group.presence.listen_only:
                self._emergency = None  # of the mission before: nobody can be told here
            if self._emergency is not None:
                control.raise_emergency(self._emergency)
            self._control = control
            await control.start()
        except ChannelError as error:
            await self._drop_control(str(error))
        except Exception as error:  # of libraries: the channels go on
            log.exception("mission control of %s could not be joined", self.mission.name)
            await self._drop_control(str(error))

    async def _drop_control(self, why: str) -> None:
        self.problem = f"Mission control cannot be joined: {why}"
        control, self._control = self._control, None
        if control is not None:
            await control.close()

    def _aliases(self) -> tuple[GroupAlias, ...]:
        joined = [one.group for one in self.channels.values() if one.kept.joined]
        return tuple(GroupAlias(group.id, _cut(group.alias, MOST_NAME_BYTES)) for group in joined[:MOST_ALIASES])

    def _tell_channels(self) -> None:
        if self._control is not None:
            self._control.set_channels(self._aliases())

    def talking(self) -> None:
        """A burst of ours begins on one of the channels."""
        if self._control is not None:
            self._control.talking()

    def be(self, me: Self) -> None:
        """Say another status, place, battery or network."""
        before, self._me = self._me, me
        if self._control is not None and me.status != before.status:
            self._control.set_status(me.status)
        if self._control is not None and me.place != before.place:
            self._control.set_place(me.place)
        if self._control is not None:
            self._control.set_machine(me.connectivity, me.power)

    def say(self, words: str, channel: ChannelId | None) -> None:
        text = self._running_control().say(words, "" if channel is None else channel.group)
        self._keep_text(text, own=True)

    def raise_emergency(self, words: str) -> None:
        self._running_control().raise_emergency(words)

    def clear_emergency(self) -> None:
        self._emergency = None
        if self._control is not None:
            self._control.clear_emergency()

    def dismiss(self, node_id: str) -> None:
        if self._control is not None:
            self._control.dismiss(node_id)

    def people(self) -> tuple[PersonHere, ...]:
        return () if self._control is None else self._control.people()

    def _running_control(self) -> ControlSession:
        if self._control is None:
            why = self.problem or "it has no mission control channel"
            raise EngineError(f"Nobody can be told anything in the mission {self.mission.name}: {why}")
        return self._control

    def _text_heard(self, text: Text) -> None:
        self._keep_text(text, own=False)

    def _keep_text(self, text: Text, *, own: bool) -> None:
        channel = ChannelId(self.id, text.group_id) if text.group_id in self.channels else None
        name = text.sender.display_name or text.sender.node_id[:8]
        seen = TextSeen(self.id, channel, text.id, name, text.words, time.time(), own)
        self.texts.append(seen)
        self._host.text_seen(seen)

    # What is shown ----------------------------------------------------------------------------------------------

    def info(self, primary: ChannelId | None) -> MissionInfo:
        people = [one for one in self.people() if not one.gone]
        place = self._me.place
        return MissionInfo(
            self.id,
            self.mission.name,
            self.mission.description,
            tuple(self.channel_info(one, primary) for one in self.channels.values()),
            len(people),
            has_control=self._control_group is not None,
            has_pin=self.mission.pin_digest is not None,
            expires_wall=None if self.mission.expires is None else self.mission.expires.timestamp(),
            problem=self.problem,
            own_emergency=self._emergency if self._control is None else self._control.own_emergency,
            emergency_waits=self._emergency is not None if self._control is None else self._control.emergency_waits,
            own_status=self._me.status,
            own_place=None if place is None else (place.latitude, place.longitude),
        )

    def channel_info(self, channel: OpenChannel, primary: ChannelId | None) -> ChannelInfo:
        here = None if self._control is None else self._control.count_here(channel.group.id)
        return channel.info(here=here, primary=channel.id == primary)

    def kept(self) -> KeptMission:
        """What the profile keeps of it."""
        return KeptMission(str(self.mission), {id: channel.kept for id, channel in self.channels.items()})


def _cut(text: str, most_bytes: int) -> str:
    """The beginning of a text, whole characters, in at most so many bytes of UTF-8."""
    return text.encode()[:most_bytes].decode(errors="ignore")


def _unset(group: Group) -> KeptChannel:
    """How a channel begins that nobody has set yet; full duplex is a call, in which no key is held."""
    is_call = group.tx_audio is not None and group.tx_audio.fdx
    return KeptChannel(talk_mode=TalkMode.LATCH if is_call else TalkMode.HOLD)
