"""SIP messages as the rungs of a ladder, oldest first, bounded."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from PySide6.QtCore import QAbstractListModel, QModelIndex, QPersistentModelIndex, Qt

from app.events import SipTrace
from ui.plain_tips import plain_tip

Index = QModelIndex | QPersistentModelIndex
TRACE = Qt.ItemDataRole.UserRole
SINCE = Qt.ItemDataRole.UserRole + 1  # seconds since the first message, float

_MOST = 600


class LadderModel(QAbstractListModel):
    """The messages of one call for a view."""

    def __init__(self) -> None:
        super().__init__()
        self.traces: list[SipTrace] = []

    def set_traces(self, traces: Iterable[SipTrace]) -> None:
        self.beginResetModel()
        self.traces = list(traces)[-_MOST:]
        self.endResetModel()

    def add(self, trace: SipTrace) -> None:
        if len(self.traces) >= _MOST:
            self.beginRemoveRows(QModelIndex(), 0, 0)
            del self.traces[0]
            self.endRemoveRows()
        end = len(self.traces)
        self.beginInsertRows(QModelIndex(), end, end)
        self.traces.append(trace)
        self.endInsertRows()

    def rowCount(self, parent: Index | None = None) -> int:
        return 0 if parent is not None and parent.isValid() else len(self.traces)

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        if not index.isValid() or index.row() >= len(self.traces):
            return None
        trace = self.traces[index.row()]
        since = trace.at - self.traces[0].at
        if role == TRACE:
            return trace
        if role == SINCE:
            return since
        if role == Qt.ItemDataRole.DisplayRole:
            return short_line(trace.line)
        if role == Qt.ItemDataRole.AccessibleTextRole:
            way = "sent to" if trace.direction == "out" else "received from"
            return f"{short_line(trace.line)}, {way} {trace.remote}, after {since:.3f} seconds"
        if role == Qt.ItemDataRole.ToolTipRole:
            arrow = "to" if trace.direction == "out" else "from"
            tip = f"{trace.line}\n{arrow} {trace.remote} over {trace.transport}, {trace.size_bytes} bytes"
            return plain_tip(tip)
        return None


def short_line(line: str) -> str:
    """Give a request's method, or a response's status and reason."""
    if line.startswith("SIP/"):
        return line.partition(" ")[2] or line
    return line.partition(" ")[0]


def as_text(traces: Iterable[SipTrace]) -> str:
    """Give messages as one text to copy, each under a line that says when and where it went."""
    parts = []
    for trace in traces:
        way = "to" if trace.direction == "out" else "from"
        parts.append(f"--- {trace.at:.3f} s {way} {trace.remote} over {trace.transport}, {trace.size_bytes} bytes")
        parts.append(trace.text.replace("\r\n", "\n").rstrip("\n") + "\n")
    return "\n".join(parts)
