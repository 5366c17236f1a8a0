"""Tells of changes soon, but of each thing no more than four times a second: the last state is never lost."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)

EVERY_S = 0.25
URGENT_S = 0.03  # what a person waits for, such as that the key has begun a burst; a stranger may cause it too


class Collated(Generic[K]):
    """Calls `tell(key)` on the loop, soon after `changed(key)`."""

    def __init__(self, tell: Callable[[K], None]) -> None:
        self._tell = tell
        self._told_at: dict[K, float] = {}
        self._waiting: dict[K, tuple[float, asyncio.TimerHandle]] = {}  # with when it is due

    def changed(self, key: K, *, urgent: bool = False) -> None:
        loop = asyncio.get_running_loop()
        at = max(loop.time(), self._told_at.get(key, float("-inf")) + (URGENT_S if urgent else EVERY_S))
        waiting = self._waiting.get(key)
        if waiting is not None:
            if waiting[0] <= at:
                return
            waiting[1].cancel()
        self._waiting[key] = at, loop.call_at(at, self._due, key)

    def forget(self, key: K) -> None:
        """Tell nothing more of what is gone."""
        self._told_at.pop(key, None)
        waiting = self._waiting.pop(key, None)
        if waiting is not None:
            waiting[1].cancel()

    def close(self) -> None:
        for key in list(self._waiting):
            self.forget(key)

    def _due(self, key: K) -> None:
        self._waiting.pop(key, None)
        self._told_at[key] = asyncio.get_running_loop().time()
        self._tell(key)
