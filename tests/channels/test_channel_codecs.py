"""The codecs of channels: what goes in comes out, in packets of every length, from every kind of talker."""

from __future__ import annotations

import base64
from random import Random

import numpy as np
import pytest

from app.channels.bursts import BurstPackets
from app.channels.channel_codecs import make_decoder, make_encoder, receivable
from app.channels.codec_frames import amr_frames, g729_frames, gsm_frames, pack_amr, speex_frames
from app.channels.costs import own_payload_bytes
from app.channels.encoders import AMR, ENCODERS, FRAMINGS_MS, G729, GSM, SPEEX, EncoderId, encoder_info
from app.channels.errors import ChannelError
from app.media.errors import MediaError, PacketError
from app.media.jitter import Playout
from app.media.opus import OpusDecoder
from app.media.plan import CodecPlan
from app.media.speech import Sound
from tests.heard import frequency_hz, gaps_ms, level_dbfs, part, share_at, tone

# 400 ms of a tone of 300 Hz, a quarter of full scale, out of other programs' encoders: libgsm, libspeex, bcg729.
VECTORS = {
    GSM.name: base64.b64decode(
        "0XLsbeNQUP+ZBUusYkMFADN9WpwDAGb6tFPOA31aKbbc0XPsbeLUwH0ICu9Za0AEr/YSpW1AbRFSaxGhICLlsjSc0XPsbeOhIFsaKcsr2KAC"
        "rvYiXaEAWyNJy2PUgBJd2rIU0XPsbeKhoEkbckkjayAS7dIknWsAXWIpS2qhQBTusaSl0XPsbeOhQFsSTltj1wAk5dZE3NdAWxIpyxvXACSl"
        "tjSc0XPsbeOhgDkcdjjjoUAk5bGkpddAaxJOWxprIBSe0jSd0XPsbeNtQGsaTklboUAk5LGkndcgSxopyxptACLk1iSd0XPsbePXoEkbciji"
        "1yAk5bI0naFAWxouWxtrICSesjSd0XPsbeKh4EcbjkdbayAU3rWkpaGgVxtuORNrQBTlsaSm0XPsbeKhgDkbkkccbUAXJY0k7tVAbRkpyWNr"
        "IBSe0iSd0XPsbeOhAFsiSctj1UAk5bI0m9cgSxpNyyJtACTlsiSd0XPsbeOjgCjbckjiayAU5bI0naHARxxyRxttIBTlsaTd0XPsbeKhwEbb"
        "jjibaQAinbq0VKGARxuSSyOhQBUu0aKe0XPsbeOhAE1aSclkoyAXJa205dcAS2NtuuOhQCTl1aSk0XPsbePXgDkakbbaayAU3bY0nNWANyRt"
        "OOzVIBTdsrSc0XPsbeKhAF0iScti1UAU5dIkZaFAWtFOW1qhACTl1jRc0XPsbeOhQFsaTksjoSAipbY0nW1AbRJySRqfQCTd1jRV0XPsbePX"
        "gDjblaiSoyAXJtGipddgatJuWVOhACSltjSc0XPsbePXIFtSTcsioUAk5dGkpdcgWxIt2yNtQBbm0aTl0XPsbePZwETTdjbTnwAinLY0lNVA"
        "W1Ip22JrICTdsjSc"
    ),
    SPEEX.name: base64.b64decode(
        "IE+JMAAbNmzZsADF2jKsAuM7hY1nEvwNFTYJtyBPiSL8U+EeENL8KpseEoL8cBRs2bL8cDZs2bcgT4ks/A0abNm8/Bs2bNm8/A02KNis/Bs2"
        "bNm3IE+JIvwKFGzYrPwNNihRvPwbNmzYrPwKFCjZtyBPiSz8DRpsUbz8CjYo2bz8GxRs2bz8ChpsUbcgT4ks/AoUbNm8/Bs2bFGy/Bs2bFTc"
        "/Bs2bFG3IE+JIvwbNmzZvPwbNmxRvPxwNmzZvPx4NmzZtyBPiSL8OxRs3Nz8CjZs2bz8OxRs2Kz8CjZs2bcgT4ki/Bs2bGsS/E2ENGmy/BsU"
        "KGx8/Ao2bNm3IE+JLPwNNmzZvPwbNmzZvPw7FGzZvPwbNmzZtyBPiSf4QqZsUbz8OxQoUbL8GxQo2bz8DTYoUbcgT4ks/Bs2bNm8/Bs2KNm8"
        "/EI2bNm8/Bs2NNm3IE+JLPwbNmzYrPwbNmzZvPwbFGzZsvwbNmzZtyBPiSz8GxRs2bz8GzZs2bz8DTZs2Kz8ChQ02bcgT4ks/AoUbNii/Ao2"
        "bNm8/Bs2bNis/Ao2bNm3IE+JLPwbNmzZvPxuFCjZvPwbNmzZvPx4FChRtyBPiSz8cBQo2bL8GzYo2bz8cxRs2bz8GzYoUbcgT4ki/Bs2bNm8"
        "/Ao2bNm8/DsUbNm8/Bs2bNm3IE+JLPw7FGzYrPwKNmzZsvwKFGzbHPwbNmzZtyBPiSz8DTZs2Kz8CjZs2bz8GxRs2KL8GzZs2bc="
    ),
    G729.name: base64.b64decode(
        "i0vEQAD62qQdfI1aRIlYpbBTgYWNcEVqWPvY1UFyjdpG573p7Gcw1wKzxSLPR/VTAXoN7oV4QjI1OGLPDRpFr+NK8Qygvw3wRe62+1Tt2E4N"
        "+kY6odgvN8eREdtF5yCIcnOswQ12heNoy3KTpN8N2kX5MKNyLXlLDbhE2MZpcQ0bEw1yRqU3v01FwV4N3Ea4Y9dNgJyXDZaFc3ISMlCq9Q1y"
        "ReQi0068XxoN2EY6/vryObpxDXJF56Hb8Sxg2w3cRie16PItYfcNloX5GpIyLKDzDXJFphTq8GNsmw3YRfmw4vSDlG8NckXjoMPxzmjXDdxG"
        "pxe3z3OExw2WhSUzUjU4EgoNckVj1qr1wqD/DdhF/ZPi8j05Sw1yRrBXd8wUwdsN3EZlN7Nvg6TTDZaFsAxCMCdn0Q1yRSO3CPQtIdsN2EXs"
        "cGlyP6DHDXJGsHJ/D8JAmw3cRa5L+vSCvG8NloYndK4wDymXDXJF8Edzcj0Jfw3YRazd+vIosjsNckYudWNQtELXDdxGJw+58O4Alw=="
    ),
}

SENT = [info.id for info in ENCODERS.values() if info.is_supported]


def frames_of(sound: Sound) -> list[Sound]:
    return [sound[start : start + 960] for start in range(0, len(sound) - 959, 960)]


@pytest.mark.parametrize("encoder", SENT, ids=lambda each: encoder_info(each).name)
def test_a_tone_keeps_its_frequency_and_level(encoder: int) -> None:
    coder = make_encoder(encoder, 40, is_sealed=False)
    assert coder.info.codec is not None
    decoder = make_decoder(coder.info.codec)
    sound = tone(440, 1.0, peak=0.25)
    heard = np.concatenate([decoder.decode(payload) for payload in coder.add(sound)])
    assert len(heard) == len(sound)
    steady = part(heard, 0.2)
    assert frequency_hz(steady) == pytest.approx(440, abs=3)
    assert level_dbfs(steady) == pytest.approx(level_dbfs(sound), abs=2)
    assert share_at(steady, 440, 40) > 0.9


@pytest.mark.parametrize("framing_ms", FRAMINGS_MS)
@pytest.mark.parametrize("encoder", [EncoderId.OPUS_6, EncoderId.OPUS_24, EncoderId.G711_ALAW, EncoderId.AMR_12_2])
def test_packets_of_every_length_weigh_what_is_said_and_hold_their_time(encoder: int, framing_ms: int) -> None:
    coder = make_encoder(encoder, framing_ms, is_sealed=True)
    assert coder.info.codec is not None
    decoder = make_decoder(coder.info.codec)
    noise = np.random.default_rng(1).normal(0, 3_000, 960).astype(np.int16)
    payloads = [payload for _ in range(60) for payload in coder.add(noise)]
    assert len(payloads) == 1_200 // framing_ms
    assert {len(payload) for payload in payloads} == {own_payload_bytes(coder.info, framing_ms)}
    assert {decoder.sample_count(payload) for payload in payloads} == {48 * framing_ms}
    assert coder.timestamp_step * 1_000 == coder.info.codec.clock_rate * framing_ms
    assert len(decoder.decode(payloads[0])) == 48 * framing_ms


@pytest.mark.parametrize(
    ("is_sealed", "framing_ms", "has_fec"), [(False, 20, True), (False, 60, True), (True, 20, True), (True, 60, False)]
)
def test_opus_carries_what_was_lost_in_the_next_packet_where_there_is_room(
    is_sealed: bool, framing_ms: int, has_fec: bool
) -> None:
    coder, decoder = make_encoder(EncoderId.OPUS_24, framing_ms, is_sealed=is_sealed), OpusDecoder()
    noise = np.random.default_rng(1).normal(0, 150, 48_000)
    voice = (tone(180, 1.0, 0.2) + tone(900, 1.0, 0.05) + noise).astype(np.int16)
    found = [decoder.has_redundancy(payload) for payload in coder.add(voice)]
    assert (sum(found) > len(found) / 3) is has_fec


def test_the_rest_of_a_burst_is_filled_up_with_silence() -> None:
    coder = make_encoder(EncoderId.G711_ULAW, 60, is_sealed=False)
    assert coder.add(tone(440, 0.04)) == []
    rest = coder.finish()
    assert rest is not None
    assert len(rest) == 480
    assert coder.finish() is None


@pytest.mark.parametrize(("encoder", "reason"), [(3, "heard, but not sent"), (47, "Codec 2"), (99, "no encoder 99")])
def test_what_cannot_be_sent_is_refused_and_never_replaced(encoder: int, reason: str) -> None:
    with pytest.raises(ChannelError, match=reason):
        make_encoder(encoder, 20, is_sealed=False)


def test_an_unknown_codec_is_refused() -> None:
    with pytest.raises(MediaError, match="Codec2"):
        make_decoder(CodecPlan("Codec2", 99, 8_000))


@pytest.mark.parametrize("codec", [AMR, GSM, G729, SPEEX], ids=lambda codec: codec.name)
def test_what_others_encoded_is_heard(codec: CodecPlan) -> None:
    decoder = make_decoder(codec)
    payloads = _voice(codec)
    assert {decoder.sample_count(payload) for payload in payloads} == {960}
    steady = part(np.concatenate([decoder.decode(payload) for payload in payloads]), 0.2)
    assert frequency_hz(steady) == pytest.approx(300, abs=3)
    assert level_dbfs(steady) == pytest.approx(level_dbfs(tone(300, 1.0, 0.25)), abs=2)


@pytest.mark.parametrize("codec", [AMR, GSM, G729, SPEEX], ids=lambda codec: codec.name)
def test_a_lost_packet_leaves_no_hole(codec: CodecPlan) -> None:
    decoder = make_decoder(codec)
    payloads = _voice(codec)
    heard = [decoder.decode(each) if at % 10 != 7 else decoder.conceal(960) for at, each in enumerate(payloads)]
    sound = part(np.concatenate(heard), 0.1)
    assert gaps_ms(sound, quieter_than_dbfs=-35, at_least_ms=8) == []


def _voice(codec: CodecPlan) -> list[bytes]:
    """A tone of 300 Hz as packets of 20 ms; of what we cannot encode, from VECTORS."""
    if codec is not AMR:
        size = len(VECTORS[codec.name]) // 20
        return [VECTORS[codec.name][at * size :][:size] for at in range(20)]
    coder = make_encoder(EncoderId.AMR_12_2, 20, is_sealed=False)
    return [payload for frame in frames_of(tone(300, 0.4, 0.25)) for payload in coder.add(frame)]


def test_each_talker_may_use_another_codec_and_change_it() -> None:
    playout = Playout(receivable(EncoderId.OPUS_24), decoder_for=make_decoder)
    heard, now, sequence, timestamp = [], 0.0, 65_536, 0
    for encoder in (EncoderId.OPUS_24, EncoderId.AMR_7_95, EncoderId.G711_ULAW, EncoderId.OPUS_6):
        coder = make_encoder(encoder, 20, is_sealed=False)
        assert coder.info.codec is not None
        for frame in frames_of(tone(440, 0.6, 0.25)):
            for payload in coder.add(frame):
                playout.push(sequence, timestamp, coder.info.codec.payload_type, payload, now)
                sequence, timestamp = sequence + 1, timestamp + coder.timestamp_step
            heard.append(playout.next_frame(now))
            now += 0.02
    sound = np.concatenate(heard)
    assert playout.damaged == 0
    for at in range(4):
        assert share_at(part(sound, 0.6 * at + 0.25, 0.6 * at + 0.55), 440, 40) > 0.85


def test_a_long_burst_in_packets_of_120_ms_is_heard_without_a_hole() -> None:
    coder = make_encoder(EncoderId.OPUS_16, 120, is_sealed=False)
    assert coder.info.codec is not None
    burst = BurstPackets(coder.info.codec.payload_type, coder.timestamp_step, None, Random(1))
    playout = Playout(receivable(EncoderId.OPUS_16), decoder_for=make_decoder)
    heard, sequence = [], 65_536
    for at, frame in enumerate(frames_of(tone(300, 3.0, 0.25))):
        for payload in coder.add(frame):
            packet = burst.next(payload)
            playout.push(sequence, packet.timestamp, packet.payload_type, packet.payload, at * 0.02)
            sequence += 1
        heard.append(playout.next_frame(at * 0.02))
    sound = part(np.concatenate(heard), 0.6, 2.9)
    assert gaps_ms(sound, quieter_than_dbfs=-40) == []
    assert playout.concealed_samples == 0


def test_a_channel_may_have_a_payload_type_of_its_own() -> None:
    codecs = receivable(EncoderId.AMR_4_75, 96)
    assert (codecs[96].name, codecs[96].payload_type, codecs[AMR.payload_type].name) == ("AMR", 96, "AMR")
    assert receivable(EncoderId.MELPE_0_6, 96) == receivable(EncoderId.MELPE_0_6)
    for number in (-2, 72, 128, 10**30):
        with pytest.raises(ChannelError, match="cannot be a payload type"):
            receivable(EncoderId.OPUS_24, number)


@pytest.mark.parametrize(
    ("codec", "payload"),
    [
        (AMR, b""),
        (AMR, b"\xf0"),
        (AMR, b"\xf0\x3c"),  # cut short
        (AMR, b"\xf0\x4c" + bytes(31)),  # a frame type that AMR-NB has not
        (AMR, b"\xf0" + b"\xbc" * 12),  # contents without end
        (GSM, b""),
        (GSM, bytes(33)),  # without GSM's signature
        (GSM, b"\xd0" + bytes(33)),
        (GSM, (b"\xd0" + bytes(32)) * 7),  # 140 ms
        (G729, b""),
        (G729, bytes(2)),
        (G729, bytes(13)),
        (G729, bytes(130)),
        (SPEEX, b""),
        (SPEEX, b"\x0f"),
        (SPEEX, b"\x7f"),  # nothing but padding
        (SPEEX, b"\x18" + bytes(3)),
        (SPEEX, b"\x68" + bytes(60)),  # signals within the band
        (SPEEX, bytes(5)),  # eight frames
    ],
    ids=lambda each: each.name if isinstance(each, CodecPlan) else each[:4].hex(),
)
def test_payloads_that_cannot_be_are_refused(codec: CodecPlan, payload: bytes) -> None:
    with pytest.raises(PacketError):
        make_decoder(codec).sample_count(payload)


def test_amr_frames_keep_type_and_quality() -> None:
    frames = [b"\x3c" + bytes(range(31)), b"\x04" + bytes(12), b"\x44" + bytes(5), b"\x7c"]
    payload = pack_amr(frames)
    assert payload[:5] == b"\xf0\xbc\x84\xc4\x7c"
    assert amr_frames(payload) == frames


def test_g729_with_a_description_of_silence_gives_the_speech_before_it() -> None:
    assert g729_frames(bytes(22)) == [bytes(10)] * 2


def test_gsm_frames() -> None:
    frame = b"\xd0" + bytes(32)
    assert gsm_frames(frame * 6) == [frame] * 6


def test_speex_frames_are_cut_at_their_bits() -> None:
    # Silence (mode 0, five bits), 2.15 kb/s (mode 1, 43 bits), its end, and what fills the byte.
    bits = "00000" + "00001" + "1" * 38 + "01111"
    payload = int(bits.ljust(56, "1"), 2).to_bytes(7)
    first, second = speex_frames(payload)
    assert f"{first[0]:08b}" == "00000" + "011"
    assert f"{int.from_bytes(second):048b}" == "00001" + "1" * 38 + "01111"


def test_a_wide_band_layer_of_speex_is_left_out() -> None:
    bits = "00001" + "1" * 38 + "1001" + "0" * 32 + "00000" + "01111"
    assert len(speex_frames(int(bits.ljust(96, "1"), 2).to_bytes(12))) == 2
