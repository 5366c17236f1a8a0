"""Small facts in a row, with a sign where one is not as it should be, and one line of text behind them."""

from __future__ import annotations

from PySide6.QtCore import QEvent, QRectF, QSize, Qt
from PySide6.QtGui import QColor, QFont, QFontMetricsF, QHelpEvent, QPainter, QPaintEvent
from PySide6.QtWidgets import QSizePolicy, QToolTip, QWidget

from ui.channel_words import Chip
from ui.theme.icons import pixmap
from ui.theme.manager import Theme
from ui.theme.tokens import Tokens

_HEIGHT, _GAP, _PAD, _ICON = 24.0, 6.0, 8.0, 14.0


class ChipRow(QWidget):
    """Chips flow into more lines where one is too narrow; hovering one tells more.

    What stands in which line goes by `widest`, what they may say at most, so that nothing moves when they say less.
    """

    def __init__(self, theme: Theme, name: str) -> None:
        super().__init__()
        self.setObjectName(name)
        self._theme = theme
        self._chips: tuple[Chip, ...] = ()
        self._text = self._detail = ""
        self._widest: tuple[tuple[Chip, ...], str] = (), ""
        policy = QSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Preferred)
        policy.setHeightForWidth(True)
        self.setSizePolicy(policy)
        theme.changed.connect(self.update)

    def show_chips(
        self, chips: tuple[Chip, ...], text: str, detail: str = "", *, widest: tuple[tuple[Chip, ...], str]
    ) -> None:
        """Show chips and the text; `detail` is what hovering the text tells, `widest` as many chips and a text."""
        if (chips, text, detail, widest) == (self._chips, self._text, self._detail, self._widest):
            return
        self._chips, self._text, self._detail, self._widest = chips, text, detail, widest
        self.setAccessibleName(", ".join([chip.text for chip in chips] + ([text] if text else [])))
        self.setAccessibleDescription(" ".join([*(chip.detail for chip in chips), detail]).strip())
        self.updateGeometry()
        self.update()

    @property
    def words(self) -> tuple[str, ...]:
        """What the chips say, then the text."""
        return (*(chip.text for chip in self._chips), self._text)

    def hasHeightForWidth(self) -> bool:
        return True

    def heightForWidth(self, width: int) -> int:
        lines = 1 + max(self._lines(width))
        return round(lines * _HEIGHT + (lines - 1) * _GAP)

    def sizeHint(self) -> QSize:
        return QSize(200, self.heightForWidth(max(200, self.width())))

    def minimumSizeHint(self) -> QSize:
        return QSize(120, round(_HEIGHT))

    def event(self, event: QEvent) -> bool:
        if isinstance(event, QHelpEvent) and event.type() is QEvent.Type.ToolTip:
            for chip, area in self._places(self.width())[0]:
                if area.contains(event.pos()):
                    QToolTip.showText(event.globalPos(), chip.detail, self)
                    return True
            QToolTip.showText(event.globalPos(), self._detail, self)  # an empty one hides what is shown
            return True
        return super().event(event)

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setFont(self._font())
        scale = self.devicePixelRatioF()
        places, place = self._places(self.width())
        for chip, area in places:
            ground, colour = _colours(self._theme.tokens, chip.tone)
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(QColor(ground))
            painter.drawRoundedRect(area, _HEIGHT / 2, _HEIGHT / 2)
            sign = _sign_width(chip)
            if sign:
                corner = QRectF(area.left() + _PAD, area.center().y() - _ICON / 2, _ICON, _ICON).toAlignedRect()
                painter.drawPixmap(corner.topLeft(), pixmap(chip.icon, colour, round(_ICON), scale))
            painter.setPen(QColor(colour))
            inner = area.adjusted(_PAD + sign, 0, -_PAD, 0)
            shown = QFontMetricsF(self._font()).elidedText(chip.text, Qt.TextElideMode.ElideRight, inner.width() + 1)
            painter.drawText(inner, Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter, shown)
        if self._text:
            painter.setPen(QColor(self._theme.tokens.muted))
            side = Qt.AlignmentFlag.AlignRight if place.left() else Qt.AlignmentFlag.AlignLeft
            shown = QFontMetricsF(self._font()).elidedText(self._text, Qt.TextElideMode.ElideRight, place.width())
            painter.drawText(place, side | Qt.AlignmentFlag.AlignVCenter, shown)

    def _font(self) -> QFont:
        font = QFont(self.font())
        font.setPixelSize(12)
        return font

    def _lines(self, width: int) -> list[int]:
        """Say in which line each chip stands, and at the end in which one the text does."""
        metrics = QFontMetricsF(self._font())
        chips, text = self._widest
        lines, left, line = [], 0.0, 0
        for wide in (*(_chip_width(chip, metrics) for chip in chips), metrics.horizontalAdvance(text)):
            if left and left + wide > width:
                left, line = 0.0, line + 1
            lines.append(line)
            left += wide + _GAP
        return lines

    def _places(self, width: int) -> tuple[list[tuple[Chip, QRectF]], QRectF]:
        """Say where each chip stands, and where the text does."""
        metrics = QFontMetricsF(self._font())
        places: list[tuple[Chip, QRectF]] = []
        left, before = 0.0, 0
        *lines, last = self._lines(width)
        for chip, line in zip(self._chips, lines, strict=True):
            left = left if line == before else 0.0
            wide = min(width - left, _chip_width(chip, metrics))
            places.append((chip, QRectF(left, line * (_HEIGHT + _GAP), wide, _HEIGHT)))
            left, before = left + wide + _GAP, line
        left = left if last == before else 0.0
        return places, QRectF(left, last * (_HEIGHT + _GAP), max(0.0, width - left), _HEIGHT)


def _chip_width(chip: Chip, metrics: QFontMetricsF) -> float:
    return metrics.horizontalAdvance(chip.text) + 2 * _PAD + _sign_width(chip) + 1


def _sign_width(chip: Chip) -> float:
    """Only what is not as it should be has a sign before its words."""
    return _ICON + 4 if chip.icon else 0.0


def _colours(tokens: Tokens, tone: str) -> tuple[str, str]:
    """Give the ground and the colour of the words."""
    if tone == "plain":
        return tokens.card, tokens.muted
    return getattr(tokens, f"{tone}_soft"), getattr(tokens, tone)
