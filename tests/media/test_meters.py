"""Rates and freezes."""

from __future__ import annotations

import threading

import pytest

from app.media.stats import FreezeCounter, RateMeter


def test_a_rate_follows_what_comes_and_falls_to_zero() -> None:
    meter = RateMeter()
    assert meter.per_second(0.0) is None
    for step in range(300):
        meter.add(100, step * 0.01)
    assert meter.per_second(3.0) == pytest.approx(10_000, rel=0.02)
    assert meter.per_second(10.0) == 0.0


def test_freezes_are_long_intervals_only() -> None:
    counter = FreezeCounter()
    now = 0.0
    for number in range(200):
        now += 0.033 + (0.5 if number in (80, 150) else 0.0) + (0.05 if number % 7 == 0 else 0.0)
        counter.shown(now)
    assert counter.freezes == 2


def test_a_pause_is_no_freeze() -> None:
    counter = FreezeCounter()
    for number in range(50):
        counter.shown(number * 0.033)
    counter.pause()
    counter.shown(20.0)
    assert counter.freezes == 0


def test_a_rate_may_be_read_while_another_thread_adds() -> None:
    """Workers count frames while the loop asks for the figures."""
    meter = RateMeter()
    adder = threading.Thread(target=lambda: meter.add(1, 2.0))

    class Interrupted(float):
        """An amount in whose addition the other thread gets its turn."""

        def __radd__(self, other: float) -> float:
            adder.start()
            adder.join(0.05)
            return other + float(self)

    meter.add(Interrupted(1), 0.5)
    meter.add(1, 1.0)
    assert meter.per_second(1.5) == pytest.approx(2.0)
    adder.join()
