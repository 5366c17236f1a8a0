"""The time line as a list: when, what, and between which ends."""

from __future__ import annotations

from PySide6.QtCore import QRectF, Qt
from PySide6.QtGui import QColor, QFont, QFontMetricsF, QPainter

from app.events import IceMoment
from ui.models.moments import MOMENT, SINCE, MomentsModel, tone
from ui.path_words import flow_words
from ui.theme.manager import Theme
from ui.widgets.steps import Index, StepDelegate, StepList

_TIME = 62.0


class MomentList(StepList):
    """What happened on a path, the newest last."""

    def __init__(self, theme: Theme, model: MomentsModel) -> None:
        super().__init__("momentList", "What happened on the path")
        self.setItemDelegate(_MomentDelegate(theme, self))
        self.setModel(model)


class _MomentDelegate(StepDelegate):
    def draw(self, painter: QPainter, area: QRectF, index: Index) -> None:
        moment: IceMoment = index.data(MOMENT)
        tokens = self._theme.tokens
        painter.setPen(Qt.PenStyle.NoPen)
        colour = {"good": tokens.good, "bad": tokens.bad, "warn": tokens.warn}.get(tone(moment), tokens.muted)
        painter.setBrush(QColor(colour))
        painter.drawEllipse(QRectF(area.left() + _TIME + 8, area.top() + 8, 8, 8))
        font = QFont(painter.font())
        font.setPixelSize(11)
        painter.setFont(font)
        painter.setPen(QColor(tokens.muted))
        right = Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
        painter.drawText(QRectF(area.left(), area.top() + 2, _TIME, 20), right, index.data(SINCE))
        room = QRectF(area.left() + _TIME + 24, area.top() + 2, area.width() - _TIME - 30, 20)
        left = Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter
        ends = " to ".join(end for end in (moment.local, moment.remote) if end)
        if ends and moment.flow not in (None, "0"):
            ends += f" · {flow_words(moment.flow or '')}"
        if ends:
            text = QFontMetricsF(font).elidedText(ends, Qt.TextElideMode.ElideMiddle, room.width())
            painter.drawText(room.translated(0, 17), left, text)
        font.setPixelSize(13)
        painter.setFont(font)
        painter.setPen(QColor(tokens.text))
        text = QFontMetricsF(font).elidedText(moment.text, Qt.TextElideMode.ElideRight, room.width())
        painter.drawText(room, left, text)
