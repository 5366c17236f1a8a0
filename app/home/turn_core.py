"""A STUN and TURN server without sockets: Binding, and relaying over UDP. RFC 8489, RFC 8656.

The owner of the sockets hands in what arrives (`receive` from clients over datagrams or cut out of a stream,
`receive_from_peer` at a relayed address), tells when a connection ended (`path_closed`), calls `handle_timeout` when
`next_timeout` says so, and carries out `take_outputs` after each. For packets that are only passed on, `relaying` gives
what to send at once. Every quantity that a stranger or a user can grow has a bound in `TurnLimits`; a request that
nobody signed is answered only as often as the rate limit lets it, so that a forged source address gains nothing.

Not offered: relaying to TCP peers (442).
"""

from __future__ import annotations

import hmac
import logging
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from app.home.limits import SourceLimiter, TokenBucket
from app.home.peer_policy import PeerPolicy
from app.home.turn_allocations import (
    FIRST_CHANNEL,
    LAST_CHANNEL,
    Allocation,
    Conflict,
    FiveTuple,
    Relay,
    TooMany,
    family_of,
)
from app.home.turn_auth import Credentials, LongTermAuth, Refusal
from app.home.turn_books import RESERVATION_LIFETIME_S, Books, Reservation
from app.home.turn_io import CloseRelay, OpenRelay, Output, SendToClient, SendToPeer, TurnLimits
from app.home.turn_relaying import Relaying, is_only_passed_on
from app.home.turn_wishes import IPV4, IPV6, TOKEN_BYTES, Refused, Wish, granted_lifetime, requested_family
from app.ice.stun import Address, Attribute, Message, MessageClass, Method, StunError
from app.noise import Noise

log = logging.getLogger(__name__)

_RESERVED = 0  # in place of an address family: the port that is only kept
_KNOWN = frozenset(
    {
        Attribute.USERNAME,
        Attribute.MESSAGE_INTEGRITY,
        Attribute.CHANNEL_NUMBER,
        Attribute.LIFETIME,
        Attribute.XOR_PEER_ADDRESS,
        Attribute.DATA,
        Attribute.REALM,
        Attribute.NONCE,
        Attribute.REQUESTED_ADDRESS_FAMILY,
        Attribute.EVEN_PORT,
        Attribute.REQUESTED_TRANSPORT,
        Attribute.RESERVATION_TOKEN,
        # Clients that also speak to ICE agents may send these in a Binding request; they change nothing here.
        Attribute.PRIORITY,
        Attribute.USE_CANDIDATE,
    }
)


@dataclass(slots=True)
class _Pending:
    """An Allocate that waits for its sockets: `waiting` and `opened` by what each is for, a family or _RESERVED."""

    request: Message
    path: FiveTuple
    user: Credentials
    wish: Wish
    waiting: dict[int, int] = field(default_factory=dict)
    opened: dict[int, tuple[int, Address]] = field(default_factory=dict)


class TurnServer:
    """See the module. `key_of` gives the long-term key of a user name, or None; `secret` signs nonces.

    `dont_fragment`: the owner of the sockets can set the DF bit of one datagram; otherwise who asks for it gets 420.
    """

    def __init__(
        self,
        realm: str,
        key_of: Callable[[str], bytes | None],
        *,
        secret: bytes,
        limits: TurnLimits | None = None,
        families: Iterable[int] = (4,),
        allow_own_peers: bool = False,
        dont_fragment: bool = False,
    ) -> None:
        self._counters: Counter[str] = Counter()
        self._noise = Noise(log, "datagrams that are no STUN")
        self._limits = limits or TurnLimits()
        self._auth = LongTermAuth(realm, key_of, secret)
        self._secret = secret
        self._families = frozenset(families)
        self._known = _KNOWN | {Attribute.DONT_FRAGMENT} if dont_fragment else _KNOWN
        self._books = Books(lambda relay_id: self._outputs.append(CloseRelay(relay_id)))
        self._policy = PeerPolicy(allow_own=allow_own_peers, is_relay=lambda peer: peer in self._books.by_relayed)
        self.relaying = Relaying(self._books, self._policy, lambda framed: self._outputs.append(SendToClient(*framed)))
        limits = self._limits
        self._unsigned = _limiter(limits.unsigned_per_s, limits.unsigned_total_per_s)
        self._unsigned_streams = _limiter(limits.unsigned_stream_per_s, limits.unsigned_stream_total_per_s)
        self._pending: dict[int, _Pending] = {}
        self._last_relay_id = 0
        self._outputs: list[Output] = []
        self._handlers: dict[int, Callable[[Message, FiveTuple, Credentials, float], Message | None]] = {
            Method.ALLOCATE: self._allocate,
            Method.REFRESH: self._refresh,
            Method.CREATE_PERMISSION: self._create_permission,
            Method.CHANNEL_BIND: self._channel_bind,
        }

    # What the owner of the sockets calls ------------------------------------------------------------------

    @property
    def allocations(self) -> int:
        return len(self._books)

    @property
    def counters(self) -> Counter[str]:
        """What was answered, refused, relayed and dropped so far."""
        counters = self._counters + self._books.counters
        counters.update(self.relaying.counters())
        return counters

    def has_allocation(self, path: FiveTuple) -> bool:
        return path in self._books.by_path

    def set_own_addresses(self, hosts: Iterable[str]) -> None:
        """Tell which addresses this machine has: they are no peers."""
        self._policy.set_own_addresses(hosts)

    def take_outputs(self) -> list[Output]:
        outputs, self._outputs = self._outputs, []
        return outputs

    def next_timeout(self) -> float | None:
        return self._books.next_expiry

    def handle_timeout(self, now: float) -> None:
        self._books.expire(now)

    def drop_user(self, username: str) -> None:
        """End everything a user holds, because the user was removed or has a new password."""
        self._books.drop_user(username)

    def path_closed(self, path: FiveTuple) -> None:
        """The connection of a client is gone, and its allocation with it."""
        allocation = self._books.by_path.get(path)
        if allocation is not None:
            self._books.drop(allocation, "ended with its connection")
        for relay_id in [each for each, pending in self._pending.items() if pending.path == path]:
            del self._pending[relay_id]  # what is opened for it is closed again at once

    def receive(self, data: bytes, path: FiveTuple, now: float) -> None:
        """Take one datagram, or one message of a stream, from a client."""
        if is_only_passed_on(data):
            sent = self.relaying.from_client(data, path, now)
            if sent is not None:
                self._outputs.append(SendToPeer(*sent))
            return
        try:
            message = Message.parse(data)
            if message.message_class is MessageClass.REQUEST:
                self._receive_request(message, path, now)
            elif message.message_class is MessageClass.INDICATION and message.method == Method.SEND:
                self._receive_send(message, path, now)
        except StunError as error:
            self.relaying.malformed += 1
            self._noise.add(path, error)

    def receive_from_peer(self, relay_id: int, data: bytes, peer: Address, now: float) -> None:
        """Take one datagram that arrived at a relayed address."""
        framed = self.relaying.from_peer(relay_id, data, peer, now)
        if framed is not None:
            self._outputs.append(SendToClient(*framed))

    def relay_opened(self, relay_id: int, relayed: Address, now: float) -> None:
        """The socket asked for by OpenRelay is bound to this address: with its last socket the Allocate succeeds."""
        pending = self._pending.pop(relay_id, None)
        if pending is None:
            self._outputs.append(CloseRelay(relay_id))
            return
        pending.opened[pending.waiting.pop(relay_id)] = (relay_id, relayed)
        self._settle(pending, now)

    def relay_failed(self, relay_id: int, now: float) -> None:
        """No socket could be bound: 508, unless one of another family could, RFC 8656 section 7.2."""
        pending = self._pending.pop(relay_id, None)
        if pending is not None:
            del pending.waiting[relay_id]
            self._settle(pending, now)

    # Requests ---------------------------------------------------------------------------------------------

    def _receive_request(self, request: Message, path: FiveTuple, now: float) -> None:
        if request.method == Method.BINDING:
            self._binding(request, path, now)
            return
        handler = self._handlers.get(request.method)
        if handler is None:
            self._answer_unsigned(request.failure(400, "No such method"), request, path, now)
            return
        user = self._auth.check(request, path.client, now)
        if isinstance(user, Refusal):
            self._refuse_stranger(user, request, path, now)
            return
        try:
            unknown = request.unknown_required(self._known)
            if unknown:
                raise Refused(420, "Unknown attribute", unknown)
            response = handler(request, path, user, now)
        except Refused as refused:
            self._counters[f"refused_{refused.code}"] += 1
            response = request.failure(refused.code, refused.reason)
            if refused.unknown:
                response.add_unknown(refused.unknown)
        except StunError as error:
            log.debug("%s: %s", path, error)
            self._counters["refused_400"] += 1
            response = request.failure(400, "Bad request")
        if response is not None:
            self._answer(response, request, path, user)

    def _binding(self, request: Message, path: FiveTuple, now: float) -> None:
        unknown = request.unknown_required(self._known)
        if unknown:
            response = request.failure(420, "Unknown attribute").add_unknown(unknown[:8])
        else:
            self._counters["bindings"] += 1
            response = request.success().add_address(Attribute.XOR_MAPPED_ADDRESS, path.client)
        self._answer_unsigned(response, request, path, now)

    def _refuse_stranger(self, why: Refusal, request: Message, path: FiveTuple, now: float) -> None:
        if why is Refusal.INCOMPLETE:
            self._answer_unsigned(request.failure(400, "Credentials incomplete"), request, path, now)
            return
        self._counters["stale_nonce" if why is Refusal.STALE else "unauthorized"] += 1
        code, reason = (438, "Stale nonce") if why is Refusal.STALE else (401, "Unauthorized")
        failure = self._auth.challenge(request.failure(code, reason), path.client, now)
        self._answer_unsigned(failure, request, path, now)

    def _answer_unsigned(self, response: Message, request: Message, path: FiveTuple, now: float) -> None:
        """Answer a request that anybody may have sent, in anybody's name: not more often than the limit lets."""
        limiter = self._unsigned_streams if path.is_stream else self._unsigned
        if limiter.allow(path.client[0], now):
            self._outputs.append(SendToClient(path, response.encode(fingerprint=request.has_fingerprint)))
        else:
            self._counters["rate_limited"] += 1

    def _answer(self, response: Message, request: Message, path: FiveTuple, user: Credentials) -> bytes:
        data = response.encode(user.key, fingerprint=request.has_fingerprint)
        self._outputs.append(SendToClient(path, data))
        return data

    # Allocate, RFC 8656 section 7.2 -----------------------------------------------------------------------

    def _allocate(self, request: Message, path: FiveTuple, user: Credentials, now: float) -> Message | None:
        existing = self._books.living(path, now)
        if existing is not None:
            if existing.transaction_id != request.transaction_id:
                raise Refused(437, "This address already has an allocation")
            self._outputs.append(SendToClient(path, existing.response))
            return None
        if any(pending.path == path for pending in self._pending.values()):
            return None  # a retransmission; the socket is being bound
        wish = Wish.read(request)
        pending = _Pending(request, path, user, wish)
        if wish.token is not None:
            reserved = self._books.redeem(wish.token, user.username, now)
            if reserved is None:
                raise Refused(508, "No such reservation")
            pending.opened[family_of(reserved.address[0])] = (reserved.relay_id, reserved.address)
            self._settle(pending, now)
            return None
        offered = [family for family in wish.families if family in self._families]
        if not offered:
            raise Refused(440, "Address family not offered")
        self._check_quota(user.username, len(offered) + wish.reserve)
        for family in offered:
            relay_id = self._wait(pending, family)
            reserve_id = self._wait(pending, _RESERVED) if wish.reserve else None
            self._outputs.append(OpenRelay(relay_id, path, family == 6, wish.even_port, reserve_id))
        return None

    def _wait(self, pending: _Pending, purpose: int) -> int:
        self._last_relay_id += 1
        pending.waiting[self._last_relay_id] = purpose
        self._pending[self._last_relay_id] = pending
        return self._last_relay_id

    def _settle(self, pending: _Pending, now: float) -> None:
        """Answer an Allocate once all of its sockets are bound or refused."""
        if pending.waiting:
            return
        relays = {family: each for family, each in pending.opened.items() if family != _RESERVED}
        reserved = pending.opened.get(_RESERVED)
        if not relays or (pending.wish.reserve and reserved is None):
            self._outputs.extend(CloseRelay(relay_id) for relay_id, _ in pending.opened.values())
            self._counters["refused_508"] += 1
            self._answer(pending.request.failure(508, "No port left"), pending.request, pending.path, pending.user)
            return
        self._grant(pending, relays, reserved, now)

    def _grant(
        self,
        pending: _Pending,
        relays: dict[int, tuple[int, Address]],
        reserved: tuple[int, Address] | None,
        now: float,
    ) -> None:
        request, wish, username = pending.request, pending.wish, pending.user.username
        response = request.success()
        for _, address in relays.values():
            response.add_address(Attribute.XOR_RELAYED_ADDRESS, address)
        response.add_number(Attribute.LIFETIME, wish.lifetime_s)
        if reserved is not None:
            token = hmac.digest(self._secret, b"token %d" % reserved[0], "sha256")[:TOKEN_BYTES]
            self._books.reserve(token, Reservation(*reserved, username, now + RESERVATION_LIFETIME_S))
            response.add(Attribute.RESERVATION_TOKEN, token)
        response.add_address(Attribute.XOR_MAPPED_ADDRESS, pending.path.client)
        if wish.token is None:
            for family in wish.families:
                if family not in relays:
                    response.add(Attribute.ADDRESS_ERROR_CODE, self._why_not(family))
        allocation = Allocation(
            pending.path,
            username,
            {family: Relay(*each, now + wish.lifetime_s) for family, each in relays.items()},
            request.transaction_id,
            self._answer(response, request, pending.path, pending.user),
            TokenBucket(self._limits.bytes_per_s, self._limits.bytes_per_s, now),
            self._limits.permissions,
            self._limits.channels,
        )
        self._books.add(allocation)

    def _why_not(self, family: int) -> bytes:
        """Say why one of two families is missing: not offered (440), or no port left (508)."""
        code, words = (5 * 256 + 8, b"No port left") if family in self._families else (4 * 256 + 40, b"Not offered")
        return bytes((IPV6 if family == 6 else IPV4, 0)) + code.to_bytes(2, "big") + words

    def _check_quota(self, username: str, more: int) -> None:
        pending = list(self._pending.values())
        held = self._books.sockets_of(username) + sum(each.user.username == username for each in pending)
        if held + more > self._limits.allocations_per_user:
            raise Refused(486, "Allocation quota reached")
        if self._books.sockets + len(pending) + more > self._limits.allocations:
            raise Refused(508, "The server is full")

    # Requests for an allocation ---------------------------------------------------------------------------

    def _refresh(self, request: Message, path: FiveTuple, user: Credentials, now: float) -> Message:
        """RFC 8656 section 8.2: both relays of a dual allocation, or the one whose family is named."""
        allocation = self._allocation_of(path, user, now)
        family = requested_family(request)
        if family is not None and family not in allocation.relays:
            raise Refused(443, "The allocation has another address family")
        chosen = [relay for relay in allocation.relays.values() if family in (None, relay.family)]
        lifetime_s = 0 if request.number(Attribute.LIFETIME) == 0 else granted_lifetime(request)
        for relay in chosen:
            if lifetime_s:
                relay.expires_at = now + lifetime_s
            else:
                self._books.drop_relay(allocation, relay, "released")
        self._books.expiry_changed()
        return request.success().add_number(Attribute.LIFETIME, lifetime_s)

    def _create_permission(self, request: Message, path: FiveTuple, user: Credentials, now: float) -> Message:
        """RFC 8656 section 10.2: all peers of the request or none."""
        allocation = self._allocation_of(path, user, now)
        peers = request.addresses(Attribute.XOR_PEER_ADDRESS)
        if not peers:
            raise Refused(400, "XOR-PEER-ADDRESS is missing")
        for peer in peers:
            self._relay_to(allocation, peer)
        if not allocation.room_for({host for host, _ in peers}, now):
            raise Refused(508, "Too many permissions")
        for host, _ in peers:
            allocation.permit(host, now)
        return request.success()

    def _channel_bind(self, request: Message, path: FiveTuple, user: Credentials, now: float) -> Message:
        """RFC 8656 section 12.2."""
        allocation = self._allocation_of(path, user, now)
        number = request.channel_number()
        peer = request.address(Attribute.XOR_PEER_ADDRESS)
        if number is None or peer is None:
            raise Refused(400, "CHANNEL-NUMBER or XOR-PEER-ADDRESS is missing")
        if not FIRST_CHANNEL <= number <= LAST_CHANNEL:
            raise Refused(400, "Channel number out of range")
        relay = self._relay_to(allocation, peer)
        try:
            allocation.bind(number, peer, relay, now)
        except Conflict:
            raise Refused(400, "Channel or peer is already bound") from None
        except TooMany:
            raise Refused(508, "Too many channels or permissions") from None
        return request.success()

    def _allocation_of(self, path: FiveTuple, user: Credentials, now: float) -> Allocation:
        allocation = self._books.living(path, now)
        if allocation is None:
            raise Refused(437, "No allocation at this address")
        if allocation.username != user.username:
            raise Refused(441, "The allocation is another user's")
        return allocation

    def _relay_to(self, allocation: Allocation, peer: Address) -> Relay:
        """Give the relay of the peer's family, or refuse the peer."""
        relay = allocation.relays.get(family_of(peer[0]))
        if relay is None:
            raise Refused(443, "The peer has another address family")
        if not self._policy.permits(peer):
            raise Refused(403, "This peer is not relayed to")
        return relay

    def _receive_send(self, indication: Message, path: FiveTuple, now: float) -> None:
        peer = indication.address(Attribute.XOR_PEER_ADDRESS)
        data = indication.get(Attribute.DATA)
        if peer is None or data is None or indication.unknown_required(self._known):
            self.relaying.dropped += 1
            return
        sent = self.relaying.indication(peer, data, path, now)
        if sent is not None:
            self._outputs.append(SendToPeer(*sent, indication.has(Attribute.DONT_FRAGMENT)))


def _limiter(per_s: float, total_per_s: float) -> SourceLimiter:
    return SourceLimiter(per_s, per_s * 2, total_rate_per_s=total_per_s, total_burst=total_per_s)
