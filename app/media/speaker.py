"""The speaker: frames of 20 ms go into a ring, the device's thread takes out what it plays."""

from __future__ import annotations

import time
from collections.abc import Callable

from app.media.device_keeper import DeviceKeeper
from app.media.portaudio import BLOCK_SAMPLES, Block
from app.media.ports import FRAME_MS, FRAME_SAMPLES, SAMPLE_RATE_HZ, AudioFrame
from app.media.sample_ring import SampleRing

_OPEN_TIMEOUT_S = 4.0
_LEAST_QUEUED = 2 * FRAME_SAMPLES
_MOST_QUEUED = 5 * FRAME_SAMPLES
_FRAME_S = FRAME_MS / 1000
_STALLED_AFTER_S = 0.2
_SERVER_S = 0.010  # what a sound server and a converter add, about


class SpeakerSink:
    """Fulfils `app.media.ports.AudioSink`; `device` is a name from the device list, "" follows the system.

    Two frames are kept queued, and more after each time the device found too few. Without a device the sink wants
    frames at the pace of a clock and swallows them, so that a call goes on.

    `on_played`, where somebody sets it (an echo canceller does), is called on the device's thread with each block of
    10 ms, exactly as the device is about to play it, and with how many seconds later it will be heard, about.
    """

    def __init__(self, device: str = "") -> None:
        self.underruns = 0
        self.on_played: Callable[[Block, float], None] | None = None
        self._ring = SampleRing(SAMPLE_RATE_HZ // 2)
        self._keeper = DeviceKeeper("speaker", device, self._fill)
        self._queued = _LEAST_QUEUED
        self._playing = False
        self._silent_due = 0.0
        self._pulled_at = -_STALLED_AFTER_S  # the monotonic clock may begin at 0

    @property
    def description(self) -> str:
        return self._keeper.device_name or "no speaker"

    @property
    def problem(self) -> str | None:
        return self._keeper.problem

    def start(self) -> None:
        self._keeper.start(_OPEN_TIMEOUT_S)

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

    def write_frame(self, frame: AudioFrame) -> None:
        if self._pulls():
            self._ring.write(frame)
        else:
            self._ring.clear()

    def close(self) -> None:
        self._keeper.close()

    def _pulls(self) -> bool:
        """Tell whether a device is taking samples; one that is open but stalls is no better than none."""
        return time.monotonic() - self._pulled_at < _STALLED_AFTER_S

    def _fill(self, block: Block) -> None:
        """Runs in the device's thread: copy what is there, silence for the rest."""
        self._pulled_at = time.monotonic()
        count = self._ring.read_into(block)
        if count < block.size:
            block[count:] = 0
            if self._playing:
                self.underruns += 1
                self._queued = min(self._queued + BLOCK_SAMPLES, _MOST_QUEUED)
        self._playing = count == block.size
        if self.on_played is not None:
            self.on_played(block, self._keeper.delay_s + _SERVER_S)
