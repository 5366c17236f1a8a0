"""Whole frames out of packets, under loss and reordering."""

from __future__ import annotations

import random
import time
from dataclasses import dataclass

import pytest

from app.media.assembly import MOST_BYTES, MOST_PACKETS, EncodedFrame, FrameAssembler
from app.media.codecs import VP8
from app.media.vp8 import LARGEST_PAYLOAD, Vp8Packetizer

KEY = b"\x10\x02\x00\x9d\x01\x2a\x80\x02\xe0\x01"
DELTA = b"\x11\x02\x00\x00"


@dataclass(frozen=True)
class Sent:
    sequence: int
    timestamp: int
    marker: bool
    payload: bytes


def film(frames: int, packets_each: int = 3, key_at: tuple[int, ...] = (0,)) -> list[list[Sent]]:
    """Make frames of so many packets each; their bodies differ."""
    packetizer, sequence, made = Vp8Packetizer(), 70_000, []
    for number in range(frames):
        head = KEY if number in key_at else DELTA
        body = head + bytes([number & 0xFF]) * ((LARGEST_PAYLOAD - 4) * packets_each - len(head))
        payloads = packetizer.packetize(body)
        assert len(payloads) == packets_each
        made.append(
            [
                Sent(sequence + index, number * 3_000, index == packets_each - 1, payload)
                for index, payload in enumerate(payloads)
            ]
        )
        sequence += packets_each
    return made


def feed(assembler: FrameAssembler, packets: list[Sent], now: float = 0.0) -> list[EncodedFrame]:
    return [
        frame
        for packet in packets
        for frame in assembler.push(packet.sequence, packet.timestamp, packet.marker, packet.payload, now, VP8)
    ]


def numbers(frames: list[EncodedFrame]) -> list[int]:
    return [frame.timestamp // 3_000 for frame in frames]


def test_a_frame_is_released_with_its_last_packet_not_with_the_next_frame() -> None:
    assembler = FrameAssembler(with_nack=True)
    first, second = film(2)
    assert feed(assembler, first[:2]) == []
    (frame,) = feed(assembler, first[2:])
    assert frame.is_key
    assert frame.data.startswith(KEY)
    assert len(frame.data) == (LARGEST_PAYLOAD - 4) * 3
    (frame,) = feed(assembler, second)
    assert not frame.is_key


def test_shuffled_packets_make_the_same_film() -> None:
    packets = [packet for frame in film(30) for packet in frame]
    rng = random.Random(2)
    shuffled = [packets[index] for index in sorted(range(len(packets)), key=lambda index: index + rng.uniform(0, 5))]
    assembler = FrameAssembler(with_nack=True)
    assert numbers(feed(assembler, shuffled)) == list(range(30))


def test_repeated_packets_change_nothing() -> None:
    packets = [packet for frame in film(5) for packet in frame for _ in range(2)]
    assert numbers(feed(FrameAssembler(with_nack=True), packets)) == list(range(5))


def test_later_frames_wait_for_a_packet_that_was_asked_for() -> None:
    assembler = FrameAssembler(with_nack=True)
    frames = film(4)
    lost = frames[1].pop(1)
    assert numbers(feed(assembler, [packet for frame in frames for packet in frame])) == [0]
    nacks, ask, released = assembler.tick(0.02, 0.05)
    assert (nacks, ask, released) == ([lost.sequence], False, [])
    assert numbers(feed(assembler, [lost], 0.08)) == [1, 2, 3]


def test_a_packet_that_never_comes_costs_a_key_frame() -> None:
    assembler = FrameAssembler(with_nack=True)
    frames = film(60, key_at=(0, 50))
    frames[1].pop(0)
    shown, asked, asked_at = [], 0, []
    for number, frame in enumerate(frames):
        now = number * 0.033
        shown += numbers(feed(assembler, frame, now))
        _, ask, released = assembler.tick(now, 0.05)
        shown += numbers(released)
        asked += ask
        asked_at += [now] if ask else []
    assert shown == [0, *range(50, 60)]
    assert 1 <= asked <= 4
    assert asked_at[0] < 0.8


def test_a_whole_picture_is_asked_for_beside_what_is_missing_for_long_and_ends_the_waiting() -> None:
    assembler = FrameAssembler(with_nack=True)
    frames = film(12, key_at=(0, 10))
    lost = frames[1].pop(1)
    asked = []
    for number, frame in enumerate(frames[:10]):
        now = number * 0.033
        feed(assembler, frame, now)
        asked += [now] if assembler.tick(now, 0.04)[1] else []
    assert len(asked) == 1
    assert 0.18 < asked[0] < 0.26
    assert numbers(feed(assembler, frames[10], 0.33)) == [10]  # before the missing packet was given up
    assert feed(assembler, [lost], 0.34) == []
    assert numbers(feed(assembler, frames[11], 0.36)) == [11]


def test_without_nack_the_key_frame_is_asked_for_soon() -> None:
    assembler = FrameAssembler(with_nack=False)
    frames = film(10)
    frames[1].pop(0)
    first_ask = None
    for number, frame in enumerate(frames):
        now = number * 0.033
        feed(assembler, frame, now)
        nacks, ask, _ = assembler.tick(now, 0.05)
        assert nacks == []
        if ask and first_ask is None:
            first_ask = now
    assert first_ask is not None
    assert first_ask < 0.15


def test_joining_in_the_middle_asks_for_a_key_frame_once() -> None:
    assembler = FrameAssembler(with_nack=True)
    frames = film(20)[5:]
    assert feed(assembler, [packet for frame in frames for packet in frame]) == []
    asks = [assembler.tick(step * 0.02, 0.05)[1] for step in range(16)]
    assert asks.count(True) == 1


def test_a_key_frame_that_is_arriving_is_not_asked_for() -> None:
    assembler = FrameAssembler(with_nack=True)
    feed(assembler, film(1)[0][:2])
    assert assembler.tick(0.02, 0.05)[1] is False


def test_the_decoder_may_ask_for_a_key_frame() -> None:
    assembler = FrameAssembler(with_nack=True)
    frames = film(4, key_at=(0, 3))
    assert numbers(feed(assembler, frames[0])) == [0]
    assembler.ask_key_frame()
    assert feed(assembler, frames[1] + frames[2]) == []
    assert assembler.tick(0.02, 0.05)[1] is True
    assert numbers(feed(assembler, frames[3])) == [3]


def test_a_sender_without_markers_is_understood_from_the_next_frame() -> None:
    packets = [Sent(p.sequence, p.timestamp, False, p.payload) for frame in film(3) for p in frame]
    assert numbers(feed(FrameAssembler(with_nack=True), packets)) == [0, 1]


def test_what_waits_is_bounded() -> None:
    assembler = FrameAssembler(with_nack=True)
    packetizer = Vp8Packetizer()
    for number in range(MOST_PACKETS * 3):
        payload = packetizer.packetize(DELTA + bytes(20))[0]
        assembler.push(70_000 + number, number * 3_000, True, payload, number * 0.001, VP8)
    assert len(assembler._parts) <= MOST_PACKETS


@pytest.mark.parametrize("size", [9_000, 65_000])
def test_what_waits_is_bounded_in_bytes_too_and_a_whole_picture_ends_it(size: int) -> None:
    assembler = FrameAssembler(with_nack=True)
    held = 0
    for number in range(2 * MOST_BYTES // size):
        head = KEY if number == 0 else DELTA
        assembler.push(70_000 + number, 0, False, b"\x10" + head + bytes(size), number * 0.001, VP8)
        held = max(held, sum(len(part.part.data) for part in assembler._parts.values()))
    assert MOST_BYTES / 2 < held <= MOST_BYTES
    key = Vp8Packetizer().packetize(KEY + bytes(20))[0]
    assert len(assembler.push(80_000, 9_000_000, True, key, 2.0, VP8)) == 1
    assert not assembler._parts


@pytest.mark.parametrize("payload", [b"", b"\x90", b"\x90\x80", b"\x90\x80\x80", b"\xff\xff"])
def test_damaged_payloads_are_counted_and_dropped(payload: bytes) -> None:
    assembler = FrameAssembler(with_nack=True)
    assert assembler.push(70_000, 0, True, payload, 0.0, VP8) == []
    assert assembler.damaged == 1


def test_a_peer_that_begins_a_key_frame_in_every_packet_costs_little() -> None:
    """Whoever is let in before the answer must not be able to keep the loop busy."""
    for same_frame in (True, False):
        assembler = FrameAssembler(with_nack=True)
        beginning = Vp8Packetizer().packetize(KEY + bytes(20))[0]
        started = time.process_time()
        for number in range(1_500):
            timestamp = 0 if same_frame else number
            assembler.push(
                70_000 + (number if same_frame else 2 * number), timestamp, False, beginning, number * 0.001, VP8
            )
            assembler.tick(number * 0.001, 0.1)
        assert time.process_time() - started < 3.0
