"""Rosters, announcements, emergencies and texts of several nodes on one channel, on a virtual clock."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count, pairwise

import pytest

from app.channels.distance import Location
from app.channels.errors import ChannelError, PacketError
from app.channels.mission_control import (
    MOST_NODES,
    MOST_TEXTS_AT_ONCE,
    MOST_TEXTS_HEARD,
    ControlPlan,
    EmergencyCleared,
    EmergencyRaised,
    MissionControl,
    NodeGone,
    NodeHere,
    Output,
    Send,
    TextHeard,
)
from app.channels.presence import Emergency, GroupAlias, Identity, Presence, Text, parse

PLAN = ControlPlan()
EPOCH = 1_700_000_000.0


class Field:
    """Nodes that hear each other, unless `loses` says that a datagram is lost."""

    def __init__(self, *names: str, plan: ControlPlan = PLAN) -> None:
        self.now = 0.0
        self.slept_s = 0.0
        self.loses: Callable[[int], bool] = lambda number: False
        self.said: list[tuple[float, str, bytes]] = []
        self.events: dict[str, list[Output]] = {}
        self.nodes: dict[str, MissionControl] = {}
        self._plan = plan
        self._ids = count()
        for name in names:
            self.add(name)

    def add(self, name: str, plan: ControlPlan | None = None) -> MissionControl:
        node = MissionControl(
            Identity(name.lower(), name),
            plan or self._plan,
            lambda: 0.5,
            lambda: f"id{next(self._ids)}",
            lambda: EPOCH + self.now + self.slept_s,
        )
        self.nodes[name], self.events[name] = node, []
        node.start(self.now)
        self.carry()
        return node

    def carry(self) -> None:
        while any(self._carry_from(name) for name in list(self.nodes)):
            pass

    def _carry_from(self, name: str) -> bool:
        outputs = self.nodes[name].take_outputs()
        for output in outputs:
            if not isinstance(output, Send):
                self.events[name].append(output)
                continue
            self.said.append((self.now, name, output.datagram))
            if not self.loses(len(self.said)):
                for node in self.nodes.values():
                    node.receive(output.datagram, self.now)
        return bool(outputs)

    def run(self, seconds: float) -> Field:
        end = self.now + seconds
        while True:
            due = min((at for node in self.nodes.values() if (at := node.next_timeout()) is not None), default=end)
            if due > end:
                self.now = end
                return self
            self.now = max(self.now, due)
            for node in self.nodes.values():
                node.handle_timeout(self.now)
            self.carry()

    def names(self, of: str) -> list[str]:
        return [node.presence.identity.display_name for node in self.nodes[of].roster if node.is_here]

    def take(self, of: str) -> list[Output]:
        events, self.events[of] = self.events[of], []
        return events


def test_a_newcomer_knows_everybody_within_a_moment() -> None:
    field = Field("Anna", "Ben").run(20)
    field.add("Cara")
    field.run(1.0)
    assert field.names("Cara") == ["Anna", "Ben"]
    assert field.names("Anna") == ["Ben", "Cara"]


def test_an_answer_keeps_to_the_least_interval_and_is_no_question() -> None:
    field = Field("Anna").run(20)
    for number in range(20):
        field.add(f"N{number}")
        field.run(0.1)
    field.run(30)
    times = [at for at, name, _ in field.said if name == "Anna"]
    assert all(later - before >= PLAN.min_interval_s for before, later in pairwise(times))
    asked = [parse(data) for _, name, data in field.said if name == "N3"]
    assert [said.announce_on_receive for said in asked if isinstance(said, Presence)].count(True) == 1


def test_after_a_sleep_times_are_those_of_the_wall() -> None:
    field = Field("Anna", "Ben").run(20)
    field.slept_s = 8 * 3_600.0  # the clock that never goes back stood still meanwhile
    field.nodes["Ben"].raise_emergency("Help", field.now)
    field.carry()
    wall = EPOCH + 20 + 8 * 3_600
    (ben,) = field.nodes["Anna"].roster
    assert ben.presence.emergency is not None
    assert ben.presence.emergency.since_unix_ms == ben.presence.unix_ms == wall * 1_000
    assert ben.heard_wall == wall
    assert field.nodes["Ben"].say("Here", "", field.now).unix_ms == wall * 1_000
    field.slept_s = 0.0  # set right: others take it, as it is far enough from what they heard
    field.run(40)
    (ben,) = field.nodes["Anna"].roster
    assert EPOCH + 20 < ben.presence.unix_ms / 1_000 <= EPOCH + 60
    assert ben.heard_wall <= EPOCH + 60


def test_a_node_that_falls_silent_is_gone_after_one_interval_of_grace() -> None:
    field = Field("Anna", "Ben").run(31)
    last = max(at for at, name, _ in field.said if name == "Ben")
    del field.nodes["Ben"]
    field.take("Anna")
    field.run(last + 62.9 - field.now)
    assert field.take("Anna") == []
    field.run(0.2)
    (gone,) = field.take("Anna")
    assert isinstance(gone, NodeGone)
    assert not gone.said_goodbye
    assert field.names("Anna") == []


def test_a_lost_announcement_removes_nobody() -> None:
    field = Field("Anna", "Ben")
    field.run(10)
    field.loses = lambda number: number % 3 == 0
    field.run(600)
    assert field.names("Anna") == ["Ben"]


def test_a_goodbye_is_told_at_once() -> None:
    field = Field("Anna", "Ben").run(5)
    field.take("Anna")
    field.nodes["Ben"].leave(field.now)
    field.carry()
    (gone,) = field.take("Anna")
    assert isinstance(gone, NodeGone)
    assert gone.said_goodbye
    field.add("Cara")  # who asks everybody
    field.run(120)
    assert field.names("Anna") == ["Cara"]


def test_a_change_is_announced_and_heard_as_one() -> None:
    field = Field("Anna", "Ben").run(20)
    field.take("Anna")
    ben = field.nodes["Ben"]
    ben.set_status("Lunch", 4, field.now)
    ben.set_location(Location(52.0, 13.0), field.now)
    ben.set_aliases((GroupAlias("g", "B1"),), field.now)
    field.run(6)
    changed = [event for event in field.take("Anna") if isinstance(event, NodeHere)]
    assert not any(event.is_new for event in changed)
    said = changed[-1].node.presence
    assert (said.comment, said.disposition, said.location, said.aliases) == (
        "Lunch",
        4,
        Location(52.0, 13.0),
        (GroupAlias("g", "B1"),),
    )
    field.run(60)
    assert field.take("Anna") == []  # saying the same again is no news


def test_an_emergency_is_told_at_once_and_until_it_is_cleared() -> None:
    field = Field("Anna", "Ben").run(1)
    field.take("Anna")
    field.nodes["Ben"].raise_emergency("Man down", field.now)
    field.carry()
    raised = [event for event in field.take("Anna") if isinstance(event, EmergencyRaised)]
    assert [(event.identity.display_name, event.emergency.words) for event in raised] == [("Ben", "Man down")]
    late = field.run(60).add("Cara")
    field.run(6)
    assert late.roster[0].presence.emergency is not None
    field.nodes["Ben"].clear_emergency(field.now)
    field.run(10)
    assert [type(event) for event in field.take("Anna") if not isinstance(event, NodeHere)] == [EmergencyCleared]
    assert late.roster[0].presence.emergency is None


def test_an_emergency_comes_through_when_its_first_packets_are_lost() -> None:
    field = Field("Anna", "Ben").run(20)
    field.take("Anna")
    lost_until = len(field.said) + 2
    field.loses = lambda number: number <= lost_until
    field.nodes["Ben"].raise_emergency("", field.now)
    field.run(3)
    assert [type(event) for event in field.take("Anna") if not isinstance(event, NodeHere)] == [EmergencyRaised]


def test_who_begins_to_talk_may_say_who_they_are_and_not_too_often() -> None:
    field = Field("Ann", "Ben").run(20.0)
    field.said.clear()
    field.nodes["Ann"].announce(field.now)
    field.carry()
    field.nodes["Ann"].announce(field.now)  # and again at once
    field.run(PLAN.min_interval_s + 0.1)
    assert [round(at - 20.0, 2) for at, who, _ in field.said if who == "Ann"] == [0.0, PLAN.min_interval_s]


def test_an_emergency_that_nobody_could_hear_is_told_as_soon_as_there_is_a_link() -> None:
    field = Field("Ann", "Ben").run(10.0)
    field.take("Ben")
    field.loses = lambda number: True
    field.nodes["Ann"].raise_emergency("fire", field.now)
    field.run(3.0)  # its repeats are lost too
    field.loses = lambda number: False
    assert [one for one in field.take("Ben") if isinstance(one, EmergencyRaised)] == []
    field.nodes["Ann"].start(field.now)  # the link is back
    field.carry()
    told = [one for one in field.take("Ben") if isinstance(one, EmergencyRaised)]
    assert [one.emergency.words for one in told] == ["fire"]


def test_an_emergency_outlives_the_radio_until_somebody_dismisses_it() -> None:
    field = Field("Anna", "Ben").run(1)
    field.nodes["Ben"].raise_emergency("", field.now)
    field.run(1)
    del field.nodes["Ben"]
    field.run(600)
    (node,) = field.nodes["Anna"].roster
    assert not node.is_here
    assert node.presence.emergency is not None
    field.nodes["Anna"].dismiss("ben")
    assert field.nodes["Anna"].roster == []


def test_a_text_is_said_three_times_and_heard_once() -> None:
    field = Field("Anna", "Ben").run(1)
    before = len(field.said)
    field.take("Anna")
    field.nodes["Ben"].say("Meet at 5", "group", field.now)
    field.run(5)
    heard = [event for event in field.take("Anna") if isinstance(event, TextHeard)]
    assert [(event.text.words, event.text.group_id, event.text.sender.display_name) for event in heard] == [
        ("Meet at 5", "group", "Ben")
    ]
    assert len([1 for _, name, _ in field.said[before:] if name == "Ben"]) == 3
    assert not [event for event in field.take("Ben") if isinstance(event, TextHeard)]


def test_texts_are_bounded() -> None:
    field = Field("Anna").run(1)
    anna = field.nodes["Anna"]
    with pytest.raises(ChannelError, match="nothing to send"):
        anna.say("  ", "", field.now)
    with pytest.raises(PacketError, match="700 bytes"):
        anna.say("x" * 701, "", field.now)
    for number in range(MOST_TEXTS_AT_ONCE):
        anna.say(str(number), "", field.now)
    with pytest.raises(ChannelError, match="Too many messages"):
        anna.say("one more", "", field.now)


def test_a_listener_is_in_nobodys_roster_and_says_nothing() -> None:
    field = Field("Anna")
    ghost = field.add("Ghost", ControlPlan(listen_only=True))
    field.run(60)
    assert field.names("Anna") == []
    assert field.names("Ghost") == ["Anna"]
    with pytest.raises(ChannelError, match="listen only"):
        ghost.say("hello", "", field.now)
    with pytest.raises(ChannelError, match="listen only"):
        ghost.raise_emergency("", field.now)


def test_a_roster_counts_as_people_do() -> None:
    field = Field("Anna", "Person 10", "Person 2").run(20)
    names = [node.presence.identity.display_name for node in field.nodes["Anna"].roster]
    assert names == ["Person 2", "Person 10"]


def test_a_roster_has_an_end() -> None:
    field = Field("Anna")
    anna = field.nodes["Anna"]
    for number in range(MOST_NODES + 5):
        anna.receive(str(Presence(Identity(f"n{number}", "N"), 1, 30.0)).encode(), field.now)
    assert len(anna.roster) == MOST_NODES
    assert anna.refused == 5


def test_ghosts_in_an_emergency_keep_nobody_out() -> None:
    anna = Field("Anna").nodes["Anna"]
    alarm = Emergency("e", 1, "Help")
    for number in range(MOST_NODES):
        anna.receive(str(Presence(Identity(f"n{number}", "N"), 1, 5.0, emergency=alarm)).encode(), number / 100)
    anna.handle_timeout(100.0)
    anna.receive(str(Presence(Identity("ben", "Ben"), 1, 30.0)).encode(), 100.0)
    assert len(anna.roster) == MOST_NODES
    ids = {node.presence.identity.node_id for node in anna.roster}
    assert "ben" in ids
    assert "n0" not in ids


def test_a_flood_of_texts_is_cut_off_and_what_is_said_again_later_is_heard() -> None:
    anna, sender = Field("Anna").nodes["Anna"], Identity("ben", "Ben")
    texts = [str(Text(f"t{number}", sender, 1, "Hello")).encode() for number in range(1_000)]

    def heard(now: float) -> int:
        for text in texts:
            anna.receive(text, now)
        return sum(isinstance(output, TextHeard) for output in anna.take_outputs())

    assert heard(1.0) == MOST_TEXTS_HEARD
    assert anna.refused == 1_000 - MOST_TEXTS_HEARD
    assert heard(3.0) == 8


def test_what_was_overtaken_is_not_believed_and_a_clock_set_back_is() -> None:
    anna = Field("Anna").nodes["Anna"]
    for unix_ms, comment in ((100_000_000, "new"), (99_999_000, "older"), (50_000_000, "clock set back")):
        anna.receive(str(Presence(Identity("b", "Ben"), unix_ms, 30.0, comment)).encode(), 1.0)
    heard = [event.node.presence.comment for event in anna.take_outputs() if isinstance(event, NodeHere)]
    assert heard == ["new", "clock set back"]


def test_names_that_are_too_long_are_refused_at_once() -> None:
    with pytest.raises(PacketError, match="A name may be 64 bytes long, and has 65"):
        MissionControl(Identity("n", "x" * 65), PLAN, lambda: 0.0, lambda: "id", lambda: EPOCH)
    anna = Field("Anna").nodes["Anna"]
    with pytest.raises(PacketError, match="A comment"):
        anna.set_status("x" * 201, 0, 1.0)


def test_the_longest_words_of_everything_still_make_one_packet() -> None:
    quotes = '"' * 64
    field = Field("Anna")
    node = MissionControl(Identity("n" * 36, quotes, quotes), PLAN, lambda: 0.0, lambda: "i" * 36, lambda: EPOCH)
    node.set_status('"' * 200, 9, field.now)
    node.set_location(Location(-89.1234567, -179.1234567, -12345.6, 359.9, 123.45, 1_700_000_000_000), field.now)
    node.set_aliases(tuple(GroupAlias("g" * 36, quotes) for _ in range(32)), field.now)
    node.start(field.now)
    node.raise_emergency('"' * 120, field.now)
    said = [parse(output.datagram) for output in node.take_outputs() if isinstance(output, Send)]
    assert len(said) == 2
    assert isinstance(said[1], Presence)
    assert said[1].emergency is not None


def test_an_emergency_where_the_mission_sets_no_least_interval_is_no_goodbye_and_no_flood() -> None:
    field = Field("Ann", "Ben", plan=ControlPlan(min_interval_s=0.0)).run(5.0)
    field.take("Ben")
    field.said.clear()
    field.nodes["Ann"].raise_emergency("fire", field.now)
    field.run(20.0)
    told = [type(one) for one in field.take("Ben")]
    assert EmergencyRaised in told
    assert NodeGone not in told
    assert field.names("Ben") == ["Ann"]
    assert len(field.said) < 40


def test_a_flood_of_questions_is_answered_once_a_second_where_the_mission_sets_no_least_interval() -> None:
    field = Field("Ann", plan=ControlPlan(min_interval_s=0.0)).run(5.0)
    field.said.clear()
    for number in range(5_000):
        asked = Presence(Identity("eve", "Eve"), 1_700_000_000_000 + number, 30.0, announce_on_receive=True)
        field.nodes["Ann"].receive(str(asked).encode(), field.now)
        field.run(0.002)
    assert 8 <= len(field.said) <= 11


def test_nobody_is_gone_between_two_announcements_however_far_apart_the_mission_sets_them() -> None:
    for plan in (ControlPlan(interval_s=86_400.0), ControlPlan(interval_s=30.0, min_interval_s=600.0)):
        field = Field("Ann", "Ben", plan=plan).run(10.0)
        field.take("Ben")
        field.said.clear()
        field.run(80_000.0)
        assert [one for one in field.take("Ben") if isinstance(one, NodeGone)] == []
        of_ann = [at for at, who, _ in field.said if who == "Ann"]
        assert min(later - earlier for earlier, later in pairwise(of_ann)) >= plan.min_interval_s
