"""The microphone's sound on its way to the encoder: echo out, noise down, one level; each can be switched at any time.

`VoiceProcessor` does it, `ProcessedSource` puts it behind a microphone. Files and tones go out as they are unless the
settings ask otherwise: nobody wants a test tone taken for noise.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from app.media import cleaning
from app.media.echo_canceller import DELAY_S, EchoCanceller
from app.media.levels import LevelMeter, mean_square, to_dbfs
from app.media.ports import AudioFrame, AudioSource, DeviceSource, FileSource, TakeFrame, is_lost
from app.media.sound_device import Block
from app.media.voice import VoiceDetector
from app.media.worker import Worker
from app.settings import MediaSettings

_FULL_SCALE = np.float32(32768.0)


@dataclass(frozen=True, slots=True)
class Switches:
    """What is done to the sound."""

    echo_cancellation: bool = True
    noise_suppression: bool = True
    gain_control: bool = True

    @classmethod
    def of(cls, settings: MediaSettings) -> Switches:
        return cls(settings.echo_cancellation, settings.noise_suppression, settings.gain_control)


class VoiceProcessor:
    """Frames of 20 ms in, frames of 20 ms out, `delay_s` later. `use` and the figures may be called from any thread.

    `load` looks for libwebrtc; until it was found, and where it is not, plain means stand in.
    """

    def __init__(self, switches: Switches) -> None:
        self.meter = LevelMeter()  # of the raw sound
        self.cleaned_meter = LevelMeter()
        self._switches = switches
        self._library: Callable[..., Any] | None = None
        self._canceller = EchoCanceller() if switches.echo_cancellation else None
        self._cleaner: cleaning.Cleaner | None = None
        self._cleaner_of: tuple[object, ...] | None = None
        self._voice = VoiceDetector()

    def load(self) -> None:
        """Load what takes long; not on a loop's thread."""
        self._library = cleaning.webrtc_library()

    def use(self, switches: Switches) -> None:
        """Do other things to the sound, from the next frame on."""
        self._switches = switches

    @property
    def switches(self) -> Switches:
        """What is done now."""
        return self._switches

    @property
    def erle_db(self) -> float | None:
        """How much quieter the echo becomes; None while there is none, or nothing is done about it."""
        canceller = self._canceller
        return canceller.erle_db if canceller is not None else None

    @property
    def delay_s(self) -> float:
        """By how much later the sound comes out."""
        cleaner = self._cleaner
        delay_s = cleaner.DELAY_S if isinstance(cleaner, cleaning.WebrtcCleaner) else 0.0
        return delay_s + (DELAY_S if self._canceller is not None else 0.0)

    @property
    def speaking(self) -> bool:
        """Whether somebody speaks here."""
        return self._voice.speaking

    def played(self, block: Block, delay_s: float) -> None:
        """Take what a speaker is about to play, in the speaker's thread; it will be heard `delay_s` from now."""
        canceller = self._canceller
        if canceller is not None:
            canceller.played(block, time.monotonic() + delay_s)

    def process(self, frame: AudioFrame, delay_s: float) -> AudioFrame:
        """Clean one frame whose first sample was heard `delay_s` ago."""
        raw, square = frame, self.meter.add(frame)
        switches = self._switches
        canceller = self._canceller
        if switches.echo_cancellation != (canceller is not None):
            self._canceller = canceller = EchoCanceller() if switches.echo_cancellation else None
        if canceller is not None:
            heard = frame.astype(np.float32) / _FULL_SCALE
            cleaned = canceller.process(heard, time.monotonic() - delay_s) * _FULL_SCALE
            frame = np.clip(cleaned, -32768, 32767).astype(np.int16)
        frame = self._clean(frame, switches)
        if frame is not raw:
            square = mean_square(frame)
        self.cleaned_meter.count(square)
        self._voice.add(to_dbfs(square))
        return frame

    def _clean(self, frame: AudioFrame, switches: Switches) -> AudioFrame:
        wanted = (self._library, switches.noise_suppression, switches.gain_control)
        if wanted != self._cleaner_of:
            self._cleaner_of = wanted
            self._cleaner = self._new_cleaner(switches)
        return self._cleaner.process(frame) if self._cleaner is not None else frame

    def _new_cleaner(self, switches: Switches) -> cleaning.Cleaner | None:
        noise, gain = switches.noise_suppression, switches.gain_control
        if not noise and not gain:
            return None
        if self._library is None:
            return cleaning.PlainCleaner(noise_suppression=noise, gain_control=gain)
        return cleaning.WebrtcCleaner(self._library, noise_suppression=noise, gain_control=gain)


class ProcessedSource:
    """What all have that stand behind a processor; fulfils `app.media.ports.AudioSource`."""

    def __init__(self, source: DeviceSource | FileSource, processor: VoiceProcessor) -> None:
        self.source: DeviceSource | FileSource = source
        self.processor = processor
        self._loading = Worker("audio-cleaning", self._load)

    @property
    def description(self) -> str:
        return self.source.description

    @property
    def problem(self) -> str | None:
        return self.source.problem

    @property
    def meter(self) -> LevelMeter:
        """Of what comes out."""
        return self.processor.cleaned_meter

    @property
    def delay_s(self) -> float:
        """From a sound at the microphone to the frame that it comes out in."""
        return captured_s(self.source) + self.processor.delay_s

    @property
    def is_lost(self) -> bool:
        """See MicrophoneSource."""
        return is_lost(self.source)

    def start(self) -> None:
        self._loading.start()
        self.source.start()

    def close(self) -> None:
        self.source.close()

    def _load(self, stopping: threading.Event) -> None:
        self.processor.load()


class ProcessedFile(ProcessedSource):
    """A file, or the like, behind a processor; fulfils `app.media.ports.FileSource`."""

    def __init__(self, source: FileSource, processor: VoiceProcessor) -> None:
        super().__init__(source, processor)
        self._file = source

    def read_frame(self) -> AudioFrame:
        return self.processor.process(self._file.read_frame(), captured_s(self._file))


class ProcessedDevice(ProcessedSource):
    """A microphone behind a processor, which works in the device's thread; fulfils `app.media.ports.DeviceSource`."""

    def __init__(self, source: DeviceSource, processor: VoiceProcessor) -> None:
        super().__init__(source, processor)
        self._device = source

    @property
    def hears(self) -> bool:
        return self._device.hears

    def hand_to(self, take: TakeFrame) -> None:
        device, process = self._device, self.processor.process
        device.hand_to(lambda frame, at: take(process(frame, captured_s(device)), at))

    def stand_in(self) -> float:
        return self._device.stand_in()


def processed(source: AudioSource, processor: VoiceProcessor) -> ProcessedSource:
    """Put a source behind a processor."""
    if isinstance(source, DeviceSource):
        return ProcessedDevice(source, processor)
    assert isinstance(source, FileSource)
    return ProcessedFile(source, processor)


def captured_s(source: AudioSource) -> float:
    """How long ago the first sample of a frame that is read now was heard; a frame's length for what is no device."""
    delay_s: float = getattr(source, "delay_s", 0.020)
    return delay_s


def is_processed(source: AudioSource, settings: MediaSettings) -> bool:
    """Whether a processor belongs behind it: behind a device always, behind the rest where the settings ask for it."""
    return hasattr(source, "delay_s") or settings.process_files
