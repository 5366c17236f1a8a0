"""The left column of channels as rows: the open missions, a row to open one, and who is here."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from app.events import MissionInfo, PersonHere
from app.natural_order import place_of
from ui import channel_words
from ui.models.rows import RowsModel
from ui.words import apart

HEADING, MISSION, OPEN, PERSON, NOTE = "heading", "mission", "open", "person", "note"


@dataclass(frozen=True, slots=True)
class ChannelRow:
    """One line. `key` tells rows apart through changes; `tone` colours the second line: plain, good, warn or bad.

    `is_shown`: this mission's cards are on the stage.
    """

    kind: str
    key: str
    title: str
    subtitle: str = ""
    tone: str = "plain"
    mission: str = ""
    person: PersonHere | None = None
    is_shown: bool = False

    @property
    def is_heading(self) -> bool:
        return self.kind in (HEADING, NOTE)

    @property
    def can_dismiss(self) -> bool:
        """Whoever is gone with an emergency stays until somebody here dismisses it."""
        return self.person is not None and self.person.gone and self.person.emergency is not None

    @property
    def tip(self) -> str | None:
        return f"{self.title}: {self.subtitle}" if self.subtitle else None

    def spoken(self) -> str:
        return ", ".join(part for part in (self.title, "shown" if self.is_shown else "", self.subtitle) if part)


class ChannelRowsModel(RowsModel[ChannelRow]):
    """Rows for a view."""

    def row_of(self, key: str) -> int | None:
        return next((number for number, row in enumerate(self.rows) if row.key == key), None)

    def show(self, fresh: list[ChannelRow]) -> None:
        """Take the rows as they are now; only what differs is told to the view."""
        self.take(fresh, lambda row: row.key)


def build_rows(
    missions: Iterable[MissionInfo], chosen: MissionInfo | None, people: Iterable[PersonHere], wanted: str, wall: float
) -> list[ChannelRow]:
    """Give the rows; `people` are those of the chosen mission, `wanted` is what was typed to search for."""
    wanted = wanted.strip().casefold()
    rows = [ChannelRow(HEADING, "heading:missions", "Missions")]
    shown = chosen.id if chosen is not None else None
    found_missions = (mission for mission in missions if wanted in mission.name.casefold())
    rows.extend(_mission(mission, wall, is_shown=mission.id == shown) for mission in found_missions)
    rows.append(ChannelRow(OPEN, "open", "Open a mission", "file, QR code or link"))
    if chosen is None:
        return rows
    rows.append(ChannelRow(HEADING, "heading:here", "Here now"))
    if not chosen.has_control:
        said = "Nobody is seen: this mission has no mission control."
        return [*rows, ChannelRow(NOTE, "note", said)]
    names = {channel.id.group: channel.name for channel in chosen.channels}
    found = sorted(
        (person for person in people if wanted in person.name.casefold()),
        key=lambda person: (person.emergency is None, person.gone, place_of(person.name)),
    )
    rows.extend(_person(person, names, wall) for person in found)
    if not found:
        rows.append(ChannelRow(NOTE, "note", "No one of that name." if wanted else "No one else is here yet."))
    return rows


def _mission(mission: MissionInfo, wall: float, *, is_shown: bool) -> ChannelRow:
    line, tone = channel_words.mission_line(mission, wall), "bad" if mission.problem else "plain"
    talking = [channel for channel in mission.channels if channel.joined and channel.talkers]
    if talking and not mission.problem:
        name = apart(channel_words.talker_name(talking[0].talkers[0]))
        line, tone = f"{name} talks on {apart(talking[0].name)}", "good"
    return ChannelRow(MISSION, mission.id, mission.name, line, tone, mission.id, is_shown=is_shown)


def _person(person: PersonHere, names: dict[str, str], wall: float) -> ChannelRow:
    tone = "bad" if person.emergency is not None else "plain"
    line = channel_words.person_line(person, names, wall)
    return ChannelRow(PERSON, f"person:{person.node_id}", person.name, line, tone, person.mission, person)
