"""A desktop for tests of sharing: an X server of the test's own without a screen, and windows on it.

Windows are drawn, moved and listed through the X protocol itself, so that neither a window manager nor another
program decides when something is there.
"""

from __future__ import annotations

import os
import struct
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

from app.media.x11 import X11

WIDTH, HEIGHT = 640, 480
_CREATE_WINDOW, _DESTROY_WINDOW, _MAP, _UNMAP, _CONFIGURE, _CHANGE_PROPERTY = 1, 4, 8, 10, 12, 18
_SET_SELECTION_OWNER = 22
_WARP_POINTER, _OPEN_FONT, _CREATE_GC, _FILL, _GLYPH_CURSOR = 41, 45, 55, 70, 94
_WINDOW_TYPE, _ATOM_TYPE, _STRING_TYPE = 33, 4, 31
_ARROW = 68


class Desk(X11):
    """A connection that also draws; each change has happened when its method returns."""

    def __init__(self, display: str) -> None:
        self.display = display
        super().__init__(display)
        self._next = 0
        self._shown: list[int] = []
        font = self._new()
        self._do(_OPEN_FONT, 0, struct.pack("<IHH", font, 6, 0) + b"cursor\0\0")
        self._cursor = self._new()
        glyph = struct.pack("<IIIHHHHHHHH", self._cursor, font, font, _ARROW, _ARROW + 1, *[0] * 3, *[65_535] * 3)
        self._do(_GLYPH_CURSOR, 0, glyph)

    def open(self, title: str, colour: int, x: int, y: int, width: int, height: int) -> int:
        """Show a window of one colour (0xRRGGBB) and list it; gives its number."""
        number = self._new()
        values = struct.pack("<III", colour, 1, self._cursor)  # background, override-redirect, cursor
        place = struct.pack("<IIhhHHHHII", number, self.root, x, y, width, height, 0, 1, 0, 0x2 | 0x200 | 0x4000)
        self._do(_CREATE_WINDOW, 0, place + values)
        self._set(number, "_NET_WM_NAME", "UTF8_STRING", 8, title.encode())
        self._do(_MAP, 0, struct.pack("<I", number))
        self._list([*self._shown, number])
        return number

    def move(self, number: int, x: int, y: int, width: int, height: int) -> None:
        self._do(_CONFIGURE, 0, struct.pack("<IHxxiiII", number, 0xF, x, y, width, height))

    def put_away(self, number: int) -> None:
        self._do(_UNMAP, 0, struct.pack("<I", number))

    def bring_back(self, number: int) -> None:
        self._do(_MAP, 0, struct.pack("<I", number))

    def shut(self, number: int) -> None:
        self._do(_DESTROY_WINDOW, 0, struct.pack("<I", number))
        self._list([one for one in self._shown if one != number])

    def fill(self, number: int, colour: int, width: int, height: int) -> None:
        """Paint over a window."""
        context = self._new()
        self._do(_CREATE_GC, 0, struct.pack("<IIII", context, number, 0x4, colour))
        self._do(_FILL, 0, struct.pack("<IIhhHH", number, context, 0, 0, width, height))

    def point(self, x: int, y: int) -> None:
        """Move the pointer."""
        self._do(_WARP_POINTER, 0, struct.pack("<IIhhHHhh", 0, self.root, 0, 0, 0, 0, x, y))

    def own(self, selection: str, number: int) -> None:
        """Let a window own a selection, until it is shut."""
        self._do(_SET_SELECTION_OWNER, 0, struct.pack("<III", number, self._made(selection), 0))

    def _list(self, numbers: list[int]) -> None:
        self._shown = numbers
        self._set(self.root, "_NET_CLIENT_LIST", "WINDOW", 32, struct.pack(f"<{len(numbers)}I", *numbers))

    def _set(self, window: int, name: str, kind: str, bits: int, data: bytes) -> None:
        count = len(data) // (bits // 8)
        head = struct.pack("<IIIBxxxI", window, self._made(name), self._made(kind), bits, count)
        self._do(_CHANGE_PROPERTY, 0, head + data)

    def _made(self, name: str) -> int:
        data = name.encode()
        reply = self.ask(16, 0, struct.pack("<HH", len(data), 0) + data)
        return int(struct.unpack_from("<I", reply, 8)[0])

    def _do(self, opcode: int, detail: int, body: bytes) -> None:
        """Send a request that has no reply, and wait until the server is through with it."""
        self.send(opcode, detail, body)
        self.complaints()

    def _new(self) -> int:
        self._next += 1
        return self.ids + self._next


@contextmanager
def a_desktop() -> Iterator[Desk]:
    """Start an X server of 640x480 and connect to it."""
    reading, writing = os.pipe()
    size = f"{WIDTH}x{HEIGHT}x24"
    command = ("Xvfb", "-displayfd", str(writing), "-screen", "0", size, "-nolisten", "tcp", "-noreset")
    server = subprocess.Popen(command, pass_fds=(writing,), stderr=subprocess.DEVNULL)
    try:
        os.close(writing)
        with open(reading, "rb") as line:
            number = line.readline().decode().strip()
        with Desk(f":{number}") as desk:
            yield desk
    finally:
        server.terminate()
        try:
            server.wait(5)
        except subprocess.TimeoutExpired:  # it may sleep through a signal that comes as it begins to wait for clients
            server.kill()
            server.wait()
