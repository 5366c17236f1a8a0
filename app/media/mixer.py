"""Adding sounds up for one device: volumes that move without a click, and loudness that never wraps. Pure.

All sound is 48 kHz int16, mono, or as two halves where sounds are placed between left and right: the middle, which is
what mono is, and the side, by which left is louder and right is softer than that. A side that is None is silence.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Sound = npt.NDArray[np.int16]
_Floats = npt.NDArray[np.float32]

CEILING = 32_000.0  # samples: nothing gets louder
RAMP_SAMPLES = 480  # 10 ms: how long a change of volume takes
ATTACK_SAMPLES = 48  # 1 ms
RELEASE_A_SAMPLE = 1 / 24_000  # of the gain: back from nothing in half a second

_STEPS: _Floats = np.linspace(1 / RAMP_SAMPLES, 1.0, RAMP_SAMPLES, dtype=np.float32)


class Limiter:
    """Turns everything down for as long as something is too loud, within a millisecond, and slowly up again."""

    def __init__(self) -> None:
        self._gain = 1.0

    @property
    def is_idle(self) -> bool:
        """True while it changes nothing."""
        return self._gain == 1.0

    def apply(self, sound: _Floats) -> Sound:
        """Give the next piece (at least 1 ms) as samples."""
        peak = max(float(sound.max()), -float(sound.min()), 1.0)
        wanted = min(1.0, CEILING / peak)
        before = self._gain
        if wanted == before == 1.0:
            return np.rint(sound).astype(np.int16)
        self._gain = wanted if wanted <= before else min(wanted, before + len(sound) * RELEASE_A_SAMPLE)
        gains = np.full(len(sound), self._gain, np.float32)
        if self._gain < before:
            gains[:ATTACK_SAMPLES] = np.linspace(before, self._gain, ATTACK_SAMPLES, dtype=np.float32)
        else:
            gains = np.linspace(before, self._gain, len(sound), dtype=np.float32)
        limited: Sound = np.rint(np.clip(sound * gains, -CEILING, CEILING)).astype(np.int16)
        return limited


class Volume:
    """One sound's volume: 1 leaves it alone, more may be limited. A change takes 10 ms, that from `now` too."""

    def __init__(self, now: float = 0.0) -> None:
        self._now = now
        self._limiter = Limiter()

    @property
    def is_silent(self) -> bool:
        return self._now == 0.0

    @property
    def is_full(self) -> bool:
        return self._now == 1.0

    def shape(self, sound: Sound, volume: float) -> Sound | _Floats:
        """Give the sound, shape (samples,) or (samples, channels), at a volume; it may exceed full scale then."""
        before, self._now = self._now, volume
        if before == volume:
            return sound if volume == 1.0 else sound * np.float32(volume)
        shaped = sound * np.float32(volume)
        count = min(RAMP_SAMPLES, len(sound))
        gains = before + (volume - before) * _STEPS[:count]
        shaped[:count] = sound[:count] * (gains if sound.ndim == 1 else gains[:, None])
        return shaped

    def apply(self, sound: Sound, volume: float) -> Sound:
        """Give the sound at a volume, limited."""
        shaped = self.shape(sound, volume)
        if shaped.dtype == np.int16 and self._limiter.is_idle:
            return sound
        return self._limiter.apply(shaped.astype(np.float32, copy=False))


class Place:
    """Where between left and right one sound is heard; in the middle at first. A change takes 10 ms."""

    def __init__(self) -> None:
        self._left, self._right = Volume(1.0), Volume(1.0)

    @property
    def is_middle(self) -> bool:
        return self._left.is_full and self._right.is_full

    def shape(self, sound: Sound, pan: float) -> _Floats:
        """Give left and right, shape (samples, 2); `pan` -1 is left alone, 0 both as loud as mono, 1 right alone."""
        left = self._left.shape(sound, min(1.0, 1.0 - pan))
        right = self._right.shape(sound, min(1.0, 1.0 + pan))
        return np.stack((left, right), axis=1).astype(np.float32, copy=False)


def limited_halves(wide: _Floats, limiter: Limiter) -> tuple[Sound, Sound]:
    """Give middle and side of left and right, shape (samples, 2), both turned down alike while one is too loud."""
    limited = limiter.apply(wide.reshape(-1)).reshape(-1, 2).astype(np.int32)
    left, right = limited[:, 0], limited[:, 1]
    return ((left + right) // 2).astype(np.int16), ((left - right) // 2).astype(np.int16)


def to_channels(middle: Sound, side: Sound | None, channels: int) -> Sound:
    """Give what a device with so many channels plays, interleaved: the first two are left and right."""
    if channels == 1:
        return middle
    if side is None:
        return np.repeat(middle, channels)
    wide = np.repeat(middle[:, None].astype(np.int32), channels, axis=1)
    wide[:, 0] += side
    wide[:, 1] -= side
    played: Sound = np.clip(wide, -32_768, 32_767).astype(np.int16).reshape(-1)
    return played
