"""The whole ICE of one offer without sockets: one gatherer, and an agent for each far end that answered.

Pure. The owner hands in datagrams with the number of the socket they came on, asks `next_timeout`, and sends
what `packets` holds. A forked INVITE is answered by several far ends; they share our candidates and
credentials, and are told apart by their own user name fragment (RFC 8839 section 7.3).
"""

from __future__ import annotations

import ipaddress
import logging
from collections import Counter, deque
from collections.abc import Sequence

from app.events import CandidateType, IceState
from app.ice.agent import IceAgent
from app.ice.bases import Base, LostRelay
from app.ice.candidates import IceDescription, IceError, TcpType, normal_address
from app.ice.checklist import LocalCandidate
from app.ice.config import IceConfig
from app.ice.events import CandidateGathered, Gathered, IceEvent, Nominated, Nominating, RelayLost
from app.ice.flows import flows_of, split_flow
from app.ice.gatherer import Gatherer
from app.ice.leg import IceLeg
from app.ice.plain import PlainPath
from app.ice.requests import RandomBits
from app.ice.routing import Packet, Routing
from app.ice.stun import Address
from app.settings import HostPort, IcePolicy, TurnServer

log = logging.getLogger(__name__)

RELAY_ONLY_TIMEOUT_S = 5.0  # with no host candidates to fall back on, a server gets more time
RELAYS_PER_PREFERENCE = 16
_DEFAULT_ORDER = (CandidateType.RELAY, CandidateType.SRFLX, CandidateType.HOST)


class IceCore:
    """Gathering, checks and data of one offer with all its legs."""

    def __init__(self, config: IceConfig, controlling: bool, streams: Sequence[str], random_bits: RandomBits) -> None:
        timeout_s = config.server_timeout_s
        if config.policy is IcePolicy.RELAY:
            timeout_s = max(timeout_s, RELAY_ONLY_TIMEOUT_S)
        self.config = config
        self.gatherer = Gatherer(config.policy, config.timing, timeout_s, random_bits)
        self.packets: deque[Packet] = deque()
        self.events: deque[tuple[IceLeg, IceEvent]] = deque()
        self.unused_sockets: deque[int] = deque()
        self.counters: Counter[str] = Counter()
        self.gathering_since: float | None = None
        self.gathered_at: float | None = None
        agent = IceAgent(controlling, config.timing, random_bits)
        for stream in streams:
            agent.add_flow(stream)
        self.legs = [IceLeg(agent)]
        self.routing = Routing(self.legs, self.gatherer, self.counters)
        self.send = self.routing.send
        self._found = 0  # how many of the gatherer's candidates the agents know
        self._all_asked = False
        self._trimmed = False
        self._forks_expected = False
        self._doomed: set[int] = set()  # sockets to free as soon as they carry no allocation any more

    # Gathering -------------------------------------------------------------------------------------------

    def add_socket(
        self,
        stream: str,
        address: Address,
        preference: int,
        interface: str | None,
        *,
        candidate: bool = True,
        connection: bool = False,
        tcptype: TcpType | None = None,
    ) -> int:
        """Add a bound socket of a stream, or a `connection` to a TURN server; gives the number of its base.

        `tcptype` is given for what makes or takes connections to peers (RFC 6544).
        """
        base = self.gatherer.add_base(stream, address, preference, interface, candidate, connection, tcptype)
        self._hand_on_candidates()
        return base

    def begin_gathering(self, now: float) -> None:
        self.gathering_since = now
        self.gatherer.begin(now)

    def ask_stun(self, name: HostPort, server: Address) -> None:
        """Ask a STUN server from every host base of its family."""
        for base in self._bases_toward(server):
            self.gatherer.ask_stun(base, server, name)

    def ask_turn(
        self,
        index: int,
        turn: TurnServer,
        server: Address,
        carrier: int | None = None,
        lasts_s: float | None = None,
    ) -> None:
        """Allocate on a TURN server from every host base of its family, or over one connection.

        `lasts_s` is how long its user name is good for, where that is limited.
        """
        for base in self._bases_toward(server) if carrier is None else [carrier]:
            preference = self.gatherer.bases[base].preference * RELAYS_PER_PREFERENCE + index
            self.gatherer.ask_turn(base, server, turn, preference, lasts_s)

    def best_base(self, stream: str, server: Address | None) -> Base | None:
        """Give the best socket of a stream that has the server's family (None: whichever family)."""
        known = self.gatherer.bases
        reachable = [known[number] for number in self._bases_toward(server)] if server else list(known.values())
        reachable = [base for base in reachable if base.candidate and base.tcptype is None]
        return min((one for one in reachable if one.stream == stream), key=lambda one: one.preference, default=None)

    def _bases_toward(self, server: Address) -> list[int]:
        version = ipaddress.ip_address(server[0]).version
        return [
            base.number
            for base in self.gatherer.bases.values()
            if base.candidate and base.tcptype is None and ipaddress.ip_address(base.address[0]).version == version
        ]

    def all_servers_asked(self, now: float) -> None:
        """Say that no further server will be asked: gathering ends when those asked have answered."""
        self._all_asked = True
        self._settle(now)

    def _hand_on_candidates(self) -> None:
        for stream, local in self.gatherer.found[self._found :]:
            for leg in self.legs:
                if stream in leg.agent.lists:
                    leg.agent.add_local(stream, local)
                    self.events.append((leg, CandidateGathered(stream, local.candidate)))
        self._found = len(self.gatherer.found)

    # What the legs are told ------------------------------------------------------------------------------

    def fork(self, leg: IceLeg) -> IceLeg:
        other = IceLeg(leg.agent.fork())
        self.legs.append(other)
        return other

    def expect_forks(self, expected: bool, now: float) -> None:
        """Say whether further far ends may still answer: as long as they may, every candidate is kept for them."""
        self._forks_expected = expected
        self._settle(now)

    def locals_of(self, leg: IceLeg, flow: str) -> list[LocalCandidate]:
        """Give what is signalled of a flow, best first."""
        mine = [one for one in leg.agent.lists[flow].locals if one.candidate.type is not CandidateType.PRFLX]
        return sorted(mine, key=lambda one: one.candidate.priority, reverse=True)

    def local(self, leg: IceLeg, stream: str) -> IceDescription:
        """Describe a stream with the candidates of all its components that are known by now."""
        flows = flows_of(stream, leg.agent.lists)
        checklist = leg.agent.lists[flows[0]]
        candidates = tuple(one.candidate for flow in flows for one in self.locals_of(leg, flow))
        pacing_ms = round(self.config.timing.pacing_s * 1000)
        complete = self.gathered_at is not None
        return IceDescription(
            checklist.ufrag, checklist.pwd, candidates, ("ice2",), pacing_ms=pacing_ms, end_of_candidates=complete
        )

    def default(self, leg: IceLeg, flow: str) -> LocalCandidate | None:
        """Pick the candidate for m= and c=: relay, else srflx, else host; IPv4 first, since every peer has it."""
        return min(
            (one for one in self.locals_of(leg, flow) if one.protocol == "udp"),
            key=lambda one: (_DEFAULT_ORDER.index(one.candidate.type), ":" in one.candidate.address),
            default=None,
        )

    def use_plain(self, leg: IceLeg, stream: str, remote: Address, now: float) -> None:
        """Let a flow do without ICE. RTCP apart leaves from where RTP does, unless it has a flow of its own."""
        host = normal_address(remote[0])
        has_flow = stream in leg.agent.lists
        default = self.default(leg, stream if has_flow else split_flow(stream)[0])
        if default is None:
            raise IceError(f"Stream {stream} has no address to send from.")
        if host is None or not 0 < remote[1] < 65536:
            raise IceError(f"{remote[0][:60]}:{remote[1]} is not an address to send to.")
        if has_flow:
            leg.agent.do_without(stream, now)
        leg.plain[stream] = PlainPath(default.base, (host, remote[1]))
        relay = self.gatherer.bases[default.base].relay
        if relay is not None:
            relay.client.permit((host, remote[1]), now)
            relay.client.bind_channel((host, remote[1]), now)
        self._settle(now)

    def remove_stream(self, leg: IceLeg, stream: str, now: float) -> None:
        """Forget a stream with all its components."""
        for flow in flows_of(stream, leg.agent.lists):
            self.remove_flow(leg, flow, now)

    def remove_flow(self, leg: IceLeg, flow: str, now: float) -> None:
        """Forget one component of a stream, and free what only it uses."""
        leg.agent.remove_flow(flow, now)
        leg.plain.pop(flow, None)
        if not any(flow in other.agent.lists for other in self.legs if not other.closed):
            self.gatherer.release(flow, set(), now)
            self._doomed |= self.gatherer.sockets_of(flow)
        self._settle(now)

    def close_leg(self, leg: IceLeg, now: float) -> None:
        """End a far end; with the last one everything is handed back."""
        leg.closed = True
        leg.plain.clear()
        self.legs[:] = [other for other in self.legs if other is not leg]
        if not self.legs:
            self.gatherer.release(None, set(), now)
            self._doomed |= self.gatherer.sockets_of(None)
        self._settle(now)

    def carrier_lost(self, number: int, why: str, now: float) -> None:
        """Say that a connection to a TURN server has ended."""
        self.gatherer.carrier_lost(number, why, now)
        self._settle(now)

    # Datagrams -------------------------------------------------------------------------------------------

    def receive(self, base: int, data: bytes, source: Address, now: float) -> tuple[IceLeg, str, bytes] | None:
        """Take a datagram from a socket; gives (leg, stream, data) when it is a stream's data."""
        if self.gatherer.receive_answer(base, data, source, now):
            self._settle(now)
            return None
        relay = self.gatherer.relay_at(base, source)  # may be at the address of a STUN server that was asked too
        if relay is not None:
            carried = self.gatherer.receive_from_server(relay, data, now)
            if carried is None:
                self._settle(now)
                return None
            base, source, data = relay.base_toward(carried[0]).number, carried[0], carried[1]
        if data and data[0] > 3:  # neither STUN nor empty: RFC 7983
            return self.routing.data(base, data, source, now)
        self.routing.stun(base, data, source, now)
        self._settle(now)
        return None

    # Time and outputs ------------------------------------------------------------------------------------

    def start_checks(self, leg: IceLeg, now: float) -> None:
        leg.agent.start(now)
        self.handle_timeout(now)

    def peer_has_begun(self, leg: IceLeg, now: float) -> None:
        leg.agent.peer_has_begun(now)
        self.handle_timeout(now)

    def handle_timeout(self, now: float) -> None:
        """Do everything that is due."""
        self.gatherer.handle_timeout(now)
        for leg in list(self.legs):
            leg.agent.handle_timeout(now)
        self._settle(now)

    def next_timeout(self) -> float | None:
        times = [self.gatherer.next_timeout(), *(leg.agent.next_timeout() for leg in self.legs)]
        if self._may_trim:
            done = [leg.agent.completed_at for leg in self.legs]
            times += [None if at is None else at + self.config.timing.linger_s for at in done]
        return min((at for at in times if at is not None), default=None)

    def _settle(self, now: float) -> None:
        """Carry everything that one part of the core has for another, and put out what is for the owner."""
        self._hand_on_candidates()
        for leg in self.legs:
            self._settle_leg(leg, now)
        for base, peer, refused in self.gatherer.permission_results():
            for leg in self.legs:
                leg.agent.permission_settled(base, peer, refused, now)
                self._settle_leg(leg, now)
        if self.gathered_at is None and self._all_asked and self.gatherer.done(now) and self.legs:
            self.gathered_at = now
            for leg in self.legs:
                leg.agent.gathering_ended(next(iter(self.gatherer.problems), None))
                self._settle_leg(leg, now)
                self.events.append((leg, Gathered()))
        while self.gatherer.lost:
            self._tell_lost(self.gatherer.lost.popleft())
        if self._may_trim and all(leg.settled(self.config.timing.linger_s, now) for leg in self.legs):
            self._trim(now)
        if self._doomed:
            self._free_sockets()
        self.packets.extend(self.gatherer.drain())

    def _tell_lost(self, lost: LostRelay) -> None:
        for leg in self.legs:
            if lost.flow in leg.agent.lists:
                carries = lost.base in leg.bases_in_use()
                self.events.append((leg, RelayLost(lost.flow, lost.server, lost.reason, carries)))

    def connection_lost(self, base: int, remote: Address, why: str, now: float) -> None:
        """Take note that a connection with a peer has ended, or cannot be made; `why` is in words."""
        for leg in self.legs:
            leg.agent.unreachable(base, remote, why, now, final=True)
        self._settle(now)

    def vouches(self, base: int, remote: Address) -> bool:
        """Tell whether an authenticated check has come to a base from there."""
        return any(
            (base, remote) in leg.agent.routes
            or any((one.base, one.source) == (base, remote) for flow in leg.agent.lists.values() for one in flow.early)
            for leg in self.legs
        )

    def unreachable(self, base: int, remote: Address, now: float) -> None:
        """Take note that the network says nobody listens at an address to which a socket has sent."""
        self.gatherer.unreachable(base, remote, now)
        for leg in self.legs:
            leg.agent.unreachable(base, remote, "the network says that nobody is there", now, final=False)
        self._settle(now)

    def _free_sockets(self) -> None:
        free = self._doomed - self.gatherer.carriers()
        self._doomed -= free
        self.unused_sockets.extend(free)

    def _settle_leg(self, leg: IceLeg, now: float) -> None:
        agent = leg.agent
        while agent.permissions_wanted:
            number, peer = agent.permissions_wanted.popleft()
            relay = self.gatherer.bases[number].relay
            if relay is not None:
                relay.client.permit(peer, now)
        while agent.packets:
            number, data, remote = agent.packets.popleft()
            packet = self.routing.outgoing(number, data, remote)
            if packet is not None:
                self.packets.append(packet)
        while agent.events:
            event = agent.events.popleft()
            self.events.append((leg, event))
            if isinstance(event, Nominating | Nominated):
                self._open_channel(leg, event.flow, now)

    def _open_channel(self, leg: IceLeg, stream: str, now: float) -> None:
        """Spare the overhead of Send indications where the selected pair is relayed."""
        pair = leg.agent.path(stream)
        base = None if pair is None else self.gatherer.bases.get(pair.local.base)
        if pair is not None and base is not None and base.relay is not None:
            base.relay.client.bind_channel(pair.remote.transport_address, now)

    @property
    def _may_trim(self) -> bool:
        return bool(self.legs) and not self._trimmed and not self._forks_expected

    def _trim(self, now: float) -> None:
        """Free what nothing was selected on, and use a channel where a relay was (RFC 8445 section 8.3)."""
        self._trimmed = True
        keep = set().union(*(leg.bases_in_use() for leg in self.legs))
        self.gatherer.release(None, keep, now)
        self._doomed |= self.gatherer.sockets_of(None) - keep

    def leaves_from(self, leg: IceLeg) -> frozenset[str]:
        """Give the addresses of the sockets that a leg's data leaves from, of a relay's those toward its server."""
        used = [self.gatherer.bases.get(number) for number in leg.bases_in_use()]
        return frozenset(
            (base if base.relay is None else base.relay.carrier).address[0] for base in used if base is not None
        )

    def hosts(self) -> frozenset[str]:
        """Give the addresses of this machine that there are sockets at."""
        return frozenset(base.address[0] for base in self.gatherer.bases.values() if base.relay is None)

    def state(self, leg: IceLeg) -> IceState:
        """Sum up how far one leg is."""
        told = leg.state
        if told is not None:
            return told
        if self.gathered_at is not None:
            return IceState.GATHERED
        return IceState.NEW if self.gathering_since is None else IceState.GATHERING
