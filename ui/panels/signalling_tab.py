"""Diagnostics, third tab: the SIP ladder; a click shows the message, a button copies it."""

from __future__ import annotations

from PySide6.QtCore import QModelIndex, Qt
from PySide6.QtGui import QFontDatabase, QGuiApplication
from PySide6.QtWidgets import QCheckBox, QHBoxLayout, QPlainTextEdit, QSplitter, QVBoxLayout, QWidget

from app.events import SipTrace
from ui.context import Context
from ui.models.calls import CallRecord
from ui.models.ladder import TRACE, LadderModel, as_text
from ui.widgets.basics import button, label, tint
from ui.widgets.ladder import LadderView


class SignallingTab(QWidget):
    """Shows the messages of one call, or those of no call (registration) when asked."""

    def __init__(self, context: Context) -> None:
        super().__init__()
        self.setObjectName("signallingTab")
        self._context = context
        self._record: CallRecord | None = None
        self.model = LadderModel()
        box = QVBoxLayout(self)
        box.setContentsMargins(16, 12, 16, 16)
        box.setSpacing(8)
        self.others = QCheckBox("Messages outside calls (registration)")
        self.others.setObjectName("otherMessages")
        self.others.setAccessibleName(self.others.text())
        self.others.toggled.connect(lambda: self._fill())
        box.addWidget(self.others)
        ends = QHBoxLayout()
        ends.setContentsMargins(66, 0, 0, 0)
        ends.addWidget(label("You", "small"))
        ends.addStretch(1)
        self.peer = label("", "small", "ladderPeer")
        ends.addWidget(self.peer)
        box.addLayout(ends)
        self.nothing = label("", "muted", "ladderEmpty", wrap=True)
        box.addWidget(self.nothing)
        self.split = QSplitter(Qt.Orientation.Vertical)
        self.split.setChildrenCollapsible(False)
        self.view = LadderView(context.theme)
        self.view.setModel(self.model)
        self.view.selectionModel().currentChanged.connect(self._show_message)
        self.split.addWidget(self.view)
        self.split.addWidget(self._message_side())
        self.split.setSizes([320, 320])
        box.addWidget(self.split, 1)
        context.book.traced.connect(self._take)
        self._fill()

    def _message_side(self) -> QWidget:
        side = QWidget()
        box = QVBoxLayout(side)
        box.setContentsMargins(0, 8, 0, 0)
        row = QHBoxLayout()
        self.title = label("Choose a message to read it", "muted", "messageTitle", wrap=True)
        row.addWidget(self.title, 1)
        self.copy = button("Copy", "copyMessage", self._copy_one, look="quiet", hint="Copy this message")
        self.copy_all = button("Copy all", "copyAllMessages", self._copy_all, look="quiet", hint="Copy every message")
        for part in (self.copy, self.copy_all):
            tint(self._context.theme, part, "copy", "muted")
            row.addWidget(part)
        box.addLayout(row)
        self.text = QPlainTextEdit()
        self.text.setObjectName("messageText")
        self.text.setAccessibleName("Text of the message")
        self.text.setReadOnly(True)
        self.text.setTabChangesFocus(True)
        self.text.setLineWrapMode(QPlainTextEdit.LineWrapMode.WidgetWidth)
        self.text.setFont(QFontDatabase.systemFont(QFontDatabase.SystemFont.FixedFont))
        box.addWidget(self.text, 1)
        return side

    def show_call(self, record: CallRecord | None) -> None:
        if record is self._record:
            return
        self._record = record
        self._fill()

    # --------------------------------------------------------------------------------------------------------------

    def _fill(self) -> None:
        traces = self._context.book.other_traces if self.others.isChecked() else self._traces()
        self.model.set_traces(traces)
        self._show_message(QModelIndex())
        self._say_empty()

    def _traces(self) -> list[SipTrace]:
        return list(self._record.traces) if self._record is not None else []

    def _take(self, trace: SipTrace) -> None:
        mine = self._record is not None and trace.call_id == self._record.info.call_id
        if (trace.call_id is None) if self.others.isChecked() else mine:
            bar = self.view.verticalScrollBar()
            at_end = bar.value() >= bar.maximum() - 4
            self.model.add(trace)
            self._say_empty()
            if at_end:
                self.view.scrollToBottom()

    def _say_empty(self) -> None:
        traces = self.model.traces
        self.nothing.setText(
            "Nothing outside calls was sent or received so far."
            if self.others.isChecked()
            else "No messages yet: they appear here as they are sent and received."
        )
        self.nothing.setVisible(not traces)
        self.split.setVisible(bool(traces))
        self.peer.setText(traces[-1].remote if traces else "")
        self.copy_all.setEnabled(bool(traces))

    def _show_message(self, current: QModelIndex) -> None:
        trace: SipTrace | None = current.data(TRACE) if current.isValid() else None
        self.copy.setEnabled(trace is not None)
        if trace is None:
            self.title.setText("Choose a message to read it")
            self.text.setPlainText("")
            return
        way = "To" if trace.direction == "out" else "From"
        self.title.setText(f"{way} {trace.remote} · {trace.transport} · {trace.size_bytes} bytes")
        self.text.setPlainText(trace.text.replace("\r\n", "\n"))

    def _copy_one(self) -> None:
        trace = self.view.currentIndex().data(TRACE)
        if trace is not None:
            QGuiApplication.clipboard().setText(trace.text)
            self._context.say("The message is on the clipboard.", "good")

    def _copy_all(self) -> None:
        QGuiApplication.clipboard().setText(as_text(self.model.traces))
        self._context.say("All messages are on the clipboard.", "good")
