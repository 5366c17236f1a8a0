"""What is known of a call's path: candidates, pairs, servers, the time line. `app.events` hands these on to everybody.

Plain data with the same conventions as there: times named `at` are seconds since the engine started, sizes are bytes,
and what is not known is None.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class CandidateType(StrEnum):
    HOST = "host"
    SRFLX = "srflx"
    PRFLX = "prflx"
    RELAY = "relay"


class PairState(StrEnum):
    """States of a candidate pair, RFC 8445 section 6.1.2.6."""

    FROZEN = "frozen"
    WAITING = "waiting"
    IN_PROGRESS = "in-progress"
    SUCCEEDED = "succeeded"
    FAILED = "failed"


class IceState(StrEnum):
    """State of one call's ICE session as a whole."""

    NEW = "new"
    GATHERING = "gathering"
    GATHERED = "gathered"
    CHECKING = "checking"
    COMPLETED = "completed"
    INTERRUPTED = "interrupted"  # consent is late
    FAILED = "failed"
    CLOSED = "closed"
    DISABLED = "disabled"  # the peer has no ICE, or the policy is off


@dataclass(frozen=True, slots=True)
class CandidateInfo:
    """One local or remote candidate, RFC 8445 section 5.1."""

    type: CandidateType
    address: str
    port: int
    protocol: str  # "udp" or "tcp"
    priority: int
    foundation: str
    component: int = 1
    stream: str = "0"
    base: str | None = None  # "address:port" of the base, local candidates only
    server: str | None = None  # the STUN or TURN server it came from, "host:port"
    interface: str | None = None

    @property
    def flow(self) -> str:
        """The stream, and the component where it is not the first: "0", or "0/2" for RTCP apart."""
        return self.stream if self.component == 1 or "/" in self.stream else f"{self.stream}/{self.component}"

    @property
    def place(self) -> str:
        """Where it is: "192.0.2.1:4000", an IPv6 address in brackets, "/tcp" behind what is not UDP."""
        host = f"[{self.address}]" if ":" in self.address else self.address
        return f"{host}:{self.port}" + ("" if self.protocol == "udp" else f"/{self.protocol}")


@dataclass(frozen=True, slots=True)
class PairInfo:
    """One candidate pair; `local` and `remote` are indices into the snapshot's candidate tuples."""

    local: int
    remote: int
    state: PairState
    nominated: bool
    selected: bool
    priority: int
    rtt_s: float | None
    sent_bytes: int
    received_bytes: int
    checks_sent: int = 0
    reason: str | None = None  # why it failed, in words
    started_at: float | None = None  # first check sent
    finished_at: float | None = None  # first success or failure
    generation: int = 0  # of the candidates it is made of: the restarts begun before it


class ServerState(StrEnum):
    """How a STUN or TURN server that was asked behaved."""

    ASKING = "asking"  # no answer yet, and still time for one
    ANSWERED = "answered"
    SILENT = "silent"  # gave no answer in its time
    REFUSED = "refused"  # wrong password, quota, certificate, …: see the problem
    LOST = "lost"  # answered once, and is gone now


@dataclass(frozen=True, slots=True)
class ServerInfo:
    """One server as it was asked for a candidate, and what it said."""

    name: str  # "host:port"
    kind: str  # "stun" or "turn"
    transport: str  # "udp", "tcp" or "tls"
    state: ServerState
    mapped: str | None = None  # how it sees this machine, "address:port"
    relayed: str | None = None  # what it lent, "address:port"
    rtt_s: float | None = None
    problem: str | None = None  # one sentence, where something is wrong


class MomentKind(StrEnum):
    """What one entry of a path's time line is about."""

    CANDIDATE = "candidate"  # one of ours was found, or one of theirs came
    GATHERED = "gathered"
    PAIR = "pair"  # a pair was formed, or a waiting one may be tried now
    CHECK = "check"  # a check left, first or again
    ANSWER = "answer"  # a check was answered
    WORKS = "works"
    FAILED_PAIR = "failed-pair"
    HEARD = "heard"  # the first check of the other side's
    ROLE = "role"
    NOMINATING = "nominating"
    NOMINATED = "nominated"
    CONNECTED = "connected"
    COMPLETED = "completed"
    SILENT = "silent"
    INTERRUPTED = "interrupted"
    RECOVERED = "recovered"
    EXPIRED = "expired"  # consent: nothing is sent any more
    REACHABLE = "reachable"  # a probe after that was answered
    RESTART = "restart"
    RESTARTED = "restarted"
    RESTART_FAILED = "restart-failed"
    RELAY_LOST = "relay-lost"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class IceMoment:
    """One thing that happened on the way to a path or on it.

    `local` and `remote` are a candidate's type and place: "host 192.0.2.1:4000".
    """

    at: float
    kind: MomentKind
    text: str  # one line for a person
    flow: str | None = None
    local: str | None = None
    remote: str | None = None
    rtt_s: float | None = None
    generation: int = 0  # the restarts begun before it


@dataclass(frozen=True, slots=True)
class ConsentInfo:
    """Whether one flow's selected pair is alive (RFC 7675). Times as `at`; None when it has not happened."""

    flow: str
    state: str  # "fresh", "silent", "interrupted" or "expired"
    heard_at: float | None = None  # anything of the other side's
    answered_at: float | None = None  # the last answer to a consent check
    expires_at: float | None = None


@dataclass(frozen=True, slots=True)
class IceSnapshot:
    """Everything one ICE session knows at one moment.

    After a restart the candidates and pairs are those of the generation that carries data, and behind them those of one
    that is being made; the time line is of all.
    """

    role: str  # "controlling" or "controlled"
    state: IceState
    local: tuple[CandidateInfo, ...] = ()
    remote: tuple[CandidateInfo, ...] = ()
    pairs: tuple[PairInfo, ...] = ()
    gathered_in_s: float | None = None
    connected_in_s: float | None = None
    restarts: int = 0
    problems: tuple[str, ...] = ()  # one sentence each: a dead server, a refused allocation, …
    generation: int = 0  # the one that carries data
    timeline: tuple[IceMoment, ...] = ()  # oldest first, bounded
    timeline_dropped: int = 0  # moments that are not in it any more
    servers: tuple[ServerInfo, ...] = ()
    nat: str | None = None  # what the servers' answers imply of the NAT in between, one sentence
    consent: tuple[ConsentInfo, ...] = ()

    def selected_pair(self) -> PairInfo | None:
        return next((pair for pair in self.pairs if pair.selected), None)
