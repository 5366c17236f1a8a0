"""Tells speech from what is always there, and keeps its beginning: the voice begins and ends bursts. Pure.

A band of the voice counts as loud when it stands out of the least that it has been in the last two seconds (after
Martin, "Noise Power Spectral Density Estimation Based on Optimal Smoothing and Minimum Statistics", IEEE Transactions
on Speech and Audio Processing 9, 2001): speech dips that far between syllables, steady noise does not. So a fan or an
engine is learned within two seconds, however loud it is; one that starts while somebody listens is heard for that long.
Music, and other people who talk as loud as the person, are taken for speech.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Sound = npt.NDArray[np.int16]

BLOCK_S = 0.010
BLOCK_SAMPLES = 480  # 10 ms at 48 kHz
HANG_S = 0.6  # a pause as long as this still belongs to what is said
PRE_ROLL_S = 0.2  # so much before the voice was sure of belongs to the burst: soft first sounds
LEARNING_S = 0.3  # nothing begins before so much was heard; what is said meanwhile is kept

_BAND_EDGES_HZ = (150, 300, 500, 800, 1200, 1800, 2600, 4000)
_BANDS = len(_BAND_EDGES_HZ) - 1
_HZ_A_BIN = 50.0  # two blocks at a time
_SMOOTHING = 0.6  # of a band's power from block to block: about 20 ms
_PART_BLOCKS, _PARTS = 25, 8  # the least of eight quarters of a second
_LEAST_POWER = 1e-8  # about -80 dBFS in a band: below it is silence, whatever stands out of it
_STANDS_OUT_DB = 10.0  # a band; noise stands out of its own least by 5 dB, seldom by more
_MOST_A_BAND_DB = 12.0  # so that one whistle alone is no voice
_BEGINS_DB = 2.0  # by how much the bands stand out more than that, on average
_GOES_ON_DB = 0.7
_SPAN = 10  # blocks: of 100 ms
_TO_BEGIN, _TO_GO_ON = 6, 4  # … so many are loud; a knock or a key is shorter


@dataclass(frozen=True, slots=True)
class Heard:
    """What a block meant. `blocks` are to be sent, in order: at the beginning of a burst the pre-roll comes first."""

    talking: bool
    began: bool
    ended: bool
    blocks: tuple[Sound, ...]


_SILENT = Heard(False, False, False, ())


class VoiceActivity:
    """Takes the microphone's blocks of 10 ms (48 kHz, mono, int16, shape (480,)), all from one thread.

    It keeps copies of at most `pre_roll_s` and what it learned of the noise, so it is to be kept from burst to burst.
    """

    def __init__(self, *, hang_s: float = HANG_S, pre_roll_s: float = PRE_ROLL_S) -> None:
        self._hang_blocks = max(1, round(hang_s / BLOCK_S))
        self._pre_blocks = round(pre_roll_s / BLOCK_S)
        self._kept: deque[Sound] = deque(maxlen=self._pre_blocks + max(_SPAN, round(LEARNING_S / BLOCK_S)))
        self._noise = _Noise()
        self._loud: deque[bool] = deque(maxlen=_SPAN)
        self._quiet_blocks = 0
        self._waits_for_pause = False
        self.talking = False

    def hear(self, block: Sound) -> Heard:
        """Take the next 10 ms and say what belongs to a burst."""
        score = self._noise.stands_out(block)
        if self.talking:
            return self._talking(block, score)
        self._kept.append(block.copy())
        if self._waits_for_pause:
            self._waits_for_pause = not self._is_pause(score)
            return _SILENT
        self._loud.append(score >= _BEGINS_DB)
        # While it learns, what is said has nothing to stand out of but its own pauses.
        if not self._noise.is_known or sum(self._loud) < _TO_BEGIN:
            return _SILENT
        wanted = self._pre_blocks + len(self._loud) - self._loud.index(True)
        blocks = tuple(self._kept)[-wanted:] if self._noise.was_known_long else tuple(self._kept)
        self._kept.clear()
        self._quiet_blocks = 0
        self.talking = True
        return Heard(True, True, False, blocks)

    def stop(self) -> None:
        """The burst was ended by something else, such as its time limit: the next one begins after a pause."""
        if self.talking:
            self._end()
            self._waits_for_pause = True

    def _talking(self, block: Sound, score: float) -> Heard:
        if not self._is_pause(score):
            return Heard(True, False, False, (block,))
        self._end()
        return Heard(False, False, True, ())

    def _is_pause(self, score: float) -> bool:
        """Whether nothing was said for the hang time."""
        self._loud.append(score >= _GOES_ON_DB)
        self._quiet_blocks = 0 if sum(self._loud) >= _TO_GO_ON else self._quiet_blocks + 1
        return self._quiet_blocks >= self._hang_blocks

    def _end(self) -> None:
        self.talking = False
        self._loud.clear()
        self._quiet_blocks = 0


class _Noise:
    """How much a block stands out of the noise, in dB above what noise itself does, averaged over the bands."""

    def __init__(self) -> None:
        edges = [round(hz / _HZ_A_BIN) for hz in _BAND_EDGES_HZ]
        self._first, self._last = edges[0], edges[-1]
        self._starts = np.array(edges[:-1]) - self._first
        self._window = (np.hanning(2 * BLOCK_SAMPLES) / 32768).astype(np.float32)
        self._scale = 1.0 / (2 * BLOCK_SAMPLES) ** 2
        self._two = np.zeros(2 * BLOCK_SAMPLES, np.float32)
        self._power = np.zeros(_BANDS)
        self._part = np.full(_BANDS, np.inf)
        self._parts = np.full((_PARTS, _BANDS), np.inf)
        self._count = 0

    @property
    def is_known(self) -> bool:
        return self._count * BLOCK_S >= LEARNING_S

    @property
    def was_known_long(self) -> bool:
        """Whether what came first is no longer in the blocks that are kept."""
        return self._count * BLOCK_S >= LEARNING_S + _SPAN * BLOCK_S

    def stands_out(self, block: Sound) -> float:
        two = self._two
        two[:BLOCK_SAMPLES] = two[BLOCK_SAMPLES:]
        two[BLOCK_SAMPLES:] = block
        spectrum = np.fft.rfft(two * self._window)[self._first : self._last]
        now = np.add.reduceat(spectrum.real**2 + spectrum.imag**2, self._starts) * self._scale
        self._count += 1
        if self._count <= 2:  # the first window is half empty
            self._power = now
            return 0.0
        self._power = _SMOOTHING * self._power + (1 - _SMOOTHING) * now
        np.minimum(self._part, self._power, out=self._part)
        least = np.maximum(np.minimum(self._part, self._parts.min(axis=0)), _LEAST_POWER)
        if self._count % _PART_BLOCKS == 0:
            self._parts[self._count // _PART_BLOCKS % _PARTS] = self._part
            self._part = self._power.copy()
        # The smoothed power hides the ups of noise, but the ring of a knock long after it is over: the less of both.
        power = np.maximum(np.minimum(now, self._power), _LEAST_POWER)
        over = 10 * np.log10(power / least) - _STANDS_OUT_DB
        return float(np.clip(over, 0.0, _MOST_A_BAND_DB).mean())
