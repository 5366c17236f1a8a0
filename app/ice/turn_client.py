"""A TURN client for one allocation: allocate, keep alive, let peers in, carry their data (RFC 8656).

Pure. One Allocate gives the relayed addresses of both families and our address as the server sees it. Bytes for
the server gather in `packets`; `receive` takes what came from the server's address and gives back a peer's datagram
where it carries one. Over TCP and TLS the caller frames what it receives; ChannelData is padded here.
"""

from __future__ import annotations

import logging
import re
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, StrEnum

from app.ice.config import Timing
from app.ice.requests import RandomBits, Schedule, transaction_id
from app.ice.stun import (
    Address,
    Attribute,
    Message,
    MessageClass,
    Method,
    StunError,
    encode_channel_data,
    is_somewhere,
    parse_channel_data,
)
from app.ice.turn_requests import Credentials, TurnRequests

log = logging.getLogger(__name__)

LIFETIME_S = 600
PERMISSION_REFRESH_S = 240.0  # a permission lasts 300 s, a channel 600 s; binding a channel again renews both
MAX_PERMISSIONS = 64
MAX_CHANNELS = 8
PROBE_RTO_S, PROBE_SENDS = 0.2, 3  # of an allocation that may be gone
RENEW_CREDENTIALS_S = 120.0  # how long before its credentials end an allocation is said to end
_UDP = b"\x11\0\0\0"
_IPV6 = b"\x02\0\0\0"
_LABEL = re.compile(r"[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?")
_NO_FAMILY = (420, 440)  # the server does not know the attribute, or has no such address


class Families(Enum):
    """What an Allocate asks for, in the order in which it is tried (RFC 8656 sections 7.1 and 7.2)."""

    BOTH = (Attribute.ADDITIONAL_ADDRESS_FAMILY, Attribute.ADDITIONAL_ADDRESS_FAMILY_DRAFT)
    V6 = (Attribute.REQUESTED_ADDRESS_FAMILY,)
    V4 = ()


_NEXT = {Families.BOTH: Families.V6, Families.V6: Families.V4}


class TurnState(StrEnum):
    IDLE = "idle"
    ALLOCATING = "allocating"
    READY = "ready"
    FAILED = "failed"  # refused, silent, or lost later; `problem` says why
    CLOSING = "closing"  # Refresh with lifetime 0 is out
    CLOSED = "closed"


@dataclass(slots=True)
class _Renewal:
    """A permission (channel None) or a channel that is renewed at a time."""

    renew_at: float
    channel: int | None = None
    granted: bool = False


@dataclass(frozen=True, slots=True)
class Alternate:
    """Another server that one names instead of itself (RFC 8489 section 10); `domain` is for its certificate."""

    address: Address
    domain: str | None = None


class TurnClient:
    """One allocation on one server for one local address. It asks for relayed addresses of both families, and takes
    what there is.
    """

    def __init__(
        self,
        name: str,
        credentials: Credentials,
        timing: Timing,
        random_bits: RandomBits,
        *,
        over_stream: bool = False,
    ) -> None:
        self.name = name
        self.state = TurnState.IDLE
        self.problem: str | None = None
        self.relayed: tuple[Address, ...] = ()  # at most one of each family
        self.mapped: Address | None = None
        self.alternate: Alternate | None = None  # failed, but may be tried there
        self.mismatch = False  # failed because the server has another allocation for this very socket
        self.ends_soon = False  # its credentials run out: whoever needs a relay makes another one
        self.packets: deque[bytes] = deque()
        self.permission_results: deque[tuple[Address, str | None]] = deque()
        """Peers that are let in (None) or not (why, in words); told once per wish, not at each renewal."""
        self._credentials = credentials
        self._over_stream = over_stream
        self._random_bits = random_bits
        self._families = Families.BOTH
        self._requests = TurnRequests(
            name, credentials, timing, random_bits, self.packets, self._error, over_stream=over_stream
        )
        self._permissions: dict[Address, _Renewal] = {}
        self._channels: dict[Address, _Renewal] = {}
        self._peers: dict[int, Address] = {}
        self._refresh_at: float | None = None
        self._ends_at: float | None = None
        self._probing = False

    @property
    def heard(self) -> bool:
        """Tell whether the server has answered something, be it a challenge."""
        return self._requests.heard

    @property
    def rtt_s(self) -> float | None:
        return self._requests.rtt_s

    # Allocation ------------------------------------------------------------------------------------------

    def allocate(self, now: float) -> None:
        self.state = TurnState.ALLOCATING
        if self._credentials.lasts_s is not None:
            self._ends_at = now + max(self._credentials.lasts_s - RENEW_CREDENTIALS_S, self._credentials.lasts_s / 2)
        self._requests.ask(Method.ALLOCATE, self._wish, self._allocated, now)

    def _wish(self, message: Message) -> Message:
        message.add(Attribute.REQUESTED_TRANSPORT, _UDP)
        for wanted in self._families.value:
            message.add(wanted, _IPV6)
        return message

    def _allocated(self, answer: Message | None, why: str, now: float) -> None:
        # Asked for both families, coturn gives 0.0.0.0:0 for one that it does not have.
        named = [] if answer is None else answer.addresses(Attribute.XOR_RELAYED_ADDRESS)
        relayed = [one for one in named if is_somewhere(one)]
        if answer is None or not relayed:
            self._fail(why or f"The TURN server {self.name} gave no relayed address.")
            return
        by_family = {":" in address[0]: address for address in reversed(relayed)}
        self.relayed = tuple(address for address in relayed if by_family[":" in address[0]] == address)[:2]
        mapped = answer.address(Attribute.XOR_MAPPED_ADDRESS)
        self.mapped = mapped if mapped is not None and is_somewhere(mapped) else None
        if self.state in (TurnState.FAILED, TurnState.CLOSING):  # given up meanwhile: hand back what came too late
            self.state = TurnState.READY
            self.close(now)
            return
        self.state = TurnState.READY
        self._plan_refresh(answer, now)

    def _plan_refresh(self, answer: Message, now: float) -> None:
        lifetime_s = answer.number(Attribute.LIFETIME) or LIFETIME_S
        self._refresh_at = now + max(lifetime_s - 60, lifetime_s / 2, 1)

    def _refresh(self, now: float) -> None:
        self._refresh_at = None
        self._requests.ask(Method.REFRESH, _lifetime(LIFETIME_S), self._refreshed, now)

    def _refreshed(self, answer: Message | None, why: str, now: float) -> None:
        if answer is None:
            self._fail(why)
        else:
            self._plan_refresh(answer, now)

    def give_up(self) -> None:
        """Wait no longer for the allocation; one that is granted all the same is handed back."""
        if self.state is TurnState.ALLOCATING:
            self._fail(f"The TURN server {self.name} did not answer: check its address and that it runs.")

    def lost(self, why: str, now: float) -> None:
        """Take note that the connection to the server has ended, and the allocation with it."""
        self._requests.clear()
        self._fail(why)

    def unreachable(self, now: float) -> None:
        """Take note that the network says nobody listens there (ICMP, which anybody could have sent).

        While allocating it is believed; an allocation that stands is put to the test by a quick Refresh.
        """
        if self.state is TurnState.ALLOCATING and not self.heard:
            self._requests.clear()
            self._fail(f"Nothing answers at the TURN server {self.name}: check its address and that it runs.")
        elif self.state is TurnState.READY and not self._probing:
            self._probing = True
            schedule = Schedule(PROBE_RTO_S, PROBE_SENDS, 2.0, now)
            self._requests.ask(Method.REFRESH, _lifetime(LIFETIME_S), self._probed, now, schedule)

    def _probed(self, answer: Message | None, why: str, now: float) -> None:
        self._probing = False
        self._refreshed(answer, why, now)

    def _fail(self, why: str) -> None:
        if self.state in (TurnState.IDLE, TurnState.ALLOCATING, TurnState.READY):
            log.info("TURN %s failed: %s", self.name, why)
            self.state, self.problem = TurnState.FAILED, why
            self._refresh_at = self._ends_at = None
            self.permission_results.extend((peer, why) for peer in self._permissions)
            self._permissions.clear()
            self._channels.clear()
        elif self.state is TurnState.CLOSING:
            self.state = TurnState.CLOSED

    def close(self, now: float) -> None:
        """Hand the allocation back with a Refresh of lifetime 0, also one that may be granted at this moment."""
        if self.state is TurnState.READY:
            self._requests.clear()
            self.state = TurnState.CLOSING
            self._refresh_at = self._ends_at = None
            self._requests.ask(Method.REFRESH, _lifetime(0), self._closed, now)
        elif self.state is TurnState.ALLOCATING and self._requests.signs:
            self.state = TurnState.CLOSING
            self._ends_at = None
        elif self.state is not TurnState.CLOSING:
            self._requests.clear()
            self.state = TurnState.CLOSED
        self._permissions.clear()
        self._channels.clear()

    def _closed(self, answer: Message | None, why: str, now: float) -> None:
        self.state = TurnState.CLOSED

    # Peers -----------------------------------------------------------------------------------------------

    def permit(self, peer: Address, now: float) -> None:
        """Ask the server to let this peer in; the answer comes in `permission_results`.

        A permission counts for all ports of an address, but a server may look at the port when it decides.
        """
        if any(granted.granted and known[0] == peer[0] for known, granted in self._permissions.items()):
            self.permission_results.append((peer, None))
        elif self.state is not TurnState.READY or len(self._permissions) >= MAX_PERMISSIONS:
            self.permission_results.append((peer, self.problem or f"The TURN server {self.name} is not in use."))
        elif peer not in self._permissions:
            self._permissions[peer] = _Renewal(now + PERMISSION_REFRESH_S)
            self._create_permission(peer, now)

    def _create_permission(self, peer: Address, now: float) -> None:
        def settled(answer: Message | None, why: str, now: float) -> None:
            renewal = self._permissions.get(peer)
            if answer is None:
                self._permissions.pop(peer, None)
            if renewal is not None and not renewal.granted:
                renewal.granted = answer is not None
                self.permission_results.append((peer, None if answer is not None else why))

        self._requests.ask(
            Method.CREATE_PERMISSION,
            lambda message: message.add_address(Attribute.XOR_PEER_ADDRESS, peer),
            settled,
            now,
        )

    def bind_channel(self, peer: Address, now: float) -> None:
        """Ask for a channel to this peer: 4 bytes of overhead a packet instead of 36, and its permission renewed."""
        if self.state is TurnState.READY and peer not in self._channels and len(self._channels) < MAX_CHANNELS:
            number = 0x4000 + len(self._peers) % 0x0FFF
            self._channels[peer] = _Renewal(now + PERMISSION_REFRESH_S, number)
            self._peers[number] = peer
            self._bind(peer, number, now)

    def _bind(self, peer: Address, number: int, now: float) -> None:
        def settled(answer: Message | None, why: str, now: float) -> None:
            renewal = self._channels.get(peer)
            if answer is None:
                self._channels.pop(peer, None)
                log.info("TURN %s: no channel to %s:%s: %s", self.name, *peer, why)
            elif renewal is not None:
                renewal.granted = True

        self._requests.ask(
            Method.CHANNEL_BIND,
            lambda message: message.add_channel_number(number).add_address(Attribute.XOR_PEER_ADDRESS, peer),
            settled,
            now,
        )

    def relayed_toward(self, peer: Address) -> Address | None:
        """Give the relayed address that this peer's datagrams come to: the one of its family."""
        return next((one for one in self.relayed if (":" in one[0]) == (":" in peer[0])), None)

    def wrap(self, peer: Address, data: bytes) -> bytes | None:
        """Frame one datagram for a peer: the bytes to send to the server; None when there is no allocation."""
        if self.state is not TurnState.READY:
            return None
        channel = self._channels.get(peer)
        if channel is not None and channel.granted and channel.channel is not None:
            framed = encode_channel_data(channel.channel, data)
            return framed + bytes(-len(framed) % 4) if self._over_stream else framed
        message = Message(Method.SEND, MessageClass.INDICATION, transaction_id(self._random_bits))
        return message.add_address(Attribute.XOR_PEER_ADDRESS, peer).add(Attribute.DATA, data).encode()

    # Datagrams and time ----------------------------------------------------------------------------------

    def receive(self, data: bytes, now: float) -> tuple[Address, bytes] | None:
        """Take what came from the server; gives (peer, data) when it carries a peer's datagram."""
        try:
            if data and 0x40 <= data[0] <= 0x4F:
                channel, payload = parse_channel_data(data)
                peer = self._peers.get(channel)
                return None if peer is None else (peer, payload)
            message = Message.parse(data)
            if message.message_class is MessageClass.INDICATION:
                return self._indication(message)
            self._requests.take(message, now)
        except StunError as error:
            log.debug("TURN %s sent something malformed: %s", self.name, error)
        return None

    def _indication(self, message: Message) -> tuple[Address, bytes] | None:
        peer, payload = message.address(Attribute.XOR_PEER_ADDRESS), message.get(Attribute.DATA)
        return (peer, payload) if message.method == Method.DATA and peer is not None and payload is not None else None

    def _error(self, method: Method, code: int, message: Message) -> bool:
        """Look at an error answer; True when an Allocate is to go out again, asking for another family."""
        if method is not Method.ALLOCATE:
            if code == 437 and self.state is TurnState.READY:
                self._fail(f"The TURN server {self.name} no longer knows this relay.")
            return False
        if code in _NO_FAMILY and self._families in _NEXT:
            self._families = _NEXT[self._families]
            return True
        self.mismatch = code == 437
        self.alternate = _alternate(message) if code == 300 else None
        return False

    def handle_timeout(self, now: float) -> None:
        """Retransmit, refresh the allocation, renew permissions and channels, as far as due."""
        self._requests.handle_timeout(now)
        if self._refresh_at is not None and now >= self._refresh_at:
            self._refresh(now)
        if self._ends_at is not None and now >= self._ends_at:
            self._ends_at, self.ends_soon = None, True
        for peer, renewal in list(self._permissions.items()):
            if now >= renewal.renew_at:
                renewal.renew_at = now + PERMISSION_REFRESH_S
                self._create_permission(peer, now)
        for peer, renewal in list(self._channels.items()):
            if now >= renewal.renew_at and renewal.channel is not None:
                renewal.renew_at = now + PERMISSION_REFRESH_S
                self._bind(peer, renewal.channel, now)

    def next_timeout(self) -> float | None:
        renewals = (renewal.renew_at for renewal in (*self._permissions.values(), *self._channels.values()))
        times = (self._requests.next_timeout(), self._refresh_at, self._ends_at, *renewals)
        return min((at for at in times if at is not None), default=None)


def _lifetime(seconds: int) -> Callable[[Message], Message]:
    return lambda message: message.add_number(Attribute.LIFETIME, seconds)


def _alternate(message: Message) -> Alternate | None:
    try:
        address, domain = message.address(Attribute.ALTERNATE_SERVER), message.text(Attribute.ALTERNATE_DOMAIN)
    except StunError:
        return None
    if address is None or not address[1] or (domain and not _may_be_in_certificate(domain)):
        return None
    return Alternate(address, domain or None)


def _may_be_in_certificate(domain: str) -> bool:
    """Tell whether this is a name as the DNS has them (RFC 1123 section 2.1): the TLS library takes no other."""
    return len(domain) <= 253 and all(_LABEL.fullmatch(label) for label in domain.split("."))
