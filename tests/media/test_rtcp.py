"""RTCP packets, written and read."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.media.errors import PacketError
from app.media.rtcp import (
    MAX_NACKS,
    Bye,
    Fir,
    Nack,
    Pli,
    ReceiverReport,
    Remb,
    Report,
    RtcpPacket,
    SenderReport,
    SourceName,
    parse_rtcp,
)

BLOCK = Report(7, 25, -3, 70_000, 12, 0x1234_5678, 65_536)


@pytest.mark.parametrize(
    "packet",
    [
        SenderReport(1, 0x1122_3344_5566_7788, 99, 5, 600, (BLOCK,)),
        ReceiverReport(1, (BLOCK, BLOCK)),
        ReceiverReport(1),
        Bye((1, 2)),
        Nack(1, 2, (10, 11, 26, 300, 65_535, 0)),
        Pli(1, 2),
        Fir(1, ((2, 200), (3, 1))),
        Remb(1, 0x3FFFF << 5, (2, 3)),
    ],
)
def test_each_packet_is_read_as_it_was_written(packet: RtcpPacket) -> None:
    assert parse_rtcp(bytes(packet)) == [packet]


def test_a_compound_is_read_whole_and_names_are_skipped() -> None:
    data = bytes(ReceiverReport(1, (BLOCK,))) + bytes(SourceName(1, "abc")) + bytes(Pli(1, 2))
    assert parse_rtcp(data) == [ReceiverReport(1, (BLOCK,)), Pli(1, 2)]


def test_remb_keeps_18_bits_of_any_rate() -> None:
    read = parse_rtcp(bytes(Remb(1, 1_234_567_890, (2,))))[0]
    assert isinstance(read, Remb)
    assert read.bitrate_bps == pytest.approx(1_234_567_890, rel=1e-5)


def test_of_a_request_for_a_thousand_packets_some_count_and_so_does_what_follows() -> None:
    many = b"\x81\xcd\x00\x42" + bytes(8) + b"\0\0\xff\xff" * 0x40
    nack, pli = parse_rtcp(many + bytes(Pli(1, 2)))
    assert isinstance(nack, Nack)
    assert len(nack.lost) == MAX_NACKS
    assert pli == Pli(1, 2)


def test_aiortc_reads_what_we_write() -> None:
    from aiortc import rtp

    read = rtp.RtcpPacket.parse(bytes(SenderReport(1, 2, 3, 4, 5, (BLOCK,))) + bytes(SourceName(1, "name")))
    assert read[0].reports[0].packets_lost == -3
    assert read[1].chunks[0].items == [(1, b"name")]
    assert rtp.RtcpPacket.parse(bytes(Nack(1, 2, (5, 6, 40))))[0].lost == [5, 6, 40]


@pytest.mark.parametrize(
    "data",
    [
        b"\x80",
        b"\x80\xc9\x00\x05" + bytes(4),  # longer than the packet
        b"\x40\xc9\x00\x01" + bytes(4),  # version 1
        b"\x81\xc9\x00\x01" + bytes(4),  # a report block that is not there
        b"\x80\xc8\x00\x02" + bytes(8),  # half a sender report
        b"\xa0\xc9\x00\x01" + b"\0\0\0\x09",  # more padding than packet
        bytes(Pli(1, 2)) * 200,
        b"\x8f\xce\x00\x04" + bytes(8) + b"REMB\xff\0\0\0",  # 255 sources that are not there
    ],
)
def test_malformed_packets_are_refused(data: bytes) -> None:
    with pytest.raises(PacketError):
        parse_rtcp(data)


@given(st.binary(max_size=80))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    with contextlib.suppress(PacketError):
        parse_rtcp(b"\x80" + data)
