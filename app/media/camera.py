"""The camera, through OpenCV in a thread of its own; without one, a labelled test picture.

A file may stand for a camera: it is played at its own pace, over and over.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
import time
from typing import Any

import av

from app.media import opencv
from app.media.devices import Camera, find_camera
from app.media.pattern import Pattern, seconds_of_day
from app.media.pictures import Fitter, VideoThread

logger = logging.getLogger(__name__)

RETRY_INTERVAL_S = 3.0
_OPEN_TIMEOUT_S = 4.0
_MOST_MISSES = 25  # failed reads in a row after which a camera is lost,
_LOST_AFTER_S = 5.0  # … or so long without a picture: a read that fails may take seconds
_MISS_PAUSE_S = 0.02


class CameraSource(VideoThread):
    """Fulfils `app.media.ports.VideoSource`; `camera` is a name from the device list or a path, "" the first one.

    The camera's light goes on at `start` and off at `close`. A camera that is missing, busy or lost is looked for
    again every three seconds; meanwhile the test picture says that there is none, and `problem` says why.
    """

    def __init__(self, camera: str, width: int, height: int, fps: float) -> None:
        super().__init__("camera", fps)
        self._wanted = camera
        self._fps = fps
        self._fitter = Fitter(width, height)
        self._settled = threading.Event()
        self._number = 0

    def start(self) -> None:
        super().start()
        self._settled.wait(_OPEN_TIMEOUT_S)

    def _run(self) -> None:
        try:
            self._keep()
        finally:
            self._settled.set()

    def _keep(self) -> None:
        while not self._stopping.is_set():
            camera = find_camera(self._wanted)
            capture = self._open(camera)
            self._settled.set()
            if camera is None or capture is None:
                self._show_test_picture(RETRY_INTERVAL_S)
                continue
            self.description = camera.name
            try:
                gave = self._capture(camera, capture)
            finally:
                capture.release()
            if not self._stopping.is_set():
                what = "was lost" if gave else "gives no picture, another program may be using it"
                self.problem = f"The camera {camera.name[:60]!r} {what}: others see a test picture."
                logger.info("the camera %s %s", camera.name, what)
                self._show_test_picture(RETRY_INTERVAL_S)

    def _open(self, camera: Camera | None) -> Any:
        """Open the camera at the asked size; None, with `problem` set, where that fails."""
        if camera is None:
            which = f"The camera {self._wanted[:60]!r} is not there" if self._wanted else "No camera was found"
            self.problem = f"{which}: others see a test picture."
            return None
        cv2 = opencv.load()
        if cv2 is None:
            self.problem = "The camera library OpenCV cannot be loaded: others see a test picture."
            return None
        capture = cv2.VideoCapture(camera.source, _back_end(cv2, camera))
        if not capture.isOpened():
            capture.release()
            why = "you may not use it" if _is_forbidden(camera) else "another program may be using it"
            self.problem = f"The camera {camera.name[:60]!r} cannot be opened, {why}: others see a test picture."
            return None
        if isinstance(camera.source, int):
            # Uncompressed pictures of this size at this rate are more than USB 2 carries.
            capture.set(cv2.CAP_PROP_FOURCC, cv2.VideoWriter.fourcc(*"MJPG"))
            capture.set(cv2.CAP_PROP_FRAME_WIDTH, self._fitter.width)
            capture.set(cv2.CAP_PROP_FRAME_HEIGHT, self._fitter.height)
            capture.set(cv2.CAP_PROP_FPS, self._fps)
            capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)
        return capture

    def _capture(self, camera: Camera, capture: Any) -> bool:
        """Give pictures until the camera is lost or the source is closed; gives whether there were any."""
        is_file = isinstance(camera.source, str) and not camera.source.startswith("/dev/")
        file_interval_s = 1.0 / min(max(capture.get(_PROP_FPS) or 25.0, 1.0), 120.0)
        misses, given = 0, 0.0
        self.is_lettered = False
        due = seen = time.monotonic()
        while not self._stopping.is_set() and misses < _MOST_MISSES:
            there, picture = capture.read()
            if not there:
                misses += 1
                if time.monotonic() - seen > _LOST_AFTER_S:
                    break
                if is_file:
                    capture.set(_PROP_POSITION, 0)
                self._stopping.wait(_MISS_PAUSE_S)
                continue
            misses, self.problem = 0, None
            if is_file:
                due = max(due + file_interval_s, time.monotonic() - file_interval_s)
                self._stopping.wait(max(0.0, due - time.monotonic()))
            seen = now = time.monotonic()
            if now - given >= self._interval_s * 0.75:
                given = now
                self._give(self._fitter.fit(av.VideoFrame.from_ndarray(picture, format="bgr24")), now)
        return given > 0.0

    def _show_test_picture(self, seconds: float) -> None:
        pattern = Pattern(self._fitter.width, self._fitter.height, "No camera")
        self.is_lettered = True
        end = time.monotonic() + seconds
        while time.monotonic() < end and not self._stopping.wait(self._interval_s):
            self._give(pattern.draw(self._number, seconds_of_day()), time.monotonic())
            self._number += 1


# cv2.CAP_PROP_*, named here because cv2 is imported late.
_PROP_POSITION = 1
_PROP_FPS = 5


def _is_forbidden(camera: Camera) -> bool:
    """Whether this user may not open the camera's device; False where that is not to be known."""
    place = camera.source if isinstance(camera.source, str) else f"/dev/video{camera.source}"
    return os.path.exists(place) and not os.access(place, os.R_OK | os.W_OK)


def _back_end(cv2: Any, camera: Camera) -> int:
    if isinstance(camera.source, str):
        return int(cv2.CAP_ANY)
    if sys.platform == "win32":
        return int(cv2.CAP_DSHOW)
    return int(cv2.CAP_AVFOUNDATION if sys.platform == "darwin" else cv2.CAP_V4L2)
