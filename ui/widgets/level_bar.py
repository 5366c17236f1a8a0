"""How loud a microphone is, as a bar."""

from __future__ import annotations

from PySide6.QtCore import QRectF, QSize, Qt
from PySide6.QtGui import QColor, QPainter, QPaintEvent
from PySide6.QtWidgets import QSizePolicy, QWidget

from ui.theme.manager import Theme

_LEAST_DBFS, _LOUD_DBFS, _MOST_DBFS = -60.0, -12.0, 0.0
_HEIGHT = 14


class LevelBar(QWidget):
    """Filled to the processed level, which others hear; a mark stands at the raw one."""

    def __init__(self, theme: Theme, name: str) -> None:
        super().__init__()
        self.setObjectName(name)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setToolTip("How loud others hear you; the thin mark is what the microphone itself hears.")
        self._theme = theme
        self._level: float | None = None
        self._raw: float | None = None
        theme.changed.connect(self.update)
        self.show_level(None, None)

    def show_level(self, level_dbfs: float | None, raw_dbfs: float | None) -> None:
        """Show levels in dBFS; None is silence, or no microphone."""
        self._level, self._raw = level_dbfs, raw_dbfs
        self.setAccessibleName("Level: silence" if level_dbfs is None else f"Level: {level_dbfs:.0f} dB")
        self.update()

    @property
    def filled(self) -> float:
        """How much of the bar is filled, 0 to 1."""
        return _share(self._level)

    def sizeHint(self) -> QSize:
        return QSize(200, _HEIGHT)

    def paintEvent(self, event: QPaintEvent) -> None:
        tokens = self._theme.tokens
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(Qt.PenStyle.NoPen)
        whole = QRectF(self.rect())
        radius = whole.height() / 2
        painter.setBrush(QColor(tokens.card))
        painter.drawRoundedRect(whole, radius, radius)
        if self.filled > 0:
            loud = self._level is not None and self._level > _LOUD_DBFS
            painter.setBrush(QColor(tokens.warn if loud else tokens.good))
            filled = QRectF(whole)
            filled.setWidth(max(whole.height(), whole.width() * self.filled))
            painter.drawRoundedRect(filled, radius, radius)
        raw = _share(self._raw)
        if raw > 0:
            painter.setBrush(QColor(tokens.muted))
            painter.drawRect(QRectF(whole.width() * raw - 1, 0, 2, whole.height()))


def _share(level_dbfs: float | None) -> float:
    if level_dbfs is None:
        return 0.0
    return min(1.0, max(0.0, (level_dbfs - _LEAST_DBFS) / (_MOST_DBFS - _LEAST_DBFS)))
