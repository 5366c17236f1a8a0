"""What a command prints: lines for people, or JSON lines for scripts; errors go to stderr."""

from __future__ import annotations

import json
import sys
import time
from typing import Any


class Console:
    """stdout of one command. With `as_json` it carries JSON lines only."""

    def __init__(self, started_at: float, *, as_json: bool) -> None:
        self._started_at = started_at
        self.as_json = as_json

    @property
    def now(self) -> float:
        """Seconds since the command started."""
        return time.monotonic() - self._started_at

    def event(self, name: str, words: str, **facts: Any) -> None:
        """Something happened: `words` for a person, the name and the facts for a script."""
        if self.as_json:
            self._line({"event": name, "at": round(self.now, 4), **facts})
        elif words:
            print(f"{self.now:8.3f}  {words}", flush=True)

    def report(self, report: dict[str, Any], words: str) -> None:
        """The last line of the command."""
        if self.as_json:
            self._line({"report": report})
        elif words:
            print(words, flush=True)

    def error(self, sentence: str) -> None:
        print(f"parley: {sentence}", file=sys.stderr, flush=True)

    def _line(self, value: dict[str, Any]) -> None:
        print(json.dumps(value, ensure_ascii=False), flush=True)
