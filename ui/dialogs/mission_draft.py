"""A mission that is being edited: the draft that all pages of the editor write into."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from PySide6.QtCore import QObject, Signal

from app.engine.mission_drafts import DraftCheck, FieldProblem, Group, GroupType, Mission, new_channel


class Draft(QObject):
    """`changed` after each edit. Only what is edited is replaced: all else stays the object that it was."""

    changed = Signal()

    def __init__(self, mission: Mission, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.before = mission
        self.mission = mission
        self.pin: str | None = None  # a new one that was typed
        self.drop_pin = False
        self._check = DraftCheck()

    @property
    def is_changed(self) -> bool:
        return self.mission != self.before or bool(self.pin) or self.drop_pin

    def set(self, **fields: Any) -> None:
        """Change fields of the mission."""
        self._put(replace(self.mission, **fields))

    def group(self, index: int) -> Group:
        return self.mission.groups[index]

    def set_group(self, index: int, group: Group) -> None:
        groups = list(self.mission.groups)
        groups[index] = group
        self.set(groups=tuple(groups))

    def add_group(self, kind: GroupType) -> int:
        """Add a channel at the end; gives its number."""
        self.set(groups=(*self.mission.groups, new_channel(self.mission, kind)))
        return len(self.mission.groups) - 1

    def remove_group(self, index: int) -> None:
        self.set(groups=tuple(each for number, each in enumerate(self.mission.groups) if number != index))

    def set_pin(self, pin: str | None, *, drop: bool) -> None:
        self.pin, self.drop_pin = pin, drop
        self.changed.emit()

    def problems(self) -> tuple[FieldProblem, ...]:
        return self._check.problems(self.mission)

    def _put(self, mission: Mission) -> None:
        if mission != self.mission:
            self.mission = mission
            self.changed.emit()
