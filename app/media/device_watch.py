"""Tells when a microphone, a speaker or a camera was plugged in or out, or the system's default is another one.

A sound server says so itself. Elsewhere on Linux the lists of the kernel are looked at, which costs next to nothing; on
Windows and macOS a short-lived helper process reads PortAudio's list anew, since in this process it is frozen while a
stream is open.
"""

from __future__ import annotations

import contextlib
import json
import logging
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

from app.media import portaudio
from app.media.devices import list_cameras
from app.media.pulse import PulseClient
from app.media.sound_device import Kind
from app.media.worker import Worker

logger = logging.getLogger(__name__)

LOOK_EVERY_S = 1.0
_HELPER_EVERY_S = 6.0
_HELPER_TIMEOUT_S = 10.0
_HELPER_MOST_BYTES = 1_000_000
_QUIET_S = 0.15  # a device comes as several changes
_KERNEL_LISTS = (Path("/proc/asound/cards"), Path("/sys/class/video4linux"))
HELPER_FLAG = "--list-sound-devices"


class DeviceWatch:
    """Calls `on_change` in a thread of its own, from `start` to `stop`; open devices are told before."""

    def __init__(self, on_change: Callable[[], None]) -> None:
        self._on_change = on_change
        self._worker = Worker("device-watch", self._run)

    def start(self) -> None:
        self._worker.start()

    def stop(self, timeout_s: float = 3.0) -> None:
        """End it; may block while a server does not answer."""
        self._worker.stop()
        self._worker.join(timeout_s)

    def _run(self, stopping: threading.Event) -> None:
        if not sys.platform.startswith("linux"):
            self._ask_helper(stopping)
            return
        seen: tuple[str, ...] = ()  # the first look is told: something may have changed since whoever asks has read
        while not stopping.is_set():
            try:
                client = PulseClient.connected()
            except TimeoutError:
                client = None
            if client is None:
                if stopping.wait(LOOK_EVERY_S):
                    return
            else:
                try:
                    seen = self._follow(client, stopping)
                finally:
                    client.close()
                if not stopping.wait(_QUIET_S):
                    self._tell()  # the server is gone
            now = _kernel_lists()
            if now != seen:
                seen = now
                self._tell()

    def _follow(self, client: PulseClient, stopping: threading.Event) -> tuple[str, ...]:
        """Listen to a sound server until it is gone; gives the kernel's lists as they were told last."""
        changes: list[None] = []
        client.watch(lambda: changes.append(None))
        seen, before = _kernel_lists(), client.devices()
        self._tell()  # the server is there
        while not stopping.is_set() and client.step(LOOK_EVERY_S if not changes else _QUIET_S):
            now = _kernel_lists()
            if changes:
                changes.clear()
                if client.step(_QUIET_S) and changes:
                    continue  # more follows
                devices = client.devices()
                if devices == before and now == seen:
                    continue  # a volume or the like
                before = devices
            elif now == seen:
                continue
            seen = now
            self._tell()
        return seen

    def _ask_helper(self, stopping: threading.Event) -> None:
        seen = None
        while not stopping.is_set():
            listed = helper_list()
            if listed is not None and listed != seen:
                seen = listed
                portaudio.take_fresh_list(listed)
                self._tell()
            stopping.wait(_HELPER_EVERY_S)

    def _tell(self) -> None:
        portaudio.devices_changed()
        self._on_change()


def helper_list() -> dict[str, list[list[object]]] | None:
    """Have another process list devices: rows of `AudioDevice`, names of cameras; None where that fails."""
    frozen = getattr(sys, "frozen", False)
    command = [sys.executable, HELPER_FLAG] if frozen else [sys.executable, "-m", "app", HELPER_FLAG]
    try:
        done = subprocess.run(command, capture_output=True, timeout=_HELPER_TIMEOUT_S, check=True)
        listed = json.loads(done.stdout[:_HELPER_MOST_BYTES])
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        logger.info("the list of sound devices cannot be read anew: %s", error)
        return None
    return listed if isinstance(listed, dict) else None


def print_list() -> None:
    """What the helper process does."""
    kinds: tuple[Kind, ...] = ("microphone", "speaker")
    listed = {kind: [portaudio.as_row(device) for device in portaudio.devices(kind)] for kind in kinds}
    print(json.dumps(listed | {"camera": [[camera.name] for camera in list_cameras()]}))


def _kernel_lists() -> tuple[str, ...]:
    """What says which sound cards and cameras there are."""
    cards, cameras = _KERNEL_LISTS
    try:
        seen = [cards.read_text("utf-8", "replace")]
    except OSError:
        seen = [""]
    with contextlib.suppress(OSError):
        seen += sorted(entry.name for entry in cameras.iterdir())
    return tuple(seen)
