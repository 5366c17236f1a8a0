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

# Each cell has two lines, and so has each heading.
COLUMNS = (("Local", "kinds"), ("Remote", "priority"), ("State", "checks"), ("RTT", "ms"), ("Sent", "received"))

_STATES = {
    PairState.FROZEN: "frozen",
    PairState.WAITING: "waiting",
    PairState.IN_PROGRESS: "checking",
    PairState.SUCCEEDED: "works",
    PairState.FAILED: "no answer",
}


@dataclass(frozen=True, slots=True)
class PairRow:
    """One row of the table, each cell as (first line, second line); `tone` is "good", "bad", "plain"."""

    cells: tuple[tuple[str, str], ...]
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
            return "\n".join(COLUMNS[number])
        if way is Qt.Orientation.Horizontal and role == Qt.ItemDataRole.TextAlignmentRole:
            return int(alignment(number))
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
            return row.tip
        if role == Qt.ItemDataRole.TextAlignmentRole:
            return int(alignment(index.column()))
        if role == Qt.ItemDataRole.AccessibleTextRole:
            names, texts = COLUMNS[index.column()], row.cells[index.column()]
            return ", ".join(f"{name} {text}" for name, text in zip(names, texts, strict=True))
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
    tip = [
        f"priority {pair.priority}",
        f"{local.type} {end_point(local)} to {remote.type} {end_point(remote)}",
        f"{pair.checks_sent} checks sent",
    ]
    if pair.reason:
        tip.append(pair.reason)
    if pair.nominated:
        tip.append("nominated")
    trip = "–" if pair.rtt_s is None else "<1" if pair.rtt_s < 0.001 else f"{pair.rtt_s * 1000:.0f}"
    checks = f"{pair.checks_sent} check{'s' if pair.checks_sent != 1 else ''}"
    cells = (
        (end_point(local), f"{local.type} – {remote.type}"),
        (end_point(remote), str(pair.priority)),
        (state, checks),
        (trip, ""),
        (words.size(pair.sent_bytes), words.size(pair.received_bytes)),
    )
    return PairRow(cells, pair.selected, tone, "\n".join(tip), pair)
