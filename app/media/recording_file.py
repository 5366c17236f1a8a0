"""The file of a recording: Matroska or MP4 with Opus and H.264, or a WAV file, readable after a `kill -9` at any time.

Matroska goes to the disk in clusters and MP4 in fragments of less than half a second, WAV after every piece. Blocks;
an OSError or av.FFmpegError means that the disk takes no more.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Protocol

import av
import numpy as np

from app.media.call_sound import Samples
from app.media.ports import FRAME_SAMPLES, SAMPLE_RATE_HZ
from app.media.sinks import WavSink

SUFFIXES = (".mkv", ".mp4", ".wav")
PIECE_MS = 400
FPS = 25
_BITRATE_BPS = 48_000  # of Opus, each channel
_TIME_BASE = Fraction(1, 1000)
_X264 = {"preset": "ultrafast", "tune": "zerolatency", "crf": "23"}
# Each track is written as it comes: without the last option the muxer holds ten seconds of one until others have some.
_OPTIONS = {
    ".mkv": {"cluster_time_limit": str(PIECE_MS), "flush_packets": "1", "max_interleave_delta": "1"},
    ".mp4": {
        "movflags": "empty_moov+default_base_moof+frag_keyframe",
        "frag_duration": str(PIECE_MS * 1000),
        "flush_packets": "1",
        "max_interleave_delta": "1",
    },
}


class RecordingFile(Protocol):
    """Where a recording goes."""

    def sound(self, tracks: Sequence[Samples]) -> None:
        """Take the next 20 ms of each track: int16 of shape (960,), or (960, 2) for left and right."""

    def picture(self, frame: av.VideoFrame, milliseconds: int) -> None:
        """Take a picture of the canvas's size; `milliseconds` rise."""

    def close(self) -> None:
        """Write what is left and finish the file."""


class ContainerFile:
    """Matroska or MP4. `titles` name the tracks of sound; `size` is the picture's, None for a file without one."""

    def __init__(self, path: Path, titles: Sequence[str], channels: int, size: tuple[int, int] | None) -> None:
        self._container = av.open(str(path), "w", container_options=_OPTIONS[path.suffix.lower()])
        try:
            self._layout = "stereo" if channels == 2 else "mono"
            self._sounds = [self._sound_track(title, channels) for title in titles]
            self._video = self._picture_track(size) if size is not None else None
            self._container.start_encoding()
        except BaseException:
            self._container.close()
            raise
        self._position = 0
        self._last_ms = -1

    def _sound_track(self, title: str, channels: int) -> av.AudioStream:
        stream = self._container.add_stream("libopus", rate=SAMPLE_RATE_HZ, layout=self._layout)
        stream.bit_rate = _BITRATE_BPS * channels
        stream.metadata["title"] = title
        return stream

    def _picture_track(self, size: tuple[int, int]) -> av.VideoStream:
        stream = self._container.add_stream("libx264", rate=FPS, options=_X264)
        stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
        stream.codec_context.time_base = _TIME_BASE
        stream.codec_context.gop_size = FPS * 2
        stream.codec_context.thread_count = 1  # the call needs the others
        return stream

    def sound(self, tracks: Sequence[Samples]) -> None:
        for stream, samples in zip(self._sounds, tracks, strict=True):
            frame = av.AudioFrame.from_ndarray(samples.reshape(1, -1), format="s16", layout=self._layout)
            frame.sample_rate, frame.pts = SAMPLE_RATE_HZ, self._position
            self._container.mux(stream.encode(frame))
        self._position += FRAME_SAMPLES

    def picture(self, frame: av.VideoFrame, milliseconds: int) -> None:
        if self._video is not None:
            self._last_ms = max(self._last_ms + 1, milliseconds)
            frame.pts, frame.time_base = self._last_ms, _TIME_BASE
            self._container.mux(self._video.encode(frame))

    def close(self) -> None:
        try:
            for stream in self._sounds:
                self._container.mux(stream.encode(None))
            if self._video is not None:
                self._container.mux(self._video.encode(None))
        finally:
            self._container.close()


class WavFile:
    """A WAV file of one track."""

    def __init__(self, path: Path, channels: int) -> None:
        self._sink = WavSink(path, channels)
        self._sink.start()
        self._check()

    def sound(self, tracks: Sequence[Samples]) -> None:
        self._sink.write_frame(np.ascontiguousarray(tracks[0]))
        self._check()

    def picture(self, frame: av.VideoFrame, milliseconds: int) -> None:
        """There is no room for it."""

    def close(self) -> None:
        self._sink.close()

    def _check(self) -> None:
        if self._sink.problem is not None:
            raise self._sink.failure or OSError(self._sink.problem)


def open_file(path: Path, titles: Sequence[str], channels: int, size: tuple[int, int] | None) -> RecordingFile:
    """Open the file that the suffix asks for, over what is there. OSError or av.FFmpegError where that fails."""
    if path.suffix.lower() == ".wav":
        return WavFile(path, channels)
    return ContainerFile(path, titles, channels, size)
