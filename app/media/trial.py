"""Devices tried out without a call: a microphone's level, a camera's picture, a test sound, one's own voice back."""

from __future__ import annotations

import threading
from dataclasses import replace

import numpy as np

from app.events import TrialChanged
from app.frames import FrameMailbox
from app.media import tones
from app.media.hearing import Hearing
from app.media.levels import LevelMeter
from app.media.microphone import MicrophoneSource
from app.media.ports import FRAME_MS, AudioFrame, VideoSource
from app.media.processing import Switches, VoiceProcessor, processed
from app.media.rings import RingPlayer
from app.media.sinks import MailboxSink
from app.media.sources import open_video_source
from app.media.worker import Worker
from app.settings import MediaSettings

RECORD_S = 3.0
_TICK_S = FRAME_MS / 1000
_PICTURE_WAIT_S = 0.2
_CLOSE_S = 5.0


class DeviceTrial:
    """`use` opens what settings name and may be called again; `close` releases all of it and may block.

    What it plays is not taken for echo: nothing is cancelled, or the echo test would not be heard by itself.
    """

    def __init__(self, picture: FrameMailbox) -> None:
        self._mailbox = picture
        self._media: MediaSettings | None = None
        self._microphone: MicrophoneSource | None = None
        self._processor = VoiceProcessor(Switches())
        self._meter = LevelMeter()
        self._sound: RingPlayer | None = None
        self._recording: list[AudioFrame] | None = None
        self._plays_back = False
        self._camera: VideoSource | None = None
        self._listening: Worker | None = None
        self._watching: Worker | None = None
        self._old: list[Worker] = []

    def use(self, media: MediaSettings, *, camera: bool) -> None:
        """Go on with these devices and switches; returns at once."""
        before, self._media = self._media, media
        self._processor.use(Switches.of(media))
        if self._microphone is None:
            self._microphone = MicrophoneSource(media.microphone)
            self._listening = Worker("device-trial", self._listen)
            self._listening.start()
        else:
            self._microphone.use(media.microphone)
        same = before is not None and (before.camera, before.width, before.height) == (
            media.camera,
            media.width,
            media.height,
        )
        if self._watching is not None and not (camera and same):
            self._watching.stop()
            self._old.append(self._watching)
            self._watching = self._camera = None
        if camera and self._watching is None:
            source, _ = open_video_source(replace(media, video_from="camera"))
            self._camera = source
            self._watching = Worker("camera-trial", lambda stopping: self._watch(source, stopping))
            self._watching.start()

    def play_test_sound(self, device: str, volume: float) -> None:
        """Play one period of the ring on a speaker, "" the system's; one that plays ends."""
        self._play(device, tones.ring(), volume)

    def echo_test(self) -> None:
        """Record what the microphone hears from now on, then play it on the speaker."""
        if self._sound is not None:
            self._sound.stop()
        self._plays_back = False
        self._recording = []

    def state(self) -> TrialChanged:
        """How everything does now."""
        sound, camera, microphone = self._sound, self._camera, self._microphone
        playing = sound is not None and sound.playing
        return TrialChanged(
            level_dbfs=_shown(self._meter.recent_dbfs),
            raw_level_dbfs=_shown(self._processor.meter.recent_dbfs),
            microphone=microphone.problem if microphone is not None else None,
            speaker=sound.problem if sound is not None else None,
            camera=camera.problem if camera is not None else None,
            echo_test="recording" if self._recording is not None else "playing" if playing and self._plays_back else "",
        )

    def close(self) -> None:
        """Release everything; blocks for some seconds at most."""
        if self._sound is not None:
            self._sound.stop()
        workers = [worker for worker in (*self._old, self._listening, self._watching) if worker is not None]
        for worker in workers:
            worker.stop()
        for worker in workers:
            worker.join(_CLOSE_S)

    def _play(self, device: str, sound: AudioFrame, volume: float) -> None:
        if self._sound is not None:
            self._sound.stop()
        self._sound = RingPlayer(volume, device, sound=sound, repeat=False)
        self._sound.start()

    def _listen(self, stopping: threading.Event) -> None:
        assert self._microphone is not None
        source, started = processed(self._microphone, self._processor), threading.Event()
        hearing = Hearing(source, self._take, started)
        try:
            source.start()
            started.set()
            while not stopping.wait(hearing.turn()):
                self._play_back()
        finally:
            source.close()

    def _take(self, frame: AudioFrame, at: float) -> None:
        self._meter.add(frame)
        recording = self._recording
        if recording is not None and not _is_whole(recording):
            recording.append(frame)

    def _play_back(self) -> None:
        recording, media = self._recording, self._media
        if recording is not None and media is not None and _is_whole(recording):
            self._play(media.speaker, np.concatenate(recording), 1.0)
            self._plays_back = True
            self._recording = None

    def _watch(self, source: VideoSource, stopping: threading.Event) -> None:
        sink = MailboxSink(self._mailbox)
        try:
            source.start()
            while not stopping.is_set():
                captured = source.read_frame(_PICTURE_WAIT_S)
                if captured is not None:
                    sink.show(captured)
        finally:
            source.close()


def _is_whole(recording: list[AudioFrame]) -> bool:
    return len(recording) * _TICK_S >= RECORD_S


def _shown(level: float | None) -> float | None:
    return None if level is None else round(level, 1)
