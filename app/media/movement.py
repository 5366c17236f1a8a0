"""How much of a picture moves, and how strong the camera's noise is: one point of each block of 16 x 16, three times a
second.
"""

from __future__ import annotations

import math
from collections import deque

import av
import numpy as np
from numpy.typing import NDArray

LOOK_UNITS = 30_000  # of 1/90000 s, from one look to the next
_BLOCK = 16
# Of the points, that changed since the last look: 4 to 6 % where a person speaks before a wall, 20 % and more where the
# whole picture moves.
CALM_SHARE, LIVELY_SHARE = 0.10, 0.18
_CHANGED, _MOST_CHANGED = 10, 20  # grey levels beyond which a point has changed …
_CHANGED_NOISES = 4.5  # … and times the noise
_QUIET_SHARE = 0.25  # of the points: so much stands still from one picture to the next, or is alike where it moves
_NORMAL = 0.3186 * math.sqrt(2)  # that share of differences of two values with normal noise, in standard deviations
_LOOKS = 3  # the least noise of so many counts: more may be a change of light


class Movement:
    """Follows the pictures of one source. `noise` is its standard deviation in grey levels, 0 before it is known."""

    def __init__(self) -> None:
        self.is_calm = False  # little of it moves
        self.noise = 0.0
        self._noises: deque[float] = deque(maxlen=_LOOKS)
        self._size = 0, 0
        self._points: NDArray[np.int16] | None = None
        self._looked_at = 0
        self._is_next = False  # after the one that was looked at

    def see(self, frame: av.VideoFrame, timestamp: int) -> None:
        """Take a yuv420p picture; `timestamp` (1/90000 s) rises. One of another size is the first again."""
        if (frame.width, frame.height) != self._size:
            self._begin(frame)
        before = self._points
        if before is None or timestamp - self._looked_at >= LOOK_UNITS:
            self._points, self._looked_at, self._is_next = _points(frame), timestamp, True
            if before is not None:
                self._follow(np.abs(self._points - before))
        elif self._is_next:
            self._is_next = False
            self._noises.append(_quantile(np.abs(_points(frame) - before), _QUIET_SHARE) / _NORMAL)
            if len(self._noises) == _LOOKS:
                self.noise = min(self._noises)

    def _begin(self, frame: av.VideoFrame) -> None:
        self._size = frame.width, frame.height
        self.is_calm, self.noise, self._points = False, 0.0, None
        self._noises.clear()

    def _follow(self, changes: NDArray[np.int16]) -> None:
        changed = min(_MOST_CHANGED, max(_CHANGED, _CHANGED_NOISES * self.noise))
        share = int(np.count_nonzero(changes > changed)) / changes.size
        self.is_calm = share <= (LIVELY_SHARE if self.is_calm else CALM_SHARE)


def _points(frame: av.VideoFrame) -> NDArray[np.int16]:
    luma = frame.planes[0]
    rows = np.frombuffer(memoryview(luma), np.uint8).reshape(-1, luma.line_size)
    top, left = min(_BLOCK, frame.height) // 2, min(_BLOCK, frame.width) // 2  # one at least, however small it is
    return rows[top : frame.height : _BLOCK, left : frame.width : _BLOCK].astype(np.int16)


def _quantile(changes: NDArray[np.int16], share: float) -> float:
    """Give a quantile of whole levels as if they were not rounded: each stands for half a level around it."""
    counts = np.bincount(changes.ravel())
    below, wanted = 0, changes.size * share
    for level, count in enumerate(counts.tolist()):
        if below + count >= wanted:
            low, width = (level - 0.5, 1.0) if level else (0.0, 0.5)
            return float(low + width * (wanted - below) / count)
        below += count
    return 0.0
