"""Records a call: both sides' sound and picture into one file, by a thread that no part of the call waits for.

The workers of the call hand over frames (`taps`); the thread puts them on one clock, encodes and writes them a third
of a second later. What it cannot keep up with is left out, sound last of all. A disk that takes no more ends the
recording with a sentence; the call goes on.
"""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import av
import numpy as np

from app.media.call_picture import CallPicture
from app.media.call_sound import RecordingTone, Samples, SoundLane, mixed
from app.media.ports import FRAME_SAMPLES, SAMPLE_RATE_HZ, AudioFrame, CapturedFrame
from app.media.recording_file import FPS, SUFFIXES, RecordingFile, open_file
from app.media.recording_label import with_label
from app.media.rotation import upright
from app.media.taps import MediaTaps
from app.media.worker import Worker
from app.settings import RecordedSound, TellOther

logger = logging.getLogger(__name__)

LATENESS_S = 0.3  # sound that comes later than that is not waited for
_STEP_S = 0.1
_MOST_SOUND = 1_000  # frames on their way to the thread: ten seconds of both sides
_MOST_PICTURES = 30
_REPEAT_S = 1.0  # a picture that stands still is written again so often, so that a player can go there
_T = TypeVar("_T")
_HD, _FULL_HD = (1280, 720), (1920, 1080)


@dataclass(frozen=True, slots=True)
class RecordingPlan:
    """What is recorded. `caption` stands where there is no picture; a WAV file has none anyway."""

    path: Path
    sound: RecordedSound
    with_picture: bool
    caption: str
    tell: TellOther
    large: bool = False  # a screen is shown: its letters need a large canvas


class CallRecorder:
    """`start` it once; `taps` go to the call's media. `on_end` is called once, in the thread: None, or what went wrong.

    `paused`, `own_is_large` and `is_seen` (a picture of ours goes out) may be set from any thread at any time: while
    paused no time passes in the file.
    """

    def __init__(
        self,
        plan: RecordingPlan,
        on_end: Callable[[str | None], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        assert plan.path.suffix.lower() in SUFFIXES
        self.plan = plan
        self.own_is_large = False
        self.is_seen = False
        self.written_s = 0.0  # how much of it the file has been given
        self._on_end = on_end
        self._clock = clock
        self._sounds: queue.Queue[tuple[bool, AudioFrame, float]] = queue.Queue(_MOST_SOUND)
        self._pictures: queue.Queue[tuple[bool, CapturedFrame, float]] = queue.Queue(_MOST_PICTURES)
        self._lock = threading.Lock()
        self._began_at = self._clock()
        self._paused_at: float | None = None
        self._tone = RecordingTone()
        self._worker = Worker("call-record", self._run)
        self.taps = MediaTaps(
            mix_in=None if plan.tell is TellOther.NONE else self._mix_in,
            own_sound=lambda frame: self._take_sound(True, frame),
            far_sound=lambda frame: self._take_sound(False, frame),
            own_picture=lambda picture: self._take_picture(True, picture),
            far_picture=lambda picture: self._take_picture(False, picture),
            mark=self._mark if plan.tell is TellOther.LABEL else None,
        )

    def start(self) -> None:
        self._began_at = self._clock()
        self._worker.start()

    def stop(self) -> None:
        """Finish the file; returns at once, `on_end` or `join` tell when it is done."""
        self.paused = True
        self._worker.stop()

    def join(self, timeout_s: float) -> bool:
        """Wait for the finished file; blocks. False when the disk was too slow for that."""
        return self._worker.join(timeout_s)

    @property
    def name(self) -> str:
        """The file it goes to."""
        return str(self.plan.path)

    @property
    def seconds(self) -> float:
        """How long the recording is."""
        with self._lock:
            return (self._paused_at if self._paused_at is not None else self._clock()) - self._began_at

    @property
    def paused(self) -> bool:
        return self._paused_at is not None

    @paused.setter
    def paused(self, on: bool) -> None:
        with self._lock:
            now = self._clock()
            if on and self._paused_at is None:
                self._paused_at = now
            elif not on and self._paused_at is not None:
                self._began_at += now - self._paused_at
                self._paused_at = None

    # What the call's workers hand over ------------------------------------------------------------------------

    def _mix_in(self, frame: AudioFrame) -> AudioFrame:
        labelled = self.plan.tell is TellOther.LABEL and self.is_seen
        return frame if labelled or self.paused else self._tone.mix_in(frame)

    def _mark(self, frame: av.VideoFrame) -> av.VideoFrame:
        return frame if self.paused else with_label(frame)

    def _take_sound(self, own: bool, frame: AudioFrame) -> None:
        if not self.paused and not self._sounds.full():
            with suppress(queue.Full):  # others hand over at the same time
                self._sounds.put_nowait((own, frame.copy(), self.seconds))

    def _take_picture(self, own: bool, picture: CapturedFrame) -> None:
        if self.plan.with_picture and not self.paused and not self._pictures.full():
            with suppress(queue.Full):
                self._pictures.put_nowait((own, picture, self.seconds))

    # The thread -----------------------------------------------------------------------------------------------

    def _run(self, stopping: threading.Event) -> None:
        problem: str | None = "The recording has ended because of an error in Parley."
        try:
            self._record(stopping)
            problem = None
        except (OSError, ValueError, av.FFmpegError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            problem = f"The recording has ended: {self.plan.path.name[:80]} cannot be written ({reason[:80]})."
            logger.info("%s", problem)
        finally:
            self.paused = True
            self._on_end(problem)

    def _record(self, stopping: threading.Event) -> None:
        plan = self.plan
        size = (_FULL_HD if plan.large else _HD) if plan.with_picture else None
        apart = plan.sound is RecordedSound.TRACKS and plan.path.suffix.lower() != ".wav"
        channels = 1 if apart or plan.sound is RecordedSound.MIXED else 2
        titles = ("You", plan.caption or "The other side") if apart else ("Both sides",)
        film = CallPicture(*size, plan.caption) if size is not None else None
        file = open_file(plan.path, titles, channels, size)
        try:
            _Writing(self, file, film, channels=None if apart else channels).until(stopping)
        finally:
            file.close()


class _Writing:
    """One recording on its way into its file; `channels` of its one track, None where each side has a track."""

    def __init__(
        self, recorder: CallRecorder, file: RecordingFile, film: CallPicture | None, *, channels: int | None
    ) -> None:
        self._recorder, self._file, self._film, self._channels = recorder, file, film, channels
        self._own, self._far = SoundLane(), SoundLane()
        self._pending: deque[tuple[bool, CapturedFrame, float]] = deque()  # pictures that sound has not caught up with
        self._position = 0
        self._drawn_at = -1.0

    def until(self, stopping: threading.Event) -> None:
        """Write what comes until the end is asked for, and then what has come until then."""
        while not stopping.wait(_STEP_S):
            self._step(self._recorder.seconds - LATENESS_S)
        self._step(self._recorder.seconds)

    def _step(self, until_s: float) -> None:
        """Write sound and pictures up to a time, in the order of time, as the file keeps them together."""
        for own, frame, at in _drain(self._recorder._sounds):
            # Ours was captured until now, the far side's is heard from now on.
            position = round(at * SAMPLE_RATE_HZ)
            self._own.add(frame, position - FRAME_SAMPLES) if own else self._far.add(frame, position)
        self._pending.extend(_drain(self._recorder._pictures))
        while self._pending and self._pending[0][2] <= until_s:
            own, picture, at = self._pending.popleft()
            self._write_sound(at)
            self._film_one(own, picture, at)
        self._write_sound(until_s)
        self._repeat(until_s)
        self._recorder.written_s = self._position / SAMPLE_RATE_HZ

    def _write_sound(self, until_s: float) -> None:
        while (self._position + FRAME_SAMPLES) / SAMPLE_RATE_HZ <= until_s:
            self._file.sound(self._tracks())
            self._position += FRAME_SAMPLES

    def _tracks(self) -> Sequence[Samples]:
        own = self._own.read(self._position, FRAME_SAMPLES)
        far = self._far.read(self._position, FRAME_SAMPLES)
        if self._channels is None:
            return own, far
        if self._channels == 2:
            return (np.stack((own, far), axis=1),)
        return (mixed(own, far),)

    def _film_one(self, own: bool, picture: CapturedFrame, at: float) -> None:
        film = self._film
        if film is None:
            return
        film.own_is_large = self._recorder.own_is_large
        frame = upright(picture.frame, picture.orientation)
        film.own(frame, at) if own else film.far(frame, at)
        if at - self._drawn_at >= 0.8 / FPS:
            self._draw(film, at)

    def _repeat(self, now: float) -> None:
        """Where no picture comes, write what there is at the beginning and from time to time."""
        if self._film is not None and now >= 0 and (self._drawn_at < 0 or now - self._drawn_at >= _REPEAT_S):
            self._draw(self._film, now)

    def _draw(self, film: CallPicture, at: float) -> None:
        self._drawn_at = at
        self._file.picture(film.draw(at), round(at * 1000))


def _drain(waiting: queue.Queue[_T]) -> list[_T]:
    return [waiting.get_nowait() for _ in range(waiting.qsize())]
