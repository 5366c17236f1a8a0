"""Takes the echo of the loudspeaker out of what the microphone hears, and leaves the person in it.

A linear filter models the way from loudspeaker to microphone. It is a partitioned frequency-domain Kalman filter
(Enzner and Vary, Signal Processing 86, 2006): each coefficient carries how uncertain it is, and what the model does not
explain counts as the person's own speech. So it learns fast while only the other side talks and keeps what it has
while both do, without a detector for double talk. A model that is sure of itself follows a change of the way too
slowly: `wrong` tells when it adds more than it takes, and `doubt_again` lets it learn anew from where it is.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from app.media.echo_clocks import ClockFollower

Floats = NDArray[np.float32]
Spectrum = NDArray[np.complex64]

BLOCK = 960  # samples of one step: 20 ms at 48 kHz, so that bins of 25 Hz tell the harmonics of two voices apart
PARTITIONS = 18  # the model's length in blocks: 360 ms
BINS = BLOCK + 1
LENGTH = (PARTITIONS + 1) * BLOCK  # samples of what was played that the next step looks back on

_WANDERS = 2e-6  # by how much of its power the way changes in each block
_NEAR_RISE, _NEAR_FALL = 0.1, 0.15  # of what is not explained,
_NEAR_NOW = 2.0  # … which is never less than so many times what it is now: speech begins all at once
_SURE = 0.3  # how far a block is believed: blocks of speech are too much alike to count as many
_FLOOR = 1e-7 * BLOCK
_DOUBT = 0.2  # at first, of the power that the way may have by what is heard and played,
_DOUBT_DECAY = 0.7  # … less for each partition: later reflections are weaker
_GAIN_MEMORY = 0.95
_MOST_GAIN = 30.0  # power: no way is louder
_AGAIN = 2.0  # of the model's power, where it was wrong
_LEARNING = 25  # blocks in which more may turn out to be heard than seemed so at first
_SHORTENED = 4  # partitions whose wrapped-around half is cleared, in turn, at each step
_TELLING = slice(BLOCK // 120, BLOCK // 6)  # bins that tell most of the echo: 200 Hz to 4 kHz
_LEARNED = 0.3  # of what the model learns in a block that takes a slip away
_WRONG_MEMORY = 0.95
_FEW_BINS = 200.0  # tell nothing yet
_HEARD = 1e-7  # mean square of an echo that tells something


@dataclass(frozen=True, slots=True)
class Step:
    """One block after the filter: what is left, and the echo that was taken out; both shape (960,)."""

    left: Floats
    echo: Floats


class EchoFilter:
    """Fed with blocks of 20 ms that belong together: what was played, and what was heard. Samples from -1 to 1."""

    def __init__(self) -> None:
        self._slope = (2j * np.pi / (2 * BLOCK) * np.arange(BINS)).astype(np.complex64)[_TELLING]  # of a derivative
        self._padded = np.zeros((2, 2 * BLOCK), np.float32)
        self._work: Spectrum = np.empty((PARTITIONS, BINS), np.complex64)
        self._doubted: Floats = np.empty((PARTITIONS, BINS), np.float32)
        self._near: Floats = np.full(BINS, _FLOOR, np.float32)
        self._powers: Floats = np.zeros((2, BINS), np.float32)  # of what was heard and played lately
        self._turn = 0
        self.look_back(np.zeros(LENGTH, np.float32))
        self.forget()

    @property
    def wrong(self) -> float:
        """How alike what is left and the echo taken out are, turned round: above 0.1 the model adds echo."""
        return -float(self._alike[0] / self._alike[1])

    def forget(self) -> None:
        """Begin anew: nothing is known of the way but how loud an echo may be, by what is heard and played."""
        self._model: Spectrum = np.zeros((PARTITIONS, BINS), np.complex64)
        self._gain = self._loudness()
        self._doubt: Floats = np.repeat(_doubt_of(self._gain), BINS, axis=1)
        self._learning = _LEARNING
        self.clocks = ClockFollower(BLOCK)
        self._begin_comparing()

    def doubt_again(self) -> None:
        """Learn anew from where the model is: the way is another one, about as loud."""
        gain = float(np.mean(_power(self._model)[:, _TELLING].sum(axis=0)))
        np.maximum(self._doubt, _doubt_of(min(_AGAIN * gain, self._loudness())), out=self._doubt)
        self._begin_comparing()

    def _begin_comparing(self) -> None:
        self._alike = np.array([0.0, _FEW_BINS])
        self.clocks.moved()

    def look_back(self, past: Floats) -> None:
        """Take another past, `LENGTH` samples of it: what was played belongs to what is heard in another way."""
        blocks = np.lib.stride_tricks.sliding_window_view(past, 2 * BLOCK)[::BLOCK][::-1]
        self._at = PARTITIONS
        self._ring: Spectrum = np.zeros((2 * PARTITIONS, BINS), np.complex64)
        self._ring[PARTITIONS:] = np.fft.rfft(blocks, axis=1)
        self._ring_powers = _power(self._ring)
        self._played = np.array(past[-2 * BLOCK :], np.float32)
        self._alike = np.array([0.0, _FEW_BINS])

    def step(self, played: Floats, heard: Floats) -> Step:
        """Move one block on."""
        self._played[:BLOCK] = self._played[BLOCK:]
        self._played[BLOCK:] = played
        if self._at == 0:
            for ring in (self._ring, self._ring_powers):
                ring[PARTITIONS + 1 :] = ring[: PARTITIONS - 1]
            self._at = PARTITIONS + 1
        self._at -= 1
        now = slice(self._at, self._at + PARTITIONS)
        self._ring[self._at] = np.fft.rfft(self._played)
        self._ring_powers[self._at] = _power(self._ring[self._at])
        spectra, powers = self._ring[now], self._ring_powers[now]
        np.multiply(spectra, self._model, out=self._work)
        echo = np.fft.irfft(self._work.sum(axis=0))[BLOCK:].astype(np.float32, copy=False)
        left = heard - echo
        self._padded[:, BLOCK:] = left, echo
        error, estimate = np.fft.rfft(self._padded, axis=1).astype(np.complex64, copy=False)
        self._powers *= _GAIN_MEMORY
        self._powers[0] += 2 * _power(error + estimate)
        self._powers[1] += powers[0]
        if self._learning and float(np.dot(played, played)) > _HEARD * BLOCK:
            self._learning -= 1
            more = self._loudness() - self._gain
            if more > 0:
                self._gain += more
                self._doubt += _doubt_of(more)
        expected, learned = self._learn(error, spectra, powers)
        self._compare(error[_TELLING], estimate[_TELLING], expected[_TELLING], learned[_TELLING])
        return Step(left, echo)

    def _loudness(self) -> float:
        """Give the power of the way if all that is heard were echo."""
        heard, played = (float(power) for power in self._powers[:, _TELLING].sum(axis=1))
        return min(heard / (played + _FLOOR), _MOST_GAIN)

    def _learn(self, error: Spectrum, spectra: Spectrum, powers: Floats) -> tuple[Floats, Floats]:
        """Learn from a block; give the power expected in `error`, and the share of it that is the model's fault."""
        now = _power(error)
        swell = now - self._near
        self._near += np.where(swell > 0, _NEAR_RISE * swell, _NEAR_FALL * swell)
        doubted = np.multiply(powers, self._doubt, out=self._doubted)
        fault = 0.5 * doubted.sum(axis=0)
        expected = fault + np.maximum(self._near, _NEAR_NOW * now) + _FLOOR
        np.multiply(np.conj(spectra), error / expected, out=self._work)
        self._work *= self._doubt
        self._model += self._work
        turn = slice(self._turn, self._turn + _SHORTENED)
        self._turn = (self._turn + _SHORTENED) % PARTITIONS
        impulse = np.fft.irfft(self._model[turn], axis=1)
        impulse[:, BLOCK:] = 0
        self._model[turn] = np.fft.rfft(impulse, axis=1)
        doubted *= -0.5 * _SURE / expected
        doubted += 1
        self._doubt *= doubted
        self._doubt[turn] += (_WANDERS * PARTITIONS / _SHORTENED) * _power(self._model[turn])
        return expected, fault / expected

    def _compare(self, error: Spectrum, echo: Spectrum, expected: Floats, learned: Floats) -> None:
        """Find how far the model lags behind the echo, which leaves the echo's derivative, and whether it is wrong."""
        turned = echo * self._slope
        strength = _power(turned) / expected
        information = float(strength.sum())
        if information > 0:
            likeness = float(np.sum((np.conj(turned) * error).real / expected))
            share = float(np.dot(strength, learned)) / information
            self.clocks.step(likeness, information, _LEARNED * share)
        else:
            self.clocks.step(0.0, 0.0, 0.0)
        loud = _power(echo)
        if float(loud.sum()) > _HEARD * BLOCK * BLOCK / 2:
            weight = 1 / (loud + _power(error) + _FLOOR)
            self._alike *= _WRONG_MEMORY
            self._alike += float(np.sum((np.conj(echo) * error).real * weight)), float(np.sum(loud * weight))


def _doubt_of(gain: float) -> Floats:
    """Give each partition's doubt, shape (18, 1), where the whole way may have that power."""
    return (_DOUBT * gain * _DOUBT_DECAY ** np.arange(PARTITIONS)).astype(np.float32)[:, None]


def _power(spectrum: Spectrum) -> Floats:
    return spectrum.real**2 + spectrum.imag**2
