"""When a server that died is started again, and when it is given up. Pure."""

from __future__ import annotations

FIRST_PAUSE_S = 0.2
MOST_PAUSE_S = 30.0
STEADY_S = 60.0  # who ran as long as this begins anew
MOST_IN_A_ROW = 10


class Restarts:
    """Counts the deaths of one server that each came soon after its start."""

    def __init__(self) -> None:
        self._in_a_row = 0

    def died(self, lived_s: float) -> float | None:
        """Give the pause in seconds before the next start; None when there is to be none."""
        if lived_s >= STEADY_S:
            self._in_a_row = 0
        self._in_a_row += 1
        if self._in_a_row > MOST_IN_A_ROW:
            return None
        return min(MOST_PAUSE_S, FIRST_PAUSE_S * 2.0 ** (self._in_a_row - 1))
