"""How much of a picture moves, and how strong its noise is."""

from __future__ import annotations

import av
import numpy as np
import pytest

from app.media.movement import Movement

STEP = 3_000  # of 1/90000 s: 30 pictures a second
_DICE = np.random.default_rng(5)
_TEXTURE = _DICE.integers(30, 220, (80, 120)).repeat(8, 0).repeat(8, 1).astype(np.float32)


def picture(number: int, noise: float, moving: int) -> av.VideoFrame:
    """320x240; so many columns of it move."""
    luma = _TEXTURE[:240, :320].copy()
    there = number * 7 % 210
    luma[:, :moving] = _TEXTURE[there : there + 240, there : there + moving]
    whole = np.full((360, 320), 128, np.uint8)
    whole[:240] = np.rint(luma + _DICE.normal(0, noise, luma.shape)).clip(0, 255)
    return av.VideoFrame.from_ndarray(whole, format="yuv420p")


def watch(movement: Movement, noise: float, moving: int, *, begin: int = 0) -> None:
    for number in range(begin, begin + 50):
        movement.see(picture(number, noise, moving), number * STEP)


@pytest.mark.parametrize("noise", [0.0, 2.0, 4.0])
def test_noise_is_told_from_what_moves(noise: float) -> None:
    movement = Movement()
    watch(movement, noise, 24)
    assert movement.is_calm
    assert movement.noise == pytest.approx(noise, abs=0.8)


@pytest.mark.parametrize("noise", [0.0, 3.0])
def test_a_picture_that_moves_everywhere_is_not_calm_until_it_stands_still(noise: float) -> None:
    movement = Movement()
    watch(movement, noise, 320)
    assert not movement.is_calm
    watch(movement, noise, 0, begin=50)
    assert movement.is_calm


def test_pictures_of_another_size_begin_anew() -> None:
    movement = Movement()
    for number in range(60):
        wide = number % 12 > 5
        movement.see(av.VideoFrame(640 if wide else 320, 360 if wide else 240, "yuv420p"), number * STEP)
        assert not movement.is_calm
    watch(movement, 0.0, 0, begin=60)
    assert movement.is_calm


@pytest.mark.parametrize(("width", "height"), [(640, 8), (8, 640), (2, 2)])
def test_a_picture_smaller_than_a_block_has_points_too(width: int, height: int) -> None:
    movement = Movement()
    for number in range(50):
        luma = np.full((height * 3 // 2, width), 60 + number % 2 * 120, np.uint8)
        movement.see(av.VideoFrame.from_ndarray(luma, format="yuv420p"), number * 31_000)
        assert not movement.is_calm
    watch(movement, 0.0, 0, begin=600)
    assert movement.is_calm


def test_a_change_of_light_is_not_noise() -> None:
    movement = Movement()
    for number in range(90):
        bright = picture(0, 0.0, 0).to_ndarray()
        bright[:240] += np.uint8(3 if number in (31, 32) else 0)
        movement.see(av.VideoFrame.from_ndarray(bright, format="yuv420p"), number * STEP)
        assert movement.noise < 0.6
