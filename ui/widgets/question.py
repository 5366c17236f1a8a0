"""A question inside a dialog, with what to do about it; nothing else stops while it is open."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import Qt
from PySide6.QtGui import QKeyEvent
from PySide6.QtWidgets import QFrame, QHBoxLayout, QVBoxLayout

from ui.widgets.basics import button, label


class Question(QFrame):
    """Hidden until `ask`; hidden again by an answer."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.setObjectName(name)
        self.setProperty("look", "warnCard")
        box = QVBoxLayout(self)
        box.setContentsMargins(12, 10, 12, 10)
        self._words = label("", "value", f"{name}Words", wrap=True)
        box.addWidget(self._words)
        row = QHBoxLayout()
        row.addStretch(1)
        self.no = button("No", f"{name}No", lambda: self._answered(self._on_no), look="primary")
        self.yes = button("Yes", f"{name}Yes", lambda: self._answered(self._on_yes))
        row.addWidget(self.yes)
        row.addWidget(self.no)
        box.addLayout(row)
        self._on_yes: Callable[[], object] | None = None
        self._on_no: Callable[[], object] | None = None
        self.hide()

    def ask(
        self,
        sentence: str,
        yes: str,
        on_yes: Callable[[], object],
        no: str = "Cancel",
        on_no: Callable[[], object] | None = None,
    ) -> None:
        """Ask; the answer that changes nothing is the main one and has the focus."""
        self._words.setText(sentence)
        self.setAccessibleName(sentence)
        self._on_yes, self._on_no = on_yes, on_no
        for part, words in ((self.yes, yes), (self.no, no)):
            part.setText(words)
            part.setAccessibleName(words)
        self.show()
        self.no.setFocus()

    @property
    def words(self) -> str:
        return self._words.text()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Escape changes nothing."""
        if event.key() == Qt.Key.Key_Escape:
            self.no.click()
        else:
            super().keyPressEvent(event)

    def _answered(self, act: Callable[[], object] | None) -> None:
        self.hide()
        if act is not None:
            act()
