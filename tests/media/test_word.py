"""How long word of packets usually takes, and when it is overdue."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from app.media.sent_packets import PacketResult
from app.media.word import Word

RTT_S = 0.04


def hear(
    word: Word,
    sent_at: list[float],
    fed_at: float | None,
    now: float,
    *,
    standing_s: float = 0.0,
    unheard_since: float | None = None,
) -> None:
    results = [PacketResult(at, at + RTT_S / 2, 1_000) for at in sent_at]
    word.heard(
        results,
        fed_at,
        now,
        base_rtt_s=RTT_S,
        queue_s=standing_s,
        standing_s=standing_s,
        unheard_since=unheard_since,
    )


def told_at_even_distances(word: Word, begin: float, *, standing_s: float = 0.0, later_s: float = 0.0) -> float:
    """A packet each 5 ms, told of each 50 ms. Gives the last time."""
    now = begin
    for step in range(80):
        sent_at = [begin + 0.05 * step - 0.005 * number for number in range(10)]
        word.picture_leaves(sent_at[-1])
        fed_at, now = now, begin + 0.05 * step + RTT_S + standing_s + later_s
        hear(word, sent_at, fed_at, now, standing_s=standing_s)
    return now


def steady(word: Word, *, seconds: float = 4.0, waits: Callable[[], float] = lambda: 0.0) -> float:
    """Pictures of four packets in 15 ms each 33 ms; the peer tells of each one's first packet. Gives the last time."""
    before: list[float] = []
    fed_at, begins = None, 10.0
    while begins < 10.0 + seconds:
        word.picture_leaves(begins)
        heard_at = begins + RTT_S + waits()
        hear(word, [*before, begins], fed_at, heard_at, unheard_since=begins + 0.005)
        before, fed_at = [begins + 0.005 * number for number in range(1, 4)], heard_at
        begins += 0.033
    return begins


def overdue_after(word: Word, left_at: float) -> tuple[float, float]:
    """How long after it left word of a picture's beginning, and of any packet, is overdue (to the millisecond)."""
    steps = [left_at + 0.001 * step for step in range(1_000)]
    picture = next(at for at in steps if word.is_picture_overdue(at))
    packet = next(at for at in steps if word.overdue_s(left_at, RTT_S, at) > 0)
    return picture - left_at, packet - left_at


def test_a_steady_path_is_suspected_within_milliseconds_of_a_round_trip() -> None:
    word = Word()
    now = steady(word)
    assert not word.is_picture_overdue(now)
    word.picture_leaves(now)
    picture_s, packet_s = overdue_after(word, now)
    assert RTT_S < picture_s < RTT_S + 0.008
    assert RTT_S + 0.028 < packet_s < RTT_S + 0.06  # those behind it wait for the next picture


def test_a_feedback_that_leaves_out_more_than_usual_is_suspected_at_once_until_the_next_one() -> None:
    word = Word()
    now = steady(word)
    hear(word, [now], now - 0.03, now + RTT_S, unheard_since=now + 0.003)
    assert not word.is_behind
    hear(word, [now], now, now + RTT_S + 0.02, unheard_since=now + 0.005)
    assert word.is_behind
    hear(word, [now + 0.005, now + 0.06], now + 0.06, now + 0.1)
    assert not word.is_behind


def test_what_a_feedback_leaves_out_says_nothing_where_packets_come_unevenly() -> None:
    dice = random.Random(1)
    word = Word()
    now = steady(word, waits=lambda: dice.uniform(0, 0.01))
    hear(word, [now], now - 0.03, now + RTT_S + 0.02, unheard_since=now + 0.003)
    assert not word.is_behind


def test_a_radio_is_given_its_time() -> None:
    dice = random.Random(1)
    word, uneven = Word(), lambda: abs(dice.gauss(0, 0.03))
    now = steady(word, waits=uneven)
    word.picture_leaves(now)
    picture_s, _ = overdue_after(word, now)
    late = sum(RTT_S + uneven() > picture_s for _ in range(1_000))
    assert late < 50


def test_before_enough_is_known_a_round_trip_and_the_wait_for_feedback_count() -> None:
    word = Word()
    word.picture_leaves(1.0)
    assert not word.is_picture_overdue(9.0)
    assert word.overdue_s(1.0, 0.1, 1.0 + 0.1 + word.gap_s) == 0
    assert word.overdue_s(1.0, 0.1, 1.0 + 0.1 + word.gap_s + 0.02) == pytest.approx(0.005)


def test_a_queue_that_has_gone_leaves_nothing_behind_and_a_longer_way_is_learned() -> None:
    word = Word()
    steady(word)
    word.picture_leaves(20.0)
    before = overdue_after(word, 20.0)
    told_at_even_distances(word, 20.1, standing_s=0.26)
    word.picture_leaves(30.0)
    assert overdue_after(word, 30.0) == pytest.approx(before, abs=0.06)
    told_at_even_distances(word, 30.1, later_s=0.3)
    word.picture_leaves(40.0)
    picture_s, packet_s = overdue_after(word, 40.0)
    assert picture_s > 0.3
    assert packet_s > before[1] + 0.02


def test_feedback_that_never_comes_lets_nothing_grow() -> None:
    word = Word()
    for number in range(10_000):
        word.picture_leaves(number * 0.033)
    assert not word.is_picture_overdue(400.0)
