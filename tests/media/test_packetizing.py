"""Frames become packets of any length, and packets that bring their predecessors along."""

from __future__ import annotations

import numpy as np
import pytest

from app.media.audio_choice import AudioChoice
from app.media.audio_send import FramePace
from app.media.codecs import G722, OPUS, PCMU
from app.media.errors import PacketError
from app.media.packetizing import AudioPayload, Packetizer
from app.media.plan import CodecPlan
from app.media.red import MOST_BLOCKS, Block, pack, unpack
from app.media.speech import make_decoder, make_encoder
from tests.heard import level_dbfs, part, share_at, tone


def send(codec: CodecPlan, packet_ms: int, *, repeats: int = 0, frames: int = 60) -> list[AudioPayload]:
    encoder = make_encoder(codec)
    packetizer = Packetizer(codec, encoder, red_payload_type=63)
    sound = tone(440, frames / 50, 0.3)
    choice = AudioChoice(packet_ms=packet_ms, repeats=repeats)
    return [
        packet
        for index in range(frames)
        for packet in packetizer.add(sound[index * 960 :][:960], index * encoder.timestamp_step, choice)
    ]


@pytest.mark.parametrize(
    ("codec", "packet_ms"),
    [(codec, ms) for codec in (OPUS, PCMU, G722) for ms in (10, 20, 40, 60) if (codec, ms) != (G722, 10)],
    ids=lambda value: getattr(value, "name", value),
)
def test_packets_hold_what_is_asked_for_on_one_time_line(codec: CodecPlan, packet_ms: int) -> None:
    packets, decoder = send(codec, packet_ms), make_decoder(codec)
    step = codec.clock_rate * packet_ms // 1_000
    assert [packet.media_time for packet in packets] == [index * step for index in range(1_200 // packet_ms)]
    assert [packet.marker for packet in packets] == [True] + [False] * (len(packets) - 1)
    assert {decoder.sample_count(packet.payload) for packet in packets} == {packet_ms * 48}
    heard = part(np.concatenate([decoder.decode(packet.payload) for packet in packets]), 0.1)
    assert share_at(heard, 440) > 0.98
    assert level_dbfs(heard) == pytest.approx(level_dbfs(tone(440, 1.0, 0.3)), abs=1)


def test_repeats_hold_the_packets_before() -> None:
    plain, repeating = send(OPUS, 20), send(OPUS, 20, repeats=2)
    assert {packet.payload_type for packet in repeating} == {63}
    assert [len(unpack(packet.payload)) for packet in repeating[:4]] == [1, 2, 3, 3]
    for index in range(2, len(plain)):
        blocks = unpack(repeating[index].payload)
        assert [block.offset for block in blocks] == [1_920, 960, 0]
        assert [block.payload for block in blocks] == [plain[index - back].payload for back in (2, 1, 0)]


def test_after_a_pause_nothing_older_is_repeated_and_a_marker_tells_of_it() -> None:
    packetizer = Packetizer(OPUS, make_encoder(OPUS), red_payload_type=63)
    choice, frame = AudioChoice(repeats=2), tone(440, 0.02, 0.3)
    packetizer.add(frame, 0, choice)
    packetizer.pause()
    (packet,) = packetizer.add(frame, 48_000, choice)
    assert packet.marker
    assert len(unpack(packet.payload)) == 1


def test_a_half_filled_packet_is_given_up_at_a_pause() -> None:
    packetizer, frame = Packetizer(PCMU, make_encoder(PCMU)), tone(440, 0.02, 0.3)
    assert packetizer.add(frame, 0, AudioChoice(packet_ms=40)) == []
    packetizer.pause()
    assert packetizer.add(frame, 8_000, AudioChoice(packet_ms=40)) == []
    (packet,) = packetizer.add(frame, 8_160, AudioChoice(packet_ms=40))
    assert packet.media_time == 8_000


def test_opus_in_a_pause_says_so_once_and_then_little() -> None:
    encoder, decoder = make_encoder(OPUS, dtx=True), make_decoder(OPUS)
    voice, silence = tone(180, 1.0, 0.2) + tone(900, 1.0, 0.05), np.zeros(96_000, np.int16)
    sound = np.concatenate((voice, silence)) + np.random.default_rng(4).normal(0, 2, 144_000)
    payloads = [encoder.encode(sound[start : start + 960].astype(np.int16)) for start in range(0, 144_000, 960)]
    assert all(payloads[:50])
    assert sum(map(bool, payloads[50:])) < 40
    first_pause = next(payload for payload in payloads if 0 < len(payload) <= 2)
    decoder.decode(payloads[0])
    assert not decoder.is_paused
    decoder.decode(first_pause)
    assert decoder.is_paused


def test_blocks_that_do_not_fit_the_format_are_left_out() -> None:
    older = [Block(96, 16_384, b"old"), Block(96, 960, bytes(1_024)), Block(96, 0, b"now"), Block(96, 960, b"good")]
    assert unpack(pack(96, b"own", older)) == (Block(96, 960, b"good"), Block(96, 0, b"own"))


@pytest.mark.parametrize(
    "data", [b"", b"\xe0", b"\xe0\x00\x00\x05", b"\xe0\x0f\x00\x05\x60ab", b"\xe0\x0f\x00\x01" * 9]
)
def test_malformed_repeats_are_refused(data: bytes) -> None:
    with pytest.raises(PacketError):
        unpack(data)
    assert MOST_BLOCKS < 9


def test_a_thread_that_was_late_catches_up_a_little_and_leaves_out_the_rest() -> None:
    pace = FramePace()
    assert (pace.advance(100.0), pace.at, pace.frame) == (0, 100.0, 0)
    assert pace.advance(100.095) == 0  # 75 ms late: what a microphone hands over
    assert pace.frame == 1
    missed = pace.advance(101.0)
    assert missed > 40
    assert pace.frame == 2 + missed
    assert pace.at is not None
    assert 0 <= 101.0 - pace.at < 0.081
    assert pace.at == pytest.approx(100.0 + pace.frame * 0.02, abs=0.011)
