"""A page of fields that scrolls: sheets one below the other, each with a heading."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QFrame, QScrollArea, QVBoxLayout, QWidget

from ui.widgets.basics import label

MOST_WIDE = 640  # pixels; longer lines are hard to read


class SheetPage(QScrollArea):
    """Each `sheet` stands below the one before; `finish` once after the last."""

    def __init__(self, name: str, margins: tuple[int, int, int, int]) -> None:
        super().__init__()
        self.setObjectName(name)
        self.setWidgetResizable(True)
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        inside = QWidget()
        inside.setObjectName("settingsForm")
        self._column = QVBoxLayout(inside)
        self._column.setContentsMargins(*margins)
        self._column.setSpacing(12)
        self.setWidget(inside)

    def sheet(self, title: str) -> QVBoxLayout:
        """Begin a sheet; what is added to its layout stands below its title."""
        frame = QFrame()
        frame.setProperty("look", "sheet")
        frame.setMaximumWidth(MOST_WIDE)
        box = QVBoxLayout(frame)
        box.setContentsMargins(20, 16, 20, 18)
        box.setSpacing(6)
        box.addWidget(label(title, "heading"))
        box.addSpacing(3)
        self._column.addWidget(frame)
        return box

    def finish(self) -> None:
        """Leave the room below the last sheet empty."""
        self._column.addStretch(1)
