"""A TURN client for one allocation: allocate, keep alive, let peers in, carry their data (RFC 8656).

Pure. One Allocate gives both the relayed address and our address as the server sees it. Bytes for the server
gather in `packets`; `receive` takes what came from the server's address and gives back a peer's datagram where
it carries one. Over TCP and TLS the caller frames what it receives; ChannelData is padded here.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from app.ice.config import Timing
from app.ice.requests import Due, RandomBits, Schedule, transaction_id
from app.ice.stun import (
    Address,
    Attribute,
    Message,
    MessageClass,
    Method,
    StunError,
    encode_channel_data,
    long_term_key,
    parse_channel_data,
)

log = logging.getLogger(__name__)

LIFETIME_S = 600
PERMISSION_REFRESH_S = 240.0  # a permission lasts 300 s, a channel 600 s; binding a channel again renews both
MAX_PERMISSIONS = 64
MAX_CHANNELS = 8
MAX_STALE_NONCES = 3
_UDP = b"\x11\0\0\0"
_IPV6 = b"\x02\0\0\0"
_NO_IPV6 = (420, 440)  # the server does not know the attribute, or has no such address


class TurnState(StrEnum):
    IDLE = "idle"
    ALLOCATING = "allocating"
    READY = "ready"
    FAILED = "failed"  # refused, silent, or lost later; `problem` says why
    CLOSING = "closing"  # Refresh with lifetime 0 is out
    CLOSED = "closed"


@dataclass(slots=True, eq=False)
class _Request:
    """One request under way; `settled` is told None at success, otherwise why not."""

    method: Method
    build: Callable[[Message], Message]
    settled: Callable[[Message | None, str, float], None]
    schedule: Schedule
    data: bytes = b""
    stale_nonces: int = 0


@dataclass(slots=True)
class _Renewal:
    """A permission (channel None) or a channel that is renewed at a time."""

    renew_at: float
    channel: int | None = None
    granted: bool = False


class TurnClient:
    """One allocation on one server for one local address.

    `ipv6`: ask for a relayed IPv6 address; unasked a server gives an IPv4 one (RFC 8656 section 7.1), which is also
    taken from a server that has no other.
    """

    def __init__(
        self,
        name: str,
        username: str,
        password: str,
        timing: Timing,
        random_bits: RandomBits,
        *,
        over_stream: bool = False,
        ipv6: bool = False,
    ) -> None:
        self.name = name
        self.state = TurnState.IDLE
        self.problem: str | None = None
        self.heard = False  # the server has answered something, be it a challenge
        self.relayed: Address | None = None
        self.mapped: Address | None = None
        self.packets: deque[bytes] = deque()
        self.permission_results: deque[tuple[Address, str | None]] = deque()
        """Peers that are let in (None) or not (why, in words); told once per wish, not at each renewal."""
        self._username = username
        self._password = password
        self._timing = timing
        self._random_bits = random_bits
        self._over_stream = over_stream
        self._ipv6 = ipv6
        self._realm: str | None = None
        self._nonce = ""
        self._key: bytes | None = None
        self._requests: dict[bytes, _Request] = {}
        self._permissions: dict[Address, _Renewal] = {}
        self._channels: dict[Address, _Renewal] = {}
        self._peers: dict[int, Address] = {}
        self._refresh_at: float | None = None

    # Allocation ------------------------------------------------------------------------------------------

    def allocate(self, now: float) -> None:
        self.state = TurnState.ALLOCATING
        self._ask(Method.ALLOCATE, self._wish, self._allocated, now)

    def _wish(self, message: Message) -> Message:
        message.add(Attribute.REQUESTED_TRANSPORT, _UDP)
        return message.add(Attribute.REQUESTED_ADDRESS_FAMILY, _IPV6) if self._ipv6 else message

    def _allocated(self, answer: Message | None, why: str, now: float) -> None:
        relayed = None if answer is None else answer.address(Attribute.XOR_RELAYED_ADDRESS)
        if answer is None or relayed is None:
            self._fail(why or f"The TURN server {self.name} gave no relayed address.")
            return
        self.relayed, self.mapped = relayed, answer.address(Attribute.XOR_MAPPED_ADDRESS)
        if self.state is TurnState.FAILED:  # given up meanwhile: hand back what came too late
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
        self._ask(Method.REFRESH, _lifetime(LIFETIME_S), self._refreshed, now)

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
        if self.state is TurnState.CLOSING:
            self.state = TurnState.CLOSED

    def _fail(self, why: str) -> None:
        if self.state in (TurnState.IDLE, TurnState.ALLOCATING, TurnState.READY):
            log.info("TURN %s failed: %s", self.name, why)
            self.state, self.problem = TurnState.FAILED, why
            self._refresh_at = None
            self.permission_results.extend((peer, why) for peer in self._permissions)
            self._permissions.clear()
            self._channels.clear()

    def close(self, now: float) -> None:
        """Hand the allocation back with a Refresh of lifetime 0."""
        if self.state is TurnState.READY:
            self._requests.clear()
            self.state, self._refresh_at = TurnState.CLOSING, None
            self._ask(Method.REFRESH, _lifetime(0), self._closed, now)
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

        self._ask(
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

        self._ask(
            Method.CHANNEL_BIND,
            lambda message: message.add_channel_number(number).add_address(Attribute.XOR_PEER_ADDRESS, peer),
            settled,
            now,
        )

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
            self._answer(message, now)
        except StunError as error:
            log.debug("TURN %s sent something malformed: %s", self.name, error)
        return None

    def _indication(self, message: Message) -> tuple[Address, bytes] | None:
        peer, payload = message.address(Attribute.XOR_PEER_ADDRESS), message.get(Attribute.DATA)
        return (peer, payload) if message.method == Method.DATA and peer is not None and payload is not None else None

    def _answer(self, message: Message, now: float) -> None:
        request = self._requests.get(message.transaction_id)
        if request is None or message.method != request.method:
            return
        self.heard = True
        if message.message_class is MessageClass.SUCCESS:
            if self._key is not None and not message.check_integrity(self._key):
                log.debug("TURN %s: an answer that is not authentic", self.name)
                return
            del self._requests[message.transaction_id]
            request.settled(message, "", now)
            return
        code, words = message.error() or (0, "")
        del self._requests[message.transaction_id]
        fresh = message.text(Attribute.NONCE), message.text(Attribute.REALM)
        if self._ipv6 and request.method is Method.ALLOCATE and code in _NO_IPV6:
            self._ipv6 = False
            self._send(request, now)
        elif self._may_retry(code, request, *fresh):
            self._send(request, now)
        else:
            request.settled(None, self._refusal(request.method, code, words), now)

    def _may_retry(self, code: int, request: _Request, nonce: str | None, realm: str | None) -> bool:
        """Take a challenge (401 once, 438 a few times) and tell whether the request can go out again."""
        if nonce is None or not ((code == 401 and self._key is None) or code == 438):
            return False
        request.stale_nonces += code == 438
        if request.stale_nonces > MAX_STALE_NONCES:
            return False
        self._nonce = nonce
        if self._key is None:
            if not self._username or realm is None:
                return False
            self._realm = realm
            self._key = long_term_key(self._username, realm, self._password)
        return True

    def _refusal(self, method: Method, code: int, words: str) -> str:
        """Put an error answer into a sentence."""
        if code == 401 or (code == 441 and method is not Method.ALLOCATE):
            return f"The TURN server {self.name} does not accept this user name and password: check both."
        if code == 403:
            return f"The TURN server {self.name} is not allowed to relay to that address."
        if code == 486:
            return f"The TURN server {self.name} gives this user no more relays: too many are in use."
        if code == 300:
            return f"The TURN server {self.name} names another server instead; put that one into the settings."
        return f"The TURN server {self.name} refused with {code} {words[:60]}".strip() + "."

    def _ask(
        self,
        method: Method,
        build: Callable[[Message], Message],
        settled: Callable[[Message | None, str, float], None],
        now: float,
    ) -> None:
        self._send(_Request(method, build, settled, Schedule.start(self._timing, now)), now)

    def _send(self, request: _Request, now: float) -> None:
        tid = transaction_id(self._random_bits)
        message = request.build(Message(request.method, MessageClass.REQUEST, tid))
        if self._key is not None and self._realm is not None:
            message.add_text(Attribute.USERNAME, self._username).add_text(Attribute.REALM, self._realm)
            message.add_text(Attribute.NONCE, self._nonce)
        request.data = message.encode(self._key, fingerprint=True)
        request.schedule = Schedule.start(self._timing, now, self._timing.server_rto_s)
        self._requests[tid] = request
        self._advance(tid, request, now)

    def _advance(self, tid: bytes, request: _Request, now: float) -> None:
        due = request.schedule.poll(now)
        if due is Due.SEND and (request.schedule.attempts == 1 or not self._over_stream):
            self.packets.append(request.data)
        elif due is Due.TIMEOUT:
            del self._requests[tid]
            request.settled(None, f"The TURN server {self.name} no longer answers.", now)

    def handle_timeout(self, now: float) -> None:
        """Retransmit, refresh the allocation, renew permissions and channels, as far as due."""
        for tid, request in list(self._requests.items()):
            self._advance(tid, request, now)
        if self._refresh_at is not None and now >= self._refresh_at:
            self._refresh(now)
        for peer, renewal in list(self._permissions.items()):
            if now >= renewal.renew_at:
                renewal.renew_at = now + PERMISSION_REFRESH_S
                self._create_permission(peer, now)
        for peer, renewal in list(self._channels.items()):
            if now >= renewal.renew_at and renewal.channel is not None:
                renewal.renew_at = now + PERMISSION_REFRESH_S
                self._bind(peer, renewal.channel, now)

    def next_timeout(self) -> float | None:
        times = [request.schedule.next_at for request in self._requests.values()]
        times += [renewal.renew_at for renewal in (*self._permissions.values(), *self._channels.values())]
        if self._refresh_at is not None:
            times.append(self._refresh_at)
        return min(times, default=None)


def _lifetime(seconds: int) -> Callable[[Message], Message]:
    return lambda message: message.add_number(Attribute.LIFETIME, seconds)
