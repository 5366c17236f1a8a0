"""Files that stand in for a microphone and a camera: any container and codec that FFmpeg reads.

Sound and picture of one file keep together because both count from their own start, and both are started together:
a picture is given when its time stamp is due, a sound frame every 20 ms. At its end a file gives silence and keeps
its last picture.
"""

from __future__ import annotations

import functools
import logging
import math
import queue
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import av
import numpy as np

from app.media.pictures import Fitter
from app.media.ports import FRAME_SAMPLES, SAMPLE_RATE_HZ, AudioFrame, CapturedFrame
from app.media.rotation import orientation_of, upright
from app.media.worker import Bell

logger = logging.getLogger(__name__)

_AHEAD_FRAMES = 50  # one second of sound is decoded ahead
_FIRST_FRAME_TIMEOUT_S = 1.0
_CLOSE_TIMEOUT_S = 2.0
_LATE_INTERVALS = 2  # a picture that is read later than so many is left out
_SOON_S = 0.001  # so close to its time a picture is not waited for: a wait costs more than it is late
_AV_TIME_BASE = 1_000_000  # unit of a container's start_time, 1/s

_SILENCE: AudioFrame = np.zeros(FRAME_SAMPLES, np.int16)
_SILENCE.flags.writeable = False


def probe(path: Path, kind: Literal["audio", "video"]) -> str | None:
    """Say in words, without a full stop, why a file cannot stand in for a device; None when it can.

    A film takes a tenth of a second to look into, so what was found is remembered while the file stays as it is.
    """
    try:
        state = path.stat()
    except OSError:
        return f"There is no file {str(path)[-80:]!r}"
    return _probed(path, kind, state.st_mtime_ns, state.st_size)


@functools.lru_cache(maxsize=16)
def _probed(path: Path, kind: Literal["audio", "video"], _changed_at: int, _size: int) -> str | None:
    name = str(path)[-80:]
    if not path.is_file():
        return f"There is no file {name!r}"
    try:
        with av.open(str(path)) as container:
            streams = container.streams.audio if kind == "audio" else container.streams.video
            if streams:
                return None
    except (OSError, ValueError) as error:  # av's errors are both or either
        reason = getattr(error, "strerror", None) or str(error)
        return f"{name!r} cannot be read as sound or video ({reason[:80]})"
    return f"There is no {'sound' if kind == 'audio' else 'picture'} in {name!r}"


class FileAudioSource:
    """Plays the first sound stream of a file, once; fulfils `app.media.ports.AudioSource`.

    A thread decodes up to one second ahead. `start` waits for the first frame, so nothing of the beginning is late.
    """

    def __init__(self, path: Path) -> None:
        self.description = path.name
        self.problem: str | None = None
        self._path = path
        self._frames: queue.Queue[AudioFrame] = queue.Queue(_AHEAD_FRAMES)
        self._ready = threading.Event()
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        if self._thread is None and not self._stopping.is_set():
            self._thread = threading.Thread(target=self._run, name="file-audio", daemon=True)
            self._thread.start()
            self._ready.wait(_FIRST_FRAME_TIMEOUT_S)

    def read_frame(self) -> AudioFrame:
        try:
            return self._frames.get_nowait()
        except queue.Empty:
            return _SILENCE

    def close(self) -> None:
        self._stopping.set()
        if self._thread is not None:
            self._thread.join(_CLOSE_TIMEOUT_S)

    def _run(self) -> None:
        try:
            for frame in decoded_audio(self._path):
                if not self._offer(frame):
                    return
        except (OSError, ValueError) as error:
            logger.info("%s stopped: %s", self._path.name, error)
            self.problem = f"The rest of {self._path.name[:60]!r} cannot be read: others hear silence."
        finally:
            self._ready.set()

    def _offer(self, frame: AudioFrame) -> bool:
        """Queue one frame, waiting for room; False when the source is being closed."""
        while not self._stopping.is_set():
            try:
                self._frames.put(frame, timeout=0.1)
            except queue.Full:
                continue
            self._ready.set()
            return True
        return False


def decoded_audio(path: Path) -> Iterator[AudioFrame]:
    """Decode the first sound stream of a file as frames of 20 ms, 48 kHz mono; the last is filled up with silence.

    Raises OSError or ValueError where the file cannot be read.
    """
    with av.open(str(path)) as container:
        stream = container.streams.audio[0]
        resampler = av.AudioResampler(format="s16", layout="mono", rate=SAMPLE_RATE_HZ)
        left_over = _leading_silence(container, stream)
        for decoded in container.decode(stream):
            decoded.pts = None  # gaps and jumps of time stamps must not make the resampler insert anything
            for piece in resampler.resample(decoded):
                left_over = np.concatenate([left_over, piece.to_ndarray().reshape(-1)])
            while left_over.size >= FRAME_SAMPLES:
                yield left_over[:FRAME_SAMPLES]
                left_over = left_over[FRAME_SAMPLES:]
        for piece in resampler.resample(None):
            left_over = np.concatenate([left_over, piece.to_ndarray().reshape(-1)])
    for offset in range(0, left_over.size, FRAME_SAMPLES):
        last = np.zeros(FRAME_SAMPLES, np.int16)
        part = left_over[offset : offset + FRAME_SAMPLES]
        last[: part.size] = part
        yield last


def _leading_silence(container: av.container.InputContainer, stream: av.AudioStream) -> AudioFrame:
    """Give the silence by which the sound begins after the file's picture, at most five seconds."""
    if stream.start_time is None or stream.time_base is None or container.start_time is None:
        return np.zeros(0, np.int16)
    late_s = float(stream.start_time * stream.time_base) - container.start_time / _AV_TIME_BASE
    return np.zeros(round(min(max(late_s, 0.0), 5.0) * SAMPLE_RATE_HZ), np.int16)


class FileVideoSource:
    """Plays the first picture stream of a file, once, at its own pace; fulfils `app.media.ports.VideoSource`.

    Pictures are scaled to the asked size with black bars where the shape differs; a file faster than `fps` is thinned
    out. After its end the last picture is repeated.

    The thread that asks for a picture reads it, when it is due: none is woken to hand it over, and it is still in that
    processor's cache when it is encoded.
    """

    is_screen = False

    def __init__(self, path: Path, width: int, height: int, fps: float) -> None:
        self.description = path.name
        self.problem: str | None = None
        self._path = path
        self._fitter = Fitter(width, height)
        self._interval_s = 1.0 / max(fps, 1.0)
        self._reading = threading.Lock()
        self._closing = Bell()
        self._is_closed = False
        self._started_at = 0.0
        self._pictures: Iterator[tuple[float, av.VideoFrame]] | None = None
        self._next: tuple[float, av.VideoFrame] | None = None  # that is not due yet
        self._expected_at = 0.0  # when it is likely to be due; no sooner it is read

    def start(self) -> None:
        if self._pictures is None and not self._is_closed:
            self._started_at = time.monotonic()
            self._pictures = self._shown()

    def read_frame(self, timeout_s: float) -> CapturedFrame | None:
        until = time.monotonic() + timeout_s
        with self._reading:
            if self._pictures is None or not self._wait(self._expected_at, until):
                return None
            if self._next is None:
                self._next = next(self._pictures, None)
            if self._next is None:
                self._expected_at = math.inf
                return None
            due, frame = self._next
            if not self._wait(due, until):
                return None
            self._next, self._expected_at = None, due + self._interval_s
            # Pictures keep their distances where one is read late, but a film that cannot be read as fast falls behind.
            return CapturedFrame(frame, max(due, time.monotonic() - _LATE_INTERVALS * self._interval_s))

    def close(self) -> None:
        self._is_closed = True
        self._closing.ring()
        if self._reading.acquire(timeout=_CLOSE_TIMEOUT_S):
            self._pictures = self._next = None
            self._reading.release()

    def _wait(self, at: float, until: float) -> bool:
        """Wait until a time; False when `until` came first, or the source was closed."""
        left_s = min(at, until) - time.monotonic()
        if left_s > _SOON_S and not self._is_closed:
            self._closing.wait(left_s)
        return at <= until and not self._is_closed

    def _shown(self) -> Iterator[tuple[float, av.VideoFrame]]:
        """Give the pictures in their size, and when each is due."""
        last: av.VideoFrame | None = None
        due = self._started_at
        try:
            for due_s, frame in self._thinned():
                due, last = self._started_at + due_s, self._fitter.fit(frame)
                yield due, last
        except (OSError, ValueError, av.FFmpegError) as error:
            logger.info("%s stopped: %s", self._path.name, error)
            self.problem = f"The rest of {self._path.name[:60]!r} cannot be read: others see its last picture."
        if last is None:
            self.problem = self.problem or f"There is no picture to show in {self._path.name[:60]!r}."
            return
        while True:
            due = max(due, time.monotonic() - self._interval_s) + self._interval_s
            yield due, last

    def _thinned(self) -> Iterator[tuple[float, av.VideoFrame]]:
        """Give the pictures with their time, without those that come faster than asked for or are long overdue."""
        given_s = -1.0
        for due_s, frame in decoded_video(self._path):
            too_fast = due_s - given_s < self._interval_s * 0.75
            overdue = time.monotonic() - self._started_at - due_s > _LATE_INTERVALS * self._interval_s
            if too_fast or (overdue and given_s >= 0.0 and due_s - given_s < 1.0):
                continue
            given_s = due_s
            yield due_s, frame


def decoded_video(path: Path) -> Iterator[tuple[float, av.VideoFrame]]:
    """Decode the first picture stream of a file: (seconds from the file's beginning, frame).

    Raises OSError or ValueError where the file cannot be read.
    """
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        stream.thread_type = "AUTO"
        begin_s = (container.start_time or 0) / _AV_TIME_BASE
        rate = float(stream.average_rate or 25)
        for number, frame in enumerate(container.decode(stream)):
            time_s = frame.time - begin_s if frame.time is not None else number / rate
            yield max(0.0, time_s), _as_shown(frame)


def _as_shown(frame: av.VideoFrame) -> av.VideoFrame:
    """Turn a picture that was taken with the camera held sideways, as the file's display matrix says."""
    if not frame.rotation:
        return frame
    return upright(frame.reformat(format="yuv420p"), orientation_of(-frame.rotation))
