"""How the objects of a mission are read from JSON and written to it: every complaint names its field and why.

A field that Parley does not know is kept as it came and written again, so that a mission passes through Parley without
losing what another program put into it.
"""

from __future__ import annotations

import dataclasses
import ipaddress
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from enum import IntEnum
from typing import Any, TypeAlias, TypeVar

from app.channels.errors import MissionError, cut
from app.channels.strict_json import Json

T = TypeVar("T")
E = TypeVar("E", bound=IntEnum)
Extra: TypeAlias = Mapping[str, Json]

_HOST = re.compile(r"(?=.{1,253}$)[A-Za-z0-9_](?:[A-Za-z0-9_-]*[A-Za-z0-9_])?(?:\.[A-Za-z0-9_-]{1,63})*\.?")
_INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d([.,]\d{1,9})?)?(Z|[+-]\d\d:?\d\d)?")
_KINDS = {str: "a text", bool: "true or false", int: "a whole number", list: "a list", dict: "an object"}


class Fields:
    """One object of the JSON while it is read, with its path. Each method takes one field; `extra` gives the rest.

    A field whose value is null counts as absent; one with a default may be absent.
    """

    __slots__ = ("_taken", "_values", "path")

    def __init__(self, value: Json, path: str = "") -> None:
        if not isinstance(value, dict):
            raise MissionError(f"is {_in_words(value)}, and it must be an object", path)
        self._values = value
        self._taken: set[str] = set()
        self.path = path

    def text(self, name: str, default: str | None = None, *, most: int, full: bool = False, lines: bool = False) -> str:
        """A text of at most `most` characters, none of them a control; `lines`: line ends and tabs are fine."""
        value: str = self._take(name, str, default)
        if len(value) > most:
            raise self.error(name, f"has {len(value)} characters, and at most {most} are possible")
        if full and not value.strip():
            raise self.error(name, "is empty")
        if any(each < " " or "\x7f" <= each <= "\x9f" for each in value if not (lines and each in "\r\n\t")):
            # What may have several lines may be a private key: it is not quoted.
            raise self.error(name, "has a control character in it" + ("" if lines else f": {cut(value)}"))
        return value

    def text_or_none(self, name: str, *, most: int) -> str | None:
        return self.text(name, most=most) if self.has(name) else None

    def whole(self, name: str, low: int, high: int, default: int | None = None) -> int:
        value: int = self._take(name, int, default)
        if not low <= value <= high:
            raise self.error(name, f"is {cut_number(value)}, and it must be from {low} to {high}")
        return value

    def flag(self, name: str, default: bool | None = None) -> bool:
        value: bool = self._take(name, bool, default)
        return value

    def one_of(self, name: str, choices: type[E], default: E | None = None) -> E:
        value: int = self._take(name, int, default)
        try:
            return choices(value)
        except ValueError:
            words = ", ".join(f"{int(each)} ({each.name.lower().replace('_', ' ')})" for each in choices)
            raise self.error(name, f"is {cut_number(value)}, and it must be one of {words}") from None

    def instant(self, name: str) -> datetime:
        """A moment as ISO 8601 writes it, to the millisecond; without a zone it is UTC."""
        value = self.text(name, most=40)
        if not _INSTANT.fullmatch(value):
            raise self.error(name, f"is {cut(value)}, and it must be a time such as 2026-02-07T18:44:43.511Z")
        try:
            return to_milliseconds(datetime.fromisoformat(value.replace(",", ".")))
        except (ValueError, OverflowError):
            raise self.error(name, f"is {cut(value)}, and there is no such time") from None

    def numeric_address(self, name: str) -> str:
        """An IPv4 or IPv6 address, spelled as it came: ids are made from the spelling."""
        value = self.text(name, most=45)
        if not is_numeric(value):
            raise self.error(name, f"is {cut(value)}, and it must be an IPv4 or IPv6 address")
        return value

    def host(self, name: str) -> str:
        """An address or the name of a host, spelled as it came."""
        value = self.text(name, most=253)
        is_like_ipv4 = value.replace(".", "").isdigit()
        if not is_numeric(value) and (is_like_ipv4 or not _HOST.fullmatch(value)):
            raise self.error(name, f"is {cut(value)}, and it must be an address or the name of a host")
        return value

    def child(self, name: str, read: Callable[[Fields], T]) -> T:
        return read(Fields(self._take(name, dict, None), self.path_of(name)))

    def child_or(self, name: str, read: Callable[[Fields], T], default: T) -> T:
        return self.child(name, read) if self.has(name) else default

    def children(self, name: str, read: Callable[[Fields], T], *, most: int, default: list[Json] | None) -> list[T]:
        """A list of at most `most` objects."""
        values: list[Json] = self._take(name, list, default)
        if len(values) > most:
            raise self.error(name, f"has {len(values)} entries, and at most {most} are possible")
        return [read(Fields(value, f"{self.path_of(name)}[{index}]")) for index, value in enumerate(values)]

    def texts(self, name: str, *, most: int, most_characters: int) -> tuple[str, ...]:
        """A list of texts; absent, there are none."""
        values: list[Json] = self._take(name, list, [])
        if len(values) > most:
            raise self.error(name, f"has {len(values)} entries, and at most {most} are possible")
        for index, value in enumerate(values):
            if not isinstance(value, str):
                raise self.error(f"{name}[{index}]", f"is {_in_words(value)}, and it must be a text")
            if len(value) > most_characters:
                raise self.error(f"{name}[{index}]", f"has more than {most_characters} characters")
        return tuple(str(value) for value in values)

    def extra(self) -> Extra:
        """What no method has taken."""
        return {name: value for name, value in self._values.items() if name not in self._taken}

    def has(self, name: str) -> bool:
        """Whether the field is there and not null; either way it counts as taken."""
        self._taken.add(name)
        return self._values.get(name) is not None

    def is_null(self, name: str) -> bool:
        return name in self._values and self._values[name] is None

    def path_of(self, name: str) -> str:
        return f"{self.path}.{name}" if self.path else name

    def error(self, name: str, why: str) -> MissionError:
        """A complaint about one field of this object."""
        return MissionError(why, self.path_of(name))

    def _take(self, name: str, kind: type, default: object) -> Any:
        if not self.has(name):
            if default is None:
                raise self.error(name, "is null" if self.is_null(name) else "is missing")
            return default
        value = self._values[name]
        if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
            raise self.error(name, f"is {_in_words(value)}, and it must be {_KINDS[kind]}")
        return value


def written(record: Any, *, always: frozenset[str] = frozenset(), names: Mapping[str, str] | None = None) -> Json:
    """The JSON object of a record: fields in their order, their names in camelCase or as in `names`, unknown ones last.

    A field that has its default is left out, but for those in `always`; so is None.
    """
    made: dict[str, Json] = {}
    for item in dataclasses.fields(record):
        value = getattr(record, item.name)
        if item.name != "extra" and value is not None and (item.name in always or value != item.default):
            made[(names or {}).get(item.name) or camel(item.name)] = _plain(value)
    return {**made, **{name: value for name, value in record.extra.items() if name not in made}}


def _plain(value: Any) -> Json:
    if isinstance(value, tuple):
        return [_plain(each) for each in value]
    if isinstance(value, IntEnum):
        return int(value)
    if isinstance(value, datetime):
        return format_instant(value)
    if isinstance(value, bool | int | str):
        return value
    made: Json = value.to_json() if hasattr(value, "to_json") else str(value)
    return made


def camel(name: str) -> str:
    """The name of a field as a mission's JSON has it."""
    first, *others = name.split("_")
    return first + "".join(each.capitalize() for each in others)


def to_milliseconds(moment: datetime) -> datetime:
    """The moment in UTC, no finer than missions write it."""
    aware = moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
    aware = aware.astimezone(UTC)
    return aware.replace(microsecond=aware.microsecond // 1000 * 1000)


def format_instant(moment: datetime) -> str:
    """Write a moment as 2026-02-07T18:44:43.511Z."""
    return to_milliseconds(moment).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def is_numeric(address: str) -> bool:
    """Whether this is an IPv4 or IPv6 address without a scope."""
    try:
        ipaddress.ip_address(address)
    except ValueError:
        return False
    return "%" not in address


def cut_number(value: int) -> str:
    return str(value) if abs(value) < 10**12 else "too large a number"


def _in_words(value: Json) -> str:
    if value is None:
        return "null"
    if isinstance(value, float):
        return f"the number {value}"
    return _KINDS[type(value)]
