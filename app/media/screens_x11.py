"""Screens and windows of an X server, taken by FFmpeg's x11grab with the pointer in them."""

from __future__ import annotations

import time

from app.events import ShareChoice
from app.media.screens import Grab, NotShared
from app.media.x11 import X11, Area, Monitor, Window
from app.x11_wire import X11Error

_DRAWN_ANEW_S = 0.05  # a program takes to draw what was covered
_GONE = "can no longer be seen: sharing has ended."


class X11Desktop:
    """Fulfils `app.media.screens.Desktop`."""

    def __init__(self, display: str) -> None:
        self._display = display

    def choices(self) -> list[ShareChoice]:
        with self._connect() as server:
            try:
                screens = [
                    ShareChoice(f"screen:{one.name}", "screen", one.name, one.area.width, one.area.height)
                    for one in server.monitors()
                ]
                windows = [
                    ShareChoice(f"window:{one.number:#x}", "window", one.title, one.width, one.height)
                    for one in server.windows()
                ]
            except X11Error as error:
                raise NotShared(f"The screens cannot be listed: {error}.") from error
        return screens + windows

    def find(self, video_from: str) -> MonitorTarget | WindowTarget:
        kind, _, wanted = video_from.partition(":")
        server = self._connect()
        try:
            if kind == "window":
                window = _find_window(server.windows(), wanted)
                if server.keep_whole(window.number):
                    time.sleep(_DRAWN_ANEW_S)
                return WindowTarget(self._display, server, window)
            return MonitorTarget(self._display, server, _find_monitor(server.monitors(), wanted).name)
        except X11Error as error:
            server.close()
            raise NotShared(f"The screens cannot be listed: {error}.") from error
        except BaseException:
            server.close()
            raise

    def _connect(self) -> X11:
        try:
            return X11(self._display)
        except X11Error as error:
            raise NotShared(f"There is no screen to share: {error}.") from error


def _find_monitor(monitors: tuple[Monitor, ...], wanted: str) -> Monitor:
    if not wanted:
        return monitors[0]
    found = next((one for one in monitors if one.name.casefold() == wanted.casefold()), None)
    if found is None:
        names = ", ".join(one.name for one in monitors)
        raise NotShared(f"There is no screen {wanted[:60]!r}; there is {names}.")
    return found


def _find_window(windows: tuple[Window, ...], wanted: str) -> Window:
    """By its number as it is listed, else by its title, else by a part of the title that only one window has."""
    try:
        number = int(wanted, 0)
    except ValueError:
        number = -1
    title = wanted.casefold()
    exact = [one for one in windows if one.number == number or one.title.casefold() == title]
    close = [one for one in windows if title and title in one.title.casefold()]
    if exact:
        return exact[0]
    if number >= 0:
        raise NotShared("The window is no longer there: choose another one to share.")
    if not close:
        raise NotShared(f"There is no window {wanted[:60]!r}.")
    if len(close) > 1:
        raise NotShared(f"Several windows are called {wanted[:60]!r}: write more of the title.")
    return close[0]


class MonitorTarget:
    """The part of the root window that one monitor shows."""

    def __init__(self, display: str, server: X11, name: str) -> None:
        self._display, self._server = display, server
        self._monitor = name
        self.name = f"screen {name}"

    def look(self) -> Grab:
        try:
            monitors = self._server.monitors()
        except X11Error as error:
            raise NotShared(f"The {self.name} {_GONE}") from error
        area = next((one.area for one in monitors if one.name == self._monitor), None)
        if area is None:
            raise NotShared(f"The {self.name} {_GONE}")
        return _grab(self._display, area)

    def close(self) -> None:
        self._server.close()


class WindowTarget:
    """One window, wherever it goes, also behind others where the server can keep pictures of what they cover."""

    def __init__(self, display: str, server: X11, window: Window) -> None:
        self._display, self._server = display, server
        self._number = window.number
        self.name = f"window {window.title[:60]!r}"

    def look(self) -> Grab | None:
        try:
            place = self._server.window_area(self._number)
            seen = _on_screen(place, self._server.area)
            if seen is None or not self._server.is_viewable(self._number):
                return None  # put away as an icon, or moved out of sight: it may come back
        except X11Error as error:
            raise NotShared(f"The {self.name} {_GONE}") from error
        return _grab(self._display, seen, self._number)

    def close(self) -> None:
        self._server.close()


def _on_screen(place: Area, root: Area) -> Area | None:
    """The part of a window that lies on the root window, counted from its own corner: a server gives no other."""
    left, top = max(place.x, 0), max(place.y, 0)
    right, bottom = min(place.x + place.width, root.width), min(place.y + place.height, root.height)
    if right - left < 2 or bottom - top < 2:
        return None
    return Area(left - place.x, top - place.y, right - left, bottom - top)


def _grab(display: str, area: Area, window: int | None = None) -> Grab:
    options = {
        "draw_mouse": "1",
        "grab_x": str(area.x),
        "grab_y": str(area.y),
        "video_size": f"{area.width}x{area.height}",
    }
    if window is not None:
        options["window_id"] = str(window)
    return Grab("x11grab", display, tuple(options.items()))
