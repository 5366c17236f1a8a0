"""What is said in the bench's calls, and what can be told of it at the other end: quality, gaps, delay."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tests.bench.peers.stage import Recording
from tests.heard import RATE_HZ, Samples, delay_s, recorded_speech, speech_score

_PAUSE = np.zeros(RATE_HZ // 2, np.int16)
_STEP = RATE_HZ // 200  # 5 ms
_ACTIVE_DBFS = -40.0
_MISSING_DB = 25.0
_SLACK_STEPS = 12  # stretching moves what is heard by tens of milliseconds against the reference
_CHIRP_EVERY_S = 0.7  # further apart than any delay that can be told
_CHIRP_S = 0.06


@dataclass(frozen=True, slots=True)
class Programme:
    """A sound to play, and its passages as they are compared, each with when it begins in it."""

    samples: Samples
    passages: tuple[tuple[float, Samples], ...]

    @property
    def seconds(self) -> float:
        return self.samples.size / RATE_HZ


def speech(count: int = 3, *, warm_up: bool = False) -> Programme:
    """Up to three passages of read speech of 7 to 10 s, half a second between them.

    `warm_up`: the first is said once before and not compared.
    """
    one, two, three, four, five = recorded_speech()
    passages = [one, np.concatenate([two, _PAUSE, three]), np.concatenate([four, _PAUSE, five])][:count]
    said = [one, *passages] if warm_up else passages
    starts = list(itertools.accumulate((passage.size + _PAUSE.size for passage in said), initial=_PAUSE.size))
    whole = np.concatenate([_PAUSE, *itertools.chain(*((passage, _PAUSE) for passage in said))])
    compared = zip(starts[len(said) - len(passages) :], passages, strict=False)
    return Programme(whole, tuple((start / RATE_HZ, passage) for start, passage in compared))


def chirps(seconds: float) -> Samples:
    """Short sweeps through the middle of the voice band at even distances, over a noise that is hardly heard.

    The noise keeps a phone from taking what lies between them for silence that needs no packets.
    """
    dice = np.random.default_rng(1)
    sound = dice.normal(0, 32768 * 10 ** (-55 / 20), round(seconds * RATE_HZ))
    for start in np.arange(0.3, seconds - _CHIRP_S, _CHIRP_EVERY_S):
        at = round(start * RATE_HZ)
        sound[at : at + _chirp().size] += _chirp()
    return sound.astype(np.int16)


def _chirp() -> NDArray[np.float64]:
    at = np.arange(round(_CHIRP_S * RATE_HZ)) / RATE_HZ
    sweep = np.sin(2 * np.pi * (400 * at + (3400 - 400) / (2 * _CHIRP_S) * at**2))
    return np.asarray(12_000 * sweep * np.hanning(at.size), np.float64)


@dataclass(frozen=True, slots=True)
class Quality:
    """How one passage came over: PESQ wide band, the longest gap, and the delay."""

    pesq: float
    gap_ms: float
    delay_s: float


def qualities(programme: Programme, said: Recording, heard: Recording) -> list[Quality]:
    """Compare every passage of what was played with what came out, by recordings of both ends."""
    offset = delay_s(programme.samples, said.samples)
    found = []
    for start, passage in programme.passages:
        began = said.began + offset + start
        window = heard.between(began - 0.3, began + passage.size / RATE_HZ + 1.2)
        lag = max(0, round(delay_s(passage, window) * RATE_HZ))
        aligned = window[lag : lag + passage.size + RATE_HZ // 5]
        late_s = lag / RATE_HZ - 0.3
        found.append(
            Quality(speech_score(passage, level_to(aligned, passage)), longest_gap_ms(passage, aligned), late_s)
        )
    return found


def level_to(heard: Samples, reference: Samples) -> Samples:
    """Give what was heard as loud as the reference."""
    loudness = [float(np.sqrt(np.mean(one.astype(np.float64) ** 2))) for one in (heard, reference)]
    if loudness[0] == 0:
        return heard
    return np.asarray(np.clip(heard * (loudness[1] / loudness[0]), -32768, 32767), np.int16)


def longest_gap_ms(reference: Samples, heard: Samples) -> float:
    """Give the longest time for which nothing was heard although somebody was speaking.

    Somebody speaks where the reference is loud for 60 ms around; nothing is heard where it is 25 dB quieter than the
    quietest of that.
    """
    said, got = (_levels_dbfs(level_to(one, reference)) for one in (reference, heard))
    size = min(said.size, got.size)
    padded = np.pad(said, _SLACK_STEPS, constant_values=-200.0)
    around = np.lib.stride_tricks.sliding_window_view(padded, 2 * _SLACK_STEPS + 1).min(axis=1)[:size]
    missing = (around > _ACTIVE_DBFS) & (got[:size] < around - _MISSING_DB)
    longest = max((len(list(group)) for is_missing, group in itertools.groupby(missing) if is_missing), default=0)
    return longest * 1000 * _STEP / RATE_HZ


def _levels_dbfs(samples: Samples) -> NDArray[np.float64]:
    blocks = samples[: samples.size // _STEP * _STEP].reshape(-1, _STEP).astype(np.float64)
    return np.asarray(20 * np.log10(np.sqrt((blocks**2).mean(axis=1)) / 32768 + 1e-10), np.float64)


def chirp_delays(said: Recording, heard: Recording) -> list[tuple[float, float]]:
    """Give for each chirp that came over when it was said (monotonic clock) and how much later it was heard."""
    out = _chirp_times(said)
    back = _chirp_times(heard)
    found = []
    for at in out:
        late = [later - at for later in back if 0 < later - at < _CHIRP_EVERY_S]
        if late:
            found.append((at, late[0]))
    return found


def _chirp_times(recording: Recording) -> list[float]:
    """Give the monotonic times at which chirps begin in a recording."""
    pattern = _chirp()
    size = 1 << int(np.ceil(np.log2(recording.samples.size + pattern.size)))
    product = np.fft.rfft(recording.samples.astype(np.float64), size) * np.conj(np.fft.rfft(pattern, size))
    match = np.abs(np.fft.irfft(product, size)[: recording.samples.size])
    times, reach = [], round(_CHIRP_EVERY_S / 2 * RATE_HZ)
    threshold = 0.3 * float((pattern**2).sum())
    for begin in range(0, match.size, reach):
        at = begin + int(np.argmax(match[begin : begin + reach]))
        around = match[max(0, at - reach // 2) : at + reach // 2]
        if match[at] > threshold and match[at] == around.max():
            times.append(recording.began + at / RATE_HZ)
    return times
