"""Screens of macOS, taken by FFmpeg's avfoundation with the pointer in them. It knows no single windows."""

from __future__ import annotations

import av

from app.events import ShareChoice
from app.media.screens import Grab, NotShared

_ALLOW = "Allow Parley to record the screen in System Settings, Privacy & Security, if nothing is seen."


class MacDesktop:
    """Fulfils `app.media.screens.Desktop`."""

    def choices(self) -> list[ShareChoice]:
        return [ShareChoice(f"screen:{name}", "screen", name, 0, 0) for name in _screens()]

    def find(self, video_from: str) -> MacScreen:
        kind, _, wanted = video_from.partition(":")
        if kind == "window":
            raise NotShared("On macOS Parley can share a whole screen, not a single window.")
        names = _screens()
        if not names or (wanted and wanted not in names):
            raise NotShared(f"There is no screen {wanted[:60]!r}. {_ALLOW}")
        return MacScreen(wanted or names[0])


class MacScreen:
    """One screen, by the name that the system gives it."""

    def __init__(self, name: str) -> None:
        self.name = f"screen {name}"
        self._screen = name

    def look(self) -> Grab:
        options = ("capture_cursor", "1"), ("pixel_format", "bgr0")
        return Grab("avfoundation", f"{self._screen}:none", options)

    def close(self) -> None:
        """There is nothing to let go of."""


def _screens() -> list[str]:
    try:
        devices = av.enumerate_input_devices("avfoundation")
    except (OSError, ValueError, RuntimeError) as error:
        raise NotShared(f"The screens cannot be listed ({str(error)[:80]}). {_ALLOW}") from error
    names = (device.description or device.name for device in devices)
    return [name for name in names if name.startswith("Capture screen")]
