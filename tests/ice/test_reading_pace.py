"""When datagrams are read together, by how they come."""

from __future__ import annotations

import pytest

from app.ice.reading_pace import EMPTY_READS, TOO_MANY, WINDOW_S, ReadingPace


def follow(
    pace: ReadingPace, seconds: float, *, packets: int, gap_s: float, size: int = 1_100, begin: float = 0.0
) -> float:
    """A picture of so many packets every 33 ms, each packet so long after the one before; gives the time after it."""
    now = begin
    while now < begin + seconds:
        for number in range(packets):
            pace.came(size, now + number * gap_s)
        pace.was_read(packets, now + packets * gap_s)
        now += 1 / 30
    return now


def test_pictures_over_a_wide_path_are_read_together() -> None:
    pace = ReadingPace()
    assert not pace.together
    follow(pace, 2.5 * WINDOW_S, packets=6, gap_s=0.0002)
    assert pace.together


@pytest.mark.parametrize(
    ("packets", "gap_s", "size"),
    [
        (6, 0.0047, 1_100),  # as a wire of 2 Mbit/s hands them on
        (16, 0.0018, 1_100),  # 4.2 Mbit/s over one of 5
        (6, 0.0002, 160),  # many voices
        (2, 0.0002, 1_100),  # so few that there is nothing to do together
    ],
)
def test_others_are_read_when_they_come(packets: int, gap_s: float, size: int) -> None:
    pace = ReadingPace()
    follow(pace, 3 * WINDOW_S, packets=packets, gap_s=gap_s, size=size)
    assert not pace.together


def test_a_path_that_becomes_narrow_ends_it() -> None:
    pace = ReadingPace()
    now = follow(pace, 2.5 * WINDOW_S, packets=6, gap_s=0.0002)
    assert pace.together
    follow(pace, 2.5 * WINDOW_S, packets=6, gap_s=0.0047, begin=now)
    assert not pace.together


def test_it_ends_at_once_when_nothing_comes_any_more() -> None:
    pace = ReadingPace()
    now = follow(pace, 2.5 * WINDOW_S, packets=6, gap_s=0.0002)
    for number in range(EMPTY_READS):
        assert pace.together
        pace.was_read(0, now + number * 0.010)
    assert not pace.together


def test_it_ends_at_once_when_more_comes_than_a_call_has() -> None:
    pace = ReadingPace()
    now = follow(pace, 2.5 * WINDOW_S, packets=6, gap_s=0.0002)
    pace.was_read(TOO_MANY, now)
    assert not pace.together


def test_what_came_before_a_long_silence_does_not_count() -> None:
    pace = ReadingPace()
    now = follow(pace, 0.4 * WINDOW_S, packets=12, gap_s=0.0002)
    follow(pace, 0.1, packets=12, gap_s=0.0002, begin=now + 10.0)
    assert not pace.together
