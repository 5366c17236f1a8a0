"""When to look whether a microphone has filled the next 20 ms: once for each of them, just after it has. Pure.

A read that waits in PortAudio wakes up at each piece that the device brings, which costs more than all that is done
with the sound. So the time is slept through that the sound itself takes. A device brings it in pieces, so that may be
too early, and the read waits for what is missing; it is hardly later than the thread wakes up late.
"""

from __future__ import annotations

FRAME_S = 0.020
EARLIER_S = 0.00002  # a look that found everything may have been this late: so that none stays late


class MicrophonePace:
    """One open device."""

    def __init__(self) -> None:
        self._due: float | None = None

    def wait_s(self, now: float) -> float:
        """How long the next 20 ms take at least; 0: look now."""
        return max(0.0, self._due - now) if self._due is not None else 0.0

    def read(self, left_s: float, now: float, *, waited: bool) -> None:
        """20 ms were read, and so much more is there; `waited`: not all of it was there at once."""
        filled_at = now if waited or self._due is None else min(now, self._due - EARLIER_S)
        since_s = now - filled_at  # it goes on coming
        self._due = filled_at + FRAME_S - max(0.0, left_s - since_s)
