"""A button for what must not happen by accident: it acts when it has been held, and a short press only asks."""

from __future__ import annotations

from PySide6.QtCore import QElapsedTimer, QEvent, QRectF, QSize, Qt, QTimer, Signal
from PySide6.QtGui import QColor, QFont, QFontMetricsF, QHideEvent, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QAbstractButton

from ui.theme.icons import pixmap
from ui.theme.manager import Theme
from ui.widgets.enter import EnterPresses

HOLD_MS = 1200
_STEP_MS = 30
_RADIUS = 10


class HoldButton(EnterPresses, QAbstractButton):
    """`held_long` once it was down for HOLD_MS; `asked` when it came up before that."""

    held_long = Signal()
    asked = Signal()

    def __init__(self, theme: Theme, name: str, words: str, hint: str) -> None:
        super().__init__()
        self.setObjectName(name)
        self.setText(words)
        self.setAccessibleName(words)
        self.setAccessibleDescription(hint)
        self.setToolTip(hint)
        self.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.setCursor(Qt.CursorShape.PointingHandCursor)
        self._theme = theme
        self._since = QElapsedTimer()
        self._timer = QTimer(self)
        self._timer.setInterval(_STEP_MS)
        self._timer.timeout.connect(self._step)
        self._done = False
        self.pressed.connect(self._begin)
        self.released.connect(self._end)
        theme.changed.connect(self.update)

    def sizeHint(self) -> QSize:
        return QSize(round(QFontMetricsF(self._font()).horizontalAdvance(self.text())) + 46, 36)

    def _begin(self) -> None:
        self._done = False
        self._since.start()
        self._timer.start()

    def _step(self) -> None:
        if self._since.elapsed() >= HOLD_MS:
            self._timer.stop()
            self._done = True
            self.held_long.emit()
        self.update()

    def _end(self) -> None:
        running = self._timer.isActive()
        self._timer.stop()
        self.update()
        if running and self.isVisible() and self.isActiveWindow():
            self.asked.emit()

    def event(self, event: QEvent) -> bool:
        if event.type() is QEvent.Type.WindowDeactivate:
            self._timer.stop()
            self.setDown(False)
        return super().event(event)

    def hideEvent(self, event: QHideEvent) -> None:
        super().hideEvent(event)
        self._timer.stop()
        self.setDown(False)

    def _font(self) -> QFont:
        font = QFont(self.font())
        font.setPixelSize(14)
        return font

    def paintEvent(self, event: QPaintEvent) -> None:
        tokens = self._theme.tokens
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        area = QRectF(self.rect()).adjusted(1, 1, -1, -1)
        strong = self.underMouse() or self._timer.isActive()
        painter.setPen(QPen(QColor(tokens.accent if self.hasFocus() else tokens.bad_line), 2 if self.hasFocus() else 1))
        painter.setBrush(QColor(tokens.bad_soft))
        painter.drawRoundedRect(area, _RADIUS, _RADIUS)
        if self._timer.isActive():
            filled = QRectF(area)
            filled.setWidth(area.width() * min(1.0, self._since.elapsed() / HOLD_MS))
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(QColor(tokens.bad_line))
            painter.setOpacity(0.6)
            painter.drawRoundedRect(filled, _RADIUS, _RADIUS)
            painter.setOpacity(1.0)
        colour = tokens.text if strong else tokens.bad
        corner = QRectF(area.left() + 10, area.center().y() - 9, 18, 18).toAlignedRect().topLeft()
        painter.drawPixmap(corner, pixmap("warning", colour, 18, self.devicePixelRatioF()))
        painter.setFont(self._font())
        painter.setPen(QColor(colour))
        painter.drawText(
            area.adjusted(34, 0, -8, 0), Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter, self.text()
        )
