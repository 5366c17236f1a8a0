"""How the NAT in between maps and filters, found out with a STUN server that has two addresses: RFC 5780 section 4.

Pure. Two sockets of ours are used: 0 for mapping, which also sends to the server's second address, and 1 for
filtering, which must not. The owner sends what `packets` holds and hands in what comes. A server without a second
address leaves the behaviour unknown, and still tells whether UDP is open and what our address looks like.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from enum import Enum, StrEnum

from app.ice.requests import Due, RandomBits, Schedule, transaction_id
from app.ice.stun import Address, Attribute, Message, MessageClass, Method, StunError

MAPPING_SOCKET, FILTERING_SOCKET = 0, 1
RTO_S, SENDS, LAST_WAIT = 0.3, 3, 3.0  # given up after 1.8 s: what was filtered never comes
_CHANGE_PORT, _CHANGE_BOTH = 2, 6  # CHANGE-REQUEST flags, RFC 5780 section 7.2


class Behaviour(StrEnum):
    """Of mapping (RFC 4787 section 4.1) or of filtering (section 5)."""

    NO_NAT = "no NAT"  # mapping only
    ENDPOINT_INDEPENDENT = "endpoint-independent"
    ADDRESS_DEPENDENT = "address-dependent"
    ADDRESS_AND_PORT_DEPENDENT = "address-and-port-dependent"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class NatReport:
    """What was found out. `mapped` is our address as the server saw it, `sentence` all of it for a person."""

    mapping: Behaviour
    filtering: Behaviour
    mapped: Address | None
    local: Address
    sentence: str
    udp_open: bool


class _Test(Enum):
    """One request: from which socket it leaves, and what it asks the server to change."""

    MAPPING_1 = (MAPPING_SOCKET, 0, "to the server")
    MAPPING_2 = (MAPPING_SOCKET, 0, "to its other address, the same port")
    MAPPING_3 = (MAPPING_SOCKET, 0, "to its other address and port")
    FILTERING_1 = (FILTERING_SOCKET, 0, "to the server")
    FILTERING_2 = (FILTERING_SOCKET, _CHANGE_BOTH, "answered from the other address and port")
    FILTERING_3 = (FILTERING_SOCKET, _CHANGE_PORT, "answered from the other port")


@dataclass(slots=True, eq=False)
class _Request:
    test: _Test
    server: Address
    answers_from: Address
    data: bytes
    schedule: Schedule


class NatDiscovery:
    """One run against one server. `report` is None until it is over."""

    def __init__(self, server: Address, locals_: tuple[Address, Address], random_bits: RandomBits) -> None:
        self.packets: deque[tuple[int, bytes, Address]] = deque()
        self.report: NatReport | None = None
        self._server = server
        self._locals = locals_
        self._random_bits = random_bits
        self._other: Address | None = None
        self._open: dict[bytes, _Request] = {}
        self._mapped: dict[_Test, Address] = {}

    def start(self, now: float) -> None:
        self._ask(_Test.MAPPING_1, self._server, self._server, now)
        self._ask(_Test.FILTERING_1, self._server, self._server, now)

    def _ask(self, test: _Test, server: Address, answers_from: Address, now: float) -> None:
        tid = transaction_id(self._random_bits)
        message = Message(Method.BINDING, MessageClass.REQUEST, tid)
        if test.value[1]:
            message.add_number(Attribute.CHANGE_REQUEST, test.value[1])
        schedule = Schedule(RTO_S, SENDS, LAST_WAIT, now)
        request = _Request(test, server, answers_from, message.encode(fingerprint=True), schedule)
        self._open[tid] = request
        self._advance(tid, request, now)

    def _advance(self, tid: bytes, request: _Request, now: float) -> None:
        due = request.schedule.poll(now)
        if due is Due.SEND:
            self.packets.append((request.test.value[0], request.data, request.server))
        elif due is Due.TIMEOUT:
            del self._open[tid]

    def receive(self, socket: int, data: bytes, source: Address, now: float) -> None:
        """Take a datagram; what answers no request of ours from where it must come is ignored."""
        try:
            message = Message.parse(data)
            request = self._open.get(message.transaction_id)
            if request is None or request.test.value[0] != socket or source != request.answers_from:
                return
            mapped = message.address(Attribute.XOR_MAPPED_ADDRESS) or message.address(Attribute.MAPPED_ADDRESS)
            other = message.address(Attribute.OTHER_ADDRESS)
        except StunError:
            return
        del self._open[message.transaction_id]
        if message.message_class is MessageClass.SUCCESS and mapped is not None:
            self._mapped[request.test] = mapped
            self._go_on(request.test, other, now)
        self._conclude()

    def _go_on(self, test: _Test, other: Address | None, now: float) -> None:
        """After the first answer to a socket: the tests that need the server's second address."""
        host, port = self._server
        if other is None or other[0] == host or other[1] == port or (":" in other[0]) != (":" in host):
            return
        self._other = other
        if test is _Test.MAPPING_1:
            for later, place in ((_Test.MAPPING_2, (other[0], port)), (_Test.MAPPING_3, other)):
                self._ask(later, place, place, now)
        elif test is _Test.FILTERING_1:
            self._ask(_Test.FILTERING_2, self._server, other, now)
            self._ask(_Test.FILTERING_3, self._server, (host, other[1]), now)

    def handle_timeout(self, now: float) -> None:
        for tid, request in list(self._open.items()):
            self._advance(tid, request, now)
        self._conclude()

    def next_timeout(self) -> float | None:
        return min((request.schedule.next_at for request in self._open.values()), default=None)

    def _conclude(self) -> None:
        if self._open or self.report is not None:
            return
        mapped = self._mapped.get(_Test.MAPPING_1) or self._mapped.get(_Test.FILTERING_1)
        mapping, filtering = self._mapping(), self._filtering()
        sentence = describe(mapping, filtering, open_=mapped is not None)
        self.report = NatReport(mapping, filtering, mapped, self._locals[0], sentence, mapped is not None)

    def _mapping(self) -> Behaviour:
        """RFC 5780 section 4.3."""
        first, second, third = (self._mapped.get(test) for test in (_Test.MAPPING_1, _Test.MAPPING_2, _Test.MAPPING_3))
        if first is None:
            return Behaviour.UNKNOWN
        if first == self._locals[MAPPING_SOCKET]:
            return Behaviour.NO_NAT
        if second is None:
            return Behaviour.UNKNOWN
        if first == second:
            return Behaviour.ENDPOINT_INDEPENDENT
        if third is None:
            return Behaviour.UNKNOWN
        return Behaviour.ADDRESS_DEPENDENT if second == third else Behaviour.ADDRESS_AND_PORT_DEPENDENT

    def _filtering(self) -> Behaviour:
        """RFC 5780 section 4.4."""
        if _Test.FILTERING_1 not in self._mapped or self._other is None:
            return Behaviour.UNKNOWN
        if _Test.FILTERING_2 in self._mapped:
            return Behaviour.ENDPOINT_INDEPENDENT
        if _Test.FILTERING_3 in self._mapped:
            return Behaviour.ADDRESS_DEPENDENT
        return Behaviour.ADDRESS_AND_PORT_DEPENDENT


_MAPPING_WORDS = {
    Behaviour.NO_NAT: "There is no NAT: the server sees the very address of this machine",
    Behaviour.ENDPOINT_INDEPENDENT: "The NAT shows one and the same address to everybody",
    Behaviour.ADDRESS_DEPENDENT: "The NAT shows another address to each machine it sends to",
    Behaviour.ADDRESS_AND_PORT_DEPENDENT: "The NAT shows another address to each destination (symmetric)",
    Behaviour.UNKNOWN: "A NAT stands in between; this server has no second address to tell of which kind",
}
_FILTERING_WORDS = {
    Behaviour.ENDPOINT_INDEPENDENT: "lets anybody in to an address that is in use",
    Behaviour.ADDRESS_DEPENDENT: "lets in only machines that were sent to",
    Behaviour.ADDRESS_AND_PORT_DEPENDENT: "lets in only exactly who was sent to",
}


def describe(mapping: Behaviour, filtering: Behaviour, *, open_: bool) -> str:
    """Put both behaviours into words, with which peers can be reached directly."""
    if not open_:
        return (
            "UDP seems to be shut: the server did not answer. Calls need a TURN server over TCP or TLS, or paths over "
            "TCP."
        )
    words = _MAPPING_WORDS[mapping]
    if filtering in _FILTERING_WORDS:
        words += f" and {'the firewall ' if mapping is Behaviour.NO_NAT else ''}{_FILTERING_WORDS[filtering]}"
    return f"{words}. {_reachable(mapping, filtering)}"


def _reachable(mapping: Behaviour, filtering: Behaviour) -> str:
    """Say whom ICE connects directly: a hole is needed on both sides that the other can name."""
    if mapping is Behaviour.UNKNOWN:
        return "Most peers can probably be reached directly."
    if filtering is Behaviour.ENDPOINT_INDEPENDENT:
        return "Every peer whose UDP is open can be reached directly."
    if mapping in (Behaviour.NO_NAT, Behaviour.ENDPOINT_INDEPENDENT):
        return (
            "Every peer can be reached directly, unless it is behind a symmetric NAT that lets in only whom it knows."
        )
    return (
        "Peers without a NAT, or behind one that lets anybody in, can be reached directly; others need a relay (TURN)."
    )
