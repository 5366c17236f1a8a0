"""One wake-up of a loop for many things, on a virtual clock."""

from __future__ import annotations

import asyncio
import gc
import threading
import weakref
from types import SimpleNamespace
from typing import Any, cast

import pytest

from app import loop_beat
from app.loop_beat import EARLY_S, STEP_S, Beat
from tests.timers_by_hand import TimersByHand


class Stage:
    """A beat, and when what was done at it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.loop = TimersByHand()
        monkeypatch.setattr(loop_beat, "time", SimpleNamespace(monotonic=lambda: self.loop.now))
        self.beat = Beat.of(cast(asyncio.AbstractEventLoop, self.loop))
        self.done: list[tuple[str, float]] = []

    def do(self, name: str) -> Any:
        return lambda: self.done.append((name, round(self.loop.now - 50.0, 6)))

    def read(self) -> None:
        self.done.append(("read", round(self.loop.now - 50.0, 6)))

    def times(self, name: str) -> list[float]:
        return [at for what, at in self.done if what == name]


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch) -> Stage:
    return Stage(monkeypatch)


def test_a_loop_has_one_beat(stage: Stage) -> None:
    assert Beat.of(cast(asyncio.AbstractEventLoop, stage.loop)) is stage.beat
    assert Beat.of(cast(asyncio.AbstractEventLoop, TimersByHand())) is not stage.beat


def test_a_loop_that_is_gone_takes_its_beat_along() -> None:
    async def give() -> weakref.ref[Beat]:
        return weakref.ref(Beat.of(asyncio.get_running_loop()))

    beat = asyncio.run(give())
    gc.collect()
    assert beat() is None


def test_while_none_runs_everything_is_done_at_its_own_time(stage: Stage) -> None:
    assert not stage.beat.soon(stage.do("soon"))
    stage.beat.call_later(0.0031, stage.do("first"))
    stage.beat.call_later(0.0052, stage.do("second"))
    stage.beat.along()
    stage.loop.run(0.1)
    assert stage.done == [("first", 0.0031), ("second", 0.0052)]


def test_what_may_wait_is_done_at_one_wake_up(stage: Stage) -> None:
    stage.beat.join(stage.read)
    assert stage.beat.soon(stage.do("soon"))
    stage.beat.call_later(0.004, stage.do("timer"))
    stage.beat.call_later(STEP_S + EARLY_S, stage.do("early"))
    stage.beat.call_later(STEP_S + EARLY_S + 0.001, stage.do("later"))
    stage.loop.run(STEP_S)
    assert stage.loop.wakes == [pytest.approx(50.0 + STEP_S)]
    assert [what for what, _ in stage.done] == ["soon", "read", "timer", "early"]
    stage.loop.run(STEP_S)
    assert [what for what, _ in stage.done[4:]] == ["read", "later"]  # once is once
    stage.loop.run(1.0)
    assert len(stage.loop.wakes) == 2 + int(1.0 / STEP_S)


def test_a_loop_that_is_awake_beats_then_and_not_soon_after(stage: Stage) -> None:
    assert stage.beat.step_s == 0.0
    stage.beat.join(stage.read)
    assert stage.beat.step_s == STEP_S
    for _ in range(10):  # sound leaves every 20 ms
        stage.beat.along()
        stage.loop.run(0.020)
    assert stage.times("read") == [pytest.approx(step * 0.020) for step in range(10)]


def test_what_beats_within_a_beat_is_not_done_twice(stage: Stage) -> None:
    stage.beat.join(stage.read)
    assert stage.beat.soon(stage.beat.along)
    stage.loop.run(STEP_S)
    assert stage.times("read") == [pytest.approx(STEP_S)]


def test_a_timer_that_was_cancelled_stays_silent(stage: Stage) -> None:
    alone = stage.beat.call_later(0.001, stage.do("alone"))
    alone.cancel()
    stage.beat.join(stage.read)
    second = stage.beat.call_later(0.002, stage.do("second"))
    third = stage.beat.call_later(0.003, stage.do("third"))
    second.callback = third.cancel  # in the same beat
    stage.loop.run(0.1)
    third.cancel()
    assert {what for what, _ in stage.done} == {"read"}


def test_what_waits_when_the_beat_ends_goes_its_own_way(stage: Stage) -> None:
    stage.beat.join(stage.read)
    stage.beat.soon(stage.do("soon"))
    stage.beat.call_later(0.0031, stage.do("near"))
    stage.beat.call_later(0.0522, stage.do("far"))
    stage.loop.run(0.001)
    stage.beat.leave(stage.read)
    stage.loop.run(0.1)
    assert stage.done == [("soon", 0.001), ("near", 0.0031), ("far", 0.0522)]
    assert not stage.beat.soon(stage.do("soon"))


def test_it_goes_on_while_one_is_left_that_reads(stage: Stage) -> None:
    other = stage.do("other")
    stage.beat.join(stage.read)
    stage.beat.join(other)
    stage.loop.run(STEP_S)
    stage.beat.leave(stage.read)
    stage.loop.run(STEP_S)
    assert (len(stage.times("read")), len(stage.times("other"))) == (1, 2)


def test_one_that_leaves_in_its_own_beat_ends_it(stage: Stage) -> None:
    def leave() -> None:
        stage.beat.leave(leave)
        stage.read()

    stage.beat.join(leave)
    stage.beat.call_later(0.035, stage.do("timer"))
    stage.loop.run(1.0)
    assert stage.done == [("read", STEP_S), ("timer", 0.035)]


def test_one_that_fails_is_reported_and_the_others_go_on(stage: Stage) -> None:
    error = ValueError("broken")

    def fail() -> None:
        raise error

    stage.beat.join(stage.read)
    stage.beat.soon(fail)
    stage.beat.call_later(0.001, fail)
    stage.beat.call_later(0.002, stage.do("timer"))
    stage.loop.run(2 * STEP_S)
    assert stage.loop.reported == [error, error]
    assert (len(stage.times("read")), len(stage.times("timer"))) == (2, 1)


def test_nothing_that_another_thread_hands_over_is_lost_when_the_beat_ends() -> None:
    async def hand_over() -> tuple[int, int, int]:
        beat, done, taken, refused = Beat.of(asyncio.get_running_loop()), 0, 0, 0
        is_over = threading.Event()

        def note() -> None:
            nonlocal done
            done += 1

        def work() -> None:
            nonlocal taken, refused
            while not is_over.is_set():
                if beat.soon(note):
                    taken += 1
                else:
                    refused += 1

        def read() -> None:
            """There is nothing to read."""

        thread = threading.Thread(target=work)
        beat.join(read)
        thread.start()
        while not (taken > 100 and refused > 100):
            beat.leave(read)
            await asyncio.sleep(0.0005)
            beat.join(read)
            await asyncio.sleep(0.0005)
        is_over.set()
        thread.join()
        beat.leave(read)
        await asyncio.sleep(0)
        return done, taken, refused

    done, taken, _ = asyncio.run(asyncio.wait_for(hand_over(), 30))
    assert done == taken
