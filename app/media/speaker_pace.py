"""How much sound to keep queued in a speaker's device: little, more after it ran dry, and little again later. Pure.

A device takes its sound when it likes; what is queued in it is delay to the ear. So a block is filled as late as
possible: when only `target` is left in the device. How low the device had run each time shows how much later the thread
may wake up before something is heard of it: the target follows that, quick up and slow down.

A sound server takes its sound in steps of 10 ms or so: what is queued stands still in between, and looking at it again
and again costs more than decoding. So the next step is foreseen from those before.
"""

from __future__ import annotations

import math

BLOCK_S = 0.020
START_S = 0.035  # with the block that is about to be written
LEAST_S = 0.028
MOST_BLOCKED_S = 0.010  # writing may wait for room for so long, where nothing less keeps the device from running dry
SPARE_S = 0.004  # what should always be left when a block is written
STEP_UP_S = 0.010
STEP_DOWN_S = 0.001
LOOK_AT_BLOCKS = 250  # 5 s
LOOK_S = 0.001  # between looks while a step is overdue
JUMP_S = 0.003  # more fell than time has passed between two looks: the device takes its sound in steps
ALIKE_S = 0.0005  # steps are of one size, to this
TRUSTED_STEPS = 200  # in which nobody looks in between
EARLIER_S = 0.0001  # each look a little earlier, until it is too early: so that none stays late


class SpeakerPace:
    """One open device that holds at most `capacity_s` seconds of sound."""

    def __init__(self, capacity_s: float) -> None:
        self._most_s = max(LEAST_S, capacity_s + MOST_BLOCKED_S)
        self.target_s = min(START_S, self._most_s)
        self.underruns = 0
        self._least_left_s = self._most_s
        self._blocks = 0
        self._steps = _Steps()

    def asleep_s(self, now: float) -> float:
        """How long it is not even worth a look at what is queued, which costs as much as decoding; 0: look now."""
        return self._steps.asleep_s(now, self.target_s - BLOCK_S)

    def wait_s(self, queued_s: float, now: float) -> float:
        """How long the next block need not be written yet, where so much is queued now; 0: it is due.

        Ask again after that time: how long a device takes is not known to the millisecond.
        """
        self._steps.look(queued_s, now)
        surplus_s = queued_s + BLOCK_S - self.target_s
        if surplus_s <= 0:
            return 0.0
        return max(LOOK_S, self._steps.wait_s(now, surplus_s))

    def wrote(self, queued_s: float, *, ran_dry: bool) -> None:
        """A block was written when so much was left in the device."""
        self._steps.wrote()
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

    def rested(self) -> None:
        """What is queued is of no more interest: the device was given silence in large pieces."""
        self._steps = _Steps()
        self._begin_looking()

    def _begin_looking(self) -> None:
        self._least_left_s = self._most_s
        self._blocks = 0


class _Steps:
    """When a device that takes its sound in steps takes the next one, as far as looks at what is queued tell."""

    def __init__(self) -> None:
        self._stood_still = False  # between two looks, lately
        self._size_s = 0.0  # of the last step that was seen
        self._trusted = 0  # so many more may be foreseen
        self._next_at = 0.0
        self._queued_s: float | None = None
        self._looked_at = 0.0

    def look(self, queued_s: float, now: float) -> None:
        """Take what is queued at this moment."""
        before_s, looked_at = self._queued_s, self._looked_at
        self._queued_s, self._looked_at = queued_s, now
        if before_s is None:
            return
        fell_s, passed_s = before_s - queued_s, now - looked_at
        if fell_s < ALIKE_S:
            self._stood_still = self._stood_still or passed_s > ALIKE_S * 1.5
            return
        steps = max(1, round(fell_s / self._size_s)) if self._size_s else 1
        is_alike = abs(fell_s - steps * self._size_s) < ALIKE_S
        if fell_s > passed_s + JUMP_S:
            self._trusted = 0 if not is_alike else self._trusted - 1 if self._trusted else TRUSTED_STEPS
            self._size_s = fell_s / steps if is_alike else fell_s
            self._next_at = (now if passed_s <= 2 * LOOK_S else looked_at) + self._size_s
        else:
            self._stood_still = self._stood_still and is_alike
            self._trusted = self._trusted - 1 if is_alike and self._trusted else 0
            self._next_at = max(now, self._next_at + steps * self._size_s - EARLIER_S)

    def wrote(self) -> None:
        """A block was added to what is queued."""
        if self._queued_s is not None:
            self._queued_s += BLOCK_S

    def asleep_s(self, now: float, least_s: float) -> float:
        """How long until no more than that is left, where that can be foreseen; else 0."""
        if not self._trusted or self._queued_s is None or self._queued_s <= least_s:
            return 0.0
        return max(0.0, self.wait_s(now, self._queued_s - least_s))

    def wait_s(self, now: float, surplus_s: float) -> float:
        """How long until so much has been taken, or the next step."""
        if self._trusted:
            more = max(0, math.ceil((surplus_s - ALIKE_S) / self._size_s) - 1)  # steps after the next one
            return self._next_at - now + more * self._size_s
        return LOOK_S if self._stood_still else surplus_s
