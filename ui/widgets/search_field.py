"""The one field that searches the lists and dials: names, sip: addresses, tel: numbers."""

from __future__ import annotations

from PySide6.QtCore import QEvent, Qt, Signal
from PySide6.QtGui import QKeyEvent, QResizeEvent
from PySide6.QtWidgets import QLabel, QLineEdit

from ui.theme.icons import icon
from ui.theme.manager import Theme


class SearchField(QLineEdit):
    """Emits `moved` for the arrow keys, so that a list below can be walked without leaving the field."""

    moved = Signal(int)  # -1 up, 1 down

    def __init__(self, theme: Theme) -> None:
        super().__init__()
        self.setObjectName("searchField")
        self.setAccessibleName("Search or dial")
        self.setAccessibleDescription("Type a name, a sip: address or a number; Enter calls")
        self.setPlaceholderText("Search or dial")
        self.setToolTip("A name, sip:somebody@example.org, or tel:+123456 – Enter calls (Ctrl+K)")
        self.setMaxLength(512)
        self.setMinimumHeight(40)
        self._hint = QLabel("Ctrl K", self)
        self._hint.setProperty("tone", "small")
        self._hint.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        self._theme = theme
        self._sign = self.addAction(icon("search", theme.tokens.muted, 18), QLineEdit.ActionPosition.LeadingPosition)
        self.setClearButtonEnabled(False)
        theme.changed.connect(self._tint)
        self.textChanged.connect(lambda text: self._hint.setVisible(not text))

    def _tint(self) -> None:
        self._sign.setIcon(icon("search", self._theme.tokens.muted, 18))

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._hint.adjustSize()
        self._hint.move(self.width() - self._hint.width() - 12, (self.height() - self._hint.height()) // 2)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.key() in (Qt.Key.Key_Up, Qt.Key.Key_Down):
            self.moved.emit(-1 if event.key() == Qt.Key.Key_Up else 1)
            return
        if event.key() == Qt.Key.Key_Escape and self.text():
            self.clear()
            return
        super().keyPressEvent(event)

    def changeEvent(self, event: QEvent) -> None:
        super().changeEvent(event)
        if event.type() is QEvent.Type.StyleChange:
            self._hint.adjustSize()
