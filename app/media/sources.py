"""Where sound and picture come from: silence, a tone; and which source settings name."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from app.media.files import FileAudioSource, FileVideoSource, probe
from app.media.pattern import PatternSource
from app.media.pictures import NoVideo
from app.media.ports import FRAME_SAMPLES, SAMPLE_RATE_HZ, SILENCE, AudioFrame, AudioSource, VideoSource
from app.media.tones import to_int16
from app.settings import MediaSettings, is_shared

_TONE_PEAK = 0.5
_HIGHEST_TONE_HZ = 20_000.0


def open_audio_source(settings: MediaSettings) -> tuple[AudioSource, str | None]:
    """Give what `settings.audio_from` names, and one sentence where it cannot be had; touches no device yet."""
    wanted = settings.audio_from
    if wanted == "mic":
        from app.media.microphone import MicrophoneSource

        return MicrophoneSource(settings.microphone), None
    if wanted == "silence":
        return SilenceSource(), None
    if wanted.startswith("tone:"):
        hz = _tone_frequency(wanted[len("tone:") :])
        if hz is None:
            problem = f"{wanted[:40]!r} is not tone:HZ with a frequency from 20 to 20000: others hear silence."
            return SilenceSource(problem), problem
        return ToneSource(hz), None
    trouble = probe(Path(wanted), "audio")
    if trouble is not None:
        problem = f"{trouble}: others hear silence."
        return SilenceSource(problem), problem
    return FileAudioSource(Path(wanted)), None


def open_video_source(settings: MediaSettings) -> tuple[VideoSource, str | None]:
    """Give what `settings.video_from` names, and one sentence where it cannot be had; touches no device yet."""
    wanted, width, height, fps = settings.video_from, settings.width, settings.height, settings.fps
    if wanted == "camera":
        from app.media.camera import CameraSource

        return CameraSource(settings.camera, width, height, fps), None
    if wanted == "pattern":
        return PatternSource(width, height, fps, label="Test picture"), None
    if wanted == "none":
        return NoVideo(), None
    if is_shared(wanted):
        from app.media.screen_source import ScreenSource

        return ScreenSource(wanted, fps), None
    trouble = probe(Path(wanted), "video")
    if trouble is not None:
        problem = f"{trouble}: others see a test picture."
        return PatternSource(width, height, fps, label="No picture", problem=problem), problem
    return FileVideoSource(Path(wanted), width, height, fps), None


def _tone_frequency(text: str) -> float | None:
    try:
        hz = float(text)
    except ValueError:
        return None
    return hz if 20.0 <= hz <= _HIGHEST_TONE_HZ else None


class SilenceSource:
    """Gives silence; `problem` is the sentence that says why it stands in for something else."""

    description = "silence"

    def __init__(self, problem: str | None = None) -> None:
        self.problem = problem

    def start(self) -> None:
        """There is nothing to start."""

    def read_frame(self) -> AudioFrame:
        return SILENCE

    def close(self) -> None:
        """There is nothing to release."""


class ToneSource:
    """Gives an endless sine of `hz`, half of full scale, without a jump from frame to frame."""

    problem: str | None = None

    def __init__(self, hz: float) -> None:
        self.hz = hz
        self.description = f"tone of {hz:g} Hz"
        self._turns = 0.0
        self._steps = np.arange(FRAME_SAMPLES) * (hz / SAMPLE_RATE_HZ)

    def start(self) -> None:
        """There is nothing to start."""

    def read_frame(self) -> AudioFrame:
        frame = to_int16(_TONE_PEAK * np.sin(2 * np.pi * (self._turns + self._steps)))
        self._turns = (self._turns + FRAME_SAMPLES * self.hz / SAMPLE_RATE_HZ) % 1.0
        return frame

    def close(self) -> None:
        """There is nothing to release."""
