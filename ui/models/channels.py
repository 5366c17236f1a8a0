"""The missions and channels that the window knows of, with who is here, what was written and what was said."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import replace

from PySide6.QtCore import QObject, Signal

from app.events import (
    BurstInfo,
    BurstKept,
    ChannelChanged,
    ChannelId,
    ChannelInfo,
    MissionInfo,
    MissionsChanged,
    PersonHere,
    PlaybackChanged,
    RosterChanged,
    TalkerInfo,
    TextSeen,
)

KEPT_BURSTS = 100  # of each channel
KEPT_TEXTS = 200  # of each mission


class ChannelBook(QObject):
    """Follows the events of channels; tells panels what to show."""

    missions_changed = Signal()  # missions or channels came, went or changed as a whole
    shown_changed = Signal()  # another mission is looked at
    channel_changed = Signal(object)  # ChannelId
    roster_changed = Signal(str)  # mission
    texts_changed = Signal(str)  # mission
    bursts_changed = Signal(object)  # ChannelId
    playback_changed = Signal()
    talking_changed = Signal()
    emergencies_changed = Signal()

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.told = False  # the engine has said which missions are open
        self._missions: dict[str, MissionInfo] = {}
        self._rosters: dict[str, tuple[PersonHere, ...]] = {}
        self._texts: dict[str, deque[TextSeen]] = {}
        self._bursts: dict[ChannelId, deque[BurstInfo]] = {}
        self.playing: str | None = None
        self._shown: str | None = None
        self._talking: frozenset[ChannelId] = frozenset()
        self._emergencies: tuple[PersonHere, ...] = ()
        self._urgent: tuple[tuple[ChannelId, TalkerInfo], ...] = ()
        self._seen: set[tuple[str, str]] = set()  # emergencies that were dismissed here, by mission and node

    # What there is -------------------------------------------------------------------------------------------

    @property
    def missions(self) -> tuple[MissionInfo, ...]:
        return tuple(self._missions.values())

    @property
    def channels(self) -> tuple[ChannelInfo, ...]:
        return tuple(channel for mission in self._missions.values() for channel in mission.channels)

    @property
    def shown(self) -> MissionInfo | None:
        """The mission that is looked at: the one chosen last, else the first."""
        return self._missions.get(self._shown or "") or next(iter(self._missions.values()), None)

    def show_mission(self, mission_id: str) -> None:
        """Look at a mission; one that is not open yet is shown once it is."""
        if mission_id != self._shown:
            self._shown = mission_id
            self.shown_changed.emit()

    def mission(self, mission_id: str | None) -> MissionInfo | None:
        return self._missions.get(mission_id) if mission_id is not None else None

    def channel(self, channel_id: ChannelId | None) -> ChannelInfo | None:
        mission = self.mission(channel_id.mission) if channel_id is not None else None
        if mission is None:
            return None
        return next((channel for channel in mission.channels if channel.id == channel_id), None)

    @property
    def primary(self) -> ChannelInfo | None:
        return next((channel for channel in self.channels if channel.primary), None)

    def roster(self, mission_id: str) -> tuple[PersonHere, ...]:
        return self._rosters.get(mission_id, ())

    def texts(self, mission_id: str) -> tuple[TextSeen, ...]:
        """Give the messages of a mission, oldest first."""
        return tuple(self._texts.get(mission_id, ()))

    def bursts(self, channel_id: ChannelId) -> tuple[BurstInfo, ...]:
        """Give the last bursts of a channel, newest first."""
        return tuple(self._bursts.get(channel_id, ()))

    @property
    def talking(self) -> frozenset[ChannelId]:
        """The channels on which somebody else is heard now."""
        return self._talking

    @property
    def emergencies(self) -> tuple[PersonHere, ...]:
        """Everybody whose emergency nobody has dismissed here, of every mission."""
        return self._emergencies

    @property
    def urgent(self) -> tuple[tuple[ChannelId, TalkerInfo], ...]:
        """Who talks of an emergency now, and where, without its standing in a roster."""
        return self._urgent

    def dismiss(self, mission_id: str, node_id: str) -> None:
        """Tell of somebody's emergency no more; the roster shows it as long as it goes on."""
        self._seen.add((mission_id, node_id))
        self._look_around()

    # What is told --------------------------------------------------------------------------------------------

    def take_missions(self, event: MissionsChanged) -> None:
        self.told = True
        self._missions = {mission.id: mission for mission in event.missions}
        for kept in (self._rosters, self._texts):
            for gone in [mission_id for mission_id in kept if mission_id not in self._missions]:
                del kept[gone]
        known = {channel.id for channel in self.channels}
        for channel_id in [channel_id for channel_id in self._bursts if channel_id not in known]:
            del self._bursts[channel_id]
        self.missions_changed.emit()
        self._look_around()

    def take_channel(self, event: ChannelChanged) -> None:
        fresh = event.channel
        mission = self._missions.get(fresh.id.mission)
        if mission is None or self.channel(fresh.id) is None:
            return
        channels = tuple(fresh if channel.id == fresh.id else channel for channel in mission.channels)
        self._missions[mission.id] = replace(mission, channels=channels)
        self.channel_changed.emit(fresh.id)
        self._look_around()

    def take_roster(self, event: RosterChanged) -> None:
        self._rosters[event.mission] = event.people
        self.roster_changed.emit(event.mission)
        self._look_around()

    def take_text(self, text: TextSeen) -> None:
        self.take_texts(text.mission, (text,))

    def take_texts(self, mission_id: str, texts: Iterable[TextSeen]) -> None:
        """Take messages in any order, also ones that are known already."""
        known = {text.text_id: text for text in self.texts(mission_id)}
        known.update({text.text_id: text for text in texts})
        ordered = sorted(known.values(), key=lambda text: text.wall)
        self._texts[mission_id] = deque(ordered, maxlen=KEPT_TEXTS)
        self.texts_changed.emit(mission_id)

    def take_burst(self, event: BurstKept) -> None:
        self.take_bursts(event.burst.channel, (event.burst,))

    def take_bursts(self, channel_id: ChannelId, bursts: Iterable[BurstInfo]) -> None:
        """Take bursts in any order, also ones that are known already."""
        known = {burst.burst_id: burst for burst in self.bursts(channel_id)}
        known.update({burst.burst_id: burst for burst in bursts})
        ordered = sorted(known.values(), key=lambda burst: burst.began_wall, reverse=True)
        self._bursts[channel_id] = deque(ordered[:KEPT_BURSTS])
        self.bursts_changed.emit(channel_id)

    def forget_bursts(self, channel_id: ChannelId) -> None:
        self._bursts.pop(channel_id, None)
        self.bursts_changed.emit(channel_id)

    def take_playback(self, event: PlaybackChanged) -> None:
        self.playing = event.burst_id
        self.playback_changed.emit()

    def _look_around(self) -> None:
        talking = frozenset(channel.id for channel in self.channels if channel.joined and channel.talkers)
        if talking != self._talking:
            self._talking = talking
            self.talking_changed.emit()
        people = (person for mission_id in self._missions for person in self.roster(mission_id))
        going_on = [person for person in people if person.emergency is not None]
        known = {(person.mission, person.node_id) for person in going_on}
        bursts = [
            (channel.id, talker)
            for channel in self.channels
            if channel.joined
            for talker in channel.talkers
            if talker.emergency and (channel.id.mission, talker.node_id) not in known
        ]
        self._seen &= known | {(channel_id.mission, talker.node_id) for channel_id, talker in bursts}
        emergencies = tuple(person for person in going_on if (person.mission, person.node_id) not in self._seen)
        urgent = tuple(each for each in bursts if (each[0].mission, each[1].node_id) not in self._seen)
        if (emergencies, urgent) != (self._emergencies, self._urgent):
            self._emergencies, self._urgent = emergencies, urgent
            self.emergencies_changed.emit()
