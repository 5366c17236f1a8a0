"""Transport-wide feedback: written, read by a second reader, and told of every packet once."""

from __future__ import annotations

import contextlib
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.media.errors import PacketError
from app.media.rtcp import BitrateNotice, BitrateRequest, Limit, parse_rtcp
from app.media.sent_packets import PacketResult, SentPackets
from app.media.twcc import TICK_S, ArrivalLog, TransportFeedback, read_feedback

DELTAS = st.lists(
    st.one_of(st.none(), st.integers(0, 255), st.integers(-32_768, 32_767), st.just(4)), min_size=1, max_size=300
)


def second_reader(packet: bytes) -> list[tuple[int, int | None]]:
    """Read a feedback by the draft's section 3.1 bit for bit: sequence numbers and ticks of arrival."""
    first, kind, words = struct.unpack_from("!BBH", packet)
    assert (first & 0x1F, kind) == (15, 205)
    assert len(packet) == 4 * words + 4
    end = len(packet) - (packet[-1] if first & 0x20 else 0)
    base, count = struct.unpack_from("!HH", packet, 12)
    bits = "".join(f"{byte:08b}" for byte in packet[20:end])
    statuses: list[int] = []
    at = 0
    while len(statuses) < count:
        chunk, at = bits[at : at + 16], at + 16
        if chunk[0] == "0":
            statuses += [int(chunk[1:3], 2)] * int(chunk[3:], 2)
        elif chunk[1] == "0":
            statuses += [int(bit) for bit in chunk[2:]]
        else:
            statuses += [int(chunk[place : place + 2], 2) for place in range(2, 16, 2)]
    time = int.from_bytes(packet[16:19], "big") * 256
    found: list[tuple[int, int | None]] = []
    for index, status in enumerate(statuses[:count]):
        number = (base + index) % 65_536
        if status == 0:
            found.append((number, None))
            continue
        width = 8 if status == 1 else 16
        value = int(bits[at : at + width], 2)
        time += value - (65_536 if width == 16 and value > 32_767 else 0)
        at += width
        found.append((number, time))
    assert at == len(bits) or set(bits[at:]) == {"0"}
    return found


@given(DELTAS, st.integers(0, 65_535), st.integers(0, 2**24 - 1))
def test_any_feedback_is_read_as_it_was_written(deltas: list[int | None], base: int, reference: int) -> None:
    feedback = TransportFeedback(1, 2, base, reference, 7, tuple(deltas))
    data = bytes(feedback)
    assert parse_rtcp(data) == [feedback]
    assert second_reader(data) == feedback.arrivals()


def test_statuses_are_packed_well() -> None:
    all_there = TransportFeedback(1, 2, 0, 0, 0, (4,) * 100)
    assert len(bytes(all_there)) == 20 + 2 + 100 + 2  # one run; padded to whole words
    mixed = TransportFeedback(1, 2, 0, 0, 0, (4, None) * 50)
    assert len(bytes(mixed)) <= 20 + 2 * 8 + 50 + 3


@given(st.binary(max_size=80))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    with contextlib.suppress(PacketError):
        read_feedback(data)


@pytest.mark.parametrize(
    "body",
    [
        bytes(12),
        bytes(8) + bytes.fromhex("0000 ffff 000000 00 7fff"),  # 65535 packets
        bytes(8) + bytes.fromhex("0000 0002 000000 00"),  # no statuses
        bytes(8) + bytes.fromhex("0000 0002 000000 00 0000"),  # a run of nothing
        bytes(8) + bytes.fromhex("0000 0002 000000 00 2002 01"),  # a time is missing
        bytes(8) + bytes.fromhex("0000 0001 000000 00 6001 0101"),  # a status that there is not
    ],
)
def test_malformed_feedback_is_refused(body: bytes) -> None:
    with pytest.raises(PacketError):
        read_feedback(body)


@given(
    st.lists(st.tuples(st.integers(0, 6), st.booleans(), st.floats(0, 0.3)), min_size=1, max_size=120),
    st.integers(0, 65_535),
)
def test_every_arrival_is_told_with_its_time_and_nothing_else(steps: list[tuple[int, bool, float]], start: int) -> None:
    log, now, number = ArrivalLog(), 1_000.0, start
    arrived: dict[int, int] = {}
    told: dict[int, int] = {}

    def tell() -> None:
        for feedback in log.take(1, 2, now):
            for sequence, time in second_reader(bytes(feedback)):
                if time is not None:
                    told[sequence] = time

    for gap, ask, wait in steps:
        number = (number + 1 + gap) & 0xFFFF
        now += wait
        log.arrived(number, now)
        arrived[number] = int(now / TICK_S)
        if ask:
            tell()
    tell()
    assert told == arrived
    assert not log.has_news
    assert log.take(1, 2, now) == []


def test_a_late_packet_is_told_with_those_around_it() -> None:
    log = ArrivalLog()
    for number in (10, 11, 13):
        log.arrived(number, 5.0)
    assert [feedback.base for feedback in log.take(1, 2, 5.0)] == [10]
    log.arrived(12, 5.1)
    log.arrived(14, 5.1)
    (feedback,) = log.take(1, 2, 5.1)
    assert feedback.base == 12
    assert [time is not None for _, time in feedback.arrivals()] == [True, True, True]


def test_a_jump_of_the_numbers_begins_anew_and_a_flood_is_bounded() -> None:
    log = ArrivalLog()
    log.arrived(1, 1.0)
    log.arrived(30_000, 1.1)
    (feedback,) = log.take(1, 2, 1.1)
    assert (feedback.base, len(feedback.deltas)) == (30_000, 1)
    for number in range(60_000):
        log.arrived(number & 0xFFFF, 2.0 + number * 0.000_1)
    feedbacks = log.take(1, 2, 9.0)
    assert sum(len(feedback.deltas) for feedback in feedbacks) <= 5_000
    assert max(len(bytes(feedback)) for feedback in feedbacks) < 1_200


def test_long_pauses_are_told_in_several_feedbacks() -> None:
    log = ArrivalLog()
    log.arrived(1, 10.0)
    log.arrived(2, 30.0)
    feedbacks = log.take(1, 2, 30.0)
    assert [feedback.base for feedback in feedbacks] == [1, 2]
    assert [feedback.count for feedback in feedbacks] == [0, 1]


def test_the_sender_matches_feedback_to_what_it_sent_and_counts_what_is_under_way() -> None:
    sent, log = SentPackets(), ArrivalLog()
    for step in range(8):
        number = sent.number(100, step * 0.01)
        if step not in (3, 7):
            log.arrived(number, 50.0 + step * 0.02)
    assert sent.in_flight_bytes == 800
    (feedback,) = log.take(1, 2, 51.0)
    results = sent.feedback(feedback, 0.2)
    assert [result.sent_at for result in results] == pytest.approx([step * 0.01 for step in range(7) if step != 3])
    times = [result.arrived_at for result in results if result.arrived_at is not None]
    assert times[1] - times[0] == pytest.approx(0.02, abs=TICK_S)
    assert sent.in_flight_bytes == 200  # the missing one, and the last one, of which nothing was said
    sent.number(100, 0.08)
    log.arrived(9, 51.1)
    (feedback,) = log.take(1, 2, 51.1)
    lost, arrived = sent.feedback(feedback, 0.3)
    assert (lost.sent_at, lost.arrived_at) == (pytest.approx(0.03), None)
    assert arrived.arrived_at is not None
    (lost,) = sent.feedback(feedback, 0.4)  # the same again: that is twice without the one before the last
    assert lost.sent_at == pytest.approx(0.07)
    assert sent.in_flight_bytes == 0


def test_what_no_feedback_speaks_of_is_no_longer_under_way_after_two_seconds() -> None:
    sent = SentPackets()
    sent.number(100, 0.0)
    sent.drop_old(1.9)
    assert sent.in_flight_bytes == 100
    sent.drop_old(2.1)
    assert sent.in_flight_bytes == 0


def test_a_packet_that_was_overtaken_is_not_lost() -> None:
    sent, log = SentPackets(), ArrivalLog()
    numbers = [sent.number(100, step * 0.01) for step in range(6)]
    results: list[PacketResult] = []
    for pair in ((0, 2), (3, 1), (5, 4)):
        for which in pair:
            log.arrived(numbers[which], 50.0 + 0.01 * which)
        for feedback in log.take(1, 2, 51.0):
            results += sent.feedback(feedback, 0.1)
    assert len(results) == 6
    assert all(result.arrived_at is not None for result in results)
    assert sent.in_flight_bytes == 0


def test_what_was_repeated_under_its_own_number_was_lost_however_late_it_is_told_to_have_come() -> None:
    sent, log = SentPackets(), ArrivalLog()
    numbers = [sent.number(100, step * 0.01) for step in range(4)]
    for which in (0, 2, 3):
        log.arrived(numbers[which], 50.0 + 0.01 * which)
    sent.repeated(numbers[1])
    log.arrived(numbers[1], 50.1)
    results = [result for feedback in log.take(1, 2, 51.0) for result in sent.feedback(feedback, 0.2)]
    assert [result.arrived_at is None for result in results] == [False, True, False, False]
    assert sent.in_flight_bytes == 0


def test_limits_are_read_as_they_were_written() -> None:
    for kind in (BitrateRequest, BitrateNotice):
        packet = kind(1, (Limit(2, 0x1_FFFF << 3, 40), Limit(3, 5_000)))
        assert parse_rtcp(bytes(packet)) == [packet]


def test_aiortc_reads_the_head_of_what_we_write() -> None:
    from aiortc import rtp

    (read,) = rtp.RtcpPacket.parse(bytes(TransportFeedback(1, 2, 3, 4, 5, (1, None, 300))))
    assert isinstance(read, rtp.RtcpRtpfbPacket)
    assert (read.fmt, read.ssrc, read.media_ssrc) == (15, 1, 2)


def test_a_sender_that_leaps_through_the_numbers_is_told_of_what_came_and_of_no_gaps() -> None:
    log = ArrivalLog()
    for number in range(300):
        log.arrived(number * 2_900 & 0xFFFF, 100.0 + number * 0.0005)
    told = log.take(1, 2, 100.2)
    assert [feedback.base for feedback in told] == [number * 2_900 & 0xFFFF for number in range(300)]
    assert {len(feedback.deltas) for feedback in told} == {1}


def test_of_a_feedback_about_thousands_the_few_that_were_sent_are_found() -> None:
    sent = SentPackets()
    numbers = [sent.number(100, 1.0) for _ in range(4)]
    assert numbers == [1, 2, 3, 4]
    deltas = (5,) + (None,) * 4_000 + (1, 2, None, 3) + (None,) * 4_000
    results = sent.feedback(TransportFeedback(1, 2, -4_000 & 0xFFFF, 1, 0, deltas), 1.1)
    assert [result.arrived_at for result in results] == [(256 + ticks) * TICK_S for ticks in (6, 8, 11)]
    assert sent.in_flight_bytes == 100
