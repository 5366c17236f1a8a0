"""Plays a stored burst through the speaker that it shares with calls and channels, or keeps it in a file. Not pure."""

from __future__ import annotations

import threading
import time
import wave
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np

from app.channels.burst_sound import RATE
from app.media import outputs
from app.media.mixer import Volume
from app.media.sample_ring import SampleRing
from app.media.sound_device import Block
from app.media.speech import Sound
from app.media.worker import Worker

AHEAD_SAMPLES = RATE // 2
_RING_SAMPLES = 2 * RATE
_STALLED_AFTER_S = 0.2
_OPENING_S = 5.0  # a speaker that is being opened is waited for


class TimelinePlayer:
    """Plays sound once at the speed it was said at. `on_end` is called once, on a thread of the player's.

    `device` is a name from the device list, "" follows the system, None plays nowhere; without a device the time
    passes all the same. `volume` 1 leaves the sound alone. `start` and `stop` return at once.
    """

    def __init__(
        self, sound: Iterable[Sound], device: str | None, on_end: Callable[[], None], *, volume: float = 1.0
    ) -> None:
        self._sound = sound
        self._device = device
        self._on_end = on_end
        self._volume = volume
        self._shape = Volume()
        self._ring = SampleRing(_RING_SAMPLES)
        self._taken = threading.Event()
        self._pulled_at: float | None = None
        self._began = self._silent_since = 0.0
        self._output: outputs.Output | None = None
        self._stopping = threading.Event()
        self._worker = Worker("play-burst", lambda _: self._work(self._stopping))

    @property
    def problem(self) -> str | None:
        """One sentence while there is no speaker to be heard by."""
        return self._output.keeper.problem if self._output is not None else None

    def start(self) -> None:
        self._worker.start()

    def stop(self) -> None:
        """Fall silent within 10 ms and end; `on_end` follows if it was started."""
        self._stopping.set()
        self._taken.set()

    def join(self, timeout_s: float) -> bool:
        """Wait for the end; blocks. False when it did not come in time."""
        return self._worker.join(timeout_s)

    def pull(self, block: Block) -> None:
        """Runs in the device's thread."""
        self._pulled_at = time.monotonic()
        count = self._ring.read_into(block)
        block[count:] = 0
        block[:] = self._shape.apply(block, self._volume)
        self._taken.set()

    def played(self, block: Block, delay_s: float) -> None:
        """What else is heard does not matter to it."""

    def _work(self, stopping: threading.Event) -> None:
        if self._device is not None:
            self._output = outputs.join(self._device, self)
        try:
            self._began = self._silent_since = time.monotonic()
            for piece in self._sound:
                for start in range(0, len(piece), RATE):
                    self._ring.write(piece[start : start + RATE])
                    self._wait_down_to(AHEAD_SAMPLES, stopping)
                if stopping.is_set():
                    return
            self._wait_down_to(0, stopping)
        finally:
            if self._output is not None:
                self._output.leave(self, wait=False)
            self._on_end()

    def _wait_down_to(self, samples: int, stopping: threading.Event) -> None:
        """Wait until no more than that is to be played; by the clock while no device takes anything."""
        while len(self._ring) > samples and not stopping.is_set():
            self._taken.clear()
            now = time.monotonic()
            if self._is_awaited(now):
                self._silent_since = now
            elif now - self._silent_since >= _STALLED_AFTER_S:
                passed = int((now - self._silent_since) * RATE)
                self._ring.drop_to(max(0, len(self._ring) - passed))
                self._silent_since = now
            self._taken.wait(0.02)

    def _is_awaited(self, now: float) -> bool:
        """Tell whether a device takes what is played, or soon will."""
        if self._pulled_at is not None:
            return now - self._pulled_at < _STALLED_AFTER_S
        output = self._output
        return output is not None and output.keeper.problem is None and now - self._began < _OPENING_S


def write_wav(path: Path, sound: Iterable[Sound]) -> None:
    """Write sound to a WAV file, 16 bits, mono, 48 kHz; OSError leaves what there was of it. Blocks."""
    with open(path, "wb") as file, wave.open(file, "wb") as wav:
        wav.setnchannels(1)
        wav.setsampwidth(2)
        wav.setframerate(RATE)
        for piece in sound:
            wav.writeframesraw(np.asarray(piece, "<i2").tobytes())
