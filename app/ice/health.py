"""Which servers were silent a moment ago: they are asked again, but nobody waits for them. Pure."""

from __future__ import annotations

from collections.abc import Hashable

SILENT_FOR_S = 120.0  # how long one silence is held against a server
MAX_KNOWN = 128


class ServerHealth:
    """A short memory of silent servers; what names a server is the owner's matter."""

    def __init__(self) -> None:
        self._until: dict[Hashable, float] = {}

    def silent(self, server: Hashable, now: float) -> None:
        self._until.pop(server, None)
        while len(self._until) >= MAX_KNOWN:
            del self._until[next(iter(self._until))]
        self._until[server] = now + SILENT_FOR_S

    def answered(self, server: Hashable) -> None:
        self._until.pop(server, None)

    def is_silent(self, server: Hashable, now: float) -> bool:
        return now < self._until.get(server, float("-inf"))

    def forget(self) -> None:
        """Forget everything: another network is another chance."""
        self._until.clear()
