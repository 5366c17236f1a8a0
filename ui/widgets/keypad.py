"""The keys of a telephone, floating over a call: for menus that ask for a number, and doors that open to one."""

from __future__ import annotations

from PySide6.QtCore import QPoint, QSize, Qt, Signal
from PySide6.QtGui import QKeyEvent
from PySide6.QtWidgets import QFrame, QGridLayout, QHBoxLayout, QPushButton, QVBoxLayout, QWidget

from ui.theme.icons import icon
from ui.widgets.basics import PushButton, label

_KEYS = "123456789*0#"
_SPOKEN = {"*": "star", "#": "hash"}
_LETTERS = {"2": "ABC", "3": "DEF", "4": "GHI", "5": "JKL", "6": "MNO", "7": "PQRS", "8": "TUV", "9": "WXYZ"}
_KEY = QSize(64, 48)
_SHOWN = 16  # of what was pressed


class Keypad(QFrame):
    """`pressed` gives one key at a time; what was pressed is shown until it is closed."""

    pressed = Signal(str)

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self.setObjectName("keypad")
        self.setAccessibleName("Keypad")
        column = QVBoxLayout(self)
        column.setContentsMargins(12, 8, 12, 12)
        column.setSpacing(8)
        self._typed = ""
        self.shown = label("", "callName", "keypadShown")
        self.shown.setAccessibleName("Pressed keys")
        self.shown.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.close_button = PushButton()
        self.close_button.setObjectName("keypadClose")
        self.close_button.setProperty("look", "key")
        self.close_button.setAccessibleName("Close the keypad")
        self.close_button.setToolTip("Close the keypad (Esc)")
        self.close_button.setFixedSize(32, 32)
        self.close_button.setIcon(icon("close", "#ffffff", 18))
        self.close_button.clicked.connect(self.put_away)
        top = QHBoxLayout()
        top.addSpacing(32)
        top.addWidget(self.shown, 1)
        top.addWidget(self.close_button)
        column.addLayout(top)
        grid = QGridLayout()
        grid.setSpacing(8)
        self.keys = {key: self._key(key) for key in _KEYS}
        for place, made in enumerate(self.keys.values()):
            grid.addWidget(made, place // 3, place % 3)
        column.addLayout(grid)
        self.hide()

    def open_over(self, target: QWidget) -> None:
        """Show it above a widget of the same parent, in the middle, as far as there is room."""
        owner = self.parentWidget()
        assert owner is not None
        self.adjustSize()
        middle = target.mapTo(owner, QPoint(target.width() // 2, 0))
        self.move(max(8, middle.x() - self.width() // 2), max(8, middle.y() - self.height() - 10))
        if not self.isVisible():
            self.show()
            self.keys["5"].setFocus()
        self.raise_()

    def put_away(self) -> None:
        """Close it and forget what was pressed."""
        self._typed = ""
        self.shown.setText("")
        self.hide()

    def press(self, key: str) -> bool:
        """Press a key by its character; False when there is no such key."""
        if len(key) != 1 or key not in self.keys:
            return False
        self._typed = (self._typed + key)[-_SHOWN:]
        self.shown.setText(self._typed)
        self.pressed.emit(key)
        return True

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if not self.press(event.text()):
            event.ignore()

    def _key(self, key: str) -> QPushButton:
        made = PushButton()
        face = QVBoxLayout(made)
        face.setContentsMargins(0, 4, 0, 4)
        face.setSpacing(0)
        for text, tone in ((key, "key"), (_LETTERS.get(key, ""), "keyLetters")):
            if text:
                part = label(text, tone)
                part.setAlignment(Qt.AlignmentFlag.AlignCenter)
                part.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
                face.addWidget(part)
        made.setObjectName(f"key{_SPOKEN.get(key, key).capitalize()}")
        made.setAccessibleName(_SPOKEN.get(key, key))
        made.setProperty("look", "key")
        made.setFixedSize(_KEY)
        made.setAutoDefault(False)
        made.setCursor(Qt.CursorShape.PointingHandCursor)
        made.clicked.connect(lambda: self.press(key))
        return made
