"""Candidate pairs as a table: both ends, state in words, round trip, bytes; the selected pair first."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from PySide6.QtCore import QAbstractTableModel, QModelIndex, QPersistentModelIndex, Qt

from app.events import CandidateInfo, IceSnapshot, PairInfo, PairState
from app.settings import HostPort
from ui import words

Index = QModelIndex | QPersistentModelIndex
ROW = Qt.ItemDataRole.UserRole

COLUMNS = ("Local", "Remote", "State", "RTT", "Sent", "Received", "Priority")

_STATES = {
    PairState.FROZEN: "frozen",
    PairState.WAITING: "waiting",
    PairState.IN_PROGRESS: "checking",
    PairState.SUCCEEDED: "works",
    PairState.FAILED: "no answer",
}


@dataclass(frozen=True, slots=True)
class PairRow:
    """One line of the table; `tone` is "good", "bad", "plain"."""

    cells: tuple[str, ...]
    selected: bool
    tone: str
    tip: str
    pair: PairInfo


class PairsModel(QAbstractTableModel):
    """The pairs of one snapshot for a table view."""

    def __init__(self) -> None:
        super().__init__()
        self.rows: list[PairRow] = []

    def set_snapshot(self, ice: IceSnapshot | None) -> None:
        fresh = build_rows(ice) if ice else []
        if len(fresh) == len(self.rows):
            old, self.rows = self.rows, fresh
            if old != fresh:
                self.dataChanged.emit(self.index(0, 0), self.index(len(fresh) - 1, len(COLUMNS) - 1))
            return
        self.beginResetModel()
        self.rows = fresh
        self.endResetModel()

    def rowCount(self, parent: Index | None = None) -> int:
        return 0 if parent is not None and parent.isValid() else len(self.rows)

    def columnCount(self, parent: Index | None = None) -> int:
        return len(COLUMNS)

    def headerData(self, number: int, way: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        if way is Qt.Orientation.Horizontal and role == Qt.ItemDataRole.DisplayRole:
            return COLUMNS[number]
        if way is Qt.Orientation.Horizontal and role == Qt.ItemDataRole.TextAlignmentRole:
            return int(alignment(number))
        return None

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        if not index.isValid():
            return None
        row = self.rows[index.row()]
        if role == Qt.ItemDataRole.DisplayRole:
            return row.cells[index.column()]
        if role == ROW:
            return row
        if role == Qt.ItemDataRole.ToolTipRole:
            return row.tip
        if role == Qt.ItemDataRole.TextAlignmentRole:
            return int(alignment(index.column()))
        if role == Qt.ItemDataRole.AccessibleTextRole:
            return f"{COLUMNS[index.column()]}: {row.cells[index.column()]}"
        return None


def alignment(column: int) -> Qt.AlignmentFlag:
    side = Qt.AlignmentFlag.AlignRight if column >= 3 else Qt.AlignmentFlag.AlignLeft
    return side | Qt.AlignmentFlag.AlignVCenter


def end_point(candidate: CandidateInfo) -> str:
    return str(HostPort(candidate.address, candidate.port))


def build_rows(ice: IceSnapshot) -> list[PairRow]:
    """Give the rows: selected first, then by priority."""
    pairs = [pair for pair in ice.pairs if pair.local < len(ice.local) and pair.remote < len(ice.remote)]
    pairs.sort(key=lambda pair: (not pair.selected, -pair.priority))
    return [_row(pair, ice.local[pair.local], ice.remote[pair.remote]) for pair in pairs]


def _row(pair: PairInfo, local: CandidateInfo, remote: CandidateInfo) -> PairRow:
    state = "✓ selected" if pair.selected else _STATES[pair.state]
    tone = "good" if pair.state is PairState.SUCCEEDED else "bad" if pair.state is PairState.FAILED else "plain"
    tip = [f"{local.type} {end_point(local)} to {remote.type} {end_point(remote)}", f"{pair.checks_sent} checks sent"]
    if pair.reason:
        tip.append(pair.reason)
    if pair.nominated:
        tip.append("nominated")
    trip = f"{pair.rtt_s * 1000:.0f}" if pair.rtt_s is not None else "–"
    if pair.rtt_s is not None and pair.rtt_s < 0.001:
        trip = "<1"
    cells = (
        f"{end_point(local)} {local.type}",
        f"{end_point(remote)} {remote.type}",
        state,
        trip,
        words.size(pair.sent_bytes) if pair.sent_bytes else "–",
        words.size(pair.received_bytes) if pair.received_bytes else "–",
        str(pair.priority),
    )
    return PairRow(cells, pair.selected, tone, "\n".join(tip), pair)
