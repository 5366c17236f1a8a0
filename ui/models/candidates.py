"""The candidates of one side as a table: address, kind, priority, where it came from."""

from __future__ import annotations

from typing import Any

from PySide6.QtCore import QAbstractTableModel, QModelIndex, QPersistentModelIndex, Qt

from app.events import CandidateInfo

Index = QModelIndex | QPersistentModelIndex

_KINDS = {
    "host": "An address of the machine itself",
    "srflx": "How a STUN server sees the machine, through its NAT",
    "prflx": "How the other side sees the machine, learned from a check",
    "relay": "An address lent by a TURN server",
}


class CandidatesModel(QAbstractTableModel):
    """One side's candidates for a table view; `whose` heads the first column."""

    def __init__(self, whose: str) -> None:
        super().__init__()
        self._columns = (whose, "Kind", "Priority", "From", "Flow")
        self.candidates: tuple[CandidateInfo, ...] = ()

    @property
    def flows(self) -> int:
        """Over how many flows they spread; with one, nobody needs the last column."""
        return len({candidate.flow for candidate in self.candidates})

    def set_candidates(self, candidates: tuple[CandidateInfo, ...]) -> None:
        if candidates == self.candidates:
            return
        self.beginResetModel()
        self.candidates = candidates
        self.endResetModel()

    def rowCount(self, parent: Index | None = None) -> int:
        return 0 if parent is not None and parent.isValid() else len(self.candidates)

    def columnCount(self, parent: Index | None = None) -> int:
        return len(self._columns)

    def headerData(self, number: int, way: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        if way is not Qt.Orientation.Horizontal:
            return None
        if role == Qt.ItemDataRole.DisplayRole:
            return self._columns[number]
        if role == Qt.ItemDataRole.TextAlignmentRole:
            return int(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter)
        return None

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        if not index.isValid():
            return None
        candidate = self.candidates[index.row()]
        if role == Qt.ItemDataRole.DisplayRole:
            return self._cells(candidate)[index.column()]
        if role == Qt.ItemDataRole.AccessibleTextRole:
            return f"{self._columns[index.column()]}: {self._cells(candidate)[index.column()]}"
        if role == Qt.ItemDataRole.ToolTipRole:
            base = f"\nSent from {candidate.base}" if candidate.base else ""
            return f"{_KINDS[candidate.type]} ({candidate.protocol}, foundation {candidate.foundation}){base}"
        return None

    @staticmethod
    def _cells(candidate: CandidateInfo) -> tuple[str, ...]:
        origin = candidate.server or candidate.interface or "–"
        return candidate.place, str(candidate.type), str(candidate.priority), origin, candidate.flow
