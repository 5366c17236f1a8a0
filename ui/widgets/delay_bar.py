"""What the delay of a call is made of, as one bar with its words below."""

from __future__ import annotations

from PySide6.QtCore import QRectF, QSize, Qt
from PySide6.QtGui import QColor, QFont, QPainter, QPainterPath, QPaintEvent
from PySide6.QtWidgets import QSizePolicy, QWidget

from ui.figures import DelayPart
from ui.theme.manager import Theme

_HEIGHT = 86
_LEAST_MS = 200.0  # the scale: a good call fills no more than part of it


class DelayBar(QWidget):
    """Paints the parts to scale, one beside the other, each with a shade and a name of its own."""

    def __init__(self, theme: Theme) -> None:
        super().__init__()
        self.setObjectName("delayBar")
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setFixedHeight(_HEIGHT)
        self.setToolTip(
            "From the other side's mouth to your ear. Up to 150 ms nobody notices; from 300 ms on people talk into "
            "each other's words. The network's part is half the round trip; their side is taken to be as slow as yours."
        )
        self._theme = theme
        self._parts: tuple[DelayPart, ...] = ()
        theme.changed.connect(self.update)
        self.show_parts(())

    def show_parts(self, parts: tuple[DelayPart, ...]) -> None:
        if parts == self._parts and self.accessibleName():
            return
        self._parts = parts
        self.setAccessibleName(self.as_text())
        self.update()

    @property
    def total(self) -> str:
        return f"{sum(part.ms for part in self._parts):.0f} ms" if self._parts else "–"

    def as_text(self) -> str:
        parts = ", ".join(f"{part.name.lower()} {part.ms:.0f} ms" for part in self._parts)
        return f"Mouth to ear: {self.total}" + (f" ({parts})" if parts else "")

    def sizeHint(self) -> QSize:
        return QSize(240, _HEIGHT)

    def paintEvent(self, event: QPaintEvent) -> None:
        tokens = self._theme.tokens
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(QColor(tokens.card))
        painter.drawRoundedRect(QRectF(self.rect()), 12, 12)
        font = QFont(self.font())
        font.setPixelSize(12)
        painter.setFont(font)
        head = QRectF(12, 8, self.width() - 24, 20)
        painter.setPen(QColor(tokens.muted))
        painter.drawText(head, Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter, "Mouth to ear")
        bold = QFont(font)
        bold.setPixelSize(13)
        bold.setWeight(QFont.Weight.DemiBold)
        painter.setFont(bold)
        painter.setPen(QColor(tokens.text))
        painter.drawText(head, Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter, self.total)
        painter.setFont(font)
        self._paint_parts(painter, QRectF(12, 36, self.width() - 24, 14))

    def _paint_parts(self, painter: QPainter, bar: QRectF) -> None:
        tokens = self._theme.tokens
        if not self._parts:
            painter.setPen(QColor(tokens.muted))
            painter.drawText(bar.adjusted(0, -4, 0, 14), Qt.AlignmentFlag.AlignCenter, "not known yet")
            return
        painter.setPen(Qt.PenStyle.NoPen)
        clip = QPainterPath()
        clip.addRoundedRect(bar, 7, 7)
        painter.setClipPath(clip)
        painter.fillRect(bar, QColor(tokens.line))
        scale = bar.width() / max(_LEAST_MS, sum(part.ms for part in self._parts))
        left, shades = bar.left(), self._shades()
        for part, shade in zip(self._parts, shades, strict=True):
            painter.fillRect(QRectF(left, bar.top(), max(0.0, part.ms * scale - 1), bar.height()), shade)
            left += part.ms * scale
        painter.setClipping(False)
        self._paint_names(painter, QRectF(bar.left(), bar.bottom() + 8, bar.width(), 16), shades)

    def _paint_names(self, painter: QPainter, row: QRectF, shades: tuple[QColor, ...]) -> None:
        """Name the parts in a row; where that is too long, by their short names."""
        tokens = self._theme.tokens
        metrics = painter.fontMetrics()
        texts = [f"{part.name} {part.ms:.0f}" for part in self._parts]
        if sum(metrics.horizontalAdvance(text) + 24 for text in texts) > row.width():
            texts = [f"{part.short} {part.ms:.0f}" for part in self._parts]
        left = row.left()
        for text, shade in zip(texts, shades, strict=True):
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(shade)
            painter.drawRoundedRect(QRectF(left, row.top() + 4, 8, 8), 2, 2)
            painter.setPen(QColor(tokens.muted))
            wide = metrics.horizontalAdvance(text) + 2
            painter.drawText(QRectF(left + 12, row.top(), wide, row.height()), Qt.AlignmentFlag.AlignVCenter, text)
            left += wide + 22

    def _shades(self) -> tuple[QColor, ...]:
        """Four shades that stay apart for who sees no colours: they differ in lightness."""
        tokens = self._theme.tokens
        accent, muted = QColor(tokens.accent), QColor(tokens.muted)
        pale = QColor(accent)
        pale.setAlphaF(0.45)
        faint = QColor(muted)
        faint.setAlphaF(0.45)
        return faint, accent, pale, muted
