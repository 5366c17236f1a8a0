"""Tells of changes at once, but of each thing no more than four times a second: the last state is never lost."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)

EVERY_S = 0.25


class Collated(Generic[K]):
    """Calls `tell(key)` on the loop, soon after `changed(key)`."""

    def __init__(self, tell: Callable[[K], None], every_s: float = EVERY_S) -> None:
        self._tell = tell
        self._every_s = every_s
        self._told_at: dict[K, float] = {}
        self._waiting: dict[K, asyncio.TimerHandle] = {}

    def changed(self, key: K) -> None:
        if key not in self._waiting:
            loop = asyncio.get_running_loop()
            at = max(loop.time(), self._told_at.get(key, float("-inf")) + self._every_s)
            self._waiting[key] = loop.call_at(at, self._due, key)

    def forget(self, key: K) -> None:
        """Tell nothing more of what is gone."""
        self._told_at.pop(key, None)
        timer = self._waiting.pop(key, None)
        if timer is not None:
            timer.cancel()

    def close(self) -> None:
        for key in list(self._waiting):
            self.forget(key)

    def _due(self, key: K) -> None:
        self._waiting.pop(key, None)
        self._told_at[key] = asyncio.get_running_loop().time()
        self._tell(key)
