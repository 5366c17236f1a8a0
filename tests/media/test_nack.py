"""Which packets are asked for again, how often, and when they are given up."""

from __future__ import annotations

from app.media.nack import GIVE_UP_S, MOST_MISSING, MOST_TRIES, NackTracker

RTT = 0.100


def tracker_with(*sequences: int, asks: bool = True) -> NackTracker:
    tracker = NackTracker(asks=asks)
    for sequence in sequences:
        tracker.arrived(sequence, 0.0)
    return tracker


def test_a_gap_is_asked_for_at_once_and_again_after_a_round_trip() -> None:
    tracker = tracker_with(100, 103)
    assert tracker.due(0.001, RTT) == [101, 102]
    assert tracker.due(0.050, RTT) == []
    assert tracker.due(0.105, RTT) == []
    assert tracker.due(0.115, RTT) == [101, 102]
    assert tracker.due(0.124, RTT) == [101, 102]  # the question may be what was lost: now it goes twice
    assert tracker.due(0.133, RTT) == []


def test_a_packet_that_was_only_overtaken_is_never_asked_for() -> None:
    tracker = tracker_with(100, 102)
    assert tracker.arrived(101, 0.004)
    assert tracker.due(0.1, RTT) == []
    assert not tracker.is_waiting


def test_where_packets_overtake_each_other_a_gap_is_given_a_moment() -> None:
    tracker = tracker_with(100, 102)
    assert tracker.due(0.000, RTT) == [101]
    tracker.arrived(101, 0.010)  # no answer comes in a tenth of a round trip
    tracker.arrived(104, 0.020)
    assert tracker.due(0.021, RTT) == []
    assert tracker.due(0.036, RTT) == [103]
    tracker.arrived(103, 0.140)  # the answer to what was asked teaches nothing
    for sequence in range(105, 400):
        tracker.arrived(sequence, 0.2)
    tracker.arrived(401, 0.3)
    assert tracker.due(0.301, RTT) == [400]  # and the overtaking is forgotten


def test_where_much_is_lost_the_question_goes_twice() -> None:
    tracker = tracker_with(100)
    for sequence in range(102, 140, 4):
        tracker.arrived(sequence, 0.0)
        tracker.arrived(sequence - 1, 0.2)
    tracker.arrived(200, 1.0)
    lost = tracker.due(1.04, RTT)
    assert 199 in lost
    assert tracker.due(1.045, RTT) == []
    assert tracker.due(1.049, RTT) == lost
    assert tracker.due(1.06, RTT) == []


def test_a_packet_is_given_up_after_a_while() -> None:
    tracker = tracker_with(100, 102)
    asked = sum(len(tracker.due(step * 0.01, RTT)) for step in range(100))
    assert 2 <= asked <= MOST_TRIES
    assert not tracker.is_missing(101)
    assert tracker.given_up == 1


def test_on_a_long_path_there_is_more_patience() -> None:
    tracker = tracker_with(100, 102)
    tracker.due(GIVE_UP_S + 0.1, 0.5)
    assert tracker.is_missing(101)


def test_without_feedback_nothing_is_asked_for_and_patience_is_short() -> None:
    tracker = tracker_with(100, 102, 103, 104, 105, asks=False)
    assert tracker.due(0.02, RTT) == []
    assert tracker.is_missing(101)
    assert tracker.due(0.1, RTT) == []
    assert not tracker.is_missing(101)


def test_what_is_missing_is_bounded() -> None:
    tracker = tracker_with(100)
    for sequence in range(102, 10_000, 2):
        tracker.arrived(sequence, 0.0)
    assert len(tracker.due(1.0, 10.0)) <= MOST_MISSING
    tracker.arrived(100_000, 1.0)
    assert not tracker.is_waiting
