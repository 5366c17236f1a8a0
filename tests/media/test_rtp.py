"""RTP packets, sequence arithmetic and the receiver's counters."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.media.errors import PacketError
from app.media.header_extensions import ExtensionBlock, ExtensionIds
from app.media.rtp import (
    ReceptionCounter,
    RtpPacket,
    build_rtp,
    sequence_difference,
    timestamp_difference,
)


def test_a_packet_is_read_as_it_was_written() -> None:
    data = build_rtp(
        111, True, 65_535, 0xFFFF_FFFF, 0x1234_5678, b"payload", ExtensionBlock(ExtensionIds(3), "audio").plain
    )
    packet = RtpPacket.parse(data, ExtensionIds(3))
    assert (packet.payload_type, packet.marker, packet.sequence) == (111, True, 65_535)
    assert (packet.timestamp, packet.ssrc, packet.payload, packet.mid) == (
        0xFFFF_FFFF,
        0x1234_5678,
        b"payload",
        "audio",
    )


def test_the_mid_is_only_read_under_its_negotiated_number() -> None:
    data = build_rtp(111, False, 1, 2, 3, b"x", ExtensionBlock(ExtensionIds(3), "0").plain)
    assert RtpPacket.parse(data, ExtensionIds(4)).mid is None
    assert RtpPacket.parse(data).mid is None
    assert RtpPacket.parse(data).payload == b"x"


def test_csrcs_two_byte_extensions_and_padding_are_stepped_over() -> None:
    header = bytes([0x80 | 0x20 | 0x10 | 2, 96]) + bytes(10) + bytes(8)
    extension = bytes.fromhex("1000 0002 05 02") + b"v1" + bytes.fromhex("00 00 00 00")
    packet = RtpPacket.parse(header + extension + b"media" + b"\0\0\x03", ExtensionIds(5))
    assert packet.mid == "v1"
    assert packet.payload == b"media"


@pytest.mark.parametrize(
    "data",
    [
        b"",
        bytes(11),
        bytes([0x40]) + bytes(11),  # version 1
        bytes([0x8F]) + bytes(11),  # 15 CSRCs that are not there
        bytes([0x90]) + bytes(11),  # an extension that is not there
        bytes([0x90]) + bytes(11) + bytes.fromhex("bede 0004"),  # an extension cut short
        bytes([0xA0]) + bytes(11) + b"\x09",  # more padding than packet
    ],
)
def test_malformed_packets_are_refused(data: bytes) -> None:
    with pytest.raises(PacketError):
        RtpPacket.parse(data, ExtensionIds(1, 2, 3))


@given(st.binary(max_size=64))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    with contextlib.suppress(PacketError):
        RtpPacket.parse(data, ExtensionIds(1, 2, 3))


def test_differences_wrap_around() -> None:
    assert sequence_difference(2, 65_535) == 3
    assert sequence_difference(65_535, 2) == -3
    assert timestamp_difference(5, 0xFFFF_FFFF) == 6


def test_the_counter_extends_sequence_numbers_over_a_wrap_and_counts_what_is_lost() -> None:
    counter = ReceptionCounter(48_000)
    numbers = [65_533, 65_534, 0, 1, 65_535, 4]  # one late, two lost
    extended = [counter.count(number, index * 960, index * 0.02) for index, number in enumerate(numbers)]
    assert [number - extended[0] for number in extended] == [0, 1, 3, 4, 2, 7]
    assert counter.highest_told == 65_536 + 4  # one cycle, RFC 3550 section 6.4.1
    assert counter.lost == 2
    assert counter.fraction_lost() == 2 * 256 // 8
    assert counter.fraction_lost() == 0


def test_jitter_is_zero_for_an_even_stream_and_follows_an_uneven_one() -> None:
    even, uneven = ReceptionCounter(48_000), ReceptionCounter(48_000)
    for index in range(200):
        even.count(index, index * 960, index * 0.02)
        uneven.count(index, index * 960, index * 0.02 + (0.010 if index % 2 else 0.0))
    assert even.jitter_ms == pytest.approx(0, abs=0.01)
    assert uneven.jitter_ms == pytest.approx(10, rel=0.1)


def test_a_jump_of_the_sequence_is_a_new_start_not_ten_thousand_lost_packets() -> None:
    counter = ReceptionCounter(48_000)
    assert counter.count(10, 0, 0.0) == 65_546
    assert counter.count(20_000, 960, 0.02) is None
    assert counter.count(20_001, 1_920, 0.04) == 65_536 + 20_001
    assert counter.count(19_999, 1_920, 0.04) == 65_536 + 19_999
    assert counter.lost == 0
    assert counter.count(5, 0, 0.06) is None
    assert counter.count(6, 0, 0.06) == 2 * 65_536 + 6


def test_one_packet_with_a_wild_number_moves_nothing() -> None:
    counter = ReceptionCounter(48_000)
    for index in range(100):
        counter.count(index, index * 960, index * 0.02)
        assert counter.count((index * 331 + 5_000) & 0xFFFF, 0, index * 0.02) is None
    assert counter.lost == 0
    assert counter.highest == 65_536 + 99
