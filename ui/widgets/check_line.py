"""The checks on a time line: one row a pair, with a mark for each check that left, was answered, decided or failed."""

from __future__ import annotations

from PySide6.QtCore import QEvent, QPointF, QRectF, QSize, Qt, Signal
from PySide6.QtGui import (
    QColor,
    QFocusEvent,
    QFont,
    QFontMetricsF,
    QHelpEvent,
    QKeyEvent,
    QMouseEvent,
    QPainter,
    QPaintEvent,
    QPen,
    QPolygonF,
)
from PySide6.QtWidgets import QSizePolicy, QToolTip, QWidget

from ui.models.lanes import Chart, Lane
from ui.theme.manager import Theme

_ROW = 24
_LABEL = 96
_RESULT = 92
_SCALE = 24
_LEGEND = 22
_NEAR = 7  # pixels at which the mouse means a mark
_MIDDLE = Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignLeft
_LEGEND_WORDS = (("sent", "check sent"), ("answered", "answered"), ("nominated", "taken"), ("failed", "given up"))


class CheckLine(QWidget):
    """Paints one chart. The arrow keys walk its rows; `told` gives the words of the row that is chosen."""

    told = Signal(str)

    def __init__(self, theme: Theme) -> None:
        super().__init__()
        self.setObjectName("checkLine")
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self._theme = theme
        self._chart: Chart | None = None
        self._current = -1
        theme.changed.connect(self.update)

    def show_chart(self, chart: Chart | None) -> None:
        if chart == self._chart:
            return
        self._chart = chart
        rows = len(chart.lanes) if chart else 0
        self.setFixedHeight(rows * _ROW + _SCALE + _LEGEND if rows else 0)
        lanes = chart.lanes if chart else ()
        self.setAccessibleName(f"Time line of the checks of {len(lanes)} pairs; the arrow keys walk the pairs")
        self.setAccessibleDescription("; ".join(f"{lane.name} {lane.result}" for lane in lanes))
        if self._current >= rows:
            self._current = -1
        self.update()

    @property
    def count(self) -> int:
        return len(self._chart.lanes) if self._chart else 0

    def sizeHint(self) -> QSize:
        return QSize(300, self.height())

    # Choosing a row -----------------------------------------------------------------------------------------------

    def choose(self, number: int) -> None:
        """Mark a row and tell its story."""
        if self._chart is None or not 0 <= number < len(self._chart.lanes):
            return
        self._current = number
        self.told.emit(self._chart.lanes[number].story)
        self.update()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        steps = {Qt.Key.Key_Down: 1, Qt.Key.Key_Up: -1}
        ends = {Qt.Key.Key_Home: 0, Qt.Key.Key_End: self.count - 1}
        key = Qt.Key(event.key())
        if key in steps and 0 <= self._current + steps[key] < self.count:
            self.choose(self._current + steps[key])
        elif key in ends:
            self.choose(ends[key])
        else:
            super().keyPressEvent(event)

    def focusInEvent(self, event: QFocusEvent) -> None:
        if self._current < 0:
            self.choose(0)
        super().focusInEvent(event)

    def mousePressEvent(self, event: QMouseEvent) -> None:
        self.choose(int(event.position().y() // _ROW))
        super().mousePressEvent(event)

    def event(self, event: QEvent) -> bool:
        if isinstance(event, QHelpEvent) and event.type() is QEvent.Type.ToolTip:
            QToolTip.showText(event.globalPos(), self.words_at(QPointF(event.pos())), self)
            return True
        return super().event(event)

    def words_at(self, point: QPointF) -> str:
        """Say what lies under a point: the mark that is near, else the row."""
        chart = self._chart
        number = int(point.y() // _ROW)
        if chart is None or not 0 <= number < len(chart.lanes):
            return ""
        lane = chart.lanes[number]
        near = [(abs(self._x(mark.at) - point.x()), mark) for mark in lane.marks]
        distance, mark = min(near, key=lambda one: one[0], default=(_NEAR + 1.0, None))
        return f"{lane.name} {mark.words}" if mark is not None and distance <= _NEAR else lane.story

    # Painting -----------------------------------------------------------------------------------------------------

    def _x(self, at: float) -> float:
        assert self._chart is not None
        width = self.width() - _LABEL - _RESULT
        return _LABEL + (at - self._chart.start) / self._chart.span * width

    def paintEvent(self, event: QPaintEvent) -> None:
        chart = self._chart
        if chart is None:
            return
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        font = QFont(self.font())
        font.setPixelSize(11)
        painter.setFont(font)
        self._paint_scale(painter, chart)
        for number, lane in enumerate(chart.lanes):
            if event.rect().intersects(QRectF(0, number * _ROW, self.width(), _ROW).toRect()):
                self._paint_lane(painter, number * _ROW, lane, number == self._current)
        self._paint_legend(painter, len(chart.lanes) * _ROW + _SCALE)

    def _paint_lane(self, painter: QPainter, top: float, lane: Lane, current: bool) -> None:
        tokens = self._theme.tokens
        if current:
            painter.setBrush(QColor(tokens.accent_soft))
            painter.setPen(QPen(QColor(tokens.accent), 1) if self.hasFocus() else Qt.PenStyle.NoPen)
            painter.drawRoundedRect(QRectF(0.5, top + 1, self.width() - 1, _ROW - 2), 6, 6)
        strong = lane.tone == "selected"
        painter.setPen(QColor(tokens.text if strong else tokens.muted))
        metrics = QFontMetricsF(painter.font())
        name = metrics.elidedText(lane.name, Qt.TextElideMode.ElideRight, _LABEL - 12)
        painter.drawText(QRectF(6, top, _LABEL - 8, _ROW), _MIDDLE, name)
        result = metrics.elidedText(lane.result, Qt.TextElideMode.ElideRight, _RESULT - 12)
        painter.drawText(QRectF(self.width() - _RESULT + 8, top, _RESULT - 8, _ROW), _MIDDLE, result)
        left = self._x(lane.begun)
        last = max([lane.ended or 0.0, *(mark.at for mark in lane.marks)])
        right = float(self.width() - _RESULT) if lane.ended is None else max(left + 3, self._x(last))
        middle = top + _ROW / 2
        colour = QColor(self._colour(lane.tone))
        faint = QColor(colour)
        faint.setAlpha(90)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(faint if lane.marks else colour)
        painter.drawRoundedRect(QRectF(left, middle - 3, right - left, 6), 3, 3)
        for mark in lane.marks:
            self._paint_mark(painter, self._x(mark.at), middle, mark.kind)

    def _paint_mark(self, painter: QPainter, x: float, y: float, kind: str) -> None:
        """Draw a mark whose shape alone tells what it is."""
        tokens = self._theme.tokens
        painter.setBrush(Qt.BrushStyle.NoBrush)
        if kind == "sent":
            painter.setPen(QPen(QColor(tokens.text), 1.6))
            painter.drawLine(QPointF(x, y - 6), QPointF(x, y + 6))
        elif kind == "failed":
            painter.setPen(QPen(QColor(tokens.bad), 2))
            painter.drawLine(QPointF(x - 4, y - 4), QPointF(x + 4, y + 4))
            painter.drawLine(QPointF(x - 4, y + 4), QPointF(x + 4, y - 4))
        else:
            painter.setPen(QPen(QColor(tokens.background), 1))
            if kind == "answered":
                painter.setBrush(QColor(tokens.good))
                painter.drawEllipse(QPointF(x, y), 4.5, 4.5)
            else:
                painter.setBrush(QColor(tokens.accent))
                around = (QPointF(x, y - 7), QPointF(x + 7, y), QPointF(x, y + 7), QPointF(x - 7, y))
                painter.drawPolygon(QPolygonF(around))

    def _paint_scale(self, painter: QPainter, chart: Chart) -> None:
        tokens = self._theme.tokens
        bottom = len(chart.lanes) * _ROW
        for number in range(chart.steps + 1):
            x = self._x(chart.start + number * chart.step)
            painter.setPen(QPen(QColor(tokens.line), 1))
            painter.drawLine(QPointF(x, 0), QPointF(x, bottom))
            painter.setPen(QColor(tokens.muted))
            text = f"{number * chart.step * 1000:.0f}" if chart.step < 1 else f"{number * chart.step:.0f}"
            if number == chart.steps:
                text += " ms" if chart.step < 1 else " s"
            painter.drawText(QRectF(x - 40, bottom + 4, 80, 18), Qt.AlignmentFlag.AlignHCenter, text)

    def _paint_legend(self, painter: QPainter, top: float) -> None:
        x, middle = 10.0, top + _LEGEND / 2
        for kind, text in _LEGEND_WORDS:
            self._paint_mark(painter, x, middle, kind)
            painter.setPen(QColor(self._theme.tokens.muted))
            painter.drawText(QRectF(x + 11, top, 120, _LEGEND), _MIDDLE, text)
            x += 28 + QFontMetricsF(painter.font()).horizontalAdvance(text)

    def _colour(self, tone: str) -> str:
        tokens = self._theme.tokens
        return {"selected": tokens.accent, "good": tokens.good, "bad": tokens.bad}.get(tone, tokens.muted)
