"""Whether a queue grows on the path: the trend of the delay between groups of packets.

After draft-ietf-rmcat-gcc-02 section 5, with a line fitted to the smoothed delay in place of the Kalman filter. The
same filter serves a sender (times of sending and arrival from transport-wide feedback) and a receiver (timestamps and
arrivals, for REMB). Pure; all times in seconds, of any two clocks.
"""

from __future__ import annotations

from collections import deque
from enum import Enum

GROUP_S = 0.005  # packets sent within this are one group: they queue behind each other
WINDOW = 20  # groups that the line is fitted to
SMOOTHING = 0.9
GAIN = 4.0
MOST_DELTAS = 60
THRESHOLD_MS = 12.5  # where the trend begins to count
LEAST_THRESHOLD_MS = 6.0
MOST_THRESHOLD_MS = 600.0
RISE = 0.0087  # of the threshold toward the trend, per millisecond: a path with jitter becomes less suspect
FALL = 0.039
ODD_MS = 15.0  # trends so far over the threshold do not move it
OVERUSE_S = 0.010
RESET_S = 3.0  # clocks or paths changed


class PathUse(Enum):
    """What the delay says."""

    UNDER = "under"  # a queue empties
    NORMAL = "normal"
    OVER = "over"  # a queue grows


class DelayTrend:
    """Fed with each packet in the order of sending; `use` tells what the last complete group showed."""

    def __init__(self) -> None:
        self.use = PathUse.NORMAL
        self._group: tuple[float, float, float] | None = None  # first sent, last sent, last arrived
        self._before: tuple[float, float] | None = None  # last sent, last arrived of the group before
        self._history: deque[tuple[float, float]] = deque(maxlen=WINDOW)  # arrival, smoothed delay, in milliseconds
        self._deltas = 0
        self._total_ms = 0.0
        self._smoothed_ms = 0.0
        self._began: float | None = None
        self._threshold_ms = THRESHOLD_MS
        self._threshold_at: float | None = None
        self._trend_before = 0.0
        self._over_s = 0.0
        self._over_count = 0

    def add(self, sent_s: float, arrived_s: float) -> PathUse:
        """Take one packet."""
        group = self._group
        if group is None:
            self._group = sent_s, sent_s, arrived_s
            return self.use
        first, last, arrival = group
        if sent_s < first:
            return self.use  # reordered across groups: tells nothing
        if sent_s - first <= GROUP_S or (arrived_s - arrival <= GROUP_S and arrived_s - arrival < sent_s - last):
            self._group = first, max(last, sent_s), max(arrival, arrived_s)
            return self.use
        self._end_group(last, arrival)
        self._group = sent_s, sent_s, arrived_s
        return self.use

    def _end_group(self, sent_s: float, arrived_s: float) -> None:
        before, self._before = self._before, (sent_s, arrived_s)
        if before is None:
            return
        sent_step, arrived_step = sent_s - before[0], arrived_s - before[1]
        if arrived_step < 0 or abs(arrived_step - sent_step) > RESET_S:
            self._restart()
            return
        self._deltas = min(self._deltas + 1, MOST_DELTAS)
        self._began = arrived_s if self._began is None else self._began
        self._total_ms += (arrived_step - sent_step) * 1000
        self._smoothed_ms = SMOOTHING * self._smoothed_ms + (1 - SMOOTHING) * self._total_ms
        self._history.append(((arrived_s - self._began) * 1000, self._smoothed_ms))
        if len(self._history) == WINDOW:
            self._judge(_slope(self._history), sent_step, arrived_s)

    def _judge(self, slope: float, sent_step: float, now: float) -> None:
        trend = slope * self._deltas * GAIN
        if trend > self._threshold_ms:
            self._over_s += sent_step if self._over_count else sent_step / 2
            self._over_count += 1
            if self._over_s > OVERUSE_S and self._over_count > 1 and trend >= self._trend_before:
                self._over_s, self._over_count = 0.0, 0
                self.use = PathUse.OVER
        else:
            self._over_s, self._over_count = 0.0, 0
            self.use = PathUse.UNDER if trend < -self._threshold_ms else PathUse.NORMAL
        self._trend_before = trend
        self._adapt(abs(trend), now)

    def _adapt(self, trend: float, now: float) -> None:
        since_ms = 0.0 if self._threshold_at is None else min(100.0, (now - self._threshold_at) * 1000)
        self._threshold_at = now
        if trend > self._threshold_ms + ODD_MS:
            return
        share = FALL if trend < self._threshold_ms else RISE
        moved = self._threshold_ms + share * (trend - self._threshold_ms) * since_ms
        self._threshold_ms = min(MOST_THRESHOLD_MS, max(LEAST_THRESHOLD_MS, moved))

    def _restart(self) -> None:
        self._history.clear()
        self._before = None
        self._deltas = 0
        self._total_ms = self._smoothed_ms = 0.0
        self._began = None
        self.use = PathUse.NORMAL


def _slope(points: deque[tuple[float, float]]) -> float:
    """Fit a line by least squares."""
    count, (first_x, first_y) = len(points), points[0]
    sum_x = sum_y = sum_xx = sum_xy = 0.0
    for point_x, point_y in points:  # from the first one on, so that hours into a call nothing is lost in large squares
        x, y = point_x - first_x, point_y - first_y
        sum_x += x
        sum_y += y
        sum_xx += x * x
        sum_xy += x * y
    spread = sum_xx - sum_x * sum_x / count
    return (sum_xy - sum_x * sum_y / count) / spread if spread > 0 else 0.0
