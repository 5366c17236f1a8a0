"""What of this desktop can be shown to others: its screens and windows, and how FFmpeg is asked for one.

Each system has its own module behind `Desktop`: X11 (x11grab), Windows (gdigrab), macOS (avfoundation, screens only);
all of it lies in the av package. Wayland gives pictures of the desktop to nobody but through its portal and PipeWire,
which no library here speaks: that is said, and nothing is shown in its place. Everything blocks: for worker threads.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import av
import numpy as np
from av.video.reformatter import VideoReformatter

from app.events import ShareChoice
from app.frames import VideoPicture

logger = logging.getLogger(__name__)

MOST_WIDTH, MOST_HEIGHT = 1920, 1080
_THUMBNAIL_WIDTH, _THUMBNAIL_HEIGHT = 256, 160
_MOST_THUMBNAILS = 24
_AT_ONCE_FPS = 500  # FFmpeg waits for the time of a picture before it gives the first

WAYLAND = (
    "This desktop runs on Wayland, where Parley cannot take the picture of a screen or a window: "
    "log in with an X11 (Xorg) session to share."
)


class NotShared(Exception):
    """A screen or window that cannot be shown, or no longer; the text is one sentence for a person."""


@dataclass(frozen=True, slots=True)
class Grab:
    """How FFmpeg is asked for it, as it lies now; another one as soon as it moved or changed its size."""

    format: str
    url: str
    options: tuple[tuple[str, str], ...]

    def open(self, fps: float) -> av.container.InputContainer:
        """Begin to capture; OSError where that fails."""
        # Without a limit FFmpeg looks at a second of pictures first, and gives them, old by then, afterwards.
        at_once = {"probesize": "32", "analyzeduration": "0", "framerate": f"{fps:g}"}
        return av.open(self.url, format=self.format, options=dict(self.options) | at_once)


class Target(Protocol):
    """One screen or window."""

    @property
    def name(self) -> str:
        """What it is, for a person: "screen HDMI-1", "window Notes"."""

    def look(self) -> Grab | None:
        """Say how to capture it now; None while there is nothing to see of it. NotShared when it is gone."""

    def close(self) -> None:
        """Let go of what looking needs."""


class Desktop(Protocol):
    """The desktop of one kind of system."""

    def choices(self) -> Sequence[ShareChoice]:
        """What can be shared, screens first, without pictures. NotShared where nothing can."""

    def find(self, video_from: str) -> Target:
        """Give what "screen", "screen:NAME" or "window:TITLE-or-ID" names. NotShared where there is none."""


def desktop() -> Desktop:
    """The desktop we run on; NotShared where its pictures are not to be had."""
    if sys.platform == "win32":
        from app.media.screens_windows import WindowsDesktop

        return WindowsDesktop()
    if sys.platform == "darwin":
        from app.media.screens_mac import MacDesktop

        return MacDesktop()
    if os.environ.get("XDG_SESSION_TYPE") == "wayland" or os.environ.get("WAYLAND_DISPLAY"):
        raise NotShared(WAYLAND)
    if not os.environ.get("DISPLAY"):
        raise NotShared("There is no screen to share: Parley runs without a desktop here.")
    if "x11grab" not in av.formats_available:
        raise NotShared("This build of FFmpeg cannot take the picture of a screen (x11grab is not in it).")
    from app.media.screens_x11 import X11Desktop

    return X11Desktop(os.environ["DISPLAY"])


def share_choices(*, with_pictures: bool) -> tuple[ShareChoice, ...]:
    """What can be shared, screens first, with small pictures of what is to be seen. NotShared where nothing can."""
    here = desktop()
    choices = tuple(here.choices())
    if not with_pictures:
        return choices
    drawn = (replace(choice, picture=_thumbnail(here, choice.video_from)) for choice in choices[:_MOST_THUMBNAILS])
    return (*drawn, *choices[_MOST_THUMBNAILS:])


def inside(width: int, height: int, most_width: int, most_height: int) -> tuple[int, int]:
    """Give the largest even size of the same shape that is inside another and no larger than it is."""
    scale = min(1.0, most_width / width, most_height / height)
    return max(2, round(width * scale) & ~1), max(2, round(height * scale) & ~1)


def _thumbnail(here: Desktop, video_from: str) -> VideoPicture | None:
    try:
        target = here.find(video_from)
        try:
            grab = target.look()
            if grab is None:
                return None
            with grab.open(_AT_ONCE_FPS) as container:
                frame = next(container.decode(video=0))
                size = inside(frame.width, frame.height, _THUMBNAIL_WIDTH, _THUMBNAIL_HEIGHT)
                small = VideoReformatter().reformat(frame, *size, "bgra", interpolation="AREA")
        finally:
            target.close()
    except (NotShared, OSError, ValueError, av.FFmpegError, StopIteration) as error:
        logger.info("no small picture of %s: %s", video_from, error)
        return None
    rows = np.ascontiguousarray(small.to_ndarray(), np.uint8)
    return VideoPicture(size[0], size[1], size[0] * 4, rows.data.cast("B"), 0.0)
