"""How loud sound is, in dBFS.

The figure is the root mean square against a full-scale square wave, so a full-scale sine is -3.0 dBFS. Digital
silence has no level: it is None, never a made-up floor.
"""

from __future__ import annotations

import math
import threading
from collections import deque

import numpy as np
from numpy.typing import NDArray

FULL_SCALE = 32768.0
WINDOW_FRAMES = 13  # 13 frames of 20 ms: the "last quarter second" of a level meter


def mean_square(samples: NDArray[np.int16]) -> float:
    """Give the mean of the squared samples, in squared sample units; 0.0 for no samples."""
    if samples.size == 0:
        return 0.0
    as_float = samples.astype(np.float32).ravel()
    return float(np.dot(as_float, as_float)) / as_float.size


def to_dbfs(square: float) -> float | None:
    """Turn a mean square of int16 samples into dBFS; None for digital silence."""
    return 10.0 * math.log10(square / FULL_SCALE**2) if square > 0.0 else None


def level_dbfs(samples: NDArray[np.int16]) -> float | None:
    """Give the level of some int16 samples; None for digital silence."""
    return to_dbfs(mean_square(samples))


class LevelMeter:
    """Follows the level of a stream of frames: over the last quarter second and over its whole life.

    `add` runs on the thread that moves the frames; the figures may be read from any other.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._recent: deque[float] = deque(maxlen=WINDOW_FRAMES)
        self._sum = 0.0
        self._frames = 0

    def add(self, frame: NDArray[np.int16]) -> float:
        """Count one frame and give its `mean_square`; all frames of one meter are expected to be of one length."""
        square = mean_square(frame)
        self.count(square)
        return square

    def count(self, square: float) -> None:
        """Count one frame by its `mean_square`."""
        with self._lock:
            self._recent.append(square)
            self._sum += square
            self._frames += 1

    @property
    def recent_dbfs(self) -> float | None:
        """The level of the last quarter second."""
        with self._lock:
            recent = tuple(self._recent)
        return to_dbfs(sum(recent) / len(recent)) if recent else None

    @property
    def overall_dbfs(self) -> float | None:
        """The level of everything since the meter was made."""
        with self._lock:
            return to_dbfs(self._sum / self._frames) if self._frames else None
