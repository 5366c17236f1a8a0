"""The table of encoders: every number that a mission may name, and what can be done with it."""

from __future__ import annotations

import pytest

from app.channels.encoders import ENCODERS, FRAMINGS_MS, EncoderId, Support, check_sending, encoder_info
from app.channels.errors import ChannelError

LISTED = (-1, 0, 1, 2, 3, 4, 5, *range(10, 18), *range(20, 30), *range(30, 38), *range(40, 48), 50, 51, 52)


def test_every_listed_number_is_described() -> None:
    assert sorted(ENCODERS) == sorted(LISTED) == sorted(EncoderId)


@pytest.mark.parametrize("encoder", LISTED)
def test_a_rate_is_what_the_frames_make(encoder: int) -> None:
    info = encoder_info(encoder)
    if info.frame_ms:
        assert info.frame_bits / info.frame_ms * 1_000 == pytest.approx(info.bitrate_bps, rel=0.01)


@pytest.mark.parametrize(
    ("encoder", "name", "bitrate", "support"),
    [
        (1, "G.711 μ-law", 64_000, Support.FULL),
        (2, "G.711 A-law", 64_000, Support.FULL),
        (3, "GSM full rate", 13_200, Support.RECEIVE_ONLY),
        (4, "G.729a", 8_000, Support.RECEIVE_ONLY),
        (10, "AMR-NB 4.75 kb/s", 4_750, Support.FULL),
        (17, "AMR-NB 12.2 kb/s", 12_200, Support.FULL),
        (21, "Opus 8 kb/s", 8_000, Support.FULL),
        (29, "Opus 24 kb/s", 24_000, Support.FULL),
        (33, "Speex 8 kb/s", 8_000, Support.RECEIVE_ONLY),
        (42, "Codec 2 1.2 kb/s", 1_200, Support.NONE),
        (52, "MELPe 2.4 kb/s", 2_400, Support.NONE),
    ],
)
def test_what_each_is_and_whether_we_can(encoder: int, name: str, bitrate: int, support: Support) -> None:
    info = encoder_info(encoder)
    assert (info.name, info.bitrate_bps, info.support) == (name, bitrate, support)


def test_what_is_not_supported_says_why_and_what_is_has_a_codec() -> None:
    for info in ENCODERS.values():
        assert info.is_supported == (info.why_not == "")
        assert info.can_receive == (info.codec is not None)
        assert info.why_not == "" or info.why_not.endswith(".")


def test_payload_types_name_one_codec_each() -> None:
    codecs = {info.codec for info in ENCODERS.values() if info.codec is not None}
    assert len({codec.payload_type for codec in codecs}) == len(codecs) == 7


def test_opus_goes_from_narrow_to_full_band() -> None:
    bands = [encoder_info(encoder).band_hz for encoder in range(20, 30)]
    assert bands == sorted(bands)
    assert (bands[0], bands[-1]) == (4_000, 20_000)


@pytest.mark.parametrize("encoder", [99, -7, 10**80])
def test_an_unknown_number_is_described_as_such(encoder: int) -> None:
    info = encoder_info(encoder)
    assert info.support is Support.NONE
    assert info.why_not.startswith("There is no encoder ")
    assert len(info.why_not) < 80


@pytest.mark.parametrize(
    ("encoder", "framing_ms", "reason"),
    [
        (3, 20, "cannot be talked on. GSM full rate is heard, but not sent"),
        (40, 40, "None of Parley's libraries has Codec 2"),
        (-1, 20, "external codec"),
        (99, 20, "no encoder 99"),
        (29, 30, "30 ms are not possible"),
        (29, 0, "0 ms"),
        (29, 140, "140 ms"),
    ],
)
def test_what_cannot_be_sent_is_refused_in_one_sentence(encoder: int, framing_ms: int, reason: str) -> None:
    with pytest.raises(ChannelError, match=reason):
        check_sending(encoder, framing_ms)


@pytest.mark.parametrize("framing_ms", FRAMINGS_MS)
def test_every_length_of_packet_can_be_sent(framing_ms: int) -> None:
    assert check_sending(EncoderId.OPUS_8, framing_ms).name == "Opus 8 kb/s"
