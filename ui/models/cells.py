"""Tables of rows whose cells have two lines: what changed is told row by row, so that a view keeps its place."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from PySide6.QtCore import QAbstractTableModel, QModelIndex, QPersistentModelIndex, Qt

from ui.plain_tips import plain_tip

Index = QModelIndex | QPersistentModelIndex
ROW = Qt.ItemDataRole.UserRole


@dataclass(frozen=True, slots=True)
class CellsRow:
    """One row, each cell as (first line, second line); `tone` is "good", "bad" or "plain" and colours the mark."""

    cells: tuple[tuple[str, str], ...]
    tone: str
    tip: str  # the row in whole sentences
    selected: bool = False


class CellsModel(QAbstractTableModel):
    """Rows under headings of two lines. `marked` is the column with the mark, those from `right` on stand right."""

    def __init__(self, columns: tuple[tuple[str, str], ...], *, marked: int, right: int) -> None:
        super().__init__()
        self.rows: list[CellsRow] = []
        self.marked = marked
        self._columns = columns
        self._right = right

    def set_rows(self, fresh: Sequence[CellsRow]) -> None:
        """Show other rows; only what differs is drawn again."""
        before, kept = self.rows, min(len(self.rows), len(fresh))
        if len(fresh) < len(before):
            self.beginRemoveRows(QModelIndex(), len(fresh), len(before) - 1)
            self.rows = before[: len(fresh)]
            self.endRemoveRows()
        elif len(fresh) > len(before):
            self.beginInsertRows(QModelIndex(), len(before), len(fresh) - 1)
            self.rows = list(fresh)
            self.endInsertRows()
        changed = [number for number in range(kept) if before[number] != fresh[number]]
        self.rows = list(fresh)
        if changed:
            self.dataChanged.emit(self.index(changed[0], 0), self.index(changed[-1], len(self._columns) - 1))

    def rowCount(self, parent: Index | None = None) -> int:
        return 0 if parent is not None and parent.isValid() else len(self.rows)

    def columnCount(self, parent: Index | None = None) -> int:
        return len(self._columns)

    def headerData(self, number: int, way: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        if way is Qt.Orientation.Horizontal and role == Qt.ItemDataRole.DisplayRole:
            return "\n".join(self._columns[number]).rstrip()
        if way is Qt.Orientation.Horizontal and role == Qt.ItemDataRole.TextAlignmentRole:
            return int(self._alignment(number))
        return None

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        if not index.isValid():
            return None
        row = self.rows[index.row()]
        if role == Qt.ItemDataRole.DisplayRole:
            return "\n".join(row.cells[index.column()])
        if role == ROW:
            return row
        if role == Qt.ItemDataRole.ToolTipRole:
            return plain_tip(row.tip)
        if role == Qt.ItemDataRole.TextAlignmentRole:
            return int(self._alignment(index.column()))
        if role == Qt.ItemDataRole.AccessibleTextRole:
            names, texts = self._columns[index.column()], row.cells[index.column()]
            return ", ".join(f"{name} {text}" for name, text in zip(names, texts, strict=True) if text)
        return None

    def _alignment(self, column: int) -> Qt.AlignmentFlag:
        side = Qt.AlignmentFlag.AlignRight if column >= self._right else Qt.AlignmentFlag.AlignLeft
        return side | Qt.AlignmentFlag.AlignVCenter
