"""A flash and a beep of one moment, through two sessions whose paths are not equally long."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from statistics import median

import av
import numpy as np

from app.events import AudioStats, VideoStats
from app.frames import FrameMailbox
from app.media.default_devices import SettingsDevices
from app.media.ports import FRAME_SAMPLES, AudioFrame, AudioSource, CapturedFrame, VideoSource
from app.settings import MediaSettings
from tests.media.wire import End, audio, eventually, secure, two_ends, video

EVERY_S = 0.5
ON_S = 0.1
BEEP: AudioFrame = (8000 * np.sin(np.arange(FRAME_SAMPLES) * 0.13)).astype(np.int16)
SILENCE: AudioFrame = np.zeros(FRAME_SAMPLES, np.int16)


def is_on(at: float) -> bool:
    return at % EVERY_S < ON_S


class Beeps:
    """Sound that was captured until now, as a microphone without delay gives it."""

    description, problem = "beeps", None
    start = close = lambda self: None

    def read_frame(self) -> AudioFrame:
        return BEEP if is_on(time.monotonic() - 0.020) else SILENCE


class Flashes:
    description, problem, is_screen = "flashes", None, False
    start = close = lambda self: None

    def __init__(self) -> None:
        self._due = time.monotonic()

    def read_frame(self, timeout_s: float) -> CapturedFrame | None:
        self._due = max(self._due + 0.02, time.monotonic() - 0.1)
        time.sleep(max(0.0, self._due - time.monotonic()))
        frame = av.VideoFrame.from_ndarray(np.full((96, 64), 230 if is_on(self._due) else 20, np.uint8), "gray")
        return CapturedFrame(frame.reformat(format="yuv420p"), self._due)


class Edges:
    """Notes when something goes from off to on."""

    def __init__(self) -> None:
        self.times: list[float] = []
        self._was_on = True

    def note(self, on: bool, at: float) -> None:
        if on and not self._was_on:
            self.times.append(at)
        self._was_on = on


class Ear:
    description, problem = "ear", None
    delay_s, underruns = None, 0
    start = close = lambda self: None

    def __init__(self) -> None:
        self.edges = Edges()

    def write_frame(self, frame: AudioFrame) -> None:
        loud = np.flatnonzero(np.abs(frame.astype(np.int32)) > 3000)
        self.edges.note(bool(len(loud)), time.monotonic() + (loud[0] / 48_000 if len(loud) else 0))


class Eye:
    problem = None
    start = close = lambda self: None

    def __init__(self) -> None:
        self.edges = Edges()

    def write_frame(self, frame: av.VideoFrame, at: float) -> None:
        self.edges.note(bool(frame.to_ndarray()[: frame.height].mean() > 125), time.monotonic())


class Stage(SettingsDevices):
    """Devices of both ends."""

    def __init__(self) -> None:
        self.ear, self.eye = Ear(), Eye()

    def audio_source(self, settings: MediaSettings) -> AudioSource:
        return Beeps()

    def video_source(self, settings: MediaSettings) -> VideoSource:
        return Flashes()

    def audio_sink(self, settings: MediaSettings) -> Ear:
        return self.ear

    def video_sink(self, settings: MediaSettings, mailbox: FrameMailbox) -> Eye:
        return self.eye


def offsets_ms(stage: Stage) -> list[float]:
    """How much later than the beep each flash was, oldest first; one that no beep was near to is left out."""
    found = []
    for flash in stage.eye.edges.times:
        beep = min(stage.ear.edges.times, key=lambda at: abs(at - flash), default=None)
        if beep is not None and abs(flash - beep) < EVERY_S / 2:
            found.append((flash - beep) * 1000)
    return found


@asynccontextmanager
async def call(*, sound_s: float, picture_s: float) -> AsyncIterator[tuple[End, Stage]]:
    """Hold a call in which sound and picture go over paths of different length; give the caller and its senses."""
    stage = Stage()
    async with two_ends(transports=("0", "1")) as (caller, callee):
        for end in (caller, callee):
            end.session._devices = stage if end is caller else Stage()
            end.paths["0"].delay_s, end.paths["1"].delay_s = sound_s, picture_s
        await secure(caller, callee, "none", transports=("0", "1"))
        for end in (caller, callee):
            end.session.configure([audio(), video(transport="1")])
            end.session.start_sending()
        yield caller, stage


def figures(end: End) -> tuple[AudioStats, VideoStats]:
    sound, picture, _ = end.session.stats()
    assert sound is not None
    assert picture is not None
    return sound, picture


def is_together(end: End) -> bool:
    offset = figures(end)[1].lip_sync_ms
    return offset is not None and abs(offset) < 80


async def perceived_ms(stage: Stage) -> float:
    """Give how much later than their beeps the next flashes are, in the middle of three."""
    stage.eye.edges.times.clear()
    await eventually(lambda: len(offsets_ms(stage)) >= 4, 20)
    return median(offsets_ms(stage)[:3])


async def test_a_picture_waits_for_sound_that_takes_longer() -> None:
    async with call(sound_s=0.2, picture_s=0.0) as (caller, stage):
        await eventually(lambda: (figures(caller)[1].lip_sync_ms or 0) < -150, 20)
        await eventually(lambda: (figures(caller)[1].held_back_ms or 0) > 60 and is_together(caller), 20)
        assert figures(caller)[0].held_back_ms == 0
        assert -130 < await perceived_ms(stage) < 60


async def test_sound_waits_a_little_for_a_picture_that_takes_much_longer() -> None:
    async with call(sound_s=0.0, picture_s=0.2) as (caller, stage):
        await eventually(lambda: (figures(caller)[1].lip_sync_ms or 0) > 100, 20)
        await eventually(lambda: (figures(caller)[0].held_back_ms or 0) >= 60, 20)
        assert figures(caller)[1].held_back_ms == 0
        assert abs(await perceived_ms(stage)) < 120
