"""What happened on a path, line by line: the time line as a list that anybody can read and a reader can speak."""

from __future__ import annotations

from typing import Any

from PySide6.QtCore import QAbstractListModel, QModelIndex, QPersistentModelIndex, Qt

from app.events import IceMoment, IceSnapshot, MomentKind
from ui import path_words, words

Index = QModelIndex | QPersistentModelIndex
MOMENT = Qt.ItemDataRole.UserRole
SINCE = Qt.ItemDataRole.UserRole + 1  # when it was, as a short text
PLAIN = frozenset({MomentKind.CHECK, MomentKind.ANSWER, MomentKind.PAIR})  # left out unless asked for
_TONES = {
    MomentKind.WORKS: "good",
    MomentKind.CONNECTED: "good",
    MomentKind.COMPLETED: "good",
    MomentKind.NOMINATED: "good",
    MomentKind.RECOVERED: "good",
    MomentKind.RESTARTED: "good",
    MomentKind.REACHABLE: "good",
    MomentKind.FAILED_PAIR: "bad",
    MomentKind.FAILED: "bad",
    MomentKind.INTERRUPTED: "bad",
    MomentKind.EXPIRED: "bad",
    MomentKind.RELAY_LOST: "bad",
    MomentKind.RESTART_FAILED: "bad",
    MomentKind.SILENT: "warn",
    MomentKind.RESTART: "warn",
    MomentKind.ROLE: "warn",
}


def tone(moment: IceMoment) -> str:
    return _TONES.get(moment.kind, "plain")


class MomentsModel(QAbstractListModel):
    """The moments of one snapshot; without `every`, single checks and pairs being formed are left out."""

    def __init__(self) -> None:
        super().__init__()
        self.moments: list[IceMoment] = []
        self._taken: tuple[IceMoment, ...] = ()
        self._every = False
        self._start = 0.0

    def show_every(self, every: bool) -> None:
        taken, self._taken, self._every = self._taken, (), every
        self._restart()
        self._set(taken)

    def set_snapshot(self, ice: IceSnapshot | None, start: float) -> None:
        """Show a path's time line; times count from `start`, on the engine's clock."""
        if start != self._start:
            self._taken, self._start = (), start
            self._restart()
        self._set(ice.timeline if ice else ())

    def _set(self, moments: tuple[IceMoment, ...]) -> None:
        """Take the time line as it is now; what only grew is added at the end, so that a view keeps its place."""
        before = self._taken
        if moments is before:
            return
        grew = bool(before) and moments[: len(before)] == before
        self._taken = moments
        fresh = [one for one in (moments[len(before) :] if grew else moments) if self._every or one.kind not in PLAIN]
        if grew:
            if fresh:
                self.beginInsertRows(QModelIndex(), len(self.moments), len(self.moments) + len(fresh) - 1)
                self.moments += fresh
                self.endInsertRows()
            return
        self._restart(fresh)

    def _restart(self, moments: list[IceMoment] | None = None) -> None:
        self.beginResetModel()
        self.moments = moments or []
        self.endResetModel()

    def rowCount(self, parent: Index | None = None) -> int:
        return 0 if parent is not None and parent.isValid() else len(self.moments)

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        if not index.isValid() or index.row() >= len(self.moments):
            return None
        moment = self.moments[index.row()]
        if role == MOMENT:
            return moment
        if role == SINCE:
            return self.since(moment)
        if role == Qt.ItemDataRole.DisplayRole:
            return moment.text
        if role == Qt.ItemDataRole.AccessibleTextRole:
            return f"{line(moment)}, after {self.since(moment)}"
        return line(moment) if role == Qt.ItemDataRole.ToolTipRole else None

    def since(self, moment: IceMoment) -> str:
        """Say when it was, counted from the call's start, so fine that what belongs together is told apart."""
        after = max(0.0, moment.at - self._start)
        return f"{after * 1000:.0f} ms" if after < 1 else f"{after:.2f} s" if after < 3600 else words.clock(after)

    def as_text(self) -> str:
        """Give every moment, checks too, as lines to send to somebody."""
        return "\n".join(f"  {self.since(moment):>8}  {line(moment)}" for moment in self._taken)


def line(moment: IceMoment) -> str:
    """Give a moment in one line: what happened, and between which ends."""
    ends = [end for end in (moment.local, moment.remote) if end]
    trip = "" if moment.rtt_s is None else f" ({words.seconds(moment.rtt_s)})"
    flow = f", {path_words.flow_words(moment.flow)}" if moment.flow not in (None, "0") else ""
    return moment.text + (f": {' to '.join(ends)}" if ends else "") + flow + trip
