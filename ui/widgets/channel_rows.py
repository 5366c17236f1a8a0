"""How the rows of missions and people here are painted, and the button that dismisses an emergency."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import QAbstractItemModel, QEvent, QModelIndex, QPersistentModelIndex, QRectF, QSize, Qt
from PySide6.QtGui import QColor, QFont, QFontMetricsF, QMouseEvent, QPainter, QPen
from PySide6.QtWidgets import QStyle, QStyledItemDelegate, QStyleOptionViewItem, QWidget

from app.events import Presence
from ui.models.channel_rows import HEADING, NOTE, OPEN, PERSON, ChannelRow
from ui.models.rows import ROW
from ui.theme.icons import pixmap
from ui.theme.manager import Theme
from ui.widgets.avatar import paint_avatar, paint_presence
from ui.widgets.list_rows import HEADING_HEIGHT, ROW_HEIGHT, paint_heading

Index = QModelIndex | QPersistentModelIndex
_BUTTON = 32.0


class ChannelRowDelegate(QStyledItemDelegate):
    """A click on the button of an emergency calls `on_dismiss` with its row."""

    def __init__(self, theme: Theme, on_dismiss: Callable[[ChannelRow], None], parent: QWidget) -> None:
        super().__init__(parent)
        self._theme = theme
        self._on_dismiss = on_dismiss

    def sizeHint(self, option: QStyleOptionViewItem, index: Index) -> QSize:
        kind = index.data(ROW).kind
        return QSize(200, HEADING_HEIGHT if kind == HEADING else 44 if kind == NOTE else ROW_HEIGHT)

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: Index) -> None:
        row: ChannelRow = index.data(ROW)
        painter.save()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        area = QRectF(option.rect)
        if row.kind == HEADING:
            paint_heading(painter, area, row.title, self._theme.tokens)
        elif row.kind == NOTE:
            self._paint_note(painter, area, row.title)
        else:
            self._paint_row(painter, area, option, row)
        painter.restore()

    def button_area(self, area: QRectF) -> QRectF:
        """Say where a row's dismiss button is."""
        return QRectF(area.right() - _BUTTON - 12, area.center().y() - _BUTTON / 2, _BUTTON, _BUTTON)

    def editorEvent(self, event: QEvent, model: QAbstractItemModel, option: QStyleOptionViewItem, index: Index) -> bool:
        if isinstance(event, QMouseEvent) and event.type() is QEvent.Type.MouseButtonRelease:
            row: ChannelRow = index.data(ROW)
            inside = self.button_area(QRectF(option.rect)).contains(event.position())
            if event.button() is Qt.MouseButton.LeftButton and inside and row.can_dismiss:
                self._on_dismiss(row)
                return True
        return super().editorEvent(event, model, option, index)

    def _paint_note(self, painter: QPainter, area: QRectF, words: str) -> None:
        font = QFont(painter.font())
        font.setPixelSize(13)
        painter.setFont(font)
        painter.setPen(QColor(self._theme.tokens.muted))
        painter.drawText(
            area.adjusted(16, 2, -16, 0),
            Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignTop | Qt.TextFlag.TextWordWrap,
            words,
        )

    def _paint_row(self, painter: QPainter, area: QRectF, option: QStyleOptionViewItem, row: ChannelRow) -> None:
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
        right = self.button_area(area).left() - 6 if row.can_dismiss else area.right() - 14
        self._paint_words(painter, QRectF(face.right() + 12, area.top() + 8, right - face.right() - 12, 40), row)
        if row.can_dismiss:
            place = self.button_area(area)
            self._icon(painter, place.adjusted(8, 8, -8, -8), "close", tokens.bad)

    def _paint_face(self, painter: QPainter, face: QRectF, row: ChannelRow, ground: str) -> None:
        tokens = self._theme.tokens
        if row.kind == OPEN:
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(QColor(tokens.card_hover))
            painter.drawEllipse(face)
            self._icon(painter, face.adjusted(9, 9, -9, -9), "plus", tokens.muted)
            return
        if row.person is not None and row.person.emergency is not None:
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(QColor(tokens.bad_soft))
            painter.drawEllipse(face)
            self._icon(painter, face.adjusted(8, 8, -8, -8), "warning", tokens.bad)
            return
        paint_avatar(painter, face, row.title)
        if row.kind == PERSON and row.person is not None:
            presence = Presence.OFFLINE if row.person.gone else Presence.ONLINE
            paint_presence(painter, face, presence, tokens, ground)

    def _paint_words(self, painter: QPainter, area: QRectF, row: ChannelRow) -> None:
        tokens = self._theme.tokens
        gone = row.person is not None and row.person.gone
        colour = tokens.muted if row.tone == "plain" else getattr(tokens, row.tone)
        top, bottom = Qt.AlignmentFlag.AlignTop, Qt.AlignmentFlag.AlignBottom
        for pixels, ink, text, place in (
            (14, tokens.muted if gone else tokens.text, row.title, top),
            (12, colour, row.subtitle, bottom),
        ):
            font = QFont(painter.font())
            font.setPixelSize(pixels)
            painter.setFont(font)
            painter.setPen(QColor(ink))
            shown = QFontMetricsF(font).elidedText(text, Qt.TextElideMode.ElideRight, area.width())
            painter.drawText(area, Qt.AlignmentFlag.AlignLeft | place, shown)

    def _icon(self, painter: QPainter, area: QRectF, name: str, colour: str) -> None:
        scale = painter.device().devicePixelRatioF()
        painter.drawPixmap(area.toAlignedRect().topLeft(), pixmap(name, colour, round(area.width()), scale))
