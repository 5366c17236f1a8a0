"""Sounds added up: no wrap, no click, whatever joins, leaves, or changes its volume."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.media.mixer import CEILING, Limiter, Place, Volume, limited_halves, to_channels
from tests.heard import level_dbfs, share_at, tone

BLOCK = 480


def steepest(sound: np.ndarray) -> int:
    return int(np.abs(np.diff(sound.astype(np.int32))).max())


def limited(sound: np.ndarray) -> np.ndarray:
    limiter = Limiter()
    return np.concatenate([limiter.apply(sound[at : at + BLOCK]) for at in range(0, len(sound), BLOCK)])


def shaped(sound: np.ndarray, volumes: list[float]) -> np.ndarray:
    volume = Volume()
    return np.concatenate([volume.apply(sound[i * BLOCK : (i + 1) * BLOCK], v) for i, v in enumerate(volumes)])


def test_what_is_not_too_loud_is_not_touched() -> None:
    sound = tone(440, 0.5, 0.9)
    assert np.array_equal(limited(sound.astype(np.float32)), sound)
    assert np.array_equal(shaped(sound, [1.0] * 50)[BLOCK:], sound[BLOCK:])


def test_two_loud_sounds_are_turned_down_together_and_stay_clean() -> None:
    together = tone(440, 1.0, 0.9).astype(np.float32) + tone(660, 1.0, 0.9).astype(np.float32)
    heard = limited(together)
    assert np.abs(heard.astype(np.int32)).max() <= CEILING
    assert share_at(heard, 440, 30) + share_at(heard, 660, 30) > 0.98
    assert steepest(heard) < np.abs(np.diff(together)).max()


def test_after_something_loud_the_level_comes_back() -> None:
    quiet = tone(440, 2.0, 0.2).astype(np.float32)
    quiet[4_800:9_600] *= 20
    heard = limited(quiet)
    assert level_dbfs(heard[-9_600:]) == pytest.approx(level_dbfs(tone(440, 0.2, 0.2)), abs=0.1)


@given(st.lists(st.floats(-300_000, 300_000, width=32), min_size=1, max_size=40))
def test_nothing_wraps(levels: list[float]) -> None:
    limiter = Limiter()
    for level in levels:
        sound = limiter.apply(np.full(BLOCK, level, np.float32))
        assert np.abs(sound.astype(np.int32)).max() <= CEILING + 0.5
        assert not np.any(np.sign(sound) * np.sign(level) < 0)


def test_a_volume_changes_without_a_click_and_begins_softly() -> None:
    sound = tone(50, 1.0, 0.5)
    heard = shaped(sound, [1.0] * 20 + [0.0] * 20 + [0.5] * 20 + [1.0] * 40)
    assert steepest(heard) < 3 * steepest(sound)
    assert heard[0] == 0
    assert not heard[21 * BLOCK : 40 * BLOCK].any()
    assert level_dbfs(heard[42 * BLOCK : 60 * BLOCK]) == pytest.approx(level_dbfs(sound) - 6, abs=0.3)


def test_more_than_full_volume_is_limited_not_clipped() -> None:
    heard = shaped(tone(440, 1.0, 0.9), [1.5] * 100)
    assert share_at(heard[2 * BLOCK :], 440) > 0.999
    assert np.abs(heard.astype(np.int32)).max() <= CEILING


def placed(sound: np.ndarray, pans: list[float], limiter: Limiter | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Give left and right as a device with two channels plays them."""
    place, limiter = Place(), limiter or Limiter()
    heard = [
        to_channels(*limited_halves(place.shape(sound[i * BLOCK : (i + 1) * BLOCK], pan), limiter), 2)
        for i, pan in enumerate(pans)
    ]
    wide = np.concatenate(heard).reshape(-1, 2)
    return wide[:, 0], wide[:, 1]


@pytest.mark.parametrize(
    ("pan", "left", "right"), [(0.0, 1.0, 1.0), (-1.0, 1.0, 0.0), (1.0, 0.0, 1.0), (0.5, 0.5, 1.0)]
)
def test_a_sound_is_heard_where_it_was_put(pan: float, left: float, right: float) -> None:
    sound = tone(440, 0.2, 0.5)
    for heard, share in zip(placed(sound, [pan] * 20), (left, right), strict=True):
        assert np.abs(heard[BLOCK:] - share * sound[BLOCK:]).max() <= 2


def test_a_sound_moves_from_one_ear_to_the_other_without_a_click_and_back_to_the_middle() -> None:
    sound = tone(440, 0.3, 0.5)
    left, right = placed(sound, [0.0] * 5 + [-1.0] * 10 + [1.0] * 10 + [0.0] * 5)
    assert max(steepest(left), steepest(right)) < 1.1 * steepest(sound) + 40
    assert np.array_equal(left[-4 * BLOCK :], sound[-4 * BLOCK :])


def test_what_is_too_loud_is_turned_down_on_both_sides_alike() -> None:
    loud = (tone(440, 0.3, 0.9).astype(np.float32) * 2)[: 20 * BLOCK]
    wide = np.stack((loud, loud / 2), axis=1)
    middle, side = limited_halves(wide, Limiter())
    left, right = to_channels(middle, side, 2).reshape(-1, 2).T
    assert np.abs(left.astype(np.int32)).max() <= CEILING
    assert level_dbfs(left[BLOCK:]) - level_dbfs(right[BLOCK:]) == pytest.approx(6.02, abs=0.1)


def test_a_device_of_any_width_plays_the_middle_where_nothing_is_placed() -> None:
    middle, side = tone(440, 0.01), tone(700, 0.01, 0.4)
    assert np.array_equal(to_channels(middle, side, 1), middle)
    assert np.array_equal(to_channels(middle, None, 4).reshape(-1, 4).T, [middle] * 4)
    wide = to_channels(middle, side, 4).reshape(-1, 4)
    assert np.array_equal(wide[:, 0], middle + side)
    assert np.array_equal(wide[:, 1], middle - side)
    assert np.array_equal(wide[:, 2], middle)
    assert to_channels(np.array([30_000], np.int16), np.array([30_000], np.int16), 2).tolist() == [32_767, 0]
