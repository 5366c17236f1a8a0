"""Deadlines on a virtual clock, and the timer values of RFC 3261 table 4 (appendix A).

Pure: the time is handed in; nothing here sleeps.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from itertools import count


@dataclass(frozen=True, slots=True)
class Timers:
    """The base values, in seconds; everything else is derived from them."""

    t1_s: float = 0.5  # estimate of the round trip
    t2_s: float = 4.0  # longest interval between retransmissions of a non-INVITE request or a response
    t4_s: float = 5.0  # how long a message can stay in the network
    trying_s: float = 0.2  # after this a UAS says 100 (section 17.2.1)

    @property
    def timeout_s(self) -> float:
        """64*T1: timers B, F, H, L, M, J, and the life of an unacknowledged 2xx or reliable 1xx."""
        return 64 * self.t1_s


@dataclass(slots=True)
class TimerQueue:
    """Callbacks by key, each due at a time. Setting a key again moves it; the callback gets the time `now`."""

    _heap: list[tuple[float, int, Hashable]] = field(default_factory=list)
    _live: dict[Hashable, tuple[int, Callable[[float], object]]] = field(default_factory=dict)
    _serial: count[int] = field(default_factory=count)

    def set(self, key: Hashable, at: float, call: Callable[[float], object]) -> None:
        serial = next(self._serial)
        self._live[key] = (serial, call)
        heapq.heappush(self._heap, (at, serial, key))
        if len(self._heap) > 64 and len(self._heap) > 4 * len(self._live):
            self._compact()

    def cancel(self, key: Hashable) -> None:
        self._live.pop(key, None)

    def __contains__(self, key: Hashable) -> bool:
        return key in self._live

    def next(self) -> float | None:
        """When the next deadline is; None when there is none."""
        self._drop_dead()
        return self._heap[0][0] if self._heap else None

    def run_due(self, now: float) -> None:
        """Call everything due at `now`, oldest first; a callback may set and cancel timers."""
        while True:
            self._drop_dead()
            if not self._heap or self._heap[0][0] > now:
                return
            _, _, key = heapq.heappop(self._heap)
            _, call = self._live.pop(key)
            call(now)

    def _is_live(self, serial: int, key: Hashable) -> bool:
        entry = self._live.get(key)
        return entry is not None and entry[0] == serial

    def _drop_dead(self) -> None:
        while self._heap and not self._is_live(self._heap[0][1], self._heap[0][2]):
            heapq.heappop(self._heap)

    def _compact(self) -> None:
        self._heap = [item for item in self._heap if self._is_live(item[1], item[2])]
        heapq.heapify(self._heap)
