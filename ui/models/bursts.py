"""The last bursts of a channel as rows: when, who, how loud over its time, and how long."""

from __future__ import annotations

import datetime
import time
from collections.abc import Iterable
from dataclasses import dataclass

from app.events import BurstInfo
from ui import channel_words
from ui.models.rows import RowsModel


@dataclass(frozen=True, slots=True)
class BurstRow:
    """One burst; `share` is its length beside the longest one of the list, 0 to 1."""

    burst: BurstInfo
    share: float
    playing: bool

    @property
    def time(self) -> str:
        then = datetime.datetime.fromtimestamp(self.burst.began_wall).astimezone()
        today = datetime.datetime.fromtimestamp(time.time()).astimezone().date()
        return f"{then:%H:%M:%S}" if then.date() == today else f"{then.day} {then:%b} {then:%H:%M}"

    @property
    def title(self) -> str:
        return "You" if self.burst.own else self.burst.alias or channel_words.NAMELESS

    @property
    def length(self) -> str:
        return channel_words.running(max(1.0, self.burst.seconds))

    @property
    def is_heading(self) -> bool:
        return False

    @property
    def tip(self) -> str | None:
        return "Part of this burst is lost." if self.burst.damaged else None

    def spoken(self) -> str:
        parts = [self.title, self.time, f"{max(1, round(self.burst.seconds))} seconds"]
        if self.burst.emergency:
            parts.append("emergency")
        if self.burst.damaged:
            parts.append("part of it is lost")
        parts.append("is played now, Enter stops it" if self.playing else "Enter plays it")
        return ", ".join(parts)


class BurstsModel(RowsModel[BurstRow]):
    """Rows for a view, newest first."""

    def show(self, bursts: Iterable[BurstInfo], playing: str | None) -> None:
        bursts = tuple(bursts)
        longest = max((burst.seconds for burst in bursts), default=1.0) or 1.0
        fresh = [BurstRow(burst, burst.seconds / longest, burst.burst_id == playing) for burst in bursts]
        self.take(fresh, lambda row: row.burst.burst_id)

    def row_of(self, burst_id: str) -> int | None:
        return next((number for number, row in enumerate(self.rows) if row.burst.burst_id == burst_id), None)
