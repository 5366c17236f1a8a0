"""How often a session does what is due, on a virtual clock."""

from __future__ import annotations

import itertools
from types import SimpleNamespace

import pytest

from app.media import ticking
from app.media.ticking import ALONG_S, CALM_TICK_S, TICK_S, WIDE_TICK_S, Ticker
from tests.timers_by_hand import TimersByHand


class Loop(TimersByHand):
    """What ticks on such a loop."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        super().__init__()
        self.waits = self.is_wide = False
        self.ticked_at: list[float] = []
        monkeypatch.setattr(ticking, "time", SimpleNamespace(monotonic=lambda: self.now))
        monkeypatch.setattr(ticking, "asyncio", SimpleNamespace(get_running_loop=lambda: self))
        self.ticker = Ticker(self.ticked_at.append, lambda now: self.waits, lambda: self.is_wide)


@pytest.fixture
def loop(monkeypatch: pytest.MonkeyPatch) -> Loop:
    return Loop(monkeypatch)


@pytest.mark.parametrize(("waits", "tick_s"), [(True, TICK_S), (False, CALM_TICK_S)])
def test_what_is_calm_is_looked_at_half_as_often(loop: Loop, waits: bool, tick_s: float) -> None:
    loop.waits = waits
    loop.ticker.start()
    loop.run(1.0)
    assert len(loop.ticked_at) == int(1.0 / (tick_s + ALONG_S))


@pytest.mark.parametrize(("waits", "tick_s"), [(True, TICK_S), (False, WIDE_TICK_S)])
def test_what_is_calm_on_a_wide_path_is_looked_at_a_quarter_as_often(loop: Loop, waits: bool, tick_s: float) -> None:
    loop.waits, loop.is_wide = waits, True
    loop.ticker.start()
    loop.run(5.0)
    assert len(loop.ticked_at) == int(5.0 / (tick_s + ALONG_S))


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
