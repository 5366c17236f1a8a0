"""Who else hears and sees what a call sends and plays: a recording, a still picture.

Every callable runs in the worker thread that has the sound or picture at hand and must return at once; None is nobody.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from app.media.ports import AudioFrame, CapturedFrame

if TYPE_CHECKING:
    from av import VideoFrame
else:
    VideoFrame = Any


@dataclass(frozen=True, slots=True)
class MediaTaps:
    """`own_…` is what this side sends, `far_…` what comes in; `mix_in` and `mark` add to what this side sends."""

    mix_in: Callable[[AudioFrame], AudioFrame] | None = None
    own_sound: Callable[[AudioFrame], None] | None = None
    far_sound: Callable[[AudioFrame], None] | None = None
    own_picture: Callable[[CapturedFrame], None] | None = None
    far_picture: Callable[[CapturedFrame], None] | None = None
    mark: Callable[[VideoFrame], VideoFrame] | None = None


NO_TAPS = MediaTaps()
