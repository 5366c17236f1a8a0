"""The same pictures and the same tone for every phone of the bench, made before the watch runs."""

from __future__ import annotations

import time

import av
import numpy as np

from app.frames import FrameMailbox
from app.media.pattern import Pattern
from app.media.pictures import VideoThread
from app.media.ports import (
    FRAME_SAMPLES,
    SAMPLE_RATE_HZ,
    AudioFrame,
    AudioSink,
    AudioSource,
    CapturedFrame,
    Preview,
    VideoSink,
    VideoSource,
)
from app.media.sinks import NullAudioSink, NullVideoSink
from app.settings import MediaSettings

FPS = 30
COUNT = 60  # two seconds, again and again


def pictures(width: int, height: int) -> list[av.VideoFrame]:
    """Draw the test picture's first two seconds, yuv420p."""
    pattern = Pattern(width, height, "bench")
    return [pattern.draw(number, number / FPS) for number in range(COUNT)]


class PremadeSource(VideoThread):
    """Shows pictures that are there already."""

    def __init__(self, ready: list[av.VideoFrame]) -> None:
        super().__init__("pictures made before", FPS)
        self._ready = ready

    def _run(self) -> None:
        number = 0
        while self._pace(number):
            self._give(self._ready[number % COUNT], time.monotonic())
            number += 1


def tone() -> AudioFrame:
    """20 ms of 450 Hz: nine whole periods, so that the same frame follows itself without a jump."""
    at = np.arange(FRAME_SAMPLES) / SAMPLE_RATE_HZ
    return (8_000 * np.sin(2 * np.pi * 450 * at)).astype(np.int16)


class PremadeTone:
    """A tone that is there already."""

    description, problem = "tone made before", None

    def __init__(self) -> None:
        self._frame = tone()

    def start(self) -> None:
        """There is nothing to start."""

    def read_frame(self) -> AudioFrame:
        return self._frame

    def close(self) -> None:
        """There is nothing to release."""


class _Unseen:
    """Nobody looks at the own picture."""

    def show(self, captured: CapturedFrame) -> None:
        """It is not even converted."""


class PremadeDevices:
    """Fulfils app.media.ports.MediaDevices: a tone and ready pictures in, nowhere out."""

    def __init__(self, width: int, height: int) -> None:
        self._ready = pictures(width, height)

    def audio_source(self, settings: MediaSettings) -> AudioSource:
        return PremadeTone()

    def audio_sink(self, settings: MediaSettings) -> AudioSink:
        return NullAudioSink()

    def video_source(self, settings: MediaSettings) -> VideoSource:
        return PremadeSource(self._ready)

    def video_sink(self, settings: MediaSettings, mailbox: FrameMailbox) -> VideoSink:
        return NullVideoSink()

    def preview(self, mailbox: FrameMailbox) -> Preview:
        return _Unseen()
