"""Header extensions of RFC 8285 in both forms, with the place for a transport-wide number."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.media.header_extensions import NO_IDS, ExtensionBlock, ExtensionIds, payload_start
from app.media.rtp import RtpPacket, build_rtp
from app.media.sending import RtpSender, RtxSender

NUMBERS = st.lists(st.integers(1, 255).filter(lambda number: number != 15), min_size=3, max_size=3, unique=True)


@given(NUMBERS, st.text("abc019", min_size=1, max_size=20), st.integers(0, 0xFFFF), st.integers(0, 15))
def test_what_is_written_is_read(numbers: list[int], mid: str, sequence: int, orientation: int) -> None:
    ids = ExtensionIds(*numbers)
    block = ExtensionBlock(ids, mid)
    sender = RtpSender(90_000, extensions=block)
    data = block.numbered(sender.packet(96, True, 0, b"payload", 0.0, orientation), sequence)
    packet = RtpPacket.parse(data, ids)
    assert (packet.mid, packet.transport_sequence, packet.orientation) == (mid, sequence, orientation)
    assert packet.payload == b"payload" == data[payload_start(data) :]


def test_small_numbers_take_the_one_byte_form_and_large_ones_the_other() -> None:
    assert ExtensionBlock(ExtensionIds(1, 2, 3), "0").plain[:2] == b"\xbe\xde"
    assert ExtensionBlock(ExtensionIds(1, 16, 3), "0").plain[:2] == b"\x10\x00"
    assert ExtensionBlock(ExtensionIds(1, 2, 3), "a mid of over 16 bytes").plain[:2] == b"\x10\x00"


def test_nothing_negotiated_is_nothing_written() -> None:
    block = ExtensionBlock(NO_IDS, "0")
    assert block.plain == b"" == block.with_orientation(1)
    assert block.slot is None
    packet = build_rtp(0, False, 1, 2, 3, b"x")
    assert block.numbered(packet, 7) is packet


def test_a_repetition_carries_the_extensions_and_a_number_of_its_own() -> None:
    ids = ExtensionIds(1, 2, 3)
    block = ExtensionBlock(ids, "1")
    sender = RtpSender(90_000, extensions=block, keep_history=True)
    first = block.numbered(sender.packet(96, True, 0, b"payload", 0.0, 2), 100)
    sender.left(first, 0.0, is_new=True)
    (kept,) = sender.repeat((int.from_bytes(first[2:4]),), 1.0, 0.1)
    assert kept == first  # without RTX not one byte may differ
    again = RtpPacket.parse(block.numbered(RtxSender().wrap(97, kept), 101), ids)
    assert (again.payload_type, again.mid, again.transport_sequence, again.orientation) == (97, "1", 101, 2)
    assert again.payload == first[2:4] + b"payload"
    assert again.marker


def test_padding_is_stepped_over() -> None:
    block = ExtensionBlock(ExtensionIds(1, 2, 3), "1")
    data = RtxSender().padding(97, 200, 5, block.plain)
    packet = RtpPacket.parse(block.numbered(data, 9), ExtensionIds(1, 2, 3))
    assert (packet.payload, packet.timestamp, packet.transport_sequence) == (b"", 5, 9)
    assert len(data) == 12 + len(block.plain) + 200


@pytest.mark.parametrize(
    "elements",
    [
        bytes.fromhex("22 0005 00"),  # a number of three bytes
        bytes.fromhex("20 05 0000"),  # … of one
        bytes.fromhex("f1 00 21 00"),  # 15 ends the list
        bytes.fromhex("01 0000 21 0005 0000"),  # so does padding with a length
        bytes.fromhex("0000 00 21"),  # cut short
    ],
)
def test_odd_elements_are_passed_over(elements: bytes) -> None:
    data = bytes([0x90, 96]) + bytes(10) + b"\xbe\xde\x00" + bytes((len(elements) // 4,)) + elements + b"payload"
    packet = RtpPacket.parse(data, ExtensionIds(1, 2, 3))
    assert packet.transport_sequence is None
    assert packet.payload == b"payload"
