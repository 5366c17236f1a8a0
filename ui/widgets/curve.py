"""One small curve with its name and newest figure; a few hundred points, painted in a blink."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from PySide6.QtCore import QPointF, QRectF, QSize, Qt
from PySide6.QtGui import QColor, QFont, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QSizePolicy, QWidget

from ui.theme.manager import Theme

_SPAN_S = 60.0


class Curve(QWidget):
    """Paints (time, value) points of the last minute; a gap in what is known is a gap in the line."""

    def __init__(self, theme: Theme, name: str, words: str, says: Callable[[float | None], str], least: float) -> None:
        super().__init__()
        self.setObjectName(name)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setFixedHeight(96)
        self._theme = theme
        self._words = words
        self._says = says
        self._least = least  # the top of the scale is never lower than this
        self._points: Sequence[tuple[float, float | None]] = ()
        theme.changed.connect(self.update)

    def show_points(self, points: Sequence[tuple[float, float | None]]) -> None:
        self._points = points
        self.setAccessibleName(f"{self._words}: {self.newest}")
        self.update()

    @property
    def newest(self) -> str:
        return self._says(self._points[-1][1] if self._points else None)

    def sizeHint(self) -> QSize:
        return QSize(200, 96)

    def paintEvent(self, event: QPaintEvent) -> None:
        tokens = self._theme.tokens
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(QColor(tokens.card))
        painter.drawRoundedRect(QRectF(self.rect()), 12, 12)
        self._paint_head(painter)
        plot = QRectF(12, 36, self.width() - 24, self.height() - 48)
        painter.setPen(QPen(QColor(tokens.line_strong), 1))
        painter.drawLine(plot.bottomLeft(), plot.bottomRight())
        known = [value for _, value in self._points if value is not None]
        if not known:
            font = QFont(self.font())
            font.setPixelSize(12)
            painter.setFont(font)
            painter.setPen(QColor(tokens.muted))
            painter.drawText(plot, Qt.AlignmentFlag.AlignCenter, "not known yet")
            return
        self._paint_line(painter, plot, max(self._least, max(known) * 1.15))

    def _paint_head(self, painter: QPainter) -> None:
        tokens = self._theme.tokens
        font = QFont(self.font())
        font.setPixelSize(12)
        painter.setFont(font)
        painter.setPen(QColor(tokens.muted))
        head = QRectF(12, 8, self.width() - 24, 20)
        painter.drawText(head, Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter, self._words)
        font.setPixelSize(13)
        font.setWeight(QFont.Weight.DemiBold)
        painter.setFont(font)
        painter.setPen(QColor(tokens.text))
        painter.drawText(head, Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter, self.newest)

    def _paint_line(self, painter: QPainter, plot: QRectF, top: float) -> None:
        tokens = self._theme.tokens
        newest = self._points[-1][0]
        painter.setPen(QPen(QColor(tokens.accent), 2))
        painter.setBrush(Qt.BrushStyle.NoBrush)
        right, bottom, left_at = plot.right(), plot.bottom(), newest - _SPAN_S
        wide, high = plot.width() / _SPAN_S, plot.height() / top
        run: list[QPointF] = []
        for at, value in self._points:
            if value is None:
                painter.drawPolyline(run)
                run = []
            elif at >= left_at:
                run.append(QPointF(right - (newest - at) * wide, bottom - (value if value < top else top) * high))
        painter.drawPolyline(run)
