"""Screens and windows of Windows, taken by FFmpeg's gdigrab with the pointer in them."""

from __future__ import annotations

import ctypes
import os
import sys
from ctypes import wintypes

from app.events import ShareChoice
from app.media.screens import Grab, NotShared

assert sys.platform == "win32"

_user32 = ctypes.WinDLL("user32", use_last_error=True)
_dwm = ctypes.WinDLL("dwmapi")
_CLOAKED = 14  # DWMWA_CLOAKED: a window of another virtual desktop, or of a sleeping app
_TITLE_LENGTH = 200
_CALLBACK = ctypes.WINFUNCTYPE(wintypes.BOOL, wintypes.HANDLE, wintypes.LPARAM)
_MONITOR_CALLBACK = ctypes.WINFUNCTYPE(
    wintypes.BOOL, wintypes.HANDLE, wintypes.HDC, ctypes.POINTER(wintypes.RECT), wintypes.LPARAM
)
_user32.GetWindowTextW.argtypes = (wintypes.HWND, wintypes.LPWSTR, ctypes.c_int)
_user32.GetClientRect.argtypes = (wintypes.HWND, ctypes.POINTER(wintypes.RECT))
for _asks in (_user32.IsWindow, _user32.IsWindowVisible, _user32.IsIconic):
    _asks.argtypes = (wintypes.HWND,)


class WindowsDesktop:
    """Fulfils `app.media.screens.Desktop`."""

    def choices(self) -> list[ShareChoice]:
        screens = [
            ShareChoice(f"screen:{name}", "screen", f"Screen {name}", area.right - area.left, area.bottom - area.top)
            for name, area in _monitors().items()
        ]
        windows = [ShareChoice(f"window:{number:#x}", "window", title, *_size(number)) for number, title in _windows()]
        return screens + [window for window in windows if window.width > 1 and window.height > 1]

    def find(self, video_from: str) -> MonitorTarget | WindowTarget:
        kind, _, wanted = video_from.partition(":")
        if kind == "window":
            return WindowTarget(*_find_window(wanted))
        names = list(_monitors())
        if wanted and wanted not in names:
            raise NotShared(f"There is no screen {wanted[:60]!r}; there is {', '.join(names)}.")
        return MonitorTarget(wanted or names[0])


class MonitorTarget:
    """The part of the desktop that one monitor shows."""

    def __init__(self, name: str) -> None:
        self.name = f"screen {name}"
        self._monitor = name

    def look(self) -> Grab:
        area = _monitors().get(self._monitor)
        if area is None:
            raise NotShared(f"The {self.name} can no longer be seen: sharing has ended.")
        size = f"{area.right - area.left}x{area.bottom - area.top}"
        place = ("offset_x", str(area.left)), ("offset_y", str(area.top)), ("video_size", size)
        return Grab("gdigrab", "desktop", (("draw_mouse", "1"), *place))

    def close(self) -> None:
        """There is nothing to let go of."""


class WindowTarget:
    """One window. It is taken by its number: titles change."""

    def __init__(self, number: int, title: str) -> None:
        self.name = f"window {title[:60]!r}"
        self._number = number

    def look(self) -> Grab | None:
        if not _user32.IsWindow(self._number):
            raise NotShared(f"The {self.name} can no longer be seen: sharing has ended.")
        width, height = _size(self._number)
        if _user32.IsIconic(self._number) or width < 2 or height < 2:
            return None
        # The size is no option of a window's; it stands here so that a change of it is seen.
        return Grab("gdigrab", f"hwnd={self._number}", (("draw_mouse", "1"), ("video_size", f"{width}x{height}")))

    def close(self) -> None:
        """There is nothing to let go of."""


def _monitors() -> dict[str, wintypes.RECT]:
    """The monitors by number from the left, "1" the one whose corner is the desktop's origin (the primary one)."""
    found: list[wintypes.RECT] = []

    def take(_monitor: int, _context: int, area: ctypes._Pointer[wintypes.RECT], _data: int) -> bool:
        found.append(wintypes.RECT.from_buffer_copy(area.contents))
        return True

    _user32.EnumDisplayMonitors(None, None, _MONITOR_CALLBACK(take), 0)
    found.sort(key=lambda area: (bool(area.left or area.top), area.left, area.top))
    return {str(number): area for number, area in enumerate(found, 1)}


def _windows() -> list[tuple[int, str]]:
    """Number and title of the windows of other programs that are to be seen, the topmost first."""
    found: list[tuple[int, str]] = []

    def take(number: int, _data: int) -> bool:
        title = ctypes.create_unicode_buffer(_TITLE_LENGTH)
        cloaked = wintypes.DWORD()
        _dwm.DwmGetWindowAttribute(wintypes.HWND(number), _CLOAKED, ctypes.byref(cloaked), ctypes.sizeof(cloaked))
        process = wintypes.DWORD()
        _user32.GetWindowThreadProcessId(wintypes.HWND(number), ctypes.byref(process))
        if _user32.IsWindowVisible(number) and not cloaked.value and process.value != os.getpid():
            _user32.GetWindowTextW(number, title, _TITLE_LENGTH)
            if title.value.strip():
                found.append((number, title.value.strip()))
        return True

    _user32.EnumWindows(_CALLBACK(take), 0)
    return found


def _find_window(wanted: str) -> tuple[int, str]:
    try:
        number = int(wanted, 0)
    except ValueError:
        number = -1
    for window in _windows():
        if window[0] == number or window[1].casefold() == wanted.casefold():
            return window
    raise NotShared(f"There is no window {wanted[:60]!r}.")


def _size(number: int) -> tuple[int, int]:
    area = wintypes.RECT()
    _user32.GetClientRect(number, ctypes.byref(area))
    return area.right & ~1, area.bottom & ~1
