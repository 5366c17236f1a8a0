"""Video frames on their way to a screen, and the mailbox that holds only the newest.

A frame crosses from a worker thread to the window without a queue: a late window skips frames instead of
falling behind. Plain data that any layer may import; knows neither Qt nor codecs.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from app.picture import VideoPicture as VideoPicture

WATCHED_S = 1.0  # who took a picture this long ago is still looking
UNWATCHED_INTERVAL_S = 0.25  # between pictures while nobody looks, so that whoever begins to look sees one at once
UNHEARD_INTERVAL_S = 2.0  # … and where nobody is even told of them, as in a command without a window


class FrameMailbox:
    """Holds the newest picture of one video stream; putting a new one drops the old one.

    `put` may be called from any thread. The listener is called after a put only if the mailbox was empty, so
    a busy reader is told once, not once a frame; it runs on the putting thread and must only wake the reader.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._picture: VideoPicture | None = None
        self._listener: Callable[[], None] | None = None
        self._taken_at = self._put_at = -WATCHED_S
        self.skipped = 0
        self.taken = 0

    @property
    def is_wanted(self) -> bool:
        """Whether a new picture is worth making: somebody looks, or what lies here is old. From any thread.

        A window that is hidden, or a command without one, takes none: then a picture need not be converted.
        """
        now = time.monotonic()
        with self._lock:
            if self._picture is None or now - self._taken_at < WATCHED_S:
                return True
            is_heard = self._listener is not None or self.taken > 0
            return now - self._put_at >= (UNWATCHED_INTERVAL_S if is_heard else UNHEARD_INTERVAL_S)

    def put(self, picture: VideoPicture) -> None:
        with self._lock:
            was_empty = self._picture is None
            if not was_empty:
                self.skipped += 1
            self._picture = picture
            self._put_at = time.monotonic()
            listener = self._listener
        if was_empty and listener is not None:
            listener()

    def take(self) -> VideoPicture | None:
        """Give the newest picture and empty the mailbox; None when nothing came since the last take."""
        with self._lock:
            picture, self._picture = self._picture, None
            self._taken_at = time.monotonic()
            self.taken += picture is not None
            return picture

    def listen(self, listener: Callable[[], None] | None) -> None:
        """Set who is told of a picture in an empty mailbox; a waiting picture is told at once."""
        with self._lock:
            self._listener = listener
            waiting = self._picture is not None
        if waiting and listener is not None:
            listener()
