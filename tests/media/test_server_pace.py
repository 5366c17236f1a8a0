"""How much is kept queued at a sound server: one of its steps and 20 ms, more for a while after it ran dry."""

from __future__ import annotations

import math

import pytest

from app.media.server_pace import MOST_QUIET_S, QUIET_S, ServerPace
from app.media.sound_device import BLOCK_S


def played(step_s: float, seconds: float = 20.0) -> tuple[ServerPace, list[float]]:
    """Let a server take sound in steps from a queue that is filled when it has taken 20 ms; give what was queued."""
    pace = ServerPace(2 * BLOCK_S + step_s)
    queued, taken, reported, after, is_dry = 0.0, 0.0, 0.0, list[float](), True
    for step in range(round(seconds / step_s)):
        now = step * step_s
        if reported + BLOCK_S <= taken + 1e-9 or is_dry:
            reported = taken
            if is_dry:
                queued += pace.padding_s(queued)
                pace.began(now)
            while pace.is_due(queued, begins=False):
                queued += BLOCK_S
            after.append(queued)
            is_dry = False
        if queued + 1e-9 < step_s:
            is_dry = True
            pace.ran_dry(0.0, now)
            continue
        queued = max(0.0, queued - step_s)
        taken += step_s
    return pace, after


@pytest.mark.parametrize("step_s", [0.002, 0.005, 0.010, 0.020])
def test_a_server_is_given_one_step_and_a_block_and_never_runs_dry(step_s: float) -> None:
    pace, after = played(step_s)
    assert pace.underruns == 0
    assert max(after) == pytest.approx(step_s + BLOCK_S)


def test_steps_that_are_no_part_of_a_block_are_waited_out() -> None:
    pace, after = played(1024 / 48_000)
    assert pace.underruns == 0
    assert max(after) < 1024 / 48_000 + 2 * BLOCK_S


def test_more_is_kept_after_it_ran_dry_up_to_the_room_there_is() -> None:
    pace = ServerPace(0.050)
    assert pace.level_s == pytest.approx(0.030)
    for number, level_s in enumerate((0.040, 0.050, 0.050)):
        pace.ran_dry(0.0, float(number))
        assert pace.level_s == pytest.approx(level_s)
    assert pace.underruns == 3


def test_silence_and_whole_blocks_reach_the_level() -> None:
    for room_s, padding_s in ((0.050, 0.010), (0.060, 0.0), (0.0613, 0.0013)):
        pace = ServerPace(room_s)
        assert pace.padding_s(0.0) == pytest.approx(padding_s, abs=1e-6)
        blocks = round((pace.level_s - padding_s) / BLOCK_S)
        assert pace.is_due(padding_s + (blocks - 1) * BLOCK_S, begins=False)
        assert not pace.is_due(padding_s + blocks * BLOCK_S, begins=False)


def test_less_is_tried_again_later_and_much_later_where_it_was_too_little() -> None:
    pace, now, quiet = ServerPace(0.050), 0.0, QUIET_S
    pace.ran_dry(0.0, now)
    for _ in range(8):
        assert not pace.shortens(now + quiet - 1)
        assert pace.shortens(now + quiet)
        assert pace.level_s == pytest.approx(0.030)
        assert not pace.shortens(now + 10 * MOST_QUIET_S)  # there is nothing to take away
        now += quiet
        pace.ran_dry(0.0, now)
        quiet = min(MOST_QUIET_S, 2 * quiet)


def test_another_device_has_other_steps() -> None:
    pace = ServerPace(0.050)
    pace.ran_dry(0.015, 0.0)
    assert pace.level_s > 0.040
    pace.resize(0.080)  # what was learned of the one before says nothing
    assert math.isclose(pace.level_s, 0.060)
    assert not pace.shortens(10 * MOST_QUIET_S)


@pytest.mark.parametrize(("room_s", "begins_at_s"), [(0.004, 0.003), (0.015, 0.010), (0.045, 0.030), (0.045, 0.045)])
def test_a_server_that_gives_less_room_plays_all_the_same(room_s: float, begins_at_s: float) -> None:
    """It tells of no more than its room, asks again when it has taken a part of that, and begins with so much."""
    for pace in (ServerPace(room_s, begins_at_s), ServerPace(0.050)):
        pace.resize(room_s, begins_at_s)
        queued, played_s, plays, begins = 0.0, 0.0, False, True
        for step in range(5_000):
            while pace.is_due(min(queued, room_s), begins=begins):
                queued += (pace.padding_s(queued) if begins else 0.0) + BLOCK_S
                begins = False
                assert queued < room_s + 2 * BLOCK_S
            plays = plays or queued >= begins_at_s - 1e-6
            if plays:
                taken = min(queued, 0.001)
                queued, played_s = queued - taken, played_s + taken
            if plays and queued < 1e-6 and not begins:
                plays, begins, queued = False, True, 0.0
                pace.ran_dry(0.0, step * 0.001)
        assert played_s > 4.5


def test_a_server_with_longer_steps_than_it_says_is_given_more_at_once_and_for_good() -> None:
    """As PipeWire with 1024 samples: it keeps back what is less than a step, and asks for nothing meanwhile."""
    pace, step_s, queued = ServerPace(0.050), 1024 / 48_000, 0.0

    def fill(queued: float, *, begins: bool) -> float:
        queued += pace.padding_s(queued) if begins else 0.0
        while pace.is_due(queued, begins=begins):
            queued, begins = queued + BLOCK_S, False
        return queued

    for number in range(5_000):
        now = number * step_s
        queued = fill(queued, begins=number == 0)
        if queued < step_s:
            pace.ran_dry(queued, now)
            queued = fill(queued, begins=True)
        assert queued >= step_s
        queued -= step_s
        assert not pace.shortens(now)
    assert pace.underruns == 1
