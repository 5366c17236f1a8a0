"""Has somebody take what a source hears: a device hands its frames over itself, others are read by the clock."""

from __future__ import annotations

import threading
import time

from app.media.ports import FRAME_MS, SILENCE, AudioSource, DeviceSource, FileSource, TakeFrame

TICK_S = FRAME_MS / 1000
MOST_BEHIND_S = 4 * TICK_S  # a thread that was away for longer goes on from now


class Hearing:
    """The work of a thread that looks after one source: `turn` again and again, also before it was started.

    `started` is set when it was: what is no device gives silence until then.
    """

    def __init__(self, source: AudioSource, take: TakeFrame, started: threading.Event) -> None:
        self._device = source if isinstance(source, DeviceSource) else None
        self._file = source if isinstance(source, FileSource) else None
        self._take = take
        self._started = started
        self.begin()
        if self._device is not None:
            self._device.hand_to(take)

    def begin(self) -> None:
        """Go on from now, after nothing was taken for a while."""
        self._due = time.monotonic()

    def turn(self) -> float:
        """Do what is due; give after how many seconds to do so again."""
        if self._device is not None:
            return self._device.stand_in()
        assert self._file is not None
        now = time.monotonic()
        if now >= self._due:
            if now - self._due > MOST_BEHIND_S:
                self._due = now
            self._take(self._file.read_frame() if self._started.is_set() else SILENCE, self._due)
            self._due += TICK_S
        return max(0.0, self._due - time.monotonic())
