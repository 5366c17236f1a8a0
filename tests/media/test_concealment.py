"""Sound in place of lost packets: no clicks, the right pitch, and an end."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from app.media.concealment import Concealer, find_pitch
from app.media.resample import Downsampler, Upsampler
from tests.heard import level_dbfs, share_at, tone


def steepest(sound: np.ndarray[tuple[int], np.dtype[np.int16]]) -> int:
    return int(np.abs(np.diff(sound.astype(np.int32))).max())


@pytest.mark.parametrize("hz", [90, 137.3, 200, 301.7])
@pytest.mark.parametrize("packets", [1, 2, 3])
def test_an_invention_joins_on_both_sides_without_a_click(hz: float, packets: int) -> None:
    sound = tone(hz, 0.3, 0.5)
    concealer = Concealer()
    parts = [concealer.heard(sound[start : start + 960]) for start in range(0, 4_800, 960)]
    parts += [concealer.conceal(960) for _ in range(packets)]
    parts.append(concealer.heard(sound[4_800 + packets * 960 :][:960]))
    assert steepest(np.concatenate(parts)) < 3 * steepest(sound)


@pytest.mark.parametrize("hz", [90, 137.3, 301.7])
def test_the_pitch_of_a_voice_is_found_and_not_a_multiple_of_it(hz: float) -> None:
    voice = sum(tone(hz * harmonic, 0.2, 0.3 / harmonic).astype(np.float32) for harmonic in range(1, 6))
    period, likeness = find_pitch(np.asarray(voice, np.float32))
    assert period == pytest.approx(48_000 / hz, abs=1.5)
    assert likeness > 0.95


def test_silence_is_continued_with_silence() -> None:
    concealer = Concealer()
    assert not concealer.conceal(960).any()
    assert not concealer.heard(np.zeros(960, np.int16)).any()


def test_parts_of_any_length_make_the_same_invention() -> None:
    sound, whole, pieces = tone(170, 0.2, 0.4), Concealer(), Concealer()
    whole.heard(sound)
    pieces.heard(sound)
    assert np.array_equal(
        whole.conceal(2_400), np.concatenate([pieces.conceal(count) for count in (7, 953, 480, 120, 840)])
    )


@pytest.mark.parametrize("ratio", [3, 6])
def test_filters_keep_the_voice_and_drop_what_the_slower_clock_cannot_carry(ratio: int) -> None:
    slow_hz = 48_000 // ratio
    for hz, passes in ((slow_hz * 0.05, True), (slow_hz * 0.42, True), (slow_hz * 0.58, False)):
        sound, down, up = tone(hz, 0.5, 0.25), Downsampler(ratio), Upsampler(ratio)
        # Frames of several lengths: the joints must not be heard.
        cuts = np.cumsum([0, *[960, 480, 1_440, 120 * ratio] * 6])
        heard = np.concatenate([up.take(down.take(sound[a:b])) for a, b in itertools.pairwise(cuts)])
        steady = heard[2_400:]
        if passes:
            assert level_dbfs(steady) == pytest.approx(level_dbfs(sound), abs=0.7)
            assert share_at(steady, hz, 60) > 0.999
        else:
            assert level_dbfs(steady) < level_dbfs(sound) - 45
