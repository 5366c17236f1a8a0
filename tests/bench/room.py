"""A simulated room with a loudspeaker, a microphone and somebody in it, and recorded speech to fill it.

Everything is 48 kHz mono float64, full scale 1.0.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.heard import read_wav, recorded_speech

Wave = NDArray[np.float64]

RATE_HZ = 48_000
_SOUND_M_S = 343.0
_SPOKEN = Path("/usr/share/sounds/alsa")
_STEP = 960
_MIXED_S = 0.08  # from when on a room's reflections cannot be told apart
_FINER = 4  # so finely sound is known where it is read between its samples


def far_speech(seconds: float, dbfs: float = -20.0) -> Wave:
    """What the other side says: a woman's recorded words (alsa-utils), one close after the other."""
    files = sorted(_SPOKEN.glob("*_*.wav"))
    if not files:
        pytest.skip("recorded words are not installed: alsa-utils")
    return _level_to(np.concatenate([_spoken(read_wav(path) / 32768.0) for path in files]), seconds, dbfs)


def near_speech(seconds: float, dbfs: float = -26.0) -> Wave:
    """What the person in the room says: a reading by somebody else."""
    return _level_to(np.concatenate(recorded_speech()) / 32768.0, seconds, dbfs)


def _level_to(sound: Wave, seconds: float, dbfs: float) -> Wave:
    """Repeat a recording as long as asked, and bring its speech, without the pauses, to a level."""
    sound = np.tile(sound, math.ceil(seconds * RATE_HZ / sound.size))[: round(seconds * RATE_HZ)]
    return np.asarray(sound * 10 ** ((dbfs - level(sound[spoken(sound)])) / 20))


def spoken(sound: Wave) -> NDArray[np.bool_]:
    """Mark the samples in which there is speech: the 20 ms they lie in are no more than 20 dB below the mean."""
    frames = sound[: sound.size // _STEP * _STEP].reshape(-1, _STEP)
    power = np.mean(frames**2, axis=1)
    marks = np.zeros(sound.size, bool)
    marks[: frames.size] = np.repeat(power > 0.01 * power.mean(), _STEP)
    return marks


def _spoken(sound: Wave) -> Wave:
    """Cut the silence off both ends."""
    where = np.flatnonzero(spoken(sound))
    return sound[where[0] : where[-1] + 1]


@dataclass(frozen=True, slots=True)
class Room:
    """A box of `size` metres in which sound falls by 60 dB in `rt60_s`."""

    rt60_s: float = 0.2
    size: tuple[float, float, float] = (4.2, 3.4, 2.6)
    loudspeaker: tuple[float, float, float] = (2.0, 1.5, 0.8)
    microphone: tuple[float, float, float] = (2.2, 1.7, 0.95)
    person: tuple[float, float, float] = (2.3, 2.2, 1.2)

    @property
    def reflection(self) -> float:
        """What the walls send back (amplitude), by Eyring's formula."""
        x, y, z = self.size
        return math.exp(-0.161 * x * y * z / (4 * (x * y + y * z + z * x)) / self.rt60_s)

    def response(self, source: tuple[float, float, float]) -> Wave:
        """Impulse response from a place to the microphone, until it has fallen by 60 dB; peak 1.

        Image sources (Allen and Berkley 1979) to begin with, then reflections too dense to be told apart: noise that
        falls at the room's pace.
        """
        reach = math.ceil(_MIXED_S * _SOUND_M_S / min(self.size)) + 1
        orders = np.arange(-reach, reach + 1)
        distances, bounces = [], []
        for axis in range(3):
            even = 2 * orders * self.size[axis] + source[axis] - self.microphone[axis]
            odd = 2 * orders * self.size[axis] - source[axis] - self.microphone[axis]
            distances.append(np.concatenate([even, odd]) ** 2)
            bounces.append(np.concatenate([np.abs(2 * orders), np.abs(2 * orders - 1)]))
        distance = np.sqrt(distances[0][:, None, None] + distances[1][None, :, None] + distances[2][None, None, :])
        bounce = bounces[0][:, None, None] + bounces[1][None, :, None] + bounces[2][None, None, :]
        arrival = distance / _SOUND_M_S * RATE_HZ
        near = arrival < _MIXED_S * RATE_HZ - 2
        strength = self.reflection ** bounce[near] / distance[near]
        whole = np.floor(arrival[near]).astype(int)
        part = arrival[near] - whole
        mixed = round(_MIXED_S * RATE_HZ)
        response = np.zeros(mixed + round(self.rt60_s * RATE_HZ))
        np.add.at(response, whole, strength * (1 - part))
        np.add.at(response, whole + 1, strength * part)
        fall = 10 ** (-3 * np.arange(response.size - mixed) / (self.rt60_s * RATE_HZ))
        last = response[mixed * 3 // 4 : mixed]  # on average an eighth of the mixing time older than the tail
        strength_then = math.sqrt(float(np.mean(last**2))) * 10 ** (-3 * _MIXED_S / 8 / self.rt60_s)
        response[mixed:] = np.random.default_rng(3).normal(size=fall.size) * fall * strength_then
        return response / np.abs(response).max()


@dataclass(frozen=True, slots=True)
class Laptop:
    """A loudspeaker and a microphone, and what lies between them and the app."""

    bends: float = 0.6  # tanh(bends * x) / bends: 3 % at half of full scale
    delay_s: float = 0.08  # both queues together
    skew_ppm: float = 0.0  # by how much the microphone's clock is fast
    late_from_s: float | None = None  # from when on the loudspeaker plays …
    late_by_s: float = 0.0  # … so much later, since its queue ran dry


def echo_of(played: Wave, response: Wave, laptop: Laptop) -> Wave:
    """What the microphone hears of the loudspeaker, as long as `played`."""
    bent = _small_box(np.tanh(played * laptop.bends) / laptop.bends)
    if laptop.late_from_s is not None:
        at, gap = round(laptop.late_from_s * RATE_HZ), round(laptop.late_by_s * RATE_HZ)
        bent = np.concatenate([bent[:at], np.zeros(gap), bent[at:]])[: played.size]
    heard = convolve(bent, response)
    fine = _FINER * (np.arange(played.size) * (1 - laptop.skew_ppm * 1e-6) - laptop.delay_s * RATE_HZ)
    spectrum = np.zeros(heard.size * _FINER // 2 + 1, complex)
    spectrum[: heard.size // 2 + 1] = np.fft.rfft(heard) * _FINER
    finer = np.fft.irfft(spectrum, heard.size * _FINER)
    return np.interp(fine, np.arange(finer.size), finer, left=0.0, right=0.0)


def _small_box(sound: Wave) -> Wave:
    """A laptop's loudspeaker plays nothing much below 180 Hz or above 14 kHz."""
    hertz = np.fft.rfftfreq(sound.size, 1 / RATE_HZ)
    shape = 1 / np.sqrt((1 + (180 / np.maximum(hertz, 1.0)) ** 6) * (1 + (hertz / 14_000) ** 8))
    return np.asarray(np.fft.irfft(np.fft.rfft(sound) * shape, sound.size))


def convolve(sound: Wave, response: Wave) -> Wave:
    """Sound through a response, as long as the sound."""
    size = 1 << (sound.size + response.size - 1).bit_length()
    through = np.fft.irfft(np.fft.rfft(sound, size) * np.fft.rfft(response, size), size)
    return np.asarray(through[: sound.size])


def level(sound: Wave) -> float:
    """RMS in dB against full scale 1.0."""
    return 10 * math.log10(float(np.mean(sound**2)) + 1e-15)
