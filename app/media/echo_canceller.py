"""Echo cancellation as a whole: what was played is brought in step, modelled, taken out, and its rest turned down."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from app.media.echo_filter import BLOCK, EchoFilter, Floats
from app.media.echo_reference import FRAME, EchoReference
from app.media.echo_residual import DELAY_SAMPLES, ResidualSuppressor

DELAY_S = DELAY_SAMPLES / 48_000
_QUIET_STEPS = 25  # half a second after the far end fell silent nothing of it is left in the room
_MEMORY = 0.995
_NO_TALK = 0.05
_HEARD = 1e-6  # mean square of an echo that counts


class EchoCanceller:
    """`played` runs on the speaker's thread, `process` on the microphone's, in frames of 20 ms."""

    def __init__(self) -> None:
        self.reference = EchoReference()
        self._filter = EchoFilter()
        self._residual = ResidualSuppressor()
        self._silent_steps = _QUIET_STEPS
        self._heard = self._left = 0.0

    @property
    def drift_ppm(self) -> float:
        """By how much faster the microphone's clock runs than the speaker's."""
        return -self._filter.drift_ppm

    @property
    def erle_db(self) -> float | None:
        """How much quieter the echo became lately (echo return loss enhancement), speech of this side left aside.

        None while there was no echo.
        """
        if self._heard <= 0.0 or self._left <= 0.0:
            return None
        return 10.0 * math.log10(self._heard / self._left)

    def played(self, block: NDArray[np.int16], heard_at_s: float) -> None:
        """Take what will be heard from `heard_at_s` on; any whole number of samples at 48 kHz."""
        self.reference.line.played(block, heard_at_s)

    def process(self, frame: Floats, heard_from_s: float) -> Floats:
        """Take the echo out of 960 samples from -1 to 1 that were heard from `heard_from_s` on; `DELAY_S` later."""
        played, is_new = self.reference.step(frame, heard_from_s, self._filter.drift_ppm)
        if is_new:
            self._filter.forget()
            self._residual.forget()
        self._silent_steps = 0 if played.any() else self._silent_steps + 1
        if self._silent_steps >= _QUIET_STEPS:
            return self._residual.step(frame, np.zeros(FRAME, np.float32))
        parts = [slice(at, at + BLOCK) for at in range(0, FRAME, BLOCK)]
        steps = [self._filter.step(played[part], frame[part]) for part in parts]
        left = np.concatenate([step.left for step in steps])
        echo = np.concatenate([step.echo for step in steps])
        cleaned = self._residual.step(left, echo)
        if self._residual.talk < _NO_TALK and float(np.dot(echo, echo)) > _HEARD * FRAME:
            self._heard = _MEMORY * self._heard + float(np.dot(frame, frame))
            self._left = _MEMORY * self._left + float(np.dot(cleaned, cleaned))
        return cleaned
