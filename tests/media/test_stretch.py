"""Cutting out and repeating periods."""

from __future__ import annotations

import numpy as np
import pytest

from app.media.stretch import Continuation, lengthen, shorten
from tests.heard import share_at, tone


@pytest.mark.parametrize("hz", [150, 440, 1_200])
def test_a_tone_played_faster_or_slower_keeps_its_pitch(hz: int) -> None:
    sound = tone(hz, 2.0, 0.3)
    frames = [sound[start : start + 960] for start in range(0, len(sound), 960)]
    for change, sign in ((shorten, -1), (lengthen, 1)):
        changed = [change(frame) if index % 5 == 0 else frame for index, frame in enumerate(frames)]
        result = np.concatenate(changed)
        moved = (len(result) - len(sound)) * sign
        assert 20 * 120 <= moved <= 20 * 480
        assert share_at(result, hz, 30) > 0.97


def test_silence_can_be_stretched() -> None:
    silence = np.zeros(960, np.int16)
    assert len(shorten(silence)) < 960 < len(lengthen(silence))


def test_a_continuation_joins_without_a_click() -> None:
    sound = tone(200, 0.2, 0.5)
    continuation = Continuation()
    continuation.heard(sound[:4_800])
    whole = np.concatenate((sound[:4_800], continuation.conceal(960), continuation.heard(sound[5_760:6_720])))
    steepest = int(np.abs(np.diff(sound.astype(np.int32))).max())
    assert int(np.abs(np.diff(whole.astype(np.int32))).max()) < 4 * steepest
