"""A bounded ring of samples between a device's callback and the worker that moves frames.

One side writes, the other reads, each in its own thread; both only copy under a short lock. A full ring forgets its
oldest samples, an empty one gives what it has.
"""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

Samples = NDArray[Any]


class SampleRing:
    """Holds at most `capacity` samples, oldest out first; all that is written and read is of one `dtype`."""

    def __init__(self, capacity: int, dtype: DTypeLike = np.int16) -> None:
        self._lock = threading.Lock()
        self._buffer: Samples = np.zeros(capacity, dtype)
        self._start = 0
        self._fill = 0

    def __len__(self) -> int:
        return self._fill

    def write(self, samples: Samples) -> None:
        """Append samples; what does not fit pushes the oldest out."""
        capacity = self._buffer.size
        samples = samples[-capacity:]
        count = samples.size
        with self._lock:
            self._forget(max(0, self._fill + count - capacity))
            end = (self._start + self._fill) % capacity
            first = min(count, capacity - end)
            self._buffer[end : end + first] = samples[:first]
            self._buffer[: count - first] = samples[first:]
            self._fill += count

    def read_into(self, target: Samples) -> int:
        """Move samples to the beginning of `target`; give how many there were."""
        with self._lock:
            count = min(target.size, self._fill)
            first = min(count, self._buffer.size - self._start)
            target[:first] = self._buffer[self._start : self._start + first]
            target[first:count] = self._buffer[: count - first]
            self._forget(count)
            return count

    def drop_to(self, keep: int) -> int:
        """Forget the oldest samples but the newest `keep`; give how many were forgotten."""
        with self._lock:
            surplus = max(0, self._fill - keep)
            self._forget(surplus)
            return surplus

    def clear(self) -> None:
        with self._lock:
            self._forget(self._fill)

    def _forget(self, count: int) -> None:
        self._start = (self._start + count) % self._buffer.size
        self._fill -= count
