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
    """A box of `size` metres whose walls reflect `reflection` of the sound (amplitude)."""

    size: tuple[float, float, float] = (4.2, 3.4, 2.6)
    reflection: float = 0.72
    loudspeaker: tuple[float, float, float] = (2.0, 1.5, 0.8)
    microphone: tuple[float, float, float] = (2.2, 1.7, 0.95)
    person: tuple[float, float, float] = (2.3, 2.2, 1.2)

    def response(self, source: tuple[float, float, float], seconds: float = 0.25) -> Wave:
        """Impulse response from a place to the microphone, by image sources (Allen and Berkley 1979); peak 1."""
        reach = math.ceil(seconds * _SOUND_M_S / min(self.size)) + 1
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
        near = arrival < seconds * RATE_HZ - 2
        strength = self.reflection ** bounce[near] / distance[near]
        whole = np.floor(arrival[near]).astype(int)
        part = arrival[near] - whole
        response = np.zeros(round(seconds * RATE_HZ))
        np.add.at(response, whole, strength * (1 - part))
        np.add.at(response, whole + 1, strength * part)
        return response / np.abs(response).max()


def echo_of(played: Wave, room: Room, *, gain_db: float, delay_s: float, skew_ppm: float) -> Wave:
    """What the microphone hears of the loudspeaker, as long as `played`.

    The loudspeaker bends a little (3 % at half of full scale), the way through both devices takes `delay_s`, and the
    microphone's clock is `skew_ppm` fast.
    """
    bent = np.tanh(played * 0.6) / 0.6
    high = convolve(bent, room.response(room.loudspeaker)) * 10 ** (gain_db / 20)
    at = np.arange(played.size) * (1 - skew_ppm * 1e-6) - delay_s * RATE_HZ
    return np.interp(at, np.arange(high.size), high, left=0.0, right=0.0)


def convolve(sound: Wave, response: Wave) -> Wave:
    """Sound through a response, as long as the sound."""
    size = 1 << (sound.size + response.size - 1).bit_length()
    through = np.fft.irfft(np.fft.rfft(sound, size) * np.fft.rfft(response, size), size)
    return np.asarray(through[: sound.size])


def level(sound: Wave) -> float:
    """RMS in dB against full scale 1.0."""
    return 10 * math.log10(float(np.mean(sound**2)) + 1e-15)
