"""How much sound to keep queued in a speaker's device: little, more after it ran dry, and little again later. Pure.

A device takes its sound when it likes; what is queued in it is delay to the ear. So a block is filled as late as
possible: when only `target` is left in the device. How low the device had run each time shows how much later the thread
may wake up before something is heard of it: the target follows that, quick up and slow down.
"""

from __future__ import annotations

BLOCK_S = 0.010
START_S = 0.025  # with the block that is about to be written
LEAST_S = 0.018
SPARE_S = 0.004  # what should always be left when a block is written
STEP_UP_S = 0.010
STEP_DOWN_S = 0.001
LOOK_AT_BLOCKS = 500  # 5 s


class SpeakerPace:
    """One open device that holds at most `capacity_s` seconds of sound."""

    def __init__(self, capacity_s: float) -> None:
        self._most_s = max(LEAST_S, capacity_s)
        self.target_s = min(START_S, self._most_s)
        self.underruns = 0
        self._least_left_s = self._most_s
        self._blocks = 0

    def wait_s(self, queued_s: float) -> float:
        """How long the next block need not be written yet, where so much is queued."""
        return max(0.0, queued_s + BLOCK_S - self.target_s)

    def wrote(self, queued_s: float, *, ran_dry: bool) -> None:
        """A block was written when so much was left in the device."""
        if ran_dry:
            self.underruns += 1
            self.target_s = min(self._most_s, self.target_s + STEP_UP_S)
            self._begin_looking()
            return
        self._least_left_s = min(self._least_left_s, queued_s)
        self._blocks += 1
        if self._blocks >= LOOK_AT_BLOCKS:
            spare = self._least_left_s - SPARE_S
            if spare < 0:
                self.target_s = min(self._most_s, self.target_s - spare)
            elif spare > STEP_DOWN_S:
                self.target_s = max(LEAST_S, self.target_s - STEP_DOWN_S)
            self._begin_looking()

    def _begin_looking(self) -> None:
        self._least_left_s = self._most_s
        self._blocks = 0
