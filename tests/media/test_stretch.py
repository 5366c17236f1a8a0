"""Cutting out and repeating periods, and joining what does not follow on."""

from __future__ import annotations

import numpy as np
import pytest

from app.media.stretch import HISTORY, Sound, join, lengthen, shorten
from tests.heard import recorded_speech, share_at, speech_score, tone


def steepest(sound: Sound) -> int:
    return int(np.abs(np.diff(sound.astype(np.int32))).max())


@pytest.mark.parametrize("hz", [90, 150, 440, 1_200])
def test_a_tone_played_faster_or_slower_keeps_its_pitch_and_its_smoothness(hz: int) -> None:
    sound = tone(hz, 2.0, 0.3)
    for change, sign in ((shorten, -1), (lengthen, 1)):
        result, changed = sound[:HISTORY], 0
        for start in range(HISTORY, len(sound), 960):
            frame = sound[start : start + 960]
            if start // 960 % 5 == 0:
                # A frame that was changed before moved the wave: what was played is what there is to look back on.
                other = change(result, frame, 0.9)
                assert other is not None
                frame, changed = other, changed + (len(other) - 960) * sign
            result = np.concatenate((result, frame))
        assert 19 * 120 <= changed <= 19 * 600
        assert share_at(result, hz, 30) > 0.98
        assert steepest(result) < 1.3 * steepest(sound)


def test_speech_played_faster_and_slower_again_stays_good_speech() -> None:
    sound = recorded_speech()[0][: 48_000 * 5]
    result, owed = sound[:HISTORY], 0
    for start in range(HISTORY, len(sound) - 959, 960):
        frame = sound[start : start + 960]
        if start // 960 % 10 == 0:
            change = shorten if owed >= 0 else lengthen
            other = change(result[-HISTORY:], frame, 0.9)
            if other is not None:
                owed += len(other) - 960
                frame = other
        result = np.concatenate((result, frame))
    assert steepest(result) <= 1.05 * steepest(sound)
    assert speech_score(sound, result) > 3.0


def test_noise_is_left_alone_unless_any_seam_will_do() -> None:
    noise = np.random.default_rng(1).normal(0, 3_000, 2_000).astype(np.int16)
    before, sound = noise[:HISTORY], noise[HISTORY:][:960]
    assert shorten(before, sound, 0.85) is None
    assert lengthen(before, sound, 0.85) is None
    for changed, sign in ((shorten(before, sound, -1.0), -1), (lengthen(before, sound, -1.0), 1)):
        assert changed is not None
        assert 120 <= (len(changed) - 960) * sign <= 600


def test_no_more_is_cut_than_may_be() -> None:
    sound = tone(100, 0.1, 0.3)
    changed = shorten(sound[:HISTORY], sound[HISTORY:][:960], -1.0, 200)
    assert changed is not None
    assert 760 <= len(changed) <= 840


def test_silence_can_be_stretched() -> None:
    silence = np.zeros(HISTORY, np.int16)
    shorter, longer = shorten(silence, silence, 0.9), lengthen(silence, silence, 0.9)
    assert shorter is not None
    assert longer is not None
    assert len(shorter) < 960 < len(longer)


@pytest.mark.parametrize("shift", range(0, 480, 37))
def test_sound_that_comes_out_of_step_is_joined_without_a_click(shift: int) -> None:
    sound = tone(200, 0.2, 0.5)
    before, late = sound[:4_800], sound[4_800 + shift : 6_720]
    joined = np.concatenate((before, join(before, late)))
    assert len(joined) >= 4_800 + len(late) - 480
    assert steepest(joined) < 1.5 * steepest(sound)
    assert share_at(joined[2_400:], 200, 40) > 0.97


def test_sound_after_silence_begins_softly() -> None:
    joined = join(np.zeros(HISTORY, np.int16), np.full(960, 10_000, np.int16))
    assert joined[0] == 0
    assert joined[-1] == 10_000
    assert steepest(joined) < 100
