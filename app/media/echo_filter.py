"""Takes the echo of the loudspeaker out of what the microphone hears, and leaves the person in it.

A linear filter models the way from loudspeaker to microphone. It is a partitioned frequency-domain Kalman filter
(Enzner and Vary, Signal Processing 86, 2006): each coefficient carries how uncertain it is, and what the model does not
explain counts as the person's own speech. So it learns fast while only the other side talks and keeps what it has
while both do, without a detector for double talk. A second loop follows the clocks of the two devices apart: the
mismatch shows as a steady slip between the estimated and the real echo.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Spectrum = NDArray[np.complex64]

BLOCK = 480  # samples of one step: 10 ms at 48 kHz
PARTITIONS = 14  # the model's length in blocks: 140 ms
BINS = BLOCK + 1
MOST_DRIFT_PPM = 300.0

_KEEP = 0.9999  # how much of the model is taken to hold from block to block
_NEAR_RISE, _NEAR_FALL = 0.1, 0.3  # of what is not explained: steps made too short cost more than some too long
_FLOOR = 1e-7 * BLOCK
_FIRST_DOUBT = 1e-2
_DOUBT_DECAY = 0.84  # later reflections are weaker
_SHORTENED = 2  # partitions whose wrapped-around half is cleared, in turn, at each step
_SLIP_MEMORY = 0.97
_SLIP_GAIN = 2.0  # ppm for each sample of slip and block, at first,
_SLIP_GAIN_SETTLED = 0.3  # … and later:
_SETTLING = 0.001  # two clocks keep their distance


@dataclass(frozen=True, slots=True)
class Step:
    """One block after the filter: what is left, and the echo that was taken out; both shape (480,)."""

    left: Floats
    echo: Floats


class EchoFilter:
    """Fed with blocks of 10 ms that belong together: what was played, and what was heard. Samples from -1 to 1."""

    def __init__(self) -> None:
        self.drift_ppm = 0.0  # by how much the reference should be read faster
        self._gain = _SLIP_GAIN
        self._played = np.zeros(2 * BLOCK, np.float32)
        self._padded = np.zeros((2, 2 * BLOCK), np.float32)
        self._slope = (2j * np.pi / (2 * BLOCK) * np.arange(BINS)).astype(np.complex64)  # of a derivative, per sample
        self.forget()

    def forget(self) -> None:
        """Begin anew: the way between the devices is another one."""
        self._spectra: Spectrum = np.zeros((PARTITIONS, BINS), np.complex64)
        self._model: Spectrum = np.zeros((PARTITIONS, BINS), np.complex64)
        decay = _FIRST_DOUBT * _DOUBT_DECAY ** np.arange(PARTITIONS)
        self._doubt: Floats = np.repeat(decay[:, None], BINS, axis=1).astype(np.float32)
        self._near: Floats = np.full(BINS, _FLOOR, np.float32)
        self._played[:] = 0
        self._slip = self._slip_weight = 0.0
        self._turn = 0

    def step(self, played: Floats, heard: Floats) -> Step:
        """Move one block on."""
        self._played[:BLOCK] = self._played[BLOCK:]
        self._played[BLOCK:] = played
        self._spectra[1:] = self._spectra[:-1]
        self._spectra[0] = np.fft.rfft(self._played)
        echo = np.fft.irfft((self._spectra * self._model).sum(axis=0))[BLOCK:].astype(np.float32)
        left = heard - echo
        self._padded[:, BLOCK:] = left, echo
        error, estimate = np.fft.rfft(self._padded, axis=1).astype(np.complex64, copy=False)
        self._follow_clocks(error, estimate)
        self._learn(error)
        return Step(left, echo)

    def _learn(self, error: Spectrum) -> None:
        power = _power(self._spectra)
        swell = _power(error) - self._near
        self._near += np.where(swell > 0, _NEAR_RISE * swell, _NEAR_FALL * swell)
        doubted = power * self._doubt
        expected = 0.5 * doubted.sum(axis=0) + self._near + _FLOOR
        explained = error / expected
        self._model += self._doubt * (np.conj(self._spectra) * explained)
        self._model *= _KEEP
        turn = slice(self._turn, self._turn + _SHORTENED)
        self._turn = (self._turn + _SHORTENED) % PARTITIONS
        impulse = np.fft.irfft(self._model[turn], axis=1)
        impulse[:, BLOCK:] = 0
        self._model[turn] = np.fft.rfft(impulse, axis=1)
        self._doubt *= _KEEP**2 * (1 - 0.5 * doubted / expected)
        self._doubt += (1 - _KEEP**2) * _power(self._model)

    def _follow_clocks(self, error: Spectrum, echo: Spectrum) -> None:
        """Find how far the model lags behind the echo: what is left then looks like the echo's derivative."""
        turned = echo * self._slope
        weight = 1 / (self._near + _FLOOR)
        self._slip = _SLIP_MEMORY * self._slip + float(np.sum((np.conj(turned) * error).real * weight))
        self._slip_weight = _SLIP_MEMORY * self._slip_weight + float(np.sum(_power(turned) * weight))
        if self._slip_weight > 1e-3:
            slip = max(-1.0, min(1.0, self._slip / self._slip_weight))
            self._gain += _SETTLING * (_SLIP_GAIN_SETTLED - self._gain)
            drift = self.drift_ppm + self._gain * slip
            self.drift_ppm = max(-MOST_DRIFT_PPM, min(MOST_DRIFT_PPM, drift))


def _power(spectrum: Spectrum) -> Floats:
    return spectrum.real**2 + spectrum.imag**2
