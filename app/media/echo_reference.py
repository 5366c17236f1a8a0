"""What the loudspeaker plays, brought in step with what the microphone hears of it.

Both devices have their own clock and their own queues. What they say of their queues gives a first alignment; what is
wrong with it is found by correlating what was played with what is heard, and a slow drift is taken out by reading a
little faster or slower (`EchoFilter.drift_ppm`).
"""

from __future__ import annotations

import math
import threading

import numpy as np
from numpy.typing import NDArray

from app.media.echo_filter import LENGTH, Floats
from app.media.ports import SAMPLE_RATE_HZ

_KEPT = 2 * SAMPLE_RATE_HZ  # samples of what was played; the newest may lie in the future by the device's queue
_GAP_S = 0.05  # the device paused, or its queue is another one
_JUMP = SAMPLE_RATE_HZ // 40
_FOLLOW = 0.02  # of a step of 20 ms: the moments at which threads run are not exact

FRAME = 960
EARLY = SAMPLE_RATE_HZ // 25  # devices may have said 40 ms too much
LONGEST_LAG = SAMPLE_RATE_HZ // 2  # … or half a second too little
_AHEAD = SAMPLE_RATE_HZ // 200  # where in the filter the echo begins once its lag is known: 5 ms
_DEEP = SAMPLE_RATE_HZ // 66  # … and how much later it may begin

_COARSE = 6  # lags are looked for at 8 kHz
_WINDOW = 8192  # samples at 8 kHz: one second of what is heard
_LOOK_EVERY = 10  # steps
_MEMORY = 0.75
_CLEAR = 7.0  # how far the peak stands out of the rest
_SAME = SAMPLE_RATE_HZ // 500  # two looks that agree
_QUIET = 1e-7
_MOST_SLIP = SAMPLE_RATE_HZ // 10
_SLIP_HZ = (200, 6_000)


class PlayedLine:
    """What was played, by the time at which it is heard. `played` and `read` are called from different threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._ring: Floats = np.zeros(_KEPT, np.float32)
        self._steps = np.arange(FRAME, dtype=np.float64)
        self._end = 0  # samples written so far
        self._base: float | None = None  # sample number heard at moment 0 of the clock
        self._at: float | None = None  # where `read` stands
        self._off = 0.0  # how far `read` is from where the clocks say it should be
        self._last_s = 0.0

    def played(self, block: NDArray[np.int16], heard_at_s: float) -> None:
        """Take a block that will be heard from `heard_at_s` on."""
        with self._lock:
            base = self._end - heard_at_s * SAMPLE_RATE_HZ
            if self._base is not None and abs(base - self._base) > _GAP_S * SAMPLE_RATE_HZ:
                pause = min(max(0, round(self._base - base)), _KEPT)
                self._write(np.zeros(pause, np.float32))
                self._base = None
                base = self._end - heard_at_s * SAMPLE_RATE_HZ
            self._base = base if self._base is None else self._base + _FOLLOW * (base - self._base)
            self._write(block * np.float32(1 / 32768))
            self._last_s = heard_at_s

    def read(self, heard_from_s: float, count: int, drift_ppm: float) -> tuple[Floats, bool]:
        """Give what was to be heard in `count` (at most 960) samples from a moment on, and whether the reading jumped.

        Otherwise it goes on from where it was, however unsteady the moments are: the echo filter needs even steps.
        """
        with self._lock:
            if self._base is None or heard_from_s - self._last_s > 1.0:
                self._at = None
                return np.zeros(count, np.float32), False
            wanted = self._base + heard_from_s * SAMPLE_RATE_HZ
            at = wanted if self._at is None else self._at
            self._off += _FOLLOW * (wanted - at - self._off)
            jumped = self._at is None or abs(self._off) > _JUMP
            if jumped:
                at, self._off = wanted, 0.0
            self._at = at + count * (1 + drift_ppm * 1e-6)
            return self._samples(at, count, drift_ppm), jumped

    def _write(self, samples: Floats) -> None:
        indices = (self._end + np.arange(samples.size)) % _KEPT
        self._ring[indices] = samples
        self._end += samples.size

    def _samples(self, at: float, count: int, drift_ppm: float) -> Floats:
        """Read from between the samples, by cubic interpolation."""
        first = math.floor(at) - 1
        long = count + 4
        around = np.take(self._ring, np.arange(first, first + long), mode="wrap")
        around[: max(0, min(long, self._end - _KEPT + 1 - first))] = 0
        around[max(0, min(long, self._end - first)) :] = 0
        place = (at - first) + self._steps[:count] * (1 + drift_ppm * 1e-6)
        whole = place.astype(np.intp)
        part = (place - whole).astype(np.float32)
        before, here, after, beyond = (around[whole + step] for step in (-1, 0, 1, 2))
        slope = after - before
        bend = 2 * before - 5 * here + 4 * after - beyond
        twist = 3 * (here - after) + beyond - before
        return np.asarray(here + 0.5 * part * (slope + part * (bend + part * twist)), np.float32)


class LagFinder:
    """Finds by how much the echo comes later than said, from what was played and heard, 20 ms at a time."""

    def __init__(self) -> None:
        self.lag = EARLY  # samples at 48 kHz, as the filter is to take it; at first as the devices said
        self.found: int | None = None  # as it was found last
        size = 2 * _WINDOW
        self._played = np.zeros(size, np.float32)
        self._heard = np.zeros(_WINDOW, np.float32)
        self._cross = np.zeros(_WINDOW + 1, np.complex64)
        self._steps = 0
        self._candidate: int | None = None

    def step(self, played: Floats, heard: Floats) -> bool:
        """Take 20 ms of both; True when the lag is another one now."""
        for kept, new in ((self._played, played), (self._heard, heard)):
            coarse = new.reshape(-1, _COARSE).mean(axis=1)
            kept[: -coarse.size] = kept[coarse.size :]
            kept[-coarse.size :] = coarse
        self._steps += 1
        return self._steps % _LOOK_EVERY == 0 and self._look()

    def put(self, lag: int) -> None:
        """Take the echo to come so late from now on, until more of it was heard."""
        self.lag = lag
        self._heard[:] = 0
        self._cross[:] = 0
        self._candidate = None

    def _look(self) -> bool:
        if float(np.mean(self._played**2)) < _QUIET or float(np.mean(self._heard**2)) < _QUIET / 1000:
            return False
        played = np.fft.rfft(self._played)
        heard = np.fft.rfft(self._heard, 2 * _WINDOW)
        cross = np.conj(heard) * played
        cross /= np.abs(cross) + 1e-9  # every frequency counts alike: a sharp peak
        self._cross = (_MEMORY * self._cross + (1 - _MEMORY) * cross).astype(np.complex64)
        # heard[n] = played[_WINDOW + n - lag]: the peak stands at _WINDOW - lag.
        likeness = np.abs(np.fft.irfft(self._cross))[_WINDOW - LONGEST_LAG // _COARSE : _WINDOW + 1][::-1]
        peak = int(np.argmax(likeness))
        if likeness[peak] < _CLEAR * float(np.sqrt(np.mean(likeness**2))):
            self._candidate = None
            return False
        found = peak * _COARSE
        before, self._candidate = self._candidate, found
        if before is None or abs(before - found) > _SAME:
            return False
        self.found = found
        if self.lag - _AHEAD // 2 <= found <= self.lag + _DEEP:
            return False
        self.lag = found
        return True


class EchoReference:
    """The two together: gives the echo filter its reference. `played` may be called from any thread."""

    def __init__(self) -> None:
        self.line = PlayedLine()
        self.finder = LagFinder()
        self._past = np.zeros(LONGEST_LAG + LENGTH + FRAME, np.float32)

    @property
    def lag_s(self) -> float | None:
        """How much later the echo comes than the devices said; None while that is not known."""
        return (self.finder.found - EARLY) / SAMPLE_RATE_HZ if self.finder.found is not None else None

    def step(self, heard: Floats, heard_from_s: float, drift_ppm: float) -> tuple[Floats, bool]:
        """Give what the microphone may hear of in these 20 ms, and whether the filter has to begin anew."""
        played, jumped = self.line.read(heard_from_s + EARLY / SAMPLE_RATE_HZ, FRAME, drift_ppm)
        if jumped:
            self.finder.put(self.finder.lag)  # what was compared before belongs to another place
        self._past[:-FRAME] = self._past[FRAME:]
        self._past[-FRAME:] = played
        moved = self.finder.step(played, heard)
        end = self._past.size - self._read_later
        return self._past[end - FRAME : end], moved

    def past(self, but: int = 0) -> Floats:
        """Give the last `LENGTH` samples that `step` gave, or would have given; without the newest ones if asked."""
        end = self._past.size - self._read_later - but
        return self._past[end - LENGTH : end]

    def shift(self, samples: int) -> bool:
        """Read so much later, below zero earlier, from now on; False where that is out of reach."""
        lag = self.finder.lag + samples
        if not _AHEAD <= lag <= LONGEST_LAG:
            return False
        self.finder.put(lag)
        return True

    @property
    def _read_later(self) -> int:
        return max(0, self.finder.lag - _AHEAD)


def slipped(heard: Floats, echo: Floats) -> int | None:
    """Tell by how many samples what is heard comes later than the echo as modelled, both the same time; None if unlike.

    Later by 100 ms at most, or earlier by as much.
    """
    size = 1 << (2 * heard.size - 1).bit_length()
    cross = np.fft.rfft(heard, size) * np.conj(np.fft.rfft(echo, size))
    cross /= np.abs(cross) + 1e-9
    hertz = SAMPLE_RATE_HZ / size
    cross[: round(_SLIP_HZ[0] / hertz)] = 0
    cross[round(_SLIP_HZ[1] / hertz) :] = 0
    likeness = np.fft.irfft(cross)
    likeness = np.concatenate([likeness[-_MOST_SLIP:], likeness[: _MOST_SLIP + 1]])
    peak = int(np.argmax(likeness))
    if likeness[peak] < _CLEAR * float(np.sqrt(np.mean(likeness**2))):
        return None
    return peak - _MOST_SLIP
