"""Numbered words of sound: a recording of them tells which were heard and when, which are missing, which came twice.

A word is four beats of 50 ms, each a tone; the first beat's tone is in the lowest quarter of a band, the last one's in
the highest, and each quarter has seven pitches. So a beat says where in its word it is, and what is heard twice goes
back, while a tone that is only prolonged, as concealment does it, does not. The four pitches are a Reed-Solomon code of
the word's number modulo 343: any three of them tell it, and the fourth that none is mistaken. Over 68.6 s no two words
are alike; beyond that the time of the recording tells them apart. Two people who talk at once take different bands.

Whole words are read first; every other beat then has a few numbers that it can belong to near them, and of all ways to
read the beats the one with the fewest jumps is taken.
"""

from __future__ import annotations

import bisect
import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from tests.heard import RATE_HZ, Samples

BEATS, BEAT_S = 4, 0.05
WORD_S = BEATS * BEAT_S
NUMBERS = 343  # so many words sound different
STEP_S = 0.01
_PITCHES = 7
_SPACING_HZ = 60.0
_AMPLITUDE = 8_000
_QUIETEST = 2_000.0  # echoes of a beat that bridge a loss fade below it
_WINDOW_S = 0.04
_DECIMATION = 4
_LEAST_STEPS = 3  # a beat has five
_NEAR = 10  # words: a piece is not farther from where its time puts it
_JUMP, _SKIP = 3.0, 2.0  # one beat by itself, with a jump before it and one behind it, is misread
_MOST_WAYS = 12
_TELLING_BEATS = 2  # the same beat alone is in every seventh word
_SAME_BEAT_S = 0.25  # pieces of one beat are no farther apart: concealment bridges no more


def _digits(number: int) -> tuple[int, ...]:
    """Give the pitches of a word: a polynomial over the integers modulo 7 at 0 to 3, the number's digits its terms."""
    a, b, c = number % 7, number // 7 % 7, number // 49 % 7
    return tuple((a + b * x + c * x * x) % _PITCHES for x in range(BEATS))


_DIGITS = [_digits(number) for number in range(NUMBERS)]
_BY_DIGITS = {digits: number for number, digits in enumerate(_DIGITS)}


@dataclass(frozen=True, slots=True)
class Band:
    """Where one person's words are: 1,680 Hz from the lowest on.

    From 2 kHz on Opus at 24 kb/s keeps tones as short as these; lower ones it takes for a voice, and bends.
    """

    lowest_hz: float

    def word(self, number: int) -> Samples:
        """Give a word: 200 ms without a pause."""
        time = np.arange(round(BEAT_S * RATE_HZ)) / RATE_HZ
        edge = np.clip(np.minimum(time, BEAT_S - time) / 0.004, 0.0, 1.0)
        beats = [
            _AMPLITUDE * edge * np.sin(2 * np.pi * self.pitch_hz(beat, digit) * time)
            for beat, digit in enumerate(_digits(number))
        ]
        return np.concatenate(beats).astype(np.int16)

    def words(self, numbers: Iterable[int]) -> Samples:
        """Give several words one after another."""
        return np.concatenate([self.word(number) for number in numbers])

    def pitch_hz(self, beat: int, digit: int) -> float:
        return self.lowest_hz + _SPACING_HZ * (_PITCHES * beat + digit)


@dataclass(slots=True)
class Beat:
    """One tone as it was heard, in seconds of the recording."""

    place: int
    digit: int
    begins_s: float
    ends_s: float


@dataclass(slots=True)
class Heard:
    """One word, or a piece of it. `number` counts on beyond NUMBERS."""

    number: int
    beats: list[Beat] = field(default_factory=list)

    @property
    def begins_s(self) -> float:
        return self.beats[0].begins_s

    @property
    def ends_s(self) -> float:
        """When its last beat would have ended if it was not prolonged."""
        return self.beats[-1].begins_s + BEAT_S


def words_in(sound: Samples, band: Band, begins_s: float = 0.0) -> list[Heard]:
    """Give the words of a band as they were heard, pieces too; `begins_s` is when the recording begins."""
    beats = _beats(_tones(sound, band), begins_s)
    words: list[Heard] = []
    for beat, position in _read(beats, _whole(beats)):
        if not words or words[-1].number != position // BEATS or words[-1].beats[-1].place >= beat.place:
            words.append(Heard(position // BEATS))
        words[-1].beats.append(beat)
    return words


def doubled(words: Sequence[Heard]) -> list[str]:
    """Name each word that was heard again, or after a later one; two beats of one tell which it is."""
    found: list[str] = []
    highest: Heard | None = None
    for word in words:
        if len(word.beats) < _TELLING_BEATS:
            continue
        if highest is None or word.number > highest.number:
            highest = word
        else:
            after = f"after {highest.number} at {highest.begins_s:.2f} s"
            found.append(f"word {word.number} at {word.begins_s:.2f} s, {after}")
    return found


def missing(words: Sequence[Heard]) -> list[tuple[int, float]]:
    """Name each word between the first and the last of which nothing was heard, and when the one after them came."""
    found: list[tuple[int, float]] = []
    for before, after in itertools.pairwise(words):
        found += [(number, after.begins_s) for number in range(before.number + 1, after.number)]
    return found


def longest_silence_s(words: Sequence[Heard], from_s: float, to_s: float) -> float:
    """Give the longest time in which nothing new was heard between two times; a prolonged tone is nothing new."""
    beats = [beat for word in words for beat in word.beats if from_s <= beat.begins_s <= to_s]
    ends = [from_s, *(beat.begins_s + BEAT_S for beat in beats)]
    begins = [*(beat.begins_s for beat in beats), to_s]
    return max(begin - end for end, begin in zip(ends, begins, strict=True))


def _tones(sound: Samples, band: Band) -> list[int | None]:
    """Give which of a band's tones is the loudest in each step; None where none is loud."""
    rate = RATE_HZ // _DECIMATION
    low = sound[: sound.size // _DECIMATION * _DECIMATION].reshape(-1, _DECIMATION).mean(axis=1)
    size, step = round(_WINDOW_S * rate), round(STEP_S * rate)
    count = max(0, (low.size - size) // step + 1)
    if not count:
        return []
    windows = np.lib.stride_tricks.sliding_window_view(low, size)[::step][:count]
    pitches = [band.pitch_hz(beat, digit) for beat in range(BEATS) for digit in range(_PITCHES)]
    time = np.arange(size) / rate
    waves = np.hanning(size)[:, None] * np.exp(-2j * np.pi * np.outer(time, pitches)) * 4 / size
    levels: NDArray[np.float64] = np.abs(windows @ waves)
    loudest = levels.argmax(axis=1)
    return [int(which) if level > _QUIETEST else None for which, level in zip(loudest, levels.max(axis=1), strict=True)]


def _beats(tones: Sequence[int | None], begins_s: float) -> list[Beat]:
    """Give what sounds long enough to be a beat; pieces of one beat with nothing between them are one."""
    found: list[Beat] = []
    at = 0
    # A window belongs to what sounds in its middle.
    first_s = begins_s + (_WINDOW_S - STEP_S) / 2
    for tone, steps in itertools.groupby(tones):
        count = len(list(steps))
        start_s = first_s + at * STEP_S
        at += count
        if tone is None or count < _LEAST_STEPS:
            continue
        place, digit = divmod(tone, _PITCHES)
        last = found[-1] if found else None
        if last is not None and (last.place, last.digit) == (place, digit) and start_s - last.ends_s < _SAME_BEAT_S:
            last.ends_s = start_s + count * STEP_S
        else:
            found.append(Beat(place, digit, start_s, start_s + count * STEP_S))
    return found


def _whole(beats: Sequence[Beat]) -> list[tuple[float, int]]:
    """Give when whole words begin, and their positions: four times the number."""
    found: list[tuple[float, int]] = []
    for four in zip(*(beats[at:] for at in range(BEATS)), strict=False):
        begins_s = four[0].begins_s
        number = _BY_DIGITS.get(tuple(beat.digit for beat in four))
        is_one = [beat.place for beat in four] == list(range(BEATS)) and four[-1].begins_s - begins_s < WORD_S
        if number is None or not is_one:
            continue
        if found:
            turns = (found[-1][1] / BEATS + (begins_s - found[-1][0]) / WORD_S - number) / NUMBERS
            number += NUMBERS * round(turns)
        found.append((begins_s, BEATS * number))
    return found


def _read(beats: Sequence[Beat], whole: Sequence[tuple[float, int]]) -> list[tuple[Beat, int]]:
    """Give each beat's position, four times its word's number and its place, but for those that were misread."""
    ways: list[_Way] = []
    for at, beat in enumerate(beats):
        grown: list[_Way] = []
        for position in _positions(beat, whole):
            before = min(ways, key=lambda way: _cost(way, beat, position), default=None)
            cost = _SKIP * at
            if before is not None and _cost(before, beat, position) <= cost:
                grown.append(_Way(_cost(before, beat, position), beat, position, before))
            else:
                grown.append(_Way(cost, beat, position, None))
        ways = [replace(way, cost=way.cost + _SKIP) for way in ways] + grown
        ways = sorted(ways, key=lambda way: way.cost)[:_MOST_WAYS]
    read: list[tuple[Beat, int]] = []
    way = ways[0] if ways else None
    while way is not None:
        read.append((way.beat, way.position))
        way = way.before
    return read[::-1]


@dataclass(frozen=True, slots=True)
class _Way:
    """One way to read all beats up to one."""

    cost: float
    beat: Beat
    position: int
    before: _Way | None


def _cost(way: _Way, beat: Beat, position: int) -> float:
    """Tell how unlikely it is that after the last beat of a way this one follows."""
    passed = (beat.begins_s - way.beat.begins_s) / BEAT_S
    off = position - way.position - passed
    is_free = position > way.position and off < 1.0
    return way.cost + 0.01 * abs(off) + (0.0 if is_free else _JUMP)


def _positions(beat: Beat, whole: Sequence[tuple[float, int]]) -> list[int]:
    """Give where a beat can belong, near the whole word that is nearest in time."""
    if not whole:
        return []
    at = bisect.bisect(whole, (beat.begins_s, 0))
    begins_s, first = min(whole[max(0, at - 1) : at + 1], key=lambda one: abs(one[0] - beat.begins_s))
    expected = round((first + (beat.begins_s - begins_s) / BEAT_S - beat.place) / BEATS)
    near = range(expected - _NEAR, expected + _NEAR + 1)
    return [BEATS * number + beat.place for number in near if _DIGITS[number % NUMBERS][beat.place] == beat.digit]
