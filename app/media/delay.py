"""How late packets come, and how much delay a playout should therefore keep.

Every packet's transit (arrival minus media time) is compared with the smallest of the last 5 to 10 seconds: the rest is
its lateness. The target is the lateness that all but about one packet in a hundred keep below. Pure: `now` comes in.
"""

from __future__ import annotations

import heapq
from collections import deque

LEAST_S = 0.020
MOST_S = 0.160
MARGIN_S = 0.010
START_S = 0.030
WINDOW_PACKETS = 250
IGNORED_LATEST = 3  # of a full window
BASE_BUCKET_S = 5.0
JUMP_S = 2.0  # a transit so far from the others is an error, or with two more like it, a new time line
JUMPS_BELIEVED = 3
FALL_S_PER_PACKET = 0.0005


class DelayTracker:
    """Lateness statistics of one stream; media times and `now` in seconds."""

    def __init__(self) -> None:
        self._lateness: deque[float] = deque(maxlen=WINDOW_PACKETS)
        self._bucket_until = 0.0
        self._bucket_least = 0.0
        self._before_least = 0.0
        self._count = 0
        self._jumps = 0
        self.base: float | None = None
        self.target_s = START_S

    def arrived(self, media_s: float, now: float) -> float:
        """Take one packet; gives its lateness in seconds."""
        transit = now - media_s
        if self.base is not None and abs(transit - self.base) > JUMP_S:
            self._jumps += 1
            if self._jumps < JUMPS_BELIEVED:
                return 0.0
            self.base = None
        self._jumps = 0
        if self.base is None:
            self._bucket_least = self._before_least = transit
            self._bucket_until = now + BASE_BUCKET_S
        elif now >= self._bucket_until:
            self._before_least, self._bucket_least = self._bucket_least, transit
            self._bucket_until = now + BASE_BUCKET_S
        self._bucket_least = min(self._bucket_least, transit)
        self.base = min(self._bucket_least, self._before_least)
        lateness = transit - self.base
        self._lateness.append(lateness)
        self._count += 1
        wanted = self.target_s
        if lateness + MARGIN_S > self.target_s or self._count % 10 == 0:
            wanted = self._wanted()
        self.target_s = max(wanted, self.target_s - FALL_S_PER_PACKET * 10) if wanted < self.target_s else wanted
        return lateness

    def delay_of(self, media_s: float, now: float) -> float:
        """How much later than the earliest possible moment something of `media_s` would be if it were played now."""
        return 0.0 if self.base is None else now - media_s - self.base

    def _wanted(self) -> float:
        ignored = max(1, IGNORED_LATEST * len(self._lateness) // WINDOW_PACKETS)
        latest = heapq.nlargest(ignored + 1, self._lateness)[-1]
        return min(MOST_S, max(LEAST_S, latest + MARGIN_S))
