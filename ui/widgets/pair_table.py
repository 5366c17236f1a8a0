"""Tables of the diagnostics pane: as high as their rows, the selected pair in colour and marked by a word."""

from __future__ import annotations

from PySide6.QtCore import QAbstractTableModel, QModelIndex, QPersistentModelIndex, QRectF, QSize, Qt
from PySide6.QtGui import QColor, QFont, QFontMetricsF, QPainter, QPen, QResizeEvent
from PySide6.QtWidgets import (
    QAbstractItemView,
    QFrame,
    QHeaderView,
    QStyledItemDelegate,
    QStyleOptionViewItem,
    QTableView,
)

from ui.models.cells import ROW, CellsModel, CellsRow
from ui.theme.manager import Theme

Index = QModelIndex | QPersistentModelIndex
_ROW_HEIGHT = 28
_PAIR_HEIGHT = 46
_MARK = 13
_ROOM_FOR_ALL = 460
_MEASURED_ROWS = 24  # how many rows the width of a column is fitted to; a hundred pairs would cost as much again
_LEFT = Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter


class QuietTable(QTableView):
    """A table without grid or inner scrolling: the pane around it scrolls."""

    def __init__(
        self,
        name: str,
        words: str,
        model: QAbstractTableModel,
        *,
        stretch: int,
        tall: bool = False,
        spared: tuple[int, ...] = (),
    ) -> None:
        super().__init__()
        self._spared = spared  # columns that give way where there is no room for all
        self.setObjectName(name)
        self.setAccessibleName(words)
        self.setModel(model)
        self.setShowGrid(False)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setTabKeyNavigation(False)
        self.setWordWrap(False)
        self.verticalHeader().hide()
        self._row_height = _PAIR_HEIGHT if tall else _ROW_HEIGHT
        self.verticalHeader().setDefaultSectionSize(self._row_height)
        header = self.horizontalHeader()
        header.setHighlightSections(False)
        header.setSectionsClickable(False)
        header.setMinimumSectionSize(30)
        header.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        header.setResizeContentsPrecision(_MEASURED_ROWS)
        header.setSectionResizeMode(stretch, QHeaderView.ResizeMode.Stretch)
        for changed in (model.modelReset, model.rowsInserted, model.rowsRemoved):
            changed.connect(self._fit)
        self._fit()

    def sizeHint(self) -> QSize:
        return QSize(200, self.height())

    def resizeEvent(self, event: QResizeEvent) -> None:
        for column in self._spared:
            self.setColumnHidden(column, event.size().width() < _ROOM_FOR_ALL)
        super().resizeEvent(event)

    def _fit(self, *where: object) -> None:
        self.setFixedHeight(
            self.horizontalHeader().sizeHint().height() + self.model().rowCount() * self._row_height + 2
        )


class CellDelegate(QStyledItemDelegate):
    """Paints one cell: of a CellsRow two lines, a mark before the state, a ground of its own where it is selected."""

    def __init__(self, theme: Theme, table: QTableView) -> None:
        super().__init__(table)
        self._theme = theme
        model = table.model()
        self._marked = model.marked if isinstance(model, CellsModel) else -1

    def sizeHint(self, option: QStyleOptionViewItem, index: Index) -> QSize:
        row = index.data(ROW)
        pair = row if isinstance(row, CellsRow) else None
        lines = str(index.data()).split("\n")
        strong = _strong(pair, index.column())
        widths = [
            QFontMetricsF(_font(option.font, bold=strong and number == 0, small=number > 0)).horizontalAdvance(line)
            for number, line in enumerate(lines)
        ]
        mark = _MARK if pair is not None and index.column() == self._marked else 0
        return QSize(round(max(widths)) + 10 + mark, _PAIR_HEIGHT if pair is not None else _ROW_HEIGHT)

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: Index) -> None:
        tokens = self._theme.tokens
        row = index.data(ROW)
        pair = row if isinstance(row, CellsRow) else None
        area = QRectF(option.rect)
        painter.save()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        if pair is not None and pair.selected:
            painter.fillRect(area, QColor(tokens.good_soft))
        painter.setPen(QPen(QColor(tokens.line), 1))
        painter.drawLine(area.bottomLeft(), area.bottomRight())
        inner = area.adjusted(4, 0, -4, 0)
        if pair is not None and index.column() == self._marked and not pair.selected:
            colour = {"good": tokens.good, "bad": tokens.bad}.get(pair.tone, tokens.muted)
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(QColor(colour))
            painter.drawEllipse(QRectF(inner.left(), inner.top() + 10, 8, 8))
        side = (
            Qt.AlignmentFlag(index.data(Qt.ItemDataRole.TextAlignmentRole) or _LEFT)
            & Qt.AlignmentFlag.AlignHorizontal_Mask
        )
        self._paint_lines(painter, inner, str(index.data()).split("\n"), side, option.font, pair, index.column())
        painter.restore()

    def _paint_lines(
        self,
        painter: QPainter,
        area: QRectF,
        lines: list[str],
        side: Qt.AlignmentFlag,
        base: QFont,
        pair: CellsRow | None,
        column: int,
    ) -> None:
        tokens = self._theme.tokens
        selected = pair is not None and pair.selected
        for number, line in enumerate(lines):
            font = _font(base, bold=_strong(pair, column) and number == 0, small=number > 0)
            painter.setFont(font)
            painter.setPen(QColor(tokens.text if number == 0 else tokens.muted))
            place = area if pair is None else QRectF(area.left(), area.top() + 4 + 18 * number, area.width(), 20)
            if pair is not None and column == self._marked and not selected and number == 0:
                place = place.adjusted(_MARK, 0, 0, 0)
            text = QFontMetricsF(font).elidedText(line, Qt.TextElideMode.ElideMiddle, place.width() + 1)
            painter.drawText(place, side | Qt.AlignmentFlag.AlignVCenter, text)


def _strong(pair: CellsRow | None, column: int) -> bool:
    """Tell whether a cell's first line is in bold: what says that the pair is selected, and its round trip."""
    return pair is not None and pair.selected and column in (2, 3)


def _font(base: QFont, *, bold: bool, small: bool = False) -> QFont:
    font = QFont(base)
    font.setPixelSize(11 if small else 12)
    font.setWeight(QFont.Weight.DemiBold if bold else QFont.Weight.Normal)
    return font
