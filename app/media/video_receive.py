"""Decoding received frames in a thread of its own and handing the pictures to the sink."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import replace

import av

from app.events import VideoStats
from app.media.assembly import EncodedFrame
from app.media.errors import PacketError
from app.media.plan import CodecPlan
from app.media.ports import CapturedFrame, VideoSink
from app.media.rotation import upright
from app.media.stats import FreezeCounter, RateMeter
from app.media.video_codecs import VideoDecoder, make_decoder
from app.media.worker import Worker

MOST_QUEUED = 60  # frames; a decoder further behind goes on with a key frame


class VideoPlayWorker:
    """Takes whole frames in decoding order; `on_damage` (its own thread) asks for a key frame.

    A picture is shown `delay_s` after its last packet came, at once where that has passed: whoever keeps lips and
    voice together sets it, from any thread. `on_picture` is given each picture, in this worker's thread.
    """

    def __init__(self, sink: VideoSink, on_damage: Callable[[], None]) -> None:
        self.sink = sink
        self.on_picture: Callable[[CapturedFrame], None] | None = None
        self._on_damage = on_damage
        self._frames: deque[EncodedFrame] = deque()
        self._ready = threading.Condition()
        self._flushed = False
        self._decoder: VideoDecoder | None = None
        self._codec: CodecPlan | None = None
        self._orientation = 0
        self._decode_s: float | None = None  # that a picture takes, smoothed
        self._key_frames = 0
        self.first_decoded_at: float | None = None
        self.frames_decoded = 0
        self.size: tuple[int, int] | None = None
        self.rate = RateMeter()
        self.freezes = FreezeCounter()
        self.delay_s = 0.0  # pictures wait so long after they came, for their sound; any thread may set it
        self.shown: tuple[int, float] | None = None  # the RTP timestamp of the last picture, and when it was shown
        self.worker = Worker("video-play", self._run)

    # From the loop's thread ---------------------------------------------------------------------------------

    def push(self, frames: list[EncodedFrame]) -> bool:
        """Queue frames; False when the decoder is so far behind that a key frame is needed."""
        with self._ready:
            self._frames.extend(frames)
            overrun = len(self._frames) > MOST_QUEUED
            if overrun:
                self._frames.clear()
            self._ready.notify()
        return not overrun

    def flush(self) -> None:
        """Another source begins: forget what waits and all references."""
        with self._ready:
            self._frames.clear()
            self._flushed = True

    def stop(self) -> None:
        self.worker.stop()
        with self._ready:
            self._ready.notify()

    def fill(self, figures: VideoStats, now: float) -> VideoStats:
        """Add the figures of receiving."""
        width, height = self.size or (None, None)
        return replace(
            figures,
            width=width,
            height=height,
            fps_received=self.rate.per_second(now),
            frames_decoded=self.frames_decoded,
            freezes=self.freezes.freezes,
            freeze_s=self.freezes.frozen_s,
            decode_ms=self._decode_s * 1_000 if self._decode_s is not None else None,
            decoder=self._codec.name.lower() if self._codec is not None else None,
            key_frames_received=self._key_frames,
        )

    # In the worker's thread ---------------------------------------------------------------------------------

    def _run(self, stopping: threading.Event) -> None:
        try:
            self.sink.start()
            self._pump(stopping)
        finally:
            self.sink.close()

    def _pump(self, stopping: threading.Event) -> None:
        while not stopping.is_set():
            frame, flushed = self._take(stopping)
            if flushed and self._decoder is not None:
                self._decoder.reset()
            if frame is None:
                continue
            for picture in self._decode(frame):
                self._show(upright(picture, self._orientation), frame.timestamp)

    def _take(self, stopping: threading.Event) -> tuple[EncodedFrame | None, bool]:
        with self._ready:
            while not self._flushed and not stopping.is_set():
                wait_s = self._frames[0].at + self.delay_s - time.monotonic() if self._frames else 1.0
                if wait_s <= 0:
                    break
                self._ready.wait(wait_s)
            flushed, self._flushed = self._flushed, False
            is_due = bool(self._frames) and not stopping.is_set()
            return (self._frames.popleft() if is_due else None), flushed

    def _decode(self, frame: EncodedFrame) -> list[av.VideoFrame]:
        if self._decoder is None or frame.codec != self._codec:
            self._codec, self._decoder = frame.codec, make_decoder(frame.codec)
        if frame.orientation is not None:
            self._orientation = frame.orientation
        began = time.monotonic()
        try:
            pictures = self._decoder.decode(frame.data)
        except PacketError:
            self._decoder.reset()
            self._on_damage()
            return []
        took = time.monotonic() - began
        self._decode_s = took if self._decode_s is None else self._decode_s + 0.1 * (took - self._decode_s)
        self._key_frames += frame.is_key
        return pictures

    def _show(self, picture: av.VideoFrame, timestamp: int) -> None:
        now = time.monotonic()
        self.sink.write_frame(picture, now)
        on_picture = self.on_picture
        if on_picture is not None:
            on_picture(CapturedFrame(picture, now))
        self.shown = timestamp, now
        self.size = picture.width, picture.height
        self.frames_decoded += 1
        self.rate.add(1, now)
        self.freezes.shown(now)
        if self.first_decoded_at is None:
            self.first_decoded_at = now
