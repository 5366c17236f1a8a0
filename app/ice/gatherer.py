"""Gathering: asks STUN and TURN servers from every base, turns answers into candidates, keeps allocations alive.

RFC 8445 section 5.1. Pure. Bases are numbered: a host base stands for a socket of the owner's, a relayed base
for an allocation that is reached through another base, its carrier. Each server has a time limit of its own, and
`awaited` knows which answers are still worth waiting for.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from app.events import CandidateType
from app.ice.awaited import AskedServer, Awaited, Wish, asked_server
from app.ice.bases import Base, Foundations, LostRelay, Relay, Retry, TurnVisit
from app.ice.bindings import Bindings, Query, mapped_address
from app.ice.candidates import Candidate, TcpType, candidate_priority, tcp_local_preference
from app.ice.checklist import LocalCandidate
from app.ice.config import Timing
from app.ice.flows import split_flow
from app.ice.health import ServerHealth
from app.ice.nat import UDP_SILENT, Observation, implied_nat
from app.ice.redirects import retry_of
from app.ice.requests import RandomBits
from app.ice.stun import Address
from app.ice.turn_client import TurnClient, TurnState
from app.ice.turn_requests import Credentials
from app.path_events import ServerInfo, ServerState
from app.settings import HostPort, IcePolicy, TurnServer

START_PACING_S = 0.005  # between two new requests to servers: the least RFC 8445 section 14.2 allows
MAX_PROBLEMS = 32
MAX_OBSERVATIONS = 128
_IN_USE = (TurnState.ALLOCATING, TurnState.READY, TurnState.CLOSING)
_TAKEN = (TurnState.IDLE, *_IN_USE)  # by what is there or about to be: no second one over the same five-tuple


@dataclass(slots=True, eq=False)
class _Planned:
    """A request that has not been sent yet, the `turn`th to its server."""

    start: Callable[[float], None]
    flow: str
    asked: AskedServer
    wishes: list[Wish]
    turn: int


class Gatherer:
    """The bases of one session, the servers asked from them, and the candidates found."""

    def __init__(self, policy: IcePolicy, timing: Timing, timeout_s: float, random_bits: RandomBits) -> None:
        self.bases: dict[int, Base] = {}
        self.found: list[tuple[str, LocalCandidate]] = []
        self.packets: deque[tuple[int, bytes, Address]] = deque()
        self.problems: list[str] = []
        self.servers: dict[tuple[str, str, str], AskedServer] = {}  # by kind, transport and name
        self.observations: list[Observation] = []
        self.retries: deque[Retry] = deque()  # what the owner must open another socket for
        self.lost: deque[LostRelay] = deque()
        self.health = ServerHealth()
        self._policy = policy
        self._timing = timing
        self.timeout_s = timeout_s
        self._random_bits = random_bits
        self._foundations = Foundations()
        self._bindings = Bindings(timing, random_bits, self.packets, timeout_s)
        self._awaited = Awaited(policy is IcePolicy.RELAY)
        self._looked_for: dict[AskedServer, list[Wish]] = {}
        self._relays: dict[tuple[int, Address], Relay] = {}
        self._planned: list[_Planned] = []
        self._bases_made = 0
        self._now = self._next_start_at = 0.0
        self._keepalive_at: float | None = None
        self._closed = False
        self._seen_from: set[tuple[int, Address]] = set()  # (base, server) that a NAT in between must not forget

    def add_base(
        self,
        stream: str,
        address: Address,
        preference: int,
        interface: str | None,
        candidate: bool,
        connection: bool = False,
        tcptype: TcpType | None = None,
    ) -> int:
        """Add a socket; it becomes a host candidate if `candidate` and the policy allow."""
        base = self._new_base(stream, address, preference, interface, candidate)
        base.connection, base.tcptype = connection, tcptype
        if candidate and self._policy is not IcePolicy.RELAY:
            self._add(base, base, CandidateType.HOST, address, None)
        return base.number

    def _new_base(self, stream: str, address: Address, preference: int, interface: str | None, candidate: bool) -> Base:
        self._bases_made += 1
        base = Base(self._bases_made, stream, address, preference, interface, candidate)
        self.bases[base.number] = base
        return base

    def begin(self, now: float) -> None:
        """Start the clock of the keep-alives and of the pacing."""
        self._now = self._next_start_at = now
        self._keepalive_at = now + self._timing.keepalive_s

    # Servers ---------------------------------------------------------------------------------------------

    def server(self, kind: str, transport: str, name: HostPort) -> AskedServer:
        """Give the book of one configured server; the same one for all bases."""
        key = kind, transport, str(name)
        if key not in self.servers:
            place = ",".join(sorted({base.address[0] for base in self.bases.values() if base.candidate}))
            self.servers[key] = asked_server(*key[:2], key[2], place, self.health, self._now)
        return self.servers[key]

    def looks_for(self, server: AskedServer, flows: Sequence[str]) -> None:
        """Say that a server's name is being looked up, or a connection to it made: its candidates may yet come."""
        kinds = [CandidateType.SRFLX] if server.transport == "udp" else []
        kinds += [CandidateType.RELAY] if server.kind == "turn" else []
        wishes = self._looked_for.setdefault(server, [])
        wishes += [self._awaited.expect(server, flow, kind, None) for flow in flows for kind in kinds]

    def looked_for(self, server: AskedServer, flows: Sequence[str]) -> None:
        """Say that no further address or connection of this server will come for these flows."""
        wishes = self._looked_for.pop(server, [])
        self._looked_for[server] = [wish for wish in wishes if wish.flow not in flows]
        self._awaited.settle(wish for wish in wishes if wish.flow in flows)

    def refused(self, server: AskedServer, problem: str, now: float, *, silent: bool = False) -> None:
        """Take note that a server could not be found or reached."""
        self.problem(problem)
        server.failed(ServerState.SILENT if silent else ServerState.REFUSED, problem)
        if silent and server.state is ServerState.SILENT:
            self.health.silent(server.key, now)

    def ask_stun(self, base: int, server: Address, name: HostPort) -> None:
        """Plan a Binding request from a base to a server of the same family."""
        if not self._closed:
            asked, over = self.server("stun", "udp", name), self.bases[base]
            wishes = [self._awaited.expect(asked, over.stream, CandidateType.SRFLX, over.address[0])]
            self._plan(lambda now: self._bindings.ask(over, server, asked, wishes, now), over, asked, wishes)

    def ask_turn(
        self,
        carrier: int,
        server: Address,
        turn: TurnServer,
        preference: int,
        lasts_s: float | None = None,
    ) -> None:
        """Plan an Allocate over a base; `preference` makes relayed candidates of several servers differ."""
        asked = self.server("turn", turn.transport, turn.server)
        self.visit_turn(carrier, server, TurnVisit(turn, asked, preference, lasts_s))

    def visit_turn(self, carrier: int, server: Address, visit: TurnVisit) -> None:
        """Plan an Allocate at the configured server, or where it sent us."""
        over = self.bases.get(carrier)
        if over is None or self._closed or self._is_taken(carrier, server, visit):
            return
        client = TurnClient(
            str(visit.turn.server),
            Credentials(visit.turn.username, visit.turn.password, visit.lasts_s),
            self._timing,
            self._random_bits,
            over_stream=over.connection,
        )
        kinds = [CandidateType.RELAY, *([CandidateType.SRFLX] if over.candidate else [])]
        wishes = [self._awaited.expect(visit.asked, over.stream, kind, over.address[0]) for kind in kinds]
        base = self._relayed_base(over, visit)
        relay = Relay([base], client, over, server, visit, wishes)
        base.relay = self._relays[(carrier, server)] = relay

        def start(now: float) -> None:
            relay.give_up_at = now + self.timeout_s
            client.allocate(now)

        self._plan(start, over, visit.asked, wishes)

    def _is_taken(self, carrier: int, server: Address, visit: TurnVisit) -> bool:
        """Tell whether another name, or a server that sent us, led to this very server before."""
        held = self._relays.get((carrier, server))
        if held is None or held.client.state not in _TAKEN:
            return False
        if held.visit.asked is not visit.asked:
            same = f"The TURN server {visit.asked.name} is the one that is asked as {held.visit.asked.name} already."
            self.refused(visit.asked, same, self._now)
        return True

    def _relayed_base(self, carrier: Base, visit: TurnVisit) -> Base:
        return self._new_base(carrier.stream, ("", 0), visit.preference, carrier.interface, candidate=False)

    def _plan(self, start: Callable[[float], None], over: Base, asked: AskedServer, wishes: list[Wish]) -> None:
        self._planned.append(_Planned(start, over.stream, asked, wishes, asked.requests))
        asked.requests += 1

    def _next_planned(self, now: float) -> _Planned:
        """Take the request to send next, so that dead servers keep nobody waiting.

        Every server is asked once before any is asked from a second socket, who has answered goes before who has not,
        and what is not worth waiting for comes last.
        """

        def rank(one: _Planned) -> tuple[bool, bool, bool, int]:
            wanted = any(self._awaited.worthwhile(wish, now) for wish in one.wishes)
            return not wanted, one.asked.known_silent, one.asked.state is not ServerState.ANSWERED, one.turn

        best = min(self._planned, key=rank)
        self._planned.remove(best)
        return best

    @property
    def ended(self) -> bool:
        """Tell whether nothing is asked any more: what is needed has been found, or nobody needs anything."""
        return self._closed

    def done(self, now: float) -> bool:
        """Tell whether nothing is awaited any more that could still give a candidate worth waiting for."""
        return not self._awaited.waits(now)

    @property
    def settled(self) -> bool:
        """Tell whether every server has answered or had its time."""
        return self._awaited.is_empty

    def server_infos(self) -> tuple[ServerInfo, ...]:
        """Describe every server that was asked, as the settings name them."""
        return tuple(asked.info() for asked in self.servers.values())

    def implied_nat(self) -> str | None:
        """Say in one sentence what the servers' answers, or their silence, imply of the network in between.

        None as long as nothing is known.
        """
        asked = [server for server in self.servers.values() if server.transport == "udp"]
        if asked and all(server.state is ServerState.SILENT for server in asked):
            return UDP_SILENT
        return implied_nat(self.observations)

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
            self._relay_changed(relay, before, now)
        return peer_data

    def receive_answer(self, base: int, data: bytes, source: Address, now: float) -> bool:
        """Take a STUN server's answer; False when these bytes answer no query of ours."""
        query = self._bindings.take(base, data, source)
        if query is None:
            return False
        mapped = mapped_address(data)
        self._awaited.settle(query.wishes)
        if mapped is None:
            self.refused(query.asked, f"The STUN server {query.asked.name} gave an answer that cannot be used.", now)
        else:
            query.asked.answered(query.schedule.rtt(now))
            self._reflexive(query.base, mapped, query.server, query.asked, now)
        return True

    def unreachable(self, base: int, server: Address, now: float) -> None:
        """Take note that the network says nobody listens at an address that was asked from this base."""
        for query in self._bindings.take_unreachable(base, server):
            self._silent(query, f"Nothing answers at the STUN server {query.asked.name}: check that it runs.", now)
        relay = self._relays.get((base, server))
        if relay is not None:
            before = relay.client.state
            relay.client.unreachable(now)
            if relay.client.state is not before:
                self._relay_changed(relay, before, now)

    def _silent(self, query: Query, problem: str, now: float) -> None:
        self._awaited.settle(query.wishes)
        self.refused(query.asked, problem, now, silent=True)

    def _reflexive(self, base: Base, mapped: Address, server: Address, asked: AskedServer, now: float) -> None:
        asked.mapped = asked.mapped or mapped
        self.health.answered(asked.key)
        if len(self.observations) < MAX_OBSERVATIONS:
            self.observations.append(Observation(base.address, server, mapped))
        self._seen_from.add((base.number, server))
        self._awaited.won(base.stream, CandidateType.SRFLX, base.address[0], asked.rtt_s, now)
        if self._policy is not IcePolicy.RELAY:
            self._add(base, base, CandidateType.SRFLX, mapped, asked.name)

    def _relay_changed(self, relay: Relay, before: TurnState, now: float) -> None:
        client, carrier, asked = relay.client, relay.carrier, relay.visit.asked
        if client.state is TurnState.ALLOCATING:
            return
        self._awaited.settle(relay.wishes)
        if client.state is TurnState.READY:
            asked.answered(client.rtt_s)
            asked.relayed = asked.relayed or client.relayed[0]
            self._seen_from.add((carrier.number, relay.server))
            self.health.answered(asked.key)
            if client.mapped is not None and carrier.candidate:
                self._reflexive(carrier, client.mapped, relay.server, asked, now)
            self._awaited.won(carrier.stream, CandidateType.RELAY, carrier.address[0], client.rtt_s, now)
            self._add_relayed(relay)
        elif client.problem is not None and client.state is TurnState.FAILED:
            self._relay_failed(relay, before, client.problem, now)

    def _add_relayed(self, relay: Relay) -> None:
        """Make a base and a candidate of each relayed address."""
        for at, address in enumerate(relay.client.relayed):
            if at:
                relay.bases.append(self._relayed_base(relay.carrier, relay.visit))
                relay.bases[at].relay = relay
            relay.bases[at].address = address
            mapped = relay.client.mapped
            self._add(relay.bases[at], relay.carrier, CandidateType.RELAY, address, relay.client.name, mapped)

    def _relay_failed(self, relay: Relay, before: TurnState, problem: str, now: float) -> None:
        asked = relay.visit.asked
        if before is TurnState.READY:
            self.problem(problem)
            asked.failed(ServerState.LOST, problem)
            self.lost += [LostRelay(base.number, base.stream, asked.name, problem) for base in relay.bases]
            return
        retry = retry_of(relay)
        if retry is None:
            self.refused(asked, problem, now, silent=not relay.client.heard)
        elif relay.carrier.connection or relay.client.mismatch:
            self.looks_for(asked, [retry.flow])
            self.retries.append(retry)
        else:
            self.visit_turn(relay.carrier.number, retry.server, retry.visit)

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
        component = split_flow(base.stream)[1]
        protocol, preference = "udp", 65535 - base.preference
        extensions: tuple[tuple[str, str], ...] = ()
        if base.tcptype is not None:
            protocol, extensions = "tcp", (("tcptype", base.tcptype.value),)
            preference = tcp_local_preference(kind, base.tcptype, 8191 - base.preference)
        over = protocol if socket.candidate else "stream"  # how the server was asked counts (RFC 8445 5.1.1.3)
        foundation = self._foundations.of(kind, socket.address[0], server, over)
        priority = candidate_priority(kind, preference, component, protocol)
        host, port = related or (None, None)
        candidate = Candidate(foundation, component, protocol, priority, *address, kind, host, port, extensions)
        base_address = address if kind is CandidateType.RELAY else base.address
        self.found.append((base.stream, LocalCandidate(candidate, base.number, base_address, server, socket.interface)))

    # Time ------------------------------------------------------------------------------------------------

    def handle_timeout(self, now: float) -> None:
        self._now = now
        while self._planned and now >= self._next_start_at:
            self._next_start_at = now + START_PACING_S
            self._next_planned(now).start(now)
        for query in self._bindings.take_late(now):
            name = query.asked.name
            self._silent(query, f"The STUN server {name} did not answer: check its address and that it runs.", now)
        for relay in list(self._relays.values()):
            self._keep_relay(relay, now)
        if self._keepalive_at is not None and now >= self._keepalive_at:
            self._keepalive_at = now + self._timing.keepalive_s
            for base, server in self._seen_from:  # RFC 8445 section 5.1.1.4
                if base in self.bases:
                    self._bindings.keep_open(base, server)

    def _keep_relay(self, relay: Relay, now: float) -> None:
        """Let an allocation do what is due; who has answered something gets its time once more."""
        client, before = relay.client, relay.client.state
        client.handle_timeout(now)
        if client.state is TurnState.ALLOCATING and relay.give_up_at is not None and now >= relay.give_up_at:
            if client.heard and not relay.extended:
                relay.extended, relay.give_up_at = True, now + self.timeout_s
            else:
                client.give_up()
        if client.state is not before:
            self._relay_changed(relay, before, now)
        if client.ends_soon:
            client.ends_soon = False
            why = f"The time-limited user name for the TURN server {client.name} runs out."
            self.lost += [LostRelay(base.number, base.stream, relay.visit.asked.name, why) for base in relay.bases]

    def next_timeout(self) -> float | None:
        times = [self._bindings.next_timeout(), self._awaited.until(self._now)]
        if self._planned:
            times.append(self._next_start_at)
        if self._seen_from:
            times.append(self._keepalive_at)
        for relay in self._relays.values():
            times.append(relay.client.next_timeout())
            if relay.client.state is TurnState.ALLOCATING:
                times.append(relay.give_up_at)
        return min((at for at in times if at is not None), default=None)

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
                peer, why = relay.client.permission_results.popleft()
                yield relay.base_toward(peer).number, peer, why

    # The end ---------------------------------------------------------------------------------------------

    def release(self, stream: str | None, keep: set[int], now: float) -> None:
        """Hand back the allocations of a stream (None: of all) except those of the bases in `keep`."""
        if stream is None:
            self._closed = True
            self._keepalive_at = None
        self._planned = [one for one in self._planned if stream not in (None, one.flow)]
        self._awaited.forget(stream)
        for number in self.sockets_of(stream):
            self._bindings.take_of(number)
        for relay in self._relays.values():
            if stream in (None, relay.carrier.stream) and not any(base.number in keep for base in relay.bases):
                relay.client.close(now)

    def sockets_of(self, stream: str | None) -> set[int]:
        """Give the sockets of a stream (None: of all)."""
        return {base.number for base in self.bases.values() if base.relay is None and stream in (None, base.stream)}

    def carriers(self) -> set[int]:
        """Give the sockets that carry an allocation."""
        return {relay.carrier.number for relay in self._relays.values() if relay.client.state in _IN_USE}

    def carrier_lost(self, number: int, why: str, now: float) -> None:
        """Give up the allocations that were reached through a connection."""
        for relay in list(self._relays.values()):
            before = relay.client.state
            if relay.carrier.number == number:
                relay.client.lost(why, now)
                self._relay_changed(relay, before, now)

    def forget(self, number: int) -> None:
        """Drop a socket's base and what was reached through it."""
        for relay in self._relays.values():
            if relay.carrier.number == number:
                self._awaited.settle(relay.wishes)
        self._relays = {key: relay for key, relay in self._relays.items() if key[0] != number}
        self.bases = {
            at: base
            for at, base in self.bases.items()
            if at != number and (base.relay is None or base.relay.carrier.number != number)
        }
        for query in self._bindings.take_of(number):
            self._awaited.settle(query.wishes)
