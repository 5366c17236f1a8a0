"""Where received sound and picture go: nowhere, a WAV file, a mailbox for a window; and which one settings name."""

from __future__ import annotations

import os
import struct
import threading
from pathlib import Path

import av
from av.video.reformatter import VideoReformatter

from app.frames import FrameMailbox, VideoPicture
from app.media.pictures import with_whole_blocks
from app.media.ports import SAMPLE_RATE_HZ, AudioFrame, CapturedFrame, DeviceSink, FileSink, VideoSink
from app.media.rotation import upright
from app.settings import MediaSettings

_WAV_HEADER_BYTES = 44
_WAV_MOST_BYTES = 0xFFFF_FFFF - _WAV_HEADER_BYTES - 2048
_SAMPLE_BYTES = 2


def open_audio_sink(settings: MediaSettings) -> tuple[DeviceSink | FileSink, str | None]:
    """Give what `settings.audio_to` names, and one sentence where it cannot be had; touches no device yet."""
    where = settings.audio_to
    if where == "speaker":
        from app.media.speaker import SpeakerSink

        return SpeakerSink(settings.speaker), None
    if where == "null":
        return NullAudioSink(), None
    path = Path(where)
    if path.suffix.lower() != ".wav":
        problem = f"Sound can be written to a .wav file only, not to {path.name[:60]!r}: nothing is kept."
        return NullAudioSink(problem), problem
    if not path.parent.is_dir():
        problem = f"The folder {str(path.parent)[:120]!r} does not exist: the sound is not kept."
        return NullAudioSink(problem), problem
    return WavSink(path), None


def open_video_sink(settings: MediaSettings, mailbox: FrameMailbox) -> tuple[VideoSink, str | None]:
    """Give what `settings.video_to` names, and one sentence where it cannot be had; no file is opened yet."""
    where = settings.video_to
    if where == "window":
        return MailboxSink(mailbox), None
    if where == "null":
        return NullVideoSink(), None
    from app.media.recorder import CODEC_OF_SUFFIX, VideoFileSink

    path = Path(where)
    if path.suffix.lower() not in CODEC_OF_SUFFIX:
        problem = f"A picture can be written to .mkv, .mp4 or .webm, not to {path.name[:60]!r}: nothing is kept."
        return NullVideoSink(problem), problem
    if not path.parent.is_dir():
        problem = f"The folder {str(path.parent)[:120]!r} does not exist: the picture is not kept."
        return NullVideoSink(problem), problem
    return VideoFileSink(path, fps=settings.fps), None


class _Clockless:
    """A sink without a device: its pace is the writer's."""

    delay_s: float | None = None
    underruns = 0


class NullAudioSink(_Clockless):
    """Swallows sound."""

    description = "nowhere"

    def __init__(self, problem: str | None = None) -> None:
        self.problem = problem

    def start(self) -> None:
        """There is nothing to open."""

    def write_frame(self, frame: AudioFrame) -> None:
        """Forget it."""

    def rest(self) -> None:
        """There is nothing that costs."""

    def wake(self) -> None:
        """There is nothing to wait for."""

    def close(self) -> None:
        """There is nothing to close."""


class WavSink(_Clockless):
    """Writes a 16-bit WAV file, mono unless told otherwise, that is whole after every frame: even a killed program
    leaves its header right.

    A full disk or a file at the format's limit (12 hours of mono) ends the writing with a sentence in `problem`.
    """

    def __init__(self, path: Path, channels: int = 1) -> None:
        self.description = path.name
        self.problem: str | None = None
        self._path = path
        self.failure: OSError | None = None  # why `problem` says that it cannot be written
        self._frame_bytes = channels * _SAMPLE_BYTES
        self._lock = threading.Lock()
        self._file: int | None = None
        self._data_bytes = 0

    def start(self) -> None:
        with self._lock:
            try:
                flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | getattr(os, "O_BINARY", 0)
                self._file = os.open(self._path, flags, 0o644)
                self._write_header()
                os.lseek(self._file, _WAV_HEADER_BYTES, os.SEEK_SET)
            except OSError as error:
                self._give_up(error)

    def write_frame(self, frame: AudioFrame) -> None:
        data = frame.astype("<i2", copy=False).tobytes()
        with self._lock:
            if self._file is None:
                return
            if self._data_bytes + len(data) > _WAV_MOST_BYTES:
                self._stop(f"{self._path.name[:60]} is as long as a WAV file can be: the rest is not kept.")
                return
            try:
                os.lseek(self._file, _WAV_HEADER_BYTES + self._data_bytes, os.SEEK_SET)
                written = os.write(self._file, data)
                self._data_bytes += written // self._frame_bytes * self._frame_bytes
                self._write_header()
            except OSError as error:
                self._give_up(error)

    def close(self) -> None:
        with self._lock:
            self._stop(self.problem)

    def _write_header(self) -> None:
        assert self._file is not None
        header = b"RIFF" + struct.pack("<I", _WAV_HEADER_BYTES - 8 + self._data_bytes) + b"WAVE"
        rate = SAMPLE_RATE_HZ
        header += b"fmt " + struct.pack(
            "<IHHIIHH", 16, 1, self._frame_bytes // _SAMPLE_BYTES, rate, rate * self._frame_bytes, self._frame_bytes, 16
        )
        header += b"data" + struct.pack("<I", self._data_bytes)
        os.lseek(self._file, 0, os.SEEK_SET)
        os.write(self._file, header)

    def _give_up(self, error: OSError) -> None:
        self.failure = error
        reason = error.strerror or str(error)
        self._stop(f"{str(self._path)[:120]} cannot be written ({reason}): the sound is not kept.")

    def _stop(self, problem: str | None) -> None:
        self.problem = problem
        if self._file is not None:
            os.close(self._file)
            self._file = None


class NullVideoSink:
    """Swallows pictures."""

    def __init__(self, problem: str | None = None) -> None:
        self.problem = problem

    def start(self) -> None:
        """There is nothing to open."""

    def write_frame(self, frame: av.VideoFrame, at: float) -> None:
        """Forget it."""

    def close(self) -> None:
        """There is nothing to close."""


class MailboxSink:
    """Turns pictures into BGRA, in the caller's worker thread, and leaves the newest in a mailbox for the window.

    While nobody looks only a few a second are turned: a conversion costs as much as decoding.
    """

    problem: str | None = None

    def __init__(self, mailbox: FrameMailbox) -> None:
        self._mailbox = mailbox
        self._reformatter = VideoReformatter()  # kept: making one takes as long as turning a picture

    def start(self) -> None:
        """There is nothing to open."""

    def write_frame(self, frame: av.VideoFrame, at: float) -> None:
        self._leave(frame, at, is_lettered=False)

    def show(self, captured: CapturedFrame) -> None:
        """Show one's own picture; fulfils app.media.ports.Preview."""
        frame = upright(captured.frame, captured.orientation)
        self._leave(frame, captured.captured_at, is_lettered=captured.is_lettered)

    def _leave(self, frame: av.VideoFrame, at: float, *, is_lettered: bool) -> None:
        if not self._mailbox.is_wanted:
            return
        plane = self._reformatter.reformat(with_whole_blocks(frame), format="bgra").planes[0]
        data = memoryview(plane)
        self._mailbox.put(VideoPicture(frame.width, frame.height, plane.line_size, data, at, is_lettered))

    def close(self) -> None:
        """There is nothing to close."""
