"""What this machine has to speak, listen and look with.

Nothing here opens a device: a list must not switch a camera's light on. Reading it may block and belongs in a worker
thread.
"""

from __future__ import annotations

import logging
import sys
from dataclasses import dataclass
from pathlib import Path

import av

from app.events import DeviceInfo
from app.media import portaudio

logger = logging.getLogger(__name__)

_V4L_CLASS = Path("/sys/class/video4linux")
_DEV = Path("/dev")
_FFMPEG_INPUT = {"win32": "dshow", "darwin": "avfoundation"}

_MISSING = {
    "microphone": "No microphone was found: others hear silence.",
    "speaker": "No speaker was found: you hear nothing.",
    "camera": "No camera was found: others see a test picture.",
}


@dataclass(frozen=True, slots=True)
class Camera:
    """A camera and how OpenCV is asked for it: a number, or the path of a file that stands for a camera."""

    name: str
    source: int | str


def list_devices() -> tuple[DeviceInfo, ...]:
    """Give microphones, speakers and cameras, each under the name by which the settings choose it."""
    found: list[DeviceInfo] = []
    for kind in ("microphone", "speaker"):
        shown = portaudio.choices("microphone" if kind == "microphone" else "speaker")
        found.extend(DeviceInfo(kind, device.name, device.is_default) for device in shown)
    found.extend(DeviceInfo("camera", camera.name, index == 0) for index, camera in enumerate(list_cameras()))
    return tuple(found)


def missing_devices(devices: tuple[DeviceInfo, ...]) -> tuple[str, ...]:
    """Give one sentence for each kind of device that is not there."""
    kinds = {device.kind for device in devices}
    return tuple(sentence for kind, sentence in _MISSING.items() if kind not in kinds)


def list_cameras() -> tuple[Camera, ...]:
    """Give the cameras without opening any."""
    return _linux_cameras() if sys.platform.startswith("linux") else _ffmpeg_cameras()


def find_camera(wanted: str) -> Camera | None:
    """Give the camera of a name, "" the first one; the path of an existing file or device stands for a camera."""
    cameras = list_cameras()
    if not wanted:
        return cameras[0] if cameras else None
    by_name = next((camera for camera in cameras if camera.name == wanted), None)
    if by_name is None and Path(wanted).exists():
        return Camera(Path(wanted).name, wanted)
    return by_name


def _linux_cameras() -> tuple[Camera, ...]:
    found: list[Camera] = []
    for node in sorted(_V4L_CLASS.glob("video*"), key=lambda path: int(path.name.removeprefix("video") or 0)):
        try:
            name = (node / "name").read_text("utf-8", "replace").strip()
            is_picture = (node / "index").read_text("ascii", "replace").strip() == "0"  # the others carry metadata
        except OSError:
            continue
        if is_picture and (_DEV / node.name).exists():
            if any(camera.name == name for camera in found):
                name = f"{name} ({node.name})"
            found.append(Camera(name, int(node.name.removeprefix("video"))))
    return tuple(found)


def _ffmpeg_cameras() -> tuple[Camera, ...]:
    """On Windows and macOS OpenCV counts cameras in the order in which FFmpeg lists them."""
    try:
        listed = av.enumerate_input_devices(_FFMPEG_INPUT[sys.platform])
    except (KeyError, OSError, ValueError, RuntimeError) as error:
        logger.info("the list of cameras cannot be read: %s", error)
        return ()
    names = [device.description or device.name for device in listed if "video" in device.media_types]
    return tuple(Camera(name, index) for index, name in enumerate(names))
