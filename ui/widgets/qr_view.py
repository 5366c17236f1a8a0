"""A QR picture on the screen, in whole pixels a module so that cameras read it; a click makes it as large as can be."""

from __future__ import annotations

from PySide6.QtCore import QEvent, QSize, Qt, Signal
from PySide6.QtGui import QImage, QKeyEvent, QMouseEvent, QPainter, QPaintEvent
from PySide6.QtWidgets import QSizePolicy, QWidget

_DRAWN = 6  # points a module in the picture that is given
_LEAST = 3  # pixels a module that a camera reads well from a screen


class QrView(QWidget):
    """Always black on white, in both themes: readers need it so."""

    clicked = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.setObjectName("qrView")
        self.setAccessibleName("QR picture of the mission")
        self.setToolTip("Show it over the whole screen")
        self.setCursor(Qt.CursorShape.PointingHandCursor)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self.setMinimumSize(240, 240)
        self.modules = QImage()

    def show_picture(self, png: bytes) -> None:
        """Show a picture of 6 points a module, quiet zone included."""
        drawn = QImage.fromData(png)
        size = QSize(drawn.width() // _DRAWN, drawn.height() // _DRAWN)
        fast = Qt.TransformationMode.FastTransformation
        self.modules = drawn.scaled(size, Qt.AspectRatioMode.IgnoreAspectRatio, fast)
        self.updateGeometry()
        self.update()

    def clear(self) -> None:
        """Show nothing, and keep the room for the next one."""
        self.modules = QImage()
        self.update()

    def sizeHint(self) -> QSize:
        side = max(self.modules.width() * _LEAST, 300)
        return QSize(side, side)

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        if self.modules.isNull():
            return
        ratio = self.devicePixelRatioF()
        fits = min(self.width(), self.height()) * ratio / self.modules.width()
        factor = int(fits) if fits >= 1 else fits
        side = self.modules.width() * factor / ratio
        left, top = int((self.width() - side) / 2), int((self.height() - side) / 2)
        painter.drawImage(left, top, self._enlarged(factor, ratio))

    def _enlarged(self, factor: float, ratio: float) -> QImage:
        side = round(self.modules.width() * factor)
        fast = Qt.TransformationMode.FastTransformation
        made = self.modules.scaled(side, side, Qt.AspectRatioMode.IgnoreAspectRatio, fast)
        made.setDevicePixelRatio(ratio)
        return made

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        if event.button() is Qt.MouseButton.LeftButton and not self.modules.isNull():
            self.clicked.emit()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.key() in (Qt.Key.Key_Space, Qt.Key.Key_Return, Qt.Key.Key_Enter) and not self.modules.isNull():
            self.clicked.emit()
        else:
            super().keyPressEvent(event)


class QrScreen(QrView):
    """The same over the whole screen, white around it; a click or any key puts it away."""

    def __init__(self, parent: QWidget, modules: QImage) -> None:
        super().__init__()
        self.setParent(parent, Qt.WindowType.Window)
        self.setObjectName("qrScreen")
        self.setWindowTitle("QR picture")
        self.setToolTip("")
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.modules = modules
        self.clicked.connect(self.close)

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.fillRect(self.rect(), Qt.GlobalColor.white)
        painter.end()
        super().paintEvent(event)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.type() is QEvent.Type.KeyPress:
            self.close()
