"""The people list as rows: headings of groups, people, and one row to dial what was typed.

Rows are plain values; a new state of contacts, calls or filter builds them anew, and only what differs is told to the
view, so that a selection and the keyboard's place survive.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from app.events import CallInfo, Contact
from app.natural_order import place_of
from ui import words
from ui.models.rows import RowsModel

HEADING, PERSON, DIAL = "heading", "person", "dial"

_ON_NETWORK = frozenset({"network", "builtin"})


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the list. `key` tells rows apart through changes; `target` is what a call from it dials."""

    kind: str
    key: str
    title: str
    subtitle: str = ""
    target: str = ""
    contact: Contact | None = None
    call_id: str | None = None

    @property
    def is_heading(self) -> bool:
        return self.kind == HEADING

    @property
    def tip(self) -> str | None:
        return words.shown_address(self.contact.uri) if self.contact is not None else None

    def spoken(self) -> str:
        if self.kind == PERSON:
            return f"{self.title}, {self.subtitle}"
        return self.title


class PeopleModel(RowsModel[Row]):
    """Rows of the people list for a view."""

    def __init__(self) -> None:
        super().__init__()
        self._contacts: tuple[Contact, ...] = ()
        self._calls: dict[str, tuple[CallInfo, str]] = {}
        self._filter = ""

    def set_contacts(self, contacts: Iterable[Contact]) -> None:
        self._contacts = tuple(contacts)
        self._rebuild()

    def set_filter(self, text: str) -> None:
        self._filter = text.strip()
        self._rebuild()

    def set_calls(self, calls: Iterable[tuple[CallInfo, str]]) -> None:
        """Take the calls that go on, each with what its second line says."""
        self._calls = {words.bare_address(call.remote_uri): (call, subtitle) for call, subtitle in calls}
        self._rebuild()

    @property
    def contacts(self) -> tuple[Contact, ...]:
        return self._contacts

    @property
    def filter_text(self) -> str:
        return self._filter

    def row_of(self, key: str) -> int | None:
        return next((number for number, row in enumerate(self.rows) if row.key == key), None)

    def first_person(self) -> int | None:
        return next((number for number, row in enumerate(self.rows) if row.kind != HEADING), None)

    def find(self, uri: str) -> Contact | None:
        """Give the contact behind an address."""
        bare = words.bare_address(uri)
        return next((contact for contact in self._contacts if words.bare_address(contact.uri) == bare), None)

    def _rebuild(self) -> None:
        self.take(build_rows(self._contacts, self._calls, self._filter), lambda row: row.key)


def build_rows(contacts: Iterable[Contact], calls: dict[str, tuple[CallInfo, str]], filter_text: str) -> list[Row]:
    """Sort people into groups: in a call, favourites, on this network, everyone; with a filter, what matches it."""
    people = sorted(contacts, key=lambda contact: place_of(contact.name))
    wanted = filter_text.casefold()
    if wanted:
        people = [who for who in people if wanted in who.name.casefold() or _in_address(wanted, who.uri.casefold())]
    groups: dict[str, list[Row]] = {"In a call": [], "Favourites": [], "On this network": [], "Everyone": []}
    for who in people:
        call, said = calls.get(words.bare_address(who.uri), (None, ""))
        row = Row(
            PERSON,
            who.contact_id,
            who.name,
            said or who.note or words.presence_words(who),
            who.uri,
            who,
            call.call_id if call else None,
        )
        groups[_group(who, call)].append(row)
    known = {words.bare_address(who.uri) for who in contacts}
    for bare, (call, said) in calls.items():
        if bare not in known and not wanted:
            name = call.remote_name or words.shown_address(call.remote_uri)
            groups["In a call"].append(
                Row(PERSON, f"call:{call.call_id}", name, said, call.remote_uri, None, call.call_id)
            )
    rows: list[Row] = []
    for title, members in groups.items():
        if members:
            rows.append(Row(HEADING, f"group:{title}", title))
            rows.extend(members)
    return _with_dial_row(rows, people, filter_text)


def _in_address(wanted: str, uri: str) -> bool:
    """Tell whether what was typed is part of an address; the scheme, which all have, finds nobody."""
    scheme, _, rest = uri.partition(":")
    return wanted in rest or (wanted in uri and len(wanted) > len(scheme) + 1)


def _group(who: Contact, call: CallInfo | None) -> str:
    if call is not None:
        return "In a call"
    if who.favourite:
        return "Favourites"
    return "On this network" if who.source in _ON_NETWORK else "Everyone"


def _with_dial_row(rows: list[Row], matched: list[Contact], typed: str) -> list[Row]:
    """Add the row that dials what was typed: first for an address, last for what may also be a name."""
    if not typed or any(typed.casefold() == who.name.casefold() for who in matched):
        return rows
    dial = [Row(HEADING, "group:dial", "Dial"), Row(DIAL, "dial", f"Call {typed}", "Press Enter", typed)]
    return dial + rows if words.looks_like_address(typed) else rows + dial
