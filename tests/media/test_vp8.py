"""VP8: pictures survive encoding, packets and decoding."""

from __future__ import annotations

from dataclasses import replace

import av
import numpy as np
import pytest

from app.media import vpx
from app.media.codecs import VP8
from app.media.errors import MediaError, PacketError
from app.media.pattern import Pattern
from app.media.payload import PayloadPart
from app.media.stamp import read_stamp
from app.media.vp8 import (
    LARGEST_PAYLOAD,
    Vp8Decoder,
    Vp8Encoder,
    Vp8Packetizer,
    is_key_frame,
    key_frame_size,
    limits_of,
    read_payload,
)
from tests.lab.film import psnr_db


def noisy(frame: av.VideoFrame, seed: int) -> av.VideoFrame:
    """Add what no codec can foresee, so that each picture costs bits."""
    picture = frame.to_ndarray()
    noise = np.random.default_rng(seed).integers(-12, 13, picture.shape, dtype=np.int16)
    return av.VideoFrame.from_ndarray(np.clip(picture + noise, 16, 235).astype(np.uint8), format="yuv420p")


def test_a_stamp_is_read_back_from_each_frame() -> None:
    encoder, decoder, packetizer = Vp8Encoder(500_000, 30), Vp8Decoder(), Vp8Packetizer()
    pattern = Pattern(320, 240, "Test")
    for number in range(10):
        data, is_key = encoder.encode(pattern.draw(number, number / 30), number * 3_000, key=False)
        assert is_key == is_key_frame(data) == (number == 0)
        parts = [read_payload(payload) for payload in packetizer.packetize(data)]
        assert [part.begins for part in parts] == [True] + [False] * (len(parts) - 1)
        (picture,) = decoder.decode(b"".join(part.data for part in parts))
        assert read_stamp(picture) == number


def test_a_key_frame_is_made_on_demand_and_tells_its_size() -> None:
    encoder, pattern = Vp8Encoder(500_000, 30), Pattern(320, 240, "Test")
    kinds = [encoder.encode(pattern.draw(number, 0), number * 3_000, key=number == 5) for number in range(8)]
    assert [is_key for _, is_key in kinds] == [number in (0, 5) for number in range(8)]
    assert key_frame_size(kinds[5][0]) == (320, 240)


TURNING = 63  # the picture of `swaying` in which least moves


def swaying(count: int) -> list[av.VideoFrame]:
    """A texture before which another one sways, so that what was hidden comes into sight again."""
    dice = np.random.default_rng(3)
    ground, thing = (dice.integers(40, 200, size).repeat(4, 0).repeat(4, 1) for size in ((45, 80), (20, 20)))
    pictures = []
    for number in range(count):
        picture = np.full((270, 320), 128, np.uint8)
        picture[:180] = ground
        left = 120 + round(100 * np.sin(number / 8))
        picture[50:130, left : left + 80] = thing
        pictures.append(av.VideoFrame.from_ndarray(picture, format="yuv420p"))
    return pictures


def test_who_asks_for_what_is_lost_gets_pictures_that_build_on_more_than_the_last_one() -> None:
    likeness = []
    for is_repaired in (False, True):
        encoder, decoder = Vp8Encoder(400_000, 30, is_repaired=is_repaired), Vp8Decoder()
        seen = []
        for number, picture in enumerate(swaying(150)):
            data, _ = encoder.encode(picture, number * 3_000, key=False)
            seen += [how_alike(picture, one) for one in decoder.decode(data)]
        likeness.append(sum(seen[60:]) / len(seen[60:]))
    assert likeness[1] > likeness[0] + 0.5


def test_who_decodes_past_a_gap_sees_the_pictures_behind_it() -> None:
    encoder, decoder = Vp8Encoder(2_000_000, 30), Vp8Decoder()
    for number, picture in enumerate(swaying(70)):
        data, _ = encoder.encode(picture, number * 3_000, key=False)
        seen = decoder.decode(data) if number != TURNING else []
        if number > TURNING:
            assert how_alike(picture, seen[0]) > 25


def how_alike(one: av.VideoFrame, other: av.VideoFrame) -> float:
    """Compare the upper part, in dB."""
    return psnr_db(one.to_ndarray()[:180], other.to_ndarray()[:180])


def test_the_size_may_change_and_begins_with_a_key_frame() -> None:
    encoder, decoder = Vp8Encoder(500_000, 30), Vp8Decoder()
    for number, (width, height) in enumerate([(160, 120), (320, 240), (320, 240), (160, 120), (240, 180), (320, 240)]):
        data, is_key = encoder.encode(Pattern(width, height, "Test").draw(number, 0), number * 3_000, key=False)
        assert is_key == (number != 2)
        (picture,) = decoder.decode(data)
        assert (picture.width, picture.height, read_stamp(picture)) == (width, height, number)


def test_the_bitrate_is_changed_without_a_key_frame() -> None:
    encoder, decoder, pattern = Vp8Encoder(1_500_000, 30), Vp8Decoder(), Pattern(640, 480, "Test")
    sizes = []
    for number in range(120):
        encoder.bitrate_bps = 200_000 if number >= 60 else 1_500_000
        data, is_key = encoder.encode(noisy(pattern.draw(number, number / 30), number), number * 3_000, key=False)
        assert is_key == (number == 0)
        sizes.append(len(data))
        if data:
            decoder.decode(data)
    assert sum(sizes[30:60]) > 4 * sum(sizes[90:])
    assert sum(sizes[90:]) * 8 < 300_000


def test_the_libraries_of_the_av_package_are_used() -> None:
    """A new av may bring another libvpx: its layouts are to be compared with app.media.vpx then."""
    assert vpx.is_available()


def test_without_libvpx_ffmpeg_encodes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.media.vp8.is_available", lambda: False)
    encoder, decoder, pattern = Vp8Encoder(500_000, 30), Vp8Decoder(), Pattern(320, 240, "Test")
    for number in range(4):
        encoder.bitrate_bps = 200_000 if number == 3 else 500_000
        data, is_key = encoder.encode(pattern.draw(number, 0), number * 3_000, key=number == 2)
        assert is_key == (number in (0, 2, 3))
        assert read_stamp(decoder.decode(data)[0]) == number


def test_a_library_of_another_layout_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vpx, "_ABI_VERSIONS", (1, 2))
    with pytest.raises(MediaError, match="layout"):
        vpx.Vpx(64, 64, 100_000)


@pytest.mark.parametrize("shape", [(240, 320, 3), (120, 160)], ids=["rgb24", "gray"])
def test_a_picture_that_libvpx_would_read_beside_is_refused(shape: tuple[int, ...]) -> None:
    encoder = vpx.Vpx(320, 240, 200_000)
    form = "rgb24" if len(shape) == 3 else "gray"
    with pytest.raises(MediaError):
        encoder.encode(av.VideoFrame.from_ndarray(np.zeros(shape, np.uint8), format=form), 0, 3_000, key=False)
    small = Pattern(160, 120, "Test").draw(0, 0.0)
    with pytest.raises(MediaError):
        encoder.encode(small, 0, 3_000, key=False)


def test_text_of_a_shared_screen_is_encoded() -> None:
    encoder, decoder, pattern = Vp8Encoder(300_000, 5, is_screen=True), Vp8Decoder(), Pattern(320, 240, "Test")
    for number in range(6):
        data, _ = encoder.encode(pattern.draw(number, 0), number * 18_000, key=False)
        assert read_stamp(decoder.decode(data)[0]) == number


@pytest.mark.parametrize("is_screen", [False, True])
def test_a_cameras_noise_is_not_coded_but_faint_text_is(is_screen: bool) -> None:
    encoder, random = Vp8Encoder(1_000_000, 30, is_screen=is_screen), np.random.default_rng(1)
    wall = Pattern(320, 240, "Test").draw(0, 0.0).to_ndarray()
    sizes = []
    for number in range(40):
        noise = np.rint(random.normal(0, 1.5, wall.shape)).astype(np.int16)
        frame = av.VideoFrame.from_ndarray(np.clip(wall + noise, 16, 235).astype(np.uint8), format="yuv420p")
        sizes.append(len(encoder.encode(frame, number * 3_000, key=False)[0]))
    assert (sum(sizes[20:]) / 20 < 500) == (not is_screen)


def test_a_bad_camera_shows_a_wall_the_better_for_its_noise_being_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    wall, likeness = swaying(1)[0].to_ndarray(), []
    for leaves_out in (True, False):
        if not leaves_out:
            monkeypatch.setattr(vpx.Vpx, "leave_out_noise", lambda self, levels: None)
        encoder, decoder = Vp8Encoder(250_000, 30, is_repaired=True), Vp8Decoder()
        random, seen = np.random.default_rng(1), []
        for number in range(110):
            clean = wall.copy()
            left = number * 5 % 120
            clean[60:90, left : left + 24] = np.roll(wall[60:90, :24], number * 3, 1)
            noise = np.rint(random.normal(0, 3.0, wall.shape))
            frame = av.VideoFrame.from_ndarray(np.clip(clean + noise, 0, 255).astype(np.uint8), format="yuv420p")
            data, _ = encoder.encode(frame, number * 3_000, key=False)
            shown = decoder.decode(data) if data else []
            seen += [psnr_db(clean[:180], one.to_ndarray()[:180]) for one in shown if number >= 80]
        likeness.append(sum(seen) / len(seen))
    assert likeness[0] > likeness[1] + 0.2


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
    assert read_payload(bytes.fromhex(descriptor) + b"data") == PayloadPart(begins, False, b"data")
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


def test_what_the_peers_decoder_takes_is_kept_to() -> None:
    assert limits_of(VP8) is None
    said = limits_of(replace(VP8, fmtp=(("max-fs", "1200"), ("max-fr", "15"))))
    assert said is not None
    assert [said.allow(*picture) for picture in ((640, 480, 15), (640, 480, 30), (1280, 720, 10))] == [
        True,
        False,
        False,
    ]
    assert limits_of(replace(VP8, fmtp=(("max-fs", "lots"),))) is None
