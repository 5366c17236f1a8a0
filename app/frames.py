"""Video frames on their way to a screen, and the mailbox that holds only the newest.

A frame crosses from a worker thread to the window without a queue: a late window skips frames instead of
falling behind. Plain data that any layer may import; knows neither Qt nor codecs.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, eq=False)
class VideoPicture:
    """One decoded picture, ready to paint.

    `data` is BGRA, 8 bits a channel, rows `stride_bytes` apart, `height` rows; alpha is always 255.
    `captured_at` is the monotonic time in seconds at which it was captured (own picture) or decoded (remote).
    """

    width: int
    height: int
    stride_bytes: int
    data: bytes | memoryview
    captured_at: float


class FrameMailbox:
    """Holds the newest picture of one video stream; putting a new one drops the old one.

    `put` may be called from any thread. The listener is called after a put only if the mailbox was empty, so
    a busy reader is told once, not once a frame; it runs on the putting thread and must only wake the reader.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._picture: VideoPicture | None = None
        self._listener: Callable[[], None] | None = None
        self.skipped = 0

    def put(self, picture: VideoPicture) -> None:
        with self._lock:
            was_empty = self._picture is None
            if not was_empty:
                self.skipped += 1
            self._picture = picture
            listener = self._listener
        if was_empty and listener is not None:
            listener()

    def take(self) -> VideoPicture | None:
        """Give the newest picture and empty the mailbox; None when nothing came since the last take."""
        with self._lock:
            picture, self._picture = self._picture, None
            return picture

    def listen(self, listener: Callable[[], None] | None) -> None:
        """Set who is told of a picture in an empty mailbox; a waiting picture is told at once."""
        with self._lock:
            self._listener = listener
            waiting = self._picture is not None
        if waiting and listener is not None:
            listener()
