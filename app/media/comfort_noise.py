"""Comfort noise for codecs without a pause of their own (RFC 3389): when to pause, and what to say of the silence.

The background is described by its level and by up to ten reflection coefficients at 8 kHz. 48 kHz mono in and out.
Pure.
"""

from __future__ import annotations

from collections import deque

import numpy as np
import numpy.typing as npt

from app.media.errors import PacketError
from app.media.levels import FULL_SCALE, mean_square
from app.media.resample import Downsampler, Upsampler, rounded

Sound = npt.NDArray[np.int16]
Floats = npt.NDArray[np.float64]

RATIO = 6  # 48 kHz to 8 kHz
FRAME = 960
MOST_COEFFICIENTS = 10
LONGEST_PAYLOAD = 64
_QUIETEST = 127  # -dBov

# Voice activity, by the power of frames of 20 ms
_FLOOR_FRAMES = 150  # the background is what the quietest of the last 3 s was
_FLOOR_STEP = 10
_OVER_FLOOR = 4.0  # 6 dB
_SILENT_POWER = 30.0**2  # -61 dBFS: under it nobody speaks
_HANG_FRAMES = 12  # 240 ms of what follows a word belong to it
_AGAIN_FRAMES = 100  # the background is told again after 2 s …
_AGAIN_CHANGE = 2.0  # … and where it is 3 dB louder or quieter
_ORDER = 6
_ANALYSED = 4  # frames

_SYNTHESIS_TAPS = 128


class PauseDetector:
    """Decides for each frame whether somebody speaks."""

    def __init__(self) -> None:
        self._leasts: deque[float] = deque(maxlen=_FLOOR_FRAMES // _FLOOR_STEP)
        self._least = float("inf")
        self._count = 0
        self._hang = _HANG_FRAMES

    def is_pause(self, power: float) -> bool:
        """Take the mean square of one frame."""
        self._least = min(self._least, power)
        self._count += 1
        if self._count % _FLOOR_STEP == 0:
            self._leasts.append(self._least)
            self._least = float("inf")
        floor = min((*self._leasts, self._least))
        if power > max(_SILENT_POWER, _OVER_FLOOR * floor) or not self._leasts:
            self._hang = _HANG_FRAMES
        else:
            self._hang = max(0, self._hang - 1)
        return self._hang == 0


class NoiseSender:
    """Says for each frame: send the voice (None), send this description, or send nothing (empty)."""

    def __init__(self) -> None:
        self._detector = PauseDetector()
        self._filter = Downsampler(RATIO)
        self._recent: deque[Sound] = deque(maxlen=_ANALYSED)
        self._told_power: float | None = None
        self._since = 0

    def judge(self, frame: Sound) -> bytes | None:
        """Take the next 20 ms."""
        power = mean_square(frame)
        self._recent.append(self._filter.take(frame))
        if not self._detector.is_pause(power):
            self._told_power = None
            return None
        background = np.concatenate(self._recent)
        level = mean_square(background) + 0.1
        self._since += 1
        told = self._told_power
        if told is not None and self._since < _AGAIN_FRAMES and 1 / _AGAIN_CHANGE < level / told < _AGAIN_CHANGE:
            return b""
        self._told_power, self._since = level, 0
        return describe(background)


class NoiseDecoder:
    """Makes the noise that payloads describe, for as long as nothing else comes."""

    def __init__(self, seed: int = 1) -> None:
        self._rng = np.random.default_rng(seed)
        self._filter = Upsampler(RATIO)
        self._response: Floats = np.ones(1)
        self._before: Floats = np.zeros(_SYNTHESIS_TAPS - 1)
        self.is_paused = True

    def sample_count(self, payload: bytes) -> int:
        if not 0 < len(payload) <= LONGEST_PAYLOAD:
            raise PacketError(f"A comfort noise payload of {len(payload)} bytes is not understood.")
        return FRAME

    def decode(self, payload: bytes) -> Sound:
        self.sample_count(payload)
        level = FULL_SCALE * 10.0 ** (-min(payload[0], _QUIETEST) / 20.0)
        response = response_of(np.array([reflection_of(code) for code in payload[1 : 1 + MOST_COEFFICIENTS]]))
        self._response = response * (level / np.sqrt(np.dot(response, response)))
        return self.conceal(FRAME)

    def conceal(self, samples: int) -> Sound:
        count = -(-samples // RATIO)
        noise = np.concatenate((self._before, self._rng.standard_normal(count)))
        self._before = noise[-(_SYNTHESIS_TAPS - 1) :]
        shaped = np.convolve(noise, self._response)[_SYNTHESIS_TAPS - 1 : _SYNTHESIS_TAPS - 1 + count]
        return self._filter.take(rounded(shaped.astype(np.float32)))[:samples]

    def has_redundancy(self, payload: bytes) -> bool:
        return False

    def recover(self, following: bytes, samples: int) -> Sound | None:
        return None


def describe(background: Sound) -> bytes:
    """Write the payload for some background at 8 kHz (RFC 3389 sections 3.1 and 3.2)."""
    sound = background.astype(np.float64)
    power = float(np.dot(sound, sound)) / len(sound)
    if power < 1.0:
        return bytes((_QUIETEST,))
    level = min(_QUIETEST, max(0, round(-10.0 * float(np.log10(power / FULL_SCALE**2)))))
    windowed = sound * np.hanning(len(sound))
    correlation = np.array([np.dot(windowed[lag:], windowed[: len(windowed) - lag]) for lag in range(_ORDER + 1)])
    correlation[0] *= 1.001  # some white noise: no narrow peaks
    return bytes((level, *(code_of(value) for value in _reflections(correlation))))


def code_of(reflection: float) -> int:
    """Quantise one reflection coefficient."""
    return min(254, max(0, round(reflection * 32_768 / 258) + 127))


def reflection_of(code: int) -> float:
    """Read one reflection coefficient; within what keeps the filter stable."""
    return max(-0.995, min(0.995, 258 * (min(code, 254) - 127) / 32_768))


def response_of(reflections: Floats) -> Floats:
    """Give the beginning of the impulse response of the all-pole filter with these reflection coefficients."""
    predictor = np.array([1.0])
    for value in reflections:
        padded = np.append(predictor, 0.0)
        predictor = padded + value * padded[::-1]
    response = np.zeros(_SYNTHESIS_TAPS)
    order = len(predictor) - 1
    response[0] = 1.0
    for index in range(1, _SYNTHESIS_TAPS):
        reach = min(order, index)
        response[index] = -float(np.dot(predictor[1 : reach + 1], response[index - reach : index][::-1]))
    return response


def _reflections(correlation: Floats) -> list[float]:
    """The Levinson-Durbin recursion."""
    predictor, error, found = np.array([1.0]), float(correlation[0]), []
    for order in range(1, len(correlation)):
        value = -float(np.dot(predictor, correlation[order:0:-1])) / error
        found.append(value)
        padded = np.append(predictor, 0.0)
        predictor = padded + value * padded[::-1]
        error *= 1.0 - value * value
    return found
