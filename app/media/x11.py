"""The few questions that sharing asks of an X server: which monitors and windows there are, and where.

Eleven requests of the X protocol (X.Org, "X Window System Protocol", version 11; RandR 1.5; EWMH for the list of
windows), written out here: the Python libraries for it are either unmaintained or need a compiler and cost more than
this does. Nothing is drawn, grabbed or changed. Blocks for at most some seconds: for worker threads.
"""

from __future__ import annotations

import os
import socket
import struct
from dataclasses import dataclass
from pathlib import Path

_ANSWER_S = 3.0
_MOST_REPLY_BYTES = 1 << 20
_MOST_WINDOWS = 200
_MOST_TITLE = 200
_COOKIE = b"MIT-MAGIC-COOKIE-1"
_FAMILY_LOCAL, _FAMILY_WILD = 256, 65_535
_VIEWABLE = 2

# Opcodes of the core protocol.
_GET_WINDOW_ATTRIBUTES, _GET_GEOMETRY, _INTERN_ATOM, _GET_ATOM_NAME = 3, 14, 16, 17
_GET_PROPERTY, _TRANSLATE_COORDINATES, _QUERY_EXTENSION = 20, 40, 98
_RR_QUERY_VERSION, _RR_GET_MONITORS = 0, 42


class X11Error(OSError):
    """The X server is not there, will not have us, or refused a request (a window that is gone)."""


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


@dataclass(frozen=True, slots=True)
class Display:
    """What DISPLAY names: `[host]:number[.screen]` (X(7)); an empty host is this machine."""

    host: str
    number: int
    screen: int

    @classmethod
    def parse(cls, text: str) -> Display:
        """Read it; X11Error when it is none."""
        host, colon, rest = text.rpartition(":")
        number, _, screen = rest.partition(".")
        if not colon or not number.isdigit() or not (screen or "0").isdigit():
            raise X11Error(f"DISPLAY is {text[:60]!r}, which names no X server")
        return cls(host.removeprefix("unix").rstrip(":"), int(number), int(screen or 0))


class X11:
    """One connection to an X server; a context manager. X11Error from every method once the server is gone."""

    def __init__(self, display: str | None = None) -> None:
        where = Display.parse(display if display is not None else os.environ.get("DISPLAY", ""))
        self._atoms: dict[str, int] = {}
        try:
            self._socket = _connect(where)
        except (OSError, ValueError) as error:
            raise X11Error(f"the X server {display or ''} does not answer ({error})") from error
        try:
            self.ids, self.root, self.area = self._set_up(where)
        except BaseException:
            self._socket.close()
            raise

    def __enter__(self) -> X11:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        self._socket.close()

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
        reply = self._ask(_GET_GEOMETRY, 0, struct.pack("<I", window))
        width, height = struct.unpack_from("<HH", reply, 16)
        place = self._ask(_TRANSLATE_COORDINATES, 0, struct.pack("<IIhh", window, self.root, 0, 0))
        x, y = struct.unpack_from("<hh", place, 12)
        return Area(x, y, width, height)

    def is_viewable(self, window: int) -> bool:
        """Whether it is mapped, and not put away as an icon."""
        return self._ask(_GET_WINDOW_ATTRIBUTES, 0, struct.pack("<I", window))[26] == _VIEWABLE

    def _is_furniture(self, window: int) -> bool:
        """A panel or the desktop itself is no window that anybody means."""
        kinds = self._property(window, "_NET_WM_WINDOW_TYPE")
        names = ("_NET_WM_WINDOW_TYPE_DOCK", "_NET_WM_WINDOW_TYPE_DESKTOP")
        return any(self._atom(name).to_bytes(4, "little") in (kinds[:4], kinds[4:8]) for name in names)

    def _is_ours(self, window: int) -> bool:
        """Whether it belongs to this process: nobody shares the dialog in which to choose."""
        return self._property(window, "_NET_WM_PID")[:4] == os.getpid().to_bytes(4, "little")

    def _randr_monitors(self) -> list[Monitor]:
        reply = self._ask(_QUERY_EXTENSION, 0, struct.pack("<HH", 5, 0) + b"RANDR")
        if not reply[8]:
            return []
        randr = reply[9]
        version = self._ask(randr, _RR_QUERY_VERSION, struct.pack("<II", 1, 5))
        if struct.unpack_from("<II", version, 8) < (1, 5):
            return []
        reply = self._ask(randr, _RR_GET_MONITORS, struct.pack("<IB3x", self.root, 1))
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
            reply = self._ask(_INTERN_ATOM, 1, struct.pack("<HH", len(data), 0) + data)
            self._atoms[name] = struct.unpack_from("<I", reply, 8)[0]
        return self._atoms[name]

    def _atom_name(self, atom: int) -> str:
        reply = self._ask(_GET_ATOM_NAME, 0, struct.pack("<I", atom))
        return reply[32 : 32 + struct.unpack_from("<H", reply, 8)[0]].decode("latin-1")

    def _property(self, window: int, name: str) -> bytes:
        """The value of a property, b"" where there is none."""
        atom = self._atom(name)
        if not atom:
            return b""
        reply = self._ask(_GET_PROPERTY, 0, struct.pack("<IIIII", window, atom, 0, 0, 4096))
        return reply[32 : 32 + struct.unpack_from("<I", reply, 16)[0] * (reply[1] // 8)]

    def _ask(self, opcode: int, detail: int, body: bytes) -> bytes:
        """Send one request and give its reply of at least 32 bytes."""
        body += bytes(-len(body) % 4)
        try:
            self._socket.sendall(struct.pack("<BBH", opcode, detail, 1 + len(body) // 4) + body)
            while True:
                head = self._read(32)
                if head[0] == 0:
                    raise X11Error(f"the X server refused request {opcode} (error {head[1]})")
                # Replies and generic events may be longer; other events, which nobody asked for, are 32 bytes.
                more = struct.unpack_from("<I", head, 4)[0] * 4 if head[0] in (1, 35) else 0
                data = head + self._read(more)
                if head[0] == 1:
                    return data
        except (OSError, struct.error) as error:
            raise error if isinstance(error, X11Error) else X11Error(f"the X server is gone ({error})") from error

    def _read(self, count: int) -> bytes:
        if count > _MOST_REPLY_BYTES:
            raise X11Error("the X server sends too much")
        data = bytearray()
        while len(data) < count:
            piece = self._socket.recv(count - len(data))
            if not piece:
                raise X11Error("the X server closed the connection")
            data += piece
        return bytes(data)

    def _set_up(self, where: Display) -> tuple[int, int, Area]:
        """Say hello; give the first number that we may use, the root window of our screen and its size."""
        cookie = _cookie(where)
        name = _COOKIE if cookie else b""
        hello = struct.pack("<BxHHHH2x", 0x6C, 11, 0, len(name), len(cookie))
        try:
            self._socket.sendall(hello + _padded(name) + _padded(cookie))
            head = self._read(8)
            data = self._read(struct.unpack_from("<H", head, 6)[0] * 4)
            if head[0] != 1:
                reason = data[: head[1]].decode("latin-1", "replace").strip()
                raise X11Error(f"the X server lets Parley not in ({reason[:80]})")
            vendor, screens, formats = *struct.unpack_from("<H2x", data, 16), data[20], data[21]
            offset = 32 + vendor + -vendor % 4 + 8 * formats
            for number in range(screens):
                root, width, height = struct.unpack_from("<I16xHH", data, offset)
                if number == where.screen:
                    return struct.unpack_from("<4xI", data)[0], root, Area(0, 0, width, height)
                offset = _after_screen(data, offset)
        except (OSError, struct.error, IndexError) as error:
            raise error if isinstance(error, X11Error) else X11Error(f"the X server is gone ({error})") from error
        raise X11Error(f"the X server has no screen {where.screen}")


def _after_screen(data: bytes, offset: int) -> int:
    depths = data[offset + 39]
    offset += 40
    for _ in range(depths):
        offset += 8 + 24 * struct.unpack_from("<2xH", data, offset)[0]
    return offset


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 4)


def _connect(where: Display) -> socket.socket:
    if where.host:
        return socket.create_connection((where.host, 6000 + where.number), _ANSWER_S)
    made = socket.socket(socket.AF_UNIX)
    made.settimeout(_ANSWER_S)
    path = f"/tmp/.X11-unix/X{where.number}"
    try:
        try:
            made.connect(path)
        except OSError:
            made.connect(f"\0{path}")  # a sandbox may show the abstract name alone
    except BaseException:
        made.close()
        raise
    return made


def _cookie(where: Display) -> bytes:
    """The secret that lets us in (Xauthority(5)), b"" where none is kept for this display."""
    path = os.environ.get("XAUTHORITY") or str(Path.home() / ".Xauthority")
    try:
        with open(path, "rb") as file:
            data = file.read(_MOST_REPLY_BYTES)
    except OSError:
        return b""
    best = b""
    for family, address, number, name, secret in _entries(data):
        if name != _COOKIE or number not in (b"", str(where.number).encode()):
            continue
        here = where.host.encode() or socket.gethostname().encode()
        if family == _FAMILY_LOCAL and address == here:
            return secret
        if family in (_FAMILY_LOCAL, _FAMILY_WILD) or not best:
            best = secret
    return best


def _entries(data: bytes) -> list[tuple[int, bytes, bytes, bytes, bytes]]:
    """Family, address, display number, name and secret of each entry; what is cut short is left out."""
    found: list[tuple[int, bytes, bytes, bytes, bytes]] = []
    offset = 0
    while offset + 2 <= len(data):
        family = struct.unpack_from(">H", data, offset)[0]
        offset += 2
        fields = []
        for _ in range(4):
            if offset + 2 > len(data):
                return found
            length = struct.unpack_from(">H", data, offset)[0]
            fields.append(data[offset + 2 : offset + 2 + length])
            offset += 2 + length
        found.append((family, fields[0], fields[1], fields[2], fields[3]))
    return found
