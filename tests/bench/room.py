"""A simulated room with a loudspeaker, a microphone and somebody in it, and real recorded speech to fill it.

Speech comes from packages: the prompts of asterisk-core-sounds (two voices, 16 kHz), or the spoken files of alsa-utils
where those are missing. Everything is 48 kHz mono float64, full scale 1.0.
"""

from __future__ import annotations

import math
import wave
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray

Wave = NDArray[np.float64]

RATE_HZ = 48_000
_SOUND_M_S = 343.0
_PROMPTS = Path("/usr/share/asterisk/sounds")
_SPOKEN = Path("/usr/share/sounds/alsa")
_FAR = ("en_US_f_Allison", ("demo-instruct", "priv-callee-options"))
_NEAR = ("it_IT_m_Carlo", ("demo-abouttotry", "vm-options", "vm-msginstruct", "demo-moreinfo", "vm-opts-full"))


def far_speech(seconds: float, dbfs: float = -20.0) -> Wave:
    """What the other side says: a woman's voice, or the spoken files of alsa-utils."""
    return _speech(*_FAR, seconds, dbfs)


def near_speech(seconds: float, dbfs: float = -26.0) -> Wave:
    """What the person in the room says: a man's voice, or the same spoken files in another order."""
    return _speech(*_NEAR, seconds, dbfs)


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


def resampled(sound: Wave, rate_hz: int, wanted_hz: int) -> Wave:
    """Change the rate of a whole recording, by its spectrum."""
    count = round(sound.size * wanted_hz / rate_hz)
    spectrum = np.fft.rfft(sound)
    kept = np.zeros(count // 2 + 1, complex)
    shared = min(kept.size, spectrum.size)
    kept[:shared] = spectrum[:shared]
    return np.asarray(np.fft.irfft(kept, count) * (wanted_hz / rate_hz))


def level(sound: Wave) -> float:
    """RMS in dB against full scale 1.0."""
    return 10 * math.log10(float(np.mean(sound**2)) + 1e-15)


def _speech(voice: str, names: tuple[str, ...], seconds: float, dbfs: float) -> Wave:
    parts = [_prompt(path) for name in names if (path := _PROMPTS / voice / f"{name}.g722").exists()]
    if not parts:
        files = sorted(_SPOKEN.glob("*_*.wav"), reverse=voice == _NEAR[0])
        if not files:
            pytest.skip("no recorded speech: install asterisk-core-sounds-en-g722 or alsa-utils")
        parts = [_wav(path) for path in files]
    spoken = np.concatenate(parts)
    spoken = np.tile(spoken, math.ceil(seconds * RATE_HZ / spoken.size))[: round(seconds * RATE_HZ)]
    frames = spoken[: spoken.size // 960 * 960].reshape(-1, 960)
    loud = frames[np.sqrt(np.mean(frames**2, axis=1)) > 0.1 * np.sqrt(np.mean(frames**2))]
    return spoken * 10 ** ((dbfs - level(loud.ravel())) / 20)


def _prompt(path: Path) -> Wave:
    with av.open(str(path), format="g722") as container:
        frames = [frame.to_ndarray().ravel() for frame in container.decode(audio=0)]
    return resampled(np.concatenate(frames) / 32768.0, 16_000, RATE_HZ)


def _wav(path: Path) -> Wave:
    with wave.open(str(path)) as file:
        samples = np.frombuffer(file.readframes(file.getnframes()), "<i2").reshape(-1, file.getnchannels())[:, 0]
        return resampled(samples / 32768.0, file.getframerate(), RATE_HZ)
