"""The speaker of a call: frames of 20 ms go into a ring, the output that all sounds share takes out what it plays."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from app.media import outputs
from app.media.portaudio import BLOCK_SAMPLES, Block
from app.media.ports import FRAME_MS, FRAME_SAMPLES, SAMPLE_RATE_HZ, AudioFrame
from app.media.sample_ring import SampleRing

_LEAST_QUEUED = BLOCK_SAMPLES
_MOST_QUEUED = 5 * FRAME_SAMPLES
_FRAME_S = FRAME_MS / 1000
_STALLED_AFTER_S = 0.2
_PATIENCE_S = 0.008  # for a writer that is a little late: the device has more than that left to play
_SOFT = 96  # samples: how fast sound breaks off and begins again when the ring ran dry
_FADE = np.arange(_SOFT, 0, -1, dtype=np.float32) / _SOFT
_LOOK_AT_BLOCKS = 1_000  # 10 s without a dry ring before less is kept queued; twice as long after each dry one, …
_MOST_LOOKED_AT = 4_000  # … half as long again after each time without


class SpeakerSink:
    """Fulfils `app.media.ports.AudioSink`; `device` is a name from the device list, "" follows the system.

    Whoever writes is woken each time the device has taken a block, and keeps one block queued; more
    after each time the device found too few, and less again when it never needed them. Without a device the sink wants
    frames at the pace of a clock and swallows them, so that a call goes on.

    `on_played`, where somebody sets it (an echo canceller does), is called on the device's thread with each block of
    10 ms, exactly as the device is about to play it, other sounds of the app included, and with how many seconds later
    it will be heard, about.
    """

    def __init__(self, device: str = "") -> None:
        self.underruns = 0
        self.on_played: Callable[[Block, float], None] | None = None
        self._device = device
        self._output: outputs.Output | None = None
        self._switching = threading.Lock()  # another device may be chosen while one is being opened or closed
        self._is_closed = False
        self._ring = SampleRing(SAMPLE_RATE_HZ // 2, np.int32)  # the middle in the upper half, the side in the lower
        self._packed = np.zeros(BLOCK_SAMPLES, np.int32)
        self.side: Block | None = None  # of the block that was pulled last
        self._taken = threading.Event()
        self._written = threading.Event()
        self._queued = _LEAST_QUEUED
        self._least_left = _MOST_QUEUED
        self._looked_at = 0
        self._look_at = _LOOK_AT_BLOCKS
        self._playing = False
        self._is_resting = False
        self._last = 0, 0  # samples of the block before: middle and side
        self._silent_due = 0.0
        self._pulled_at = -_STALLED_AFTER_S  # the monotonic clock may begin at 0

    @property
    def description(self) -> str:
        name = self._output.keeper.device_name if self._output is not None else None
        return name or "no speaker"

    @property
    def problem(self) -> str | None:
        return self._output.keeper.problem if self._output is not None else None

    @property
    def delay_s(self) -> float | None:
        """How long a frame that is written now takes to be heard, about; None without a device."""
        if self._output is None or not self._pulls():
            return None
        return len(self._ring) / SAMPLE_RATE_HZ + self._output.delay_s

    def use(self, device: str) -> None:
        """Go on with another device, "" the system's; returns at once."""
        with self._switching:
            if device == self._device:
                return
            self._device, before = device, self._output
            if before is None or self._is_closed:
                return
            self._output = outputs.join(device, self)
        before.leave(self, wait=False)

    def start(self) -> None:
        """Begin to open the device and return at once: until it is open a clock stands for it."""
        with self._switching:
            if self._output is None and not self._is_closed:
                self._output = outputs.join(self._device, self)

    def frames_wanted(self) -> int | None:
        if self._pulls():
            missing = self._queued - len(self._ring)
            return max(0, -(-missing // FRAME_SAMPLES))
        now = time.monotonic()
        if now < self._silent_due:
            return 0
        late = now - self._silent_due > 5 * _FRAME_S
        self._silent_due = (now if late else self._silent_due) + _FRAME_S
        return 1

    def wait_wanted(self, timeout_s: float) -> None:
        self._taken.wait(timeout_s)
        self._taken.clear()

    def write_frame(self, frame: AudioFrame) -> None:
        self._write(frame.astype(np.int32) << 16)

    def write_wide(self, middle: AudioFrame, side: AudioFrame) -> None:
        """The same for sound that is placed between left and right (app.media.mixer)."""
        self._write(middle.astype(np.int32) << 16 | side.astype(np.int32) & 0xFFFF)

    def _write(self, packed: NDArray[np.int32]) -> None:
        if self._pulls():
            self._ring.write(packed)
            self._written.set()
        else:
            self._ring.clear()

    @property
    def rests(self) -> bool:
        """Whether there is nothing to play, and will be nothing until `wake`."""
        return self._is_resting and not len(self._ring)

    def rest(self) -> None:
        """Nothing is written until `wake`: the device stays open at little cost once it has played what is there."""
        self._is_resting = True

    def wake(self) -> None:
        """Frames will be written again: the device plays them as soon as ever."""
        with self._switching:
            self._is_resting = self._playing = False
            if self._output is not None and self._output.keeper.running:
                self._pulled_at = time.monotonic()  # in a moment
                self._output.wake()

    def close(self) -> None:
        with self._switching:
            self._is_closed, output = True, self._output
        if output is not None:
            output.leave(self)

    def _pulls(self) -> bool:
        """Tell whether a device is taking samples; one that is open but stalls is no better than none."""
        return time.monotonic() - self._pulled_at < _STALLED_AFTER_S

    def pull(self, block: Block) -> None:
        """Runs in the device's thread: copy what is there, silence for the rest."""
        self._pulled_at = time.monotonic()
        if self._playing and len(self._ring) < block.size:
            self._written.clear()
            if len(self._ring) < block.size:
                self._written.wait(_PATIENCE_S)
        packed = self._packed[: block.size]
        count = self._ring.read_into(packed)
        self._taken.set()
        packed[count:] = 0
        block[:] = packed >> 16
        side = packed.astype(np.int16)  # its lower half
        before, self._last = self._last, (int(block[-1]), int(side[-1]))
        if count == block.size and self._playing:
            self._watch_spare()
        else:
            for half, last in ((block, before[0]), (side, before[1])):
                self._soften(half, last, count)
            if count < block.size:
                if self._playing:
                    self._ran_dry()
                self._last = 0, 0
            self._playing = count == block.size
        self.side = side if side.any() else None

    def _soften(self, half: Block, before: int, count: int) -> None:
        """Let sound begin, or break off after `count` samples; `before` is what was played last."""
        if count and not self._playing:
            soft = min(_SOFT, count)
            half[:soft] = half[:soft] * (1.0 - _FADE[:soft])
        if count < half.size:
            last = int(half[count - 1]) if count else before
            soft = min(_SOFT, half.size - count)
            half[count : count + soft] = last * _FADE[:soft]

    def played(self, block: Block, delay_s: float) -> None:
        """Runs in the device's thread: hear what it plays."""
        on_played = self.on_played
        if on_played is not None:
            on_played(block, delay_s)

    def _watch_spare(self) -> None:
        """Keep less queued when there was always more than needed: half of the surplus less."""
        self._least_left = min(self._least_left, len(self._ring))
        self._looked_at += 1
        if self._looked_at >= self._look_at:
            surplus = self._least_left - BLOCK_SAMPLES
            if surplus >= 0:
                self._queued = max(_LEAST_QUEUED, self._queued - max(BLOCK_SAMPLES, surplus) // 2)
            self._look_at = max(_LOOK_AT_BLOCKS, self._look_at // 2)
            self._looked_at, self._least_left = 0, _MOST_QUEUED

    def _ran_dry(self) -> None:
        self.underruns += 1
        self._queued = min(self._queued + BLOCK_SAMPLES, _MOST_QUEUED)
        self._look_at = min(2 * self._look_at, _MOST_LOOKED_AT)
        self._looked_at, self._least_left = 0, _MOST_QUEUED
