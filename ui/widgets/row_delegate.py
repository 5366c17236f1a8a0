"""What rows of the lists have in common: a heading, or a face with two lines of words and perhaps a button."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from PySide6.QtCore import QAbstractItemModel, QEvent, QModelIndex, QPersistentModelIndex, QRectF, QSize, Qt
from PySide6.QtGui import QColor, QFont, QFontMetricsF, QMouseEvent, QPainter, QPen
from PySide6.QtWidgets import QStyle, QStyledItemDelegate, QStyleOptionViewItem, QWidget

from ui.models.rows import ROW
from ui.theme.icons import pixmap
from ui.theme.manager import Theme
from ui.theme.tokens import Tokens

Index = QModelIndex | QPersistentModelIndex

ROW_HEIGHT = 56
HEADING_HEIGHT = 34


@dataclass(frozen=True, slots=True)
class RowWords:
    """The two lines of a row, each with its colour; `strong` makes the first one bolder."""

    title: str
    title_colour: str
    subtitle: str
    subtitle_colour: str
    strong: bool = False


class FaceRowDelegate(QStyledItemDelegate):
    """Paints rows; a click on a row's button calls `on_button` with the row. Each list says what its rows hold."""

    button_size = 36.0

    def __init__(self, theme: Theme, on_button: Callable[[Any], None], parent: QWidget) -> None:
        super().__init__(parent)
        self.theme = theme
        self._on_button = on_button

    def is_heading(self, row: Any) -> bool:
        raise NotImplementedError

    def has_button(self, row: Any) -> bool:
        raise NotImplementedError

    def is_marked(self, option: QStyleOptionViewItem, row: Any) -> bool:
        """Tell whether a row stands out as what is shown: the one that was chosen last, in most lists."""
        return bool(option.state & QStyle.StateFlag.State_Selected)

    def words(self, row: Any) -> RowWords:
        raise NotImplementedError

    def paint_face(self, painter: QPainter, face: QRectF, row: Any, ground: str) -> None:
        raise NotImplementedError

    def paint_button(self, painter: QPainter, area: QRectF, row: Any, strong: bool) -> None:
        raise NotImplementedError

    def paint_end_of_title(self, painter: QPainter, area: QRectF, right: float, row: Any) -> float:
        """Paint what stands behind the first line, up to `right`; gives where that line has to end."""
        return right

    def sizeHint(self, option: QStyleOptionViewItem, index: Index) -> QSize:
        return QSize(200, HEADING_HEIGHT if self.is_heading(index.data(ROW)) else ROW_HEIGHT)

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: Index) -> None:
        painter.save()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        self.paint_row(painter, QRectF(option.rect), option, index.data(ROW))
        painter.restore()

    def button_area(self, area: QRectF) -> QRectF:
        """Say where a row's button is."""
        size = self.button_size
        return QRectF(area.right() - size - 12, area.center().y() - size / 2, size, size)

    def editorEvent(self, event: QEvent, model: QAbstractItemModel, option: QStyleOptionViewItem, index: Index) -> bool:
        if isinstance(event, QMouseEvent) and event.type() is QEvent.Type.MouseButtonRelease:
            row = index.data(ROW)
            inside = self.button_area(QRectF(option.rect)).contains(event.position())
            if event.button() is Qt.MouseButton.LeftButton and inside and self.has_button(row):
                self._on_button(row)
                return True
        return super().editorEvent(event, model, option, index)

    def paint_row(self, painter: QPainter, area: QRectF, option: QStyleOptionViewItem, row: Any) -> None:
        """Paint one row, whatever kind it is."""
        if self.is_heading(row):
            paint_heading(painter, area, row.title, self.theme.tokens)
            return
        selected = self.is_marked(option, row)
        hovered = bool(option.state & QStyle.StateFlag.State_MouseOver)
        ground = self._paint_ground(painter, area.adjusted(6, 1, -6, -1), option, selected, hovered)
        face = QRectF(area.left() + 20, area.center().y() - 18, 36, 36)
        self.paint_face(painter, face, row, ground)
        has_button = self.has_button(row)
        right = self.button_area(area).left() - 8 if has_button else area.right() - 16
        place = QRectF(face.right() + 12, area.top() + 8, right - face.right() - 12, 40)
        title_right = self.paint_end_of_title(painter, area, right, row)
        self._paint_words(painter, place, title_right - place.left(), self.words(row))
        if has_button:
            self.paint_button(painter, self.button_area(area), row, hovered or selected)

    def _paint_ground(
        self, painter: QPainter, inner: QRectF, option: QStyleOptionViewItem, selected: bool, hovered: bool
    ) -> str:
        tokens = self.theme.tokens
        ground = tokens.accent_soft if selected else tokens.card if hovered else tokens.background
        if selected or hovered:
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(QColor(ground))
            painter.drawRoundedRect(inner, 10, 10)
        if option.state & QStyle.StateFlag.State_HasFocus and option.state & QStyle.StateFlag.State_Selected:
            painter.setPen(QPen(QColor(tokens.accent), 2))
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.drawRoundedRect(inner.adjusted(1, 1, -1, -1), 9, 9)
        return ground

    def _paint_words(self, painter: QPainter, area: QRectF, title_width: float, words: RowWords) -> None:
        top, bottom = Qt.AlignmentFlag.AlignTop, Qt.AlignmentFlag.AlignBottom
        weight = QFont.Weight.DemiBold if words.strong else QFont.Weight.Normal
        for pixels, bold, colour, text, place, width in (
            (14, weight, words.title_colour, words.title, top, title_width),
            (12, QFont.Weight.Normal, words.subtitle_colour, words.subtitle, bottom, area.width()),
        ):
            font = QFont(painter.font())
            font.setPixelSize(pixels)
            font.setWeight(bold)
            painter.setFont(font)
            painter.setPen(QColor(colour))
            shown = QFontMetricsF(font).elidedText(text, Qt.TextElideMode.ElideRight, width)
            painter.drawText(area, Qt.AlignmentFlag.AlignLeft | place, shown)

    def paint_disc(self, painter: QPainter, face: QRectF, colour: str, icon: str, ink: str) -> None:
        """Paint a round face with an icon on it."""
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(QColor(colour))
        painter.drawEllipse(face)
        self.paint_icon(painter, face.adjusted(8, 8, -8, -8), icon, ink)

    def paint_icon(self, painter: QPainter, area: QRectF, name: str, colour: str) -> None:
        """Paint an icon that fills an area."""
        scale = painter.device().devicePixelRatioF()
        painter.drawPixmap(area.toAlignedRect().topLeft(), pixmap(name, colour, round(area.width()), scale))


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
