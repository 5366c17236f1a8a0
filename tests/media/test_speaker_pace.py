"""How much is kept queued in a speaker: late wake-ups are made room for, even ones get less delay."""

from __future__ import annotations

import random
from collections.abc import Callable

from app.media.speaker_pace import BLOCK_S, LEAST_S, START_S, SpeakerPace


def play(pace: SpeakerPace, blocks: int, late_s: Callable[[], float]) -> list[float]:
    """Let a device consume at its rate while a thread that wakes up late writes; give what was queued."""
    queued, after = BLOCK_S, []
    for _ in range(blocks):
        wait = pace.wait_s(queued)
        queued -= wait + late_s()
        pace.wrote(max(0.0, queued), ran_dry=queued < 0)
        queued = max(0.0, queued) + BLOCK_S
        after.append(queued)
    return after


def test_even_wake_ups_bring_the_delay_to_the_least() -> None:
    pace = SpeakerPace(0.040)
    play(pace, 10_000, lambda: 0.0003)
    assert LEAST_S <= pace.target_s < START_S
    assert pace.underruns == 0


def test_late_wake_ups_are_made_room_for_and_forgotten_again() -> None:
    pace, rng = SpeakerPace(0.060), random.Random(1)
    play(pace, 3_000, lambda: rng.choice([0.0] * 30 + [0.018]))
    assert pace.underruns <= 2
    grown = pace.target_s
    assert 0.028 < grown <= 0.050
    play(pace, 15_000, lambda: 0.0)
    assert pace.target_s < grown - 0.010


def test_no_more_is_asked_for_than_the_device_holds() -> None:
    pace = SpeakerPace(0.040)
    play(pace, 500, lambda: 0.2)
    assert pace.target_s == 0.040
    assert pace.underruns > 100
