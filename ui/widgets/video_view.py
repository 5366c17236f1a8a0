"""One moving picture: takes the newest frame from a mailbox at each paint and draws it, without copying it.

The mailbox is emptied only by painting, so a window that cannot keep up, or that nobody sees, is woken no more often
than it paints. The frame's bytes are wrapped in a QImage and drawn from where the decoder put them.
"""

from __future__ import annotations

import time

from PySide6.QtCore import QRectF, Qt, QTimer, Signal
from PySide6.QtGui import QBrush, QColor, QImage, QLinearGradient, QPainter, QPaintEvent, QPen, QTransform
from PySide6.QtWidgets import QSizePolicy, QWidget

from app.frames import FrameMailbox, VideoPicture
from ui.bridge import FrameWaker
from ui.theme.tokens import CALL_BOTTOM, CALL_TOP

# A picture may lose this share of its width or height to fill the view; beyond it, bars are left at its sides.
_MOST_CROPPED = 0.12


class VideoView(QWidget):
    """Shows the pictures of one mailbox. `mirrored` is for one's own; `radius` rounds the corners."""

    first_picture = Signal()

    def __init__(self, name: str, words: str, *, mirrored: bool = False, fill: bool = False, radius: int = 0) -> None:
        super().__init__()
        self.setObjectName(name)
        self.setAccessibleName(words)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self.setAttribute(Qt.WidgetAttribute.WA_OpaquePaintEvent, radius == 0)
        self.mirrored = mirrored
        self.painted = 0
        self.last_painted_at: float | None = None
        self._fill = fill
        self._radius = radius
        self._waker: FrameWaker | None = None
        self._picture: VideoPicture | None = None
        self._image: QImage | None = None

    def show_mailbox(self, mailbox: FrameMailbox | None) -> None:
        """Show another stream, or nothing; the last picture of the one before is forgotten."""
        if self._waker is not None:
            if self._waker.mailbox is mailbox:
                return
            self._waker.close()
            self._waker.deleteLater()
            self._waker = None
        self.forget()
        if mailbox is not None:
            self._waker = FrameWaker(mailbox, self)
            self._waker.ready.connect(self._wake)

    def show_mirrored(self, on: bool) -> None:
        """Show the pictures as in a mirror, or as they are; those with words on them stay readable either way."""
        if on != self.mirrored:
            self.mirrored = on
            self.update()

    @property
    def picture(self) -> VideoPicture | None:
        """The picture on show, for whoever reads it back."""
        return self._picture

    def forget(self) -> None:
        self._picture = self._image = None
        self.last_painted_at = None
        self.update()

    def _wake(self) -> None:
        if self._picture is None:
            self._take()
        self.update()

    def _take(self) -> None:
        picture = self._waker.mailbox.take() if self._waker is not None else None
        if picture is None:
            return
        if self._picture is None:
            QTimer.singleShot(0, self, self.first_picture.emit)  # not now: this may be in the middle of painting
        self._picture = picture
        self._image = QImage(
            picture.data, picture.width, picture.height, picture.stride_bytes, QImage.Format.Format_RGB32
        )
        self.last_painted_at = time.monotonic()
        self.painted += 1

    def paintEvent(self, event: QPaintEvent) -> None:
        self._take()
        painter = QPainter(self)
        area = QRectF(self.rect())
        if self._image is None:
            self._paint_ground(painter, area)
            return
        target = place(self._image.width(), self._image.height(), area, fill=self._fill)
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
        if self._radius:
            self._paint_rounded(painter, target, area)
            return
        if not target.contains(area):
            self._paint_ground(painter, area)
        if self._is_mirrored:
            painter.translate(area.width(), 0)
            painter.scale(-1, 1)
        painter.drawImage(target, self._image)

    @property
    def _is_mirrored(self) -> bool:
        return self.mirrored and self._picture is not None and not self._picture.is_lettered

    def _paint_ground(self, painter: QPainter, area: QRectF) -> None:
        ground = QLinearGradient(0, 0, 0, area.height())
        ground.setColorAt(0, QColor(CALL_TOP))
        ground.setColorAt(1, QColor(CALL_BOTTOM))
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setBrush(ground)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.drawRoundedRect(area, self._radius, self._radius)

    def _paint_rounded(self, painter: QPainter, target: QRectF, area: QRectF) -> None:
        assert self._image is not None
        if not target.contains(area):
            self._paint_ground(painter, area)
            area = area.intersected(target)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        brush = QBrush(self._image)
        across = target.width() / self._image.width()
        move = QTransform()
        if self._is_mirrored:
            move.translate(target.right(), target.top()).scale(-across, across)
        else:
            move.translate(target.left(), target.top()).scale(across, across)
        brush.setTransform(move)
        painter.setBrush(brush)
        painter.setPen(QPen(QColor(255, 255, 255, 90), 2))
        painter.drawRoundedRect(area.adjusted(1, 1, -1, -1), self._radius, self._radius)


def place(width: int, height: int, area: QRectF, *, fill: bool) -> QRectF:
    """Say where a picture goes: whole with bars at its sides, or filling the area when little of it is lost."""
    if not width or not height or area.isEmpty():
        return area
    across, down = area.width() / width, area.height() / height
    small, large = min(across, down), max(across, down)
    scale = large if fill or small / large >= 1 - _MOST_CROPPED else small
    shown = QRectF(0, 0, width * scale, height * scale)
    shown.moveCenter(area.center())
    return shown
