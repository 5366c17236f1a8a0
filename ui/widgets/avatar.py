"""A person as a coloured disc with initials and, where it is known, a dot for presence."""

from __future__ import annotations

import zlib

from PySide6.QtCore import QPointF, QRectF, QSize, Qt
from PySide6.QtGui import QColor, QFont, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QWidget

from app.events import Presence
from ui.theme.tokens import AVATAR_COLOURS, Tokens
from ui.words import initials


def avatar_colour(name: str) -> str:
    """Give the same colour for the same name on every machine."""
    return AVATAR_COLOURS[zlib.crc32(name.casefold().encode()) % len(AVATAR_COLOURS)]


def paint_avatar(painter: QPainter, area: QRectF, name: str) -> None:
    painter.save()
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    painter.setPen(Qt.PenStyle.NoPen)
    painter.setBrush(QColor(avatar_colour(name)))
    painter.drawEllipse(area)
    font = QFont(painter.font())
    font.setPixelSize(max(8, round(area.height() * 0.36)))
    font.setWeight(QFont.Weight.DemiBold)
    painter.setFont(font)
    painter.setPen(QColor("#ffffff"))
    painter.drawText(area, Qt.AlignmentFlag.AlignCenter, initials(name))
    painter.restore()


def paint_presence(painter: QPainter, area: QRectF, presence: Presence, tokens: Tokens, ground: str) -> None:
    """Draw the dot at the disc's lower right: full when here, a ring when away, a bar across when busy."""
    if presence is Presence.UNKNOWN:
        return
    painter.save()
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    radius = max(4.0, area.height() * 0.14)
    centre = QPointF(area.right() - radius, area.bottom() - radius)
    painter.setPen(QPen(QColor(ground), 2))
    painter.setBrush(QColor(ground))
    painter.drawEllipse(centre, radius + 1, radius + 1)
    colour = QColor({Presence.ONLINE: tokens.good, Presence.BUSY: tokens.warn}.get(presence, tokens.muted))
    if presence is Presence.OFFLINE:
        painter.setPen(QPen(colour, 1.8))
        painter.setBrush(QColor(ground))
        painter.drawEllipse(centre, radius - 1.4, radius - 1.4)
    else:
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(colour)
        painter.drawEllipse(centre, radius - 0.5, radius - 0.5)
        if presence is Presence.BUSY:
            painter.setPen(QPen(QColor(ground), 1.8))
            painter.drawLine(centre - QPointF(radius * 0.45, 0), centre + QPointF(radius * 0.45, 0))
    painter.restore()


class Avatar(QWidget):
    """The disc as a widget of its own."""

    def __init__(self, size: int, name: str = "") -> None:
        super().__init__()
        self._size = size
        self._name = name
        self.setFixedSize(size, size)

    def show_name(self, name: str) -> None:
        self._name = name
        self.update()

    def sizeHint(self) -> QSize:
        return QSize(self._size, self._size)

    def paintEvent(self, event: QPaintEvent) -> None:
        paint_avatar(QPainter(self), QRectF(self.rect()), self._name)
