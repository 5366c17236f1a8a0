"""The diagnostics pane: opens and closes at the right; first a sentence for people, then figures, then tables."""

from __future__ import annotations

from PySide6.QtCore import Qt, QTimer, Signal
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QHBoxLayout, QTabWidget, QVBoxLayout, QWidget

from ui import words
from ui.context import Context
from ui.models.calls import CallRecord
from ui.models.ladder import as_text
from ui.panels.channels_tab import ChannelsTab
from ui.panels.path_tab import PathTab
from ui.panels.quality_tab import QualityTab
from ui.panels.signalling_tab import SignallingTab
from ui.panels.timeline_tab import TimelineTab
from ui.widgets.basics import button, icon_button, label, tint


class DiagnosticsPane(QWidget):
    """Follows the call that the book says is the subject; repaints at most four times a second."""

    close_wanted = Signal()
    check_wanted = Signal()

    def __init__(self, context: Context) -> None:
        super().__init__()
        self.setObjectName("pane")
        self.setAttribute(Qt.WidgetAttribute.WA_StyledBackground)
        self._context = context
        box = QVBoxLayout(self)
        box.setContentsMargins(1, 0, 0, 0)
        box.setSpacing(0)
        head = QHBoxLayout()
        head.setContentsMargins(16, 10, 10, 0)
        self.title = label("", "muted", "paneTitle")
        head.addWidget(self.title, 1)
        copy = icon_button(context.theme, "copy", "Copy everything as text", "paneCopy", self._copy, size=18)
        close = icon_button(context.theme, "close", "Close diagnostics (Ctrl+D)", "paneClose", self.close_wanted.emit)
        self.check = button("Check my network…", "paneCheck", self.check_wanted.emit, look="quiet")
        head.addWidget(self.check)
        tint(context.theme, copy, "copy", "muted")
        tint(context.theme, close, "close", "muted")
        head.addWidget(copy)
        head.addWidget(close)
        box.addLayout(head)
        self.tabs = QTabWidget()
        self.tabs.setObjectName("paneTabs")
        self.tabs.setAccessibleName("Diagnostics")
        self.tabs.setDocumentMode(True)
        self.tabs.tabBar().setDrawBase(False)
        self.tabs.tabBar().setExpanding(False)
        self.path = PathTab(context.theme)
        self.timeline = TimelineTab(context.theme)
        self.quality = QualityTab(context.theme)
        self.signalling = SignallingTab(context)
        self.tabs.addTab(self.path, "Path")
        self.tabs.addTab(self.timeline, "Time line")
        self.tabs.addTab(self.quality, "Quality")
        self.tabs.addTab(self.signalling, "Signalling")
        self.channels = ChannelsTab(context)
        self.tabs.addTab(self.channels, "Channels")
        box.addWidget(self.tabs, 1)
        self._of_calls: QWidget = self.path
        self._late = QTimer(self)
        self._late.setSingleShot(True)
        self._late.setInterval(250)
        self._late.timeout.connect(self.refresh)
        context.book.subject_changed.connect(self._later)
        context.book.figures_changed.connect(lambda call_id: self._later())
        self.tabs.currentChanged.connect(lambda number: self.refresh())
        self.refresh()

    def look_at(self, *, channels: bool) -> None:
        """Bring the tab of channels, or the one of calls that was seen last."""
        self.tabs.setCurrentWidget(self.channels if channels else self._of_calls)

    def refresh(self) -> None:
        """Show the subject as it is now, in the tab that is seen."""
        record = self._context.book.subject
        shown = self.tabs.currentWidget()
        if shown is not self.channels:
            self._of_calls = shown
        self.title.setText("Channels" if shown is self.channels else self._title(record))
        self.signalling.show_call(record)
        if shown is self.path:
            self._show_path(record)
        elif shown is self.timeline or shown is self.quality:
            shown.show_call(record)

    def _show_path(self, record: CallRecord | None) -> None:
        book = self._context.book
        self.path.show_call(record, book.engine_now(), book.time_of_day)

    def _later(self) -> None:
        if self.isVisible() and not self._late.isActive():
            self._late.start()

    def showEvent(self, event: object) -> None:
        self.refresh()

    @staticmethod
    def _title(record: CallRecord | None) -> str:
        if record is None:
            return "Diagnostics"
        name = record.info.remote_name or words.shown_address(record.info.remote_uri)
        return f"Last call: {name}" if record.over else f"Call with {name}"

    def _copy(self) -> None:
        record = self._context.book.subject
        self._show_path(record)
        self.timeline.show_call(record)
        self.quality.show_call(record)
        traces = record.traces if record else ()
        parts = [self._title(record), self.path.as_text(), self.timeline.as_text(), self.quality.as_text()]
        parts += ["Messages", as_text(traces)]
        if self.channels.blocks:
            parts.append(self.channels.as_text())
        QGuiApplication.clipboard().setText("\n\n".join(parts))
        self._context.say("Everything shown here is on the clipboard.", "good")
