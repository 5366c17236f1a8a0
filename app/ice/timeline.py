"""The time line of a path: each decision of the agent as one line for a person, kept within bounds.

Pure: the owner hands in each event with the time. Checks are kept apart from decisions, so that a path on which a
hundred pairs are tried again and again still tells how it began.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable
from typing import Any

from app.events import CandidateType, IceMoment, MomentKind, PairState
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
                flow=getattr(event, "flow", None),
                local=_place(getattr(event, "local", None) or getattr(event, "candidate", None)),
                remote=_place(getattr(event, "remote", None)),
                rtt_s=getattr(event, "rtt_s", None),
                generation=self.generation,
            )
        )

    def with_next(self, coming: Timeline) -> tuple[tuple[IceMoment, ...], int]:
        """Give what is kept here and in the generation that is being made, and how much had to make room."""
        return tuple(heapq.merge(self.moments, coming.moments, key=_at)), self.dropped + coming.dropped

    def absorb(self, other: Timeline) -> None:
        """Take over what another generation's time line holds: one that was replaced, or one that came to nothing."""
        moments = list(heapq.merge(self.moments, other.moments, key=_at))
        taken = self._taken + other._taken
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

_FOUND = {
    CandidateType.HOST: "An address of this machine was found",
    CandidateType.SRFLX: "A server tells how it sees this machine",
    CandidateType.PRFLX: "The other side tells how it sees this machine",
    CandidateType.RELAY: "A server lends an address",
}


_OVER_TCP = {"active": "This machine can connect over TCP", "passive": "This machine takes connections over TCP"}


def _gathered(event: said.CandidateGathered) -> Told:
    candidate = event.candidate
    over_tcp = None if candidate.protocol == "udp" else _OVER_TCP.get(dict(candidate.extensions).get("tcptype", ""))
    return MomentKind.CANDIDATE, over_tcp or _FOUND[candidate.type]


def _pair_formed(event: said.PairFormed) -> Told:
    return MomentKind.PAIR, "A way to try" if event.state is PairState.WAITING else "A way to try later"


def _pair_changed(event: said.PairChanged) -> Told | None:
    reason = f": {event.reason}" if event.reason else ""
    if event.state is PairState.SUCCEEDED:
        return MomentKind.WORKS, f"This way works{reason}"
    if event.state is PairState.FAILED:
        return MomentKind.FAILED_PAIR, f"This way does not work{reason}"
    if event.reason is None:
        return None  # the check itself tells, or the next one will
    if event.state is PairState.FROZEN:
        return MomentKind.PAIR, event.reason[:1].upper() + event.reason[1:]
    return MomentKind.PAIR, f"This way is tried again{reason}"


def _check_sent(event: said.CheckSent) -> Told | None:
    if event.consent:
        return None  # every few seconds, as long as the call lasts
    what = "The check that decides left" if event.nominating else "A check left"
    return MomentKind.CHECK, what if event.attempt == 1 else f"{what} again ({event.attempt})"


def _role_changed(event: said.RoleChanged) -> Told:
    role = "This side decides on the path now" if event.controlling else "The other side decides on the path now"
    return MomentKind.ROLE, f"{role}: {event.reason}" if event.reason else role


def _relay_lost(event: said.RelayLost) -> Told:
    then = ", over which the call went" if event.carries else ""
    return MomentKind.RELAY_LOST, f"The relay {event.server}{then} is gone: {event.reason}"


_WORDS: dict[type, Callable[[Any], Told | None]] = {
    said.CandidateGathered: _gathered,
    said.Gathered: lambda event: (MomentKind.GATHERED, "All addresses are known: no server is waited for any more"),
    said.PairFormed: _pair_formed,
    said.PairChanged: _pair_changed,
    said.CheckSent: _check_sent,
    said.CheckAnswered: lambda event: None if event.consent else (MomentKind.ANSWER, "It was answered"),
    said.BindingRequestSeen: lambda event: (MomentKind.HEARD, "The other side's first check has come in"),
    said.RoleChanged: _role_changed,
    said.Nominating: lambda event: (MomentKind.NOMINATING, "This way is picked, and the other side is told"),
    said.Nominated: lambda event: (MomentKind.NOMINATED, "Both sides take this way"),
    said.Connected: lambda event: (MomentKind.CONNECTED, "Connected: sound and picture may flow both ways"),
    said.Completed: lambda event: (MomentKind.COMPLETED, "The choice is confirmed everywhere"),
    said.Silent: lambda event: (MomentKind.SILENT, "Nothing is heard for a moment: another way is prepared"),
    said.Interrupted: lambda event: (MomentKind.INTERRUPTED, "The other side is silent: the path is interrupted"),
    said.Recovered: lambda event: (MomentKind.RECOVERED, "The other side is heard again"),
    said.ConsentExpired: lambda event: (MomentKind.EXPIRED, event.reason),
    said.Reachable: lambda event: (MomentKind.REACHABLE, "The other side answers again: a restart follows"),
    said.Failed: lambda event: (MomentKind.FAILED, event.reason),
    said.RelayLost: _relay_lost,
    said.BetterFound: lambda event: (MomentKind.WORKS, "A direct way answers after all: the call changes over to it"),
    said.RestartBegun: lambda event: (MomentKind.RESTART, "A new way is looked for, beside the old one"),
    said.Restarted: lambda event: (MomentKind.RESTARTED, "The call goes on over the new way"),
    said.RestartFailed: lambda event: (MomentKind.RESTART_FAILED, f"No new way was found: {event.reason}"),
}
