"""Sounds added up: no wrap, no click, whatever joins, leaves, or changes its volume."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.media.mixer import CEILING, Limiter, Volume
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
