"""The microphone: the device's thread copies into a ring, the sender takes frames of 20 ms out of it."""

from __future__ import annotations

import threading
import time

import numpy as np

from app.media import inputs
from app.media.ports import FRAME_SAMPLES, SAMPLE_RATE_HZ, AudioFrame
from app.media.sample_ring import SampleRing
from app.media.sound_device import Block

_PATIENCE_S = 0.015  # for a block that is a little late: better than a hole
_MOST_WAITING = 3 * FRAME_SAMPLES

_SILENCE: AudioFrame = np.zeros(FRAME_SAMPLES, np.int16)
_SILENCE.flags.writeable = False


class MicrophoneSource:
    """Fulfils `app.media.ports.AudioSource`; `device` is a name from the device list, "" follows the system.

    `surplus_s` tells whoever reads how well it keeps step with the device: for how long the frame that was read last
    had been ready, or, below zero, how long it had to be waited for. None: there is nothing to keep step with.
    """

    def __init__(self, device: str = "") -> None:
        self.underruns = 0
        self.dropped_samples = 0
        self.surplus_s: float | None = None
        self._ring = SampleRing(SAMPLE_RATE_HZ // 2)
        self._arrived = threading.Event()
        self._arrived_at = 0.0
        self._device = device
        self._switching = threading.Lock()  # another device may be chosen while one is being opened or closed
        self._is_closed = False
        self._input: inputs.Input | None = None
        self._listener: inputs.Listener | None = None  # of the input of now
        self._flowing = False

    @property
    def description(self) -> str:
        name = self._input.keeper.device_name if self._input is not None else None
        return name or "no microphone"

    @property
    def problem(self) -> str | None:
        return self._input.keeper.problem if self._input is not None else None

    @property
    def is_lost(self) -> bool:
        """Whether no device is open and `problem` says why; one that is just being opened is not lost."""
        keeper = self._input.keeper if self._input is not None else None
        return keeper is not None and not keeper.running and keeper.problem is not None

    @property
    def delay_s(self) -> float:
        """How long ago the first sample of the frame that was read last was heard, as far as the device tells."""
        device_s = self._input.keeper.delay_s if self._input is not None else 0.0
        return device_s + (len(self._ring) + FRAME_SAMPLES) / SAMPLE_RATE_HZ

    def use(self, device: str) -> None:
        """Go on with another device, "" the system's; returns at once, even where the present one hangs."""
        with self._switching:
            if device == self._device or self._is_closed:
                return
            self._device, before, listener = device, self._input, self._listener
            if before is None or listener is None:
                return
            self._join()
        before.leave(listener, wait=False)

    def start(self) -> None:
        """Begin to open the device and return at once: until it is open there is silence."""
        with self._switching:
            if self._input is None and not self._is_closed:
                self._join()

    def read_frame(self) -> AudioFrame:
        waited_s = self._wait() if self._flowing and len(self._ring) < FRAME_SAMPLES else 0.0
        waiting = len(self._ring)
        self.surplus_s = None
        if waiting < FRAME_SAMPLES:
            if self._flowing and self._runs():
                self.underruns += 1
            self._flowing = False
            return _SILENCE
        self._flowing = True
        if waiting > _MOST_WAITING:
            self.dropped_samples += self._ring.drop_to(FRAME_SAMPLES)
        frame = np.empty(FRAME_SAMPLES, np.int16)
        self._ring.read_into(frame)
        since_s = time.monotonic() - self._arrived_at
        self.surplus_s = -waited_s if waited_s > 0 else len(self._ring) / SAMPLE_RATE_HZ + since_s
        return frame

    def _join(self) -> None:
        def take(block: Block) -> None:
            if self._listener is take:  # not from one that was left
                self._take(block)

        self._listener = take
        self._input = inputs.join(self._device, take)

    def _runs(self) -> bool:
        return self._input is not None and self._input.keeper.running

    def _take(self, block: Block) -> None:
        """Runs in the device's thread."""
        self._ring.write(block)
        self._arrived_at = time.monotonic()
        self._arrived.set()

    def _wait(self) -> float:
        """Wait a little for the rest of a frame; give how long it took."""
        began = time.monotonic()
        while len(self._ring) < FRAME_SAMPLES and self._runs():
            left_s = began + _PATIENCE_S - time.monotonic()
            self._arrived.clear()
            if left_s <= 0 or (len(self._ring) < FRAME_SAMPLES and not self._arrived.wait(left_s)):
                break
        return time.monotonic() - began

    def close(self) -> None:
        with self._switching:
            self._is_closed, before, listener = True, self._input, self._listener
        if before is not None and listener is not None:
            before.leave(listener)
