"""The header fields of one message: ordered, found without regard to case or compact form."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar, cast

from app.sip.challenges import split_challenges
from app.sip.errors import LocalError, ParseError, cut
from app.sip.grammar import MAX_VALUES, is_token, split_list
from app.sip.header_names import CHALLENGE_KEYS, LIST_KEYS, LONG_NAMES, key_of

Row = tuple[str, str, str]  # key, name as written, value
T = TypeVar("T")


class Headers:
    """Header fields in the order in which they are written; a name may come in several rows.

    A value set here must be one line: CR and LF are refused, so that nothing a person or a peer says can begin a
    header field of its own.
    """

    __slots__ = ("_rows", "_views")

    def __init__(self, items: Iterable[tuple[str, object]] = ()) -> None:
        self._rows: list[Row] = []
        self._views: dict[str, object] = {}
        for name, value in items:
            self.add(name, value)

    @classmethod
    def from_rows(cls, rows: list[Row]) -> Headers:
        """Take over rows that a parser has already checked."""
        headers = cls()
        headers._rows = rows
        return headers

    def get(self, name: str) -> str | None:
        """The first row of that name as it stands (unsplit), or None."""
        key = key_of(name)
        for row in self._rows:
            if row[0] == key:
                return row[2]
        return None

    def rows(self, name: str) -> list[str]:
        """Every row of that name as it stands."""
        key = key_of(name)
        return [row[2] for row in self._rows if row[0] == key]

    def all(self, name: str) -> list[str]:
        """Every value of that name; rows of a list field or with several challenges are split at their commas."""
        key = key_of(name)
        if key in LIST_KEYS:
            return _split_rows(self.rows(key), lambda row: split_list(row, LONG_NAMES[key]), LONG_NAMES[key])
        if key in CHALLENGE_KEYS:
            return _split_rows(self.rows(key), split_challenges, LONG_NAMES[key])
        return self.rows(key)

    def add(self, name: str, value: object) -> None:
        """Append a row; a value is written with `str`."""
        self._rows.append(_row(name, value))
        self._views.clear()

    def prepend(self, name: str, value: object) -> None:
        """Insert a row before the first one of that name, or before all others."""
        row = _row(name, value)
        self._rows.insert(self._index(row[0]) or 0, row)
        self._views.clear()

    def set(self, name: str, value: object) -> None:
        """Replace every row of that name by one, in the place of the first or at the end."""
        row = _row(name, value)
        index = self._index(row[0])
        if index is None:
            self._rows.append(row)
        else:
            rest = [other for other in self._rows[index + 1 :] if other[0] != row[0]]
            self._rows[index:] = [row, *rest]
        self._views.clear()

    def remove(self, name: str) -> None:
        """Remove every row of that name, if there is any."""
        key = key_of(name)
        self._rows = [row for row in self._rows if row[0] != key]
        self._views.clear()

    def replace_first(self, name: str, value: object) -> None:
        """Replace the first value of a list field, e.g. the topmost Via; LocalError when there is none."""
        self._change_first(name, [str(value)])

    def pop_first(self, name: str) -> str | None:
        """Take off the first value of a list field, e.g. our Via of a response; None when there is none."""
        return None if self._index(key_of(name)) is None else self._change_first(name, [])

    def _change_first(self, name: str, new: list[str]) -> str:
        key = key_of(name)
        index = self._index(key)
        if index is None:
            raise LocalError(f"There is no {name} to change")
        _, written, value = self._rows[index]
        items = split_list(value, name) if key in LIST_KEYS else [value]
        left = new + items[1:]
        self._rows[index : index + 1] = [_row(written, ", ".join(left))] if left else []
        self._views.clear()
        return items[0]

    def copy(self) -> Headers:
        """An independent copy; what was already parsed is shared."""
        other = Headers()
        other._rows = self._rows.copy()
        other._views = self._views.copy()
        return other

    def raw(self) -> list[Row]:
        """Every row in order as (lower-case long name, name, value); not to be changed."""
        return self._rows

    def items(self) -> list[tuple[str, str]]:
        """Every row in order as (name, value), names in their long form."""
        return [(name, value) for _, name, value in self._rows]

    def view(self, name: str, make: Callable[[Headers], T]) -> T:
        """What `make` reads from these headers, kept under `name` until they change."""
        try:
            return cast(T, self._views[name])
        except KeyError:
            made = make(self)
            self._views[name] = made
            return made

    def __contains__(self, name: str) -> bool:
        return self._index(key_of(name)) is not None

    def __iter__(self) -> Iterator[tuple[str, str]]:
        return iter(self.items())

    def __len__(self) -> int:
        return len(self._rows)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Headers):
            return NotImplemented
        return [(row[0], row[2]) for row in self._rows] == [(row[0], row[2]) for row in other._rows]

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"<Headers {', '.join(name for _, name, _ in self._rows)}>"

    def _index(self, key: str) -> int | None:
        for index, row in enumerate(self._rows):
            if row[0] == key:
                return index
        return None


def _row(name: str, value: object) -> Row:
    text = str(value)
    if not is_token(name):
        raise LocalError(f"{cut(name)} is no name for a header field")
    if "\r" in text or "\n" in text:
        raise LocalError(f"A {name} header field must be one line")
    key = key_of(name)
    return key, LONG_NAMES.get(key, name), text.strip(" \t")


def _split_rows(rows: list[str], split: Callable[[str], list[str]], what: str) -> list[str]:
    values: list[str] = []
    for row in rows:
        if row:
            values += split(row)
            if len(values) > MAX_VALUES:
                raise ParseError(f"Too many values in {what}")
    return values
