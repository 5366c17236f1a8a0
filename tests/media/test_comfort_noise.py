"""Silence that is described instead of sent: it sounds like the silence it stands for."""

from __future__ import annotations

import numpy as np
import pytest

from app.media.audio_choice import AudioChoice
from app.media.codecs import COMFORT_NOISE, PCMU
from app.media.comfort_noise import NoiseDecoder, NoiseSender
from app.media.errors import PacketError
from app.media.jitter import Playout
from app.media.packetizing import Packetizer
from app.media.speech import Sound, make_decoder, make_encoder
from tests.heard import level_dbfs, part, tone


def room(seconds: float, rms: float, *, dull: bool = False) -> Sound:
    """Noise of a room; `dull`: without much above a few hundred hertz."""
    noise = np.random.default_rng(2).normal(0, rms, round(seconds * 48_000))
    if dull:
        noise = np.convolve(noise, np.ones(60) / 60**0.5, "same")
    return noise.astype(np.int16)


def high_share(sound: Sound) -> float:
    """How much of all energy lies above 2 kHz."""
    spectrum = np.abs(np.fft.rfft(sound.astype(np.float64))) ** 2
    return float(spectrum[len(sound) * 2_000 // 48_000 :].sum() / spectrum.sum())


@pytest.mark.parametrize(("rms", "dull"), [(20, False), (100, False), (300, True)])
def test_the_noise_is_as_loud_and_as_dull_as_the_room(rms: float, dull: bool) -> None:
    sound, sender, decoder = room(2.0, rms, dull=dull), NoiseSender(), NoiseDecoder()
    said = [sender.judge(sound[start : start + 960]) for start in range(0, len(sound), 960)]
    payload = next(one for one in said if one)
    heard = np.concatenate([decoder.decode(payload), decoder.conceal(48_000)])
    decoder_of_voice, encoder = make_decoder(PCMU), make_encoder(PCMU)
    narrow = np.concatenate(
        [decoder_of_voice.decode(encoder.encode(sound[start : start + 960])) for start in range(0, 48_000, 960)]
    )
    assert level_dbfs(heard) == pytest.approx(level_dbfs(narrow), abs=4)
    assert (high_share(heard) < 0.1) is dull


def test_words_go_whole_and_pauses_cost_nearly_nothing() -> None:
    quiet = room(1.5, 20)
    words = tone(200, 1.0, 0.2) + room(1.0, 20)
    sender = NoiseSender()
    sound = np.concatenate((quiet, words, quiet))
    said = [sender.judge(sound[start : start + 960]) for start in range(0, len(sound), 960)]
    assert said[75:125] == [None] * 50
    pauses = said[40:75] + said[140:]
    assert None not in pauses
    assert 2 <= sum(map(bool, said)) <= 6


def test_a_louder_background_is_told_at_once() -> None:
    sender = NoiseSender()
    sound = np.concatenate((room(2.0, 8), room(1.0, 25)))
    said = [sender.judge(sound[start : start + 960]) for start in range(0, len(sound), 960)]
    told = [index for index, one in enumerate(said) if one]
    assert any(100 <= index <= 108 for index in told)


def test_packets_of_a_pause_have_their_own_type_and_the_voice_begins_with_a_marker() -> None:
    packetizer = Packetizer(PCMU, make_encoder(PCMU), noise_payload_type=13)
    sound = np.concatenate((room(2.0, 20), tone(200, 0.2, 0.3)))
    packets = [
        packet
        for index in range(len(sound) // 960)
        for packet in packetizer.add(sound[index * 960 :][:960], index * 160, AudioChoice())
    ]
    assert packets[0].payload_type == 0
    noise = [packet for packet in packets if packet.payload_type == 13]
    assert noise
    assert not any(packet.marker for packet in noise)
    after = packets[packets.index(noise[-1]) + 1]
    assert (after.payload_type, after.marker, after.media_time) == (0, True, 100 * 160)


def test_noise_goes_on_until_the_voice_comes_back_and_is_no_concealment() -> None:
    codecs = {0: PCMU, 13: COMFORT_NOISE}
    playout, encoder = Playout(codecs), make_encoder(PCMU)
    heard = []
    for index in range(200):
        now = index * 0.02
        if index < 25 or index >= 150:
            sequence = 70_000 + (index if index < 25 else index - 124)
            payload = encoder.encode(tone(300, 0.02, 0.3))
            playout.push(sequence, index * 160, 0, payload, now)
        elif index == 25:
            playout.push(70_025, index * 160, 13, bytes((50,)), now)
        heard.append(playout.next_frame(now + 0.01))
    sound = np.concatenate(heard)
    assert level_dbfs(part(sound, 0.7, 2.9)) == pytest.approx(-50, abs=2)
    assert level_dbfs(part(sound, 3.2, 3.9)) > -20
    assert playout.concealed_samples <= 960  # of the seam where the voice comes back
    assert playout.delay_s is not None
    assert playout.delay_s < 0.06


@pytest.mark.parametrize("payload", [b"", bytes(65)])
def test_absurd_payloads_are_refused(payload: bytes) -> None:
    with pytest.raises(PacketError):
        NoiseDecoder().decode(payload)


@pytest.mark.parametrize("seed", range(8))
def test_no_payload_makes_the_noise_run_away(seed: int) -> None:
    rng = np.random.default_rng(seed)
    payload = bytes((40, *rng.integers(0, 256, 10)))
    decoder = NoiseDecoder()
    heard = np.concatenate([decoder.decode(payload), decoder.conceal(9_600)])
    assert level_dbfs(heard) == pytest.approx(-40, abs=8)
