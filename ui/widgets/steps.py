"""A list of what happened, one step below the other: what the time line and the SIP ladder have in common."""

from __future__ import annotations

from PySide6.QtCore import QModelIndex, QPersistentModelIndex, QRectF, QSize, Qt
from PySide6.QtGui import QColor, QPainter
from PySide6.QtWidgets import QListView, QStyle, QStyledItemDelegate, QStyleOptionViewItem

from ui.theme.manager import Theme

Index = QModelIndex | QPersistentModelIndex
_ROW = 40


class StepList(QListView):
    """The arrow keys walk it; each row is painted by a StepDelegate."""

    def __init__(self, name: str, words: str) -> None:
        super().__init__()
        self.setObjectName(name)
        self.setAccessibleName(words)
        self.setUniformItemSizes(True)
        self.setVerticalScrollMode(QListView.ScrollMode.ScrollPerPixel)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setEditTriggers(QListView.EditTrigger.NoEditTriggers)


class StepDelegate(QStyledItemDelegate):
    """Paints the ground of a row; `draw` paints what stands on it."""

    def __init__(self, theme: Theme, view: QListView) -> None:
        super().__init__(view)
        self._theme = theme

    def sizeHint(self, option: QStyleOptionViewItem, index: Index) -> QSize:
        return QSize(240, _ROW)

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: Index) -> None:
        area = QRectF(option.rect)
        painter.save()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        if option.state & QStyle.StateFlag.State_Selected:
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(QColor(self._theme.tokens.accent_soft))
            painter.drawRoundedRect(area.adjusted(2, 1, -2, -1), 8, 8)
        painter.setFont(option.font)
        self.draw(painter, area, index)
        painter.restore()

    def draw(self, painter: QPainter, area: QRectF, index: Index) -> None:
        """Paint one row into `area`; the painter's state is restored after it."""
        raise NotImplementedError
