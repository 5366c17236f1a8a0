"""Echo cancellation as a whole: what was played is brought in step, modelled, taken out, and its rest turned down."""

from __future__ import annotations

import math
from collections import deque

import numpy as np
from numpy.typing import NDArray

from app.media.echo_filter import EchoFilter, Floats
from app.media.echo_reference import FRAME, EchoReference, slipped
from app.media.echo_residual import DELAY_SAMPLES, ResidualSuppressor

DELAY_S = DELAY_SAMPLES / 48_000
_QUIET_STEPS = 25  # half a second after the far end fell silent nothing of it is left in the room
_MEMORY = 0.99
_NO_TALK = 0.05
_DOUBTFUL = 0.12  # see EchoFilter.wrong; a model that still learns may come near it
_WRONG = 0.2
_LOOKED_AT = 16  # steps in which a slip is looked for,
_LOOK_EVERY = 3  # … this often,
_SAME = 4  # samples that two looks may differ by
_PATIENCE_STEPS = 25  # without one the way must be another,
_HOLD_STEPS = 75  # … which then is learned undisturbed for so long
_HEARD = 1e-6  # mean square of an echo that counts


class EchoCanceller:
    """`played` runs on the speaker's thread, `process` on the microphone's, in frames of 20 ms."""

    def __init__(self) -> None:
        self.reference = EchoReference()
        self._filter = EchoFilter()
        self._residual = ResidualSuppressor()
        self._silent_steps = _QUIET_STEPS
        self._heard = self._left = 0.0
        self._share = 1.0  # of the modelled echo that is taken out
        self._recent: deque[tuple[Floats, Floats]] = deque(maxlen=_LOOKED_AT)
        self._wrong_steps = self._since_anew = 0
        self._slip: int | None = None

    @property
    def drift_ppm(self) -> float:
        """By how much faster the microphone's clock runs than the speaker's."""
        return -self._filter.clocks.drift_ppm

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
        played, moved = self.reference.step(frame, heard_from_s, self._filter.clocks.rate_ppm)
        if moved:
            self._filter.look_back(self.reference.past(FRAME))
            self._filter.forget()
            self._residual.distrust()
        self._silent_steps = 0 if played.any() else self._silent_steps + 1
        if self._silent_steps >= _QUIET_STEPS:
            return self._residual.step(frame, np.zeros(FRAME, np.float32))
        step = self._filter.step(played, frame)
        echo = step.echo
        cleaned = self._residual.step(self._without(echo, frame, step.left), echo)
        self._recent.append((frame, echo))
        self._set_right()
        if self._residual.talk < _NO_TALK and float(np.dot(echo, echo)) > _HEARD * FRAME:
            self._heard = _MEMORY * self._heard + float(np.dot(frame, frame))
            self._left = _MEMORY * self._left + float(np.dot(cleaned, cleaned))
        return cleaned

    def _without(self, echo: Floats, frame: Floats, left: Floats) -> Floats:
        """Take the modelled echo out, unless that adds more than it takes."""
        before, self._share = self._share, 0.0 if self._filter.wrong > _WRONG else 1.0
        if before == self._share == 1.0:
            return left
        return frame - echo * np.linspace(before, self._share, FRAME, dtype=np.float32)

    def _set_right(self) -> None:
        """Where the model adds more echo than it takes, find out why."""
        self._since_anew += 1
        if self._filter.wrong < _DOUBTFUL:
            self._wrong_steps, self._slip = max(0, self._wrong_steps - 1), None
            return
        if self._filter.wrong > _WRONG:
            self._residual.distrust()
        self._wrong_steps += 1
        if self._wrong_steps > _PATIENCE_STEPS and self._since_anew > _HOLD_STEPS:
            self._filter.doubt_again()
            self._residual.distrust()
            self._wrong_steps = self._since_anew = 0
        elif self._wrong_steps % _LOOK_EVERY == 0 and len(self._recent) == _LOOKED_AT:
            heard, echo = (np.concatenate(parts) for parts in zip(*self._recent, strict=True))
            before, self._slip = self._slip, slipped(heard, echo)
            if self._slip is None or before is None or abs(self._slip - before) > _SAME or abs(self._slip) <= _SAME:
                return
            if self.reference.shift(self._slip):
                self._filter.look_back(self.reference.past())
                self._filter.clocks.moved()
                self._wrong_steps, self._slip = 0, None
