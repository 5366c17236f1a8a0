"""Small meters behind the figures of a call. Pure: `now` in monotonic seconds comes in."""

from __future__ import annotations

import threading
from collections import deque

WINDOW_S = 2.0
FREEZE_ADDED_S = 0.150


class RateMeter:
    """How much per second came lately: bytes, frames. One thread may add while another one reads."""

    def __init__(self, window_s: float = WINDOW_S) -> None:
        self._lock = threading.Lock()
        self._window_s = window_s
        self._buckets: deque[tuple[float, float]] = deque()  # start of a tenth of the window, sum
        self._started: float | None = None

    def add(self, amount: float, now: float) -> None:
        with self._lock:
            if self._started is None:
                self._started = now
            if self._buckets and now - self._buckets[-1][0] < self._window_s / 10:
                start, total = self._buckets[-1]
                self._buckets[-1] = (start, total + amount)
            else:
                self._buckets.append((now, amount))
                self._trim(now)

    def per_second(self, now: float) -> float | None:
        """The rate over the window, or over the time since the start; None before half a second has passed."""
        with self._lock:
            if self._started is None or now - self._started < 0.5:
                return None
            self._trim(now)
            if not self._buckets:
                return 0.0
            return sum(total for _, total in self._buckets) / max(0.1, now - self._buckets[0][0])

    def _trim(self, now: float) -> None:
        while self._buckets and now - self._buckets[0][0] > self._window_s:
            self._buckets.popleft()


class FreezeCounter:
    """Counts pictures that came so late that a person saw the last one stand still.

    A freeze is an interval above three times the average, or above it by 150 ms, whichever is longer (as
    freezeCount in the W3C's webrtc-stats).
    """

    def __init__(self) -> None:
        self._last: float | None = None
        self._average: float | None = None
        self.freezes = 0
        self.frozen_s = 0.0  # how long pictures stood still in all of them

    def shown(self, now: float) -> None:
        """Note that a picture was shown."""
        if self._last is not None:
            interval = now - self._last
            average = self._average
            if average is not None and interval > max(3 * average, average + FREEZE_ADDED_S):
                self.freezes += 1
                self.frozen_s += interval
            self._average = interval if average is None else average + (min(interval, 1.0) - average) / 30
        self._last = now

    def pause(self) -> None:
        """The sender stopped on purpose: the next interval is no freeze."""
        self._last = None
