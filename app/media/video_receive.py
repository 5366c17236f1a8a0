"""Decoding received frames in a thread of its own and handing the pictures to the sink."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable

from app.media.assembly import EncodedFrame
from app.media.errors import PacketError
from app.media.plan import CodecPlan
from app.media.ports import CapturedFrame, VideoSink
from app.media.stats import FreezeCounter, RateMeter
from app.media.video_codecs import VideoDecoder, make_decoder
from app.media.worker import Worker

MOST_QUEUED = 60  # frames; a decoder further behind goes on with a key frame


class VideoPlayWorker:
    """Takes whole frames in decoding order; `on_damage` (its own thread) asks for a key frame.

    `on_picture` is given each decoded picture, and when it was decoded, in this worker's thread.
    """

    def __init__(self, sink: VideoSink, on_damage: Callable[[], None]) -> None:
        self.sink = sink
        self._on_damage = on_damage
        self.on_picture: Callable[[CapturedFrame], None] | None = None
        self._frames: deque[EncodedFrame] = deque()
        self._ready = threading.Condition()
        self._flushed = False
        self.first_decoded_at: float | None = None
        self.frames_decoded = 0
        self.size: tuple[int, int] | None = None
        self.rate = RateMeter()
        self.freezes = FreezeCounter()
        self.delay_s = 0.0  # pictures wait so long after they came, for their sound; any thread may set it
        self.shown: tuple[int, float] | None = None  # the RTP timestamp of the last picture, and when it was shown
        self.worker = Worker("video-play", self._run)

    def push(self, frames: list[EncodedFrame]) -> bool:
        """Queue frames; False when the decoder is so far behind that a key frame is needed. Loop thread."""
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

    def _run(self, stopping: threading.Event) -> None:
        try:
            self.sink.start()
            self._pump(stopping)
        finally:
            self.sink.close()

    def _pump(self, stopping: threading.Event) -> None:
        decoder: VideoDecoder | None = None
        codec: CodecPlan | None = None
        while not stopping.is_set():
            frame, flushed = self._take(stopping)
            if flushed and decoder is not None:
                decoder.reset()
            if frame is None:
                continue
            if decoder is None or frame.codec != codec:
                codec, decoder = frame.codec, make_decoder(frame.codec)
            try:
                pictures = decoder.decode(frame.data)
            except PacketError:
                decoder.reset()
                self._on_damage()
                continue
            for picture in pictures:
                now = time.monotonic()
                self.sink.write_frame(picture, now)
                on_picture = self.on_picture
                if on_picture is not None:
                    on_picture(CapturedFrame(picture, now))
                self.shown = frame.timestamp, now
                self._count((picture.width, picture.height), now)

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

    def _count(self, size: tuple[int, int], now: float) -> None:
        self.size = size
        self.frames_decoded += 1
        self.rate.add(1, now)
        self.freezes.shown(now)
        if self.first_decoded_at is None:
            self.first_decoded_at = now
