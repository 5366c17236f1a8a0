"""Numbered words of sound: each is a tone of its own pitch, so that what is heard tells which were, and when.

Two people who talk at once take different bands. A word is 120 ms of tone and 80 ms of silence.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tests.heard import RATE_HZ, Samples

WORD_S, TONE_S = 0.2, 0.12
LONGEST_S = 0.22  # that one word may sound: what is late is bridged with more of the same; said twice it has 0.24
STEP_S = 0.01
_SPACING_HZ = 40.0
_WINDOW = round(0.04 * RATE_HZ)
_LEAST_STEPS = 5
_TAIL_S, _NO_TAIL_STEPS = 0.03, 8  # a codec lets a word fade out a little lower than it was
_QUIETEST = 2_000.0  # of 32768; a word has 8000, and echoes of one that bridge a loss have less


@dataclass(frozen=True, slots=True)
class Band:
    """Where one person's words are. `count`: how many have different pitches; after the last comes the first."""

    lowest_hz: float
    count: int = 40

    def word(self, number: int) -> Samples:
        """Give a word with its pause."""
        time = np.arange(round(WORD_S * RATE_HZ)) / RATE_HZ
        edge = np.clip(np.minimum(time, TONE_S - time) / 0.01, 0.0, 1.0)
        hz = self.lowest_hz + _SPACING_HZ * (number % self.count)
        return (8_000 * edge * np.sin(2 * np.pi * hz * time)).astype(np.int16)


@dataclass(frozen=True, slots=True)
class Heard:
    """One word as it was heard, in seconds of the recording; `of` is its number in its band.

    `sounded_s`: how long it sounded in all, where it came in pieces.
    """

    of: int
    begins_s: float
    ends_s: float
    sounded_s: float


def words_in(sound: Samples, band: Band) -> list[Heard]:
    """Give the words of a band in the order in which they were heard; pieces of one word are one."""
    found: list[Heard] = []
    for number, first, last in _stretches(_numbers(sound, band)):
        begins_s, ends_s = first * STEP_S, (last + 1) * STEP_S
        if found and found[-1].of == number and begins_s - found[-1].ends_s < band.count * WORD_S / 2:
            before = found[-1]
            found[-1] = Heard(number, before.begins_s, ends_s, before.sounded_s + ends_s - begins_s)
        elif last - first + 1 >= (
            _LEAST_STEPS if not found or begins_s - found[-1].ends_s > _TAIL_S else _NO_TAIL_STEPS
        ):
            found.append(Heard(number, begins_s, ends_s, ends_s - begins_s))
    return found


def _numbers(sound: Samples, band: Band) -> list[int | None]:
    """Give the number of the word in each step; None where there is none."""
    step = round(STEP_S * RATE_HZ)
    count = max(0, (sound.size - _WINDOW) // step)
    size = 1 << 13
    frequencies = np.arange(size // 2 + 1) * RATE_HZ / size
    ours = np.flatnonzero(
        (frequencies > band.lowest_hz - _SPACING_HZ) & (frequencies < band.lowest_hz + _SPACING_HZ * band.count)
    )
    shape = np.hanning(_WINDOW)
    found: list[int | None] = []
    for at in range(count):
        window = sound[at * step : at * step + _WINDOW].astype(np.float64)
        if not window.any():
            found.append(None)
            continue
        spectrum = np.abs(np.fft.rfft(window * shape, size))[ours] * 4 / _WINDOW
        peak = int(np.argmax(spectrum))
        number = round((frequencies[ours[peak]] - band.lowest_hz) / _SPACING_HZ)
        found.append(number if spectrum[peak] > _QUIETEST and 0 <= number < band.count else None)
    return found


def _stretches(numbers: list[int | None]) -> list[tuple[int, int, int]]:
    found: list[tuple[int, int, int]] = []
    for at, number in enumerate(numbers):
        if number is None:
            continue
        if found and found[-1][0] == number and found[-1][2] == at - 1:
            found[-1] = (number, found[-1][1], at)
        else:
            found.append((number, at, at))
    return found


def longest_silence_s(heard: list[Heard], from_s: float, to_s: float) -> float:
    """Give the longest time without a word between two times of the recording."""
    ends = [from_s, *(one.ends_s for one in heard if from_s <= one.ends_s <= to_s)]
    begins = [*(one.begins_s for one in heard if from_s <= one.ends_s <= to_s), to_s]
    return max(begin - end for end, begin in zip(ends, begins, strict=True))
