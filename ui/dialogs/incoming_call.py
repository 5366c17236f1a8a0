"""An incoming call: who it is, and the ways to take it or not. Shown above everything, never modal.

No button has the focus when it opens: whoever is typing must not answer by accident. Its keys need Alt.
"""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtGui import QCloseEvent, QKeyEvent
from PySide6.QtWidgets import QDialog, QGridLayout, QVBoxLayout, QWidget

from app.events import CallInfo
from ui import words
from ui.context import Context
from ui.widgets.avatar import Avatar
from ui.widgets.basics import button, label, tint


class IncomingCallDialog(QDialog):
    """Asks about one call; goes away by itself when the call was answered, declined or given up."""

    def __init__(
        self, context: Context, call: CallInfo, name: str, *, during_call: bool, parent: QWidget | None
    ) -> None:
        super().__init__(parent)
        self.call_id = call.call_id
        self._context = context
        self._answered = False
        self.setObjectName("incomingCall")
        self.setWindowTitle(f"{name} is calling")
        self.setAccessibleName(f"Incoming call from {name}")
        self.setModal(False)
        self.setWindowFlag(Qt.WindowType.WindowStaysOnTopHint)
        self.setAttribute(Qt.WidgetAttribute.WA_ShowWithoutActivating)
        self.setFixedWidth(380)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        box = QVBoxLayout(self)
        box.setContentsMargins(24, 28, 24, 24)
        box.setSpacing(8)
        box.addWidget(Avatar(88, name), 0, Qt.AlignmentFlag.AlignHCenter)
        box.addSpacing(6)
        for text, tone, part in (
            (name, "title", "incomingName"),
            (words.shown_address(call.remote_uri), "muted", "incomingAddress"),
            (_explain(call, during_call), "muted", "incomingWords"),
        ):
            made = label(text, tone, part, wrap=True)
            made.setAlignment(Qt.AlignmentFlag.AlignCenter)
            box.addWidget(made)
            self._words = made
        box.addSpacing(10)
        self._add_buttons(box, call)
        self.setFocus()

    def _add_buttons(self, box: QVBoxLayout, call: CallInfo) -> None:
        theme = self._context.theme
        grid = QGridLayout()
        grid.setSpacing(10)
        self.with_picture = button("Answer with &picture", "answerVideo", lambda: self._answer(True), look="answer")
        voice_words = "&Voice only" if call.offers_video else "&Answer"
        voice_look = "" if call.offers_video else "answer"
        self.voice = button(voice_words, "answerVoice", lambda: self._answer(False), look=voice_look)
        self.decline = button("&Decline", "declineCall", self._decline)
        for part, words_, sign, role in (
            (self.with_picture, "Answer with picture", "camera", ""),
            (self.voice, "Answer with voice only", "phone", "text" if call.offers_video else ""),
            (self.decline, "Decline", "hang-up", "text"),
        ):
            part.setAccessibleName(words_)
            part.setMinimumHeight(44)
            tint(theme, part, sign, role or "on_answer")
        if call.offers_video:
            grid.addWidget(self.with_picture, 0, 0, 1, 2)
            grid.addWidget(self.voice, 1, 0)
            grid.addWidget(self.decline, 1, 1)
        else:
            self.with_picture.hide()
            grid.addWidget(self.voice, 0, 0)
            grid.addWidget(self.decline, 0, 1)
        box.addLayout(grid)

    def take_down(self) -> None:
        """Go away because the call is no longer waiting."""
        self._answered = True
        self.close()
        self.deleteLater()

    def _answer(self, video: bool) -> None:
        self._answered = True
        self._context.answer(self.call_id, video=video)
        self._set_busy("Answering…")

    def _decline(self) -> None:
        self._answered = True
        self._context.decline(self.call_id)
        self._set_busy("Declining…")

    def _set_busy(self, said: str) -> None:
        for part in (self.with_picture, self.voice, self.decline):
            part.setEnabled(False)
        self._words.setText(said)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.key() in (Qt.Key.Key_Escape, Qt.Key.Key_Return, Qt.Key.Key_Enter):
            return  # neither may end or take a call by accident
        super().keyPressEvent(event)

    def closeEvent(self, event: QCloseEvent) -> None:
        if not self._answered:
            self._decline()
        super().closeEvent(event)


def _explain(call: CallInfo, during_call: bool) -> str:
    asks = "calls with picture" if call.offers_video else "calls"
    if during_call:
        return f"{asks.capitalize()} while you are in a call. Answering puts that one on hold."
    return f"{asks.capitalize()}. Nothing of your microphone or camera leaves before you answer."
