"""Who else hears and sees what a call sends and plays: a recording, a still picture.

Every callable runs in the worker thread that has the sound or picture at hand and must return at once; None is nobody.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from app.media.ports import AudioFrame, CapturedFrame


@dataclass(frozen=True, slots=True)
class MediaTaps:
    """`own_…` is what this side sends, `far_…` what comes in; `mix_in` adds sound to what this side sends."""

    mix_in: Callable[[AudioFrame], AudioFrame] | None = None
    own_sound: Callable[[AudioFrame], None] | None = None
    far_sound: Callable[[AudioFrame], None] | None = None
    own_picture: Callable[[CapturedFrame], None] | None = None
    far_picture: Callable[[CapturedFrame], None] | None = None


NO_TAPS = MediaTaps()
