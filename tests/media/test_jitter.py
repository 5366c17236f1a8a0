"""The jitter buffer on a virtual clock: what is heard under loss, bursts, reordering, drift and silence."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np
import pytest

from app.media.audio_choice import AudioChoice
from app.media.codecs import OPUS, PCMU
from app.media.jitter import LONGEST_DELAY_S, Playout
from app.media.plan import CodecPlan
from app.media.speech import Sound, make_encoder
from tests.heard import gaps_ms, level_dbfs, part, recorded_speech, share_at, speech_score, tone
from tests.media.playout_lab import listen as lab_listen
from tests.media.playout_lab import packets

HZ = 440
PATH_S = 0.040


@dataclass
class Listening:
    """What came of one run: the sound, and the buffer's delay at each frame."""

    playout: Playout
    sound: Sound
    delays: list[float] = field(default_factory=list)


def listen(
    seconds: float,
    arrival: Callable[[int, float], float | None],
    codec: CodecPlan = OPUS,
    *,
    clock_ratio: float = 1.0,
    silent: Callable[[float], bool] = lambda at: False,
    held_back_s: float = 0.0,
) -> Listening:
    """Send a tone for so long; `arrival(index, sent_at)` gives when a packet comes, None for never."""
    encoder = make_encoder(codec)
    count = round(seconds * 50)
    sound = tone(HZ, seconds, 0.3)
    arrivals: list[tuple[float, int, int, bytes]] = []
    sequence = 0
    for index in range(count):
        sent_at = index * 0.020 * clock_ratio
        payload = encoder.encode(sound[index * 960 : index * 960 + 960])
        if silent(sent_at):
            continue
        at = arrival(index, sent_at)
        if at is not None:
            arrivals.append((at, 70_000 + sequence, index, payload))
        sequence += 1
    arrivals.sort()
    playout = Playout({codec.payload_type: codec})
    playout.hold_back(held_back_s)
    heard, delays = [], []
    for tick in range(count + 20):
        now = tick * 0.020 + 0.007
        while arrivals and arrivals[0][0] <= now:
            came_at, extended, index, payload = arrivals.pop(0)
            timestamp = (index * encoder.timestamp_step + 0xFFFF_F000) & 0xFFFF_FFFF
            playout.push(extended, timestamp, codec.payload_type, payload, came_at)
        heard.append(playout.next_frame(now))
        if playout.delay_s is not None:
            delays.append(playout.delay_s)
    return Listening(playout, np.concatenate(heard), delays)


def steady(index: int, sent_at: float) -> float | None:
    return sent_at + PATH_S


@pytest.mark.parametrize("codec", [OPUS, PCMU], ids=lambda codec: codec.name)
def test_an_even_stream_is_played_whole_with_little_delay(codec: CodecPlan) -> None:
    result = listen(3, steady, codec)
    sound = part(result.sound, 0.3, 2.9)
    assert gaps_ms(sound, -30, 5) == []
    assert share_at(sound, HZ) > 0.98
    assert result.playout.concealed_samples <= 960
    assert max(result.delays) < 0.060
    assert result.playout.dropped == 0


@pytest.mark.parametrize("share", [0.01, 0.05, 0.10])
def test_lost_packets_are_covered_and_add_no_delay(share: float) -> None:
    rng = random.Random(3)
    result = listen(8, lambda index, at: None if rng.random() < share else at + PATH_S)
    sound = part(result.sound, 0.3, 7.9)
    assert gaps_ms(sound, -32, 10) == []
    assert share_at(sound, HZ, 40) > 0.9
    assert result.delays[-60] < 0.060
    assert max(result.delays[50:-40]) < 0.100
    lost_ms = 8_000 * share
    assert result.playout.concealed_samples / 48 < 2.5 * lost_ms + 60


def test_after_a_burst_of_late_packets_the_delay_comes_back() -> None:
    """One stall of 280 ms must not leave 282 ms of delay for good."""
    result = listen(16, lambda index, at: max(at + PATH_S, 2.280) if 2.0 < at + PATH_S < 2.280 else at + PATH_S)
    assert max(result.delays[150:-40]) <= LONGEST_DELAY_S + 0.020
    assert result.delays[-60] < 0.080
    assert gaps_ms(part(result.sound, 3.0, 15.9), -30, 10) == []


def test_the_buffer_grows_with_jitter_and_shrinks_after_it() -> None:
    rng = random.Random(5)
    result = listen(20, lambda index, at: at + PATH_S + (rng.uniform(0, 0.08) if at < 8 else 0.0))
    during, after = result.delays[250:380], result.delays[-100:-40]
    assert 0.060 < sum(during) / len(during) < 0.150
    assert sum(after) / len(after) < 0.060
    assert gaps_ms(part(result.sound, 2.0, 19.9), -30, 15) == []
    assert share_at(part(result.sound, 2.0, 19.9), HZ, 40) > 0.9


def test_overtaken_packets_are_played_in_order() -> None:
    def swapped(index: int, at: float) -> float:
        return at + PATH_S + (0.025 if index % 10 == 3 else 0.0)

    result = listen(5, swapped)
    assert share_at(part(result.sound, 1.0, 4.9), HZ) > 0.97
    assert result.playout.dropped <= 2


@pytest.mark.parametrize("ratio", [0.9995, 1.0005])
def test_a_sender_with_another_clock_is_followed(ratio: float) -> None:
    result = listen(40, steady, PCMU, clock_ratio=ratio)
    assert max(result.delays[100:-40]) < 0.080
    assert gaps_ms(part(result.sound, 1.0, 39.0), -30, 10) == []
    assert result.playout.concealed_samples < 40 * 48


@pytest.mark.parametrize("left_out_s", [0.2, 0.5, 1.0])
def test_what_a_sound_card_left_out_is_missing_once_and_not_for_the_next_ten_seconds(left_out_s: float) -> None:
    """The sender's sound goes on without what was lost before it was numbered: every packet is later from then on."""
    result = listen(14, lambda index, at: at + PATH_S + (left_out_s if index >= 150 else 0.0))
    played = result.playout
    assert played.late == 0
    assert played.concealed_samples / 48_000 < left_out_s + 0.25
    assert played.accelerated_samples / 48_000 < 0.35
    assert gaps_ms(part(result.sound, 3.6 + left_out_s, 13.5), -30, 10) == []


@pytest.mark.parametrize("ratio", [1.05, 1.1])
def test_of_a_sender_that_is_slower_than_its_clock_no_more_is_made_up_than_it_leaves_out(ratio: float) -> None:
    """A machine that has too much to do encodes nine tenths of what its microphone heard, and numbers those."""
    seconds = 20.0
    result = listen(seconds, steady, clock_ratio=ratio)
    assert result.playout.concealed_samples / 48_000 < 1.1 * seconds * (ratio - 1.0)


def test_a_sender_that_falls_silent_is_not_counted_as_loss() -> None:
    result = listen(6, steady, silent=lambda at: 2.0 < at < 4.0)
    assert max(result.delays[-100:-40]) < 0.080
    assert share_at(part(result.sound, 4.2, 5.9), HZ) > 0.97
    assert result.playout.concealed_samples <= 960
    assert level_dbfs(part(result.sound, 2.4, 3.9)) < -60


def test_a_stream_that_ends_fades_to_silence() -> None:
    result = listen(2, steady)
    assert level_dbfs(result.sound[-4_800:]) == float("-inf")
    assert result.playout.concealed_samples == 0


def test_a_long_gap_of_loss_is_passed_at_once() -> None:
    result = listen(6, lambda index, at: None if 2.0 < at < 2.6 else at + PATH_S)
    assert result.delays[-60] < 0.060
    assert share_at(part(result.sound, 2.8, 5.9), HZ) > 0.98


def test_foreign_payload_types_and_empty_payloads_are_counted_and_dropped() -> None:
    playout = Playout({OPUS.payload_type: OPUS})
    playout.push(70_000, 0, 99, b"abc", 0.0)
    playout.push(70_001, 0, OPUS.payload_type, b"", 0.0)
    assert playout.damaged == 2
    assert not playout.next_frame(0.1).any()


def test_waiting_packets_are_bounded() -> None:
    playout = Playout({PCMU.payload_type: PCMU})
    for index in range(5_000):
        playout.push(70_000 + index, index * 160, 0, bytes(160), 0.0)
    assert len(playout._waiting) <= 100


def test_any_order_of_packets_gives_frames_of_20_ms() -> None:
    rng = random.Random(11)
    playout = Playout({PCMU.payload_type: PCMU, OPUS.payload_type: OPUS})
    payload = make_encoder(OPUS).encode(tone(HZ, 0.02))
    for tick in range(2_000):
        for _ in range(rng.randrange(3)):
            is_opus = rng.random() < 0.5
            playout.push(
                rng.randrange(65_536, 200_000),
                rng.getrandbits(32) if rng.random() < 0.2 else tick * 960,
                OPUS.payload_type if is_opus else 0,
                payload if is_opus else bytes(rng.randrange(1, 400)),
                tick * 0.02,
            )
        assert playout.next_frame(tick * 0.02).shape == (960,)


def test_a_time_line_that_jumps_back_goes_on_at_once() -> None:
    """A sender that restarts its timestamps under the same SSRC must not be silent until it has caught up."""
    playout, payload = Playout({PCMU.payload_type: PCMU}), bytes(160)
    heard = []
    for tick in range(150):
        timestamp = (tick if tick < 100 else tick - 100) * 160
        playout.push(70_000 + tick, timestamp, 0, payload, tick * 0.02)
        heard.append(bool(playout.next_frame(tick * 0.02 + 0.005).any()))
    assert heard[5:].count(False) <= 2
    assert playout.dropped <= 1


@pytest.mark.parametrize("late_s", [1.0, 2.5, 4.0])
def test_what_comes_seconds_late_is_not_played_among_what_is_newer(late_s: float) -> None:
    """After a machine stood still one way brings what is new while another one still brings what is old."""
    heard = lab_listen(
        packets(10), lambda one: [one.at + PATH_S + (late_s if 150 <= one.number - 70_000 < 160 else 0)], seconds=10
    )
    assert heard.playout.late == heard.playout.dropped == 10


def test_a_sender_that_begins_anew_with_lower_numbers_is_heard_after_a_second() -> None:
    again = [replace(one, at=one.at + 6.0, number=one.number - 600) for one in packets(9)]
    heard = lab_listen([*packets(6), *again], lambda one: [one.at + PATH_S], seconds=16)
    assert sum(kind == "decode" for kind, _ in heard.decoder.made) > 300 + 450 - 60


def test_after_a_sender_began_anew_one_straggler_does_not_begin_it_again() -> None:
    again = [replace(one, at=one.at + 6.0, number=one.number - 600) for one in packets(9)]
    straggler = again[300].number
    heard = lab_listen(
        [*packets(6), *again], lambda one: [one.at + PATH_S + (2.4 if one.number == straggler else 0)], seconds=16
    )
    usual = lab_listen(
        [*packets(6), *again], lambda one: [one.at + PATH_S] if one.number != straggler else [], seconds=16
    )
    assert heard.playout.late == usual.playout.late + 1
    assert heard.decoder.made == usual.decoder.made


def test_the_first_packet_is_played_at_once() -> None:
    playout = Playout({PCMU.payload_type: PCMU})
    playout.push(70_000, 0, 0, bytes(160), 10.0)
    assert playout.next_frame(10.004).any()
    assert playout.first_decoded_at == 10.004


@pytest.mark.parametrize("jump", [30 * 8_000, -30 * 8_000])
def test_one_packet_with_a_wild_timestamp_breaks_little(jump: int) -> None:
    playout, heard = Playout({PCMU.payload_type: PCMU}), []
    for tick in range(200):
        timestamp = 10_000_000 + tick * 160 + (jump if tick == 100 else 0)
        playout.push(70_000 + tick, timestamp, 0, bytes(160), tick * 0.02)
        heard.append(bool(playout.next_frame(tick * 0.02 + 0.005).any()))
    assert heard[5:].count(False) <= 8
    assert playout.delay_s is not None
    assert playout.delay_s < 0.1


def test_a_time_line_that_jumps_forward_goes_on_at_once() -> None:
    playout, heard = Playout({PCMU.payload_type: PCMU}), []
    for tick in range(300):
        playout.push(70_000 + tick, tick * 160 + (800_000 if tick >= 100 else 0), 0, bytes(160), tick * 0.02)
        heard.append(bool(playout.next_frame(tick * 0.02 + 0.005).any()))
    assert heard[5:].count(False) <= 4
    assert playout.dropped <= 4


def test_a_payload_type_that_gets_another_meaning_is_decoded_by_it() -> None:
    """A new offer may give a number to another codec; its old decoder would make noise of it."""
    codecs = {96: replace(OPUS, payload_type=96)}
    playout = Playout(codecs)
    silence = make_encoder(OPUS).encode(np.zeros(960, np.int16))
    for number in range(10):
        playout.push(70_000 + number, number * 960, 96, silence, number * 0.02)
        playout.next_frame(number * 0.02)
    codecs[96] = replace(PCMU, payload_type=96)
    encoder, sound = make_encoder(PCMU), tone(HZ, 1.0, 0.3)
    heard = []
    for number in range(10, 60):
        payload = encoder.encode(sound[(number - 10) * 960 : (number - 9) * 960])
        playout.push(70_000 + number, number * 160, 96, payload, number * 0.02)
        heard.append(playout.next_frame(number * 0.02))
    assert share_at(np.concatenate(heard[25:]), HZ) > 0.95


@pytest.mark.parametrize("pause_s", [0.1, 0.22, 0.3, 0.5, 0.9])
@pytest.mark.parametrize("codec", [OPUS, PCMU], ids=lambda codec: codec.name)
def test_a_sender_that_pauses_is_heard_again_at_once(codec: CodecPlan, pause_s: float) -> None:
    """A hold: sequence numbers go on where they were, timestamps with the clock."""
    result = listen(4, steady, codec, silent=lambda at: 1.0 <= at < 1.0 + pause_s)
    assert share_at(part(result.sound, 1.2 + pause_s, 3.9), HZ) > 0.97
    assert gaps_ms(part(result.sound, 1.15 + pause_s, 3.9), -30, 5) == []
    assert result.playout.dropped == 0
    assert result.delays[-60] < 0.050


def test_sound_that_waits_for_its_picture_is_later_by_that_and_whole() -> None:
    result = listen(4, steady, held_back_s=0.060)
    assert 0.060 < result.delays[-60] < 0.100
    assert gaps_ms(part(result.sound, 0.3, 3.9), -30, 5) == []
    assert share_at(part(result.sound, 0.3, 3.9), HZ, 40) > 0.97


def test_speech_comes_through_ten_percent_of_loss() -> None:
    """Most of it comes back from redundancy: the score is that of decoding in order with all of it at hand."""
    speech = np.concatenate((np.zeros(48_000, np.int16), recorded_speech()[0][: 48_000 * 6]))
    rng, encoder = random.Random(2), make_encoder(OPUS)
    encoder.adapt(AudioChoice(loss_percent=10))
    playout, heard = Playout({OPUS.payload_type: OPUS}), []
    for index in range(len(speech) // 960):
        payload = encoder.encode(speech[index * 960 : index * 960 + 960])
        if rng.random() >= 0.1:
            playout.push(70_000 + index, index * 960, OPUS.payload_type, payload, index * 0.02)
        heard.append(playout.next_frame(index * 0.02 + 0.004))
    assert speech_score(speech, np.concatenate(heard)) > 3.0
    assert max(length for _, length in gaps_ms(np.concatenate(heard)[48_000:], -60, 5)) <= 60
