"""The SIP ladder: two uprights, you and the other end; each message an arrow with its first line."""

from __future__ import annotations

from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QColor, QFont, QFontMetricsF, QPainter, QPen, QPolygonF

from app.events import SipTrace
from ui.models.ladder import SINCE, TRACE
from ui.theme.manager import Theme
from ui.widgets.steps import Index, StepDelegate, StepList

_TIME = 66.0


class LadderView(StepList):
    """A list of rungs."""

    def __init__(self, theme: Theme) -> None:
        super().__init__("ladder", "SIP messages")
        self.setItemDelegate(RungDelegate(theme, self))


class RungDelegate(StepDelegate):
    """Paints one message."""

    def draw(self, painter: QPainter, area: QRectF, index: Index) -> None:
        trace: SipTrace = index.data(TRACE)
        tokens = self._theme.tokens
        self._paint_time(painter, area, index.data(SINCE), trace)
        left, right = area.left() + _TIME + 18, area.right() - 18
        painter.setPen(QPen(QColor(tokens.line_strong), 2))
        painter.drawLine(QPointF(left, area.top()), QPointF(left, area.bottom() + 1))
        painter.drawLine(QPointF(right, area.top()), QPointF(right, area.bottom() + 1))
        colour = QColor(self._colour(trace.line))
        self._paint_arrow(painter, left, right, area.bottom() - 10, trace.direction == "out", colour)
        font = QFont(painter.font())
        font.setPixelSize(13)
        font.setWeight(QFont.Weight.DemiBold)
        painter.setFont(font)
        painter.setPen(QColor(tokens.text))
        words = QRectF(left + 12, area.top() + 4, right - left - 24, 20)
        text = QFontMetricsF(font).elidedText(str(index.data()), Qt.TextElideMode.ElideRight, words.width())
        painter.drawText(words, Qt.AlignmentFlag.AlignCenter, text)

    def _paint_time(self, painter: QPainter, area: QRectF, since: float, trace: SipTrace) -> None:
        font = QFont(painter.font())
        font.setPixelSize(11)
        painter.setFont(font)
        painter.setPen(QColor(self._theme.tokens.muted))
        place = QRectF(area.left() + 6, area.top(), _TIME, area.height())
        said = f"{since * 1000:.0f} ms" if since < 10 else f"{since:.1f} s"
        painter.drawText(
            place.adjusted(0, 5, 0, -20), Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter, said
        )
        painter.drawText(
            place.adjusted(0, 20, 0, -4), Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter, trace.transport
        )

    def _paint_arrow(
        self, painter: QPainter, left: float, right: float, y: float, outwards: bool, colour: QColor
    ) -> None:
        painter.setPen(QPen(colour, 2))
        painter.drawLine(QPointF(left + 4, y), QPointF(right - 4, y))
        tip, back = (right - 2, -9) if outwards else (left + 2, 9)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(colour)
        painter.drawPolygon(QPolygonF([QPointF(tip, y), QPointF(tip + back, y - 5), QPointF(tip + back, y + 5)]))

    def _colour(self, line: str) -> str:
        """Requests in the accent, answers by their class; the words say the same."""
        tokens = self._theme.tokens
        if not line.startswith("SIP/2.0 "):
            return tokens.accent
        status = line[8:9]
        return {"1": tokens.muted, "2": tokens.good, "3": tokens.warn}.get(status, tokens.bad)
