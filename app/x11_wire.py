"""A connection to an X server, at the level of its requests: setting up, asking, and what it tells unasked.

Written out after X.Org, "X Window System Protocol", version 11: the Python libraries for it are either unmaintained or
need a compiler and cost more than the few requests that are wanted. A leaf that any layer may import. `ask` and
`complaints` block for at most some seconds; `events` never does.
"""

from __future__ import annotations

import os
import select
import socket
import struct
from collections import deque
from dataclasses import dataclass
from pathlib import Path

_ANSWER_S = 3.0
_MOST_REPLY_BYTES = 1 << 20
_MOST_WAITING = 256  # events and errors that nobody has taken
_COOKIE = b"MIT-MAGIC-COOKIE-1"
_FAMILY_LOCAL, _FAMILY_WILD = 256, 65_535

_QUERY_EXTENSION, _GET_INPUT_FOCUS = 98, 43
_ERROR, _REPLY, _GENERIC_EVENT = 0, 1, 35


class X11Error(OSError):
    """The X server is not there, will not have us, or refused a request (a window that is gone)."""


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


class XConnection:
    """A context manager. X11Error from every method once the server is gone. Used by one thread at a time.

    `ids`: the first number that we may give to what we make; `root`: the root window of our screen, `size` its pixels;
    `keycodes`: the lowest and highest code of a key.
    """

    def __init__(self, display: str | None = None) -> None:
        where = Display.parse(display if display is not None else os.environ.get("DISPLAY", ""))
        self._sent = 0
        self._buffer = bytearray()
        self._events: deque[bytes] = deque(maxlen=_MOST_WAITING)
        self._errors: deque[bytes] = deque(maxlen=_MOST_WAITING)
        try:
            self._socket = _connect(where)
        except (OSError, ValueError) as error:
            raise X11Error(f"the X server {display or ''} does not answer ({error})") from error
        try:
            self._set_up(where)
        except BaseException:
            self._socket.close()
            raise

    def close(self) -> None:
        self._socket.close()

    def fileno(self) -> int:
        """What becomes readable when the server has something to tell."""
        return self._socket.fileno()

    def send(self, opcode: int, detail: int, body: bytes) -> int:
        """Send a request that has no reply; gives its number, by which `complaints` names it."""
        body += bytes(-len(body) % 4)
        try:
            self._socket.sendall(struct.pack("<BBH", opcode, detail, 1 + len(body) // 4) + body)
        except OSError as error:
            raise X11Error(f"the X server is gone ({error})") from error
        self._sent = (self._sent + 1) & 0xFFFF
        return self._sent

    def ask(self, opcode: int, detail: int, body: bytes) -> bytes:
        """Send one request and give its reply of at least 32 bytes."""
        number = self.send(opcode, detail, body)
        while True:
            data = self._packet()
            if data[0] in (_ERROR, _REPLY) and struct.unpack_from("<H", data, 2)[0] == number:
                if data[0] == _ERROR:
                    raise X11Error(f"the X server refused request {opcode} (error {data[1]})")
                return data
            self._put_by(data)

    def extension(self, name: str) -> int | None:
        """Give the opcode of an extension; None where the server has it not."""
        data = name.encode()
        reply = self.ask(_QUERY_EXTENSION, 0, struct.pack("<HH", len(data), 0) + data)
        return reply[9] if reply[8] else None

    def complaints(self) -> dict[int, int]:
        """Wait until the server is through with everything sent; give the numbers of what it refused, with why."""
        self.ask(_GET_INPUT_FOCUS, 0, b"")
        found = {struct.unpack_from("<H", data, 2)[0]: data[1] for data in self._errors}
        self._errors.clear()
        return found

    def events(self) -> list[bytes]:
        """Give what the server told unasked since the last time, each of 32 bytes or more."""
        try:
            while select.select((self._socket,), (), (), 0)[0]:
                data = self._socket.recv(65_536)
                if not data:
                    raise X11Error("the X server closed the connection")
                self._buffer += data
        except (OSError, ValueError) as error:
            raise error if isinstance(error, X11Error) else X11Error(f"the X server is gone ({error})") from error
        while len(self._buffer) >= 32 and len(self._buffer) >= 32 + _more(self._buffer):
            self._put_by(self._packet())
        events = list(self._events)
        self._events.clear()
        return events

    def _put_by(self, data: bytes) -> None:
        if data[0] == _ERROR:
            self._errors.append(data)
        elif data[0] != _REPLY:
            self._events.append(data)

    def _packet(self) -> bytes:
        """Wait for the next reply, error or event."""
        head = self._read(32)
        return head + self._read(_more(head))

    def _read(self, count: int) -> bytes:
        if count > _MOST_REPLY_BYTES:
            raise X11Error("the X server sends too much")
        try:
            while len(self._buffer) < count:
                piece = self._socket.recv(65_536)
                if not piece:
                    raise X11Error("the X server closed the connection")
                self._buffer += piece
        except OSError as error:
            raise error if isinstance(error, X11Error) else X11Error(f"the X server is gone ({error})") from error
        data = bytes(self._buffer[:count])
        del self._buffer[:count]
        return data

    def _set_up(self, where: Display) -> None:
        """Say hello, and read what the server says of itself."""
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
                    self.ids: int = struct.unpack_from("<4xI", data)[0]
                    self.keycodes = data[26], data[27]
                    self.root: int = root
                    self.size = width, height
                    self.screen = number
                    return
                offset = _after_screen(data, offset)
        except (OSError, struct.error, IndexError) as error:
            raise error if isinstance(error, X11Error) else X11Error(f"the X server is gone ({error})") from error
        raise X11Error(f"the X server has no screen {where.screen}")


def _more(head: bytes | bytearray) -> int:
    """How many bytes follow the first 32: replies and generic events may be longer."""
    return int(struct.unpack_from("<I", head, 4)[0]) * 4 if head[0] in (_REPLY, _GENERIC_EVENT) else 0


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
