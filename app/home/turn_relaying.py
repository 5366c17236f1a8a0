"""Datagrams through a TURN server: from a client to a peer and back. RFC 8656 sections 11 and 12.

Pure, and the only part of the server that runs for each packet: ChannelData is cut and framed without reading more
than its first four bytes, and what is to be sent is given back instead of being queued.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from functools import lru_cache

from app.home.peer_policy import PeerPolicy
from app.home.turn_allocations import Allocation, FiveTuple, Path, family_of
from app.home.turn_books import Books
from app.ice.stun import MAGIC_COOKIE, Address, Attribute, Message, MessageClass, Method

_MAX_PAYLOAD = 65000  # more would not fit a datagram once framed as an indication
_HEADERS_BYTES = 28  # of IP and UDP, counted against an allocation's share of the line
_FRAME = struct.Struct("!HH")
_DATA_HEADER = struct.Struct("!HHI12s12sHH")  # STUN header, XOR-PEER-ADDRESS of IPv4, head of DATA
_DATA_INDICATION = 0x0017
_SEND_INDICATION = b"\x00\x16"
_COOKIE = MAGIC_COOKIE.to_bytes(4, "big")
_IPV4_PEER = b"\x00\x12\x00\x08\x00\x01"  # type, length, and the family that begins the value
_DATA = b"\x00\x13"
_PADDING = (b"", b"\0\0\0", b"\0\0", b"\0")  # by length % 4


ToPeer = tuple[int, Address, bytes]
"""(relay id, peer, data): a datagram to send from a relayed address."""
ToClient = tuple[FiveTuple, bytes]
"""Framed bytes to send to a client."""


class Relaying:
    """See the module. `hand_over` takes what one allocation sends to the relayed address of another here."""

    def __init__(self, books: Books, policy: PeerPolicy, hand_over: Callable[[ToClient], None]) -> None:
        self._books = books
        self._by_path = books.by_path
        self._by_relay = books.by_relay
        self._by_relayed = books.by_relayed
        self._policy = policy
        self._hand_over = hand_over
        self._indications = 0
        self.packets = 0
        self.bytes = 0
        self.over_rate = 0
        self.dropped = 0
        self.malformed = 0
        self.not_permitted = 0

    def counters(self) -> dict[str, int]:
        return {
            "relayed_packets": self.packets,
            "relayed_bytes": self.bytes,
            "over_rate": self.over_rate,
            "dropped": self.dropped,
            "malformed": self.malformed,
            "peer_without_permission": self.not_permitted,
            "indications": self._indications,
        }

    def from_client(self, data: bytes, path: Path, now: float) -> ToPeer | None:
        """Take what `is_only_passed_on`: ChannelData (RFC 8656 section 12.6), its padding cut off, or an indication."""
        if data[0] < 0x40:
            payload = data[36 : 36 + int.from_bytes(data[34:36], "big")]
            return self.indication(_ipv4_peer(data[24:32]), payload, path, now)
        if len(data) < 4:
            self.malformed += 1
            return None
        number, size = _FRAME.unpack_from(data)
        payload = data[4 : 4 + size]
        if len(payload) != size:
            self.malformed += 1
            return None
        allocation = self._by_path.get(path)
        channel = allocation.channels.get(number) if allocation is not None else None
        if allocation is None or channel is None or channel.expires_at <= now:
            self.dropped += 1
            return None
        return self._send(allocation, channel.relay.relay_id, channel.relay.expires_at, channel.peer, payload, now)

    def indication(self, peer: Address, data: bytes, path: Path, now: float) -> ToPeer | None:
        """Take a Send indication's content, RFC 8656 section 11.2; what is wrong is dropped without a word."""
        allocation = self._by_path.get(path)
        relay = allocation.relays.get(family_of(peer[0])) if allocation is not None else None
        if allocation is None or relay is None:
            self.dropped += 1
            return None
        return self._send(allocation, relay.relay_id, relay.expires_at, peer, data, now)

    def _send(
        self, allocation: Allocation, relay_id: int, expires_at: float, peer: Address, data: bytes, now: float
    ) -> ToPeer | None:
        host = peer[0]
        permitted = now < expires_at and now < allocation.permissions.get(host, 0.0)
        if not permitted or not (self._policy.is_open(host) or self._policy.permits(peer)):
            self.dropped += 1
            return None
        if not self._carry(allocation, data, now):
            return None
        neighbour = self._by_relayed.get(peer)
        if neighbour is None:
            return relay_id, peer, data
        held = self._by_relay.get(relay_id)
        framed = self.from_peer(neighbour[1].relay_id, data, held[1].address, now) if held is not None else None
        if framed is not None:
            self._hand_over(framed)
        return None

    def from_peer(self, relay_id: int, data: bytes, peer: Address, now: float) -> ToClient | None:
        """Take a datagram that arrived at a relayed address, RFC 8656 sections 11.3 and 12.7."""
        held = self._by_relay.get(relay_id)
        if held is None or held[1].expires_at <= now:
            return None
        allocation = held[0]
        if now >= allocation.permissions.get(peer[0], 0.0):
            self.not_permitted += 1
            return None
        if not self._carry(allocation, data, now):
            return None
        number = allocation.numbers.get(peer)
        if number is not None and now < allocation.channels[number].expires_at:
            framed = _FRAME.pack(number, len(data)) + data
            if allocation.path.transport != "udp":
                framed += _PADDING[len(data) % 4]
        else:
            framed = self._data_indication(peer, data)
        return allocation.path, framed

    def _carry(self, allocation: Allocation, data: bytes, now: float) -> bool:
        """Count one datagram against the allocation's share of the line."""
        size = len(data)
        if size > _MAX_PAYLOAD or not allocation.traffic.take(now, size + _HEADERS_BYTES):
            self.over_rate += 1
            return False
        self.packets += 1
        self.bytes += size
        return True

    def _data_indication(self, peer: Address, data: bytes) -> bytes:
        """Frame a datagram for a client without a channel. Nobody answers it: the ids need only differ."""
        self._indications += 1
        transaction_id = self._indications.to_bytes(12, "big")
        if ":" in peer[0]:
            message = Message(Method.DATA, MessageClass.INDICATION, transaction_id)
            return message.add_address(Attribute.XOR_PEER_ADDRESS, peer).add(Attribute.DATA, data).encode()
        size = len(data)
        length = 16 + (size + 3 & ~3)
        address = _ipv4_attribute(peer)
        head = _DATA_HEADER.pack(_DATA_INDICATION, length, MAGIC_COOKIE, transaction_id, address, Attribute.DATA, size)
        return head + data + _PADDING[size % 4]


def is_only_passed_on(data: bytes) -> bool:
    """Tell ChannelData, and Send indications of the plainest kind: XOR-PEER-ADDRESS of IPv4, then DATA, and no more."""
    size = len(data)
    if size and 0x40 <= data[0] <= 0x7F:
        return True
    return (
        size >= 36
        and data.startswith(_SEND_INDICATION)
        and data[4:8] == _COOKIE
        and data[20:26] == _IPV4_PEER
        and data[32:34] == _DATA
        and int.from_bytes(data[2:4], "big") == size - 20
        and (int.from_bytes(data[34:36], "big") + 3 & ~3) == size - 36
    )


@lru_cache(maxsize=4096)
def _ipv4_peer(value: bytes) -> Address:
    """Read the value of an IPv4 XOR-PEER-ADDRESS, which does not depend on the transaction."""
    message = Message(Method.SEND, MessageClass.INDICATION, bytes(12), [(Attribute.XOR_PEER_ADDRESS, value)])
    peer = message.address(Attribute.XOR_PEER_ADDRESS)
    assert peer is not None
    return peer


@lru_cache(maxsize=4096)
def _ipv4_attribute(peer: Address) -> bytes:
    """Write XOR-PEER-ADDRESS whole: for IPv4 it does not depend on the transaction, RFC 8489 section 14.2."""
    value = Message(Method.DATA, MessageClass.INDICATION, bytes(12)).add_address(Attribute.XOR_PEER_ADDRESS, peer)
    return _FRAME.pack(Attribute.XOR_PEER_ADDRESS, 8) + value.attributes[0][1]
