"""What must never be forgotten during a call, said at its upper edge: that a screen is shared, that it is recorded."""

from __future__ import annotations

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QBoxLayout, QFrame, QHBoxLayout, QLabel, QWidget

from app.events import CallInfo
from ui.widgets.basics import button, label
from ui.words import recording_words, sharing_words


class Mark(QFrame):
    """A sign, a sentence and a button that ends what it says."""

    def __init__(self, name: str, look: str, stop_words: str) -> None:
        super().__init__()
        self.setObjectName(name)
        self.setProperty("look", look)
        row = QHBoxLayout(self)
        row.setContentsMargins(12, 4, 6, 4)
        row.setSpacing(10)
        self.sign = QLabel("●")
        self.sign.setObjectName(f"{name}Sign")
        self.words = label("", name=f"{name}Words")
        self.stop = button("Stop", f"{name}Stop", lambda: None, look="onMark", hint=stop_words)
        self.stop.setAccessibleName(stop_words)
        row.addWidget(self.sign)
        row.addWidget(self.words)
        row.addWidget(self.stop)

    def say(self, words: str) -> None:
        """Say this, or nothing and disappear."""
        self.setVisible(bool(words))
        if words != self.words.text():
            self.words.setText(words)
            self.words.setAccessibleName(words)


class CallMarks(QWidget):
    """Emits what is to stop; `show_call` shows what is going on."""

    stop_sharing = Signal()
    stop_recording = Signal()

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self.setObjectName("callMarks")
        self._box = QBoxLayout(QBoxLayout.Direction.LeftToRight, self)
        self._box.setContentsMargins(16, 4, 16, 4)
        self._box.setSpacing(8)
        self.sharing = Mark("sharingMark", "sharingMark", "Stop sharing")
        self.sharing.stop.clicked.connect(self.stop_sharing)
        self.recording = Mark("recordingMark", "recordingMark", "Stop recording")
        self.recording.stop.clicked.connect(self.stop_recording)
        for mark in self._marks():
            self._box.addWidget(mark, 0, Qt.AlignmentFlag.AlignLeft)
            mark.hide()
        self._box.addStretch(1)

    def show_call(self, call: CallInfo, shared_name: str, *, over: bool) -> None:
        """Set the marks to a call's state; `shared_name` is what the person chose to share, where that is known."""
        self.sharing.say(sharing_words(call.sharing, shared_name) if call.sharing and not over else "")
        if call.recording is None or over:
            self.show_recorded(call, None)
        self.setVisible(any(mark.isVisibleTo(self) for mark in self._marks()))

    def show_recorded(self, call: CallInfo, seconds: float | None) -> None:
        """Say how long the recording is by now; None where there is none."""
        paused = call.recording is not None and call.recording.paused
        self.recording.say("" if seconds is None else recording_words(seconds, paused=paused))
        self.setVisible(any(mark.isVisibleTo(self) for mark in self._marks()))

    def _marks(self) -> tuple[Mark, ...]:
        return self.recording, self.sharing

    def place(self, width: int, top: int) -> int:
        """Take a row, or two where they do not fit side by side, from `top`; give where they end."""
        if self.isHidden():
            return top
        needed = sum(mark.sizeHint().width() + 8 for mark in self._marks() if mark.isVisibleTo(self)) + 32
        side_by_side = needed <= width
        self._box.setDirection(QBoxLayout.Direction.LeftToRight if side_by_side else QBoxLayout.Direction.TopToBottom)
        self._box.activate()
        self.setGeometry(0, top, width, self._box.sizeHint().height())
        return top + self.height()
