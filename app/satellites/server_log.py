"""What a nats-server writes, made fit to be shown: no secrets, no control characters, and not more than can be read.

Strangers make it write lines (each failed handshake is one), so their number is bounded. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

MOST_AT_ONCE = 100
PER_SECOND = 5.0
MOST_SIGNS = 400
_LINE = re.compile(r"\[\d+\] [\d/]+ [\d:.]+ \[([A-Z]{3})\] (.*)", re.DOTALL)
_LEVELS = {"INF": "info", "DBG": "debug", "TRC": "debug", "WRN": "warning", "ERR": "error", "FTL": "error"}


@dataclass(frozen=True, slots=True)
class LogLine:
    """One line of the server's: `level` is debug, info, warning or error."""

    level: str
    words: str


class ServerLog:
    """Reads lines one by one; what comes too fast is counted and left out."""

    def __init__(self, secrets: Sequence[str] = ()) -> None:
        self.secrets = tuple(secrets)
        self._may = float(MOST_AT_ONCE)
        self._at: float | None = None
        self._left_out = 0

    def clean(self, data: bytes) -> LogLine:
        """Give a line as it may be shown."""
        text = data.decode("utf-8", "replace").rstrip("\r\n")
        for secret in sorted(self.secrets, key=len, reverse=True):
            text = text.replace(secret, "***")
        found = _LINE.match(text)
        level, words = (_LEVELS.get(found[1], "info"), found[2]) if found else ("error", text)
        words = "".join(sign if sign.isprintable() else " " for sign in words).strip()
        return LogLine(level, words[:MOST_SIGNS])

    def show(self, line: LogLine, now: float) -> list[LogLine]:
        """Give the lines to show: this one, or none of it for now, with a word on those that were left out."""
        if self._at is not None:
            self._may = min(MOST_AT_ONCE, self._may + (now - self._at) * PER_SECOND)
        self._at = now
        if self._may < 1.0:
            self._left_out += 1
            return []
        self._may -= 1.0
        left_out, self._left_out = self._left_out, 0
        return [LogLine("warning", f"{left_out} lines were left out"), line] if left_out else [line]
