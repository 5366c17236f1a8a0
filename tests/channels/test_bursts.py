"""A burst as it is sent: numbers that go on, headers where they belong, an end that is said."""

from __future__ import annotations

from itertools import pairwise
from random import Random

from app.channels.bursts import BurstPackets
from app.channels.packet import BurstFlags, BurstHeader

HEADER = BurstHeader("Ann", bytes(range(16)), 3)


def test_numbers_go_on_and_only_the_first_packet_has_the_marker() -> None:
    burst = BurstPackets(111, 2_880, HEADER, Random(1))
    packets = [burst.next(b"x") for _ in range(30)]
    assert [packet.marker for packet in packets] == [True] + [False] * 29
    assert {packet.ssrc for packet in packets} == {burst.ssrc}
    for before, after in pairwise(packets):
        assert (after.sequence - before.sequence) & 0xFFFF == 1
        assert (after.timestamp - before.timestamp) & 0xFFFF_FFFF == 2_880


def test_the_header_is_in_the_first_five_and_then_in_every_tenth() -> None:
    burst = BurstPackets(111, 960, HEADER, Random(1))
    with_header = [number for number in range(31) if burst.next(b"x").header is not None]
    assert with_header == [0, 1, 2, 3, 4, 10, 20, 30]


def test_the_end_is_said_five_times_without_sound() -> None:
    burst = BurstPackets(111, 960, HEADER, Random(1))
    last = burst.next(b"x")
    ends = burst.end()
    assert len(ends) == 5
    assert all(packet.is_end and packet.payload == b"" and not packet.marker for packet in ends)
    assert ends[0].sequence == (last.sequence + 1) & 0xFFFF
    assert ends[0].header is not None
    assert ends[0].header.flags == BurstFlags.TX_END


def test_without_headers_there_is_none_and_no_end() -> None:
    burst = BurstPackets(0, 160, None, Random(1))
    assert [burst.next(b"x").header for _ in range(12)] == [None] * 12
    assert burst.end() == ()


def test_every_burst_has_numbers_of_its_own() -> None:
    random = Random(1)
    assert len({BurstPackets(0, 160, None, random).ssrc for _ in range(100)}) == 100


def test_numbers_wrap() -> None:
    class Highest(Random):
        def getrandbits(self, k: int) -> int:
            return (1 << k) - 1

    burst = BurstPackets(0, 160, HEADER, Highest())
    burst.next(b"x").to_bytes()
    second = burst.next(b"x")
    assert (second.sequence, second.timestamp) == (0, 159)
    assert second.to_bytes()
