"""Threads of a stream, and how their packets come to the loop's thread."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable

from app.loop_beat import Beat

logger = logging.getLogger(__name__)

JOIN_S = 5.0
MOST_QUEUED = 2_000  # packets between a worker and a loop that does not run


class Worker:
    """One thread with a stop signal. `body` gets the signal and returns soon after it is set.

    `hold` starts the thread before there is work for it, where `start` must not cost the milliseconds that this takes.
    """

    def __init__(self, name: str, body: Callable[[threading.Event], None]) -> None:
        self.stopping = threading.Event()
        self._released = threading.Event()
        self._body = body
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def hold(self) -> None:
        """Let the thread stand ready; nothing of `body` runs before `start`."""
        if self._thread.ident is None:
            self._thread.start()

    def start(self) -> None:
        self._released.set()
        self.hold()

    def stop(self) -> None:
        """Ask it to end; returns at once."""
        self.stopping.set()
        self._released.set()

    def join(self, timeout_s: float) -> bool:
        """Wait for its end; blocks. False when it did not end in time."""
        if self._thread.ident is not None and self._thread is not threading.current_thread():
            self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        self._released.wait()
        if self.stopping.is_set():
            return
        try:
            self._body(self.stopping)
        except Exception:
            logger.exception("the worker %s failed", self._thread.name)


def join_all(workers: Iterable[Worker]) -> None:
    """Wait for threads that were told to stop, five seconds in all; a device driver that hangs is left behind."""
    deadline = time.monotonic() + JOIN_S
    for worker in workers:
        if not worker.join(max(0.01, deadline - time.monotonic())):
            logger.warning("a media thread did not end within %.0f seconds", JOIN_S)


class Bell:
    """Wakes one thread; for half the processor time of an Event, which makes a lock for each wait.

    A ring that comes while nobody waits is heard by the next wait, unless it is `hush`ed.
    """

    def __init__(self) -> None:
        self._silence = threading.Lock()
        self._silence.acquire()

    def ring(self) -> None:
        """Wake it; from any thread."""
        with contextlib.suppress(RuntimeError):  # it rings
            self._silence.release()

    def hush(self) -> None:
        """Forget a ring that was not heard."""
        self._silence.acquire(blocking=False)

    def wait(self, timeout_s: float) -> None:
        """Wait for a ring, or for so long."""
        self._silence.acquire(timeout=timeout_s)


class Outbox:
    """Carries packets from a worker thread to `deliver` on the loop's thread, many at one wake-up.

    `waits`: they may wait for the loop's beat where one runs. Others wake the loop, and it beats with them.
    """

    def __init__(
        self, loop: asyncio.AbstractEventLoop, deliver: Callable[[list[bytes]], None], *, waits: bool = False
    ) -> None:
        self._loop = loop
        self._beat = Beat.of(loop)
        self._waits = waits
        self._deliver = deliver
        self._packets: deque[bytes] = deque(maxlen=MOST_QUEUED)
        self._is_scheduled = False
        self._lock = threading.Lock()

    def put(self, packets: list[bytes]) -> None:
        """Queue packets from any thread; the oldest go when the loop does not keep up."""
        with self._lock:
            self._packets.extend(packets)
            if self._is_scheduled:
                return
            self._is_scheduled = True
        if not (self._waits and self._beat.soon(self._flush)):
            call_soon(self._loop, self._flush)

    def _flush(self) -> None:
        with self._lock:
            packets = list(self._packets)
            self._packets.clear()
            self._is_scheduled = False
        self._deliver(packets)
        if not self._waits:
            self._beat.along()


def call_soon(loop: asyncio.AbstractEventLoop, callback: Callable[[], None]) -> None:
    """Run `callback` on the loop's thread; nothing happens when the loop is closed already."""
    try:
        loop.call_soon_threadsafe(callback)
    except RuntimeError:
        if not loop.is_closed():
            raise
