"""Appends to a file from a thread of its own, so that no event loop waits for a disk."""

from __future__ import annotations

import logging
import queue
import threading
from pathlib import Path

log = logging.getLogger(__name__)

MAX_WAITING = 10_000


class FileWriter:
    """Writes what `write` is given, in order. A slow disk loses the newest pieces instead of growing the queue."""

    def __init__(self, path: Path) -> None:
        """Open the file anew; OSError when that cannot be done. Blocks: call it off the loop."""
        self._file = open(path, "wb")  # noqa: SIM115  closed by the thread
        self._queue: queue.Queue[bytes | None] = queue.Queue(MAX_WAITING)
        self._lost = 0
        self._thread = threading.Thread(target=self._work, name=f"write {path.name}", daemon=True)
        self._thread.start()

    def write(self, piece: bytes) -> None:
        try:
            self._queue.put_nowait(piece)
        except queue.Full:
            self._lost += 1

    def close(self) -> None:
        """Write what is waiting and close the file; waits for it at most two seconds."""
        self._queue.put(None)
        self._thread.join(2.0)
        if self._lost:
            log.warning("a file was too slow: %d pieces were left out of it", self._lost)

    def _work(self) -> None:
        try:
            while (piece := self._queue.get()) is not None:
                self._file.write(piece)
                if self._queue.empty():
                    self._file.flush()
        except OSError as error:
            log.warning("a file could not be written: %s", error)
        finally:
            self._file.close()
