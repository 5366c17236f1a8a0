"""Which servers were asked, what they said, and which candidates are still worth waiting for.

Pure. Gathering is done as soon as every candidate that a silent server could still give has been given by another:
a dead server beside a live one costs nothing. What comes later is a late candidate, not a lost one.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from app.ice.health import ServerHealth
from app.ice.stun import Address
from app.path_events import CandidateType, ServerInfo, ServerState
from app.settings import HostPort

GRACE_S = 0.04  # for other interfaces and families of a flow, once one of them has its candidate
GRACE_ROUND_TRIPS = 3
REFLEXIVE_GRACE_S = 0.4  # for a reflexive candidate once there is a relay: where UDP is shut it never comes


@dataclass(slots=True, eq=False)
class AskedServer:
    """One configured server, as it was asked from all bases together."""

    name: str
    kind: str  # "stun" or "turn"
    transport: str
    place: str  # the addresses it is asked from: silence on one network says nothing of another
    known_silent: bool = False  # it was silent a moment ago: asked again, but not waited for
    requests: int = 0  # planned so far
    state: ServerState = ServerState.ASKING
    mapped: Address | None = None
    relayed: Address | None = None
    rtt_s: float | None = None
    problem: str | None = None

    @property
    def key(self) -> tuple[str, str, str, str]:
        return self.kind, self.transport, self.name, self.place

    def answered(self, rtt_s: float | None) -> None:
        self.state = ServerState.ANSWERED
        self.rtt_s = self.rtt_s or rtt_s
        self.known_silent = False

    def failed(self, state: ServerState, problem: str) -> None:
        """Take note of a failure from one base; an answer from another base counts more."""
        if self.state is ServerState.ASKING or state is ServerState.LOST:
            self.state = state
        self.problem = self.problem or problem

    def info(self) -> ServerInfo:
        return ServerInfo(
            name=self.name,
            kind=self.kind,
            transport=self.transport,
            state=self.state,
            mapped=None if self.mapped is None else str(HostPort(*self.mapped)),
            relayed=None if self.relayed is None else str(HostPort(*self.relayed)),
            rtt_s=self.rtt_s,
            problem=None if self.state is ServerState.ANSWERED else self.problem,
        )


@dataclass(slots=True, eq=False)
class Wish:
    """One candidate that a server may still give: for a flow, of a kind, from a host address (None: not known yet)."""

    server: AskedServer
    flow: str
    kind: CandidateType
    host: str | None


@dataclass(slots=True)
class Awaited:
    """The wishes that are open, and what has been won for each flow.

    `relay_only`: nothing but relays counts, and a server that was silent a moment ago is waited for all the same.
    """

    relay_only: bool
    _open: set[Wish] = field(default_factory=set)
    _hosts_won: dict[tuple[str, CandidateType], set[str]] = field(default_factory=dict)
    _grace_ends: dict[tuple[str, CandidateType], float] = field(default_factory=dict)

    def expect(self, server: AskedServer, flow: str, kind: CandidateType, host: str | None) -> Wish:
        wish = Wish(server, flow, kind, host)
        self._open.add(wish)
        return wish

    def settle(self, wishes: Iterable[Wish]) -> None:
        """These will come no more, or have come."""
        self._open.difference_update(wishes)

    def forget(self, flow: str | None) -> None:
        """Wait for nothing of this flow any more (None: of any)."""
        self._open = {wish for wish in self._open if flow not in (None, wish.flow)}

    def won(self, flow: str, kind: CandidateType, host: str, rtt_s: float | None, now: float) -> None:
        self._hosts_won.setdefault((flow, kind), set()).add(host)
        grace_s = max(GRACE_S, GRACE_ROUND_TRIPS * (rtt_s or 0.0))
        self._grace((flow, kind), now + grace_s)
        if kind is CandidateType.RELAY:
            self._grace((flow, CandidateType.SRFLX), now + max(REFLEXIVE_GRACE_S, grace_s))

    def _grace(self, key: tuple[str, CandidateType], end: float) -> None:
        self._grace_ends[key] = min(end, self._grace_ends.get(key, end))

    def waits(self, now: float) -> bool:
        """Tell whether a candidate may still come that is worth waiting for."""
        return any(self.worthwhile(wish, now) for wish in self._open)

    @property
    def is_empty(self) -> bool:
        return not self._open

    def worthwhile(self, wish: Wish, now: float) -> bool:
        """Tell whether this one is still to be waited for."""
        if self.relay_only and wish.kind is not CandidateType.RELAY:
            return False
        if wish.server.known_silent and not self.relay_only:
            return False
        key = wish.flow, wish.kind
        if wish.host in self._hosts_won.get(key, ()):
            return False
        return now < self._grace_ends.get(key, float("inf"))

    def until(self, now: float) -> float | None:
        """Say when a grace ends that something is waited for in; None when only an answer can change anything."""
        ends = {self._grace_ends.get((wish.flow, wish.kind)) for wish in self._open if self.worthwhile(wish, now)}
        return min((end for end in ends if end is not None), default=None)


def asked_server(kind: str, transport: str, name: str, place: str, health: ServerHealth, now: float) -> AskedServer:
    server = AskedServer(name, kind, transport, place)
    server.known_silent = health.is_silent(server.key, now)
    return server
