"""The packet of a channel: RTP with one header extension of ours that says who talks, and how urgently.

The layout stands in docs/channels-packets.md; the frame around it is RFC 3550 sections 5.1 and 5.3.1. A burst is one
SSRC: its first packet has the marker, its last ones the flag TX_END. Pure: knows no key, no codec and no clock.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import IntFlag

from app.channels.errors import PacketError
from app.media.errors import PacketError as RtpError
from app.media.rtp import HEADER_BYTES, RtpPacket, build_rtp

MOST_BYTES = 4_096  # of a datagram, before it is sealed
MOST_ALIAS_BYTES = 16
NODE_ID_BYTES = 16
EXTENSION_PROFILE = 0x504C  # "PL"; RFC 8285 has 0xBEDE and 0x100x
EXTENSION_VERSION = 1

_HAS_EXTENSION = 0x10
_HEAD = struct.Struct("!HH")  # RFC 3550: defined by profile, length in words
_FIXED = struct.Struct(f"!BBBB{NODE_ID_BYTES}s")  # version, flags, priority, bytes of the alias, node id
EXTENSION_FIXED_BYTES = _HEAD.size + _FIXED.size


class BurstFlags(IntFlag):
    """What a header says of its burst; bits without a name here are kept as they came."""

    NONE = 0
    EMERGENCY = 0x01
    TX_END = 0x02  # nothing follows
    AUTOMATED = 0x04  # no person talks
    STICKY_ID = 0x08  # the next bursts of this talker belong to the same transmission
    ID_INVALID = 0x10  # the number of the transmission means nothing
    MUTE_SPECIALIZED = 0x20  # receivers that play another rendering of this burst stay silent


@dataclass(frozen=True, slots=True)
class BurstHeader:
    """Who talks. `alias`: at most 16 bytes of printable UTF-8 (`fit_alias`); `priority`: 0 to 255, the highest wins."""

    alias: str
    node_id: bytes
    priority: int = 0
    flags: BurstFlags = BurstFlags.NONE

    def __post_init__(self) -> None:
        if len(self.alias.encode(errors="replace")) > MOST_ALIAS_BYTES or not self.alias.isprintable():
            raise PacketError(f"The name {self.alias[:20]!r} is not printable or longer than {MOST_ALIAS_BYTES} bytes.")
        if len(self.node_id) != NODE_ID_BYTES:
            raise PacketError(f"A node id of {len(self.node_id)} bytes is not possible: it has {NODE_ID_BYTES}.")
        if not 0 <= self.priority <= 255 or not 0 <= self.flags <= 255:
            raise PacketError(f"A priority of {self.priority} and flags {int(self.flags):#x} do not fit a byte each.")

    @classmethod
    def parse(cls, block: bytes) -> BurstHeader | None:
        """Read the words of an extension of ours; None for a version that is not known. PacketError when damaged."""
        if block[:1] != bytes((EXTENSION_VERSION,)):
            return None
        if len(block) < _FIXED.size:
            raise PacketError("The header extension of a channel packet is cut short.")
        _, flags, priority, size, node_id = _FIXED.unpack_from(block)
        end = _FIXED.size + size
        if size > MOST_ALIAS_BYTES or end > len(block):
            raise PacketError(f"The name in a channel packet cannot have {size} bytes.")
        try:
            alias = block[_FIXED.size : end].decode()
        except UnicodeDecodeError as error:
            raise PacketError("The name in a channel packet is not UTF-8.") from error
        return cls(_printable(alias), node_id, priority, BurstFlags(flags))

    def to_bytes(self) -> bytes:
        """Write the whole extension, with the four bytes that RFC 3550 puts before it."""
        alias = self.alias.encode()
        fixed = _FIXED.pack(EXTENSION_VERSION, self.flags, self.priority, len(alias), self.node_id)
        block = fixed + alias + bytes(-len(alias) % 4)
        return _HEAD.pack(EXTENSION_PROFILE, len(block) // 4) + block


@dataclass(frozen=True, slots=True)
class ChannelPacket:
    """One packet. `header` is None where the sender left it out: in most packets of a burst, or in all of them."""

    sequence: int
    timestamp: int
    ssrc: int
    marker: bool
    payload_type: int
    payload: bytes
    header: BurstHeader | None = None

    @classmethod
    def parse(cls, data: bytes) -> ChannelPacket:
        """Read one datagram; PacketError when it is not RTP, cut short, too long, or its header is damaged.

        Extensions of others, and versions of ours that are not known, are passed over.
        """
        if len(data) > MOST_BYTES:
            raise PacketError(f"A channel packet of {len(data)} bytes is longer than {MOST_BYTES}.")
        try:
            rtp = RtpPacket.parse(data)
        except RtpError as error:
            raise PacketError(str(error)) from error
        header = _header_of(data) if data[0] & _HAS_EXTENSION else None
        return cls(rtp.sequence, rtp.timestamp, rtp.ssrc, rtp.marker, rtp.payload_type, rtp.payload, header)

    def to_bytes(self) -> bytes:
        """Write the datagram; PacketError when a number does not fit its field or the whole is too long."""
        extension = b"" if self.header is None else self.header.to_bytes()
        if not 0 <= self.payload_type <= 127:
            raise PacketError(f"A payload type of {self.payload_type} does not fit RTP.")
        try:
            data = build_rtp(
                *(self.payload_type, self.marker, self.sequence, self.timestamp, self.ssrc, self.payload, extension)
            )
        except struct.error as error:
            raise PacketError("A number of a channel packet does not fit RTP.") from error
        if len(data) > MOST_BYTES:
            raise PacketError(f"A channel packet of {len(data)} bytes is longer than {MOST_BYTES}.")
        return data

    @property
    def is_end(self) -> bool:
        """Whether the burst says here that it ends."""
        return self.header is not None and BurstFlags.TX_END in self.header.flags


def extension_bytes(alias: str) -> int:
    """Tell how much a header with this name adds to a packet."""
    return EXTENSION_FIXED_BYTES + (len(alias.encode(errors="replace")) + 3) // 4 * 4


def fit_alias(text: str) -> str:
    """Make a name that fits: only what can be printed, cut at a whole character."""
    return _printable(text)[:MOST_ALIAS_BYTES].encode(errors="replace")[:MOST_ALIAS_BYTES].decode(errors="ignore")


def _printable(text: str) -> str:
    return text if text.isprintable() else "".join(character for character in text if character.isprintable())


def _header_of(data: bytes) -> BurstHeader | None:
    """Read our extension out of a packet whose lengths have been checked."""
    at = HEADER_BYTES + 4 * (data[0] & 0x0F)
    profile, words = _HEAD.unpack_from(data, at)
    start = at + _HEAD.size
    return BurstHeader.parse(data[start : start + 4 * words]) if profile == EXTENSION_PROFILE else None
