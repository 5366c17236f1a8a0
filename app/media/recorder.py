"""Writes received pictures into a video file, in a thread of its own behind a bounded queue.

The containers are ones that a killed program leaves readable: Matroska and WebM in short clusters, MP4 in fragments.
"""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Iterator
from fractions import Fraction
from itertools import chain
from pathlib import Path
from typing import cast

import av

from app.media.pictures import Fitter

logger = logging.getLogger(__name__)

CODEC_OF_SUFFIX = {".mkv": "libx264", ".mp4": "libx264", ".webm": "libvpx"}

_QUEUED_FRAMES = 30
_SIZE_SETTLES_S = 2.0
_HELD_PIXELS = 20_000_000  # until the size has settled: 30 MB
_CLOSE_TIMEOUT_S = 10.0
_TIME_BASE = Fraction(1, 1000)
_CODEC_OPTIONS = {
    "libx264": {"preset": "ultrafast", "tune": "zerolatency", "crf": "18"},
    "libvpx": {"deadline": "realtime", "cpu-used": "8", "crf": "8", "lag-in-frames": "0"},
}
_CONTAINER_OPTIONS = {
    ".mkv": {"cluster_time_limit": "500", "flush_packets": "1"},
    ".webm": {"cluster_time_limit": "500", "flush_packets": "1"},
    ".mp4": {"movflags": "frag_keyframe+empty_moov+default_base_moof", "flush_packets": "1"},
}
_BITRATE_BPS = 4_000_000

_Item = tuple[av.VideoFrame, float]


class VideoFileSink:
    """Fulfils `app.media.ports.VideoSink`; the suffix of `path` chooses the container.

    The largest picture of the first two seconds sets the size of the file, since a call begins with small ones; others
    are fitted into it. When the disk is too slow pictures are skipped and counted. Pictures keep the time they came at.
    """

    def __init__(self, path: Path, *, fps: float = 30) -> None:
        self.problem: str | None = None
        self.skipped = 0
        self.written = 0
        self._path = path
        self._fps = max(1, round(fps))
        self._queue: queue.Queue[_Item | None] = queue.Queue(_QUEUED_FRAMES)
        self._thread: threading.Thread | None = None
        self._closed = False

    def start(self) -> None:
        if self._thread is None and not self._closed:
            self._thread = threading.Thread(target=self._run, name="video-file", daemon=True)
            self._thread.start()

    def write_frame(self, frame: av.VideoFrame, at: float) -> None:
        if self._thread is None or self._closed or self.problem is not None:
            return
        try:
            self._queue.put_nowait((frame, at))
        except queue.Full:
            self.skipped += 1

    def close(self) -> None:
        """Write what is queued and finish the file; waits at most ten seconds for the disk."""
        if self._closed:
            return
        self._closed = True
        if self._thread is not None:
            try:
                self._queue.put(None, timeout=_CLOSE_TIMEOUT_S)
            except queue.Full:
                self.problem = f"{self._path.name[:60]} is not complete: the disk is too slow."
                return
            self._thread.join(_CLOSE_TIMEOUT_S)

    def _run(self) -> None:
        items = iter(self._queue.get, None)
        try:
            self._write(items)
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            self.problem = f"{str(self._path)[:120]} cannot be written ({reason[:80]}): the picture is not kept."
            logger.info("%s", self.problem)
            for _ in items:
                self.skipped += 1

    def _write(self, items: Iterator[_Item]) -> None:
        held = _beginning(items)
        if not held:
            return
        began_at = held[0][1]
        largest = max((frame for frame, _ in held), key=lambda frame: frame.width * frame.height)
        suffix = self._path.suffix.lower()
        codec = CODEC_OF_SUFFIX[suffix]
        with av.open(str(self._path), "w", container_options=_CONTAINER_OPTIONS[suffix]) as container:
            stream = cast(av.VideoStream, container.add_stream(codec, rate=self._fps, options=_CODEC_OPTIONS[codec]))
            fitter = Fitter(largest.width, largest.height)
            stream.width, stream.height, stream.pix_fmt = fitter.width, fitter.height, "yuv420p"
            stream.codec_context.time_base = _TIME_BASE
            stream.codec_context.gop_size = self._fps  # one second: the length of an MP4 fragment
            if codec == "libvpx":
                stream.bit_rate = _BITRATE_BPS
            last_pts = -1
            for frame, at in chain(held, items):
                pts = max(last_pts + 1, round((at - began_at) * 1000))
                for packet in stream.encode(_timed(fitter.fit(frame), pts)):
                    container.mux(packet)
                last_pts = pts
                self.written += 1
            for packet in stream.encode(None):
                container.mux(packet)


def _beginning(items: Iterator[_Item]) -> list[_Item]:
    """Take the pictures of the first seconds, as many as may be held."""
    held: list[_Item] = []
    pixels = 0
    for frame, at in items:
        held.append((frame, at))
        pixels += frame.width * frame.height
        if at - held[0][1] >= _SIZE_SETTLES_S or pixels >= _HELD_PIXELS:
            break
    return held


def _timed(frame: av.VideoFrame, pts: int) -> av.VideoFrame:
    """Give a copy of the frame with a time stamp in milliseconds; others may still use the frame itself."""
    copy = av.VideoFrame.from_ndarray(frame.to_ndarray(), format="yuv420p")
    copy.pts, copy.time_base = pts, _TIME_BASE
    return copy
