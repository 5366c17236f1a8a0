"""Session descriptions as text and as values: RFC 8866, with the attribute forms of RFC 3264 and RFC 8839.

This file knows the grammar only; what an offer or an answer should say stands in offer_answer.py. Unknown lines
and attributes are kept and written back. Sizes are bounded: a stranger's body never grows anything here.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from app.calls.errors import DescriptionError

MAX_BODY_BYTES = 32_768
MAX_LINES = 1_000
MAX_MEDIA = 16

Attributes = tuple[tuple[str, str | None], ...]


def _cut(text: str) -> str:
    return repr(text if len(text) <= 60 else text[:57] + "...")


def _number(text: str, low: int, high: int, what: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 20 and low <= int(text) <= high):
        raise DescriptionError(f"{_cut(text)} is not a {what}")
    return int(text)


@dataclass(frozen=True, slots=True)
class Connection:
    """A c= line: where media is received by a peer without ICE. RFC 8866 section 5.7."""

    address: str

    @property
    def family(self) -> str:
        return "IP6" if ":" in self.address else "IP4"

    @classmethod
    def parse(cls, text: str) -> Connection:
        parts = text.split()
        if len(parts) != 3 or parts[0] != "IN" or parts[1] not in ("IP4", "IP6"):
            raise DescriptionError(f"c= must read IN IP4|IP6 ADDRESS, not {_cut(text)}")
        return cls(parts[2].split("/")[0])

    def __str__(self) -> str:
        return f"IN {self.family} {self.address}"


@dataclass(frozen=True, slots=True)
class Origin:
    """The o= line: who made the session and which version this is. RFC 8866 section 5.2."""

    session_id: int
    version: int
    address: str = "127.0.0.1"
    username: str = "-"

    @classmethod
    def parse(cls, text: str) -> Origin:
        parts = text.split()
        if len(parts) != 6:
            raise DescriptionError(f"o= must have six parts, not {_cut(text)}")
        return cls(
            session_id=_number(parts[1], 0, 2**64 - 1, "session id"),
            version=_number(parts[2], 0, 2**64 - 1, "session version"),
            address=parts[5],
            username=parts[0],
        )

    def __str__(self) -> str:
        family = "IP6" if ":" in self.address else "IP4"
        return f"{self.username} {self.session_id} {self.version} IN {family} {self.address}"


class _HasAttributes:
    __slots__ = ()
    attributes: Attributes

    def attribute(self, name: str) -> str | None:
        """The first value of an attribute; "" for one without a value, None when it is missing."""
        for key, value in self.attributes:
            if key == name:
                return value or ""
        return None

    def all_attributes(self, name: str) -> list[str]:
        return [value or "" for key, value in self.attributes if key == name]

    def has(self, name: str) -> bool:
        return any(key == name for key, _ in self.attributes)


@dataclass(frozen=True, slots=True)
class MediaDescription(_HasAttributes):
    """One m= section. `formats` are payload types as text; port 0 means refused (unless bundle-only)."""

    kind: str
    port: int
    protocol: str
    formats: tuple[str, ...]
    connection: Connection | None = None
    bandwidth: tuple[str, ...] = ()
    attributes: Attributes = ()

    DIRECTIONS = ("sendrecv", "sendonly", "recvonly", "inactive")

    @property
    def direction(self) -> str | None:
        return next((name for name, _ in self.attributes if name in self.DIRECTIONS), None)

    @property
    def mid(self) -> str | None:
        return self.attribute("mid")

    def lines(self) -> list[str]:
        out = [f"m={self.kind} {self.port} {self.protocol} {' '.join(self.formats)}"]
        if self.connection is not None:
            out.append(f"c={self.connection}")
        out.extend(f"b={value}" for value in self.bandwidth)
        out.extend(_attribute_lines(self.attributes))
        return out


@dataclass(frozen=True, slots=True)
class SessionDescription(_HasAttributes):
    """A whole description. `parse` and `str()` round trip everything an offer or answer needs."""

    origin: Origin
    media: tuple[MediaDescription, ...] = ()
    name: str = "-"
    connection: Connection | None = None
    bandwidth: tuple[str, ...] = ()
    times: tuple[str, ...] = ("0 0",)
    attributes: Attributes = ()

    @classmethod
    def parse(cls, body: bytes) -> SessionDescription:
        """Read a body; DescriptionError says in one sentence what is wrong with it."""
        return _Parser(body).description()

    def __str__(self) -> str:
        out = ["v=0", f"o={self.origin}", f"s={self.name}"]
        if self.connection is not None:
            out.append(f"c={self.connection}")
        out.extend(f"b={value}" for value in self.bandwidth)
        out.extend(f"t={value}" for value in self.times)
        out.extend(_attribute_lines(self.attributes))
        for media in self.media:
            out.extend(media.lines())
        return "\r\n".join(out) + "\r\n"

    def __bytes__(self) -> bytes:
        return str(self).encode("utf-8", "surrogateescape")

    def connection_of(self, media: MediaDescription) -> Connection | None:
        return media.connection or self.connection

    def attribute_of(self, media: MediaDescription, name: str) -> str | None:
        """An attribute that may stand at either level; the media level wins."""
        value = media.attribute(name)
        return self.attribute(name) if value is None else value

    def direction_of(self, media: MediaDescription) -> str:
        """RFC 3264 section 5.1: no direction line anywhere means sendrecv."""
        session = next((name for name, _ in self.attributes if name in MediaDescription.DIRECTIONS), None)
        return media.direction or session or "sendrecv"

    def bundle_groups(self) -> list[tuple[str, ...]]:
        groups = (value.split() for value in self.all_attributes("group"))
        return [tuple(parts[1:]) for parts in groups if parts and parts[0] == "BUNDLE"]

    def is_bundled_behind(self, media: MediaDescription) -> bool:
        """Whether this m= section shares the path of another one, which is named first in its bundle."""
        return media.mid is not None and any(media.mid in group[1:] for group in self.bundle_groups())


def _attribute_lines(attributes: Attributes) -> Iterable[str]:
    return (f"a={name}" if value is None else f"a={name}:{value}" for name, value in attributes)


class _Parser:
    """One pass over the lines of a body; keeps the section it is in."""

    def __init__(self, body: bytes) -> None:
        if len(body) > MAX_BODY_BYTES:
            raise DescriptionError(f"a session description of {len(body)} bytes is too long", 413)
        text = body.decode("utf-8", "surrogateescape")
        self._lines = [line.rstrip("\r") for line in text.split("\n")]
        while self._lines and not self._lines[-1]:
            self._lines.pop()
        if len(self._lines) > MAX_LINES:
            raise DescriptionError("a session description with too many lines", 413)

    def description(self) -> SessionDescription:
        if not self._lines or self._lines[0] != "v=0":
            raise DescriptionError("a session description must begin with v=0")
        origin: Origin | None = None
        name: str | None = None
        times: list[str] = []
        connection: Connection | None = None
        bandwidth: list[str] = []
        attributes: list[tuple[str, str | None]] = []
        sections: list[list[str]] = []
        for line in self._lines[1:]:
            if len(line) < 2 or line[1] != "=" or not line[0].isalpha():
                raise DescriptionError(f"{_cut(line)} is not a line of a session description")
            if line[0] == "m":
                if len(sections) >= MAX_MEDIA:
                    raise DescriptionError("a session description with too many m= lines", 413)
                sections.append([line[2:]])
                continue
            if sections:
                sections[-1].append(line)
                continue
            kind, value = line[0], line[2:]
            if kind == "o":
                if origin is not None:
                    raise DescriptionError("a session description with two o= lines")
                origin = Origin.parse(value)
            elif kind == "s":
                name = value
            elif kind == "c":
                connection = Connection.parse(value)
            elif kind == "b":
                bandwidth.append(value)
            elif kind == "t":
                times.append(value)
            elif kind == "a":
                attributes.append(_split_attribute(value))
        if origin is None:
            raise DescriptionError("a session description without an o= line")
        return SessionDescription(
            origin=origin,
            media=tuple(_media(section) for section in sections),
            name="-" if name is None else name,
            connection=connection,
            bandwidth=tuple(bandwidth),
            times=tuple(times) or ("0 0",),
            attributes=tuple(attributes),
        )


def _split_attribute(text: str) -> tuple[str, str | None]:
    name, colon, value = text.partition(":")
    return name, (value if colon else None)


def _media(section: list[str]) -> MediaDescription:
    parts = section[0].split()
    if len(parts) < 4:
        raise DescriptionError(f"m= must name kind, port, protocol and formats, not {_cut(section[0])}")
    connection: Connection | None = None
    bandwidth: list[str] = []
    attributes: list[tuple[str, str | None]] = []
    for line in section[1:]:
        if line[0] == "c":
            connection = Connection.parse(line[2:])
        elif line[0] == "b":
            bandwidth.append(line[2:])
        elif line[0] == "a":
            attributes.append(_split_attribute(line[2:]))
    return MediaDescription(
        kind=parts[0],
        port=_number(parts[1].split("/")[0], 0, 65535, "port"),
        protocol=parts[2],
        formats=tuple(parts[3:]),
        connection=connection,
        bandwidth=tuple(bandwidth),
        attributes=tuple(attributes),
    )
