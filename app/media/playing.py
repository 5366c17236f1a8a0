"""Has a sink play what somebody makes: a device asks for its frames itself, a file is written to by the clock."""

from __future__ import annotations

import threading
import time

from app.media.ports import FRAME_MS, AudioSink, DeviceSink, FileSink, MakeFrame

TICK_S = FRAME_MS / 1000
MOST_BEHIND_S = 1.0  # a file keeps its time line over a stall of up to this


class Turns:
    """The work of a thread that looks after one sink that was started: `turn` again and again.

    `begins`, where it is given, is what a file waits for; a device plays at once. A file has one ear: the side of what
    is made is left out.
    """

    def __init__(self, sink: AudioSink, make: MakeFrame, *, begins: threading.Event | None = None) -> None:
        self._device = sink if isinstance(sink, DeviceSink) else None
        self._file = sink if isinstance(sink, FileSink) else None
        self._make = make
        self._begins = begins
        self.begin()
        if self._device is not None:
            self._device.draw_from(make)

    def begin(self) -> None:
        """Go on from now, after nothing was played for a while."""
        self._due = time.monotonic()

    def turn(self) -> float:
        """Do what is due; give after how many seconds to do so again."""
        if self._device is not None:
            return self._device.stand_in()
        assert self._file is not None
        now = time.monotonic()
        if self._begins is not None and not self._begins.is_set():
            self._due = now
            return TICK_S
        if now >= self._due:
            self._due = max(self._due, now - MOST_BEHIND_S)
            self._file.write_frame(self._make(self._due)[0])
            self._due += TICK_S
        return max(0.0, self._due - now)
