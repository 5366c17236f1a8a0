"""A flash and a beep of one moment, through two sessions whose paths are not equally long."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import av
import numpy as np
import pytest

from app.events import AudioStats, VideoStats
from app.frames import FrameMailbox
from app.media.default_devices import SettingsDevices
from app.media.ports import FRAME_SAMPLES, AudioFrame, AudioSource, CapturedFrame, VideoSource
from app.settings import MediaSettings
from tests.media.wire import End, audio, secure, two_ends, video

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

    def frames_wanted(self) -> int | None:
        return None

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
    """How much later than the beep each flash was, oldest first."""
    pairs = []
    for flash in stage.eye.edges.times:
        beep = min(stage.ear.edges.times, key=lambda at: abs(at - flash), default=None)
        if beep is not None:
            pairs.append((flash - beep) * 1000)
    return pairs


async def call(
    seconds: float, *, sound_s: float, picture_s: float, look: Callable[[End], None] = lambda end: None
) -> Stage:
    """Hold a call in which sound and picture go over paths of different length; give what the caller perceived."""
    stage = Stage()
    async with two_ends(transports=("0", "1")) as (caller, callee):
        for end in (caller, callee):
            end.session._devices = stage if end is caller else Stage()
            end.paths["0"].delay_s, end.paths["1"].delay_s = sound_s, picture_s
        await secure(caller, callee, "none", transports=("0", "1"))
        for end in (caller, callee):
            end.session.configure([audio(), video(transport="1")])
            end.session.start_sending()
        await asyncio.sleep(seconds)
        look(caller)
    return stage


def figures(end: End) -> tuple[AudioStats, VideoStats]:
    sound, picture, _ = end.session.stats()
    assert sound is not None
    assert picture is not None
    return sound, picture


async def test_a_picture_waits_for_sound_that_takes_longer() -> None:
    said: list[tuple[AudioStats, VideoStats]] = []
    stage = await call(5.0, sound_s=0.15, picture_s=0.0, look=lambda end: said.append(figures(end)))
    offsets = offsets_ms(stage)
    assert offsets[0] < -100
    assert all(-60 < offset < 45 for offset in offsets[-2:]), offsets
    ((sound, picture),) = said
    assert picture.held_back_ms == pytest.approx(150, abs=60)
    assert sound.held_back_ms == 0
    assert picture.lip_sync_ms == pytest.approx(offsets[-1], abs=40)


async def test_sound_waits_a_little_for_a_picture_that_takes_much_longer() -> None:
    said: list[tuple[AudioStats, VideoStats]] = []
    stage = await call(5.0, sound_s=0.0, picture_s=0.2, look=lambda end: said.append(figures(end)))
    offsets = offsets_ms(stage)
    assert offsets[0] > 120
    assert all(0 < offset < 100 for offset in offsets[-2:]), offsets
    ((sound, picture),) = said
    assert picture.held_back_ms == 0
    assert sound.held_back_ms is not None
    assert 40 < sound.held_back_ms <= 100
    assert sound.concealed_ms < 60
    assert picture.lip_sync_ms == pytest.approx(offsets[-1], abs=40)
