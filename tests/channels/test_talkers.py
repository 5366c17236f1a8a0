"""Who talks: bursts that begin and end, names that stick, whose turn it is, and what nobody can make it remember."""

from __future__ import annotations

from collections.abc import Iterable
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.channels import talkers as module
from app.channels.bursts import BurstPackets
from app.channels.packet import BurstFlags, BurstHeader, ChannelPacket
from app.channels.talkers import (
    MOST_TALKERS,
    BurstBegan,
    BurstChanged,
    BurstEnded,
    TalkerEvent,
    Talkers,
)

OWN = b"own node id 0000"
RANDOM = Random(7)


def node(name: str) -> bytes:
    return name.encode().ljust(16, b"\1")


def burst(name: str, priority: int = 0, flags: BurstFlags = BurstFlags.NONE, *, initial: int = 5) -> BurstPackets:
    return BurstPackets(111, 960, BurstHeader(name, node(name), priority, flags), RANDOM, initial=initial)


def nameless() -> BurstPackets:
    return BurstPackets(0, 160, None, RANDOM)


def said(talkers: Talkers) -> list[str]:
    return [_words(event) for event in talkers.take_events()]


def _words(event: TalkerEvent) -> str:
    if isinstance(event, BurstEnded):
        return f"{event.talker.alias} ended: {event.ending.name}"
    return f"{event.talker.alias} {'began' if isinstance(event, BurstBegan) else 'changed'}"


def names(talkers: Iterable[module.Talker]) -> list[str]:
    return [one.alias for one in talkers]


@pytest.fixture
def talkers() -> Talkers:
    return Talkers(OWN)


def test_a_burst_begins_with_its_first_packet_and_ends_where_it_says(talkers: Talkers) -> None:
    ann = burst("Ann")
    heard = [talkers.receive(ann.next(b"x"), at * 0.02) for at in range(20)]
    assert {one.alias for one in heard if one is not None} == {"Ann"}
    assert names(talkers.talking) == ["Ann"]
    for packet in ann.end():
        talkers.receive(packet, 0.4)
    assert talkers.talking == ()
    assert said(talkers) == ["Ann began", "Ann ended: SAID"]
    assert talkers.last is not None
    assert (talkers.last.talker.alias, talkers.last.at, talkers.last.talker.began_at) == ("Ann", 0.4, 0.0)


def test_silence_ends_a_burst_half_a_second_after_its_last_packet(talkers: Talkers) -> None:
    talkers.receive(burst("Ann").next(b"x"), 10.0)
    assert talkers.next_timeout() == 10.5
    talkers.handle_timeout(10.49)
    assert names(talkers.talking) == ["Ann"]
    talkers.handle_timeout(12.0)
    assert talkers.talking == ()
    assert talkers.next_timeout() is None
    assert said(talkers) == ["Ann began", "Ann ended: SILENT"]
    assert talkers.last is not None
    assert talkers.last.at == 10.5


def test_a_burst_whose_beginning_was_lost_begins_with_what_comes(talkers: Talkers) -> None:
    ann = burst("Ann")
    for _ in range(7):
        ann.next(b"lost")
    assert talkers.receive(ann.next(b"x"), 0.0) is not None
    assert names(talkers.talking) == [""]
    for at in range(1, 4):
        talkers.receive(ann.next(b"x"), at * 0.02)
    assert names(talkers.talking) == ["Ann"]
    assert said(talkers) == [" began", "Ann changed"]


def test_a_name_sticks_to_packets_without_header_and_to_later_bursts(talkers: Talkers) -> None:
    ann = burst("Ann")
    heard = [talkers.receive(ann.next(b"x"), 0.0) for _ in range(9)]
    assert {one.alias for one in heard if one is not None} == {"Ann"}
    again = BurstPackets(111, 960, BurstHeader("", node("Ann")), RANDOM)
    talkers.receive(again.next(b"x"), 5.0)
    assert names(talkers.talking) == ["Ann"]


def test_after_a_pause_of_the_network_the_burst_goes_on_as_another(talkers: Talkers) -> None:
    ann = burst("Ann", initial=1)
    talkers.receive(ann.next(b"x"), 0.0)
    assert talkers.receive(ann.next(b"x"), 3.0) is not None
    assert said(talkers) == ["Ann began", "Ann ended: SILENT", " began"]


def test_a_late_copy_of_what_was_heard_begins_nothing(talkers: Talkers) -> None:
    ann = burst("Ann")
    packets = [ann.next(b"x") for _ in range(3)]
    for packet in packets:
        talkers.receive(packet, 0.0)
    assert [talkers.receive(packet, 2.0) for packet in packets] == [None] * 3
    assert talkers.stray == 3


def test_what_the_end_overtook_is_still_heard_and_reopens_nothing(talkers: Talkers) -> None:
    ann = burst("Ann")
    first, late, (end, *_) = ann.next(b"1"), ann.next(b"2"), ann.end()
    talkers.receive(first, 0.0)
    talkers.receive(end, 0.04)
    heard = talkers.receive(late, 0.05)
    assert heard is not None
    assert heard.alias == "Ann"
    assert talkers.talking == ()
    assert talkers.receive(late, 0.6) is None
    assert talkers.receive(first, 0.6) is None  # its marker is not ahead


def test_who_talks_for_longer_than_anybody_is_heard_is_in_nobodys_way_any_more() -> None:
    talkers = Talkers(OWN, longest_s=2.0)
    ann, jammed = burst("Ann", priority=9), burst("Jam", priority=9)
    for at in range(75):
        talkers.receive(ann.next(b"x"), at * 0.02)
    for packet in ann.end():
        talkers.receive(packet, 1.5)
    assert said(talkers) == ["Ann began", "Ann ended: SAID"]
    heard = [talkers.receive(jammed.next(b"x"), 10.0 + at * 0.02) for at in range(200)]
    assert len([one for one in heard if one is not None]) == 100
    assert said(talkers) == ["Jam began", "Jam ended: TOO_LONG"]
    assert talkers.last is not None
    assert talkers.last.at == 12.0
    assert (talkers.talking, names(talkers.overlong)) == ((), ["Jam"])
    assert talkers.in_the_way((False, 0)) is None
    assert talkers.next_timeout() == pytest.approx(13.98 + 0.5)
    talkers.handle_timeout(14.5)
    assert (talkers.overlong, talkers.next_timeout()) == ((), None)
    assert talkers.receive(jammed.next(b"x"), 20.0) is not None  # a new burst, after a pause
    assert talkers.receive(burst("Eve").next(b"x"), 20.1) is not None


def test_the_end_of_a_burst_that_was_too_long_is_its_end() -> None:
    talkers = Talkers(OWN, longest_s=1.0)
    ann = burst("Ann", flags=BurstFlags.EMERGENCY)
    for at in range(60):
        talkers.receive(ann.next(b"x"), at * 0.02)
    assert names(talkers.overlong) == ["Ann"]
    assert talkers.receive(ann.end()[0], 1.2) is None
    assert talkers.overlong == ()
    assert said(talkers) == ["Ann began", "Ann ended: TOO_LONG"]


def test_what_is_too_long_is_bounded_too() -> None:
    talkers = Talkers(OWN, longest_s=1.0)
    for second in range(20):
        for each in (burst(f"{second}-{number}") for number in range(MOST_TALKERS)):
            talkers.receive(each.next(b"x"), second + 0.0)
            for at in (0.4, 0.8, 1.2):
                talkers.receive(each.next(b"x"), second + at)
    assert len(talkers._overlong) <= MOST_TALKERS


def test_the_end_of_a_burst_that_nobody_heard_is_nothing(talkers: Talkers) -> None:
    assert talkers.receive(burst("Ann").end()[0], 0.0) is None
    assert said(talkers) == []


def test_a_device_that_keeps_its_ssrc_begins_again_with_a_marker_or_after_silence(talkers: Talkers) -> None:
    device = nameless()
    talkers.receive(device.next(b"x"), 0.0)
    talkers.receive(device.next(b"x"), 1.0)
    assert said(talkers) == [" began", " ended: SILENT", " began"]
    ended = ChannelPacket(5, 0, 9, False, 0, b"", BurstHeader("", node("D"), 0, BurstFlags.TX_END))
    talkers.receive(ChannelPacket(4, 0, 9, True, 0, b"x"), 2.0)
    talkers.receive(ended, 2.1)
    assert talkers.receive(ChannelPacket(6, 0, 9, False, 0, b"x"), 2.2) is None
    assert talkers.receive(ChannelPacket(7, 0, 9, True, 0, b"x"), 2.3) is not None


def test_a_node_that_begins_anew_ends_what_it_said_before(talkers: Talkers) -> None:
    talkers.receive(burst("Ann").next(b"x"), 0.0)
    talkers.receive(burst("Ann").next(b"x"), 0.1)
    assert len(talkers.talking) == 1
    assert said(talkers) == ["Ann began", "Ann ended: REPLACED", "Ann began"]


def test_our_own_packets_that_come_back_are_nobodys(talkers: Talkers) -> None:
    ours = BurstPackets(111, 960, BurstHeader("Me", OWN), RANDOM)
    assert [talkers.receive(ours.next(b"x"), 0.0) for _ in range(12)] == [None] * 12
    unheralded = nameless()
    talkers.sending(unheralded.ssrc)
    assert talkers.receive(unheralded.next(b"x"), 0.0) is None
    assert (talkers.own, talkers.talking) == (13, ())


def test_a_header_of_another_node_on_the_same_ssrc_is_not_believed(talkers: Talkers) -> None:
    ann = burst("Ann")
    talkers.receive(ann.next(b"x"), 0.0)
    forged = ChannelPacket(1, 1, ann.ssrc, False, 111, b"x", BurstHeader("Eve", node("Eve"), 255))
    assert talkers.receive(forged, 0.0) is None
    assert names(talkers.talking) == ["Ann"]


def test_who_wants_to_talk_waits_for_the_same_rank_and_interrupts_a_lower_one(talkers: Talkers) -> None:
    talkers.receive(burst("Ann", 5).next(b"x"), 0.0)
    in_the_way = talkers.in_the_way((False, 5))
    assert in_the_way is not None
    assert in_the_way.alias == "Ann"
    assert talkers.in_the_way((False, 4)) is not None
    assert talkers.in_the_way((False, 6)) is None
    assert talkers.in_the_way((True, 0)) is None


def test_emergency_goes_before_every_priority(talkers: Talkers) -> None:
    talkers.receive(burst("Chief", 255).next(b"x"), 0.0)
    talkers.receive(burst("Ann", 0, BurstFlags.EMERGENCY).next(b"x"), 0.0)
    assert names(talkers.talking) == ["Ann", "Chief"]
    assert names(talkers.heard) == ["Ann"]
    assert talkers.in_the_way((False, 255)) is not None
    assert talkers.in_the_way((True, 0)) is not None
    assert talkers.in_the_way((True, 1)) is None


def test_an_emergency_that_is_raised_within_a_burst_counts_at_once(talkers: Talkers) -> None:
    ann, chief = burst("Ann", 1, initial=50), burst("Chief", 9)
    talkers.receive(chief.next(b"x"), 0.0)
    talkers.receive(ann.next(b"x"), 0.0)
    assert names(talkers.heard) == ["Chief"]
    ann.header = BurstHeader("Ann", node("Ann"), 1, BurstFlags.EMERGENCY)
    talkers.receive(ann.next(b"x"), 0.02)
    assert names(talkers.heard) == ["Ann"]
    assert [event for event in talkers.take_events() if isinstance(event, BurstChanged)] != []


def test_talkers_of_one_rank_are_heard_together(talkers: Talkers) -> None:
    for name in ("Ann", "Ben"):
        talkers.receive(burst(name, 3).next(b"x"), 0.0)
    talkers.receive(burst("Cas", 2).next(b"x"), 0.0)
    assert names(talkers.heard) == ["Ann", "Ben"]


def test_who_sends_stops_for_a_higher_rank_alone(talkers: Talkers) -> None:
    talkers.receive(burst("zed", 5).next(b"x"), 0.0)
    assert talkers.interrupter((False, 6)) is None
    assert talkers.interrupter((False, 5)) is None
    interrupter = talkers.interrupter((False, 4))
    assert interrupter is not None
    assert interrupter.alias == "zed"


@pytest.mark.parametrize("rank", [(False, 0), (False, 200), (True, 3)])
def test_of_two_who_began_at_once_exactly_one_stops(rank: tuple[bool, int]) -> None:
    flags = BurstFlags.EMERGENCY if rank[0] else BurstFlags.NONE
    ann, ben = Talkers(node("Ann")), Talkers(node("Ben"))
    ann.receive(burst("Ben", rank[1], flags).next(b"x"), 0.0)
    ben.receive(burst("Ann", rank[1], flags).next(b"x"), 0.0)
    assert ann.interrupter(rank) is None
    assert ben.interrupter(rank) is not None


def test_a_device_without_a_node_id_interrupts_nobody_of_its_rank(talkers: Talkers) -> None:
    talkers.receive(nameless().next(b"x"), 0.0)
    assert talkers.interrupter((False, 0)) is None


def test_on_a_full_duplex_channel_everybody_talks_and_is_heard() -> None:
    talkers = Talkers(OWN, is_full_duplex=True)
    for priority, name in enumerate(("Ann", "Ben", "Cas")):
        talkers.receive(burst(name, priority).next(b"x"), 0.0)
    assert names(talkers.heard) == ["Cas", "Ben", "Ann"]
    assert talkers.in_the_way((False, 0)) is None
    assert talkers.interrupter((False, 0)) is None


def test_talkers_are_bounded_and_only_a_more_urgent_one_finds_a_place(talkers: Talkers) -> None:
    crowd = [burst(f"n{number}", 1) for number in range(MOST_TALKERS + 4)]
    for one in crowd:
        talkers.receive(one.next(b"x"), 0.0)
    assert len(talkers.talking) == MOST_TALKERS
    assert talkers.refused == 4
    assert talkers.receive(burst("Chief", 2).next(b"x"), 0.01) is not None
    assert len(talkers.talking) == MOST_TALKERS
    assert "n15 ended: DISPLACED" in said(talkers)
    assert talkers.receive(crowd[15].next(b"x"), 0.02) is None
    for packet in crowd[0].end():
        talkers.receive(packet, 0.03)
    assert talkers.receive(crowd[15].next(b"x"), 0.04) is not None


_STEPS = st.lists(
    st.tuples(
        st.integers(0, 40),  # who
        st.integers(0, 3),  # of what rank
        st.sampled_from(["next", "next", "end", "new"]),
        st.floats(0, 0.7),
    ),
    max_size=80,
)


@given(_STEPS)
def test_events_tell_what_is_and_nothing_grows(steps: list[tuple[int, int, str, float]]) -> None:
    talkers, now = Talkers(OWN), 0.0
    known: dict[int, module.Talker] = {}
    bursts: dict[int, BurstPackets] = {}
    for who, rank, what, passed in steps:
        now += passed
        flags = BurstFlags.EMERGENCY if rank == 3 else BurstFlags.NONE
        if what == "new" or who not in bursts:
            bursts[who] = burst(f"n{who}", rank, flags)
        packets = bursts[who].end() if what == "end" else (bursts[who].next(b"x"),)
        for packet in packets:
            talkers.receive(packet, now)
        for event in talkers.take_events():
            if isinstance(event, BurstEnded):
                assert known.pop(event.talker.ssrc) == event.talker
            else:
                known[event.talker.ssrc] = event.talker
        assert set(known.values()) == set(talkers.talking)
        assert len(talkers.talking) <= MOST_TALKERS
        named = [one.node_id for one in talkers.talking if one.node_id is not None]
        assert len(set(named)) == len(named)
        assert set(talkers.heard) <= set(talkers.talking)
        assert bool(talkers.heard) == bool(talkers.talking)


def test_strangers_make_it_remember_little(talkers: Talkers) -> None:
    for number in range(2_000):
        header = BurstHeader(f"n{number}", number.to_bytes(16, "little"))
        talkers.receive(ChannelPacket(0, 0, number, True, 0, b"x", header), number * 0.01)
    assert len(talkers.talking) <= MOST_TALKERS
    assert len(talkers._ended) <= module.MOST_ENDED
    assert len(talkers._names) <= module.MOST_NAMES
    assert len(talkers.take_events()) <= module.MOST_EVENTS
