"""Estimates without transport-wide feedback: by receiver reports, and at the receiver for REMB."""

from __future__ import annotations

import random

import pytest

from app.media.allocation import SOUND_BPS
from app.media.receive_side import (
    CALM_PAUSE_S,
    HURRIED_S,
    LEAST_PAUSE_S,
    MOST_PAUSE_S,
    NO_LIMIT_BPS,
    REQUEST_S,
    REQUEST_TRIES,
    Feedback,
    Lateness,
    LimitPart,
    ReceiveEstimator,
    RembPart,
)
from app.media.report_estimate import REMB_HOLDS_S, START_BPS, ReportEstimator


def reports(estimator: ReportEstimator, since: int, count: int, loss: float, rtt_s: float | None = 0.05) -> float:
    for step in range(count):
        estimator.report(loss, rtt_s, float(since + step), app_limited=False)
    return estimator.rate_bps


def test_it_rises_fast_until_the_first_trouble_and_slowly_after() -> None:
    estimator = ReportEstimator()
    assert reports(estimator, 0, 4, 0.0) > 4 * START_BPS
    fallen = reports(estimator, 4, 1, 0.3)
    assert fallen < 4.5 * START_BPS
    assert reports(estimator, 5, 3, 0.0) < fallen * 1.3


def test_a_round_trip_that_grows_lowers_it_before_anything_is_lost() -> None:
    estimator = ReportEstimator()
    before = reports(estimator, 0, 3, 0.0)
    assert reports(estimator, 3, 6, 0.0, rtt_s=0.4) < before * 0.6
    assert estimator.queue_s == pytest.approx(0.35)


def test_little_loss_is_borne_and_what_is_not_used_is_not_grown() -> None:
    estimator = ReportEstimator()
    assert reports(estimator, 0, 5, 0.05) == START_BPS
    for step in range(5):
        estimator.report(0.0, 0.05, 10.0 + step, app_limited=True)
    assert estimator.rate_bps == START_BPS


def test_loss_without_a_queue_leaves_sound_what_it_needs_to_repair_it() -> None:
    estimator = ReportEstimator()
    assert reports(estimator, 0, 60, 0.2) >= SOUND_BPS
    assert reports(estimator, 60, 10, 0.2, rtt_s=0.4) < SOUND_BPS / 2


def test_several_reports_of_one_compound_raise_it_once() -> None:
    estimator = ReportEstimator()
    for _ in range(3):
        estimator.report(0.0, None, 1.0, app_limited=False)
    assert estimator.rate_bps == START_BPS * 1.5


def test_remb_is_a_ceiling_while_it_is_fresh() -> None:
    estimator = ReportEstimator()
    estimator.remb(200_000, 0.0)
    assert estimator.rate_bps == 200_000
    assert estimator.has_remb
    reports(estimator, int(REMB_HOLDS_S) + 1, 1, 0.0)
    assert estimator.rate_bps > START_BPS


def heard(estimator: ReceiveEstimator, rate_bps: float, wire_bps: float, since: float, seconds: float) -> float:
    """Pictures of some packets each, 30 a second, over a wire; gives when the last packet came."""
    dice, free_at = random.Random(1), since
    size = rate_bps / 8 / 30
    for number in range(round(seconds * 30)):
        sent = since + number / 30
        for _ in range(max(1, round(size / 1_100))):
            free_at = max(free_at, sent) + 1_100 * 8 / wire_bps
            at = free_at + dice.uniform(0, 0.002)
            estimator.arrived(7, int(sent * 90_000) & 0xFFFF_FFFF, 90_000, 1_050, at)
    return free_at


def test_a_receiver_sees_a_queue_grow_and_says_less_than_comes_in() -> None:
    estimator = ReceiveEstimator()
    end = heard(estimator, 1_000_000, 5_000_000, 0.0, 4.0)
    wide = estimator.bps
    assert wide is not None
    assert wide > 1_200_000
    heard(estimator, 1_000_000, 600_000, end, 4.0)
    assert estimator.bps is not None
    assert estimator.bps < 600_000


def test_a_receiver_of_little_knows_little() -> None:
    estimator = ReceiveEstimator()
    assert estimator.bps is None
    estimator.arrived(1, 0, 90_000, 100, 0.0)
    assert estimator.bps is None


def test_remb_is_sent_once_a_second_at_once_when_it_falls_and_for_less_that_is_wanted() -> None:
    part = RembPart()
    assert part.take(1, (2,), None, 5.0) is None
    first = part.take(1, (2,), 500_000, 5.0)
    assert first is not None
    assert first.bitrate_bps == 500_000
    assert part.take(1, (2,), 500_000, 5.5) is None
    fallen = part.take(1, (2,), 200_000, 5.6)
    assert fallen is not None
    assert fallen.bitrate_bps == 200_000
    assert part.take(1, (2,), 200_000, 6.7) is not None


def test_a_remb_that_is_wanted_no_more_is_lifted_and_not_for_ever() -> None:
    part = RembPart()
    part.take(1, (2,), 200_000, 5.0)
    assert part.take(1, (2,), None, 5.5) is None
    lifted = [told for step in range(20) if (told := part.take(1, (2,), None, 6.1 + step)) is not None]
    assert [told.bitrate_bps for told in lifted] == [NO_LIMIT_BPS] * REQUEST_TRIES
    again = part.take(1, (2,), 300_000, 40.0)
    assert again is not None
    assert again.bitrate_bps == 300_000


def test_a_limit_is_asked_for_until_it_is_heard_and_not_for_ever() -> None:
    part = LimitPart()
    assert part.take(1, 2, None, 10.0) is None
    request = part.take(1, 2, 300_000, 10.0)
    assert request is not None
    assert [(limit.ssrc, limit.bitrate_bps) for limit in request.limits] == [(2, 300_000)]
    assert part.take(1, 2, 300_000, 10.1) is None
    assert part.take(1, 2, 300_000, 10.1 + REQUEST_S) is not None
    part.noticed()
    assert part.take(1, 2, 300_000, 20.0) is None
    lifted = part.take(1, 2, None, 30.0)
    assert lifted is not None
    assert lifted.limits[0].bitrate_bps == NO_LIMIT_BPS
    asked = sum(part.take(1, 2, 100_000, 40.0 + step) is not None for step in range(20))
    assert asked == REQUEST_TRIES


@pytest.mark.parametrize(("rate_bps", "pause"), [(4_000_000, CALM_PAUSE_S), (300_000, 0.066), (20_000, MOST_PAUSE_S)])
def test_feedback_is_told_often_where_much_comes_in(rate_bps: float, pause: float) -> None:
    feedback = Feedback()
    assert feedback.due_at(0.0) is None
    told: list[float] = []
    step = 1_000 * 8 / rate_bps
    for number in range(round(4 / step)):
        now = 100 + number * step
        feedback.arrived(number & 0xFFFF, 9, 1_000 - 42, now)
        due = feedback.due_at(now)
        assert due is not None
        if due <= now:
            told.append(now)
            assert {each.media_ssrc for each in feedback.take(1, now)} == {9}
    mean = (told[-1] - told[2]) / (len(told) - 3)
    assert pause * 0.9 - step < mean < pause * 1.3 + step


def test_feedback_of_a_calm_call_goes_by_its_pictures_and_hurries_where_something_is_late() -> None:
    """Five packets of a picture in 15 ms each 33 ms, with another one's between them: told of at the first of each."""
    feedback, begins = Feedback(), []
    for number in range(600):
        now = 100 + number // 5 * 0.033 + number % 5 * 0.003
        if feedback.arrived(number, 9, 1_000, now, picture=number // 5 * 3_000):
            begins.append(number)
        due = feedback.due_at(now)
        if due is not None and due <= now:
            feedback.take(1, now)
    assert begins == list(range(0, 600, 5))
    assert feedback.told_at == pytest.approx(100 + 119 * 0.033)
    feedback.arrived(600, 9, 1_000, feedback.told_at + 0.015)
    calm = feedback.due_at(feedback.told_at + 0.015)
    assert calm == pytest.approx(feedback.told_at + CALM_PAUSE_S)
    assert feedback.arrived(601, 9, 1_000, feedback.told_at + 0.018, is_late=True)
    assert feedback.due_at(feedback.told_at + 0.018) == pytest.approx(feedback.told_at + LEAST_PAUSE_S)


def test_a_packet_that_comes_late_hurries_feedback_unless_all_of_them_do() -> None:
    lateness = Lateness()

    def late(first: int, count: int, by_s: float) -> int:
        return sum(
            lateness.arrived(9, number * 960, 48_000, 50 + number * 0.02 + by_s)
            for number in range(first, first + count)
        )

    assert late(0, 100, 0.02) == 0
    assert late(100, 1, 0.08) == 1
    assert late(101, 400, 0.02) == 0
    assert 0 < late(501, 400, 0.08) < 40
    assert late(901, 1, 0.3) == 1


def test_hurried_feedback_comes_sooner_and_not_for_long() -> None:
    feedback = Feedback()
    for number in range(100):
        feedback.arrived(number, 9, 700, 100 + number * 0.02)
    feedback.take(1, 102.0)
    feedback.arrived(100, 9, 700, 102.01)
    usual = feedback.due_at(102.01)
    feedback.arrived(101, 9, 700, 102.02, is_late=True)
    hurried = feedback.due_at(102.02)
    assert usual is not None
    assert hurried is not None
    assert hurried - 102 < (usual - 102) / 2
    later = feedback.due_at(102.02 + HURRIED_S + 0.01)
    assert later is not None
    assert later > usual - 0.01


def test_what_came_through_is_kept_to_while_a_queue_is_worked_off() -> None:
    estimator = ReportEstimator()
    for step, rtt_s in enumerate([0.04, 0.04, 2.0, 2.0]):
        estimator.report(0.0, rtt_s, float(step), app_limited=False, sent_bps=900_000)
    assert estimator.rate_bps < 200_000  # of 300, so that the queue gets shorter
    estimator.report(0.0, 0.05, 5.0, app_limited=False, sent_bps=100_000)
    assert 100_000 < estimator.rate_bps < 300_000


def test_it_rises_by_the_time_that_passed_however_seldom_reports_come() -> None:
    rates = []
    for every in (1, 5):
        estimator = ReportEstimator()
        reports(estimator, 0, 1, 0.3)
        for at in range(every, 21, every):
            estimator.report(0.0, 0.05, float(at), app_limited=False)
        rates.append(estimator.rate_bps)
    assert rates[1] == pytest.approx(rates[0], rel=0.5)
