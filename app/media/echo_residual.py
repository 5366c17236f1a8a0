"""Turns down what the echo filter could not model: a loudspeaker's distortion, late reflections, a way that changed.

How much of the echo leaks through is learned for each band from how what is left swells with the echo (Valin, IEEE
Transactions on Audio, Speech and Language Processing 15, 2007): the person's own speech swells at other times. The
bands are then scaled as a Wiener filter would, through a short linear-phase filter of their own. While there is far
more sound than what leaks, the person speaks, and is left alone: speech hides what little echo there is.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from app.media.echo_filter import Floats

FRAME = 960  # samples of one step: 20 ms
BAND_BINS = 8  # bands of 200 Hz
BANDS = FRAME // BAND_BINS
TAPS = 256
DELAY_SAMPLES = TAPS // 2

_MEAN_MEMORY = 0.95
_LEAK_MEMORY = 0.99
_DISTRUST_MEMORY = 0.9  # a step: while the way is new, all of the echo is taken to leak through
_TAIL = 0.5  # what is left of a late reflection one step on
_OVER = 2.0
_LEAST_GAIN = 0.05
_SILENT = 1e-6  # power of a band below which there is no echo
_SPEECH = slice(1, 40)  # the bands that tell whether the person speaks: 200 Hz to 8 kHz
_NOT_SPEAKING = 8.0  # so much more than what leaks may still be echo,
_SPEAKING = 20.0  # … and so much more is not
_TALK_MEMORY = 0.8


class ResidualSuppressor:
    """Takes what an EchoFilter left and the echo it took out, from -1 to 1; answers `DELAY_SAMPLES` later."""

    def __init__(self) -> None:
        self._window = np.hanning(2 * FRAME).astype(np.float32)
        self._taper = np.hanning(TAPS + 1)[:TAPS].astype(np.float32)
        self._rise = np.linspace(0.0, 1.0, FRAME, dtype=np.float32)
        self._emphasis = np.arange(1, _SPEECH.stop - _SPEECH.start + 1, dtype=np.float32)
        self._both = np.zeros((2, 2 * FRAME), np.float32)
        self._left, self._echo = self._both
        self._open: NDArray[np.complex64] = self._shaped(np.ones(BANDS, np.float32))
        self._filter = self._open
        self._left_mean = np.zeros(BANDS, np.float32)
        self._echo_mean = np.zeros(BANDS, np.float32)
        self._together = np.zeros(BANDS, np.float32)
        self._alone = np.full(BANDS, 1e-12, np.float32)
        self._residual = np.zeros(BANDS, np.float32)
        self._distrust = 1.0  # the least share of the echo taken to leak through
        self.talk = 0.0  # how surely the person speaks, 0 to 1

    def distrust(self) -> None:
        """Take all of the echo to leak through until it is known how much does."""
        self._distrust = 1.0

    def step(self, left: Floats, echo: Floats) -> Floats:
        """Give the next 960 samples, the residual echo turned down."""
        self._both[:, :FRAME] = self._both[:, FRAME:]
        self._both[:, FRAME:] = left, echo
        is_quiet = self._filter is self._open and self._residual.max() < _SILENT and not self._echo.any()
        wanted = self._open if is_quiet else self._wanted_filter()
        if wanted is self._open and self._filter is self._open:
            return self._left[FRAME - DELAY_SAMPLES : 2 * FRAME - DELAY_SAMPLES].copy()
        after, before = np.fft.irfft(np.fft.rfft(self._left) * (wanted, self._filter), axis=1)[:, FRAME:]
        self._filter = wanted
        return np.asarray(before + (after - before) * self._rise, np.float32)

    def _wanted_filter(self) -> NDArray[np.complex64]:
        """Give the filter of this step; the open one where no echo is left, or where the person speaks over it."""
        spectra = np.fft.rfft(self._window * self._both, axis=1)[:, :FRAME]
        left, echo = (spectra.real**2 + spectra.imag**2).reshape(2, BANDS, BAND_BINS).mean(axis=2)
        left_swell, echo_swell = left - self._left_mean, echo - self._echo_mean
        self._left_mean += (1 - _MEAN_MEMORY) * left_swell
        self._echo_mean += (1 - _MEAN_MEMORY) * echo_swell
        # What is loud for other reasons tells little of the echo: the person's words would be taken for it by chance.
        weight = echo_swell / (np.maximum(left, self._left_mean) + _SILENT) ** 2
        self._together += (1 - _LEAK_MEMORY) * (left_swell * weight - self._together)
        self._alone += (1 - _LEAK_MEMORY) * (echo_swell * weight - self._alone)
        self._distrust *= _DISTRUST_MEMORY
        leak = np.minimum(np.maximum(self._together / (self._alone + 1e-12), self._distrust), 1.0)
        self._residual = np.maximum(_TAIL * self._residual, leak * echo)
        if self._residual.max() < _SILENT:
            self.talk = 0.0
            return self._open
        talk = self._share_of_talk(left)
        if talk >= 1.0:
            return self._open
        gains = np.maximum(1.0 - _OVER * self._residual / (left + 1e-12), _LEAST_GAIN)
        return self._shaped(np.minimum(gains + talk, 1.0))

    def _share_of_talk(self, left: Floats) -> float:
        """Tell from 0 to 1 how surely the person speaks."""
        heard, leaked = (float((bands[_SPEECH] * self._emphasis).sum()) for bands in (left, self._residual))
        over = math.log(heard / (leaked + 1e-12) + 1e-9)
        now = (over - math.log(_NOT_SPEAKING)) / (math.log(_SPEAKING) - math.log(_NOT_SPEAKING))
        self.talk = max(min(now, 1.0), _TALK_MEMORY * self.talk, 0.0)
        return self.talk

    def _shaped(self, gains: Floats) -> NDArray[np.complex64]:
        """Turn gains of bands into the spectrum of a filter of `TAPS` taps."""
        wide = np.empty(FRAME + 1, np.float32)
        wide[:FRAME] = np.repeat(gains, BAND_BINS)
        wide[FRAME] = gains[-1]
        impulse = np.fft.irfft(wide)
        response = np.zeros(2 * FRAME, np.float32)
        response[:DELAY_SAMPLES] = impulse[-DELAY_SAMPLES:]
        response[DELAY_SAMPLES:TAPS] = impulse[:DELAY_SAMPLES]
        response[:TAPS] *= self._taper
        return np.asarray(np.fft.rfft(response), np.complex64)
