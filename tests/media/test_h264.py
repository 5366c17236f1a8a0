"""H.264: pictures survive encoding, packets and decoding; what a peer says of its decoder is kept to."""

from __future__ import annotations

import base64

import pytest

from app.media import h264
from app.media.assembly import EncodedFrame, FrameAssembler
from app.media.codecs import H264
from app.media.errors import PacketError
from app.media.h264 import H264Decoder, H264Encoder, parameter_sets
from app.media.h264_payload import (
    LARGEST_PAYLOAD,
    START_CODE,
    H264Packetizer,
    is_key_frame,
    nal_units,
    picture_size,
    read_payload,
)
from app.media.h264_profile import ProfileLevel, limits_of, own_parameters, rank_of
from app.media.pattern import Pattern
from app.media.plan import CodecPlan
from app.media.stamp import read_stamp


def peer(**parameters: str) -> CodecPlan:
    fmtp = tuple((name.replace("_", "-"), value) for name, value in parameters.items())
    return CodecPlan("H264", 126, 90_000, 1, fmtp)


@pytest.mark.parametrize("mode", [0, 1])
def test_a_stamp_is_read_back_from_each_frame(mode: int) -> None:
    encoder = H264Encoder(1_500_000, 30, packet_bytes=None if mode else LARGEST_PAYLOAD)
    decoder, packetizer, pattern = H264Decoder(), H264Packetizer(mode), Pattern(640, 480, "Test")
    for number in range(10):
        data, is_key = encoder.encode(pattern.draw(number, number / 30), number * 3_000, key=number == 5)
        assert is_key == is_key_frame(data) == (number in (0, 5))
        assert picture_size(data) == ((640, 480) if is_key else None)  # parameter sets before each key frame
        payloads = packetizer.packetize(data)
        assert max(map(len, payloads)) <= LARGEST_PAYLOAD
        assert {payload[0] & 0x1F for payload in payloads} <= ({1, 5, 7, 8} if mode == 0 else {1, 5, 7, 8, 24, 28})
        parts = [read_payload(payload) for payload in payloads]
        assert parts[0].begins
        assert parts[0].begins_key == is_key
        (picture,) = decoder.decode(b"".join(part.data for part in parts))
        assert read_stamp(picture) == number


def test_the_stream_is_constrained_baseline() -> None:
    data, _ = H264Encoder(500_000, 30).encode(Pattern(1280, 720, "Test").draw(0, 0), 0, key=False)
    sps = next(unit for unit in nal_units(data) if unit[0] & 0x1F == 7)
    level = ProfileLevel(*sps[1:4])
    assert (level.rank, level.profile) == (0, 0x42)
    assert level.level_idc <= 31


def test_the_bitrate_is_changed_without_a_key_frame() -> None:
    encoder, decoder, pattern = H264Encoder(1_500_000, 30), H264Decoder(), Pattern(640, 480, "Test")
    keys = []
    for number in range(30):
        encoder.bitrate_bps = 1_500_000 if number < 10 else 600_000 if number < 20 else 1_800_000
        data, is_key = encoder.encode(pattern.draw(number, number / 30), number * 3_000, key=False)
        keys += [number] if is_key else []
        assert read_stamp(decoder.decode(data)[0]) == number
    assert keys == [0]


def test_the_size_may_change_and_a_large_rise_is_followed() -> None:
    encoder, decoder = H264Encoder(300_000, 30), H264Decoder()
    for number, (width, bitrate_bps) in enumerate([(320, 300_000), (160, 300_000), (320, 300_000), (320, 2_000_000)]):
        encoder.bitrate_bps = bitrate_bps
        frame = Pattern(width, width * 3 // 4, "Test").draw(number, 0)
        data, is_key = encoder.encode(frame, number * 3_000, key=False)
        assert is_key
        (picture,) = decoder.decode(data)
        assert (picture.width, read_stamp(picture)) == (width, number)


def test_small_units_share_a_packet_and_large_ones_are_cut() -> None:
    sps, pps, slice_unit = b"\x67" + b"s" * 20, b"\x68" + b"p" * 5, b"\x65\x88" + b"x" * 5_000
    delimiter, sei = b"\x09\x10", b"\x06" + b"i" * 30
    frame = b"".join(START_CODE + unit for unit in (delimiter, sps, pps, sei, slice_unit))
    payloads = H264Packetizer(1).packetize(frame)
    assert payloads[0] == b"\x78" + b"\x00\x15" + sps + b"\x00\x06" + pps
    assert [payload[0] & 0x1F for payload in payloads[1:]] == [28] * 5
    assert [payload[1] >> 6 for payload in payloads[1:]] == [2, 0, 0, 0, 1]
    assert max(map(len, payloads[1:])) - min(map(len, payloads[1:])) < 5
    whole = b"".join(read_payload(payload).data for payload in payloads)
    assert nal_units(whole) == [sps, pps, slice_unit]
    assert H264Packetizer(1).packetize(START_CODE + b"\x41" + b"y" * (LARGEST_PAYLOAD - 1)) == [
        b"\x41" + b"y" * (LARGEST_PAYLOAD - 1)
    ]


@pytest.mark.parametrize(
    "payload",
    [
        "",
        "67",
        "00 01",
        "18 00",
        "18 00 05 67",
        "18 00 00",
        "1c 80",
        "1d 80 00 00",
        "19 00 00 00 01 67",
        "1e 00",
        "1f 00",
    ],
)
def test_malformed_and_interleaved_payloads_are_refused(payload: str) -> None:
    with pytest.raises(PacketError):
        read_payload(bytes.fromhex(payload))


def test_a_later_slice_of_a_key_frame_does_not_begin_it() -> None:
    assert read_payload(b"\x65\x88\x00").begins_key
    assert not read_payload(b"\x65\x48\x00").begins_key
    assert read_payload(b"\x67\x42\xe0\x1f").begins_key
    assert not read_payload(b"\x7c\x05\x88").begins


def assemble(assembler: FrameAssembler, payloads: list[bytes], first: int, timestamp: int) -> list[EncodedFrame]:
    return [
        frame
        for index, payload in enumerate(payloads)
        for frame in assembler.push(first + index, timestamp, index == len(payloads) - 1, payload, 0.0, H264)
    ]


def test_frames_are_put_together_and_wait_for_what_was_lost() -> None:
    encoder, packetizer, pattern = H264Encoder(3_000_000, 30), H264Packetizer(1), Pattern(640, 480, "Test")
    assembler, sequence = FrameAssembler(with_nack=True), 70_000
    films = []
    for number in range(4):
        payloads = packetizer.packetize(encoder.encode(pattern.draw(number, 0), number * 3_000, key=False)[0])
        films.append((payloads, sequence, number * 3_000))
        sequence += len(payloads)
    (key,) = assemble(assembler, *films[0])
    assert key.is_key
    assert assemble(assembler, *films[2]) == assemble(assembler, *films[3]) == []
    assert [frame.timestamp for frame in assemble(assembler, *films[1])] == [3_000, 6_000, 9_000]


def test_a_damaged_frame_is_refused_and_a_key_frame_heals() -> None:
    decoder, pattern, encoder = H264Decoder(), Pattern(160, 120, "Test"), H264Encoder(200_000, 30)
    key, _ = encoder.encode(pattern.draw(1, 0), 0, key=True)
    assert len(decoder.decode(key)) == 1
    data, _ = encoder.encode(pattern.draw(2, 0), 3_000, key=True)
    with pytest.raises(PacketError):
        decoder.decode(data[: len(data) // 2] + bytes(64))
    decoder.reset()
    with pytest.raises(PacketError):  # it refers to what was forgotten
        decoder.decode(encoder.encode(pattern.draw(3, 0), 6_000, key=False)[0])
    assert len(decoder.decode(encoder.encode(pattern.draw(4, 0), 9_000, key=True)[0])) == 1


def test_parameter_sets_of_the_sdp_are_used_where_the_stream_has_none() -> None:
    data, _ = H264Encoder(200_000, 30).encode(Pattern(160, 120, "Test").draw(7, 0), 0, key=True)
    units = [unit for unit in nal_units(data) if unit[0] & 0x1F in (7, 8)]
    text = ",".join(base64.b64encode(unit).decode() for unit in units)
    slices = b"".join(START_CODE + unit for unit in nal_units(data) if unit[0] & 0x1F == 5)
    (picture,) = H264Decoder(parameter_sets(peer(sprop_parameter_sets=text))).decode(slices)
    assert read_stamp(picture) == 7
    assert parameter_sets(peer(sprop_parameter_sets="not base64!")) == b""
    assert parameter_sets(peer(sprop_parameter_sets="\u00e4")) == b""


def test_a_picture_larger_than_any_screen_is_refused() -> None:
    huge = bytes.fromhex("6742e01f") + (0b1_1_1_1_0 << 3).to_bytes(1) + b"\0" * 1 + b"\0\1" + b"\xff" * 12
    with pytest.raises(PacketError):
        picture_size(START_CODE + huge)


def test_a_small_parameter_set_does_not_hide_a_huge_one() -> None:
    data, _ = H264Encoder(200_000, 30).encode(Pattern(320, 240, "Test").draw(0, 0), 0, key=True)
    huge = bytes.fromhex("6742e033da001000010064")  # 16384x8192, some hundred megabytes a picture
    first, *others = nal_units(data)
    bomb = b"".join(START_CODE + unit for unit in (first, huge, *others))
    with pytest.raises(PacketError, match="larger than any screen"):
        H264Decoder().decode(bomb)
    told = peer(sprop_parameter_sets=",".join(base64.b64encode(unit).decode() for unit in (first, huge)))
    with pytest.raises(PacketError, match="larger than any screen"):
        H264Decoder(parameter_sets(told)).decode(b"".join(START_CODE + unit for unit in others))


def test_without_hardware_x264_encodes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(h264, "hardware_encoder", lambda: "h264_nvenc")
    encoder = H264Encoder(200_000, 30)
    assert encoder.name == "h264_nvenc"
    data, is_key = encoder.encode(Pattern(160, 120, "Test").draw(1, 0), 0, key=False)
    assert is_key
    assert data
    assert encoder.name == "libx264"


@pytest.mark.parametrize(
    ("parameters", "rank"),
    [
        ({"profile_level_id": "42e01f", "packetization_mode": "1"}, (0, 0)),
        ({"profile_level_id": "42C01E"}, (0, 1)),
        ({"profile_level_id": "4de01f", "packetization_mode": "1"}, (0, 0)),
        ({"profile_level_id": "42001f", "packetization_mode": "1"}, (1, 0)),
        ({"profile_level_id": "4d001f", "packetization_mode": "0"}, (2, 1)),
        ({"profile_level_id": "64001f", "packetization_mode": "1"}, (3, 0)),
        ({}, (0, 1)),
        ({"profile_level_id": "f4001f"}, None),  # 4:4:4
        ({"profile_level_id": "42e0ff"}, None),
        ({"profile_level_id": "nonsense"}, None),
        ({"profile_level_id": "42e01f", "packetization_mode": "2"}, None),
    ],
)
def test_which_formats_of_a_peer_can_be_used(parameters: dict[str, str], rank: tuple[int, int] | None) -> None:
    assert rank_of(peer(**parameters)) == rank


def test_the_level_is_the_lower_one_unless_both_may_differ() -> None:
    low = own_parameters(peer(profile_level_id="42e00c", packetization_mode="1"))
    assert dict(low) == {"packetization-mode": "1", "profile-level-id": "42e00c"}
    own = own_parameters(peer(profile_level_id="42c00c", level_asymmetry_allowed="1"))
    assert dict(own) == {"level-asymmetry-allowed": "1", "packetization-mode": "0", "profile-level-id": "42c01f"}
    high = own_parameters(peer(profile_level_id="640034", packetization_mode="1"))
    assert dict(high)["profile-level-id"] == "64001f"


def test_a_peers_level_bounds_what_it_is_sent() -> None:
    limits = limits_of(peer(profile_level_id="42e01f"))
    assert limits is not None
    assert limits.allow(1280, 720, 30)
    assert not limits.allow(1920, 1080, 30)
    wider = limits_of(peer(profile_level_id="42e01f", max_fs="8192", max_mbps="245760"))
    assert wider is not None
    assert wider.allow(1920, 1080, 30)
    one_b = limits_of(peer(profile_level_id="42f00b"))
    assert one_b is not None
    assert one_b.bps == 128_000
