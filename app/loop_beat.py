"""A loop's beat: one wake-up for what would else be many.

A wake-up of the loop costs more than most of what is done in it: code and data have been driven out of the processor's
caches by the pictures since the last one. While datagrams come so thick that waiting for each pays nobody, the beat
runs: what may wait some milliseconds (reading them, pictures that leave, timers that are not exact) is done together,
every 22 ms or when the loop is awake anyway, as for sound that leaves every 20 ms. While it does not run, everything is
done at once.

A leaf that any layer may import. One beat a loop; used on its thread, unless a method says otherwise.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from typing import Self
from weakref import WeakKeyDictionary, ref

STEP_S = 0.022  # sound that leaves every 20 ms, and beats then, comes just before
EARLY_S = 0.003  # so much before its time a timer may go with a beat

_beats: WeakKeyDictionary[asyncio.AbstractEventLoop, Beat] = WeakKeyDictionary()
_last: ref[Beat] | None = None  # that was asked for: nearly always the engine's, several times for each packet


class BeatTimer:
    """What `call_later` gives."""

    __slots__ = ("_beat", "_handle", "callback", "due")

    def __init__(self, beat: Beat, callback: Callable[[], None], due: float) -> None:
        self.callback = callback
        self.due = due  # monotonic
        self._beat = beat
        self._handle: asyncio.TimerHandle | None = None

    def cancel(self) -> None:
        """Harmless when it has fired."""
        if self._handle is not None:
            self._handle.cancel()
        self._beat.forget(self)

    def wait_alone(self, loop: asyncio.AbstractEventLoop, delay_s: float) -> None:
        """Have a wake-up of its own."""
        self._handle = loop.call_later(delay_s, self.callback)


class Beat:
    """Runs while somebody has joined it."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop_ref = ref(loop)  # the loop's own would keep it for ever: beats are kept by their loops
        self._readers: list[Callable[[], None]] = []
        self._timers: dict[BeatTimer, None] = {}
        self._soon: list[Callable[[], None]] = []
        self._lock = threading.Lock()  # around _soon and _is_running
        self._is_running = False
        self._is_beating = False
        self._next: asyncio.TimerHandle | None = None

    @classmethod
    def of(cls, loop: asyncio.AbstractEventLoop) -> Self:
        """Give the loop's beat; any thread that keeps the loop alive."""
        global _last
        beat = _last() if _last is not None else None
        if beat is None or beat._loop_ref() is not loop:
            beat = _beats.get(loop) or _beats.setdefault(loop, cls(loop))
            _last = ref(beat)
        assert isinstance(beat, cls)
        return beat

    @property
    def step_s(self) -> float:
        """How long it is from one beat to the next, at most; 0 while none runs."""
        return STEP_S if self._is_running else 0.0

    def join(self, read: Callable[[], None]) -> None:
        """Call `read` at each beat from now on."""
        self._readers.append(read)
        if not self._is_running:
            with self._lock:
                self._is_running = True
            self._set()

    def leave(self, read: Callable[[], None]) -> None:
        """Call it no more. With the last one the beat ends, and whatever waited for it goes its own way."""
        self._readers.remove(read)
        if self._readers:
            return
        with self._lock:
            self._is_running = False
            soon, self._soon = self._soon, []
        if self._next is not None:
            self._next.cancel()
            self._next = None
        timers, self._timers, now = self._timers, {}, time.monotonic()
        loop = self._loop
        if loop.is_closed():
            return
        for callback in soon:
            loop.call_soon(callback)
        for timer in timers:
            timer.wait_alone(loop, max(0.0, timer.due - now))

    def soon(self, callback: Callable[[], None]) -> bool:
        """Call it at the next beat, once; False, and nothing is done, where none runs. Any thread."""
        with self._lock:
            if self._is_running:
                self._soon.append(callback)
            return self._is_running

    def call_later(self, delay_s: float, callback: Callable[[], None]) -> BeatTimer:
        """Call it at the beat about then, or then."""
        timer = BeatTimer(self, callback, time.monotonic() + delay_s)
        if self._is_running:
            self._timers[timer] = None
        else:
            timer.wait_alone(self._loop, delay_s)
        return timer

    def forget(self, timer: BeatTimer) -> None:
        """A timer does not wait any more."""
        self._timers.pop(timer, None)

    def along(self) -> None:
        """The loop is awake: beat now instead of waking it again."""
        if self._is_running and not self._is_beating:
            self._beat()

    @property
    def _loop(self) -> asyncio.AbstractEventLoop:
        loop = self._loop_ref()
        assert loop is not None  # it is what calls us
        return loop

    def _set(self) -> None:
        if self._next is not None:
            self._next.cancel()
        self._next = self._loop.call_later(STEP_S, self._beat)

    def _beat(self) -> None:
        self._set()
        self._is_beating = True
        try:
            with self._lock:
                soon, self._soon = self._soon, []
            for callback in (*soon, *self._readers):
                self._guarded(callback)
            now = time.monotonic() + EARLY_S
            for timer in [timer for timer in self._timers if timer.due <= now]:
                if timer in self._timers:  # not cancelled by one before it
                    del self._timers[timer]
                    self._guarded(timer.callback)
        finally:
            self._is_beating = False

    def _guarded(self, callback: Callable[[], None]) -> None:
        """Call it; what it raises is reported as of any callback of the loop, and the others go on."""
        try:
            callback()
        except Exception as error:
            self._loop.call_exception_handler({"message": "a callback at the beat raised", "exception": error})
