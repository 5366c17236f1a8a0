"""Past calls as rows of a list, newest first, with the day as heading."""

from __future__ import annotations

import datetime
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from app.events import Direction, HistoryEntry
from ui import words
from ui.models.rows import RowsModel


@dataclass(frozen=True, slots=True)
class HistoryRow:
    """One line: a day's heading when `entry` is None."""

    title: str
    subtitle: str = ""
    time: str = ""
    icon: str = ""
    missed: bool = False
    entry: HistoryEntry | None = None

    @property
    def is_heading(self) -> bool:
        return self.entry is None

    @property
    def tip(self) -> str | None:
        return (self.entry.sentence or None) if self.entry is not None else None

    def spoken(self) -> str:
        if self.entry is None:
            return self.title
        way = "outgoing" if self.entry.direction is Direction.OUTGOING else "incoming"
        return f"{self.title}, {way}, {self.subtitle}, {self.time}"


class HistoryModel(RowsModel[HistoryRow]):
    """Rows of the history list for a view."""

    def __init__(self, now: Callable[[], float] = time.time) -> None:
        super().__init__()
        self._entries: tuple[HistoryEntry, ...] = ()
        self._filter = ""
        self._now = now

    def set_entries(self, entries: Iterable[HistoryEntry]) -> None:
        self._entries = tuple(entries)
        self._rebuild()

    def set_filter(self, text: str) -> None:
        self._filter = text.strip().casefold()
        self._rebuild()

    @property
    def entries(self) -> tuple[HistoryEntry, ...]:
        return self._entries

    @property
    def unseen(self) -> int:
        return sum(not entry.seen for entry in self._entries)

    def _rebuild(self) -> None:
        self.beginResetModel()
        self.rows = build_rows(self._entries, self._filter, self._now())
        self.endResetModel()


def build_rows(entries: Iterable[HistoryEntry], wanted: str, now: float) -> list[HistoryRow]:
    rows: list[HistoryRow] = []
    day = ""
    for entry in entries:
        name = entry.remote_name or words.shown_address(entry.remote_uri)
        if wanted and wanted not in name.casefold() and wanted not in entry.remote_uri.casefold():
            continue
        heading = _day(entry.started_wall, now)
        if heading != day:
            day = heading
            rows.append(HistoryRow(heading))
        rows.append(_row(entry, name))
    return rows


def _row(entry: HistoryEntry, name: str) -> HistoryRow:
    said = words.outcome_words(entry)
    missed = said == "Missed"
    parts = [said]  # the arrow before it says which way
    if entry.path:
        parts.append(entry.path)
    at = datetime.datetime.fromtimestamp(entry.started_wall).astimezone()
    picture = "missed" if missed else entry.direction.value
    return HistoryRow(name, " · ".join(parts), f"{at:%H:%M}", picture, missed, entry)


def _day(wall: float, now: float) -> str:
    then = datetime.datetime.fromtimestamp(wall).astimezone().date()
    today = datetime.datetime.fromtimestamp(now).astimezone().date()
    days = (today - then).days
    if days <= 0:
        return "Today"
    if days == 1:
        return "Yesterday"
    return f"{then:%A}, {then.day} {then:%B}" + (f" {then.year}" if then.year != today.year else "")
