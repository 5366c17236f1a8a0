"""The files of the timeline: how bursts lie in them, sealed, and how they are read again. Pure.

    file     "parley-timeline-1\\n", 16 random bytes, records
    record   marker (8), bytes of the head (4), bytes of the body (4), head, body
    head     nonce (12), who talked and when, tag (16)
    body     nonce (12), packets one after another: timestamp (4), payload type (1), bytes (2), payload; tag (16)

Numbers are big-endian. Head and body are sealed with AES-256-GCM; the file's random bytes, the record's place in the
file and which of the two it is are authenticated along with them, so that nothing can be moved or put in from
elsewhere. A record is written at once and never changed. What is damaged or cut is passed over up to the next marker.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass, field

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from app.channel_events import BurstInfo, ChannelId
from app.channels.errors import ChannelError
from app.channels.finished_burst import FinishedBurst, KeptPacket
from app.channels.timeline import MOST_LEVELS, fold_levels

MAGIC = b"parley-timeline-1\n"
FILE_ID_BYTES = 16
HEADER_BYTES = len(MAGIC) + FILE_ID_BYTES
MOST_HEAD_BYTES = 4_096
MOST_BODY_BYTES = 4 << 20
MOST_FILE_BYTES = 16 << 20
_MARKER = b"\x1dPBURST\n"
_FIXED = struct.Struct("!8sII")
_PACKET = struct.Struct("!IBH")
_PLACE = struct.Struct("!QB")
_NONCE_BYTES, _TAG_BYTES = 12, 16
_SEALED_BYTES = _NONCE_BYTES + _TAG_BYTES
_HEAD, _BODY = 0, 1

ReadAt = Callable[[int, int], bytes]
"""Gives up to so many bytes (second) from a place (first) of a file."""


class TimelineError(ChannelError):
    """A burst cannot be kept, or cannot be read again."""


class _Head(msgspec.Struct, array_like=True, frozen=True):
    burst_id: str
    mission: str
    group: str
    alias: str
    node_id: bytes | None
    own: bool
    emergency: bool
    began_wall: float
    seconds: float
    levels: bytes
    encoder: int
    custom_payload_type: int


@dataclass(frozen=True, slots=True)
class Found:
    """One record of a file that can be read."""

    info: BurstInfo
    offset: int


@dataclass(slots=True)
class Scan:
    """What is in a file; `damaged` counts the places that could not be read."""

    found: list[Found] = field(default_factory=list)
    damaged: int = 0


class SegmentCodec:
    """Writes and reads the records of one file with the profile's key (32 bytes)."""

    def __init__(self, key: bytes, file_id: bytes) -> None:
        self._aead = AESGCM(key)
        self._file_id = file_id

    @classmethod
    def of_file(cls, key: bytes, header: bytes) -> SegmentCodec:
        """Take a file's first HEADER_BYTES; TimelineError where they are not those of a timeline."""
        if len(header) != HEADER_BYTES or not header.startswith(MAGIC):
            raise TimelineError("A file of the timeline is damaged.")
        return cls(key, header[len(MAGIC) :])

    @property
    def header(self) -> bytes:
        return MAGIC + self._file_id

    def record(self, burst_id: str, channel: ChannelId, burst: FinishedBurst, offset: int, nonces: bytes) -> bytes:
        """Write a burst for this place in the file; `nonces`: 24 random bytes. TimelineError if it is too long."""
        body = b"".join(
            _PACKET.pack(packet.timestamp & 0xFFFF_FFFF, packet.payload_type & 0x7F, len(packet.payload))
            + packet.payload
            for packet in burst.packets
        )
        head = msgspec.msgpack.encode(
            _Head(
                *(burst_id, channel.mission, channel.group, burst.alias, burst.node_id, burst.own, burst.emergency),
                *(burst.began_wall, burst.seconds, bytes(fold_levels(burst.levels))),
                *(burst.encoder, burst.custom_payload_type),
            )
        )
        sizes = len(head) + _SEALED_BYTES, len(body) + _SEALED_BYTES
        if sizes[0] > MOST_HEAD_BYTES or sizes[1] > MOST_BODY_BYTES:
            raise TimelineError(f"A burst of {len(body)} bytes is too long to be kept.")
        first, second = nonces[:_NONCE_BYTES], nonces[_NONCE_BYTES : 2 * _NONCE_BYTES]
        sealed = first + self._aead.encrypt(first, head, self._bound(offset, _HEAD))
        sealed += second + self._aead.encrypt(second, body, self._bound(offset, _BODY))
        return _FIXED.pack(_MARKER, *sizes) + sealed

    def scan(self, read: ReadAt, size: int) -> Scan:
        """Read the head of every record of a file of this size."""
        scan = Scan()
        at = HEADER_BYTES
        while at < size:
            sizes = self._sizes(read, at, size)
            head = None if sizes is None else self._head(read, at, sizes[0])
            if sizes is None or head is None:
                scan.damaged += 1
                after = _next_marker(read, at + 1, size)
                if after is None:
                    break
                at = after
                continue
            scan.found.append(Found(_info(head), at))
            at += _FIXED.size + sum(sizes)
        return scan

    def burst(self, read: ReadAt, offset: int, size: int) -> FinishedBurst:
        """Read one burst with its sound; TimelineError where it is damaged."""
        sizes = self._sizes(read, offset, size)
        head = None if sizes is None else self._head(read, offset, sizes[0])
        if sizes is None or head is None:
            raise TimelineError("This burst is damaged on the disk and cannot be played.")
        body = self._open(read(offset + _FIXED.size + sizes[0], sizes[1]), offset, _BODY)
        packets = None if body is None else _packets(body)
        if packets is None:
            raise TimelineError("The sound of this burst is damaged on the disk and cannot be played.")
        info = _info(head)
        return FinishedBurst(
            *((info.channel,), head.alias, head.node_id, head.own, head.emergency, head.began_wall, head.seconds),
            *(packets, info.levels, head.encoder, head.custom_payload_type),
        )

    def _bound(self, offset: int, part: int) -> bytes:
        return MAGIC + self._file_id + _PLACE.pack(offset, part)

    def _sizes(self, read: ReadAt, at: int, size: int) -> tuple[int, int] | None:
        """Give the bytes of head and body of the record that begins here; None where no whole one does."""
        fixed = read(at, _FIXED.size)
        if len(fixed) != _FIXED.size:
            return None
        marker, head, body = _FIXED.unpack(fixed)
        fits = _SEALED_BYTES < head <= MOST_HEAD_BYTES and _SEALED_BYTES <= body <= MOST_BODY_BYTES
        return (head, body) if marker == _MARKER and fits and at + _FIXED.size + head + body <= size else None

    def _head(self, read: ReadAt, at: int, size: int) -> _Head | None:
        plain = self._open(read(at + _FIXED.size, size), at, _HEAD)
        if plain is None:
            return None
        try:
            head = msgspec.msgpack.decode(plain, type=_Head)
        except msgspec.MsgspecError:
            return None
        return head if len(head.levels) <= MOST_LEVELS else None

    def _open(self, sealed: bytes, offset: int, part: int) -> bytes | None:
        try:
            return self._aead.decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], self._bound(offset, part))
        except (InvalidTag, ValueError):
            return None


def _info(head: _Head) -> BurstInfo:
    channel = ChannelId(head.mission, head.group)
    return BurstInfo(
        *(head.burst_id, channel, head.alias, head.own, head.emergency, head.began_wall, head.seconds),
        tuple(head.levels),
    )


def _packets(body: bytes) -> tuple[KeptPacket, ...] | None:
    packets = []
    at = 0
    while at < len(body):
        if at + _PACKET.size > len(body):
            return None
        timestamp, payload_type, size = _PACKET.unpack_from(body, at)
        at += _PACKET.size
        if at + size > len(body):
            return None
        packets.append(KeptPacket(timestamp, payload_type, body[at : at + size]))
        at += size
    return tuple(packets)


def _next_marker(read: ReadAt, begin: int, size: int) -> int | None:
    """Find where the next record may begin."""
    found = read(begin, size - begin).find(_MARKER)
    return None if found < 0 else begin + found
