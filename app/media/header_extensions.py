"""RTP header extensions (RFC 8285): which number means what on a transport, writing them, reading them.

Known are the MID (RFC 9143 section 15), the transport-wide sequence number
(draft-holmer-rmcat-transport-wide-cc-extensions-01 section 2) and the picture's orientation (3GPP TS 26.114 section
7.4.5). Pure.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

FIXED_BYTES = 12
ONE_BYTE_FORM = 0xBEDE
TWO_BYTE_FORM = 0x1000  # with four bits of the application's, RFC 8285 section 4.3
_END_OF_LIST = 15
_SHORT_PAIR = struct.Struct("!HH")

Found = tuple[str | None, int | None, int | None]  # MID, transport-wide sequence number, orientation


@dataclass(frozen=True, slots=True)
class ExtensionIds:
    """The negotiated numbers, 1 to 255 without 15; None: not negotiated."""

    mid: int | None = None
    transport_cc: int | None = None
    orientation: int | None = None

    def __or__(self, other: ExtensionIds) -> ExtensionIds:
        """Complete these numbers by another stream's of the same transport."""
        return ExtensionIds(
            self.mid if self.mid is not None else other.mid,
            self.transport_cc if self.transport_cc is not None else other.transport_cc,
            self.orientation if self.orientation is not None else other.orientation,
        )


NO_IDS = ExtensionIds()


class ExtensionBlock:
    """The header extensions of one sender's packets: the same bytes in each, with a place to write a number into.

    `plain` is the whole block with its four bytes of head, or empty. `slot` is where in a packet the two bytes of the
    transport-wide sequence number stand, or None.
    """

    def __init__(self, ids: ExtensionIds = NO_IDS, mid: str | None = None) -> None:
        """Write `mid` under its number, and leave room for what else has one."""
        self._orientation_id = ids.orientation
        numbers = [number for number in (ids.mid, ids.transport_cc, ids.orientation) if number is not None]
        name = mid.encode()[:255] if mid is not None and ids.mid is not None else b""
        self._short = all(number < _END_OF_LIST for number in numbers) and len(name) <= 16
        self._elements = b""
        self.slot: int | None = None
        if ids.transport_cc is not None:
            self._elements += self._element(ids.transport_cc, bytes(2))
            self.slot = FIXED_BYTES + 4 + len(self._elements) - 2
        if ids.mid is not None and name:
            self._elements += self._element(ids.mid, name)
        self.plain = self._block(self._elements)
        self._turned: dict[int, bytes] = {}

    def with_orientation(self, orientation: int | None) -> bytes:
        """Give the block with the byte of the picture's orientation, where that was negotiated."""
        if orientation is None or self._orientation_id is None:
            return self.plain
        block = self._turned.get(orientation & 0x0F)
        if block is None:
            element = self._element(self._orientation_id, bytes((orientation & 0x0F,)))
            block = self._turned[orientation & 0x0F] = self._block(self._elements + element)
        return block

    def numbered(self, packet: bytes, number: int) -> bytes:
        """Give a packet with the transport-wide sequence number (16 bits) in its place, where it has one."""
        slot = self.slot
        return packet if slot is None else packet[:slot] + number.to_bytes(2) + packet[slot + 2 :]

    def _element(self, number: int, value: bytes) -> bytes:
        if self._short:
            return bytes(((number << 4) | (len(value) - 1),)) + value
        return bytes((number, len(value))) + value

    def _block(self, elements: bytes) -> bytes:
        if not elements:
            return b""
        padded = elements + bytes(-len(elements) % 4)
        return _SHORT_PAIR.pack(ONE_BYTE_FORM if self._short else TWO_BYTE_FORM, len(padded) // 4) + padded


def read_extensions(data: bytes, position: int, end: int, profile: int, ids: ExtensionIds) -> Found:
    """Look through a block whose elements stand from `position` to `end`; of what is cut short nothing is used."""
    mid, sequence, orientation = None, None, None
    one_byte = profile == ONE_BYTE_FORM
    if not one_byte and profile & 0xFFF0 != TWO_BYTE_FORM:
        return None, None, None
    while position < end:
        first = data[position]
        if first == 0:
            position += 1
            continue
        if one_byte:
            number, length = first >> 4, (first & 0x0F) + 1
            if number in (0, _END_OF_LIST):
                break  # RFC 8285 section 4.2: nothing behind it counts, nor behind padding that claims a length
            position += 1
        else:
            if position + 2 > end:
                break
            number, length = first, data[position + 1]
            position += 2
        after = position + length
        if after > end:
            break
        if number == ids.transport_cc:
            if length == 2:
                sequence = data[position] << 8 | data[position + 1]
        elif number == ids.mid:
            mid = data[position:after].decode("ascii", "replace")
        elif number == ids.orientation and length:
            orientation = data[position] & 0x0F
        position = after
    return mid, sequence, orientation


def payload_start(packet: bytes) -> int:
    """Where the payload of a whole RTP packet of ours begins, after its header extensions."""
    if not packet[0] & 0x10:
        return FIXED_BYTES
    return FIXED_BYTES + 4 + 4 * int.from_bytes(packet[FIXED_BYTES + 2 : FIXED_BYTES + 4])
