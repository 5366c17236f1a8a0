"""How often a mission's PIN may be tried: a few digits must not be guessed by typing on."""

from __future__ import annotations

from collections import deque

from app.engine.errors import EngineError

MOST_TRIES = 5
WINDOW_S = 60.0
_MOST_MISSIONS = 256  # of which tries are remembered


class PinTries:
    """Wrong tries for each mission, by its id; five within a minute, then the person waits. The time is passed in."""

    def __init__(self) -> None:
        self._wrong: dict[str, deque[float]] = {}

    def check(self, mission_id: str, now: float) -> None:
        """EngineError with how long to wait when there were too many."""
        tries = self._wrong.get(mission_id)
        if tries is None:
            return
        while tries and tries[0] <= now - WINDOW_S:
            tries.popleft()
        if len(tries) >= MOST_TRIES:
            wait = max(1, round(tries[0] + WINDOW_S - now))
            raise EngineError(f"The PIN was wrong {MOST_TRIES} times: try again in {wait} s.")

    def wrong(self, mission_id: str, now: float) -> None:
        """Count a wrong try."""
        if mission_id not in self._wrong and len(self._wrong) >= _MOST_MISSIONS:
            del self._wrong[next(iter(self._wrong))]
        self._wrong.setdefault(mission_id, deque(maxlen=MOST_TRIES)).append(now)

    def right(self, mission_id: str) -> None:
        """Forget the tries of a mission whose PIN was given."""
        self._wrong.pop(mission_id, None)
