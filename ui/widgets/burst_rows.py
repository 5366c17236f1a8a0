"""How the last bursts of a channel are painted: time, name, a drawing of the loudness, length, and play or stop."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import QAbstractItemModel, QEvent, QModelIndex, QPersistentModelIndex, QRectF, QSize, Qt
from PySide6.QtGui import QColor, QFont, QFontMetricsF, QMouseEvent, QPainter, QPen
from PySide6.QtWidgets import QStyle, QStyledItemDelegate, QStyleOptionViewItem, QWidget

from ui.models.bursts import BurstRow
from ui.models.rows import ROW
from ui.theme.icons import pixmap
from ui.theme.manager import Theme

Index = QModelIndex | QPersistentModelIndex
BURST_HEIGHT = 38
_BAR, _STEP, _BUTTON = 3.0, 5.0, 30.0
_NAME_MOST, _NARROW = 150.0, 420.0


class BurstDelegate(QStyledItemDelegate):
    """A click on a row's button calls `on_play` with the row."""

    def __init__(self, theme: Theme, on_play: Callable[[BurstRow], None], parent: QWidget) -> None:
        super().__init__(parent)
        self._theme = theme
        self._on_play = on_play

    def sizeHint(self, option: QStyleOptionViewItem, index: Index) -> QSize:
        return QSize(200, BURST_HEIGHT)

    def button_area(self, area: QRectF) -> QRectF:
        """Say where a row's play button is."""
        return QRectF(area.right() - _BUTTON - 2, area.center().y() - _BUTTON / 2, _BUTTON, _BUTTON)

    def editorEvent(self, event: QEvent, model: QAbstractItemModel, option: QStyleOptionViewItem, index: Index) -> bool:
        if isinstance(event, QMouseEvent) and event.type() is QEvent.Type.MouseButtonRelease:
            inside = self.button_area(QRectF(option.rect)).contains(event.position())
            if event.button() is Qt.MouseButton.LeftButton and inside:
                self._on_play(index.data(ROW))
                return True
        return super().editorEvent(event, model, option, index)

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: Index) -> None:
        row: BurstRow = index.data(ROW)
        tokens, area = self._theme.tokens, QRectF(option.rect)
        painter.save()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        if option.state & (QStyle.StateFlag.State_MouseOver | QStyle.StateFlag.State_Selected) or row.playing:
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(QColor(tokens.accent_soft if row.playing else tokens.card))
            painter.drawRoundedRect(area.adjusted(0, 1, 0, -1), 8, 8)
        if option.state & QStyle.StateFlag.State_HasFocus:
            painter.setPen(QPen(QColor(tokens.accent), 2))
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.drawRoundedRect(area.adjusted(1, 2, -1, -2), 7, 7)
        left = self._text(painter, area, area.left() + 8, row.time, tokens.muted, 100) + 10
        colour = tokens.bad if row.burst.emergency else tokens.text
        if row.burst.emergency:
            self._icon(painter, QRectF(left, area.center().y() - 8, 16, 16), "warning", colour)
            left += 22
        narrow = area.width() < _NARROW
        left = self._text(painter, area, left, row.title, colour, 90 if narrow else _NAME_MOST) + 12
        button = self.button_area(area)
        font = _font(painter, 13)
        length = f"{row.length}{' · damaged' if row.burst.damaged and not narrow else ''}"
        wide = QFontMetricsF(font).horizontalAdvance(length)
        right = button.left() - wide - 8
        self._text(painter, area, right, length, tokens.warn if row.burst.damaged else tokens.muted, wide + 2)
        self._wave(painter, QRectF(left, area.top() + 8, right - left - 10, area.height() - 16), row)
        self._icon(painter, button.adjusted(6, 6, -6, -6), "stop" if row.playing else "play", tokens.accent)
        painter.restore()

    def _wave(self, painter: QPainter, area: QRectF, row: BurstRow) -> None:
        """Draw the loudness: the longest burst of the list takes the whole width."""
        wide = area.width() * max(0.06, row.share)
        count = int(wide // _STEP)
        levels = row.burst.levels
        if count < 1 or not levels:
            return
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(QColor(self._theme.tokens.accent))
        painter.setOpacity(1.0 if row.playing else 0.7)
        for number in range(count):
            level = levels[number * len(levels) // count]
            high = max(2.0, area.height() * level / 255)
            painter.drawRoundedRect(
                QRectF(area.left() + number * _STEP, area.center().y() - high / 2, _BAR, high), 1, 1
            )
        painter.setOpacity(1.0)

    def _text(self, painter: QPainter, area: QRectF, left: float, text: str, colour: str, most: float) -> float:
        """Draw a text from `left` on; give where it ends."""
        font = _font(painter, 13)
        metrics = QFontMetricsF(font)
        shown = metrics.elidedText(text, Qt.TextElideMode.ElideRight, most)
        wide = metrics.horizontalAdvance(shown)
        painter.setFont(font)
        painter.setPen(QColor(colour))
        place = QRectF(left, area.top(), wide + 2, area.height())
        painter.drawText(place, Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter, shown)
        return left + wide

    def _icon(self, painter: QPainter, area: QRectF, name: str, colour: str) -> None:
        scale = painter.device().devicePixelRatioF()
        painter.drawPixmap(area.toAlignedRect().topLeft(), pixmap(name, colour, round(area.width()), scale))


def _font(painter: QPainter, pixels: int) -> QFont:
    font = QFont(painter.font())
    font.setPixelSize(pixels)
    return font
