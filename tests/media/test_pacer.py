"""The pacer: what leaves first, how it is spread, and what is thrown away."""

from __future__ import annotations

import pytest

from app.media.pacer import BATCH_S, EASY_BATCH_S, MOST_WAIT_S, Cluster, Outgoing, Pacer, Urgency
from app.media.rtp import build_rtp
from app.media.sending import RtpSender

SENDER, OTHER = RtpSender(90_000), RtpSender(48_000)


def packet(urgency: Urgency, size: int = 1_000, sender: RtpSender = SENDER) -> Outgoing:
    data = build_rtp(96, False, 1, 2, 3, bytes(size - 12))
    return Outgoing(data, sender, urgency, lambda size, now: None)


def none(size: int) -> list[Outgoing]:
    return []


def take(pacer: Pacer, now: float, room: float = 1e9) -> list[Urgency]:
    return [each.urgency for each in pacer.take(now, room, none)]


def test_sound_leaves_at_once_and_repetitions_before_pictures() -> None:
    pacer = Pacer(8_000_000)
    pacer.put([packet(Urgency.PICTURE), packet(Urgency.REPEAT), packet(Urgency.SOUND)], 0.0)
    assert take(pacer, 0.0) == [Urgency.SOUND, Urgency.REPEAT, Urgency.PICTURE]


def test_a_picture_is_spread_over_time_at_the_rate() -> None:
    pacer = Pacer(1_600_000)  # 200 bytes a millisecond
    pacer.put([packet(Urgency.PICTURE) for _ in range(40)], 0.0)
    left, now = [], 0.0
    while pacer.queued_bytes:
        now = pacer.next_at(now) or now
        left.append((now, len(pacer.take(now, 1e9, none))))
        now += BATCH_S
    assert max(count for _, count in left) <= 3
    assert 0.18 < now < 0.21


def test_a_timer_is_only_needed_while_something_waits() -> None:
    pacer = Pacer(1_000_000)
    assert pacer.next_at(0.0) is None
    pacer.put([packet(Urgency.PICTURE) for _ in range(3)], 0.0)
    take(pacer, 0.0)
    due = pacer.next_at(0.0)
    assert due is not None
    assert due > 0
    for now in (1.0, 2.0):
        take(pacer, now)
    assert pacer.next_at(2.0) is None


def test_pictures_wait_where_there_is_no_room_on_the_path_and_sound_does_not() -> None:
    pacer = Pacer(8_000_000)
    pacer.put([packet(Urgency.PICTURE), packet(Urgency.SOUND)], 0.0)
    assert take(pacer, 0.0, room=0) == [Urgency.SOUND]
    assert take(pacer, 0.1, room=1) == [Urgency.PICTURE]


def test_old_pictures_go_all_together_and_whose_they_were_is_told() -> None:
    pacer = Pacer(100_000)
    pacer.put([packet(Urgency.PICTURE)], 0.0)
    pacer.put([packet(Urgency.PICTURE), packet(Urgency.REPEAT)], 0.3)
    assert pacer.drop_old(MOST_WAIT_S) == set()
    assert pacer.drop_old(MOST_WAIT_S + 0.01) == {SENDER}
    assert pacer.queued_bytes == 1_000  # the repetition is not that old
    assert pacer.waits_s(1.0) == 0
    pacer.drop_old(1.0)
    assert pacer.queued_bytes == 0


def test_a_flood_is_bounded() -> None:
    pacer = Pacer(1_000)
    pacer.put([packet(Urgency.PICTURE, 100) for _ in range(5_000)], 0.0)
    assert pacer.queued_bytes == 2_000 * 100


def test_a_probe_takes_what_waits_and_fills_up_with_padding_at_its_own_rate() -> None:
    pacer = Pacer(100_000)
    pacer.put([packet(Urgency.PICTURE)], 0.0)
    pacer.cluster = Cluster(7, 1_600_000, 4_000, 500)
    taken: list[tuple[float, Outgoing]] = []
    now = 0.0
    while pacer.cluster is not None:
        taken += [(now, each) for each in pacer.take(now, 0, lambda size: [packet(Urgency.PADDING, size, OTHER)])]
        now += 0.001
    assert [each.probe for _, each in taken] == [7] * 7
    assert [each.urgency for _, each in taken] == [Urgency.PICTURE] + [Urgency.PADDING] * 6
    assert 0.010 < taken[-1][0] < 0.025


def test_a_probe_without_anything_to_send_ends() -> None:
    pacer = Pacer(100_000)
    pacer.cluster = Cluster(1, 1_000_000, 4_000)
    assert pacer.take(0.0, 1e9, none) == []
    assert pacer.cluster is None


def test_a_probe_has_enough_packets_to_be_judged_by_although_large_ones_wait() -> None:
    pacer = Pacer(100_000)
    pacer.put([packet(Urgency.PICTURE, 1_200)] * 3, 0.0)
    pacer.cluster = Cluster(7, 100_000_000, 3_000, 200, packets_left=5)
    taken = pacer.take(0.0, 1e9, lambda size: [packet(Urgency.PADDING, size, OTHER)])
    assert [each.urgency for each in taken] == [Urgency.PICTURE] * 3 + [Urgency.PADDING] * 2
    assert pacer.cluster is None


def test_a_picture_of_the_usual_size_is_spread_and_a_large_one_leaves_faster() -> None:
    def seconds(count: int) -> float:
        pacer, now = Pacer(8_000_000), 0.0
        pacer.usual_bps = 1_600_000
        pacer.put([packet(Urgency.PICTURE) for _ in range(count)], 0.0)
        while pacer.queued_bytes:
            now = pacer.next_at(now) or now
            pacer.take(now, 1e9, none)
            now += BATCH_S
        return now

    assert 0.01 < seconds(4) < 0.035
    assert seconds(40) < 0.12  # 200 ms at the usual rate


def test_where_the_path_carries_far_more_a_picture_leaves_in_few_steps_and_no_faster() -> None:
    def steps(batch_s: float) -> tuple[int, float]:
        pacer, now, count = Pacer(3_200_000), 0.0, 0
        pacer.usual_bps, pacer.batch_s = 1_600_000, batch_s
        pacer.put([packet(Urgency.PICTURE) for _ in range(5)], 0.0)
        while pacer.queued_bytes:
            now = pacer.next_at(now) or now
            count += bool(pacer.take(now, 1e9, none))
            now += 0.005  # the timer's step
        return count, now

    usual, easy = steps(BATCH_S), steps(EASY_BATCH_S)
    assert easy[0] <= 3 < usual[0]
    assert easy[1] > usual[1] - EASY_BATCH_S


@pytest.mark.parametrize("step_s", [0.010, 0.022])
def test_a_picture_leaves_at_its_rate_also_where_moments_of_sending_are_far_apart(step_s: float) -> None:
    pacer, now = Pacer(3_200_000), 0.0
    pacer.usual_bps, pacer.batch_s = 1_600_000, EASY_BATCH_S
    pacer.put([packet(Urgency.PICTURE) for _ in range(12)], 0.0)
    size = len(packet(Urgency.PICTURE).data)
    while pacer.queued_bytes:
        pacer.take(now, 1e9, none, step_s)
        now += step_s
    assert now <= 12 * size * 8 / 1_600_000 + step_s
