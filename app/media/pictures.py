"""What all picture sources share: the thread that makes pictures, the slot for the newest one, and scaling.

A source makes pictures at its own pace in a thread of its own; the reader always gets the newest and never a
backlog. Frames are yuv420p with even sizes.
"""

from __future__ import annotations

import logging
import threading
import time

import av
import numpy as np
from av.video.reformatter import VideoReformatter
from numpy.typing import NDArray

from app.media.ports import CapturedFrame

logger = logging.getLogger(__name__)

Plane = NDArray[np.uint8]

_CLOSE_TIMEOUT_S = 2.0
_BLOCK = 16
_BLACK_LUMA, _NO_CHROMA = 16, 128


def yuv_planes(picture: Plane, height: int) -> tuple[Plane, Plane, Plane]:
    """Give the planes Y, U, V of a packed yuv420p array of shape (height * 3 / 2, width) as views."""
    width = picture.shape[1]
    flat = picture.reshape(-1)
    size = width * height
    half = (height // 2, width // 2)
    return picture[:height], flat[size : size * 5 // 4].reshape(half), flat[size * 5 // 4 :].reshape(half)


def even(size: int) -> int:
    """Round down to an even size of at least 32, which every codec here can take."""
    return max(size & ~1, 32)


class Fitter:
    """Scales frames of any size and format to one size in yuv420p, with black bars where the shape differs."""

    def __init__(self, width: int, height: int) -> None:
        self.width, self.height = even(width), even(height)
        self._reformatter = VideoReformatter()

    def fit(self, frame: av.VideoFrame) -> av.VideoFrame:
        """Give the frame in the fitter's size; the frame itself where it already fits."""
        inner_width, inner_height = self.inner_size(frame.width, frame.height)
        if (inner_width, inner_height) == (frame.width, frame.height) and frame.format.name == "yuv420p":
            inner = frame
        else:
            inner = self._reformatter.reformat(frame, inner_width, inner_height, "yuv420p")
        return inner if (inner_width, inner_height) == (self.width, self.height) else self._letterboxed(inner)

    def inner_size(self, width: int, height: int) -> tuple[int, int]:
        """Give the even size that a picture of `width` x `height` takes inside; within 1 % of the shape it fills."""
        shape, own_shape = width / height, self.width / self.height
        if abs(shape / own_shape - 1) < 0.01:
            return self.width, self.height
        if shape > own_shape:
            return self.width, max(2, round(self.width / shape) & ~1)
        return max(2, round(self.height * shape) & ~1), self.height

    def _letterboxed(self, inner: av.VideoFrame) -> av.VideoFrame:
        picture = np.full((self.height * 3 // 2, self.width), _NO_CHROMA, np.uint8)
        picture[: self.height] = _BLACK_LUMA
        top, left = (self.height - inner.height) // 2 & ~1, (self.width - inner.width) // 2 & ~1
        source = np.asarray(inner.to_ndarray(), np.uint8)
        planes = zip(yuv_planes(picture, self.height), yuv_planes(source, inner.height), (1, 2, 2), strict=True)
        for plane, part, divisor in planes:
            y, x = top // divisor, left // divisor
            plane[y : y + part.shape[0], x : x + part.shape[1]] = part
        return av.VideoFrame.from_ndarray(picture, format="yuv420p")


def with_whole_blocks(frame: av.VideoFrame) -> av.VideoFrame:
    """Give a planar 8 bit picture a width of whole blocks of 16 columns; what is added at its right has no meaning.

    Turned to BGRA without scaling, libswscale leaves the last columns of a narrower block as the memory was before.
    """
    if frame.width % _BLOCK == 0:
        return frame
    wide = av.VideoFrame(frame.width + -frame.width % _BLOCK, frame.height, frame.format.name)
    wide.colorspace, wide.color_range = frame.colorspace, frame.color_range
    for there, here in zip(frame.planes, wide.planes, strict=True):
        source = np.frombuffer(memoryview(there), np.uint8).reshape(-1, there.line_size)
        target = np.frombuffer(memoryview(here), np.uint8).reshape(-1, here.line_size)
        target[: there.height, : there.width] = source[: there.height, : there.width]
    return wide


class NewestFrame:
    """A slot for the newest captured frame; a reader waits on it, a writer overwrites it."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._frame: CapturedFrame | None = None
        self._closed = False

    def put(self, frame: CapturedFrame) -> None:
        with self._changed:
            self._frame = frame
            self._changed.notify()

    def take(self, timeout_s: float) -> CapturedFrame | None:
        """Wait for a frame that nobody took yet; None when none came in time or the slot was closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._frame is not None or self._closed, timeout_s)
            frame, self._frame = self._frame, None
            return None if self._closed else frame

    def close(self) -> None:
        with self._changed:
            self._closed = True
            self._changed.notify_all()


class VideoThread:
    """A picture source that runs `_run` in its own thread; fulfils `app.media.ports.VideoSource`.

    `_run` gives frames with `_give` and returns when `_stopping` is set. `problem` may be set while it runs.
    """

    problem: str | None = None
    is_screen = False
    is_lettered = False  # whether the pictures that are given now have words to be read

    def __init__(self, description: str, fps: float) -> None:
        self.description = description
        self._interval_s = 1.0 / max(fps, 1.0)
        self._slot = NewestFrame()
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._started_at = 0.0

    def start(self) -> None:
        if self._thread is None and not self._stopping.is_set():
            self._started_at = time.monotonic()
            self._thread = threading.Thread(target=self._guarded, name=f"picture-{self.description[:20]}", daemon=True)
            self._thread.start()

    def read_frame(self, timeout_s: float) -> CapturedFrame | None:
        return self._slot.take(timeout_s)

    def close(self) -> None:
        self._stopping.set()
        self._slot.close()
        if self._thread is not None:
            self._thread.join(_CLOSE_TIMEOUT_S)

    def _run(self) -> None:
        raise NotImplementedError

    def _guarded(self) -> None:
        try:
            self._run()
        except Exception:
            logger.exception("the picture source %s stopped", self.description)
            self.problem = f"The picture from {self.description} stopped because of an error in Parley."

    def _give(self, frame: av.VideoFrame, captured_at: float) -> None:
        self._slot.put(CapturedFrame(frame, captured_at, is_lettered=self.is_lettered))

    def _pace(self, number: int) -> bool:
        """Sleep until picture `number` is due; False when the source is being closed.

        A late source skips ahead instead of running faster to catch up.
        """
        due = self._started_at + number * self._interval_s
        late = time.monotonic() - due
        if late > self._interval_s:
            self._started_at += late
            return not self._stopping.is_set()
        return not self._stopping.wait(max(0.0, -late))


class NoVideo:
    """A source without pictures; fulfils `app.media.ports.VideoSource`."""

    description = "no picture"
    is_screen = False

    def __init__(self, problem: str | None = None) -> None:
        self.problem = problem
        self._closed = threading.Event()

    def start(self) -> None:
        """There is nothing to start."""

    def read_frame(self, timeout_s: float) -> CapturedFrame | None:
        self._closed.wait(timeout_s)
        return None

    def close(self) -> None:
        self._closed.set()
