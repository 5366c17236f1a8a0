"""A field in which a key is chosen by pressing it."""

from __future__ import annotations

from PySide6.QtCore import QEvent, Qt, Signal
from PySide6.QtGui import QFocusEvent, QKeyEvent, QMouseEvent
from PySide6.QtWidgets import QLineEdit

from ui.key_names import TalkKeyName, UnfitKey

_NONE = "none: click here and press a key"


class KeyField(QLineEdit):
    """Shows a key; a click (or Enter) makes it wait for another, Esc leaves it, Backspace takes it away.

    `listening` tells whether it waits, `unfit` why what was pressed will not do. `key` is a TalkKeyName as text.
    """

    listening = Signal(bool)
    unfit = Signal(str)

    def __init__(self) -> None:
        self._key = ""
        self._listens = False
        super().__init__()
        self.setReadOnly(True)
        self.setContextMenuPolicy(Qt.ContextMenuPolicy.NoContextMenu)
        self.setCursor(Qt.CursorShape.PointingHandCursor)
        self.setPlaceholderText(_NONE)

    @property
    def key(self) -> str:
        return self._key

    def set_key(self, key: str) -> None:
        """Show this key, "" for none; one that a file names wrongly is shown as it is written there."""
        before, self._key = self._key, key
        self._listen(False)
        self.setText(self._shown())
        if key != before:
            self.textChanged.emit(self.text())

    def event(self, event: QEvent) -> bool:
        """While it waits, a key is neither a shortcut of the window nor a step to the next field."""
        if self._listens and event.type() is QEvent.Type.ShortcutOverride:
            event.accept()
            return True
        if self._listens and event.type() is QEvent.Type.KeyPress and isinstance(event, QKeyEvent):
            self._pressed(event)
            return True
        return super().event(event)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter, Qt.Key.Key_Space):
            self._listen(True)
        elif event.key() in (Qt.Key.Key_Backspace, Qt.Key.Key_Delete):
            self.set_key("")
        else:
            super().keyPressEvent(event)

    def mousePressEvent(self, event: QMouseEvent) -> None:
        super().mousePressEvent(event)
        self._listen(True)

    def focusOutEvent(self, event: QFocusEvent) -> None:
        super().focusOutEvent(event)
        self._listen(False)

    def _pressed(self, event: QKeyEvent) -> None:
        if event.key() == Qt.Key.Key_Escape:
            self._listen(False)
            return
        if event.key() in (Qt.Key.Key_Backspace, Qt.Key.Key_Delete):
            self.set_key("")
            return
        try:
            key = TalkKeyName.pressed(event)
        except UnfitKey as error:
            self.unfit.emit(str(error))
            return
        if key is not None:
            self.unfit.emit("")
            self.set_key(str(key))

    def _listen(self, on: bool) -> None:
        if on is self._listens:
            return
        self._listens = on
        self.setPlaceholderText("Press a key; Esc leaves it, Backspace takes it away" if on else _NONE)
        before = self.blockSignals(True)  # what is shown meanwhile is no edit
        self.setText("" if on else self._shown())
        self.blockSignals(before)
        self.listening.emit(on)

    def _shown(self) -> str:
        try:
            return TalkKeyName.parse(self._key).words if self._key else ""
        except UnfitKey:
            return self._key
