"""A camera that is looked through until a QR code is seen."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from app.frames import FrameMailbox
from app.media.errors import MediaError
from app.media.ports import VideoSource
from app.media.qr_reading import find_qr
from app.media.sinks import MailboxSink
from app.media.worker import Worker

NO_CAMERA = "No camera can be used here: choose a picture of the QR code instead."
_LOOK_S = 0.25  # between two searches: each takes up to a tenth of a second
_PICTURE_WAIT_S = 0.2
_CLOSE_S = 5.0


class QrCamera:
    """What the source sees goes to `picture`; `on_end` gets the text or an error, once, on the camera's thread."""

    def __init__(self, source: VideoSource, picture: FrameMailbox, on_end: Callable[[str | MediaError], None]) -> None:
        self._source, self._picture, self._on_end = source, picture, on_end
        self._worker = Worker("qr-camera", self._watch)

    def start(self) -> None:
        self._worker.start()

    def close(self) -> None:
        """Release the camera; blocks."""
        self._worker.stop()
        self._worker.join(_CLOSE_S)

    def _watch(self, stopping: threading.Event) -> None:
        ended: str | MediaError | None
        try:
            ended = self._look(stopping)
        except MediaError as error:
            ended = error
        finally:
            self._source.close()
        if ended is not None:
            self._on_end(ended)

    def _look(self, stopping: threading.Event) -> str | None:
        sink = MailboxSink(self._picture)
        looked_at = time.monotonic()
        self._source.start()
        while not stopping.is_set():
            captured = self._source.read_frame(_PICTURE_WAIT_S)
            if self._source.problem is not None:
                raise MediaError(NO_CAMERA)
            if captured is None:
                continue
            sink.show(captured)
            if time.monotonic() - looked_at >= _LOOK_S:
                text = find_qr(captured.frame.to_ndarray(format="gray"))
                if text:
                    return text
                looked_at = time.monotonic()
        return None
