"""The speaker of a call or of channels: its frames of 20 ms are made in the device's own thread, as it takes them."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

import numpy as np

from app.media import outputs
from app.media.ports import FRAME_MS, Drawn, MakeFrame
from app.media.sound_device import Block

logger = logging.getLogger(__name__)

_FRAME_S = FRAME_MS / 1000
_STALLED_AFTER_S = 0.2
_LOOK_S = 0.1  # whether the device still takes frames
_MOST_BEHIND_S = 5 * _FRAME_S
_SOFT = 96  # samples: how fast sound begins again after the device took none
_FAILS = "What comes in cannot be played because of an error in Parley: you hear nothing."
_RISE = np.arange(_SOFT, dtype=np.float32) / _SOFT


class SpeakerSink:
    """Fulfils `app.media.ports.DeviceSink`; `device` is a name from the device list, "" follows the system.

    Nothing is kept here between whoever makes the frames and the device, and no thread is woken between them: what is
    queued in the device is all the delay there is.

    `on_played`, where somebody sets it (an echo canceller does), is called on the device's thread with each block of
    20 ms, exactly as the device is about to play it, other sounds of the app included, and with how many seconds later
    it will be heard, about.
    """

    def __init__(self, device: str = "") -> None:
        self.on_played: Callable[[Block, float], None] | None = None
        self.side: Block | None = None  # of the block that was pulled last
        self._device = device
        self._output: outputs.Output | None = None
        self._underruns = 0  # of the devices before
        self._underruns_before = 0  # of this one, when it was joined
        self._switching = threading.Lock()  # another device may be chosen while one is being opened or closed
        self._is_closed = False
        self._make: MakeFrame | None = None
        self._fails = False  # the frame that was asked for last could not be made
        self._making = threading.Lock()  # a device that is left may still take a frame while the next one begins to
        self._due = 0.0
        self._is_resting = False
        self._begins = True  # what is played next does not continue what was played
        self._pulled_at = -_STALLED_AFTER_S  # the monotonic clock may begin at 0

    @property
    def description(self) -> str:
        name = self._output.keeper.device_name if self._output is not None else None
        return name or "no speaker"

    @property
    def problem(self) -> str | None:
        problem = self._output.keeper.problem if self._output is not None else None
        return problem or (_FAILS if self._fails and not self._is_resting else None)

    @property
    def delay_s(self) -> float | None:
        """How long a frame that is made now takes to be heard, about; None without a device."""
        if self._output is None or not self._pulls(time.monotonic()):
            return None
        return self._output.delay_s

    @property
    def underruns(self) -> int:
        output = self._output
        return self._underruns + (output.keeper.underruns - self._underruns_before if output is not None else 0)

    def use(self, device: str) -> None:
        """Go on with another device, "" the system's; returns at once."""
        with self._switching:
            if device == self._device:
                return
            self._device, before = device, self._output
            if before is None or self._is_closed:
                return
            self._underruns = self.underruns
            self._join()
        before.leave(self, wait=False)

    def start(self) -> None:
        """Begin to open the device and return at once: until it is open a clock stands for it."""
        with self._switching:
            if self._output is None and not self._is_closed:
                self._join()

    def _join(self) -> None:
        self._output = outputs.join(self._device, self)
        self._underruns_before = self._output.keeper.underruns

    def draw_from(self, make: MakeFrame) -> None:
        self._make = make

    def stand_in(self) -> float:
        now = time.monotonic()
        if self._pulls(now):
            self._due = now
            return _LOOK_S
        if now - self._due > _MOST_BEHIND_S:
            self._due = now
        if now >= self._due:
            self._made(now)
            self._due += _FRAME_S
        return max(0.0, self._due - now)

    @property
    def rests(self) -> bool:
        """Whether there is nothing to play, and will be nothing until `wake`."""
        return self._is_resting

    def rest(self) -> None:
        """Nothing is made until `wake`: the device stays open at little cost."""
        self._is_resting = True

    def wake(self) -> None:
        """Frames are made again: the device plays them as soon as ever."""
        with self._switching:
            self._is_resting, self._begins = False, True
            if self._output is not None and self._output.keeper.running:
                self._pulled_at = time.monotonic()  # in a moment
                self._output.wake()

    def close(self) -> None:
        with self._switching:
            self._is_closed, output = True, self._output
        if output is not None:
            output.leave(self)

    def _pulls(self, now: float) -> bool:
        """Tell whether a device is taking frames; one that is open but stalls is no better than none."""
        return now - self._pulled_at < _STALLED_AFTER_S

    def _made(self, now: float) -> Drawn | None:
        """Give the next 20 ms; None where nobody makes any, or where they cannot be made."""
        with self._making:
            if self._make is None:
                return None
            try:
                drawn = self._make(now)
            except Exception:  # others play on this device, and the next frame may be better
                if not self._fails:
                    logger.exception("what a speaker plays could not be made: it is silent until it can be")
                self._fails = self._begins = True
                return None
            self._fails = False
            return drawn

    def pull(self, block: Block) -> None:
        """Runs in the device's thread: have the next 20 ms made."""
        now = time.monotonic()
        begins, self._begins = self._begins or not self._pulls(now), False
        self._pulled_at = now
        drawn = None if self._is_resting else self._made(now)
        if drawn is None:
            block[:] = 0
            self.side = None
            return
        block[:], self.side = drawn
        if begins:
            self.side = None
            block[:_SOFT] = block[:_SOFT] * _RISE

    def played(self, block: Block, delay_s: float) -> None:
        """Runs in the device's thread: hear what it plays."""
        on_played = self.on_played
        if on_played is not None:
            on_played(block, delay_s)
