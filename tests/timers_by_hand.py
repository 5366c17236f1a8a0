"""A loop whose time passes when a test says so: timers only, no sockets and no tasks."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable
from typing import Any


class Timer:
    """What a loop gives for something that it is to call."""

    def __init__(self, call: Callable[..., None], arguments: tuple[Any, ...]) -> None:
        self.call: Callable[..., None] | None = call
        self.arguments = arguments

    def cancel(self) -> None:
        self.call = None


class TimersByHand:
    """`now` is its time; `wakes` are the moments at which something was called."""

    def __init__(self) -> None:
        self.now = 50.0
        self.wakes: list[float] = []
        self.reported: list[BaseException] = []
        self._timers: list[tuple[float, int, Timer]] = []
        self._number = itertools.count()

    def call_later(self, delay_s: float, call: Callable[..., None], *arguments: Any) -> Timer:
        timer = Timer(call, arguments)
        heapq.heappush(self._timers, (self.now + delay_s, next(self._number), timer))
        return timer

    def call_soon(self, call: Callable[..., None], *arguments: Any) -> Timer:
        return self.call_later(0.0, call, *arguments)

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        self.reported.append(context["exception"])

    def is_closed(self) -> bool:
        return False

    def run(self, seconds: float) -> None:
        """Let so much time pass."""
        end = self.now + seconds
        while self._timers and self._timers[0][0] <= end:
            self.now, _, timer = heapq.heappop(self._timers)
            if timer.call is not None:
                self.wakes.append(self.now)
                timer.call(*timer.arguments)
        self.now = end
