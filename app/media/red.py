"""Redundant audio (RFC 2198): a packet that carries the sound of older packets beside its own.

The receiver takes older blocks as if the packets that were lost had come late. Pure.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from app.media.errors import PacketError

MOST_BLOCKS = 8  # that are read
_LONGEST_OFFSET = (1 << 14) - 1  # in timestamp units
_LONGEST_BLOCK = (1 << 10) - 1  # bytes


@dataclass(frozen=True, slots=True)
class Block:
    """The payload of one packet; `offset` is by how much it is older than the packet it came in, in clock units."""

    payload_type: int
    offset: int
    payload: bytes


def pack(payload_type: int, payload: bytes, older: Sequence[Block]) -> bytes:
    """Write a payload with older ones, oldest first; those that do not fit the format are left out."""
    fitting = [
        block for block in older if 0 < block.offset <= _LONGEST_OFFSET and 0 < len(block.payload) <= _LONGEST_BLOCK
    ]
    heads = b"".join(
        ((0x80 | block.payload_type) << 24 | block.offset << 10 | len(block.payload)).to_bytes(4) for block in fitting
    )
    return b"".join((heads, bytes((payload_type,)), *(block.payload for block in fitting), payload))


def unpack(data: bytes) -> tuple[Block, ...]:
    """Read the blocks, oldest first; the last is the packet's own. PacketError when they do not fit the packet."""
    heads: list[tuple[int, int, int]] = []
    position = 0
    while True:
        if position >= len(data) or len(heads) >= MOST_BLOCKS:
            raise PacketError("A redundant audio packet is malformed.")
        if not data[position] & 0x80:
            break
        word = int.from_bytes(data[position : position + 4])
        heads.append((data[position] & 0x7F, word >> 10 & _LONGEST_OFFSET, word & _LONGEST_BLOCK))
        position += 4
    own, position = data[position], position + 1
    blocks = []
    for payload_type, offset, length in heads:
        if position + length > len(data):
            raise PacketError("A block of a redundant audio packet is cut short.")
        blocks.append(Block(payload_type, offset, data[position : position + length]))
        position += length
    return (*blocks, Block(own, 0, data[position:]))
