"""Random worlds: whatever dies, stands still or comes by two ways, what came is played once and little is made up."""

from __future__ import annotations

import random

import pytest

from tests.channels.world import Plan, Span, run


def spans(rng: random.Random, most: int, lasts_s: float, longest_s: float) -> tuple[Span, ...]:
    """Give up to so many, which do not touch each other."""
    found: list[Span] = []
    begins = sorted(rng.uniform(1.0, lasts_s - 2.0) for _ in range(rng.randint(0, most)))
    for begins_s in begins:
        if not found or begins_s > found[-1].ends_s + 0.3:
            found.append(Span(begins_s, begins_s + rng.uniform(0.05, longest_s)))
    return tuple(found)


def some_world(seed: int) -> Plan:
    """Give one with roll-overs, outages long enough for multicast, stalls up to a second and ways up to 0.5 s long."""
    rng = random.Random(seed)
    lasts_s, at_s = 20.0, 2.0
    talker: list[Span] = []
    listener: list[Span] = []
    for _ in range(rng.randint(1, 3)):
        at_s += rng.uniform(1.0, 5.0)
        if rng.random() < 0.6:
            for whose in rng.choice(((talker,), (listener,), (talker, listener))):
                whose.append(Span(at_s, at_s + rng.uniform(0.03, 0.9)))
        else:
            ends_s = at_s + rng.uniform(1.0, 5.0)
            talker.append(Span(at_s, ends_s))
            listener.append(Span(at_s + rng.uniform(0.0, 0.1), ends_s + rng.uniform(0.0, 2.0)))
            at_s = ends_s + 3.0
    return Plan(
        lasts_s,
        rallypoint_s=rng.choice((0.001, 0.02, 0.1, 0.3, 0.5)),
        multicast_s=rng.choice((0.0005, 0.01, 0.1)),
        jitter_s=rng.choice((0.001, 0.01, 0.03)),
        clock=1.0 + rng.uniform(-2e-4, 2e-4),
        return_s=rng.uniform(2.0, 8.0),
        stalls=spans(rng, 3, lasts_s, 1.0),
        left_out=tuple((rng.uniform(1.0, lasts_s - 1.0), rng.uniform(0.05, 1.0)) for _ in range(rng.randint(0, 2))),
        talker_outages=tuple(talker),
        listener_outages=tuple(listener),
        deaf=spans(rng, 2, lasts_s, 1.0),
        seed=seed,
    )


@pytest.mark.parametrize("seed", range(5))
def test_what_came_is_played_once_and_silence_is_no_longer_than_the_outage(seed: int) -> None:
    plan = some_world(seed)
    came = run(plan)
    numbers = [number for _, number in came.played]
    assert numbers == sorted(set(numbers))
    stood_still_s = sum(span.ends_s - span.begins_s for span in (*plan.stalls, *plan.deaf))
    # What stood still, or comes sooner by the other way, is caught up with: that much is left out.
    assert len(came.unplayed) * 0.02 < stood_still_s + 0.7
    assert came.concealed_s < came.waits_s() + 0.5
    assert came.longest_silence_s() < came.longest_wait_s() + 0.25


def test_a_sound_card_that_left_out_half_a_second_makes_nothing_else_be_made_up() -> None:
    came = run(Plan(12.0, left_out=((4.0, 0.5),)))
    assert len(came.unplayed) <= 1
    assert came.concealed_s < 0.5 + 0.3
