"""What the dialogs with fields share: a labelled column, a line for the answer, and buttons; never modal."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QDialog, QHBoxLayout, QLabel, QVBoxLayout, QWidget
from shiboken6 import isValid

from app.engine.errors import EngineError
from ui.widgets.basics import label, restyle


class FormDialog(QDialog):
    """A dialog that is shown, not executed: the rest of the window goes on."""

    def __init__(self, parent: QWidget | None, name: str, title: str, explanation: str) -> None:
        super().__init__(parent)
        self.setObjectName(name)
        self.setWindowTitle(title)
        self.setModal(False)
        self.setMinimumWidth(420)
        self._box = QVBoxLayout(self)
        self._box.setContentsMargins(24, 20, 24, 20)
        self._box.setSpacing(6)
        self._box.addWidget(label(title, "title"))
        if explanation:
            self._box.addWidget(label(explanation, "muted", wrap=True))
        self._box.addSpacing(8)
        self.answer = label("", "muted", f"{name}Answer", wrap=True, selectable=True)
        self.answer.setMinimumHeight(38)
        self.answer.setAlignment(Qt.AlignmentFlag.AlignTop | Qt.AlignmentFlag.AlignLeft)

    def add_field(self, words: str, field: QWidget, name: str, hint: str = "") -> QLabel:
        """Add a field below its words; the words are its accessible name and its buddy."""
        caption = label(words, "small")
        caption.setBuddy(field)
        field.setObjectName(name)
        field.setAccessibleName(words)
        if hint:
            field.setToolTip(hint)
            field.setAccessibleDescription(hint)
        self._box.addWidget(caption)
        self._box.addWidget(field)
        self._box.addSpacing(4)
        return caption

    @property
    def gone(self) -> bool:
        """Tell whether the dialog was closed and deleted: what waited for the engine has nobody to tell any more."""
        return not isValid(self)

    def add_widget(self, widget: QWidget) -> None:
        self._box.addWidget(widget)

    def add_buttons(self, *buttons: QWidget, first: QWidget | None = None) -> None:
        """Add the answer's line and the row of buttons; `first` stands at the left."""
        self._box.addSpacing(4)
        self._box.addWidget(self.answer)
        row = QHBoxLayout()
        if first is not None:
            row.addWidget(first)
        row.addStretch(1)
        for button in buttons:
            row.addWidget(button)
        self._box.addLayout(row)

    def say(self, sentence: str, tone: str = "muted") -> None:
        """Put a sentence into the answer's line; bad and good ones also start with a sign."""
        sign = {"bad": "✕ ", "good": "✓ "}.get(tone, "")
        self.answer.setText(sign + sentence if sentence else "")
        self.answer.setAccessibleName(sentence)
        restyle(self.answer, tone=tone)
        self.make_room()

    async def tell_of(self, work: Awaitable[None], elsewhere: Callable[[str, str], object]) -> None:
        """Wait for what the engine does, and say what was wrong with it: here, or once this is closed `elsewhere`."""
        try:
            await work
        except EngineError as error:
            (elsewhere if self.gone else self.say)(str(error), "bad")

    def make_room(self) -> None:
        """Grow where a sentence needs more lines than there is room for; what the person made larger stays so."""
        if not self.isVisible():
            self.adjustSize()
        needed = self._box.totalMinimumHeightForWidth(self.width())
        if needed > self.height():
            self.resize(self.width(), needed)
