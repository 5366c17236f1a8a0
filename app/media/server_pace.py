"""How much sound to keep queued at a sound server: little, more after it ran dry, and little again later. Pure.

The server says each time when it has taken 20 ms. It takes its sound in steps; what it cannot do without is one step
and the 20 ms that it asks for: with that in the queue after a block was written, whoever writes has a whole step for
the next one. After it ran dry more is kept; after a while without that, 10 ms are taken out again.

PipeWire may take longer steps than it says. What is left of less than a step it does not play, and it asks for nothing
before there is more.

Where a server gives less room than that, a block is queued when it has nothing more, and no less than it begins with.
"""

from __future__ import annotations

from app.media.sound_device import BLOCK_S

STEP_UP_S = 0.010
QUIET_S = 30.0  # without running dry, until less is tried again
MOST_QUIET_S = 480.0
_SAME_S = 0.0005


class ServerPace:
    """One open stream whose queue has so much room: two blocks more than a step of the server.

    `begins_at_s`: the server plays nothing before so much is queued.
    """

    def __init__(self, room_s: float, begins_at_s: float = BLOCK_S) -> None:
        self.underruns = 0
        self._room_s = room_s
        self._begins_at_s = begins_at_s
        self._more_s = self._least_more_s = 0.0
        self._quiet_s = QUIET_S
        self._quiet_until = 0.0

    @property
    def level_s(self) -> float:
        """How much is to be queued when a block was written."""
        wanted_s = min(self._room_s, self._room_s - BLOCK_S + self._more_s)
        return max(wanted_s, self._begins_at_s, BLOCK_S)

    @property
    def most_s(self) -> float:
        """With more than this queued no block is due, while something is played."""
        return self.level_s + _SAME_S - BLOCK_S

    def resize(self, room_s: float, begins_at_s: float = BLOCK_S) -> None:
        """The stream is at another device now, with other steps: what was learned of the one before says nothing."""
        self._room_s, self._begins_at_s = room_s, begins_at_s
        self._more_s = self._least_more_s = 0.0
        self._quiet_s = QUIET_S

    def is_due(self, queued_s: float, *, begins: bool) -> bool:
        """Whether a block is to be written while so much is queued; `begins`: the server plays nothing now."""
        return queued_s <= (max(self._room_s + _SAME_S - BLOCK_S, self.most_s) if begins else self.most_s)

    def padding_s(self, queued_s: float) -> float:
        """How much silence to write before what is played first, so that whole blocks reach the level."""
        level_s = self.level_s
        return 0.0 if queued_s > _SAME_S else max(0.0, level_s - int((level_s + _SAME_S) / BLOCK_S) * BLOCK_S)

    def began(self, now: float) -> None:
        """Something is played again after a pause: its first moments say nothing of the machine."""
        self._quiet_until = now + self._quiet_s

    def ran_dry(self, queued_s: float, now: float) -> None:
        """The server had nothing to play, or no more than that."""
        self.underruns += 1
        if queued_s > _SAME_S:  # its step is longer
            self._least_more_s = max(0.0, min(BLOCK_S, queued_s + 2 * BLOCK_S - self._room_s + STEP_UP_S))
        if self._more_s == self._least_more_s and self.underruns > 1:
            self._quiet_s = min(MOST_QUIET_S, 2 * self._quiet_s)  # less was tried, and too early
        self._more_s = max(self._least_more_s, min(BLOCK_S, self._more_s + STEP_UP_S))
        self._quiet_until = now + self._quiet_s

    def shortens(self, now: float) -> bool:
        """Whether the next block is to be 10 ms shorter."""
        if self._more_s <= self._least_more_s or now < self._quiet_until:
            return False
        self._more_s = max(self._least_more_s, self._more_s - STEP_UP_S)
        self._quiet_until = now + self._quiet_s
        return True
