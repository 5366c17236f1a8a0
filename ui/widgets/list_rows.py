"""How rows of the people and history lists are painted, and the call button at the right end of each."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import QAbstractItemModel, QEvent, QModelIndex, QPersistentModelIndex, QRectF, QSize, Qt
from PySide6.QtGui import QColor, QFont, QFontMetricsF, QMouseEvent, QPainter, QPen
from PySide6.QtWidgets import QListView, QStyle, QStyledItemDelegate, QStyleOptionViewItem, QWidget

from ui.models.history import HistoryRow
from ui.models.people import DIAL, HEADING, Row
from ui.models.rows import ROW
from ui.theme.icons import pixmap
from ui.theme.manager import Theme
from ui.theme.tokens import Tokens
from ui.widgets.avatar import paint_avatar, paint_presence

Index = QModelIndex | QPersistentModelIndex

ROW_HEIGHT = 56
HEADING_HEIGHT = 34
_BUTTON = 36.0


class RowDelegate(QStyledItemDelegate):
    """Paints headings and rows; a click on a row's button calls `on_call` with the row."""

    def __init__(self, theme: Theme, on_call: Callable[[object], None], parent: QWidget) -> None:
        super().__init__(parent)
        self._theme = theme
        self._on_call = on_call

    def sizeHint(self, option: QStyleOptionViewItem, index: Index) -> QSize:
        return QSize(200, HEADING_HEIGHT if is_heading(index.data(ROW)) else ROW_HEIGHT)

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: Index) -> None:
        row = index.data(ROW)
        painter.save()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        area = QRectF(option.rect)
        if is_heading(row):
            paint_heading(painter, area, row.title, self._theme.tokens)
        else:
            self._paint_row(painter, area, option, row)
        painter.restore()

    def button_area(self, area: QRectF) -> QRectF:
        """Say where a row's call button is."""
        return QRectF(area.right() - _BUTTON - 12, area.center().y() - _BUTTON / 2, _BUTTON, _BUTTON)

    def editorEvent(self, event: QEvent, model: QAbstractItemModel, option: QStyleOptionViewItem, index: Index) -> bool:
        if isinstance(event, QMouseEvent) and event.type() is QEvent.Type.MouseButtonRelease:
            row = index.data(ROW)
            inside = self.button_area(QRectF(option.rect)).contains(event.position())
            if event.button() is Qt.MouseButton.LeftButton and inside and has_button(row):
                self._on_call(row)
                return True
        return super().editorEvent(event, model, option, index)

    # ------------------------------------------------------------------------------------------------------------

    def _paint_row(self, painter: QPainter, area: QRectF, option: QStyleOptionViewItem, row: Row | HistoryRow) -> None:
        tokens = self._theme.tokens
        selected = bool(option.state & QStyle.StateFlag.State_Selected)
        hovered = bool(option.state & QStyle.StateFlag.State_MouseOver)
        ground = tokens.accent_soft if selected else tokens.card if hovered else tokens.background
        inner = area.adjusted(6, 1, -6, -1)
        if selected or hovered:
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(QColor(ground))
            painter.drawRoundedRect(inner, 10, 10)
        if option.state & QStyle.StateFlag.State_HasFocus and selected:
            painter.setPen(QPen(QColor(tokens.accent), 2))
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.drawRoundedRect(inner.adjusted(1, 1, -1, -1), 9, 9)
        face = QRectF(area.left() + 20, area.center().y() - 18, 36, 36)
        self._paint_face(painter, face, row, ground)
        right = self.button_area(area).left() - 8 if has_button(row) else area.right() - 16
        first_right = self._paint_time(painter, area, right, row) if isinstance(row, HistoryRow) else right
        self._paint_words(
            painter, QRectF(face.right() + 12, area.top() + 8, right - face.right() - 12, 40), first_right, row
        )
        if has_button(row):
            self._paint_button(painter, self.button_area(area), hovered or selected)

    def _paint_face(self, painter: QPainter, face: QRectF, row: Row | HistoryRow, ground: str) -> None:
        tokens = self._theme.tokens
        if isinstance(row, HistoryRow):
            colour = tokens.bad if row.missed else tokens.muted
            self._icon(painter, face.adjusted(8, 8, -8, -8), row.icon, colour)
            return
        if row.kind == DIAL:
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(QColor(tokens.accent))
            painter.drawEllipse(face)
            self._icon(painter, face.adjusted(8, 8, -8, -8), "phone", tokens.accent_text)
            return
        paint_avatar(painter, face, row.title)
        if row.contact is not None:
            paint_presence(painter, face, row.contact.presence, tokens, ground)

    def _paint_words(self, painter: QPainter, area: QRectF, first_right: float, row: Row | HistoryRow) -> None:
        tokens = self._theme.tokens
        first = QFont(painter.font())
        first.setPixelSize(14)
        missed = isinstance(row, HistoryRow) and row.missed
        first.setWeight(QFont.Weight.DemiBold if missed else QFont.Weight.Normal)
        second = QFont(painter.font())
        second.setPixelSize(12)
        left = Qt.AlignmentFlag.AlignLeft
        for font, colour, text, place, width in (
            (first, tokens.text, row.title, left | Qt.AlignmentFlag.AlignTop, first_right - area.left()),
            (second, tokens.muted, row.subtitle, left | Qt.AlignmentFlag.AlignBottom, area.width()),
        ):
            painter.setFont(font)
            painter.setPen(QColor(colour))
            shown = QFontMetricsF(font).elidedText(text, Qt.TextElideMode.ElideRight, width)
            painter.drawText(area, place, shown)

    def _paint_time(self, painter: QPainter, area: QRectF, right: float, row: HistoryRow) -> float:
        font = QFont(painter.font())
        font.setPixelSize(12)
        painter.setFont(font)
        painter.setPen(QColor(self._theme.tokens.muted))
        width = QFontMetricsF(font).horizontalAdvance(row.time)
        painter.drawText(
            QRectF(right - width, area.top() + 8, width, 20),
            Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter,
            row.time,
        )
        return right - width - 8

    def _paint_button(self, painter: QPainter, area: QRectF, strong: bool) -> None:
        tokens = self._theme.tokens
        if strong:
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(QColor(tokens.background))
            painter.drawRoundedRect(area, 10, 10)
        self._icon(painter, area.adjusted(9, 9, -9, -9), "phone", tokens.accent if strong else tokens.muted)

    def _icon(self, painter: QPainter, area: QRectF, name: str, colour: str) -> None:
        size = round(area.width())
        scale = painter.device().devicePixelRatioF()
        painter.drawPixmap(area.toAlignedRect().topLeft(), pixmap(name, colour, size, scale))


def paint_heading(painter: QPainter, area: QRectF, title: str, tokens: Tokens) -> None:
    """Paint the small words over a group of rows."""
    font = QFont(painter.font())
    font.setPixelSize(11)
    font.setWeight(QFont.Weight.DemiBold)
    font.setLetterSpacing(QFont.SpacingType.AbsoluteSpacing, 0.6)
    painter.setFont(font)
    painter.setPen(QColor(tokens.muted))
    painter.drawText(
        area.adjusted(16, 8, -8, -2), Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter, title.upper()
    )


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
