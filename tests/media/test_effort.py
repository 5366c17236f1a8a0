"""How hard the VP8 encoder tries follows how coarse its pictures are."""

from __future__ import annotations

import av
import numpy as np
import pytest

from app.media import vpx
from app.media.effort import CALM_COARSE, CALM_FINE, COARSE, FINE, FIRST_PATIENCE, MOST_PATIENCE, Effort
from app.media.pattern import Pattern
from app.media.vp8 import QUICK_SPEED, SPEED, Vp8Encoder
from tests.media.test_vp8 import noisy


def pictures_until(effort: Effort, is_easy: bool, quantizer: int) -> int:
    """Show it pictures until it has changed its mind; gives how many that took."""
    for number in range(5 * MOST_PATIENCE):
        if effort.is_easy == is_easy:
            return number
        effort.follow(quantizer)
    raise AssertionError("it never changed")


def test_less_is_done_after_seconds_of_fine_pictures_and_more_soon_when_they_are_coarse() -> None:
    effort = Effort()
    assert FIRST_PATIENCE <= pictures_until(effort, True, FINE - 5) < 2 * FIRST_PATIENCE
    assert pictures_until(effort, False, COARSE + 10) < 20


def test_a_calm_picture_may_be_coarser() -> None:
    effort = Effort()
    for _ in range(2 * FIRST_PATIENCE):
        effort.follow(CALM_FINE - 5, is_calm=True)
    assert effort.is_easy
    effort.follow(CALM_FINE - 5)
    assert not effort.is_easy, "everything began to move"
    for _ in range(5 * FIRST_PATIENCE):
        effort.follow(CALM_COARSE + 5, is_calm=True)
    assert not effort.is_easy


def test_between_the_two_nothing_changes() -> None:
    effort = Effort()
    for easy in (False, True):
        assert effort.is_easy == easy
        for _ in range(MOST_PATIENCE):
            effort.follow((FINE + COARSE) // 2)
        assert effort.is_easy == easy
        pictures_until(effort, True, FINE - 5)


def test_who_was_wrong_waits_longer_until_it_was_right_for_long() -> None:
    effort = Effort()
    waits = []
    for _ in range(8):
        waits.append(pictures_until(effort, True, FINE - 5))
        pictures_until(effort, False, COARSE + 10)
    assert waits == sorted(waits)
    assert MOST_PATIENCE <= waits[-1] < MOST_PATIENCE + FIRST_PATIENCE
    pictures_until(effort, True, FINE - 5)
    for _ in range(MOST_PATIENCE):
        effort.follow(FINE - 5)
    pictures_until(effort, False, COARSE + 10)
    assert pictures_until(effort, True, FINE - 5) < 3 * FIRST_PATIENCE


@pytest.mark.parametrize("is_screen", [False, True])
def test_a_calm_picture_is_encoded_quickly_and_a_wild_one_with_care(
    monkeypatch: pytest.MonkeyPatch, is_screen: bool
) -> None:
    speeds: list[int] = []
    monkeypatch.setattr(vpx.Vpx, "set_speed", lambda self, speed: speeds.append(speed))
    encoder, calm = Vp8Encoder(300_000, 30, is_screen=is_screen), Pattern(160, 120, "Test").draw(0, 0.0)

    def encode(picture: av.VideoFrame) -> int:
        encoder.encode(picture, len(speeds) * 3_000, key=False)
        return speeds[-1]

    settled = [encode(calm) for _ in range(200)][-1]
    assert settled == (SPEED if is_screen else QUICK_SPEED)
    wild = [encode(noisy(calm, number)) for number in range(60)][-1]
    assert wild == SPEED
    encoder.hurry(True)
    assert encode(calm) == QUICK_SPEED


def test_a_speaker_before_a_wall_is_encoded_quickly_and_what_moves_everywhere_with_care(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """At a bitrate at which both are coarse, and with a camera's noise."""
    speeds: list[int] = []
    monkeypatch.setattr(vpx.Vpx, "set_speed", lambda self, speed: speeds.append(speed))
    dice = np.random.default_rng(2)
    texture = dice.integers(30, 220, (60, 80)).repeat(6, 0).repeat(6, 1)
    noise = [np.rint(dice.normal(0, 2, (180, 320))) for _ in range(10)]

    def picture(number: int, moving: int) -> av.VideoFrame:
        whole = np.full((270, 320), 128, np.uint8)
        luma = texture[:180, :320].copy()
        there = number * 17 % 120
        luma[:, :moving] = texture[there : there + 180, there : there + moving]
        whole[:180] = (luma + noise[number % 10]).clip(0, 255)
        return av.VideoFrame.from_ndarray(whole, format="yuv420p")

    encoder = Vp8Encoder(200_000, 30)
    for number in range(150):
        encoder.encode(picture(number, 24), number * 3_000, key=False)
    assert speeds[-1] == QUICK_SPEED
    for number in range(150, 200):
        encoder.encode(picture(number, 320), number * 3_000, key=False)
    assert speeds[-1] == SPEED
