"""STUN messages as bytes and back: the codec that the ICE agent, the TURN client and the TURN server share.

RFC 8489 (STUN), RFC 8656 (TURN attributes and ChannelData), RFC 8445 section 16 (ICE attributes), RFC 5780 section 7
(behaviour discovery). Knows no sockets, no clock and no transactions. Everything parsed comes from strangers:
`Message.parse` either gives a message whose framing is sound or raises StunError, and the typed getters raise
StunError for a bad value.
"""

from __future__ import annotations

import binascii
import hashlib
import hmac
import ipaddress
import struct
from dataclasses import dataclass, field
from enum import IntEnum

MAGIC_COOKIE = 0x2112A442
HEADER_SIZE = 20
MAX_ATTRIBUTES = 64
_COOKIE = MAGIC_COOKIE.to_bytes(4, "big")
_FINGERPRINT_XOR = 0x5354554E
_HEADER = struct.Struct("!HHI12s")
_ATTRIBUTE = struct.Struct("!HH")

Address = tuple[str, int]
"""A numeric IPv4 or IPv6 address (no scope) with a port."""


class StunError(Exception):
    """These bytes are not a sound STUN message, or an attribute does not hold what it must."""


class Method(IntEnum):
    """RFC 8489 section 18.2, RFC 8656 section 17."""

    BINDING = 0x001
    ALLOCATE = 0x003
    REFRESH = 0x004
    SEND = 0x006
    DATA = 0x007
    CREATE_PERMISSION = 0x008
    CHANNEL_BIND = 0x009


class MessageClass(IntEnum):
    REQUEST = 0
    INDICATION = 1
    SUCCESS = 2
    ERROR = 3


class Attribute(IntEnum):
    """Attribute types; below 0x8000 a receiver must understand them (RFC 8489 section 14)."""

    MAPPED_ADDRESS = 0x0001
    CHANGE_REQUEST = 0x0003
    USERNAME = 0x0006
    MESSAGE_INTEGRITY = 0x0008
    ERROR_CODE = 0x0009
    UNKNOWN_ATTRIBUTES = 0x000A
    CHANNEL_NUMBER = 0x000C
    LIFETIME = 0x000D
    XOR_PEER_ADDRESS = 0x0012
    DATA = 0x0013
    REALM = 0x0014
    NONCE = 0x0015
    XOR_RELAYED_ADDRESS = 0x0016
    REQUESTED_ADDRESS_FAMILY = 0x0017
    EVEN_PORT = 0x0018
    REQUESTED_TRANSPORT = 0x0019
    DONT_FRAGMENT = 0x001A
    MESSAGE_INTEGRITY_SHA256 = 0x001C
    PASSWORD_ALGORITHM = 0x001D
    USERHASH = 0x001E
    XOR_MAPPED_ADDRESS = 0x0020
    RESERVATION_TOKEN = 0x0022
    PRIORITY = 0x0024
    USE_CANDIDATE = 0x0025
    ADDITIONAL_ADDRESS_FAMILY = 0x8000
    ADDRESS_ERROR_CODE = 0x8001
    PASSWORD_ALGORITHMS = 0x8002
    ALTERNATE_DOMAIN = 0x8003
    ICMP = 0x8004
    SOFTWARE = 0x8022
    ALTERNATE_SERVER = 0x8023
    FINGERPRINT = 0x8028
    ICE_CONTROLLED = 0x8029
    ICE_CONTROLLING = 0x802A
    RESPONSE_ORIGIN = 0x802B
    OTHER_ADDRESS = 0x802C
    ADDITIONAL_ADDRESS_FAMILY_DRAFT = 0x8032  # the number before RFC 8656, which coturn still has in 4.6


_AFTER_INTEGRITY = frozenset({Attribute.FINGERPRINT, Attribute.MESSAGE_INTEGRITY_SHA256})


@dataclass(slots=True)
class Message:
    """One STUN message: a method, a class, a 96-bit transaction id and attributes in order (type, value).

    Build one with the constructor and the `add_*` methods, then `encode`. One that was parsed keeps its bytes,
    so that `check_integrity` can be asked with the key that its USERNAME names.
    """

    method: int
    message_class: MessageClass
    transaction_id: bytes
    attributes: list[tuple[int, bytes]] = field(default_factory=list)
    raw: bytes = b""
    integrity_at: int | None = None  # where MESSAGE-INTEGRITY starts in raw
    has_fingerprint: bool = False

    # Reading --------------------------------------------------------------------------------------------

    @classmethod
    def parse(cls, data: bytes) -> Message:
        """Read one whole datagram; StunError when it is not a sound STUN message or its FINGERPRINT is wrong.

        Attributes behind MESSAGE-INTEGRITY other than FINGERPRINT are dropped, as RFC 8489 section 14.5 says.
        """
        if len(data) < HEADER_SIZE:
            raise StunError(f"{len(data)} bytes are too few for a STUN header")
        kind, length, cookie, transaction_id = _HEADER.unpack_from(data)
        if kind & 0xC000 or cookie != MAGIC_COOKIE:
            raise StunError("no STUN message: wrong leading bits or magic cookie")
        if length % 4 or length != len(data) - HEADER_SIZE:
            raise StunError(f"the header says {length} bytes of attributes, {len(data) - HEADER_SIZE} follow")
        message = cls(
            (kind & 0x000F) | (kind & 0x00E0) >> 1 | (kind & 0x3E00) >> 2,
            MessageClass((kind & 0x0100) >> 7 | (kind & 0x0010) >> 4),
            transaction_id,
            raw=data,
        )
        message._parse_attributes()
        return message

    def _parse_attributes(self) -> None:
        data, end, at, count = self.raw, len(self.raw), HEADER_SIZE, 0
        while at < end:
            kind, size = _ATTRIBUTE.unpack_from(data, at)
            value_end = at + 4 + size
            count += 1
            if value_end > end or count > MAX_ATTRIBUTES:
                raise StunError(
                    f"attribute {kind:#06x} runs past the end" if value_end > end else "too many attributes"
                )
            if self.has_fingerprint:
                raise StunError("something follows FINGERPRINT")
            value = data[at + 4 : value_end]
            if kind == Attribute.FINGERPRINT:
                if size != 4 or int.from_bytes(value, "big") != _fingerprint(data[:at]):
                    raise StunError("wrong FINGERPRINT")
                self.has_fingerprint = True
            elif kind == Attribute.MESSAGE_INTEGRITY and self.integrity_at is None:
                if size != 20:
                    raise StunError("MESSAGE-INTEGRITY is not 20 bytes")
                self.integrity_at = at
            if self.integrity_at is None or at == self.integrity_at or kind in _AFTER_INTEGRITY:
                self.attributes.append((kind, value))
            at = value_end + (-size % 4)

    def check_integrity(self, key: bytes) -> bool:
        """Tell whether a parsed message carries a MESSAGE-INTEGRITY (HMAC-SHA1) made with this key."""
        at = self.integrity_at
        if at is None:
            return False
        expected = _integrity(self.raw[:at], key)
        return hmac.compare_digest(expected, self.raw[at + 4 : at + 24])

    def get(self, attribute: int) -> bytes | None:
        """Give the first value of this attribute; later ones are ignored (RFC 8489 section 14)."""
        return next((value for kind, value in self.attributes if kind == attribute), None)

    def all(self, attribute: int) -> list[bytes]:
        return [value for kind, value in self.attributes if kind == attribute]

    def has(self, attribute: int) -> bool:
        return any(kind == attribute for kind, _ in self.attributes)

    def text(self, attribute: int) -> str | None:
        """Give a text attribute (USERNAME, REALM, NONCE, SOFTWARE); StunError past 763 bytes or if not UTF-8."""
        value = self.get(attribute)
        if value is None:
            return None
        if len(value) > 763:
            raise StunError(f"attribute {attribute:#06x} has {len(value)} bytes, 763 are allowed")
        try:
            return value.decode()
        except UnicodeDecodeError:
            raise StunError(f"attribute {attribute:#06x} is not UTF-8") from None

    def number(self, attribute: int, size: int = 4) -> int | None:
        """Give an unsigned number of `size` bytes (PRIORITY and LIFETIME 4, ICE-CONTROLLING 8)."""
        value = self.get(attribute)
        if value is None:
            return None
        if len(value) != size:
            raise StunError(f"attribute {attribute:#06x} has {len(value)} bytes instead of {size}")
        return int.from_bytes(value, "big")

    def channel_number(self) -> int | None:
        value = self.number(Attribute.CHANNEL_NUMBER)
        return None if value is None else value >> 16

    def address(self, attribute: int) -> Address | None:
        """Give an XOR-ed address attribute (or plain MAPPED-ADDRESS, ALTERNATE-SERVER)."""
        value = self.get(attribute)
        return None if value is None else self._read_address(attribute, value)

    def addresses(self, attribute: int) -> list[Address]:
        """Give all addresses of a repeated attribute (XOR-PEER-ADDRESS, XOR-RELAYED-ADDRESS)."""
        return [self._read_address(attribute, value) for value in self.all(attribute)]

    def _read_address(self, attribute: int, value: bytes) -> Address:
        if len(value) not in (8, 20) or value[1] != (1 if len(value) == 8 else 2):
            raise StunError(f"attribute {attribute:#06x} holds no address")
        packed = value[2:]
        if attribute not in _PLAIN_ADDRESSES:
            packed = _xor(packed, self.transaction_id)
        return str(ipaddress.ip_address(packed[2:])), int.from_bytes(packed[:2], "big")

    def error(self) -> tuple[int, str] | None:
        """Give (code, reason) of ERROR-CODE; None when there is none."""
        value = self.get(Attribute.ERROR_CODE)
        if value is None:
            return None
        if len(value) < 4 or not 3 <= value[2] & 7 <= 6 or value[3] > 99:
            raise StunError("ERROR-CODE holds no error code")
        return (value[2] & 7) * 100 + value[3], value[4 : 4 + 763].decode(errors="replace")

    def unknown_required(self, known: frozenset[int] | set[int]) -> tuple[int, ...]:
        """List the comprehension-required attribute types that are not in `known` (answer: 420)."""
        return tuple(dict.fromkeys(kind for kind, _ in self.attributes if kind < 0x8000 and kind not in known))

    # Writing --------------------------------------------------------------------------------------------

    def add(self, attribute: int, value: bytes = b"") -> Message:
        """Append an attribute; returns the message so that calls chain."""
        self.attributes.append((attribute, value))
        return self

    def add_text(self, attribute: int, value: str) -> Message:
        return self.add(attribute, value.encode())

    def add_number(self, attribute: int, value: int, size: int = 4) -> Message:
        return self.add(attribute, value.to_bytes(size, "big"))

    def add_channel_number(self, channel: int) -> Message:
        return self.add_number(Attribute.CHANNEL_NUMBER, channel << 16)

    def add_address(self, attribute: int, address: Address) -> Message:
        ip = ipaddress.ip_address(address[0])
        packed = address[1].to_bytes(2, "big") + ip.packed
        if attribute not in _PLAIN_ADDRESSES:
            packed = _xor(packed, self.transaction_id)
        return self.add(attribute, (b"\0\x01" if ip.version == 4 else b"\0\x02") + packed)

    def add_error(self, code: int, reason: str) -> Message:
        return self.add(Attribute.ERROR_CODE, bytes((0, 0, code // 100, code % 100)) + reason.encode())

    def add_unknown(self, kinds: tuple[int, ...]) -> Message:
        return self.add(Attribute.UNKNOWN_ATTRIBUTES, b"".join(kind.to_bytes(2, "big") for kind in kinds))

    def encode(self, key: bytes | None = None, *, fingerprint: bool = False) -> bytes:
        """Write the message; with `key` MESSAGE-INTEGRITY is appended, with `fingerprint` FINGERPRINT behind it."""
        method, klass = self.method, self.message_class
        kind = (method & 0x000F) | (method & 0x0070) << 1 | (method & 0x0F80) << 2
        kind |= (klass & 1) << 4 | (klass & 2) << 7
        body = b"".join(
            [_ATTRIBUTE.pack(kind, len(value)) + value + bytes(-len(value) % 4) for kind, value in self.attributes]
        )
        data = _HEADER.pack(kind, len(body), MAGIC_COOKIE, self.transaction_id) + body
        if key is not None:
            data = _with_length(data, 24) + _ATTRIBUTE.pack(Attribute.MESSAGE_INTEGRITY, 20) + _integrity(data, key)
        if fingerprint:
            crc = _fingerprint(data).to_bytes(4, "big")
            data = _with_length(data, 8) + _ATTRIBUTE.pack(Attribute.FINGERPRINT, 4) + crc
        return data

    def success(self) -> Message:
        """Start the success response to this request: same method and transaction id."""
        return Message(self.method, MessageClass.SUCCESS, self.transaction_id)

    def failure(self, code: int, reason: str) -> Message:
        """Start the error response to this request, with ERROR-CODE set."""
        return Message(self.method, MessageClass.ERROR, self.transaction_id).add_error(code, reason)


_PLAIN_ADDRESSES = frozenset(
    {Attribute.MAPPED_ADDRESS, Attribute.ALTERNATE_SERVER, Attribute.RESPONSE_ORIGIN, Attribute.OTHER_ADDRESS}
)


def is_stun(data: bytes) -> bool:
    """Tell in one glance whether a datagram is STUN rather than DTLS, RTP or ChannelData (RFC 7983)."""
    return len(data) >= HEADER_SIZE and data[0] < 4 and data[4:8] == _COOKIE


def is_somewhere(address: Address) -> bool:
    """Tell whether an address can be one machine's with a port to send to; servers name others too."""
    ip = ipaddress.ip_address(address[0])
    return bool(address[1]) and not (ip.is_unspecified or ip.is_multicast)


def long_term_key(username: str, realm: str, password: str) -> bytes:
    """Make the key of the long-term credential mechanism, MD5 of user:realm:password (RFC 8489 section 9.2.2)."""
    return hashlib.md5(f"{username}:{realm}:{password}".encode(), usedforsecurity=False).digest()


def encode_channel_data(channel: int, data: bytes) -> bytes:
    """Frame application data for a TURN channel over UDP, unpadded (RFC 8656 section 12.4)."""
    return _ATTRIBUTE.pack(channel, len(data)) + data


def parse_channel_data(data: bytes) -> tuple[int, bytes]:
    """Read (channel number, application data); padding is cut off, a short or foreign frame is a StunError."""
    if len(data) < 4 or not 0x40 <= data[0] <= 0x4F:
        raise StunError("no ChannelData")
    channel, size = _ATTRIBUTE.unpack_from(data)
    if size > len(data) - 4:
        raise StunError(f"ChannelData says {size} bytes, {len(data) - 4} follow")
    return channel, data[4 : 4 + size]


def _xor(packed: bytes, transaction_id: bytes) -> bytes:
    """XOR port and address with the cookie (port: its upper half) and the transaction id, RFC 8489 section 14.2."""
    mask = (_COOKIE[:2] + _COOKIE + transaction_id)[: len(packed)]
    return (int.from_bytes(packed, "big") ^ int.from_bytes(mask, "big")).to_bytes(len(packed), "big")


def _with_length(data: bytes, more: int) -> bytes:
    """Give the message with its length field grown by what follows: both checksums cover that length."""
    return data[:2] + (len(data) - HEADER_SIZE + more).to_bytes(2, "big") + data[4:]


def _integrity(head: bytes, key: bytes) -> bytes:
    return hmac.digest(key, _with_length(head, 24), "sha1")


def _fingerprint(head: bytes) -> int:
    return binascii.crc32(_with_length(head, 8)) ^ _FINGERPRINT_XOR
