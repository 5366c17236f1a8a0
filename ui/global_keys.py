"""One key that is heard wherever on the desktop it is pressed: the interface, and which platform's way there is.

Each way asks the system for this one key. Reading the whole keyboard, as libraries for it do (pynput among them), would
show Parley everything that is typed into other programs, passwords included; nobody needs to trust it that far.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import Protocol

from PySide6.QtGui import QGuiApplication

from ui.key_names import TalkKeyName


class KeyNotHad(Exception):
    """Why the key cannot be had; the text is one sentence for a person."""


class GlobalKey(Protocol):
    """A key that the system gives us; made by `global_key`. Everything happens on the window's loop."""

    async def grab(self, key: TalkKeyName) -> None:
        """Begin to hear it; KeyNotHad says why not. Called once."""

    def close(self) -> None:
        """Give it back; nothing is heard from then on."""


class Listener(Protocol):
    """Who is told of the key."""

    def key_down(self) -> None: ...

    def key_up(self) -> None: ...

    def key_lost(self, sentence: str) -> None:
        """The key is no longer had, and why."""


def global_key(listener: Listener, platform: str | None = None) -> GlobalKey:
    """Make what hears a key on this desktop; KeyNotHad where there is none. `platform`: see `this_platform`."""
    name = platform or this_platform()
    make: Callable[[Listener], GlobalKey]
    if name == "x11":
        from ui.global_keys_x11 import X11Key as make
    elif name == "portal":
        from ui.global_keys_portal import PortalKey as make
    elif name == "windows":
        from ui.global_keys_windows import WindowsKey as make
    elif name == "mac":
        from ui.global_keys_mac import MacKey as make
    else:
        raise KeyNotHad("This desktop gives no program a key of its own; `parley channel talk` does the same.")
    return make(listener)


def this_platform() -> str:
    """Give "windows", "mac", "portal" (Wayland), "x11", or "" for anything else."""
    if sys.platform == "win32":
        return "windows"
    if sys.platform == "darwin":
        return "mac"
    # A window on Xwayland hears keys of X programs only, so the desktop counts and not the window's own platform.
    if os.environ.get("WAYLAND_DISPLAY") or os.environ.get("XDG_SESSION_TYPE") == "wayland":
        return "portal"
    return "x11" if QGuiApplication.platformName() == "xcb" else ""
