"""Playing received sound at the pace of the sink, in its thread or one of ours, so that no stalled loop breaks it."""

from __future__ import annotations

import threading
from collections.abc import Callable

from app.media.audio_intake import Unit
from app.media.jitter import Playout
from app.media.levels import LevelMeter
from app.media.mixer import Volume
from app.media.playing import Turns
from app.media.ports import AudioFrame, AudioSink, Drawn
from app.media.priority import for_sound
from app.media.worker import Worker


class AudioPlayWorker:
    """Has the sink played what the playout makes of the packets.

    `push` is called on the loop's thread; `volume` may be set from any. A sink without a clock gets its first frame
    when the first packet has come or `begin` was called. `on_frame` is given each frame of the peer, before the volume,
    in the thread that makes them.
    """

    def __init__(self, sink: AudioSink, playout: Playout) -> None:
        self.sink = sink
        self.playout = playout
        self._lock = threading.Lock()
        self._began = threading.Event()
        self.volume = 1.0
        self._shaper = Volume()
        self.on_frame: Callable[[AudioFrame], None] | None = None
        self.meter = LevelMeter()
        self.worker = Worker("audio-play", self._run)

    def begin(self) -> None:
        """Write from now on, silence if nothing came."""
        self._began.set()

    def push(self, unit: Unit, now: float) -> None:
        """Take the sound of one packet."""
        with self._lock:
            self.playout.push(
                unit.sequence, unit.timestamp, unit.payload_type, unit.payload, now, is_repaired=unit.is_repaired
            )
        if not self._began.is_set():
            self._began.set()

    def played_at(self) -> tuple[int, float] | None:
        """Give an RTP timestamp and when its sound is written to the sink, on the monotonic clock; any thread."""
        with self._lock:
            return self.playout.played_at()

    def reset(self) -> None:
        """Another source begins."""
        with self._lock:
            self.playout.reset()

    def _run(self, stopping: threading.Event) -> None:
        for_sound()
        try:
            self.sink.start()
            turns = Turns(self.sink, self._next, begins=self._began)
            while not stopping.wait(turns.turn()):
                pass
        finally:
            self.sink.close()

    def _next(self, due: float) -> Drawn:
        with self._lock:
            frame = self.playout.next_frame(due)
            heard = self.playout.first_decoded_at is not None
        if heard:
            self.meter.add(frame)
            on_frame = self.on_frame
            if on_frame is not None:
                on_frame(frame)
        return self._shaper.apply(frame, self.volume), None
