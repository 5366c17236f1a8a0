"""Appends to a file from a thread of its own, so that no event loop waits for a disk."""

from __future__ import annotations

import logging
import queue
import threading
from contextlib import suppress
from pathlib import Path

log = logging.getLogger(__name__)

MAX_WAITING = 10_000
CLOSE_S = 2.0


class FileWriter:
    """Writes what `write` is given, in order. A slow disk loses the newest pieces instead of growing the queue."""

    def __init__(self, path: Path) -> None:
        """Open the file anew; OSError when that cannot be done. Blocks: call it off the loop."""
        self._file = open(path, "wb")  # noqa: SIM115  closed by the thread
        self._queue: queue.Queue[bytes | None] = queue.Queue(MAX_WAITING)
        self._lost = 0
        self._closed = False
        self._thread = threading.Thread(target=self._work, name=f"write {path.name}", daemon=True)
        self._thread.start()

    def write(self, piece: bytes) -> None:
        try:
            self._queue.put_nowait(piece)
        except queue.Full:
            self._lost += 1

    def close(self) -> None:
        """Write what is waiting and close the file; waits for it at most some seconds. May be called twice."""
        if self._closed:
            return
        self._closed = True
        with suppress(queue.Full):  # a disk that hangs: the thread is left behind
            self._queue.put(None, timeout=CLOSE_S)
        self._thread.join(CLOSE_S)
        if self._lost:
            log.warning("a file was too slow: %d pieces were left out of it", self._lost)

    def _work(self) -> None:
        with suppress(OSError), self._file:  # what could not be written was told below
            self._write_all()

    def _write_all(self) -> None:
        broken = False
        while (piece := self._queue.get()) is not None:
            if broken:
                continue  # nobody may wait for a disk that takes nothing
            try:
                self._file.write(piece)
                if self._queue.empty():
                    self._file.flush()
            except OSError as error:
                broken = True
                log.warning("a file could not be written: %s", error)
