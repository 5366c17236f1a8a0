"""How much delay is kept for packets that are lost and come again, and how soon it is given up."""

from __future__ import annotations

from app.media.delay import MOST_REPAIR_S, MOST_TOO_LATE_S, DelayTracker, LowWater

PACKET_S = 0.020


def hear(tracker: DelayTracker, first: int, seconds: float, late_s: float = 0.0, every: int = 0) -> int:
    """Let packets come in time, and every so-many-th that much later as what was lost; gives the next one's number."""
    repaired: list[tuple[float, int]] = []
    count = round(seconds / PACKET_S)
    for number in range(first, first + count):
        now = number * PACKET_S
        while repaired and repaired[0][0] <= now:
            at, which = repaired.pop(0)
            tracker.arrived(which * PACKET_S, at, is_repaired=True)
        if every and number % every == 0:
            repaired.append((now + late_s, number))
        else:
            tracker.arrived(number * PACKET_S, now)
    return first + count


def test_delay_grows_to_what_repeated_packets_need_and_falls_again_within_ten_seconds() -> None:
    tracker = DelayTracker()
    after = hear(tracker, 0, 10)
    before_s = tracker.target_s
    after = hear(tracker, after, 2, 0.110, every=4)
    assert 0.110 <= tracker.target_s <= 0.125
    hear(tracker, after, 9)
    assert tracker.target_s < before_s + 0.010


def test_one_lost_packet_in_a_while_is_not_worth_much_delay() -> None:
    tracker = DelayTracker()
    after = hear(tracker, 0, 10)
    hear(tracker, after, 10, 0.110, every=180)
    assert tracker.target_s < 0.060


def test_nothing_is_waited_for_too_long() -> None:
    tracker = DelayTracker()
    hear(tracker, 0, 10, 0.5, every=4)
    assert tracker.target_s <= MOST_REPAIR_S


def test_delay_stays_as_it_is_while_packets_are_lost() -> None:
    tracker = DelayTracker()
    after = hear(tracker, 0, 2, 0.060, every=10)
    steady_s = tracker.target_s
    for _ in range(10):
        after = hear(tracker, after, 2, 0.045, every=20)
        assert tracker.target_s == steady_s


def test_packets_that_come_too_late_again_leave_more_delay_for_the_next_one() -> None:
    """A machine or a path that is late now and then, more rarely than the window remembers."""
    tracker = DelayTracker()
    after = hear(tracker, 0, 10)
    before_s = tracker.target_s
    for _ in range(2):
        tracker.arrived(after * PACKET_S, after * PACKET_S + 0.030)
        after = hear(tracker, after + 2, 15)
    assert 0.030 < tracker.target_s <= MOST_TOO_LATE_S
    hear(tracker, after, 30)
    assert tracker.target_s == before_s


def test_one_stall_does_not_make_the_rest_of_the_call_late() -> None:
    tracker = DelayTracker()
    after = hear(tracker, 0, 10)
    before_s = tracker.target_s
    for number in range(20):
        tracker.arrived((after + number) * PACKET_S, (after + 20) * PACKET_S)
    hear(tracker, after + 20, 15)
    assert tracker.target_s == before_s


def test_a_way_that_becomes_longer_for_good_is_measured_anew_within_half_a_second() -> None:
    tracker = DelayTracker()
    after = hear(tracker, 0, 10)
    least_s = tracker.target_s
    for number in range(after, after + 25):
        tracker.arrived(number * PACKET_S, number * PACKET_S + 0.5)
    assert tracker.base is not None
    assert abs(tracker.base - 0.5) < 1e-6
    for number in range(after + 25, after + 400):
        tracker.arrived(number * PACKET_S, number * PACKET_S + 0.5)
    assert tracker.target_s == least_s
    assert tracker.arrived((after + 400) * PACKET_S, (after + 400) * PACKET_S + 0.2) == 0.0  # shorter again: at once


def test_what_a_long_stall_lets_through_at_once_is_no_new_time_line() -> None:
    tracker = DelayTracker()
    after = hear(tracker, 0, 10)
    before = tracker.base
    for number in range(after, after + 20):
        tracker.arrived(number * PACKET_S, after * PACKET_S + 3.0)
    assert tracker.base == before


def test_what_is_nearly_enough_counts_where_it_has_been_there_for_long() -> None:
    water = LowWater()
    for number in range(220):
        assert water.add(0.030 if number == 10 else 0.034) >= 0.030
        assert (water.least_for_long > 0) == (number >= 191)
    assert water.least_for_long == 0.034
    water.clear()
    water.add(0.034)
    assert water.least_for_long < 0
