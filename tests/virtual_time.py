"""An event loop on a virtual clock: timers run as soon as nothing else is to be done, and the clock jumps to them."""

from __future__ import annotations

import asyncio
import random
import selectors
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar
from unittest.mock import patch

Result = TypeVar("Result")

_BEGIN_S = 1_000.0
_ORDER_S = 1e-10


class _Selector(selectors.DefaultSelector):
    """Never waits: the clock goes on instead. What threads and sockets have ready is taken first."""

    def __init__(self) -> None:
        super().__init__()
        self.now = _BEGIN_S

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0 if timeout is not None else None)
        if not ready and timeout:
            self.now += timeout
        return ready


class VirtualLoop(asyncio.SelectorEventLoop):
    """Timers for one moment run in the order in which they were set; asyncio's own queue does not promise that."""

    def __init__(self) -> None:
        self.clock = _Selector()
        self._timers = 0
        super().__init__(self.clock)

    def call_at(self, when: float, callback: Callable[..., object], *args: Any, **options: Any) -> asyncio.TimerHandle:
        self._timers += 1
        return super().call_at(when + self._timers * _ORDER_S, callback, *args, **options)

    def time(self) -> float:
        return self.clock.now


@contextmanager
def _clock(loop: VirtualLoop) -> Iterator[None]:
    with patch.object(time, "monotonic", loop.time), patch.object(time, "time", loop.time):
        yield


def run(work: Coroutine[Any, Any, Result], seed: int) -> Result:
    """Run a coroutine whose every look at a clock shows the virtual time; what is drawn by `random` is the seed's."""
    state = random.getstate()
    random.seed(seed)
    try:
        with asyncio.Runner(loop_factory=VirtualLoop) as runner:
            loop = runner.get_loop()
            assert isinstance(loop, VirtualLoop)
            with _clock(loop):
                return runner.run(work)
    finally:
        random.setstate(state)
