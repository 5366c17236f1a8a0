"""Another sample rate, for devices that do not run at 48 kHz: block after block without a seam."""

from __future__ import annotations

import av
import numpy as np
from numpy.typing import NDArray

Samples = NDArray[np.int16]


class RateConverter:
    """Turns mono sound of one rate into another; keeps what it needs between blocks. Used by one thread."""

    def __init__(self, from_hz: int, to_hz: int) -> None:
        self._from_hz = from_hz
        self._resampler = av.AudioResampler(format="s16", layout="mono", rate=to_hz)
        self._position = 0

    def convert(self, samples: Samples) -> Samples:
        """Give what the samples become, a few more or less than their share, some hundredths of a millisecond late."""
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples).reshape(1, -1), format="s16", layout="mono")
        frame.sample_rate = self._from_hz
        frame.pts = self._position
        self._position += samples.size
        parts = [part.to_ndarray().ravel() for part in self._resampler.resample(frame)]
        return np.concatenate(parts) if parts else np.zeros(0, np.int16)
