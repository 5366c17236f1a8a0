"""The history panel: past calls by day; a click shows what happened, the button calls again."""

from __future__ import annotations

from PySide6.QtCore import QModelIndex, Signal
from PySide6.QtWidgets import QHBoxLayout, QStackedLayout, QVBoxLayout, QWidget

from app.events import HistoryChanged, HistoryEntry
from ui.context import Context
from ui.models.history import HistoryModel, HistoryRow
from ui.models.rows import ROW
from ui.widgets.asked_button import AskedButton
from ui.widgets.empty import EmptyWords
from ui.widgets.list_rows import RowDelegate, list_view, walk


class HistoryPanel(QWidget):
    """`chosen` tells which past call is looked at; `unseen_changed` how many missed ones are new."""

    chosen = Signal(object)
    unseen_changed = Signal(int)
    called = Signal()

    def __init__(self, context: Context) -> None:
        super().__init__()
        self.setObjectName("historyPanel")
        self._context = context
        self.model = HistoryModel()
        box = QVBoxLayout(self)
        box.setContentsMargins(0, 0, 0, 0)
        box.setSpacing(0)
        self.view = list_view("historyList", "Past calls")
        self.view.setItemDelegate(RowDelegate(context.theme, self._call_row, self.view))
        self.view.setModel(self.model)
        self.view.activated.connect(lambda index: self._call_row(index.data(ROW)))
        self.view.selectionModel().currentChanged.connect(self._current_changed)
        self.empty = EmptyWords("historyEmpty")
        self._stack = QStackedLayout()
        self._stack.addWidget(self.view)
        self._stack.addWidget(self.empty)
        box.addLayout(self._stack, 1)
        foot = QHBoxLayout()
        foot.setContentsMargins(10, 4, 10, 6)
        self.clear = AskedButton("clearHistory", "Clear history…", "Clear it all", "Keep it")
        self.clear.sure.connect(self._clear)
        foot.addWidget(self.clear)
        foot.addStretch(1)
        box.addLayout(foot)
        context.bridge.history.connect(self._take)
        self.model.modelReset.connect(self._say_empty)
        self._say_empty()

    def set_filter(self, text: str) -> None:
        self.model.set_filter(text)

    def walk(self, step: int) -> None:
        """Go up or down by one row, past the headings."""
        walk(self.view, step)

    def call_current(self, typed: str) -> bool:
        index = self.view.currentIndex()
        row = index.data(ROW) if index.isValid() else None
        if row is None:
            return False
        self._call_row(row)
        return True

    def mark_seen(self) -> None:
        """Tell the engine that the missed calls have been looked at."""
        engine = self._context.engine
        if engine is not None and self.model.unseen:
            self._context.tasks.start(engine.people.mark_history_seen())

    def _take(self, event: HistoryChanged) -> None:
        self.model.set_entries(event.entries)
        self.clear.setEnabled(bool(event.entries))
        self.unseen_changed.emit(self.model.unseen)
        if self.isVisible():
            self.mark_seen()

    def _call_row(self, row: object) -> None:
        if isinstance(row, HistoryRow) and row.entry is not None:
            self._context.place(row.entry.remote_uri, video=row.entry.with_video)
            self.called.emit()

    def _current_changed(self, current: QModelIndex) -> None:
        row = current.data(ROW) if current.isValid() else None
        entry: HistoryEntry | None = row.entry if isinstance(row, HistoryRow) else None
        if entry is not None:
            self.chosen.emit(entry)

    def _say_empty(self) -> None:
        if self.model.entries:
            self.empty.say("Nothing found", "No past call goes with what is typed above.")
        else:
            self.empty.say("No calls yet", "Every call you make, get or miss will stand here, with what became of it.")
        self._stack.setCurrentWidget(self.view if self.model.rows else self.empty)

    def _clear(self) -> None:
        if self._context.engine is not None:
            self._context.tasks.start(self._context.engine.people.clear_history())
