"""What an ICE session tells its owner, as frozen events in the order in which things happened.

One event per decision. `flow` names one component of one stream (app/ice/flows.py).
"""

from __future__ import annotations

from dataclasses import dataclass

from app.events import PairState
from app.ice.candidates import Candidate


@dataclass(frozen=True, slots=True)
class CandidateGathered:
    """A candidate of ours was found; with trickle it is to be signalled."""

    flow: str
    candidate: Candidate


@dataclass(frozen=True, slots=True)
class Gathered:
    """All servers have answered or had their time; the local descriptions are final."""


@dataclass(frozen=True, slots=True)
class PairFormed:
    """A candidate pair came into being."""

    flow: str
    local: Candidate
    remote: Candidate
    state: PairState


@dataclass(frozen=True, slots=True)
class PairChanged:
    """A candidate pair changed its state; `reason` says in words why, where there is one."""

    flow: str
    local: Candidate
    remote: Candidate
    state: PairState
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class CheckSent:
    """A check left; `attempt` counts from 1. `consent` marks those that only keep watch over a chosen pair."""

    flow: str
    local: Candidate
    remote: Candidate
    nominating: bool
    attempt: int
    consent: bool = False


@dataclass(frozen=True, slots=True)
class CheckAnswered:
    """The peer answered a check; `rtt_s` is None where a retransmission makes the round trip ambiguous."""

    flow: str
    local: Candidate
    remote: Candidate
    rtt_s: float | None
    consent: bool = False


@dataclass(frozen=True, slots=True)
class BindingRequestSeen:
    """The first authenticated check for this flow has come in: the peer has our description (RFC 8839 7.1.1)."""

    flow: str


@dataclass(frozen=True, slots=True)
class RoleChanged:
    """A role conflict was settled, or the peer is lite (RFC 8445 sections 6.1.1 and 7.3.1.1)."""

    controlling: bool
    reason: str


@dataclass(frozen=True, slots=True)
class Nominating:
    """We control, and this pair was picked: data goes over it from now on, the peer is being told."""

    flow: str
    local: Candidate
    remote: Candidate


@dataclass(frozen=True, slots=True)
class Nominated:
    """Both sides agree on this pair."""

    flow: str
    local: Candidate
    remote: Candidate


@dataclass(frozen=True, slots=True)
class Connected:
    """Every flow has its pair decided: data may flow both ways (RFC 8445 section 12)."""


@dataclass(frozen=True, slots=True)
class Completed:
    """The nomination of every flow is confirmed."""


@dataclass(frozen=True, slots=True)
class Silent:
    """Nothing comes over this flow's pair and a burst of checks stays unanswered: time to prepare, not to alarm."""

    flow: str


@dataclass(frozen=True, slots=True)
class Interrupted:
    """This flow's pair has been silent so long that a person should be told; it may come back."""

    flow: str


@dataclass(frozen=True, slots=True)
class Recovered:
    """A flow that was Silent or Interrupted answers again."""

    flow: str


@dataclass(frozen=True, slots=True)
class ConsentExpired:
    """The peer has not answered for so long that no data may be sent any more (RFC 7675); checks go on."""

    flow: str
    reason: str


@dataclass(frozen=True, slots=True)
class Reachable:
    """After consent had expired a check was answered: a restart would find the peer now."""

    flow: str


@dataclass(frozen=True, slots=True)
class Failed:
    """No path was found for this flow; `reason` is one sentence for a person. Never after Connected."""

    flow: str
    reason: str


@dataclass(frozen=True, slots=True)
class RelayLost:
    """An allocation is gone, or will be in a minute or two; `carries`: this flow's data goes through it.

    The path cannot come back over it: a restart, which allocates anew, is the only way on.
    """

    flow: str
    server: str
    reason: str
    carries: bool


@dataclass(frozen=True, slots=True)
class BetterFound:
    """A direct way was answered after both sides had agreed on a relay: a restart would bring the call onto it.

    Told by the controlling side only, since one restart is enough.
    """

    flow: str
    local: Candidate
    remote: Candidate


@dataclass(frozen=True, slots=True)
class RestartBegun:
    """A next generation of candidates and credentials is being made; the path goes on as it is (RFC 8445 section 9)."""


@dataclass(frozen=True, slots=True)
class Restarted:
    """The next generation is connected and carries the data from now on."""


@dataclass(frozen=True, slots=True)
class RestartFailed:
    """The next generation found no path and is given up; the one before goes on. `reason` is one sentence."""

    reason: str


IceEvent = (
    CandidateGathered
    | Gathered
    | PairFormed
    | PairChanged
    | CheckSent
    | CheckAnswered
    | BindingRequestSeen
    | RoleChanged
    | Nominating
    | Nominated
    | Connected
    | Completed
    | Silent
    | Interrupted
    | Recovered
    | ConsentExpired
    | Reachable
    | Failed
    | RelayLost
    | BetterFound
    | RestartBegun
    | Restarted
    | RestartFailed
)
