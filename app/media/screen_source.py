"""The picture of a screen or a window as a source of a call: full size, sharp, and only when something changed."""

from __future__ import annotations

import logging
import time
from typing import Any

import av
import numpy as np
from av.video.reformatter import VideoReformatter
from numpy.typing import NDArray

from app.media.pictures import VideoThread
from app.media.screens import MOST_HEIGHT, MOST_WIDTH, Grab, NotShared, Target, desktop, inside

logger = logging.getLogger(__name__)

MOST_FPS = 15.0
STILL_INTERVAL_S = 0.15  # a picture that does not change is given again: an encoder sharpens it, a late comer sees it
SHARPEN_S = 1.0  # after a change every picture is given for so long
LOOK_INTERVAL_S = 0.4  # between looks at where it is and how large
_RETRY_S = 0.2
_LEAST_SIDE = 32  # what every encoder takes
_MOST_FAILURES = 25  # in a row, of a target that is still there


class ScreenSource(VideoThread):
    """Fulfils `app.media.ports.VideoSource`. Once `problem` is set, no more pictures come.

    The pictures have the size of what is shared, scaled down into 1920x1080; it may change while it runs.
    """

    is_screen = is_lettered = True

    def __init__(self, video_from: str, fps: float) -> None:
        super().__init__("screen", min(fps, MOST_FPS))
        self._video_from = video_from
        self._reformatter = VideoReformatter()
        self._last: NDArray[np.uint8] | None = None
        self._changed_at = self._given_at = 0.0

    def _run(self) -> None:
        try:
            target = desktop().find(self._video_from)
        except NotShared as error:
            self.problem = str(error)
            logger.info("%s", error)
            return
        self.description = target.name
        try:
            self._follow(target)
        except NotShared as error:
            self.problem = str(error)
            logger.info("%s", error)
        finally:
            target.close()

    def _follow(self, target: Target) -> None:
        """Capture what is there, again and again as it changes its place or size, until it is gone."""
        failures = 0
        while not self._stopping.is_set():
            grab = target.look()
            if grab is None:
                failures = 0
                self._stopping.wait(_RETRY_S)
                continue
            try:
                with grab.open(1.0 / self._interval_s) as container:
                    if self._capture(container, target, grab):
                        failures = 0
            except (OSError, ValueError, av.FFmpegError) as error:  # of a window that just shrank, too
                logger.debug("%s: %s", target.name, error)
                failures += 1
                if failures > _MOST_FAILURES:
                    raise NotShared(f"The {target.name} cannot be captured ({str(error)[:80]}).") from error
                self._stopping.wait(_RETRY_S)

    def _capture(self, container: av.container.InputContainer, target: Target, grab: Grab) -> bool:
        """Give pictures until the target lies elsewhere; whether there was one."""
        looked_at, captured = time.monotonic(), False
        for packet in container.demux(video=0):
            if self._stopping.is_set():
                return captured
            now = time.monotonic()
            if self._is_due(packet, now):
                for frame in packet.decode():
                    assert isinstance(frame, av.VideoFrame)
                    width, height = inside(frame.width, frame.height, MOST_WIDTH, MOST_HEIGHT)
                    width, height = max(width, _LEAST_SIDE), max(height, _LEAST_SIDE)
                    self._give(self._reformatter.reformat(frame, width, height, "yuv420p"), now)
            captured = True
            if now - looked_at >= LOOK_INTERVAL_S:
                looked_at = now
                if target.look() != grab:
                    return captured
        return captured

    def _is_due(self, packet: av.Packet[Any], now: float) -> bool:
        """Whether this picture is worth converting and encoding."""
        if not packet.size:
            return False
        data = np.frombuffer(memoryview(packet), np.uint8)
        last, self._last = self._last, data
        if last is None or last.size != data.size or not np.array_equal(last, data):
            self._changed_at = now
        due = now - self._changed_at < SHARPEN_S or now - self._given_at >= STILL_INTERVAL_S
        if due:
            self._given_at = now
        return due
