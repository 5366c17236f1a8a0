"""Which size and frame rate follow from bitrate, processor and the peer's decoder, and that nothing flaps."""

from __future__ import annotations

import itertools

import pytest

from app.media.codecs import H264
from app.media.h264_profile import limits_of
from app.media.ladder import (
    REFUSED_S,
    REFUSED_SHARE,
    Ladder,
    Rung,
    Thinning,
    least_bitrate,
    most_bitrate,
    rungs,
    wanted_bitrate,
)

HD = rungs(1280, 720, 30)


def sizes(steps: list[Rung]) -> list[tuple[int, int, float]]:
    return [(rung.width, rung.height, rung.fps) for rung in steps]


def follow(ladder: Ladder, bitrate_bps: int, start: float, seconds: float) -> list[tuple[float, Rung]]:
    """Give each change while this bitrate holds."""
    changes = []
    for step in range(int(seconds * 10)):
        now = start + step / 10
        if ladder.follow(bitrate_bps, now):
            changes.append((now, ladder.rung))
    return changes


def test_pictures_get_smaller_before_they_get_slower() -> None:
    assert sizes(HD)[:4] == [(1280, 720, 30), (854, 480, 30), (640, 360, 30), (480, 270, 30)]
    assert all(better.needs_bps > worse.needs_bps for better, worse in itertools.pairwise(HD))
    assert all(rung.width % 2 == rung.height % 2 == 0 for rung in rungs(1366, 768, 30))


def test_a_screen_gets_slower_before_it_gets_smaller() -> None:
    steps = rungs(1920, 1080, 15, is_screen=True)
    assert sizes(steps)[:3] == [(1920, 1080, 15), (1920, 1080, 7.5), (1920, 1080, 5)]
    assert steps[-1].width == 960


def test_a_peers_decoder_bounds_size_and_rate() -> None:
    limits = limits_of(H264)
    assert limits is not None
    assert sizes(rungs(1920, 1080, 30, allows=limits.allow))[0] == (1280, 720, 30)
    tiny = rungs(1280, 720, 30, allows=lambda width, height, fps: width * height <= 176 * 144 and fps <= 15)
    assert len(tiny) == 1
    assert tiny[0].width * tiny[0].height <= 176 * 144


def test_it_begins_where_the_bitrate_allows() -> None:
    assert Ladder(HD, 1_500_000).rung.height == 720
    assert Ladder(HD, 600_000).rung.height == 480
    assert Ladder(HD, 10_000).rung == HD[-1]


def test_down_at_once_and_up_after_seconds() -> None:
    ladder = Ladder(HD, 2_000_000)
    ((when, rung),) = follow(ladder, 300_000, 0.0, 5.0)
    assert (when, rung.height) == (0.0, 360)
    assert ladder.limited_by == "network"
    changes = follow(ladder, 2_000_000, 10.0, 10.0)
    assert [rung.height for _, rung in changes] == [720]
    assert 13.5 < changes[0][0] < 15
    assert ladder.limited_by is None


def test_a_bound_that_is_enough_for_a_size_is_enough_to_get_there() -> None:
    """More will never come: to wait for it would be to wait for ever."""
    needs = HD[0].needs_bps
    for tries_out in (False, True):
        bounded = Ladder(HD, 300_000, most_bps=needs, tries_out=tries_out)
        follow(bounded, needs - 10, 0.0, 20.0)  # what was a rate on the wire is a few bits short
        if tries_out:
            assert bounded.trial == HD[0]
            follow(bounded, needs - 10, 20.0, 5.0)
            bounded.tried(needs - 10, 25.0, fits=True)
        assert bounded.rung == HD[0]
    for ladder in (Ladder(HD, 300_000), Ladder(HD, 300_000, most_bps=round(needs * 0.95))):
        follow(ladder, needs - 10, 0.0, 20.0)
        assert ladder.rung.height == 480


def test_while_the_path_is_being_learned_it_goes_up_soon() -> None:
    ladder = Ladder(HD, 250_000)
    assert [(when < 0.7, rung.height) for when, rung in follow(ladder, 700_000, 0.0, 2.0)] == [(True, 480)]
    assert [(when < 2.7, rung.height) for when, rung in follow(ladder, 1_600_000, 2.0, 2.0)] == [(True, 720)]
    ladder.follow(250_000, 4.0)
    assert follow(ladder, 1_600_000, 4.1, 1.5) == []  # it was learned


def test_a_bitrate_about_a_rungs_edge_changes_nothing() -> None:
    ladder = Ladder(HD, 1_000_000)
    edge = HD[0].needs_bps
    changes = 0
    for step in range(600):
        changes += ladder.follow(int(edge * (1.1 if step % 7 < 4 else 0.9)), step * 0.5)
    assert changes == 0
    ladder = Ladder(HD, 600_000)
    ladder.follow(600_000, -10.0)  # its beginning is over
    for step in range(600):
        changes += ladder.follow(int(edge * (1.3 if step % 7 < 4 else 0.9)), step * 0.5)
    assert changes == 0


def test_a_slow_processor_gets_smaller_pictures_and_a_quick_one_full_size_again() -> None:
    ladder = Ladder(HD, 3_000_000)
    now, sizes_seen = 0.0, []
    for _ in range(200):
        ladder.spent(0.040 * ladder.rung.width * ladder.rung.height / 921_600, now)
        ladder.follow(3_000_000, now)
        sizes_seen.append(ladder.rung.height)
        now += 1 / 30
    assert sizes_seen[0] == 720
    assert ladder.rung.height == 480
    assert ladder.limited_by == "cpu"
    assert ladder.is_hurried
    assert ladder.most_bps < most_bitrate(1280, 720, 30)
    for _ in range(900):
        ladder.spent(0.004, now)
        ladder.follow(3_000_000, now)
        now += 1 / 30
    assert ladder.rung.height == 720
    assert ladder.limited_by is None


def test_a_processor_that_is_busy_as_the_call_begins_makes_no_small_picture() -> None:
    ladder = Ladder(HD, 3_000_000)
    for step in range(300):
        now = step / 30
        ladder.spent(0.080 if now < 2.0 else 0.004, now)
        assert not ladder.follow(3_000_000, now)


def test_the_full_size_is_back_soon_when_the_processor_is_free_again_and_later_if_that_was_wrong() -> None:
    ladder = Ladder(HD, 3_000_000)
    waits, now, free_at = [], 5.0, 0.0
    ladder.follow(3_000_000, 0.0)
    for _ in range(5):
        while ladder.rung.height == 720:
            now, free_at = now + 1 / 30, now
            ladder.spent(0.040, now)
            ladder.follow(3_000_000, now)
        while ladder.rung.height != 720:
            now += 1 / 30
            ladder.spent(0.003, now)
            ladder.follow(3_000_000, now)
        waits.append(now - free_at)
    assert waits[0] < 8
    assert waits == sorted(waits)
    assert 10 < waits[-1] < 16


def test_a_processor_at_its_edge_does_not_flap() -> None:
    ladder = Ladder(HD, 3_000_000)
    now, changes = 0.0, 0
    for _ in range(30 * 120):
        ladder.spent(0.028 * ladder.rung.width * ladder.rung.height / 921_600, now)
        changes += ladder.follow(3_000_000, now)
        now += 1 / 30
    assert changes == 1


def test_what_sizes_need_and_are_worth() -> None:
    assert least_bitrate(1280, 720, 30) == 900_000
    assert 250_000 < least_bitrate(640, 360, 30) < 300_000
    assert most_bitrate(640, 480, 30) == pytest.approx(1_013_000, rel=0.01)


def test_a_small_view_wants_little_and_a_large_one_all_there_is() -> None:
    small, larger = wanted_bitrate(320, 180), wanted_bitrate(640, 360)
    assert small == 200_000
    assert larger is not None
    assert 500_000 < larger < 1_200_000
    assert wanted_bitrate(640, 362) == larger
    assert wanted_bitrate(1280, 720) is None


def test_pictures_are_left_out_evenly() -> None:
    for fps, every in ((30.0, 1), (15.0, 2), (10.0, 3)):
        thinning = Thinning()
        taken = [number for number in range(90) if thinning.wants(number / 30 + (number % 3) * 0.002, fps)]
        assert {later - earlier for earlier, later in itertools.pairwise(taken)} == {every}
    thinning = Thinning()
    assert sum(thinning.wants(number / 30, 20.0) for number in range(300)) == pytest.approx(200, abs=2)
    assert thinning.wants(1_000.0, 20.0)  # after a pause


def trying(bitrate_bps: int, seconds: float = 10.0) -> Ladder:
    ladder = Ladder(HD, 250_000, tries_out=True)
    follow(ladder, 250_000, -20.0, 10.0)
    follow(ladder, bitrate_bps, 0.0, seconds)
    return ladder


def test_a_larger_size_is_tried_out_before_it_is_gone_up_to() -> None:
    ladder = trying(700_000)
    small = ladder.rung.height
    assert ladder.trial is not None
    assert small < ladder.trial.height == 480
    ladder.tried(700_000, 10.0, fits=True)
    assert (ladder.rung.height, ladder.trial) == (480, None)
    ladder.follow(100_000, 11.0)
    assert ladder.rung.height < 480  # down at once


def test_what_did_not_fit_is_tried_later_or_with_more_and_a_smaller_step_meanwhile() -> None:
    ladder = trying(700_000)
    ladder.tried(700_000, 10.0, fits=False)
    ladder.follow(700_000, 10.1)
    assert ladder.trial is not None
    assert ladder.trial.height == 360
    ladder.tried(700_000, 15.0, fits=True)
    follow(ladder, 700_000, 15.0, 6.0)
    assert ladder.trial is None
    follow(ladder, 700_000, 21.0, REFUSED_S)
    assert ladder.trial is not None
    ladder.tried(700_000, 40.0, fits=False)
    follow(ladder, int(700_000 * REFUSED_SHARE) + 10, 40.0, 6.0)
    assert ladder.trial is not None
    assert ladder.trial.height == 480


def test_a_try_ends_where_the_bitrate_no_longer_allows_it() -> None:
    ladder = trying(700_000)
    ladder.follow(300_000, 10.0)
    assert ladder.trial is None
    ladder.tried(300_000, 10.1, fits=True)
    assert ladder.rung.height <= 360


def test_grainy_pictures_of_a_smaller_size_get_all_the_bits_there_are() -> None:
    ladder = Ladder(HD, 1_500_000, tries_out=False)
    assert ladder.worth_bps == most_bitrate(1280, 720, 30)
    ladder.follow(500_000, 0.0)
    small = ladder.rung
    usual = most_bitrate(small.width, small.height, small.fps)
    assert ladder.worth_bps == usual < ladder.most_bps
    for step in range(20):
        ladder.encoded(500_000, step / 30, left_out=step % 2 == 0)
    assert ladder.rung == small
    assert ladder.worth_bps == ladder.most_bps
    for step in range(60):
        ladder.encoded(500_000, 1 + step / 30, left_out=False)
    assert ladder.worth_bps == ladder.most_bps, "what helps is not taken away again"
    follow(ladder, 3_000_000, 4.0, 10.0)
    assert ladder.rung == HD[0]
    follow(ladder, 500_000, 15.0, 1.0)
    assert ladder.worth_bps == usual


def test_a_size_of_which_most_is_left_out_is_gone_down_from_and_not_up_to_again_soon() -> None:
    ladder = Ladder(HD, 600_000)
    follow(ladder, 600_000, -20.0, 10.0)
    for step in range(300):
        ladder.encoded(600_000, step / 30, left_out=step % 2 == 0)  # half of them: it is slow, and goes on
    assert ladder.rung.height == 480
    now = 10.0
    while ladder.rung.height == 480:
        now += 1 / 30
        ladder.encoded(600_000, now, left_out=True)
    assert now < 12
    assert ladder.rung.height == 360
    assert follow(ladder, 600_000, now, REFUSED_S - 1) == []
    assert [rung.height for _, rung in follow(ladder, 600_000, now + REFUSED_S - 1, 8.0)] == [480]
