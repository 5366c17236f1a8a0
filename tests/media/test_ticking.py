"""How often a session does what is due, on a virtual clock."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable
from types import SimpleNamespace

import pytest

from app.media import ticking
from app.media.ticking import ALONG_S, CALM_TICK_S, TICK_S, Ticker


class Timer:
    """What a loop gives for something that it is to call."""

    def __init__(self, call: Callable[[], None]) -> None:
        self.call: Callable[[], None] | None = call

    def cancel(self) -> None:
        self.call = None


class Loop:
    """A loop whose time passes when the test says so, and what ticks on it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 50.0
        self.waits = False
        self.ticked_at: list[float] = []
        self._timers: list[tuple[float, int, Timer]] = []
        self._number = itertools.count()
        monkeypatch.setattr(ticking, "time", SimpleNamespace(monotonic=lambda: self.now))
        monkeypatch.setattr(ticking, "asyncio", SimpleNamespace(get_running_loop=lambda: self))
        self.ticker = Ticker(self.ticked_at.append, lambda now: self.waits)

    def call_later(self, delay_s: float, call: Callable[[], None]) -> Timer:
        timer = Timer(call)
        heapq.heappush(self._timers, (self.now + delay_s, next(self._number), timer))
        return timer

    def run(self, seconds: float) -> None:
        end = self.now + seconds
        while self._timers and self._timers[0][0] <= end:
            self.now, _, timer = heapq.heappop(self._timers)
            if timer.call is not None:
                timer.call()
        self.now = end


@pytest.fixture
def loop(monkeypatch: pytest.MonkeyPatch) -> Loop:
    return Loop(monkeypatch)


@pytest.mark.parametrize(("waits", "tick_s"), [(True, TICK_S), (False, CALM_TICK_S)])
def test_what_is_calm_is_looked_at_half_as_often(loop: Loop, waits: bool, tick_s: float) -> None:
    loop.waits = waits
    loop.ticker.start()
    loop.run(1.0)
    assert len(loop.ticked_at) == int(1.0 / (tick_s + ALONG_S))


@pytest.mark.parametrize("after_s", [0.0, 0.001, 0.010, 0.019, 0.023, 0.030, 0.039])
def test_what_begins_to_wait_in_a_calm_is_done_as_soon_as_without_the_calm(loop: Loop, after_s: float) -> None:
    loop.ticker.start()
    loop.run(CALM_TICK_S + ALONG_S + after_s)  # one tick is over
    loop.waits = True
    for _ in range(3):  # packets that come together
        loop.ticker.hurry()
        loop.run(0.0)
    begun, before = loop.now, len(loop.ticked_at)
    loop.run(0.5)
    assert loop.ticked_at[1] - loop.ticked_at[0] <= max(TICK_S, after_s) + ALONG_S + 1e-9
    assert loop.ticked_at[1] - begun <= TICK_S + ALONG_S + 1e-9
    for one, next_one in itertools.pairwise(loop.ticked_at[1:]):
        assert next_one - one == pytest.approx(TICK_S + ALONG_S)
    assert before == 1


def test_what_is_sent_shortly_before_takes_it_along_once(loop: Loop) -> None:
    loop.waits = True
    loop.ticker.start()
    loop.run(TICK_S - ALONG_S - 0.001)
    loop.ticker.along()
    assert loop.ticked_at == []
    loop.run(0.0015)
    loop.ticker.along()
    loop.ticker.along()
    assert loop.ticked_at == [loop.now]


def test_nothing_is_done_after_the_end(loop: Loop) -> None:
    loop.ticker.start()
    loop.ticker.close()
    loop.ticker.hurry()
    loop.ticker.along()
    loop.ticker.start()
    loop.run(1.0)
    assert loop.ticked_at == []
