"""Sound in place of lost packets, for codecs that have no concealment of their own: the way of ITU-T G.711 Appendix I.

The last pitch period is repeated, after 10 and 20 ms together with the one and the two before it so that it does not
sound like a buzzer, and fades out. Every seam overlaps: from period to period, and from the invention to the real sound
that comes again. Where no pitch is found (noise, hiss) a longer piece is repeated. Unlike the Appendix nothing is held
back while all goes well, so the first seam cannot overlap; its step is taken away with a short fade instead.

48 kHz mono. Pure.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from app.media.resample import Samples, rounded

Sound = npt.NDArray[np.int16]

SHORTEST_PERIOD = 120  # samples: 400 Hz
LONGEST_PERIOD = 720  # 67 Hz
VOICED = 0.5  # normalised correlation of a voice with itself one period ago
_COARSE = 6  # the first search runs at 8 kHz
_WINDOW = 480  # what is compared: 10 ms
MOST_PERIODS = 3
_HISTORY = (MOST_PERIODS + 1) * LONGEST_PERIOD
_STEP_FADE = 96  # 2 ms
_FULL = 480  # 10 ms at full strength …
_FADE = 3_840  # … and gone 80 ms later
_OVERLAP_GROWS = 192  # 4 ms more for each further 10 ms that were invented
_MOST_OVERLAP = 480


class Concealer:
    """Follows what is decoded and continues it."""

    def __init__(self) -> None:
        self._history: Samples = np.zeros(_HISTORY, np.float32)
        self._invented = 0  # samples since the last real one
        self._period = 0
        self._step = 0.0
        self._before = self._history  # the loss

    def heard(self, sound: Sound) -> Sound:
        """Take real sound; gives it back, its beginning blended with the invention if there was one before."""
        if self._invented:
            grown = self._period // 4 + _OVERLAP_GROWS * max(0, self._invented // _FULL - 1)
            count = min(len(sound), _MOST_OVERLAP, grown)
            weight = np.linspace(0.0, 1.0, count, endpoint=False, dtype=np.float32)
            sound = sound.copy()
            sound[:count] = rounded(self._next(count) * (1.0 - weight) + sound[:count] * weight)
            self._invented = 0
        self._remember(sound)
        return sound

    def conceal(self, samples: int) -> Sound:
        """Invent `samples` more."""
        if not self._invented:
            self._begin()
        sound = rounded(self._next(samples))
        self._remember(sound)
        return sound

    def _remember(self, sound: Sound) -> None:
        if len(sound) >= _HISTORY:
            self._history = sound[-_HISTORY:].astype(np.float32)
        else:
            self._history = np.concatenate((self._history[len(sound) :], sound), dtype=np.float32)

    def _begin(self) -> None:
        period, likeness = find_pitch(self._history)
        self._period = period if likeness >= VOICED else LONGEST_PERIOD
        self._before = self._history
        self._step = float(self._history[-1] - self._history[-self._period - 1])

    def _cycle(self, number: int) -> Samples:
        """Make one period of the invention, whose end leads to the beginning of the next one."""
        period, overlap, history = self._period, self._period // 4, self._before
        this, following = self._back(number), self._back(number + 1)
        end = len(history) - (this - 1) * period
        cycle = history[end - period : end].copy()
        lead = len(history) - following * period
        weight = np.linspace(0.0, 1.0, overlap, endpoint=False, dtype=np.float32)
        cycle[-overlap:] = cycle[-overlap:] * (1.0 - weight) + history[lead - overlap : lead] * weight
        return cycle

    def _back(self, number: int) -> int:
        """Tell which period before the loss is repeated: the last; then the last two by turns; then the last three."""
        count = min(MOST_PERIODS, 1 + number * self._period // _FULL)
        return count - number % count

    def _next(self, samples: int) -> Samples:
        """Give what follows the invention so far."""
        start, period = self._invented, self._period
        numbers = range(start // period, (start + samples - 1) // period + 1)
        sound = np.concatenate([self._cycle(number) for number in numbers])
        sound = sound[start % period :][:samples]
        positions = np.arange(start, start + samples, dtype=np.float32)
        if start < _STEP_FADE:
            sound = sound + self._step * np.maximum(0.0, 1.0 - positions / _STEP_FADE)
        self._invented += samples
        return np.asarray(sound * np.clip(1.0 - (positions - _FULL) / _FADE, 0.0, 1.0), np.float32)


def find_pitch(history: Samples) -> tuple[int, float]:
    """Give the lag in samples at which the end of the sound is most like what came before it, and how much (0..1).

    Of lags that are about as good the shortest is taken: multiples of a period fit as well as the period.
    """
    tail = history[-(_WINDOW + LONGEST_PERIOD + _COARSE) :]
    smooth = np.convolve(tail, np.full(_COARSE, 1.0 / _COARSE, np.float32), "valid")
    coarse = smooth[-(_WINDOW + LONGEST_PERIOD) :: _COARSE]
    lags, scores = _likeness(coarse, _WINDOW // _COARSE, SHORTEST_PERIOD // _COARSE, LONGEST_PERIOD // _COARSE)
    good = np.flatnonzero(scores >= 0.9 * scores.max()) if scores.max() > 0 else np.array([len(scores) - 1])
    first = int(good[-1])  # lags fall
    while first > 0 and scores[first - 1] > scores[first]:
        first -= 1  # from the flank to the top
    rough = int(lags[first]) * _COARSE
    least, most = max(SHORTEST_PERIOD, rough - _COARSE), min(LONGEST_PERIOD, rough + _COARSE)
    fine_lags, fine = _likeness(history[-(_WINDOW + most) :], _WINDOW, least, most)
    best = int(np.argmax(fine))
    return int(fine_lags[best]), float(fine[best])


def _likeness(sound: Samples, window: int, least: int, most: int) -> tuple[npt.NDArray[np.int64], Samples]:
    """Give the lags from `most` down to `least` and the normalised correlation at each."""
    sound = sound[-(window + most) :]
    tail = sound[-window:]
    earlier = sound[: len(sound) - least]
    scores = np.correlate(earlier, tail, "valid")
    sums = np.concatenate((np.zeros(1), np.cumsum(earlier.astype(np.float64) ** 2)))
    power = sums[window:] - sums[:-window]
    normal = scores / np.sqrt((power + 1.0) * (float(np.dot(tail, tail)) + 1.0))
    return np.arange(most, least - 1, -1), np.asarray(normal, np.float32)
