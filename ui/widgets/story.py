"""A card with a sentence for people, and the small tiles with one figure each."""

from __future__ import annotations

from PySide6.QtWidgets import QFrame, QHBoxLayout, QLabel, QVBoxLayout

from ui.facts import Fact
from ui.theme.icons import pixmap
from ui.theme.manager import Theme
from ui.widgets.basics import label, restyle

_LOOKS = {"good": "goodCard", "warn": "warnCard", "bad": "badCard", "plain": "plainCard"}


class StoryCard(QFrame):
    """One fact as a title and a sentence, with an icon beside so that colour is not alone."""

    def __init__(self, theme: Theme, name: str) -> None:
        super().__init__()
        self.setObjectName(name)
        self._theme = theme
        self._fact: Fact | None = None
        row = QHBoxLayout(self)
        row.setContentsMargins(14, 12, 14, 12)
        row.setSpacing(12)
        self._sign = QLabel()
        row.addWidget(self._sign)
        words = QVBoxLayout()
        words.setSpacing(2)
        self.title = label("", "heading", f"{name}Title", wrap=True)
        self.text = label("", "muted", f"{name}Text", wrap=True, selectable=True)
        words.addWidget(self.title)
        words.addWidget(self.text)
        row.addLayout(words, 1)
        theme.changed.connect(self._draw)

    def show_fact(self, fact: Fact) -> None:
        if fact == self._fact:
            return
        self._fact = fact
        self.title.setText(fact.text)
        self.text.setText(fact.detail)
        self.setAccessibleName(f"{fact.text}. {fact.detail}")
        restyle(self, look=_LOOKS[fact.tone])
        self._draw()

    def _draw(self) -> None:
        if self._fact is None:
            return
        tokens = self._theme.tokens
        colour = {"good": tokens.good, "warn": tokens.warn, "bad": tokens.bad}.get(self._fact.tone, tokens.muted)
        self._sign.setPixmap(pixmap(self._fact.icon, colour, 24, self.devicePixelRatioF()))


class Tile(QFrame):
    """One figure with its name below."""

    def __init__(self, words: str, name: str) -> None:
        super().__init__()
        self.setObjectName(name)
        self.setProperty("look", "tile")
        self._words = words
        box = QVBoxLayout(self)
        box.setContentsMargins(12, 8, 12, 8)
        box.setSpacing(2)
        self.figure = label("–", "figure", f"{name}Figure")
        box.addWidget(self.figure)
        box.addWidget(label(words, "small"))

    def show_figure(self, text: str) -> None:
        if text != self.figure.text():
            self.figure.setText(text)
            self.setAccessibleName(f"{self._words}: {text}")
