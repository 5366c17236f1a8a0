"""Follows how far the clocks of loudspeaker and microphone run apart, from how the echo slips against its model.

What the model leaves of an echo that comes a little early looks like the model's derivative. A Kalman filter with two
states, the slip and its growth, weighs each block by what it tells: little while the person speaks, or while the model
itself is being learned.
"""

from __future__ import annotations

MOST_DRIFT_PPM = 300.0
FIRST_PPM = 100.0  # as far apart as clocks are taken to be to begin with

_SLIP_WANDERS = 1e-4  # squared samples a step: the model is learned meanwhile
_DRIFT_WANDERS = 2e-10  # squared samples a step, a step
_NEVER_BETTER = 0.02  # squared samples
_TOO_SURE = 4.0  # neighbouring bins do not err independently
_MOST_SLIP = 3.0  # samples: beyond it a derivative says nothing
_PULL = 0.1  # of the slip, a step


class ClockFollower:
    """One step for each block of `block` samples."""

    def __init__(self, block: int) -> None:
        self._block = block
        self._drift = 0.0  # samples a step
        self._slip = 0.0
        self._slip_doubt, self._both_doubt = 1.0, 0.0
        self._drift_doubt = (FIRST_PPM * 1e-6 * block) ** 2
        self._left = 0.0  # of the drift, not yet followed

    @property
    def drift_ppm(self) -> float:
        """By how much faster than played the echo is heard."""
        return self._drift / self._block * 1e6

    @property
    def rate_ppm(self) -> float:
        """By how much faster to read what was played in the next block: the drift, and some of the slip."""
        return (self._drift + _PULL * self._slip) / self._block * 1e6

    def moved(self) -> None:
        """The way is another one: nothing is known of the slip, and the clocks are what they were."""
        self._slip, self._slip_doubt, self._both_doubt = 0.0, 1.0, 0.0

    def step(self, likeness: float, information: float, learned: float) -> None:
        """Take how alike what is left and the derivative are, what that weighs, and how much the model learns now."""
        self._slip -= _PULL * self._slip  # as it was read
        keep = 1.0 - learned
        self._slip *= keep
        self._slip_doubt = keep * keep * self._slip_doubt + 2 * keep * self._both_doubt + self._drift_doubt
        self._slip_doubt += _SLIP_WANDERS
        self._both_doubt = keep * self._both_doubt + self._drift_doubt
        self._drift_doubt += _DRIFT_WANDERS
        if information <= 0.0:
            return
        seen = max(-_MOST_SLIP, min(_MOST_SLIP, likeness / information))
        spread = self._slip_doubt + _TOO_SURE / information + _NEVER_BETTER
        off = seen - self._slip
        slip_gain, drift_gain = self._slip_doubt / spread, self._both_doubt / spread
        self._slip += slip_gain * off
        most = MOST_DRIFT_PPM * 1e-6 * self._block
        self._drift = max(-most, min(most, self._drift + drift_gain * off))
        self._drift_doubt -= drift_gain * self._both_doubt
        self._both_doubt *= 1 - slip_gain
        self._slip_doubt *= 1 - slip_gain
