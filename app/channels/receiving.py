"""What of a channel is heard: a jitter buffer for each talker, and all of them together.

Used on one thread, the one that plays. A talker's buffer lives from the first packet of a burst until the sound of it
has been played, or until a while after its end. Pure: `now` comes in, and the buffers are made by whoever knows codecs.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from app.channels.burst_record import LevelTrace
from app.channels.talkers import MOST_TALKERS
from app.media.mixer import Limiter, Volume

Sound = npt.NDArray[np.int16]

FRAME = 960  # samples: 20 ms at 48 kHz
MOST_VOICES = 2 * MOST_TALKERS  # some have ended and are still heard
MOST_GAINS = 4 * MOST_VOICES
KEPT_S = 1.0  # after the end of a burst
UNHEARD_S = 5.0  # without packets and without an end


class Buffer(Protocol):
    """A jitter buffer; `app.media.jitter.Playout` is one."""

    concealed_samples: int
    delay_s: float | None

    @property
    def is_empty(self) -> bool: ...

    def push(self, sequence: int, timestamp: int, payload_type: int, payload: bytes, now: float) -> None: ...

    def next_frame(self, now: float) -> Sound: ...


@dataclass(frozen=True, slots=True)
class VoiceFigures:
    """How one burst is played. `delay_s`: how long its sound waits here."""

    concealed_ms: int
    delay_s: float | None


class _Voice:
    __slots__ = ("buffer", "ended_at", "gain", "heard_at", "levels", "volume")

    def __init__(self, buffer: Buffer, now: float, gain: float) -> None:
        self.buffer = buffer
        self.volume = Volume()
        self.levels = LevelTrace()
        self.gain = gain
        self.heard_at = now
        self.ended_at: float | None = None


class Receiving:
    """The voices of one channel, by SSRC."""

    def __init__(self, make_buffer: Callable[[], Buffer]) -> None:
        self._make_buffer = make_buffer
        self._voices: dict[int, _Voice] = {}
        self._gains: dict[int, float] = {}  # of voices that are or were: one that goes on is as loud as before
        self._limiter = Limiter()

    def __len__(self) -> int:
        """How many buffers there are."""
        return len(self._voices)

    def push(self, ssrc: int, sequence: int, timestamp: int, payload_type: int, payload: bytes, now: float) -> None:
        """Take a packet with sound; `sequence` is extended, `now` when it came."""
        voice = self._voices.get(ssrc)
        if voice is None:
            if len(self._voices) >= MOST_VOICES:
                del self._voices[min(self._voices, key=lambda one: self._voices[one].heard_at)]
            voice = self._voices[ssrc] = _Voice(self._make_buffer(), now, self._gains.get(ssrc, 0.0))
        voice.heard_at = now
        voice.buffer.push(sequence, timestamp, payload_type, payload, now)

    def begin(self, ssrc: int) -> None:
        """The burst begins, or goes on after a silence that was taken for its end."""
        voice = self._voices.get(ssrc)
        if voice is not None:
            voice.ended_at = None

    def end(self, ssrc: int, now: float) -> None:
        """The burst is over: what waits is still played."""
        voice = self._voices.get(ssrc)
        if voice is not None and voice.ended_at is None:
            voice.ended_at = now

    def set_gain(self, ssrc: int, gain: float) -> None:
        """Let a talker be as loud as this; 0: not heard, but kept in step."""
        self._gains.pop(ssrc, None)
        self._gains[ssrc] = gain
        if len(self._gains) > MOST_GAINS:
            del self._gains[next(iter(self._gains))]
        voice = self._voices.get(ssrc)
        if voice is not None:
            voice.gain = gain

    def frame(self, now: float) -> Sound | None:
        """Give the next 20 ms of all that are heard, for a device that plays it at `now`; None: nobody is."""
        together: npt.NDArray[np.float32] | None = None
        for ssrc, voice in list(self._voices.items()):
            if self._is_over(voice, now):
                del self._voices[ssrc]
                continue
            is_done = voice.ended_at is not None and voice.buffer.is_empty
            sound = voice.buffer.next_frame(now)
            as_float = sound.astype(np.float32)
            if not is_done:
                voice.levels.add(float(np.dot(as_float, as_float)) / len(sound))
            gain = 0.0 if is_done else voice.gain
            if gain or not voice.volume.is_silent:
                shaped = voice.volume.shape(sound, gain).astype(np.float32, copy=False)
                together = shaped if together is None else together + shaped
        if together is None and self._limiter.is_idle:
            return None
        return self._limiter.apply(np.zeros(FRAME, np.float32) if together is None else together)

    def take_levels(self, ssrc: int) -> tuple[int, ...]:
        """Give how loud a burst was since this was asked last, while it is known here; from any thread."""
        voice = self._voices.get(ssrc)
        if voice is None:
            return ()
        levels, voice.levels = voice.levels, LevelTrace()
        return levels.levels()

    def figures(self, ssrc: int) -> VoiceFigures | None:
        """Tell how a burst is played, while it is known here."""
        voice = self._voices.get(ssrc)
        if voice is None:
            return None
        return VoiceFigures(voice.buffer.concealed_samples // 48, voice.buffer.delay_s)

    def _is_over(self, voice: _Voice, now: float) -> bool:
        if voice.ended_at is not None:
            return now - voice.ended_at > KEPT_S
        return now - voice.heard_at > UNHEARD_S
