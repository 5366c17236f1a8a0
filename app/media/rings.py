"""Plays the tones of the phone: the ring until somebody answers, ringback, busy, the end of a call."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from app.media import outputs, tones
from app.media.sound_device import Block


class RingPlayer:
    """Plays one sound over and over, or once, through a speaker; never blocks its caller.

    `volume` is from 0 to 1, `device` a name from the device list ("" follows the system). Without a speaker nothing is
    heard and `problem` says so. `start` and `stop` may be called again and again, from one thread.
    """

    def __init__(
        self,
        volume: float = 0.8,
        device: str = "",
        *,
        sound: NDArray[np.int16] | None = None,
        repeat: bool = True,
    ) -> None:
        self._sound = tones.ring() if sound is None else sound
        self._volume = min(max(volume, 0.0), 1.0)
        self._device = device
        self._repeat = repeat
        self._playing: _Playing | None = None

    @property
    def problem(self) -> str | None:
        return self._playing.problem if self._playing is not None else None

    @property
    def playing(self) -> bool:
        """True from `start` until `stop`, or until a sound that is played once is over."""
        return self._playing is not None and not self._playing.over

    def start(self) -> None:
        """Begin from the beginning; nothing happens while it plays."""
        if self.playing:
            return
        self.stop()
        loud = tones.to_int16(self._sound / tones.FULL_SCALE * self._volume)
        self._playing = _Playing(loud, self._device, repeat=self._repeat)

    def stop(self) -> None:
        """Fall silent within 10 ms; the device is released in the background."""
        if self._playing is not None:
            self._playing.stop()
            self._playing = None


class _Playing:
    """One run of a sound, on the output that it shares with the calls."""

    def __init__(self, sound: NDArray[np.int16], device: str, *, repeat: bool) -> None:
        self.over = False
        self._sound = sound
        self._repeat = repeat
        self._position = 0
        self._output = outputs.join(device, self)

    @property
    def problem(self) -> str | None:
        return self._output.keeper.problem

    def stop(self) -> None:
        self._output.leave(self, wait=False)

    def pull(self, block: Block) -> None:
        """Runs in the device's thread."""
        indices = self._position + np.arange(block.size)
        self._position += block.size
        if self._repeat:
            block[:] = self._sound[indices % self._sound.size]
            return
        inside = indices < self._sound.size
        block[:] = np.where(inside, self._sound[np.minimum(indices, self._sound.size - 1)], 0)
        if self._position >= self._sound.size and not self.over:
            self.over = True
            self._output.leave(self, wait=False)

    def played(self, block: Block, delay_s: float) -> None:
        """What else is heard does not matter to it."""
