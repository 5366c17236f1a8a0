"""What stands where a list or a pane has nothing to show: it says why, and what can be done."""

from __future__ import annotations

from PySide6.QtWidgets import QVBoxLayout, QWidget

from ui.widgets.basics import label


class EmptyWords(QWidget):
    """Stands where a list is empty and says why and what can be done."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.setObjectName(name)
        box = QVBoxLayout(self)
        box.setContentsMargins(20, 24, 20, 24)
        self._title = label("", "heading", wrap=True)
        self._text = label("", "muted", wrap=True)
        box.addWidget(self._title)
        box.addWidget(self._text)
        box.addStretch(1)

    def say(self, title: str, text: str) -> None:
        self._title.setText(title)
        self._text.setText(text)
        self.setAccessibleName(f"{title} {text}")
