"""The three facts that are always in sight during a call, each a small button that opens the details."""

from __future__ import annotations

from PySide6.QtCore import QSize, Qt, Signal
from PySide6.QtWidgets import QBoxLayout, QToolButton, QWidget

from ui.facts import Fact
from ui.theme.icons import icon
from ui.widgets.basics import ToolButton

# On the dark stage, whatever the theme.
_TONES = {"good": "#62e0a6", "warn": "#ffc766", "bad": "#ffa0a2", "plain": "#cfd7e1"}


class FactChips(QWidget):
    """Who can listen, how it travels, how it sounds."""

    asked = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.setObjectName("factChips")
        self._row = QBoxLayout(QBoxLayout.Direction.LeftToRight, self)
        self._row.setContentsMargins(0, 0, 0, 0)
        self._row.setSpacing(8)
        self.listen = self._chip("factListen")
        self.travel = self._chip("factTravel")
        self.sound = self._chip("factSound")
        for chip in (self.listen, self.travel, self.sound):
            self._row.addWidget(chip, 0, Qt.AlignmentFlag.AlignLeft)

    def fit(self, width: int) -> None:
        """Stand in a row, or one below the other where the row would be cut."""
        needed = sum(chip.sizeHint().width() + self._row.spacing() for chip in (self.listen, self.travel, self.sound))
        stacked = needed > width
        self._row.setDirection(QBoxLayout.Direction.TopToBottom if stacked else QBoxLayout.Direction.LeftToRight)
        self._row.setSpacing(4 if stacked else 8)
        self.updateGeometry()  # at once: whoever asks for the size next must not get that of the row

    def show_facts(self, listen: Fact, travel: Fact, sound: Fact) -> None:
        for chip, fact in ((self.listen, listen), (self.travel, travel), (self.sound, sound)):
            if chip.property("fact") == fact.text:
                continue
            chip.setProperty("fact", fact.text)
            chip.setText(fact.text)
            chip.setIcon(icon(fact.icon, _TONES[fact.tone], 16))
            chip.setToolTip(fact.detail)
            chip.setAccessibleName(fact.text)
            chip.setAccessibleDescription(fact.detail)

    def _chip(self, name: str) -> QToolButton:
        made = ToolButton()
        made.setObjectName(name)
        made.setProperty("look", "chip")
        made.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        made.setIconSize(QSize(16, 16))
        made.setFixedHeight(30)
        made.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        made.setCursor(Qt.CursorShape.PointingHandCursor)
        made.clicked.connect(lambda: self.asked.emit())
        return made
