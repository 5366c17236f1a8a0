"""When a session does what is due: at even intervals, shorter ones while something waits for it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from app.loop_beat import Beat, BeatTimer

TICK_S, CALM_TICK_S = 0.020, 0.040
WIDE_TICK_S = 0.080  # in a calm on a path that carries far more than comes: little is due
ALONG_S = 0.004  # earlier or later than that: with what is sent, for one wake-up less


class Ticker:
    """Calls `tick` on the running loop from `start` to `close`, with the time (monotonic seconds).

    `waits`: whether something is to be done soon; else half as often is enough, and a quarter where the path `is_wide`.
    """

    def __init__(
        self, tick: Callable[[float], None], waits: Callable[[float], bool], is_wide: Callable[[], bool]
    ) -> None:
        self._tick = tick
        self._waits = waits
        self._is_wide = is_wide
        self._timer: BeatTimer | None = None
        self._calm_s = 0.0  # by which the next one is later, since nothing waits
        self._due = float("inf")
        self._is_closed = False

    def start(self) -> None:
        """Harmless where it runs."""
        if self._timer is None and not self._is_closed:
            now = time.monotonic()
            calm_s = WIDE_TICK_S if self._is_wide() else CALM_TICK_S
            after_s = TICK_S if self._waits(now) else calm_s
            self._calm_s = after_s - TICK_S
            self._set(now, now + after_s)

    def along(self) -> None:
        """The loop is awake anyway: do what is as good as due."""
        if time.monotonic() >= self._due - ALONG_S:
            self._run()

    def hurry(self) -> None:
        """Something waits since now: what is due comes no later than it would have come without the calm."""
        if self._calm_s and self._timer is not None:
            sooner_s, self._calm_s, now = self._calm_s, 0.0, time.monotonic()
            self._timer.cancel()
            self._set(now, max(now, self._due - sooner_s))

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
