"""What the list models have in common: rows that are plain values, headings among them that nobody can choose."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, Protocol, TypeVar

from PySide6.QtCore import QAbstractListModel, QModelIndex, QPersistentModelIndex, Qt

from ui.plain_tips import plain_tip

Index = QModelIndex | QPersistentModelIndex
ROW = Qt.ItemDataRole.UserRole


class ListRow(Protocol):
    """One line of a list."""

    @property
    def title(self) -> str: ...

    @property
    def is_heading(self) -> bool: ...

    @property
    def tip(self) -> str | None:
        """What hovering tells."""

    def spoken(self) -> str:
        """What a screen reader says."""


R = TypeVar("R", bound=ListRow)


class RowsModel(QAbstractListModel, Generic[R]):
    """Rows for a view; the whole row stands under the role ROW."""

    def __init__(self) -> None:
        super().__init__()
        self.rows: list[R] = []

    def rowCount(self, parent: Index | None = None) -> int:
        return 0 if parent is not None and parent.isValid() else len(self.rows)

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        if not index.isValid() or index.row() >= len(self.rows):
            return None
        row = self.rows[index.row()]
        if role == ROW:
            return row
        if role == Qt.ItemDataRole.DisplayRole:
            return row.title
        if role == Qt.ItemDataRole.AccessibleTextRole:
            return row.spoken()
        return plain_tip(row.tip) if role == Qt.ItemDataRole.ToolTipRole else None

    def take(self, fresh: list[R], same: Callable[[R], object]) -> None:
        """Take the rows as they are now. `same` tells which row of before one is; only what differs is told."""
        old, self.rows = self.rows, fresh
        if [same(row) for row in fresh] != [same(row) for row in old]:
            self.rows = old
            self.beginResetModel()
            self.rows = fresh
            self.endResetModel()
            return
        for number, (before, after) in enumerate(zip(old, fresh, strict=True)):
            if before != after:
                self.dataChanged.emit(self.index(number), self.index(number))

    def flags(self, index: Index) -> Qt.ItemFlag:
        if index.isValid() and self.rows[index.row()].is_heading:
            return Qt.ItemFlag.NoItemFlags
        return Qt.ItemFlag.ItemIsEnabled | Qt.ItemFlag.ItemIsSelectable
