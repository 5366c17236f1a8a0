"""What strangers send that means nothing: counted, and told in the log so that a flood cannot fill it.

Pure. Any package may use it; only the first, the tenth, the hundredth… are told.
"""

from __future__ import annotations

import logging

CUT = 160


class Noise:
    """Counts dropped packets of one port. `what` names them in the plural, e.g. "SIP messages"."""

    def __init__(self, log: logging.Logger, what: str) -> None:
        self.count = 0
        self._log = log
        self._what = what
        self._tell_at = 1

    def add(self, source: object, why: object) -> None:
        """Count one; `why` may quote what was sent."""
        self.count += 1
        if self.count >= self._tell_at:
            self._tell_at *= 10
            words = "".join(char if char.isprintable() else " " for char in str(why))[:CUT]
            self._log.info("%d %s dropped so far, the last from %s: %s", self.count, self._what, source, words)
