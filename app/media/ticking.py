"""When a session does what is due: at even intervals, shorter ones while something waits for it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from app.loop_beat import Beat, BeatTimer

TICK_S, CALM_TICK_S = 0.020, 0.040
ALONG_S = 0.004  # earlier or later than that: with what is sent, for one wake-up less


class Ticker:
    """Calls `tick` on the running loop from `start` to `close`, with the time (monotonic seconds).

    `waits`: whether something is to be done soon; else half as often is enough.
    """

    def __init__(self, tick: Callable[[float], None], waits: Callable[[float], bool]) -> None:
        self._tick = tick
        self._waits = waits
        self._timer: BeatTimer | None = None
        self._is_calm = False
        self._due = float("inf")
        self._is_closed = False

    def start(self) -> None:
        """Harmless where it runs."""
        if self._timer is None and not self._is_closed:
            now = time.monotonic()
            self._is_calm = not self._waits(now)
            self._set(now, now + (CALM_TICK_S if self._is_calm else TICK_S))

    def along(self) -> None:
        """The loop is awake anyway: do what is as good as due."""
        if time.monotonic() >= self._due - ALONG_S:
            self._run()

    def hurry(self) -> None:
        """Something waits since now: what is due comes no later than it would have come without the calm."""
        if self._is_calm and self._timer is not None:
            self._is_calm, now = False, time.monotonic()
            self._timer.cancel()
            self._set(now, max(now, self._due - (CALM_TICK_S - TICK_S)))

    def close(self) -> None:
        self._is_closed, self._due = True, float("inf")
        if self._timer is not None:
            self._timer.cancel()

    def _set(self, now: float, due: float) -> None:
        self._due = due
        self._timer = Beat.of(asyncio.get_running_loop()).call_later(due - now + ALONG_S, self._run)

    def _run(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer, self._due = None, float("inf")  # what is sent in it calls for no other one
        self._tick(time.monotonic())
        self.start()
