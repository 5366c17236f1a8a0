"""A small network in memory, on a virtual clock: hosts, NATs of the four kinds, loss, delay, a TURN server.

ICE cores are put on hosts as parties; `run` moves the clock from packet to timer to packet. The TURN server is
the home server's own core.
"""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from app.events import IceSnapshot
from app.home.turn_allocations import FiveTuple
from app.home.turn_core import TurnServer as TurnCore
from app.home.turn_io import CloseRelay, OpenRelay, SendToClient, SendToPeer
from app.ice.candidates import IceDescription
from app.ice.config import IceConfig
from app.ice.core import IceCore
from app.ice.events import IceEvent
from app.ice.flows import split_flow
from app.ice.leg import IceLeg
from app.ice.snapshot import take_snapshot
from app.ice.stun import Address, long_term_key
from app.settings import HostPort, TurnServer

REALM = "lab"
TURN_ADDRESS: Address = ("203.0.113.1", 3478)
TURN = TurnServer(HostPort(*TURN_ADDRESS), "udp", "alice", "secret")


class Mode(StrEnum):
    FULL_CONE = "fullcone"
    ADDRESS_RESTRICTED = "arc"
    PORT_RESTRICTED = "prc"
    SYMMETRIC = "sym"


class Nat:
    """Translates between a LAN and one public address."""

    def __init__(self, mode: Mode, public: str) -> None:
        self.mode = mode
        self.public = public
        self._next_port = 20000
        self._out: dict[tuple[Address, Address | None], int] = {}
        self._in: dict[int, Address] = {}
        self._contacted: dict[int, set[Address]] = {}

    def outbound(self, source: Address, destination: Address) -> Address:
        key = (source, destination if self.mode is Mode.SYMMETRIC else None)
        if key not in self._out:
            self._next_port += 1
            self._out[key] = self._next_port
            self._in[self._next_port] = source
        port = self._out[key]
        self._contacted.setdefault(port, set()).add(destination)
        return self.public, port

    def inbound(self, port: int, source: Address) -> Address | None:
        contacted = self._contacted.get(port, set())
        allowed = {
            Mode.FULL_CONE: bool(contacted),
            Mode.ADDRESS_RESTRICTED: any(source[0] == one[0] for one in contacted),
            Mode.PORT_RESTRICTED: source in contacted,
            Mode.SYMMETRIC: source in contacted,
        }[self.mode]
        return self._in.get(port) if allowed else None

    def forget(self) -> None:
        """Lose all bindings, as a router that restarts does."""
        self._out.clear()
        self._in.clear()
        self._contacted.clear()


Receiver = Callable[[bytes, Address, float], None]


@dataclass
class Lan:
    nat: Nat | None = None
    sockets: dict[Address, Receiver] = field(default_factory=dict)


class Network:
    def __init__(self, *, delay_s: float = 0.01, jitter_s: float = 0.0, loss: float = 0.0, seed: int = 1) -> None:
        self.now = 100.0
        self.delay_s = delay_s
        self.jitter_s = jitter_s  # datagrams overtake each other
        self.loss = loss
        self.rng = random.Random(seed)
        self.internet = Lan()
        self.nats: dict[str, Nat] = {}
        self.lans: dict[str, Lan] = {}
        self.parties: list[Party] = []
        self.timers: list[tuple[Callable[[], float | None], Callable[[float], None]]] = []
        self.sent: list[tuple[Address, Address, bytes]] = []
        self.blocked: Callable[[Address, Address, bytes], bool] = lambda source, destination, data: False
        self._queue: list[tuple[float, int, Callable[[], None]]] = []
        self._sequence = 0

    def lan(self, mode: Mode, public: str) -> Lan:
        nat = Nat(mode, public)
        self.nats[public] = nat
        lan = self.lans[public] = Lan(nat)
        return lan

    def transmit(self, lan: Lan, source: Address, destination: Address, data: bytes) -> None:
        self.sent.append((source, destination, data))
        if self.rng.random() < self.loss or self.blocked(source, destination, data):
            return
        if destination in lan.sockets:
            self._later(lan.sockets[destination], data, source)
            return
        if lan.nat is not None:
            source = lan.nat.outbound(source, destination)
        nat = self.nats.get(destination[0])
        if nat is not None:
            inside = nat.inbound(destination[1], source)
            receiver = None if inside is None else self.lans[destination[0]].sockets.get(inside)
        else:
            receiver = self.internet.sockets.get(destination)
        if receiver is not None:
            self._later(receiver, data, source)

    def _later(self, receiver: Receiver, data: bytes, source: Address) -> None:
        self._sequence += 1
        at = self.now + self.delay_s + self.jitter_s * self.rng.random()
        heapq.heappush(self._queue, (at, self._sequence, lambda: receiver(data, source, self.now)))

    def after(self, seconds: float, action: Callable[[], None]) -> None:
        """Do something at a later time."""
        self._sequence += 1
        heapq.heappush(self._queue, (self.now + seconds, self._sequence, action))

    def run(self, seconds: float, until: Callable[[], bool] = lambda: False) -> float:
        """Let time pass until the condition holds or the seconds are over; gives how long it took."""
        start = self.now
        end = start + seconds
        while not until():
            timeouts = [at for timeout, _ in self.timers if (at := timeout()) is not None]
            at = min([*timeouts, *(one[0] for one in self._queue[:1])], default=None)
            if at is None or at > end:
                self.now = end
                break
            self.now = max(self.now, at)
            while self._queue and self._queue[0][0] <= self.now:
                heapq.heappop(self._queue)[2]()
            for timeout, handle in self.timers:
                if (due := timeout()) is not None and due <= self.now:
                    handle(self.now)
        return self.now - start

    def add_turn(self, address: Address = TURN_ADDRESS) -> TurnCore:
        """Put a TURN server on the internet; user alice, password secret."""
        key = long_term_key("alice", REALM, "secret")
        core = TurnCore(REALM, lambda user: key if user == "alice" else None, secret=b"s" * 32)
        core.set_own_addresses([address[0]])
        relays: dict[int, Address] = {}

        def drain() -> None:
            while outputs := core.take_outputs():
                for output in outputs:
                    match output:
                        case SendToClient(path, data):
                            self.transmit(self.internet, address, path.client, data)
                        case SendToPeer(relay_id, peer, data):
                            self.transmit(self.internet, relays[relay_id], peer, data)
                        case OpenRelay(relay_id):
                            relays[relay_id] = (address[0], 50000 + relay_id)
                            self.internet.sockets[relays[relay_id]] = from_peer(relay_id)
                            core.relay_opened(relay_id, relays[relay_id], self.now)
                        case CloseRelay(relay_id):
                            self.internet.sockets.pop(relays.pop(relay_id), None)

        def from_peer(relay_id: int) -> Receiver:
            def receive(data: bytes, source: Address, now: float) -> None:
                core.receive_from_peer(relay_id, data, source, now)
                drain()

            return receive

        def from_client(data: bytes, source: Address, now: float) -> None:
            core.receive(data, FiveTuple(source, address), now)
            drain()

        def timeout(now: float) -> None:
            core.handle_timeout(now)
            drain()

        self.internet.sockets[address] = from_client
        self.timers.append((core.next_timeout, timeout))
        return core


class Party:
    """One ICE core on a host, with everything it told and received."""

    def __init__(
        self,
        network: Network,
        lan: Lan,
        host: str | Sequence[str],
        config: IceConfig,
        *,
        controlling: bool,
        streams: Sequence[str] = ("audio",),
    ) -> None:
        self.network = network
        self.lan = lan
        self.core = IceCore(config, controlling, streams, network.rng.getrandbits)
        self.leg: IceLeg = self.core.legs[0]
        self.events: list[IceEvent] = []
        self.leg_events: list[tuple[IceLeg, IceEvent]] = []
        self.received: list[tuple[str, bytes]] = []
        self._ports: dict[int, Address] = {}
        for at, stream in enumerate(streams):
            for preference, one in enumerate([host] if isinstance(host, str) else host):
                self._open(stream, (one, 4000 + at), preference)
        network.parties.append(self)
        network.timers.append((self.core.next_timeout, self.handle_timeout))

    def _open(self, stream: str, address: Address, preference: int) -> None:
        number = self.core.add_socket(stream, address, preference, "eth0")
        self._ports[number] = address

        def receive(data: bytes, source: Address, now: float) -> None:
            got = self.core.receive(number, data, source, now)
            if got is not None:
                self.received.append((got[1], got[2]))
            self.flush()

        self._lan(address).sockets[address] = receive

    def _lan(self, address: Address) -> Lan:
        """IPv6 is not translated: such an address is on the open network, wherever its host stands."""
        return self.network.internet if ":" in address[0] else self.lan

    def handle_timeout(self, now: float) -> None:
        self.core.handle_timeout(now)
        self.flush()

    def flush(self) -> None:
        while self.core.packets:
            number, data, destination = self.core.packets.popleft()
            if number in self._ports:
                source = self._ports[number]
                self.network.transmit(self._lan(source), source, destination, data)
        while self.core.unused_sockets:
            number = self.core.unused_sockets.popleft()
            address = self._ports.pop(number)
            self._lan(address).sockets.pop(address, None)
            self.core.gatherer.forget(number)
        while self.core.events:
            leg, event = self.core.events.popleft()
            self.leg_events.append((leg, event))
            if leg is self.leg:
                self.events.append(event)

    @property
    def open_sockets(self) -> int:
        return len(self._ports)

    def gather(self) -> None:
        """Ask every server of the configuration and run until gathering is over."""
        self.begin_gathering()
        self.network.run(10, lambda: self.core.gathered_at is not None)

    def begin_gathering(self) -> None:
        config = self.core.config
        self.core.begin_gathering(self.network.now)
        for name in config.stun_servers:
            self.core.ask_stun(name, (name.host, name.port))
        for index, turn in enumerate(config.turn_servers):
            self.core.ask_turn(index, turn, (turn.server.host, turn.server.port))
        self.core.all_servers_asked(self.network.now)
        self.flush()

    def local(self, stream: str = "audio") -> IceDescription:
        return self.core.local(self.leg, stream)

    def set_remote(self, description: IceDescription, stream: str = "audio") -> None:
        self.leg.agent.set_remote(stream, description, self.network.now)

    def start(self) -> None:
        self.core.start_checks(self.leg, self.network.now)
        self.flush()

    def send(self, data: bytes, stream: str = "audio") -> bool:
        packet = self.core.send(self.leg, stream, data)
        if packet is None:
            return False
        source = self._ports[packet[0]]
        self.network.transmit(self._lan(source), source, packet[2], packet[1])
        return True

    def close(self) -> None:
        self.core.close_leg(self.leg, self.network.now)
        self.flush()

    @property
    def streams(self) -> list[str]:
        """The streams that there are, whatever number of components each has."""
        return list(dict.fromkeys(split_flow(flow)[0] for flow in self.leg.agent.lists))

    @property
    def connected(self) -> bool:
        return self.leg.agent.connected_at is not None

    @property
    def done(self) -> bool:
        return self.leg.agent.completed_at is not None

    def selected(self, stream: str = "audio") -> tuple[str, str]:
        """Give the types of the pair that was decided on."""
        pair = self.leg.agent.lists[stream].chosen
        assert pair is not None, self.events[-5:]
        return pair.local.candidate.type.value, pair.remote.type.value

    def snapshot(self) -> IceSnapshot:
        return take_snapshot(self.core, self.leg)

    def told(self, kind: type[IceEvent]) -> list[IceEvent]:
        return [event for event in self.events if isinstance(event, kind)]


def connect(a: Party, b: Party, *, signalling_s: float = 0.05, patience_s: float = 60) -> float:
    """Gather, exchange descriptions as a call does, check; gives the seconds from the answer to completion."""
    network = a.network
    if a.core.gathered_at is None:
        a.gather()
    network.run(signalling_s)
    if b.core.gathered_at is None:
        b.gather()
    for stream in a.streams:
        b.set_remote(a.local(stream), stream)
    b.start()
    network.run(signalling_s)
    for stream in a.streams:
        a.set_remote(b.local(stream), stream)
    a.start()
    return network.run(patience_s, lambda: a.done and b.done)
