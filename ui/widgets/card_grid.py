"""Cards of one width that flow into as many columns as there is room for."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QEvent, QRect
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QWidget

_LEAST, _MOST, GAP = 264, 520, 16
_LEAST_LINE, _MOST_LINE, _LINE_GAP = 400, 960, 8  # of cards that are one line of text high


class CardGrid(QWidget):
    """All cards of a row are as high as its highest."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.setObjectName(name)
        self._cards: list[QWidget] = []
        self._is_compact = False

    def set_cards(self, cards: Sequence[QWidget]) -> None:
        """Take the cards in their order; one that is no longer among them is deleted."""
        for card in self._cards:
            if card not in cards:
                card.hide()
                card.deleteLater()
        self._cards = list(cards)
        for card in cards:
            if card.parent() is not self:
                card.setParent(self)
            card.show()
        self.arrange()

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self.arrange()

    def event(self, event: QEvent) -> bool:
        if event.type() is QEvent.Type.LayoutRequest:
            self.arrange()
        return super().event(event)

    def set_compact(self, on: bool) -> None:
        """Say whether the cards are of one line each."""
        self._is_compact = on
        self.arrange()

    def arrange(self) -> None:
        least, most, gap = (_LEAST_LINE, _MOST_LINE, _LINE_GAP) if self._is_compact else (_LEAST, _MOST, GAP)
        columns = columns_in(self.width(), len(self._cards), least, gap)
        wide = min(most, (self.width() - (columns - 1) * gap) // columns)
        top = 0
        for first in range(0, len(self._cards), columns):
            line = self._cards[first : first + columns]
            high = max(_height(card, wide) for card in line)
            for number, card in enumerate(line):
                card.setGeometry(QRect(number * (wide + gap), top, wide, high))
            top += high + gap
        self.setFixedHeight(max(0, top - gap))


def columns_in(width: int, cards: int, least: int = _LEAST, gap: int = GAP) -> int:
    """Say how many columns of at least that width there are for so many cards."""
    return max(1, min(cards, (width + gap) // (least + gap)))


def _height(card: QWidget, width: int) -> int:
    layout = card.layout()
    if layout is not None and layout.hasHeightForWidth():
        return layout.totalHeightForWidth(width)
    return card.sizeHint().height()
