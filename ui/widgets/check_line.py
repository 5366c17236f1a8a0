"""The checks on a time line: one bar a pair, from its first check to its result."""

from __future__ import annotations

import math

from PySide6.QtCore import QPointF, QRectF, QSize, Qt
from PySide6.QtGui import QColor, QFont, QFontMetricsF, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QSizePolicy, QWidget

from app.events import IceSnapshot, PairInfo, PairState
from ui.theme.manager import Theme

_ROW = 22
_LABEL = 104
_RESULT = 76
_MOST = 14


class CheckLine(QWidget):
    """Paints the checks of one snapshot; the scale fits the last of them."""

    def __init__(self, theme: Theme) -> None:
        super().__init__()
        self.setObjectName("checkLine")
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self._theme = theme
        self._ice: IceSnapshot | None = None
        self._bars: list[PairInfo] = []
        theme.changed.connect(self.update)

    def show_snapshot(self, ice: IceSnapshot | None) -> None:
        bars = [pair for pair in ice.pairs if pair.started_at is not None] if ice else []
        bars.sort(key=lambda pair: (not pair.selected, pair.started_at))
        bars = bars[:_MOST]
        if ice is self._ice or (bars == self._bars and bars):
            return
        self._ice, self._bars = ice, bars
        self.setFixedHeight(len(bars) * _ROW + (24 if bars else 0))
        self.setAccessibleName(f"Time line of {len(bars)} checks")
        self.setAccessibleDescription("; ".join(self._spoken(pair) for pair in bars))
        self.update()

    @property
    def count(self) -> int:
        return len(self._bars)

    def sizeHint(self) -> QSize:
        return QSize(300, self.height())

    def paintEvent(self, event: QPaintEvent) -> None:
        if not self._bars or self._ice is None:
            return
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        font = QFont(self.font())
        font.setPixelSize(11)
        painter.setFont(font)
        start = min(pair.started_at or 0.0 for pair in self._bars)
        ends = [pair.finished_at for pair in self._bars if pair.finished_at is not None]
        step, steps = _scale(max((max(ends) if ends else start) - start, 0.02))
        width = self.width() - _LABEL - _RESULT
        per_second = width / (step * steps)
        self._paint_scale(painter, step, steps, per_second)
        for number, pair in enumerate(self._bars):
            self._paint_bar(painter, number * _ROW, pair, start, per_second, width)

    def _paint_bar(
        self, painter: QPainter, top: float, pair: PairInfo, start: float, per_second: float, width: float
    ) -> None:
        tokens = self._theme.tokens
        name = QFontMetricsF(painter.font()).elidedText(self._name(pair), Qt.TextElideMode.ElideRight, _LABEL - 8)
        painter.setPen(QColor(tokens.text if pair.selected else tokens.muted))
        middle = Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignLeft
        painter.drawText(QRectF(0, top, _LABEL, _ROW), middle, name)
        left = _LABEL + ((pair.started_at or start) - start) * per_second
        right = _LABEL + width
        if pair.finished_at is not None:
            right = max(left + 4, _LABEL + (pair.finished_at - start) * per_second)
        colour = QColor(
            tokens.accent
            if pair.selected
            else {PairState.SUCCEEDED: tokens.good, PairState.FAILED: tokens.bad}.get(pair.state, tokens.line_strong)
        )
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(colour)
        painter.drawRoundedRect(QRectF(left, top + _ROW / 2 - 4, right - left, 8), 4, 4)
        painter.setPen(QColor(tokens.text if pair.selected else tokens.muted))
        painter.drawText(QRectF(self.width() - _RESULT + 6, top, _RESULT - 6, _ROW), middle, self._result(pair))

    def _paint_scale(self, painter: QPainter, step: float, steps: int, per_second: float) -> None:
        tokens = self._theme.tokens
        bottom = len(self._bars) * _ROW
        for number in range(steps + 1):
            x = _LABEL + number * step * per_second
            painter.setPen(QPen(QColor(tokens.line), 1))
            painter.drawLine(QPointF(x, 0), QPointF(x, bottom))
            painter.setPen(QColor(tokens.muted))
            text = f"{number * step * 1000:.0f}" if step < 1 else f"{number * step:.0f}"
            if number == steps:
                text += " ms" if step < 1 else " s"
            painter.drawText(QRectF(x - 40, bottom + 4, 80, 18), Qt.AlignmentFlag.AlignHCenter, text)

    def _name(self, pair: PairInfo) -> str:
        assert self._ice is not None
        ends = (self._ice.local, pair.local), (self._ice.remote, pair.remote)
        return "–".join(str(side[index].type) if index < len(side) else "?" for side, index in ends)

    def _spoken(self, pair: PairInfo) -> str:
        return f"{self._name(pair)} {self._result(pair)}"

    @staticmethod
    def _result(pair: PairInfo) -> str:
        if pair.selected:
            return "selected"
        return {PairState.SUCCEEDED: "works", PairState.FAILED: "no answer"}.get(pair.state, "checking")


def _scale(span: float) -> tuple[float, int]:
    """Give a round step in seconds and how many of them hold `span`."""
    power = 10 ** math.floor(math.log10(span / 4))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power * 4 >= span)
    return step, max(1, math.ceil(span / step - 1e-9))
