"""Cutting out and repeating periods."""

from __future__ import annotations

import numpy as np
import pytest

from app.media.stretch import lengthen, shorten
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
