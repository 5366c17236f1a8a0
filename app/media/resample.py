"""Sound between 48 kHz and the slower clocks of telephone codecs: polyphase filters whose state lasts over frames.

A windowed sinc (Kaiser) cut below the slower clock's half; only the outputs that are kept are computed. What is folded
or mirrored stays 60 dB below the sound. Pure.
"""

from __future__ import annotations

import functools

import numpy as np
import numpy.typing as npt

Sound = npt.NDArray[np.int16]
Samples = npt.NDArray[np.float32]

_TAPS_PER_PHASE = 30  # both filters together delay by 30 samples of the slower clock: 3.75 ms at 8 kHz
_KAISER_BETA = 5.65  # 60 dB
_CUT = 0.475  # of the slower clock: 3.8 kHz at 8 kHz, 7.6 kHz at 16 kHz


@functools.cache
def _low_pass(ratio: int) -> Samples:
    """Make the filter at 48 kHz, of unit gain."""
    count = _TAPS_PER_PHASE * ratio
    positions = np.arange(count) - (count - 1) / 2
    taps = np.sinc(2 * _CUT / ratio * positions) * np.kaiser(count, _KAISER_BETA)
    return np.asarray(taps / taps.sum(), np.float32)


class Downsampler:
    """From 48 kHz to 48 kHz / `ratio`."""

    def __init__(self, ratio: int) -> None:
        self._ratio = ratio
        self._filter = _low_pass(ratio)
        self._before = np.zeros(len(self._filter) - ratio, np.float32)

    def take(self, sound: Sound) -> Sound:
        """Give `len(sound) / ratio` samples; the length must be a multiple of the ratio."""
        whole = np.concatenate((self._before, sound), dtype=np.float32)
        self._before = whole[len(sound) :]
        windows = np.lib.stride_tricks.sliding_window_view(whole, len(self._filter))[:: self._ratio]
        return rounded(windows @ self._filter)


class Upsampler:
    """From 48 kHz / `ratio` to 48 kHz."""

    def __init__(self, ratio: int) -> None:
        # One column a phase: output n is the sum over the slow samples k of slow[k] * filter[n - k * ratio].
        self._phases = np.ascontiguousarray(_low_pass(ratio).reshape(_TAPS_PER_PHASE, ratio)[::-1]) * ratio
        self._before = np.zeros(_TAPS_PER_PHASE - 1, np.float32)

    def take(self, slow: Samples | Sound) -> Sound:
        """Give `len(slow) * ratio` samples."""
        whole = np.concatenate((self._before, slow), dtype=np.float32)
        self._before = whole[len(slow) :]
        windows = np.lib.stride_tricks.sliding_window_view(whole, _TAPS_PER_PHASE)
        return rounded((windows @ self._phases).reshape(-1))


def rounded(samples: Samples) -> Sound:
    """Round to int16; what is too loud is clipped."""
    return np.clip(np.rint(samples), -32_768, 32_767).astype(np.int16)
