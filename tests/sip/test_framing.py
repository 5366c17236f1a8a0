"""Messages out of streams: any cut of the bytes gives the same messages."""

from __future__ import annotations

import random
import time

import pytest

from app.sip.framing import Frame, FrameLimits, FramingError, KeepAlive, StreamFramer
from app.sip.message import Request, refusal_of


def message(number: int, body: bytes = b"", more: str = "") -> bytes:
    return (
        f"MESSAGE sip:bob@example.org SIP/2.0\r\nVia: SIP/2.0/TCP h;branch=z9hG4bK{number}\r\n"
        f"From: <sip:a@h>;tag=1\r\nTo: <sip:b@h>\r\nCall-ID: c\r\nCSeq: {number} MESSAGE\r\n{more}"
        f"Content-Length: {len(body)}\r\n\r\n"
    ).encode() + body


def numbers(frames: list[Frame]) -> list[int]:
    return [frame.cseq.number for frame in frames if isinstance(frame, Request)]


def test_messages_are_told_apart_by_their_length() -> None:
    framer = StreamFramer()
    frames = framer.feed(message(1, b"a\r\n\r\nb") + message(2) + message(3, b"x"))
    assert numbers(frames) == [1, 2, 3]
    assert [frame.body for frame in frames if isinstance(frame, Request)] == [b"a\r\n\r\nb", b"", b"x"]
    assert not framer.waiting


@pytest.mark.parametrize("seed", range(20))
def test_any_cut_gives_the_same(seed: int) -> None:
    rng = random.Random(seed)
    data = message(1, b"\r\n\r\n") + b"\r\n\r\n" + message(2) + b"\r\n" + message(3, b"\r\nINVITE ") + message(4)
    framer = StreamFramer()
    frames: list[Frame] = []
    position = 0
    while position < len(data):
        size = rng.randint(1, 40)
        frames += framer.feed(data[position : position + size])
        position += size
    assert numbers(frames) == [1, 2, 3, 4]
    assert not any(isinstance(frame, FramingError) for frame in frames)
    assert not framer.waiting


def test_one_byte_at_a_time() -> None:
    framer = StreamFramer()
    frames = [frame for byte in message(1, b"xyz") for frame in framer.feed(bytes([byte]))]
    assert numbers(frames) == [1]


def test_keep_alives() -> None:
    framer = StreamFramer()
    assert framer.feed(b"\r\n\r\n") == [KeepAlive.PING]
    assert framer.feed(b"\r\n") == [KeepAlive.PONG]
    assert framer.feed(message(1))[0].__class__ is Request
    assert framer.feed(b"\r\n\r\n\r\n\r\n") == [KeepAlive.PING, KeepAlive.PING]
    assert framer.feed(b"\r\n\r") == []
    assert framer.feed(b"\n") == [KeepAlive.PING]
    assert not framer.waiting


def test_a_ping_cut_in_two() -> None:
    framer = StreamFramer()
    assert framer.feed(b"\r\n") == [KeepAlive.PONG]
    assert framer.feed(b"\r\n") == [KeepAlive.PING]
    assert framer.feed(b"\r") == []
    assert framer.waiting
    assert framer.feed(b"\n") == [KeepAlive.PONG]


def test_a_bad_message_with_a_good_length_does_not_end_the_stream() -> None:
    framer = StreamFramer()
    frames = framer.feed(message(1, b"x", "Max-Forwards: many\r\n") + message(2))
    assert isinstance(frames[0], FramingError)
    assert not frames[0].fatal
    refusal = refusal_of(frames[0].error)
    assert refusal is not None
    assert refusal.status == 400
    assert numbers(frames) == [2]


@pytest.mark.parametrize(
    ("length", "status"),
    [("", 400), ("Content-Length: -5\r\n", 400), ("Content-Length: five\r\n", 400), ("Content-Length: 70000\r\n", 513),
     ("Content-Length: 1\r\nl: 1\r\n", 400), ("Content-Length: 99999999999999999999999999\r\n", 400)],
)  # fmt: skip
def test_without_a_readable_length_the_stream_is_lost(length: str, status: int) -> None:
    framer = StreamFramer()
    frames = framer.feed(message(1).replace(b"Content-Length: 0\r\n", length.encode()) + message(2))
    assert len(frames) == 1
    assert isinstance(frames[0], FramingError)
    assert frames[0].fatal
    refusal = refusal_of(frames[0].error)
    assert refusal is not None
    assert refusal.status == status
    assert framer.feed(message(3)) == []
    assert not framer.waiting


@pytest.mark.parametrize("data", [b"x" * 70000, b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * 20000])
def test_a_head_without_end_is_given_up(data: bytes) -> None:
    framer = StreamFramer()
    frames = [frame for start in range(0, len(data), 1000) for frame in framer.feed(data[start : start + 1000])]
    assert len(frames) == 1
    assert isinstance(frames[0], FramingError)
    assert (frames[0].fatal, frames[0].error.status) == (True, 513)
    assert refusal_of(frames[0].error) is None


def test_limits_can_be_tighter() -> None:
    framer = StreamFramer(FrameLimits(head_bytes=1000, body_bytes=10))
    assert numbers(framer.feed(message(1, b"0123456789"))) == [1]
    frames = framer.feed(message(2, b"0123456789a"))
    assert isinstance(frames[0], FramingError)


def test_feeding_takes_time_in_proportion_to_size() -> None:
    framer = StreamFramer()
    start = time.perf_counter()
    data = b"x" * 60000
    for index in range(0, len(data), 4):
        framer.feed(data[index : index + 4])
    assert len(StreamFramer().feed(b"\r\n" * 20000)) == 10000
    assert time.perf_counter() - start < 1.0  # anything quadratic takes minutes
