"""A STUN and TURN server without sockets: Binding, and relaying over UDP. RFC 8489, RFC 8656.

The owner of the sockets hands in what arrives (`receive` from clients, `receive_from_peer` at a relayed
address), calls `handle_timeout` when `next_timeout` says so, and carries out `take_outputs` after each. Every
quantity that a stranger or a user can grow has a bound in `TurnLimits`; a request that nobody signed is answered
only as often as the rate limit lets it, so that a forged source address gains nothing.

Not offered: TCP relaying (442), DONT-FRAGMENT (420), port reservation (508), a second address family in one
allocation (ADDRESS-ERROR-CODE 440).
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from app.home.limits import SourceLimiter, TokenBucket
from app.home.peer_policy import PeerPolicy
from app.home.turn_allocations import FIRST_CHANNEL, LAST_CHANNEL, Allocation, Conflict, FiveTuple, TooMany
from app.home.turn_auth import Credentials, LongTermAuth, Refusal
from app.home.turn_io import CloseRelay, OpenRelay, Output, SendToClient, SendToPeer, TurnLimits
from app.ice.stun import (
    Address,
    Attribute,
    Message,
    MessageClass,
    Method,
    StunError,
    encode_channel_data,
    parse_channel_data,
)
from app.noise import Noise

log = logging.getLogger(__name__)

DEFAULT_LIFETIME_S = 600  # RFC 8656 section 3.2
MAX_LIFETIME_S = 3600
_MAX_PAYLOAD = 65000  # more would not fit a datagram once framed as an indication
_UDP = 17
_IPV4, _IPV6 = 1, 2
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
    """An Allocate that waits for its socket."""

    request: Message
    path: FiveTuple
    user: Credentials
    lifetime_s: int
    second_family_refused: bool


@dataclass(slots=True)
class _Refused(Exception):
    """The request is answered with this error."""

    code: int
    reason: str
    unknown: tuple[int, ...] = field(default=())


class TurnServer:
    """See the module. `key_of` gives the long-term key of a user name, or None; `secret` signs nonces."""

    def __init__(
        self,
        realm: str,
        key_of: Callable[[str], bytes | None],
        *,
        secret: bytes,
        limits: TurnLimits | None = None,
        families: Iterable[int] = (4,),
        allow_own_peers: bool = False,
    ) -> None:
        self.counters: Counter[str] = Counter()
        self._noise = Noise(log, "datagrams that are no STUN")
        self._limits = limits or TurnLimits()
        self._auth = LongTermAuth(realm, key_of, secret)
        self._families = frozenset(families)
        self._policy = PeerPolicy(allow_own=allow_own_peers, is_relay=lambda peer: peer in self._by_relayed)
        self._unsigned = SourceLimiter(
            self._limits.unsigned_per_s,
            self._limits.unsigned_per_s * 2,
            total_rate_per_s=self._limits.unsigned_total_per_s,
            total_burst=self._limits.unsigned_total_per_s,
        )
        self._by_path: dict[FiveTuple, Allocation] = {}
        self._by_relay: dict[int, Allocation] = {}
        self._by_relayed: dict[Address, Allocation] = {}
        self._pending: dict[int, _Pending] = {}
        self._last_relay_id = 0
        self._next_expiry: float | None = None
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
        return len(self._by_path)

    def set_own_addresses(self, hosts: Iterable[str]) -> None:
        """Tell which addresses this machine has: they are no peers."""
        self._policy.set_own_addresses(hosts)

    def take_outputs(self) -> list[Output]:
        outputs, self._outputs = self._outputs, []
        return outputs

    def next_timeout(self) -> float | None:
        return self._next_expiry

    def handle_timeout(self, now: float) -> None:
        for allocation in [each for each in self._by_path.values() if each.expires_at <= now]:
            self.counters["expired"] += 1
            self._drop(allocation, "expired")

    def drop_user(self, username: str) -> None:
        """End everything a user holds, because the user was removed or has a new password."""
        for allocation in [each for each in self._by_path.values() if each.username == username]:
            self._drop(allocation, "user dropped")

    def receive(self, data: bytes, path: FiveTuple, now: float) -> None:
        """Take one datagram from a client."""
        if data and 0x40 <= data[0] <= 0x4F:
            self._receive_channel_data(data, path, now)
            return
        try:
            message = Message.parse(data)
            if message.message_class is MessageClass.REQUEST:
                self._receive_request(message, path, now)
            elif message.message_class is MessageClass.INDICATION and message.method == Method.SEND:
                self._receive_send(message, path, now)
        except StunError as error:
            self.counters["malformed"] += 1
            self._noise.add(path, error)

    def receive_from_peer(self, relay_id: int, data: bytes, peer: Address, now: float) -> None:
        """Take one datagram that arrived at a relayed address, RFC 8656 section 11.3."""
        allocation = self._by_relay.get(relay_id)
        if allocation is None or allocation.expires_at <= now:
            return
        if not allocation.permits(peer[0], now):
            self.counters["peer_without_permission"] += 1
            return
        if not self._carry(allocation, data, now):
            return
        channel = allocation.channel_to(peer, now)
        if channel is not None:
            framed = encode_channel_data(channel, data)
        else:
            indication = Message(Method.DATA, MessageClass.INDICATION, self._indication_id())
            indication.add_address(Attribute.XOR_PEER_ADDRESS, peer).add(Attribute.DATA, data)
            framed = indication.encode()
        self._outputs.append(SendToClient(allocation.path, framed))

    def relay_opened(self, relay_id: int, relayed: Address, now: float) -> None:
        """The socket asked for by OpenRelay is bound to this address: the Allocate succeeds."""
        pending = self._pending.pop(relay_id, None)
        if pending is None:
            self._outputs.append(CloseRelay(relay_id))
            return
        response = pending.request.success()
        response.add_address(Attribute.XOR_RELAYED_ADDRESS, relayed)
        response.add_number(Attribute.LIFETIME, pending.lifetime_s)
        response.add_address(Attribute.XOR_MAPPED_ADDRESS, pending.path.client)
        if pending.second_family_refused:
            response.add(Attribute.ADDRESS_ERROR_CODE, bytes((_IPV6, 0, 4, 40)) + b"Not offered")
        data = response.encode(pending.user.key, fingerprint=pending.request.has_fingerprint)
        allocation = Allocation(
            relay_id,
            pending.path,
            pending.user.username,
            relayed,
            now + pending.lifetime_s,
            pending.request.transaction_id,
            data,
            TokenBucket(self._limits.bytes_per_s, self._limits.bytes_per_s, now),
            self._limits.permissions,
            self._limits.channels,
        )
        self._by_path[pending.path] = self._by_relay[relay_id] = self._by_relayed[relayed] = allocation
        self.counters["allocated"] += 1
        log.info("%s: relays at %s:%d for %s", pending.path, *relayed, pending.user.username)
        self._expiry_changed()
        self._outputs.append(SendToClient(pending.path, data))

    def relay_failed(self, relay_id: int) -> None:
        """No socket could be bound: 508, RFC 8656 section 7.2."""
        pending = self._pending.pop(relay_id, None)
        if pending is not None:
            self._answer(pending.request.failure(508, "No port left"), pending.request, pending.path, pending.user)

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
            unknown = request.unknown_required(_KNOWN)
            if unknown:
                raise _Refused(420, "Unknown attribute", unknown)
            response = handler(request, path, user, now)
        except _Refused as refused:
            self.counters[f"refused_{refused.code}"] += 1
            response = request.failure(refused.code, refused.reason)
            if refused.unknown:
                response.add_unknown(refused.unknown)
        except StunError as error:
            log.debug("%s: %s", path, error)
            self.counters["refused_400"] += 1
            response = request.failure(400, "Bad request")
        if response is not None:
            self._answer(response, request, path, user)

    def _binding(self, request: Message, path: FiveTuple, now: float) -> None:
        unknown = request.unknown_required(_KNOWN)
        if unknown:
            response = request.failure(420, "Unknown attribute").add_unknown(unknown[:8])
        else:
            self.counters["bindings"] += 1
            response = request.success().add_address(Attribute.XOR_MAPPED_ADDRESS, path.client)
        self._answer_unsigned(response, request, path, now)

    def _refuse_stranger(self, why: Refusal, request: Message, path: FiveTuple, now: float) -> None:
        if why is Refusal.INCOMPLETE:
            self._answer_unsigned(request.failure(400, "Credentials incomplete"), request, path, now)
            return
        self.counters["stale_nonce" if why is Refusal.STALE else "unauthorized"] += 1
        code, reason = (438, "Stale nonce") if why is Refusal.STALE else (401, "Unauthorized")
        failure = self._auth.challenge(request.failure(code, reason), path.client, now)
        self._answer_unsigned(failure, request, path, now)

    def _answer_unsigned(self, response: Message, request: Message, path: FiveTuple, now: float) -> None:
        """Answer a request that anybody may have sent, in anybody's name: not more often than the limit lets."""
        if self._unsigned.allow(path.client[0], now):
            self._outputs.append(SendToClient(path, response.encode(fingerprint=request.has_fingerprint)))
        else:
            self.counters["rate_limited"] += 1

    def _answer(self, response: Message, request: Message, path: FiveTuple, user: Credentials) -> None:
        self._outputs.append(SendToClient(path, response.encode(user.key, fingerprint=request.has_fingerprint)))

    def _allocate(self, request: Message, path: FiveTuple, user: Credentials, now: float) -> Message | None:
        """RFC 8656 section 7.2."""
        existing = self._living(path, now)
        if existing is not None:
            if existing.transaction_id != request.transaction_id:
                raise _Refused(437, "This address already has an allocation")
            self._outputs.append(SendToClient(path, existing.response))
            return None
        if any(pending.path == path for pending in self._pending.values()):
            return None  # a retransmission; the socket is being bound
        transport = request.get(Attribute.REQUESTED_TRANSPORT)
        if transport is None or len(transport) != 4:
            raise _Refused(400, "REQUESTED-TRANSPORT is missing")
        if transport[0] != _UDP:
            raise _Refused(442, "Only UDP is relayed")
        ipv6 = self._requested_family(request)
        self._check_quota(user.username)
        self._last_relay_id += 1
        relay_id = self._last_relay_id
        self._pending[relay_id] = _Pending(
            request, path, user, _granted_lifetime(request), request.has(Attribute.ADDITIONAL_ADDRESS_FAMILY)
        )
        self._outputs.append(OpenRelay(relay_id, path, ipv6, request.has(Attribute.EVEN_PORT)))
        return None

    def _requested_family(self, request: Message) -> bool:
        """Say whether an IPv6 address is asked for; refuse what does not go together, RFC 8656 section 7.2."""
        family = request.get(Attribute.REQUESTED_ADDRESS_FAMILY)
        second = request.get(Attribute.ADDITIONAL_ADDRESS_FAMILY)
        even = request.get(Attribute.EVEN_PORT)
        reserve = even is not None and even[:1] >= b"\x80"
        token = request.has(Attribute.RESERVATION_TOKEN)
        if (even is not None and len(even) != 1) or (token and (even is not None or family is not None)):
            raise _Refused(400, "These attributes do not go together")
        if second is not None and (family is not None or token or reserve or second[:1] != bytes((_IPV6,))):
            raise _Refused(400, "These attributes do not go together")
        if token or reserve:
            raise _Refused(508, "Ports are not reserved here")
        wanted = family[:1] if family else bytes((_IPV4,))
        versions = {bytes((_IPV4,)): 4, bytes((_IPV6,)): 6}
        if versions.get(wanted) not in self._families:
            raise _Refused(440, "Address family not offered")
        return wanted == bytes((_IPV6,))

    def _check_quota(self, username: str) -> None:
        held = sum(each.username == username for each in self._by_path.values())
        held += sum(each.user.username == username for each in self._pending.values())
        if held >= self._limits.allocations_per_user:
            raise _Refused(486, "Allocation quota reached")
        if len(self._by_path) + len(self._pending) >= self._limits.allocations:
            raise _Refused(508, "The server is full")

    def _refresh(self, request: Message, path: FiveTuple, user: Credentials, now: float) -> Message:
        """RFC 8656 section 8.2."""
        allocation = self._allocation_of(path, user, now)
        family = request.get(Attribute.REQUESTED_ADDRESS_FAMILY)
        if family is not None and family[:1] != bytes((_IPV6 if allocation.is_ipv6 else _IPV4,)):
            raise _Refused(443, "The allocation has another address family")
        lifetime_s = 0
        if request.number(Attribute.LIFETIME) == 0:
            self._drop(allocation, "released")
        else:
            lifetime_s = _granted_lifetime(request)
            allocation.expires_at = now + lifetime_s
            self._expiry_changed()
        return request.success().add_number(Attribute.LIFETIME, lifetime_s)

    def _create_permission(self, request: Message, path: FiveTuple, user: Credentials, now: float) -> Message:
        """RFC 8656 section 10.2: all peers of the request or none."""
        allocation = self._allocation_of(path, user, now)
        peers = request.addresses(Attribute.XOR_PEER_ADDRESS)
        if not peers:
            raise _Refused(400, "XOR-PEER-ADDRESS is missing")
        for peer in peers:
            self._check_peer(allocation, peer)
        if not allocation.room_for({host for host, _ in peers}, now):
            raise _Refused(508, "Too many permissions")
        for host, _ in peers:
            allocation.permit(host, now)
        return request.success()

    def _channel_bind(self, request: Message, path: FiveTuple, user: Credentials, now: float) -> Message:
        """RFC 8656 section 12.2."""
        allocation = self._allocation_of(path, user, now)
        number = request.channel_number()
        peer = request.address(Attribute.XOR_PEER_ADDRESS)
        if number is None or peer is None:
            raise _Refused(400, "CHANNEL-NUMBER or XOR-PEER-ADDRESS is missing")
        if not FIRST_CHANNEL <= number <= LAST_CHANNEL:
            raise _Refused(400, "Channel number out of range")
        self._check_peer(allocation, peer)
        try:
            allocation.bind(number, peer, now)
        except Conflict:
            raise _Refused(400, "Channel or peer is already bound") from None
        except TooMany:
            raise _Refused(508, "Too many channels or permissions") from None
        return request.success()

    def _allocation_of(self, path: FiveTuple, user: Credentials, now: float) -> Allocation:
        allocation = self._living(path, now)
        if allocation is None:
            raise _Refused(437, "No allocation at this address")
        if allocation.username != user.username:
            raise _Refused(441, "The allocation is another user's")
        return allocation

    def _check_peer(self, allocation: Allocation, peer: Address) -> None:
        if (":" in peer[0]) != allocation.is_ipv6:
            raise _Refused(443, "The peer has another address family")
        if not self._policy.permits(peer):
            raise _Refused(403, "This peer is not relayed to")

    # Relaying ---------------------------------------------------------------------------------------------

    def _receive_send(self, indication: Message, path: FiveTuple, now: float) -> None:
        """RFC 8656 section 11.2; what is wrong is dropped without a word."""
        allocation = self._living(path, now)
        peer = indication.address(Attribute.XOR_PEER_ADDRESS)
        data = indication.get(Attribute.DATA)
        if allocation is None or peer is None or data is None or indication.unknown_required(_KNOWN):
            self.counters["dropped"] += 1
            return
        self._send(allocation, peer, data, now)

    def _receive_channel_data(self, data: bytes, path: FiveTuple, now: float) -> None:
        """RFC 8656 section 12.6."""
        allocation = self._living(path, now)
        try:
            number, payload = parse_channel_data(data)
        except StunError:
            self.counters["malformed"] += 1
            return
        peer = allocation.peer_of(number, now) if allocation is not None else None
        if allocation is None or peer is None:
            self.counters["dropped"] += 1
            return
        self._send(allocation, peer, payload, now)

    def _send(self, allocation: Allocation, peer: Address, data: bytes, now: float) -> None:
        if not allocation.permits(peer[0], now) or not self._policy.permits(peer):
            self.counters["dropped"] += 1
            return
        if not self._carry(allocation, data, now):
            return
        neighbour = self._by_relayed.get(peer)
        if neighbour is not None:
            self.receive_from_peer(neighbour.relay_id, data, allocation.relayed, now)
        else:
            self._outputs.append(SendToPeer(allocation.relay_id, peer, data))

    def _carry(self, allocation: Allocation, data: bytes, now: float) -> bool:
        """Count one datagram against the allocation's share of the line."""
        if len(data) > _MAX_PAYLOAD or not allocation.traffic.take(now, len(data) + 28):
            self.counters["over_rate"] += 1
            return False
        self.counters["relayed_packets"] += 1
        self.counters["relayed_bytes"] += len(data)
        return True

    # Keeping ----------------------------------------------------------------------------------------------

    def _living(self, path: FiveTuple, now: float) -> Allocation | None:
        allocation = self._by_path.get(path)
        if allocation is not None and allocation.expires_at <= now:
            self._drop(allocation, "expired")
            return None
        return allocation

    def _drop(self, allocation: Allocation, why: str) -> None:
        log.info("%s: relay at %s:%d %s", allocation.path, *allocation.relayed, why)
        del self._by_path[allocation.path]
        del self._by_relay[allocation.relay_id]
        del self._by_relayed[allocation.relayed]
        self._outputs.append(CloseRelay(allocation.relay_id))
        self._expiry_changed()

    def _expiry_changed(self) -> None:
        self._next_expiry = min((each.expires_at for each in self._by_path.values()), default=None)

    def _indication_id(self) -> bytes:
        """Give the next transaction id for an indication; nobody answers it, so it need only differ."""
        self.counters["indications"] += 1
        return self.counters["indications"].to_bytes(12, "big")


def _granted_lifetime(request: Message) -> int:
    """Give the lifetime in seconds: what was asked for, within the default and the maximum, section 7.2."""
    asked = request.number(Attribute.LIFETIME)
    return min(max(asked or DEFAULT_LIFETIME_S, DEFAULT_LIFETIME_S), MAX_LIFETIME_S)
