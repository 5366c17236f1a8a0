"""How much of a picture moves, seen by one point of each block of 16 x 16, three times a second."""

from __future__ import annotations

import av
import numpy as np
from numpy.typing import NDArray

LOOK_UNITS = 30_000  # of 1/90000 s, from one look to the next
_BLOCK = 16
_NOISE = 10  # grey levels that a camera's noise does not reach
# Of the points, that changed since the last look: 4 to 6 % where a person speaks before a wall, 20 % and more where the
# whole picture moves.
CALM_SHARE, LIVELY_SHARE = 0.10, 0.18


class Movement:
    """Follows the pictures of one source."""

    def __init__(self) -> None:
        self.is_calm = False  # little of it moves
        self._points: NDArray[np.int16] | None = None
        self._looked_at = 0

    def see(self, frame: av.VideoFrame, timestamp: int) -> None:
        """Take a yuv420p picture; `timestamp` (1/90000 s) rises."""
        if self._points is not None and timestamp - self._looked_at < LOOK_UNITS:
            return
        before, self._points, self._looked_at = self._points, _points(frame), timestamp
        if before is None or before.shape != self._points.shape:
            self.is_calm = False
            return
        share = int(np.count_nonzero(np.abs(self._points - before) > _NOISE)) / before.size
        self.is_calm = share <= (LIVELY_SHARE if self.is_calm else CALM_SHARE)


def _points(frame: av.VideoFrame) -> NDArray[np.int16]:
    luma = frame.planes[0]
    rows = np.frombuffer(memoryview(luma), np.uint8).reshape(-1, luma.line_size)
    middle = _BLOCK // 2
    return rows[middle : frame.height : _BLOCK, middle : frame.width : _BLOCK].astype(np.int16)
