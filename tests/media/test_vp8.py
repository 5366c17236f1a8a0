"""VP8: pictures survive encoding, packets and decoding."""

from __future__ import annotations

import pytest

from app.media.errors import PacketError
from app.media.pattern import Pattern
from app.media.stamp import read_stamp
from app.media.vp8 import (
    LARGEST_PAYLOAD,
    Vp8Decoder,
    Vp8Encoder,
    Vp8Packetizer,
    is_key_frame,
    key_frame_size,
    read_payload,
)


def test_a_stamp_is_read_back_from_each_frame() -> None:
    encoder, decoder, packetizer = Vp8Encoder(500_000, 30), Vp8Decoder(), Vp8Packetizer()
    pattern = Pattern(320, 240, "Test")
    for number in range(10):
        data, is_key = encoder.encode(pattern.draw(number, number / 30), number * 3_000, key=False)
        assert is_key == is_key_frame(data) == (number == 0)
        parts = [read_payload(payload) for payload in packetizer.packetize(data)]
        assert [begins for begins, _ in parts] == [True] + [False] * (len(parts) - 1)
        (picture,) = decoder.decode(b"".join(part for _, part in parts))
        assert read_stamp(picture) == number


def test_a_key_frame_is_made_on_demand_and_tells_its_size() -> None:
    encoder, pattern = Vp8Encoder(500_000, 30), Pattern(320, 240, "Test")
    kinds = [encoder.encode(pattern.draw(number, 0), number * 3_000, key=number == 5) for number in range(8)]
    assert [is_key for _, is_key in kinds] == [number in (0, 5) for number in range(8)]
    assert key_frame_size(kinds[5][0]) == (320, 240)


def test_size_and_bitrate_may_change() -> None:
    encoder = Vp8Encoder(500_000, 30)
    small, large = Pattern(160, 120, "Test"), Pattern(320, 240, "Test")
    encoder.encode(small.draw(0, 0), 0, key=False)
    assert key_frame_size(encoder.encode(large.draw(1, 0), 3_000, key=False)[0]) == (320, 240)
    encoder.bitrate_bps = 540_000  # not worth a key frame
    assert not encoder.encode(large.draw(2, 0), 6_000, key=False)[1]
    encoder.bitrate_bps = 200_000
    assert encoder.encode(large.draw(3, 0), 9_000, key=False)[1]


def test_the_bitrate_is_kept() -> None:
    encoder, pattern = Vp8Encoder(300_000, 30), Pattern(640, 480, "Test")
    sizes = [
        len(encoder.encode(pattern.draw(number, number / 30), number * 3_000, key=False)[0]) for number in range(90)
    ]
    assert sum(sizes[30:]) * 8 / 2 < 400_000


def test_payloads_are_of_nearly_equal_size_and_never_too_large() -> None:
    for size in (1, 500, LARGEST_PAYLOAD, 5_000, 60_000):
        payloads = Vp8Packetizer().packetize(bytes(size))
        assert max(map(len, payloads)) <= LARGEST_PAYLOAD
        assert sum(len(payload) - 4 for payload in payloads) == size
        assert max(map(len, payloads)) - min(map(len, payloads)) < len(payloads) + 4


@pytest.mark.parametrize(
    ("descriptor", "begins"),
    [
        ("10", True),
        ("00", False),
        ("11", False),  # the second partition begins
        ("90 80 05", True),
        ("90 80 81 02", True),
        ("90 f0 81 02 07 40", True),  # everything there is
        ("90 20 40", True),
        ("90 10 01", True),
    ],
)
def test_all_forms_of_the_payload_descriptor_are_understood(descriptor: str, begins: bool) -> None:
    assert read_payload(bytes.fromhex(descriptor) + b"data") == (begins, b"data")
    with pytest.raises(PacketError):
        read_payload(bytes.fromhex(descriptor))


def test_picture_ids_rise_by_one() -> None:
    packetizer = Vp8Packetizer()
    ids = [int.from_bytes(packetizer.packetize(b"x")[0][2:4]) & 0x7FFF for _ in range(3)]
    assert [(later - ids[0]) & 0x7FFF for later in ids] == [0, 1, 2]


def test_a_damaged_frame_is_refused_and_a_key_frame_heals() -> None:
    decoder, pattern = Vp8Decoder(), Pattern(160, 120, "Test")
    for size in (b"\0\0\0\0", b"\xff\x3f\xff\x3f"):
        with pytest.raises(PacketError):
            decoder.decode(b"\x50\x02\x00\x9d\x01\x2a" + size)
    decoder.reset()
    data, _ = Vp8Encoder(200_000, 30).encode(pattern.draw(3, 0), 0, key=True)
    assert len(decoder.decode(data)) == 1
