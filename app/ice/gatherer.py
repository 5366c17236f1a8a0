"""Gathering: asks STUN and TURN servers from every base, turns answers into candidates, keeps allocations alive.

RFC 8445 section 5.1. Pure. Bases are numbered: a host base stands for a socket of the owner's, a relayed base
for an allocation that is reached through another base, its carrier.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from app.events import CandidateType
from app.ice.candidates import Candidate, candidate_priority
from app.ice.checklist import LocalCandidate
from app.ice.config import Timing
from app.ice.flows import split_flow
from app.ice.requests import Due, RandomBits, Schedule, transaction_id
from app.ice.stun import Address, Attribute, Message, MessageClass, Method, StunError, is_stun
from app.ice.turn_client import TurnClient, TurnState
from app.settings import HostPort, IcePolicy, TurnServer

START_PACING_S = 0.005  # between two new requests to servers: the least RFC 8445 section 14.2 allows
MAX_PROBLEMS = 32


@dataclass(slots=True, eq=False)
class Base:
    """Where a candidate's datagrams leave from.

    `preference` numbers the interfaces and families from 0, best first; `candidate` is False for a base that is
    no host candidate: a TURN connection's, or a relayed one. The latter's `relay` says how it is reached.
    """

    number: int
    stream: str
    address: Address
    preference: int
    interface: str | None = None
    candidate: bool = True
    relay: Relay | None = None


@dataclass(slots=True, eq=False)
class Relay:
    """An allocation: the relayed base it makes, the client that keeps it, and how its server is reached."""

    base: Base
    client: TurnClient
    carrier: Base
    server: Address


@dataclass(slots=True, eq=False)
class _Query:
    """One Binding request to a STUN server."""

    base: Base
    server: Address
    name: str
    schedule: Schedule
    data: bytes
    needed: bool  # False once another server has told what this one would tell


@dataclass(slots=True)
class _Foundations:
    """Numbers the foundations: equal for one type, base address, server and protocol (RFC 8445 section 5.1.1.3)."""

    known: dict[tuple[str, str, str | None], str] = field(default_factory=dict)

    def of(self, kind: CandidateType, base_host: str, server: str | None) -> str:
        return self.known.setdefault((kind, base_host, server), str(len(self.known) + 1))


class Gatherer:
    """The bases of one session, the servers asked from them, and the candidates found."""

    def __init__(self, policy: IcePolicy, timing: Timing, timeout_s: float, random_bits: RandomBits) -> None:
        self.bases: dict[int, Base] = {}
        self.found: list[tuple[str, LocalCandidate]] = []
        self.packets: deque[tuple[int, bytes, Address]] = deque()
        self.problems: list[str] = []
        self._policy = policy
        self._timing = timing
        self._timeout_s = timeout_s
        self._random_bits = random_bits
        self._foundations = _Foundations()
        self._queries: dict[bytes, _Query] = {}
        self._relays: dict[tuple[int, Address], Relay] = {}
        self._planned: deque[Callable[[float], None]] = deque()
        self._bases_made = 0
        self._begun_at = self._next_start_at = 0.0
        self._deadline: float | None = None
        self._keepalive_at: float | None = None
        self._seen_from: set[tuple[int, Address]] = set()  # (base, server) that gave a reflexive address

    def add_base(self, stream: str, address: Address, preference: int, interface: str | None, candidate: bool) -> int:
        """Add a socket; it becomes a host candidate if `candidate` and the policy allow."""
        base = self._new_base(stream, address, preference, interface, candidate)
        if candidate and self._policy is not IcePolicy.RELAY:
            self._add(base, base, CandidateType.HOST, address, None)
        return base.number

    def _new_base(self, stream: str, address: Address, preference: int, interface: str | None, candidate: bool) -> Base:
        self._bases_made += 1
        base = Base(self._bases_made, stream, address, preference, interface, candidate)
        self.bases[base.number] = base
        return base

    def begin(self, now: float) -> None:
        """Start the clock: what has not answered after the server timeout is given up."""
        self._begun_at = self._next_start_at = now
        self._deadline = now + self._timeout_s
        self._keepalive_at = now + self._timing.keepalive_s

    def ask_stun(self, base: int, server: Address, name: HostPort) -> None:
        """Plan a Binding request from a base to a server of the same family."""
        if self._deadline is None:
            self.problem(f"The STUN server {name} was found too late to be asked.")
            return
        self._planned.append(lambda now: self._query(self.bases[base], server, str(name), now))

    def _query(self, base: Base, server: Address, name: str, now: float) -> None:
        tid = transaction_id(self._random_bits)
        data = Message(Method.BINDING, MessageClass.REQUEST, tid).encode(fingerprint=True)
        self._queries[tid] = query = _Query(
            base,
            server,
            name,
            Schedule.start(self._timing, now, self._timing.server_rto_s),
            data,
            not self._is_seen(base),
        )
        self._advance(tid, query, now)

    def _is_seen(self, base: Base) -> bool:
        return any(number == base.number for number, _ in self._seen_from)

    def ask_turn(self, carrier: int, server: Address, turn: TurnServer, preference: int) -> None:
        """Plan an Allocate over a base; `preference` makes relayed candidates of several servers differ."""
        if self._deadline is None:
            self.problem(f"The TURN server {turn.server} was found too late to be asked.")
            return
        over = self.bases[carrier]
        client = TurnClient(
            str(turn.server),
            turn.username,
            turn.password,
            self._timing,
            self._random_bits,
            over_stream=not over.candidate,
            ipv6=":" in server[0],
        )
        client.heard = not over.candidate  # who let us connect is alive
        base = self._new_base(over.stream, ("", 0), preference, over.interface, candidate=False)
        base.relay = self._relays[(carrier, server)] = Relay(base, client, over, server)
        self._planned.append(client.allocate)

    @property
    def done(self) -> bool:
        """Tell whether nothing is awaited any more that could still give a candidate worth waiting for."""
        return not (
            self._planned
            or any(relay.client.state is TurnState.ALLOCATING for relay in self._relays.values())
            or any(query.needed for query in self._queries.values())
        )

    def problem(self, sentence: str) -> None:
        if sentence not in self.problems and len(self.problems) < MAX_PROBLEMS:
            self.problems.append(sentence)

    # Datagrams -------------------------------------------------------------------------------------------

    def relay_at(self, base: int, source: Address) -> Relay | None:
        """Give the allocation whose server sends to this base from there."""
        return self._relays.get((base, source))

    def receive_from_server(self, relay: Relay, data: bytes, now: float) -> tuple[Address, bytes] | None:
        """Take what a TURN server sent; gives (peer, data) when it carries a peer's datagram."""
        before = relay.client.state
        peer_data = relay.client.receive(data, now)
        if relay.client.state is not before:
            self._relay_changed(relay)
        return peer_data

    def receive_answer(self, base: int, data: bytes, source: Address) -> bool:
        """Take a STUN server's answer; False when these bytes answer no query of ours."""
        query = self._queries.get(data[8:20]) if is_stun(data) else None
        if query is None or query.base.number != base or query.server != source:
            return False
        del self._queries[data[8:20]]
        try:
            message = Message.parse(data)
            mapped = message.address(Attribute.XOR_MAPPED_ADDRESS) or message.address(Attribute.MAPPED_ADDRESS)
        except StunError:
            mapped = None
        if mapped is None:
            self.problem(f"The STUN server {query.name} gave an answer that cannot be used.")
        else:
            self._reflexive(query.base, mapped, query.server, query.name)
        return True

    def _reflexive(self, base: Base, mapped: Address, server: Address, name: str) -> None:
        self._seen_from.add((base.number, server))
        for other in self._queries.values():
            if other.base is base:
                other.needed = False  # a second server would only say the same again
        if self._policy is not IcePolicy.RELAY:
            self._add(base, base, CandidateType.SRFLX, mapped, name)

    def _relay_changed(self, relay: Relay) -> None:
        client, carrier = relay.client, relay.carrier
        if client.state is TurnState.READY and client.relayed is not None:
            relay.base.address = client.relayed
            if client.mapped is not None and carrier.candidate:
                self._reflexive(carrier, client.mapped, relay.server, client.name)
            self._add(relay.base, carrier, CandidateType.RELAY, client.relayed, client.name, client.mapped)
        elif client.problem is not None:
            self.problem(client.problem)

    def _add(
        self,
        base: Base,
        socket: Base,
        kind: CandidateType,
        address: Address,
        server: str | None,
        related: Address | None = None,
    ) -> None:
        """Make a candidate, unless one with this address and base is there already (RFC 8445 section 5.1.3)."""
        if any(one.base == base.number and one.candidate.transport_address == address for _, one in self.found):
            return
        if kind is CandidateType.SRFLX:
            if address == base.address:
                return
            related = base.address
        if kind is CandidateType.RELAY and (self._policy is IcePolicy.RELAY or related is None):
            related = ("0.0.0.0" if ":" not in address[0] else "::", 0)  # tells the peer nothing of this machine
        foundation = self._foundations.of(kind, socket.address[0], server)
        component = split_flow(base.stream)[1]
        priority = candidate_priority(kind, 65535 - base.preference, component)
        candidate = Candidate(foundation, component, "udp", priority, *address, kind, *(related or (None, None)))
        base_address = address if kind is CandidateType.RELAY else base.address
        self.found.append((base.stream, LocalCandidate(candidate, base.number, base_address, server, socket.interface)))

    # Time ------------------------------------------------------------------------------------------------

    def _advance(self, tid: bytes, query: _Query, now: float) -> None:
        due = query.schedule.poll(now)
        if due is Due.SEND:
            self.packets.append((query.base.number, query.data, query.server))
        elif due is Due.TIMEOUT:
            del self._queries[tid]

    def handle_timeout(self, now: float) -> None:
        while self._planned and now >= self._next_start_at:
            self._next_start_at = now + START_PACING_S
            self._planned.popleft()(now)
        for tid, query in list(self._queries.items()):
            self._advance(tid, query, now)
        for relay in list(self._relays.values()):
            before = relay.client.state
            relay.client.handle_timeout(now)
            if relay.client.state is not before:
                self._relay_changed(relay)
        if self._deadline is not None and now >= self._deadline:
            self._give_up(now)
        if self._keepalive_at is not None and now >= self._keepalive_at:
            self._keepalive_at = now + self._timing.keepalive_s
            self._keep_bindings()

    def _give_up(self, now: float) -> None:
        """Give up the silent servers; one that has answered something is alive and gets the same time once more."""
        last = now >= self._begun_at + 2 * self._timeout_s
        self._planned.clear()
        for query in self._queries.values():
            self.problem(f"The STUN server {query.name} did not answer: check its address and that it runs.")
        self._queries.clear()
        for relay in self._relays.values():
            if relay.client.state is TurnState.ALLOCATING and (last or not relay.client.heard):
                relay.client.give_up()
                self._relay_changed(relay)
        self._deadline = None if self.done else self._begun_at + 2 * self._timeout_s

    def _keep_bindings(self) -> None:
        """Keep the NAT's bindings open until something is selected (RFC 8445 section 5.1.1.4)."""
        for base, server in self._seen_from:
            if base in self.bases:
                tid = transaction_id(self._random_bits)
                data = Message(Method.BINDING, MessageClass.INDICATION, tid).encode(fingerprint=True)
                self.packets.append((base, data, server))

    def next_timeout(self) -> float | None:
        times = [query.schedule.next_at for query in self._queries.values()]
        if self._planned:
            times.append(self._next_start_at)
        if self._deadline is not None and not (self.done and not self._queries):
            times.append(self._deadline)
        if self._keepalive_at is not None and self._seen_from:
            times.append(self._keepalive_at)
        times += [at for relay in self._relays.values() if (at := relay.client.next_timeout()) is not None]
        return min(times, default=None)

    def drain(self) -> Iterator[tuple[int, bytes, Address]]:
        """Give and forget everything that is to be sent: (number of a socket's base, bytes, destination)."""
        while self.packets:
            yield self.packets.popleft()
        for relay in self._relays.values():
            while relay.client.packets:
                yield relay.carrier.number, relay.client.packets.popleft(), relay.server

    def permission_results(self) -> Iterator[tuple[int, Address, str | None]]:
        """Give and forget what the servers said to peers: (relayed base, peer, why not or None)."""
        for relay in self._relays.values():
            while relay.client.permission_results:
                yield relay.base.number, *relay.client.permission_results.popleft()

    # The end ---------------------------------------------------------------------------------------------

    def release(self, stream: str | None, keep: set[int], now: float) -> None:
        """Hand back the allocations of a stream (None: of all) except those of the bases in `keep`."""
        if stream is None:
            self._keepalive_at = self._deadline = None
            self._planned.clear()
            self._queries.clear()
        for relay in self._relays.values():
            if relay.base.number not in keep and stream in (None, relay.base.stream):
                relay.client.close(now)

    def sockets_of(self, stream: str | None) -> set[int]:
        """Give the sockets of a stream (None: of all)."""
        return {base.number for base in self.bases.values() if base.relay is None and stream in (None, base.stream)}

    def carriers(self) -> set[int]:
        """Give the sockets that carry an allocation."""
        return {relay.carrier.number for relay in self._relays.values() if relay.client.state in _IN_USE}

    def carrier_lost(self, number: int, why: str, now: float) -> None:
        """Give up the allocations that were reached through a connection."""
        for relay in self._relays.values():
            if relay.carrier.number == number:
                relay.client.lost(why, now)
                self._relay_changed(relay)

    def forget(self, number: int) -> None:
        """Drop a socket's base and what was reached through it."""
        self._relays = {key: relay for key, relay in self._relays.items() if key[0] != number}
        self.bases = {
            at: base
            for at, base in self.bases.items()
            if at != number and (base.relay is None or base.relay.carrier.number != number)
        }
        self._queries = {tid: query for tid, query in self._queries.items() if query.base.number != number}


_IN_USE = (TurnState.ALLOCATING, TurnState.READY, TurnState.CLOSING)
