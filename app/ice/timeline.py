"""The time line of a path: each decision of the agent as one line for a person, kept within bounds.

Pure: the owner hands in each event with the time. Checks are kept apart from decisions, so that a path on which a
hundred pairs are tried again and again still tells how it began.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable
from typing import Any

from app.events import IceMoment, MomentKind, PairState
from app.ice import events as said
from app.ice.candidates import Candidate

MAX_DECISIONS = 300
MAX_CHECKS = 300
_CHECKS = frozenset({MomentKind.CHECK, MomentKind.ANSWER})

Told = tuple[MomentKind, str]
"""What an event is about, and the line for it."""


class Timeline:
    """The moments of one session; `generation` counts the restarts before it, `zero` is the clock's start."""

    def __init__(self, zero: float, generation: int = 0) -> None:
        self.generation = generation
        self._zero = zero
        self._decisions: deque[IceMoment] = deque(maxlen=MAX_DECISIONS)
        self._checks: deque[IceMoment] = deque(maxlen=MAX_CHECKS)
        self._taken = 0
        self._moments: tuple[IceMoment, ...] | None = ()

    def take(self, event: said.IceEvent, now: float) -> None:
        """Write down what an event tells; some tell nothing that is worth a line."""
        words = _WORDS.get(type(event))
        told = None if words is None else words(event)
        if told is None:
            return
        self._add(
            IceMoment(
                at=now - self._zero,
                kind=told[0],
                text=told[1],
                flow=getattr(event, "flow", None) or getattr(event, "stream", None),
                local=_place(getattr(event, "local", None)),
                remote=_place(getattr(event, "remote", None)),
                rtt_s=getattr(event, "rtt_s", None),
                generation=self.generation,
            )
        )

    def absorb(self, earlier: Timeline) -> None:
        """Take over what an earlier generation's time line holds."""
        moments = list(heapq.merge(self.moments, earlier.moments, key=_at))
        taken = self._taken + earlier._taken
        self._decisions.clear()
        self._checks.clear()
        for moment in moments:
            self._add(moment)
        self._taken = taken

    def _add(self, moment: IceMoment) -> None:
        (self._checks if moment.kind in _CHECKS else self._decisions).append(moment)
        self._taken += 1
        self._moments = None

    @property
    def moments(self) -> tuple[IceMoment, ...]:
        """What is kept, oldest first; the same tuple until something new happens."""
        if self._moments is None:
            self._moments = tuple(heapq.merge(self._decisions, self._checks, key=_at))
        return self._moments

    @property
    def dropped(self) -> int:
        """How many moments had to make room."""
        return self._taken - len(self._decisions) - len(self._checks)


def _at(moment: IceMoment) -> float:
    return moment.at


def _place(candidate: Candidate | None) -> str | None:
    if candidate is None:
        return None
    host = f"[{candidate.address}]" if ":" in candidate.address else candidate.address
    return f"{candidate.type} {host}:{candidate.port}" + (
        "" if candidate.protocol == "udp" else f"/{candidate.protocol}"
    )


# Words ----------------------------------------------------------------------------------------------------


def _pair_changed(event: said.PairChanged) -> Told | None:
    reason = f": {event.reason}" if event.reason else ""
    if event.state is PairState.SUCCEEDED:
        return MomentKind.WORKS, "This way works"
    if event.state is PairState.FAILED:
        return MomentKind.FAILED_PAIR, f"This way does not work{reason}"
    if event.state is PairState.IN_PROGRESS:
        return None  # the check itself tells
    return MomentKind.PAIR, f"A way to try{reason}"


_WORDS: dict[type, Callable[[Any], Told | None]] = {
    said.Gathered: lambda event: (MomentKind.GATHERED, "Every server has answered or had its time"),
    said.PairChanged: _pair_changed,
    said.Nominated: lambda event: (MomentKind.NOMINATED, "This way is taken"),
    said.Completed: lambda event: (MomentKind.COMPLETED, "Both sides have agreed on the path"),
    said.Interrupted: lambda event: (MomentKind.INTERRUPTED, "The other side is silent: the path is interrupted"),
    said.Recovered: lambda event: (MomentKind.RECOVERED, "The other side is heard again"),
    said.Failed: lambda event: (MomentKind.FAILED, event.reason),
}
