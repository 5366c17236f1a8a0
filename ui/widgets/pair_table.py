"""Tables of the diagnostics pane: as high as their rows, the selected pair in colour and marked by a word."""

from __future__ import annotations

from PySide6.QtCore import QAbstractTableModel, QModelIndex, QPersistentModelIndex, QRectF, QSize, Qt
from PySide6.QtGui import QColor, QFont, QFontMetricsF, QPainter, QPen
from PySide6.QtWidgets import (
    QAbstractItemView,
    QFrame,
    QHeaderView,
    QStyledItemDelegate,
    QStyleOptionViewItem,
    QTableView,
)

from ui.models.pairs import ROW, PairRow
from ui.theme.manager import Theme

Index = QModelIndex | QPersistentModelIndex
_ROW_HEIGHT = 28


class QuietTable(QTableView):
    """A table without grid or inner scrolling: the pane around it scrolls."""

    def __init__(self, name: str, words: str, model: QAbstractTableModel, stretch: int) -> None:
        super().__init__()
        self.setObjectName(name)
        self.setAccessibleName(words)
        self.setModel(model)
        self.setShowGrid(False)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAsNeeded)
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setTabKeyNavigation(False)
        self.setWordWrap(False)
        self.verticalHeader().hide()
        self.verticalHeader().setDefaultSectionSize(_ROW_HEIGHT)
        header = self.horizontalHeader()
        header.setHighlightSections(False)
        header.setSectionsClickable(False)
        header.setMinimumSectionSize(30)
        header.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        header.setSectionResizeMode(stretch, QHeaderView.ResizeMode.Stretch)
        model.modelReset.connect(self._fit)
        self._fit()

    def sizeHint(self) -> QSize:
        return QSize(200, self.height())

    def _fit(self) -> None:
        self.setFixedHeight(self.horizontalHeader().sizeHint().height() + self.model().rowCount() * _ROW_HEIGHT + 6)


class CellDelegate(QStyledItemDelegate):
    """Paints one cell: kinds in the quiet colour, a mark before the state, the selected row on its ground."""

    def __init__(self, theme: Theme, table: QTableView) -> None:
        super().__init__(table)
        self._theme = theme

    def sizeHint(self, option: QStyleOptionViewItem, index: Index) -> QSize:
        row = index.data(ROW)
        font = _font(option.font, bold=isinstance(row, PairRow) and row.selected)
        width = QFontMetricsF(font).horizontalAdvance(str(index.data())) + 10
        if isinstance(row, PairRow) and index.column() == 2 and not row.selected:
            width += 14
        return QSize(round(width), _ROW_HEIGHT)

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: Index) -> None:
        tokens = self._theme.tokens
        row = index.data(ROW)
        pair = row if isinstance(row, PairRow) else None
        area = QRectF(option.rect)
        painter.save()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        if pair is not None and pair.selected:
            painter.fillRect(area, QColor(tokens.good_soft))
        painter.setPen(QPen(QColor(tokens.line), 1))
        painter.drawLine(area.bottomLeft(), area.bottomRight())
        font = _font(option.font, bold=pair is not None and pair.selected)
        painter.setFont(font)
        inner = area.adjusted(4, 0, -4, 0)
        if pair is not None and index.column() == 2 and not pair.selected:
            colour = {"good": tokens.good, "bad": tokens.bad}.get(pair.tone, tokens.muted)
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(QColor(colour))
            painter.drawEllipse(QRectF(inner.left(), inner.center().y() - 4, 8, 8))
            inner.adjust(14, 0, 0, 0)
        self._paint_text(
            painter,
            inner,
            str(index.data()),
            Qt.AlignmentFlag(index.data(Qt.ItemDataRole.TextAlignmentRole) or 0x81),
            pair,
            index.column(),
        )
        painter.restore()

    def _paint_text(
        self, painter: QPainter, area: QRectF, text: str, side: Qt.AlignmentFlag, pair: PairRow | None, column: int
    ) -> None:
        """Write a cell; of an address with its kind the kind is quieter."""
        tokens = self._theme.tokens
        address, space, kind = text.rpartition(" ") if pair is not None and column < 2 else (text, "", "")
        metrics = QFontMetricsF(painter.font())
        painter.setPen(QColor(tokens.text))
        painter.drawText(area, side, metrics.elidedText(address, Qt.TextElideMode.ElideMiddle, area.width()))
        if kind:
            painter.setPen(QColor(tokens.muted))
            painter.drawText(area.adjusted(metrics.horizontalAdvance(address + space), 0, 0, 0), side, kind)


def _font(base: QFont, *, bold: bool) -> QFont:
    font = QFont(base)
    font.setPixelSize(12)
    font.setWeight(QFont.Weight.DemiBold if bold else QFont.Weight.Normal)
    return font
