"""The few questions that sharing asks of an X server: which monitors and windows there are, and where.

Requests of the X protocol (X.Org, "X Window System Protocol", version 11; RandR 1.5; Composite 0.4; EWMH for the list
of windows) over `app.x11_wire`. Nothing is drawn, grabbed or moved. Blocks for some seconds at most: for worker
threads.
"""

from __future__ import annotations

import os
import struct
from dataclasses import dataclass

from app.x11_wire import X11Error, XConnection

_MOST_WINDOWS = 200
_MOST_TITLE = 200
_VIEWABLE = 2

# Opcodes of the core protocol.
_GET_WINDOW_ATTRIBUTES, _GET_GEOMETRY, _INTERN_ATOM, _GET_ATOM_NAME = 3, 14, 16, 17
_GET_PROPERTY, _GET_SELECTION_OWNER, _TRANSLATE_COORDINATES = 20, 23, 40
_COMPOSITE_QUERY_VERSION, _COMPOSITE_REDIRECT_WINDOW = 0, 1
_AUTOMATIC = 0
_RR_QUERY_VERSION, _RR_GET_MONITORS = 0, 42


@dataclass(frozen=True, slots=True)
class Area:
    """A rectangle of the root window in pixels; `x` and `y` may be negative for a window half outside."""

    x: int
    y: int
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class Monitor:
    name: str
    area: Area
    is_primary: bool


@dataclass(frozen=True, slots=True)
class Window:
    number: int
    title: str
    width: int
    height: int


class X11(XConnection):
    """One connection to an X server; a context manager. X11Error from every method once the server is gone."""

    def __init__(self, display: str | None = None) -> None:
        super().__init__(display)
        self._atoms: dict[str, int] = {}
        self.area = Area(0, 0, *self.size)

    def __enter__(self) -> X11:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    # What there is ------------------------------------------------------------------------------------------

    def monitors(self) -> tuple[Monitor, ...]:
        """The monitors, the primary one first; the whole screen where the server has no RandR 1.5."""
        found = self._randr_monitors()
        if not found:
            return (Monitor("screen", self.area, True),)
        return tuple(sorted(found, key=lambda monitor: not monitor.is_primary))

    def windows(self) -> tuple[Window, ...]:
        """The windows of other programs that the window manager lists and that are to be seen, the topmost first."""
        names = ("_NET_CLIENT_LIST_STACKING", "_NET_CLIENT_LIST")
        data = next((data for name in names if (data := self._property(self.root, name))), b"")
        numbers = [number for (number,) in struct.iter_unpack("<I", data[: len(data) & ~3])]
        found = []
        for number in numbers[: -_MOST_WINDOWS - 1 : -1]:
            try:
                title, area = self.title(number), self.window_area(number)
                is_meant = not (self._is_furniture(number) or self._is_ours(number))
                if title and is_meant and self.is_viewable(number):
                    found.append(Window(number, title, area.width, area.height))
            except X11Error:
                continue  # closed in this moment
        return tuple(found)

    def title(self, window: int) -> str:
        modern = self._property(window, "_NET_WM_NAME")
        text = modern.decode("utf-8", "replace") if modern else self._property(window, "WM_NAME").decode("latin-1")
        return " ".join(text.split())[:_MOST_TITLE]

    def window_area(self, window: int) -> Area:
        """Where a window is on the root window; X11Error when it is gone."""
        reply = self.ask(_GET_GEOMETRY, 0, struct.pack("<I", window))
        width, height = struct.unpack_from("<HH", reply, 16)
        place = self.ask(_TRANSLATE_COORDINATES, 0, struct.pack("<IIhh", window, self.root, 0, 0))
        x, y = struct.unpack_from("<hh", place, 12)
        return Area(x, y, width, height)

    def is_viewable(self, window: int) -> bool:
        """Whether it is mapped, and not put away as an icon."""
        return self.ask(_GET_WINDOW_ATTRIBUTES, 0, struct.pack("<I", window))[26] == _VIEWABLE

    def keep_whole(self, window: int) -> bool:
        """Have the server keep a picture of a window that others may cover, until this connection is closed.

        Its program then draws anew what was covered: gives whether that is to be waited for. Nothing is done where a
        compositor has such pictures kept anyway, or the server cannot.
        """
        composite = self.extension("Composite")
        if composite is None or self._has_compositor():
            return False
        self.ask(composite, _COMPOSITE_QUERY_VERSION, struct.pack("<II", 0, 4))
        number = self.send(composite, _COMPOSITE_REDIRECT_WINDOW, struct.pack("<IBxxx", window, _AUTOMATIC))
        return number not in self.complaints()

    def _has_compositor(self) -> bool:
        selection = self._atom(f"_NET_WM_CM_S{self.screen}")  # as EWMH wants it to be owned
        if not selection:
            return False
        return bool(struct.unpack_from("<I", self.ask(_GET_SELECTION_OWNER, 0, struct.pack("<I", selection)), 8)[0])

    def _is_furniture(self, window: int) -> bool:
        """A panel or the desktop itself is no window that anybody means."""
        kinds = self._property(window, "_NET_WM_WINDOW_TYPE")
        names = ("_NET_WM_WINDOW_TYPE_DOCK", "_NET_WM_WINDOW_TYPE_DESKTOP")
        return any(self._atom(name).to_bytes(4, "little") in (kinds[:4], kinds[4:8]) for name in names)

    def _is_ours(self, window: int) -> bool:
        """Whether it belongs to this process: nobody shares the dialog in which to choose."""
        return self._property(window, "_NET_WM_PID")[:4] == os.getpid().to_bytes(4, "little")

    def _randr_monitors(self) -> list[Monitor]:
        randr = self.extension("RANDR")
        if randr is None:
            return []
        version = self.ask(randr, _RR_QUERY_VERSION, struct.pack("<II", 1, 5))
        if struct.unpack_from("<II", version, 8) < (1, 5):
            return []
        reply = self.ask(randr, _RR_GET_MONITORS, struct.pack("<IB3x", self.root, 1))
        count, offset, found = struct.unpack_from("<I", reply, 12)[0], 32, []
        for _ in range(min(count, 64)):
            atom, primary, outputs, x, y, width, height = struct.unpack_from("<IBxHhhHH", reply, offset)
            found.append(Monitor(self._atom_name(atom), Area(x, y, width, height), bool(primary)))
            offset += 24 + 4 * outputs
        return found

    # The protocol -------------------------------------------------------------------------------------------

    def _atom(self, name: str) -> int:
        if name not in self._atoms:
            data = name.encode()
            reply = self.ask(_INTERN_ATOM, 1, struct.pack("<HH", len(data), 0) + data)
            self._atoms[name] = struct.unpack_from("<I", reply, 8)[0]
        return self._atoms[name]

    def _atom_name(self, atom: int) -> str:
        reply = self.ask(_GET_ATOM_NAME, 0, struct.pack("<I", atom))
        return reply[32 : 32 + struct.unpack_from("<H", reply, 8)[0]].decode("latin-1")

    def _property(self, window: int, name: str) -> bytes:
        """The value of a property, b"" where there is none."""
        atom = self._atom(name)
        if not atom:
            return b""
        reply = self.ask(_GET_PROPERTY, 0, struct.pack("<IIIII", window, atom, 0, 0, 4096))
        return reply[32 : 32 + struct.unpack_from("<I", reply, 16)[0] * (reply[1] // 8)]
