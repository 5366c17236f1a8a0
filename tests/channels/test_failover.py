"""When a channel falls over to multicast and when it comes back, on a virtual clock."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from app.channels.failover import CONFIRM_S, RETURN_S, Failover, FailoverState, Step, Way

RALLYPOINT, MULTICAST = Way.RALLYPOINT, Way.MULTICAST


def run(failover: Failover, until: float) -> list[Step]:
    """Wake it whenever it wants to be woken, up to then."""
    while (due := failover.next_timeout()) is not None and due <= until:
        failover.handle_timeout(due)
    return failover.take_steps()


def connected(failover_s: float | None = 10.0) -> Failover:
    failover = Failover(failover_s, 0.0)
    failover.rallypoint(True, 1.0)
    assert run(failover, 100.0) == []
    assert failover.state is FailoverState.CONNECTED
    return failover


def fallen_over() -> Failover:
    failover = connected()
    failover.rallypoint(False, 100.0)
    assert run(failover, 110.0) == [Step.JOIN]
    return failover


def test_multicast_is_joined_after_the_configured_time_and_not_before() -> None:
    failover = connected(failover_s=7.0)
    failover.rallypoint(False, 100.0)
    assert run(failover, 106.9) == []
    assert failover.sends_on == {RALLYPOINT}
    assert run(failover, 107.0) == [Step.JOIN]
    assert failover.sends_on == {MULTICAST}


def test_a_channel_without_failover_waits_for_its_rallypoint() -> None:
    failover = connected(failover_s=None)
    failover.rallypoint(False, 100.0)
    assert run(failover, 10_000.0) == []
    assert failover.next_timeout() is None


def test_a_rallypoint_that_was_never_there_counts_as_lost_from_the_beginning() -> None:
    failover = Failover(10.0, 50.0)
    assert run(failover, 60.0) == [Step.JOIN]


def test_a_short_loss_changes_nothing() -> None:
    failover = connected()
    failover.rallypoint(False, 100.0)
    failover.rallypoint(True, 103.0)
    assert run(failover, 1_000.0) == []
    assert failover.state is FailoverState.CONNECTED


def test_a_rallypoint_that_comes_and_goes_does_not_begin_the_time_anew() -> None:
    failover = connected()
    failover.rallypoint(False, 100.0)
    failover.rallypoint(True, 108.0)
    failover.rallypoint(False, 109.0)
    assert run(failover, 110.0) == [Step.JOIN]


def test_it_sends_on_both_until_the_rallypoint_has_been_up_for_a_while() -> None:
    failover = fallen_over()
    failover.rallypoint(True, 200.0)
    assert failover.sends_on == {RALLYPOINT, MULTICAST}
    assert run(failover, 200.0 + RETURN_S - 0.1) == []
    assert run(failover, 200.0 + RETURN_S) == [Step.LEAVE]
    assert failover.sends_on == {RALLYPOINT}


def test_lost_again_while_returning_goes_on_by_multicast() -> None:
    failover = fallen_over()
    failover.rallypoint(True, 200.0)
    failover.rallypoint(False, 202.0)
    assert failover.sends_on == {MULTICAST}
    assert run(failover, 300.0) == []


def test_no_word_is_heard_twice_by_two_ways() -> None:
    failover = fallen_over()
    failover.rallypoint(True, 200.0)
    heard = [
        failover.heard(way, number.to_bytes(2, "big"), 200.0 + number * 0.02)
        for number in range(100)
        for way in (MULTICAST, RALLYPOINT)
    ]
    assert heard == [True, False] * 100


def test_a_talker_by_both_ways_does_not_keep_multicast() -> None:
    failover = fallen_over()
    failover.rallypoint(True, 200.0)
    steps = []
    for number in range(5000):
        now = 200.0 + number * 0.02
        failover.heard(MULTICAST, number.to_bytes(2, "big"), now)
        failover.heard(RALLYPOINT, number.to_bytes(2, "big"), now + 0.01)
        steps += run(failover, now + 0.015)
    assert steps == [Step.LEAVE]


def test_somebody_who_is_on_multicast_alone_is_not_left() -> None:
    failover = fallen_over()
    failover.rallypoint(True, 200.0)
    for number in range(5000):
        failover.heard(MULTICAST, number.to_bytes(2, "big"), 200.0 + number * 0.02)
        assert run(failover, 200.0 + number * 0.02) == []
    assert run(failover, 300.0 + RETURN_S + CONFIRM_S) == [Step.LEAVE]


def test_the_same_news_twice_changes_nothing() -> None:
    failover = fallen_over()
    failover.rallypoint(True, 200.0)
    failover.rallypoint(True, 204.0)
    assert run(failover, 200.0 + RETURN_S) == [Step.LEAVE]


happenings = st.lists(
    st.tuples(st.sampled_from(["up", "down", "wait"]), st.sampled_from([0.1, 2.0, 7.0, 50.0])), max_size=40
)


@given(happenings)
def test_multicast_is_joined_exactly_while_it_is_needed(story: list[tuple[str, float]]) -> None:
    failover, now, joined = Failover(10.0, 0.0), 0.0, False
    for what, seconds in story:
        if what != "wait":
            failover.rallypoint(what == "up", now)
        now += seconds
        for step in run(failover, now):
            assert joined == (step is Step.LEAVE)
            joined = step is Step.JOIN
        assert joined == (failover.state in (FailoverState.MULTICAST, FailoverState.RETURNING))
        assert joined == (MULTICAST in failover.sends_on)
