"""The sound of all joined channels: one microphone for those that talk, one speaker for those that are heard.

Both are what the settings name, as those of a call are, and shared with calls: the speaker's output mixes whatever
plays on it, and a microphone is opened once for all who listen to it. The microphone is open while a burst goes out and
for a while after, so that the next one does not wait for it: a burst begins when the microphone hears. A speaker
rests while nothing sounds on any channel, and nothing here runs then; a file goes on with silence. Impure: threads.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Protocol

import numpy as np

from app.media.channel_tones import ChannelTone, channel_tone
from app.media.hearing import Hearing
from app.media.mixer import Limiter, Place, limited_halves
from app.media.playing import Turns
from app.media.ports import (
    FRAME_SAMPLES,
    SILENCE,
    AudioFrame,
    AudioSink,
    AudioSource,
    DeviceEnd,
    DeviceSink,
    DeviceSource,
    Drawn,
    RestingEnd,
    is_lost,
)
from app.media.priority import for_sound
from app.media.processing import ProcessedSource, Switches, VoiceProcessor, is_processed, processed
from app.media.sinks import open_audio_sink
from app.media.sources import open_audio_source
from app.media.worker import Worker
from app.settings import MediaSettings

log = logging.getLogger(__name__)

READY_S = 30.0  # the microphone stays open for so long after a burst
DEAF_AFTER_S = 1.0  # without a frame: it hangs, or its sound server does not say that it was unplugged
LOST_AFTER_S = 0.5  # where it is known that it was
REST_AFTER_S = 0.5  # of nothing to play
CLOSE_S = 3.0
_IDLE_S = 0.5
_MOST_TONES = 4


class ChannelSound(Protocol):
    """A channel as far as sound goes; see app.channels.channel_session.ChannelSession."""

    pan: float

    @property
    def capturing(self) -> bool: ...

    def hear(self, block: AudioFrame) -> None: ...

    def play(self, samples: int) -> AudioFrame | None: ...

    @property
    def is_quiet(self) -> bool: ...


class ChannelSounds:
    """Opened with the first channel, closed by `close`; `add` and what else is public from the loop.

    `on_hearing`: `is_hearing` is another one now; from any thread.
    """

    def __init__(self, media: MediaSettings, on_hearing: Callable[[], None]) -> None:
        self._processor = VoiceProcessor(Switches.of(media))
        self._capture = _Capture(media, self._processor, on_hearing)
        self._player = _Player(media, self._processor)

    @property
    def problems(self) -> tuple[str, ...]:
        """One sentence for each device that is not what was asked for."""
        return tuple(one for one in (self._capture.problem, self._player.problem) if one)

    @property
    def is_hearing(self) -> bool:
        """Whether the microphone is open and hears; what stands for one always does."""
        return self._capture.is_hearing

    def add(self, sound: ChannelSound) -> None:
        self._capture.sounds = (*self._capture.sounds, sound)
        self._player.sounds = (*self._player.sounds, sound)
        self._player.start()

    def remove(self, sound: ChannelSound) -> None:
        self._capture.sounds = tuple(one for one in self._capture.sounds if one is not sound)
        self._player.sounds = tuple(one for one in self._player.sounds if one is not sound)

    def capture(self) -> None:
        """Some channel wants to hear the microphone now."""
        self._capture.start()

    def wake(self) -> None:
        """Some channel has something to play now."""
        self._player.wake()

    def tone(self, name: str) -> None:
        """Let the person at the key hear a tone, by its name in ChannelTone."""
        self._player.tone(ChannelTone[name])

    def use(self, media: MediaSettings) -> None:
        """Go on with other devices."""
        self._processor.use(Switches.of(media))
        self._capture.use(media)
        self._player.use(media)

    def close(self) -> None:
        """Release the devices; blocks for as long as that takes."""
        self._capture.close()
        self._player.close()


class _Capture:
    """Reads the microphone, or what stands for it, while a channel wants to hear it."""

    def __init__(self, media: MediaSettings, processor: VoiceProcessor, on_hearing: Callable[[], None]) -> None:
        self.sounds: tuple[ChannelSound, ...] = ()
        self.is_hearing = media.audio_from != "mic"
        self._media = media
        self._processor = processor
        self._on_hearing = on_hearing
        self._source: AudioSource | None = None
        self._worker: Worker | None = None
        self._wanted = threading.Event()
        self._heard_at = 0.0
        self._starting = threading.Lock()

    @property
    def problem(self) -> str | None:
        source = self._source
        return None if source is None else source.problem

    def start(self) -> None:
        with self._starting:
            self._wanted.set()
            if self._worker is None:
                self._worker = Worker("channel-capture", self._run)
                self._worker.start()

    def use(self, media: MediaSettings) -> None:
        before, self._media = self._media, media
        source = self._source
        if before.audio_from != media.audio_from:
            self.close()
            self._set_hearing(media.audio_from != "mic")
            if self._is_wanted():
                self.start()
        elif isinstance(source, ProcessedSource) and isinstance(source.source, DeviceEnd):
            source.source.use(media.microphone)

    def close(self) -> None:
        with self._starting:
            worker, self._worker = self._worker, None
        if worker is not None:
            worker.stop()
            self._wanted.set()
            worker.join(CLOSE_S)

    def _run(self, stopping: threading.Event) -> None:
        for_sound()
        source, _ = open_audio_source(self._media)
        if is_processed(source, self._media):
            source = processed(source, self._processor)
        with self._starting:
            self._source = source
        started = threading.Event()

        def open_source(_: threading.Event) -> None:
            source.start()
            started.set()

        opening = Worker("channel-capture-open", open_source)  # packets do not wait for a device
        opening.start()
        try:
            self._pump(stopping, source, started)
        finally:
            opening.join(CLOSE_S)
            self._tell_of(source, self._media.audio_from != "mic", is_over=True)
            source.close()

    def _tell_of(self, source: AudioSource, is_hearing: bool, *, is_over: bool = False) -> None:
        """Say whether a source hears, unless the next one has taken its place: the thread of one may outlast it."""
        with self._starting:
            if self._source is source:
                self._source = None if is_over else source
                self._set_hearing(is_hearing)

    def _set_hearing(self, is_hearing: bool) -> None:
        if is_hearing != self.is_hearing:
            self.is_hearing = is_hearing
            self._on_hearing()

    def _pump(self, stopping: threading.Event, source: AudioSource, started: threading.Event) -> None:
        device = source if isinstance(source, DeviceSource) else None

        def take(frame: AudioFrame, at: float) -> None:
            if device is not None and device.hears:
                self._heard_at = at
                if not self.is_hearing:
                    self._tell_of(source, True)
            for sound in self.sounds:
                if sound.capturing:
                    sound.hear(frame)

        hearing, wait_s = Hearing(source, take, started), 0.0
        wanted_at = self._heard_at = time.monotonic()
        while not stopping.wait(wait_s):
            now, is_wanted = time.monotonic(), self._is_wanted()
            if is_wanted:
                wanted_at = now
            elif device is None:  # a file goes on where the burst before has ended
                self._wanted.clear()
                if not self._is_wanted():
                    self._wanted.wait(_IDLE_S)
                    hearing.begin()
                wait_s = 0.0
                continue
            elif now - wanted_at > READY_S:
                if self._end(stopping):
                    return
                wanted_at = now
            wait_s = hearing.turn()
            if device is None or device.hears:
                continue
            if now - self._heard_at > (LOST_AFTER_S if is_lost(source) else DEAF_AFTER_S):
                self._tell_of(source, False)

    def _is_wanted(self) -> bool:
        return any(sound.capturing for sound in self.sounds)

    def _end(self, stopping: threading.Event) -> bool:
        """Nobody has talked for a while; False where somebody just began to."""
        with self._starting:
            if self._is_wanted():
                return False
            if not stopping.is_set():
                self._worker = None
            return True


class _Player:
    """Plays all channels together, at the pace of the sink; `wake` when there is something to play again."""

    def __init__(self, media: MediaSettings, processor: VoiceProcessor) -> None:
        self.sounds: tuple[ChannelSound, ...] = ()
        self._media = media
        self._processor = processor
        self._sink: AudioSink | None = None
        self._is_wide = False  # the sink plays left and right
        self._worker: Worker | None = None
        self._tones: deque[AudioFrame] = deque(maxlen=_MOST_TONES)
        self._tone: AudioFrame | None = None
        self._awake = threading.Event()
        self._busy_at = 0.0  # when there was something to play
        self._limiter = Limiter()
        self._places: dict[ChannelSound, Place] = {}
        self._failed: ChannelSound | None = None  # lately

    @property
    def problem(self) -> str | None:
        sink = self._sink
        return None if sink is None else sink.problem

    def start(self) -> None:
        if self._worker is None:
            self._worker = Worker("channel-play", self._run)
            self._worker.start()

    def tone(self, kind: ChannelTone) -> None:
        if self._media.audio_to == "speaker":  # a file is of what was heard on the channels
            self._tones.append(channel_tone(kind))
            self.wake()

    def wake(self) -> None:
        if not self._awake.is_set():
            self._awake.set()

    def use(self, media: MediaSettings) -> None:
        before, self._media = self._media, media
        if before.audio_to != media.audio_to:
            self.close()
            if self.sounds:
                self.start()
        elif isinstance(self._sink, DeviceEnd):
            self._sink.use(media.speaker)

    def close(self) -> None:
        worker, self._worker = self._worker, None
        if worker is not None:
            worker.stop()
            self.wake()
            worker.join(CLOSE_S)

    def _run(self, stopping: threading.Event) -> None:
        for_sound()
        sink, _ = open_audio_sink(self._media)
        if hasattr(sink, "on_played"):
            sink.on_played = self._processor.played
        self._sink = sink
        try:
            sink.start()
            self._is_wide = isinstance(sink, DeviceSink)
            self._pump(sink, stopping)
        finally:
            self._sink = None
            sink.close()

    def _pump(self, sink: AudioSink, stopping: threading.Event) -> None:
        turns = Turns(sink, self._next)
        self._busy_at = time.monotonic()
        while not stopping.wait(turns.turn()):
            if time.monotonic() - self._busy_at > REST_AFTER_S and isinstance(sink, RestingEnd):
                self._rest(sink, stopping)
                self._busy_at = time.monotonic()
                turns.begin()

    def _rest(self, sink: RestingEnd, stopping: threading.Event) -> None:
        """Return when there may be something to play; what comes meanwhile waits in the channels."""
        self._awake.clear()
        if not stopping.is_set() and not self._tones and all(sound.is_quiet for sound in self.sounds):
            sink.rest()
            self._awake.wait()
            sink.wake()

    def _next(self, due: float) -> Drawn:
        """Make the next 20 ms: between left and right where a channel was put there and the sink has both."""
        places, self._places = self._places, {}
        parts = []
        for sound in self.sounds:
            place = self._places[sound] = places.get(sound) or Place()
            part = self._played(sound)
            if part is not None:
                parts.append((part, place, sound.pan))
        tone = self._next_of_tone()
        if parts or tone is not None or not self._limiter.is_idle:
            self._busy_at = time.monotonic()
        if self._is_wide and any(pan or not place.is_middle for _, place, pan in parts):
            wide = np.zeros((FRAME_SAMPLES, 2), np.float32)
            for part, place, pan in parts:
                wide += place.shape(part, pan)
            if tone is not None:
                wide += tone[:, None]
            return limited_halves(wide, self._limiter)
        return self._mixed([part for part, _, _ in parts] + ([] if tone is None else [tone])), None

    def _played(self, sound: ChannelSound) -> AudioFrame | None:
        """Give what a channel plays; one that fails is silent for that long, and told once, and the others go on."""
        try:
            return sound.play(FRAME_SAMPLES)
        except Exception:
            if self._failed is not sound:
                self._failed = sound
                log.exception("a channel could not be played")
            return None

    def _next_of_tone(self) -> AudioFrame | None:
        tone = self._tone if self._tone is not None else self._tones.popleft() if self._tones else None
        if tone is None:
            return None
        self._tone = tone[FRAME_SAMPLES:] if len(tone) > FRAME_SAMPLES else None
        piece = tone[:FRAME_SAMPLES]
        return np.pad(piece, (0, FRAME_SAMPLES - len(piece)))

    def _mixed(self, parts: list[AudioFrame]) -> AudioFrame:
        if len(parts) == 1 and self._limiter.is_idle:
            return parts[0]
        if not parts and self._limiter.is_idle:
            return SILENCE
        together = np.zeros(FRAME_SAMPLES, np.float32)
        for part in parts:
            together += part
        return self._limiter.apply(together)
