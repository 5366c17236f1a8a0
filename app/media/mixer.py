"""Adding sounds up for one device: volumes that move without a click, and loudness that never wraps. Pure.

All sound is 48 kHz mono int16.
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
    """One sound's volume: 1 leaves it alone, more may be limited. A change takes 10 ms, the beginning too."""

    def __init__(self) -> None:
        self._now = 0.0
        self._limiter = Limiter()

    @property
    def is_silent(self) -> bool:
        return self._now == 0.0

    def shape(self, sound: Sound, volume: float) -> Sound | _Floats:
        """Give the sound at a volume; it may be louder than full scale then."""
        before, self._now = self._now, volume
        if before == volume:
            return sound if volume == 1.0 else sound * np.float32(volume)
        shaped = sound * np.float32(volume)
        count = min(RAMP_SAMPLES, len(sound))
        shaped[:count] = sound[:count] * (before + (volume - before) * _STEPS[:count])
        return shaped

    def apply(self, sound: Sound, volume: float) -> Sound:
        """Give the sound at a volume, limited."""
        shaped = self.shape(sound, volume)
        if shaped.dtype == np.int16 and self._limiter.is_idle:
            return sound
        return self._limiter.apply(shaped.astype(np.float32, copy=False))
