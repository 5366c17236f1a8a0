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
        self._newest = 0.0  # the sum of the bucket that is being filled, which none of the others is …
        self._newest_at = 0.0
        self._full_at = float("-inf")  # … until then

    def add(self, amount: float, now: float) -> None:
        if now < self._full_at:  # nearly always, and many times for each packet: without the lock
            self._newest += amount
            return
        with self._lock:
            if self._started is None:
                self._started = now
            else:
                self._buckets.append((self._newest_at, self._newest))
            self._newest, self._newest_at, self._full_at = amount, now, now + self._window_s / 10
            self._trim(now)

    def per_second(self, now: float) -> float | None:
        """The rate over the window, or over the time since the start; None before half a second has passed."""
        with self._lock:
            if self._started is None or now - self._started < 0.5:
                return None
            self._trim(now)
            is_over = now - self._newest_at > self._window_s
            if is_over and not self._buckets:
                return 0.0
            total = sum([total for _, total in self._buckets], 0.0 if is_over else self._newest)
            return total / max(0.1, now - (self._buckets[0][0] if self._buckets else self._newest_at))

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
