"""Opus, G.722 and G.711: what goes in comes out, and what is lost is covered."""

from __future__ import annotations

import contextlib

import av
import numpy as np
import pytest

from app.media.audio_choice import AudioChoice
from app.media.codecs import G722, OPUS, PCMA, PCMU
from app.media.errors import MediaError, PacketError
from app.media.opus import OpusDecoder, OpusEncoder
from app.media.plan import CodecPlan
from app.media.speech import Sound, make_decoder, make_encoder
from tests.heard import frequency_hz, gaps_ms, level_dbfs, part, share_at, tone


def frames_of(sound: Sound) -> list[Sound]:
    return [sound[start : start + 960] for start in range(0, len(sound) - 959, 960)]


@pytest.mark.parametrize("codec", [OPUS, G722, PCMU, PCMA], ids=lambda codec: codec.name)
def test_a_tone_keeps_its_frequency_and_level(codec: CodecPlan) -> None:
    encoder, decoder = make_encoder(codec), make_decoder(codec)
    sound = tone(440, 1.0, peak=0.25)
    heard = np.concatenate([decoder.decode(encoder.encode(frame)) for frame in frames_of(sound)])
    assert len(heard) == len(sound)
    steady = part(heard, 0.1)
    assert frequency_hz(steady) == pytest.approx(440, abs=1)
    assert level_dbfs(steady) == pytest.approx(level_dbfs(sound), abs=1)
    assert share_at(steady, 440) > 0.98


@pytest.mark.parametrize("codec", [OPUS, G722, PCMU], ids=lambda codec: codec.name)
def test_one_lost_packet_leaves_no_hole(codec: CodecPlan) -> None:
    encoder, decoder = make_encoder(codec), make_decoder(codec)
    payloads = [encoder.encode(frame) for frame in frames_of(tone(300, 1.0, peak=0.25))]
    heard = [
        decoder.decode(payload) if index % 10 != 5 else decoder.conceal(960) for index, payload in enumerate(payloads)
    ]
    sound = part(np.concatenate(heard), 0.05)
    assert gaps_ms(sound, quieter_than_dbfs=-35, at_least_ms=5) == []
    assert share_at(sound, 300, 40) > 0.9


@pytest.mark.parametrize("codec", [G722, PCMU], ids=lambda codec: codec.name)
def test_concealment_fades_out(codec: CodecPlan) -> None:
    encoder, decoder = make_encoder(codec), make_decoder(codec)
    for frame in frames_of(tone(300, 0.4, peak=0.25)):
        decoder.decode(encoder.encode(frame))
    invented = [decoder.conceal(960) for _ in range(25)]
    assert level_dbfs(invented[0]) > -20
    assert level_dbfs(invented[-1]) < -50


def test_opus_brings_a_lost_packet_back_from_the_next_one() -> None:
    encoder = OpusEncoder()
    encoder.adapt(AudioChoice(bitrate_bps=40_000, loss_percent=20))
    rng = np.random.default_rng(1)
    voice = (tone(180, 1.0, 0.2) + tone(900, 1.0, 0.05) + rng.normal(0, 150, 48_000)).astype(np.int16)
    payloads = [encoder.encode(frame) for frame in frames_of(voice)]
    with_fec, concealed, whole = OpusDecoder(), OpusDecoder(), OpusDecoder()
    for payload in payloads[:10]:
        for decoder in (with_fec, concealed, whole):
            decoder.decode(payload)
    real = whole.decode(payloads[10]).astype(np.float64)
    recovered = with_fec.recover(payloads[11], 960)
    assert recovered is not None
    assert np.corrcoef(real, recovered)[0, 1] > 0.8


def test_the_ulaw_and_alaw_tables_are_those_of_ffmpeg() -> None:
    for codec, name in ((PCMU, "pcm_mulaw"), (PCMA, "pcm_alaw")):
        reference = av.CodecContext.create(name, "r")
        assert isinstance(reference, av.AudioCodecContext)
        reference.sample_rate, reference.layout, reference.format = 8_000, "mono", "s16"
        (decoded,) = reference.decode(av.Packet(bytes(range(256))))
        from app.media.g711 import _VALUES

        assert np.array_equal(decoded.to_ndarray().reshape(-1), _VALUES[codec.name.lower()])


def test_loud_sound_is_clipped_not_wrapped() -> None:
    encoder, decoder = make_encoder(PCMU), make_decoder(PCMU)
    square = np.where(np.arange(9_600) // 60 % 2, 32_767, -32_768).astype(np.int16)
    heard = np.concatenate([decoder.decode(encoder.encode(frame)) for frame in frames_of(square)])
    assert level_dbfs(part(heard, 0.05)) > -3


@pytest.mark.parametrize("payload", [b"", b"\xff\xff\xff" * 20, bytes(1)])
def test_damaged_opus_packets_are_refused_or_decoded_but_never_crash(payload: bytes) -> None:
    decoder = OpusDecoder()
    with contextlib.suppress(PacketError):
        assert 0 < decoder.sample_count(payload) <= 5_760
        decoder.decode(payload)


@pytest.mark.parametrize("codec", [G722, PCMU], ids=lambda codec: codec.name)
def test_longer_and_shorter_packets_are_taken_and_absurd_ones_refused(codec: CodecPlan) -> None:
    decoder = make_decoder(codec)
    assert [len(decoder.decode(bytes(size))) for size in (80, 160, 240, 480)] == [480, 960, 1_440, 2_880]
    with pytest.raises(PacketError):
        decoder.decode(bytes(2_000))


def test_an_unknown_codec_is_refused() -> None:
    with pytest.raises(MediaError, match="G729"):
        make_encoder(CodecPlan("G729", 18, 8_000))
