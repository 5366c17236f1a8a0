"""What an ICE session tells its owner, as frozen events in the order in which things happened."""

from __future__ import annotations

from dataclasses import dataclass

from app.events import PairState
from app.ice.candidates import Candidate


@dataclass(frozen=True, slots=True)
class Gathered:
    """All servers have answered or had their time; the local descriptions are final."""


@dataclass(frozen=True, slots=True)
class PairChanged:
    """A candidate pair came into being or changed its state; `reason` says in words why, where there is one."""

    stream: str
    local: Candidate
    remote: Candidate
    state: PairState
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class BindingRequestSeen:
    """The first authenticated check for this stream has come in: the peer has our description (RFC 8839 7.1.1)."""

    stream: str


@dataclass(frozen=True, slots=True)
class Nominated:
    """This stream's data goes over this pair from now on."""

    stream: str
    local: Candidate
    remote: Candidate


@dataclass(frozen=True, slots=True)
class Completed:
    """Every stream has its selected pair."""


@dataclass(frozen=True, slots=True)
class Interrupted:
    """Consent checks of this stream stay unanswered; the path may come back."""

    stream: str


@dataclass(frozen=True, slots=True)
class Recovered:
    """An interrupted stream's path answers again."""

    stream: str


@dataclass(frozen=True, slots=True)
class Failed:
    """No path was found for this stream, or its path was lost for good; `reason` is one sentence for a person."""

    stream: str
    reason: str


IceEvent = Gathered | PairChanged | BindingRequestSeen | Nominated | Completed | Interrupted | Recovered | Failed
