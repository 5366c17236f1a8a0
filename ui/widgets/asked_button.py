"""A button that asks before it does what cannot be undone: the answers stand in its place."""

from __future__ import annotations

from PySide6.QtCore import Signal
from PySide6.QtGui import QHideEvent
from PySide6.QtWidgets import QApplication, QHBoxLayout, QWidget
from shiboken6 import isValid

from ui.widgets.basics import button

_HEIGHT = 38  # of a button of the window's


class AskedButton(QWidget):
    """`sure` tells that the person wants it. As high while it asks as before: nothing below it moves."""

    sure = Signal()

    def __init__(self, name: str, words: str, yes: str, no: str) -> None:
        """The button is named `name`, the answers that with Yes and with No behind it."""
        super().__init__()
        self._before: QWidget | None = None  # had the focus when it was asked
        self.ask = button(words, name, self._ask, look="link")
        self.yes = button(yes, f"{name}Yes", self._say_yes)
        self.no = button(no, f"{name}No", self.take_back)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        for each in (self.ask, self.yes, self.no):
            row.addWidget(each)
        self.setMinimumHeight(_HEIGHT)
        self._show(False)

    @property
    def is_asking(self) -> bool:
        return self.ask.isHidden()

    def take_back(self) -> bool:
        """Ask no more; the focus goes back to where it was. Tells whether anything was asked."""
        if not self.is_asking:
            return False
        before = self._before if self._before is not None and isValid(self._before) else None
        had_focus = self.yes.hasFocus() or self.no.hasFocus()
        self.ask.show()
        if had_focus:
            (before if before is not None and before.isVisible() else self.ask).setFocus()
        self._show(False)
        return True

    def hideEvent(self, event: QHideEvent) -> None:
        """Who went elsewhere has not answered."""
        super().hideEvent(event)
        self.take_back()

    def _ask(self) -> None:
        self._before = QApplication.focusWidget()
        self._show(True)
        self.no.setFocus()

    def _say_yes(self) -> None:
        self.take_back()
        self.sure.emit()

    def _show(self, is_asking: bool) -> None:
        self.yes.setVisible(is_asking)
        self.no.setVisible(is_asking)
        self.ask.setVisible(not is_asking)
