"""Collects a burst for the timeline while it goes on: its packets, and how loud it is over time. Pure."""

from __future__ import annotations

import math

from app.channels.finished_burst import KeptPacket
from app.media.rtp import timestamp_difference

MOST_PACKETS = 12_000  # of one piece: 2 minutes in packets of 10 ms
MOST_BYTES = 4 << 20  # of one piece: 2 minutes of any codec here
# Between two packets, whatever their timestamps say. A pause ends a burst sooner; a clock that jumps would make hours.
MOST_STEP_S = 1.0
MOST_LEVELS = 64
_QUIETEST_DB = -60.0
_FULL_SCALE = 32_768.0
_USUAL_S = 0.02


class BurstRecord:
    """One burst, or a piece of a long one, by extended sequence numbers. `keeps` False: only its length."""

    def __init__(self, keeps: bool) -> None:
        self._keeps = keeps
        self._kept: dict[int, KeptPacket] = {}
        self._bytes = 0
        self._last: int | None = None  # timestamp
        self._passed_s = 0.0
        self._step_s = 0.0

    def add(self, sequence: int, timestamp: int, payload_type: int, clock_rate: int, payload: bytes) -> None:
        """Take one packet with sound; one that came before changes nothing."""
        if self._last is None:
            self._last = timestamp
        step = timestamp_difference(timestamp, self._last)
        if step > 0:
            self._last = timestamp
            step_s = min(step / clock_rate, MOST_STEP_S)
            self._passed_s += step_s
            self._step_s = min(self._step_s or step_s, step_s)
        has_room = len(self._kept) < MOST_PACKETS and self._bytes + len(payload) <= MOST_BYTES
        if self._keeps and sequence not in self._kept and has_room:
            self._kept[sequence] = KeptPacket(timestamp, payload_type, payload)
            self._bytes += len(payload)

    @property
    def is_empty(self) -> bool:
        return self._last is None

    @property
    def seconds(self) -> float:
        """How long it is so far, by its timestamps."""
        return 0.0 if self.is_empty else self._passed_s + (self._step_s or _USUAL_S)

    @property
    def packets(self) -> tuple[KeptPacket, ...]:
        """What was kept, in the order in which it was said."""
        return tuple(self._kept[sequence] for sequence in sorted(self._kept))


class LevelTrace:
    """How loud a sound is over time, in at most twice MOST_LEVELS steps however long it becomes."""

    def __init__(self) -> None:
        self._sums: list[float] = []
        self._each = 1  # frames in one step
        self._frames = 0

    def add(self, mean_square: float) -> None:
        """Take the mean of the squared samples (int16) of the next frame; all frames are of one length."""
        if self._frames % self._each == 0:
            if len(self._sums) == 2 * MOST_LEVELS:
                self._sums = [first + second for first, second in zip(self._sums[::2], self._sums[1::2], strict=True)]
                self._each *= 2
            self._sums.append(0.0)
        self._sums[-1] += mean_square
        self._frames += 1

    def levels(self) -> tuple[int, ...]:
        """Give them, 0 to 255 each; another thread may add meanwhile."""
        sums, each, frames = list(self._sums), self._each, self._frames
        counts = [each] * len(sums)
        if counts:
            counts[-1] = max(1, min(each, frames - each * (len(counts) - 1)))
        if len(sums) > MOST_LEVELS:
            sums = [sum(sums[at : at + 2]) for at in range(0, len(sums), 2)]
            counts = [sum(counts[at : at + 2]) for at in range(0, len(counts), 2)]
        return tuple(_level(total / count) for total, count in zip(sums, counts, strict=True))


def _level(mean_square: float) -> int:
    if mean_square <= 0.0:
        return 0
    decibels = 10.0 * math.log10(mean_square / _FULL_SCALE**2)
    return max(0, min(255, round((decibels - _QUIETEST_DB) / -_QUIETEST_DB * 255)))
