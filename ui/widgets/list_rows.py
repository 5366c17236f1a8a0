"""How rows of the people and history lists are painted, and the call button at the right end of each."""

from __future__ import annotations

from PySide6.QtCore import QRectF, Qt
from PySide6.QtGui import QColor, QFont, QFontMetricsF, QPainter
from PySide6.QtWidgets import QListView

from ui.models.history import HistoryRow
from ui.models.people import DIAL, HEADING, Row
from ui.widgets.avatar import paint_avatar, paint_presence
from ui.widgets.row_delegate import FaceRowDelegate, RowWords


class RowDelegate(FaceRowDelegate):
    """People and past calls; the button calls."""

    def is_heading(self, row: Row | HistoryRow) -> bool:
        return is_heading(row)

    def has_button(self, row: Row | HistoryRow) -> bool:
        return has_button(row)

    def words(self, row: Row | HistoryRow) -> RowWords:
        tokens = self.theme.tokens
        missed = isinstance(row, HistoryRow) and row.missed
        return RowWords(row.title, tokens.text, row.subtitle, tokens.muted, strong=missed)

    def paint_face(self, painter: QPainter, face: QRectF, row: Row | HistoryRow, ground: str) -> None:
        tokens = self.theme.tokens
        if isinstance(row, HistoryRow):
            colour = tokens.bad if row.missed else tokens.muted
            self.paint_icon(painter, face.adjusted(8, 8, -8, -8), row.icon, colour)
        elif row.kind == DIAL:
            self.paint_disc(painter, face, tokens.accent, "phone", tokens.accent_text)
        else:
            paint_avatar(painter, face, row.title)
            if row.contact is not None:
                paint_presence(painter, face, row.contact.presence, tokens, ground)

    def paint_end_of_title(self, painter: QPainter, area: QRectF, right: float, row: Row | HistoryRow) -> float:
        if not isinstance(row, HistoryRow):
            return right
        font = QFont(painter.font())
        font.setPixelSize(12)
        painter.setFont(font)
        painter.setPen(QColor(self.theme.tokens.muted))
        width = QFontMetricsF(font).horizontalAdvance(row.time)
        place = QRectF(right - width, area.top() + 8, width, 20)
        painter.drawText(place, Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter, row.time)
        return right - width - 8

    def paint_button(self, painter: QPainter, area: QRectF, row: Row | HistoryRow, strong: bool) -> None:
        tokens = self.theme.tokens
        if strong:
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(QColor(tokens.background))
            painter.drawRoundedRect(area, 10, 10)
        self.paint_icon(painter, area.adjusted(9, 9, -9, -9), "phone", tokens.accent if strong else tokens.muted)


def is_heading(row: Row | HistoryRow) -> bool:
    return row.entry is None if isinstance(row, HistoryRow) else row.kind == HEADING


def has_button(row: Row | HistoryRow) -> bool:
    """A call button stands on whoever can be called and is not in a call already."""
    return not is_heading(row) and (isinstance(row, HistoryRow) or row.call_id is None)


def list_view(name: str, words: str) -> QListView:
    """Make the list that these rows stand in."""
    view = QListView()
    view.setObjectName(name)
    view.setAccessibleName(words)
    view.setMouseTracking(True)
    view.setVerticalScrollMode(QListView.ScrollMode.ScrollPerPixel)
    view.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
    view.setEditTriggers(QListView.EditTrigger.NoEditTriggers)
    view.setUniformItemSizes(False)
    view.viewport().setAutoFillBackground(False)
    return view


def walk(view: QListView, step: int) -> None:
    """Go up or down by one row, past the headings."""
    model, current = view.model(), view.currentIndex()
    number = current.row() if current.isValid() else -1 if step > 0 else model.rowCount()
    while 0 <= (number := number + step) < model.rowCount():
        index = model.index(number, 0)
        if index.flags() & Qt.ItemFlag.ItemIsSelectable:
            view.setCurrentIndex(index)
            return
