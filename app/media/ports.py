"""Where sound and picture enter and leave the RTP side: the protocols that sources and sinks fulfil.

The RTP session knows devices, files and test pictures only through these. Audio is 48 kHz, mono, int16, in frames of
20 ms: numpy arrays of shape (960,). Video frames are `av.VideoFrame` in yuv420p with even width and height.

Threads: every method of a source or sink is called from worker threads of the session, never from an event loop.
`start` and `close` may block for as long as a device takes (seconds); the others must not, except where a timeout is
given. `start` raises nothing: a device that cannot be opened leaves its sentence in `problem`; the source then gives
silence or a labelled test picture, the sink swallows what it is given. `close` may be called twice and before `start`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from app.frames import FrameMailbox
from app.settings import MediaSettings

if TYPE_CHECKING:
    from av import VideoFrame
else:
    VideoFrame = Any

SAMPLE_RATE_HZ = 48_000
FRAME_MS = 20
FRAME_SAMPLES = 960

AudioFrame = npt.NDArray[np.int16]
"""20 ms of mono sound: shape (960,), dtype int16, 48 kHz."""

SILENCE: AudioFrame = np.zeros(FRAME_SAMPLES, np.int16)
SILENCE.flags.writeable = False


@dataclass(frozen=True, slots=True, eq=False)
class CapturedFrame:
    """One picture from a source: yuv420p, even sizes; `captured_at` is time.monotonic() in seconds at capture.

    `orientation` says how it is to be turned before it is shown, as in rotation.py; `is_lettered` that it has words to
    be read, which a mirror would spoil.
    """

    frame: VideoFrame
    captured_at: float
    orientation: int = 0
    is_lettered: bool = False


Drawn = tuple[AudioFrame, AudioFrame | None]
"""20 ms to play: the middle and the side (app.media.mixer); a side that is None is silence."""

MakeFrame = Callable[[float], Drawn]
"""Makes the next 20 ms, which are asked for at this time of the monotonic clock, in seconds."""


TakeFrame = Callable[[AudioFrame, float], None]
"""Takes the next 20 ms, which were whole at this time of the monotonic clock, in seconds; may keep them unchanged."""


class AudioSource(Protocol):
    """Something to hear: a microphone (a DeviceSource), or a file, a tone, silence (FileSources)."""

    @property
    def description(self) -> str:
        """What it is, for a person: "USB Headset", "tone of 440 Hz"."""

    @property
    def problem(self) -> str | None:
        """One sentence when it is not what was asked for; None otherwise. May change while it runs."""

    def start(self) -> None:
        """Begin to capture; nothing is captured before."""

    def close(self) -> None:
        """Stop and release the device."""


@runtime_checkable
class FileSource(AudioSource, Protocol):
    """A source without a clock of its own (a file, a tone, silence): one frame is read every 20 ms."""

    def read_frame(self) -> AudioFrame:
        """Give the next 20 ms; silence when nothing is ready. The caller may not change it."""


@runtime_checkable
class DeviceSource(AudioSource, Protocol):
    """A source that hands its frames over as its device hears them, in the device's own thread.

    A backlog of more than about 60 ms is dropped by the source, oldest first, so that delay cannot grow.
    """

    @property
    def hears(self) -> bool:
        """Whether a device gives frames."""

    def hand_to(self, take: TakeFrame) -> None:
        """Have `take` take each frame from now on, one call at a time; it has some milliseconds."""

    def stand_in(self) -> float:
        """Hand over the silence that is due while no device hears; give after how long to ask again."""


def is_lost(source: AudioSource) -> bool:
    """Whether it is known that its device is not there (see MicrophoneSource); never of what is no device."""
    lost: bool = getattr(source, "is_lost", False)
    return lost


class AudioSink(Protocol):
    """Somewhere to play: a speaker (a DeviceSink), a WAV file or nowhere (a FileSink)."""

    @property
    def description(self) -> str:
        """What it is, for a person."""

    @property
    def problem(self) -> str | None:
        """One sentence when it is not what was asked for; None otherwise."""

    def start(self) -> None:
        """Open the device or file."""

    @property
    def delay_s(self) -> float | None:
        """How long a frame that is made now takes to be heard, about, in seconds; None where nobody hears it."""

    @property
    def underruns(self) -> int:
        """How often the device found nothing to play."""

    def close(self) -> None:
        """Finish the file or release the device."""


@runtime_checkable
class FileSink(AudioSink, Protocol):
    """A sink without a clock of its own (a file, nowhere): one frame is written every 20 ms."""

    def write_frame(self, frame: AudioFrame) -> None:
        """Take 20 ms that follow what was written before; keeps no reference."""


@runtime_checkable
class DeviceSink(AudioSink, Protocol):
    """A sink that has frames made as its device takes them, in the device's own thread."""

    def draw_from(self, make: MakeFrame) -> None:
        """Have `make` give each frame from now on, one call at a time; it has some milliseconds."""

    def stand_in(self) -> float:
        """Have the frame made, for nobody, that is due while no device takes any; give after how long to ask again.

        So the sound goes on at its pace while a device opens, stands still or is not there.
        """


@runtime_checkable
class DeviceEnd(Protocol):
    """A source or sink of sound that is a device, and can become another one while it runs."""

    def use(self, device: str) -> None:
        """Go on with the device of this name, "" the system's; returns at once, from any thread."""


@runtime_checkable
class RestingEnd(Protocol):
    """A sink that costs next to nothing while nothing is played; `rest` and `wake` from the thread that
    looks after it."""

    def rest(self) -> None:
        """Nothing is made or written until `wake`; what was is played."""

    def wake(self) -> None:
        """Frames are made again."""


class VideoSource(Protocol):
    """Something to see: a camera, a file, the test picture, a screen, nothing."""

    @property
    def is_screen(self) -> bool:
        """Whether it shows text and windows: small letters then count for more than smooth movement."""

    @property
    def description(self) -> str:
        """What it is, for a person."""

    @property
    def problem(self) -> str | None:
        """One sentence when it is not what was asked for; None otherwise. May change while it runs."""

    def start(self) -> None:
        """Begin to capture; nothing is captured and no camera light is on before."""

    def read_frame(self, timeout_s: float) -> CapturedFrame | None:
        """Wait up to `timeout_s` for a picture that was not given yet and give the newest; None when none came.

        The source paces itself at the asked frame rate. The caller may keep the frame, and may not write into it.
        """

    def close(self) -> None:
        """Stop and release the device; a waiting read_frame returns None soon."""


class Preview(Protocol):
    """Where one's own picture is shown, from the thread that captures it."""

    def show(self, captured: CapturedFrame) -> None:
        """Take a picture as it was captured; turning it upright and converting it to BGRA happens here."""


class VideoSink(Protocol):
    """Somewhere to show: a mailbox for a window, a video file, nowhere."""

    @property
    def problem(self) -> str | None:
        """One sentence when it is not what was asked for; None otherwise."""

    def start(self) -> None:
        """Open the file."""

    def write_frame(self, frame: VideoFrame, at: float) -> None:
        """Take one picture (yuv420p, its size may change between frames); `at` is monotonic seconds.

        Called in the decoder's or the capturer's worker thread; converting to BGRA happens here. Must keep up or skip.
        """

    def close(self) -> None:
        """Finish the file."""


class MediaDevices(Protocol):
    """Opens what the settings name. Every call gives an object, at worst silence, a test picture or nothing.

    The default one uses `app.media.sources.open_audio_source(settings)`, `open_video_source(settings)`,
    `app.media.sinks.open_audio_sink(settings)`, `open_video_sink(settings, mailbox)` and `MailboxSink(mailbox)`;
    the first four give (object, problem sentence or None). None of them touches a device before `start`.
    """

    def audio_source(self, settings: MediaSettings) -> AudioSource: ...

    def audio_sink(self, settings: MediaSettings) -> AudioSink: ...

    def video_source(self, settings: MediaSettings) -> VideoSource: ...

    def video_sink(self, settings: MediaSettings, mailbox: FrameMailbox) -> VideoSink: ...

    def preview(self, mailbox: FrameMailbox) -> Preview: ...
