"""What is made of a source's packets: sound, repeats of sound, keys; and what is asked for again, and when no more."""

from __future__ import annotations

from app.media.audio_intake import MOST_ROUND_TRIP_S, AudioIntake
from app.media.codecs import OPUS
from app.media.plan import CodecPlan
from app.media.red import Block, pack
from app.media.rtp import RtpPacket

RED, KEY = CodecPlan("red", 63, 48_000, 2), CodecPlan("telephone-event", 110, 48_000)
CODECS = {codec.payload_type: codec for codec in (OPUS, RED, KEY)}
PRESSED = bytes((5, 0x0A)) + (960).to_bytes(2)
RTT_S = 0.040


def packet(number: int, payload_type: int = OPUS.payload_type, payload: bytes | None = None) -> RtpPacket:
    content = payload if payload is not None else bytes((number & 0xFF, 1))
    return RtpPacket(payload_type, False, number & 0xFFFF, number * 960, 7, content)


def repeating(number: int, *older: int) -> RtpPacket:
    blocks = [Block(OPUS.payload_type, (number - old) * 960, bytes((old & 0xFF, 1))) for old in older]
    return packet(number, RED.payload_type, pack(OPUS.payload_type, bytes((number & 0xFF, 1)), blocks))


def taken(intake: AudioIntake, *packets: RtpPacket, now: float = 0.0) -> list[tuple[int, bool]]:
    """The sequence number of each sound that came of them, and whether it had been lost."""
    units = [unit for one in packets for unit in intake.take(one, one.sequence, now)]
    return [(unit.sequence, unit.is_repaired) for unit in units if not unit.is_key]


def test_what_a_packet_repeats_is_taken_only_where_it_is_missing() -> None:
    intake = AudioIntake(CODECS, asks=True)
    assert taken(intake, packet(1000), repeating(1001, 1000), repeating(1004, 1002, 1003)) == [
        (1000, False),
        (1001, False),
        (1002, True),
        (1003, True),
        (1004, False),
    ]
    assert intake.due(0.1, RTT_S) == []


def test_what_nothing_repeats_is_asked_for_and_known_when_it_comes() -> None:
    intake = AudioIntake(CODECS, asks=True)
    taken(intake, packet(1000))
    assert not intake.has_gaps
    taken(intake, packet(1003))
    assert intake.has_gaps
    assert intake.due(0.0, RTT_S) == [1001, 1002]
    assert intake.was_asked(1001)
    assert taken(intake, packet(1001), now=RTT_S) == [(1001, True)]
    assert intake.was_asked(1001), "a second answer is no packet that came by itself either"
    assert taken(intake, packet(1001), now=RTT_S) == []
    assert intake.due(0.2, RTT_S) == [1002]


def test_an_answer_that_is_on_its_way_when_asking_ends_still_came_because_it_was_asked_for() -> None:
    intake, rtt_s = AudioIntake(CODECS, asks=True), 0.120
    taken(intake, packet(1000), packet(1002))
    assert intake.due(0.0, rtt_s) == [1001]
    for number in range(1003, 1009):  # the time in which it could be asked for again passes before the answer is here
        taken(intake, packet(number), now=(number - 1002) * 0.02)
        assert intake.due((number - 1002) * 0.02, rtt_s) == []
    assert taken(intake, packet(1001), now=rtt_s) == [(1001, True)]


def test_a_packet_that_was_only_overtaken_counts_as_late_not_as_lost() -> None:
    intake = AudioIntake(CODECS, asks=True)
    assert taken(intake, packet(1000), packet(1002), packet(1001)) == [(1000, False), (1002, False), (1001, False)]


def test_nobody_is_asked_who_does_not_answer_or_is_too_far_away() -> None:
    for asks, rtt_s in ((False, RTT_S), (True, MOST_ROUND_TRIP_S + 0.01)):
        intake = AudioIntake(CODECS, asks=asks)
        taken(intake, packet(1000), packet(1002))
        assert intake.due(0.0, rtt_s) == []


def test_what_would_come_too_late_is_not_asked_for() -> None:
    intake = AudioIntake(CODECS, asks=True)
    taken(intake, packet(1000), packet(1100))
    assert intake.due(0.0, RTT_S) == list(range(1092, 1100))
    assert intake.due(0.5, RTT_S) == []
    long_packets = AudioIntake(CODECS, asks=True)
    for number in (1000, 1001, 1010):
        content = RtpPacket(OPUS.payload_type, False, number, number * 2_880, 7, b"ab")
        long_packets.take(content, number, 0.0)
    assert long_packets.due(0.0, RTT_S) == [1008, 1009]


def test_sound_is_numbered_without_keys_even_when_a_key_comes_late() -> None:
    intake = AudioIntake(CODECS, asks=True)
    in_order = taken(intake, packet(1000), packet(1001, KEY.payload_type, PRESSED), packet(1002))
    assert [number for number, _ in in_order] == [1000, 1001]
    late = taken(intake, packet(1004), packet(1003, KEY.payload_type, PRESSED), packet(1005))
    assert [number for number, _ in late] == [1003, 1004]


def test_another_source_begins_anew() -> None:
    intake = AudioIntake(CODECS, asks=True)
    taken(intake, packet(1000), packet(1002))
    intake.reset()
    assert taken(intake, packet(10), now=1.0) == [(10, False)]
    assert intake.due(1.0, RTT_S) == []
