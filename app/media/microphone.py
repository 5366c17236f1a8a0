"""The microphone of a call or of channels: frames of 20 ms are taken in the device's own thread, as it hears them."""

from __future__ import annotations

import logging
import threading
import time

from app.media import inputs
from app.media.ports import FRAME_MS, SILENCE, AudioFrame, TakeFrame
from app.media.sound_device import Block

logger = logging.getLogger(__name__)

_FRAME_S = FRAME_MS / 1000
_STALLED_AFTER_S = 0.2
_MOST_BEHIND_S = 4 * _FRAME_S
_MENDED_AFTER = 50  # frames that could be taken: an error that comes and goes is one bout, told once
_FAILS = "What the microphone hears cannot be sent because of an error in Parley: others hear nothing."


class MicrophoneSource:
    """Fulfils `app.media.ports.DeviceSource`; `device` is a name from the device list, "" follows the system.

    Nothing is kept here between the device and whoever takes the frames, and no thread is woken between them. While
    no device hears, silence is taken, in the thread that calls `stand_in`.
    """

    def __init__(self, device: str = "") -> None:
        self.underruns = 0  # how often a device that was open gave nothing when it was due
        self.dropped_samples = 0
        self._device = device
        self._switching = threading.Lock()  # another device may be chosen while one is being opened or closed
        self._is_closed = False
        self._input: inputs.Input | None = None
        self._listener: inputs.Listener | None = None  # of the input of now
        self._take: TakeFrame | None = None
        self._taking = threading.Lock()  # silence, and a device that is left, may meet the next one
        self._fails = 0  # so many more frames must be taken until what could not be taken is forgotten
        self._heard_at = 0.0
        self._hears = False
        self._due = -1.0  # of silence

    @property
    def description(self) -> str:
        name = self._input.keeper.device_name if self._input is not None else None
        return name or "no microphone"

    @property
    def problem(self) -> str | None:
        problem = self._input.keeper.problem if self._input is not None else None
        return problem or (_FAILS if self._fails else None)

    @property
    def is_lost(self) -> bool:
        """Whether no device is open and `problem` says why; one that is just being opened is not lost."""
        keeper = self._input.keeper if self._input is not None else None
        return keeper is not None and not keeper.running and keeper.problem is not None

    @property
    def hears(self) -> bool:
        return self._hears

    @property
    def delay_s(self) -> float:
        """How long ago the first sample of the frame that is taken now was heard, as far as the device tells."""
        return (self._input.keeper.delay_s if self._input is not None else 0.0) + _FRAME_S

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

    def hand_to(self, take: TakeFrame) -> None:
        self._take = take

    def stand_in(self) -> float:
        with self._taking:
            now = time.monotonic()
            if self._hears:
                left_s = self._heard_at + _STALLED_AFTER_S - now
                if left_s > 0:
                    return left_s
                self._hears = False
                self.underruns += self._runs()
                self._due = now
            if now - self._due > _MOST_BEHIND_S:
                self._due = now
            if now >= self._due:
                self._hand_over(SILENCE, self._due)
                self._due += _FRAME_S
            return max(0.0, self._due - time.monotonic())

    def _join(self) -> None:
        def take(block: Block, behind_s: float) -> None:
            if self._listener is take:  # not from one that was left
                self._heard(block, behind_s)

        self._listener = take
        self._input = inputs.join(self._device, take)

    def _runs(self) -> bool:
        return self._input is not None and self._input.keeper.running

    def _heard(self, block: Block, behind_s: float) -> None:
        """Runs in the device's thread."""
        with self._taking:
            if self._is_closed:
                return
            now = time.monotonic()
            if self._hears and now - self._heard_at > _MOST_BEHIND_S:
                self.underruns += 1
            self._heard_at = now
            if behind_s >= (_MOST_BEHIND_S if self._hears else _FRAME_S):  # where silence was taken it stood for this
                self.dropped_samples += block.size
                return
            self._hears = True
            self._hand_over(block, now)

    def _hand_over(self, frame: AudioFrame, at: float) -> None:
        if self._take is None or self._is_closed:
            return
        try:
            self._take(frame, at)
        except Exception:  # others listen to this device, and the next frame may be better
            if not self._fails:
                logger.exception("what a microphone hears could not be taken: others hear nothing until it can be")
            self._fails = _MENDED_AFTER
        else:
            self._fails = max(0, self._fails - 1)

    def close(self) -> None:
        """Release the device; nothing is handed over any more when this returns."""
        with self._switching:
            self._is_closed, before, listener = True, self._input, self._listener
        with self._taking:
            self._hears = False
        if before is not None and listener is not None:
            before.leave(listener)
