"""Who gets what of an estimate."""

from __future__ import annotations

import pytest

from app.media.allocation import ENOUGH_S, SHORT_S, Allocator, Asker, BitrateWish

SOUND = Asker("0", True, BitrateWish(24_000, 64_000))
PICTURE = Asker("1", False, BitrateWish(90_000, 1_000_000))


def held(allocator: Allocator, estimate: float, since: float, seconds: float) -> dict[str, int]:
    """What is given while an estimate stays for a while."""
    shares: dict[str, int] = {}
    for step in range(round(seconds * 20) + 1):
        shares = allocator.share([SOUND, PICTURE], estimate, since + step * 0.05)
    return shares


@pytest.mark.parametrize(
    ("estimate", "sound", "picture"),
    [
        (5_000_000, 64_000, 1_000_000),
        (300_000, 64_000, 236_000),
        (130_000, 40_000, 90_000),
        (114_000, 24_000, 90_000),
    ],
)
def test_sound_has_all_it_wants_once_pictures_have_their_least(estimate: int, sound: int, picture: int) -> None:
    assert held(Allocator(), estimate, 0.0, 1.0) == {"0": sound, "1": picture}


@pytest.mark.parametrize(
    ("estimate", "sound"), [(300_000, 64_000), (650_000, 64_000), (1_000_000, 106_000), (5_000_000, 150_000)]
)
def test_a_finer_voice_takes_little_of_what_pictures_have_in_plenty(estimate: int, sound: int) -> None:
    fine = Asker("0", True, BitrateWish(24_000, 150_000, enough_bps=64_000))
    assert Allocator().share([fine, PICTURE], estimate, 0.0)["0"] == sound
    assert Allocator().share([fine], estimate, 0.0)["0"] == 150_000


def test_pictures_pause_where_both_do_not_fit_and_at_once_where_it_is_far_too_little() -> None:
    allocator = Allocator()
    assert held(allocator, 100_000, 0.0, SHORT_S / 2)["1"] > 0
    assert held(allocator, 100_000, SHORT_S / 2, SHORT_S) == {"0": 64_000, "1": 0}
    assert allocator.paused == {"1"}
    assert held(Allocator(), 40_000, 0.0, 0.0) == {"0": 40_000, "1": 0}


def test_sound_keeps_its_least_whatever_happens() -> None:
    assert held(Allocator(), 5_000, 0.0, 1.0) == {"0": 24_000, "1": 0}


def test_pictures_come_back_only_when_there_is_clearly_enough_for_a_while() -> None:
    allocator = Allocator()
    held(allocator, 40_000, 0.0, 1.0)
    assert held(allocator, 120_000, 2.0, 5.0)["1"] == 0
    assert held(allocator, 200_000, 8.0, ENOUGH_S / 2)["1"] == 0
    held(allocator, 40_000, 9.0, 0.1)  # it did not last
    assert held(allocator, 200_000, 10.0, ENOUGH_S / 2)["1"] == 0
    assert held(allocator, 200_000, 11.0, ENOUGH_S)["1"] > 0


def test_pictures_that_had_to_go_again_soon_wait_longer_each_time() -> None:
    allocator = Allocator()
    now, pauses = 0.0, []
    for _ in range(4):
        held(allocator, 40_000, now, 0.1)
        began = now
        while not allocator.share([SOUND, PICTURE], 200_000, now)["1"]:
            now += 0.05
        pauses.append(now - began)
        now += 2.0
    assert pauses[0] < pauses[1] < pauses[2] <= pauses[3]
    now += 100.0
    held(allocator, 40_000, now, 0.1)
    assert held(allocator, 200_000, now, pauses[0] + 0.1)["1"] > 0


def test_a_voice_call_has_nothing_to_pause() -> None:
    allocator = Allocator()
    assert allocator.share([SOUND], 10_000, 0.0) == {"0": 24_000}
    assert allocator.paused == frozenset()


def test_what_a_peer_does_not_want_is_not_sent() -> None:
    limited = Asker("1", False, PICTURE.wish, 200_000)
    assert Allocator().share([SOUND, limited], 5_000_000, 0.0) == {"0": 64_000, "1": 200_000}
