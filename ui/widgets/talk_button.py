"""The large button of a channel: held by mouse, finger or key to talk, and it says what the channel does."""

from __future__ import annotations

from PySide6.QtCore import QEvent, QRectF, QSize, Qt, Signal
from PySide6.QtGui import (
    QColor,
    QFocusEvent,
    QFont,
    QFontMetricsF,
    QHideEvent,
    QMouseEvent,
    QPainter,
    QPaintEvent,
    QPen,
)
from PySide6.QtWidgets import QAbstractButton, QSizePolicy

from ui.channel_words import Face
from ui.plain_tips import plain_tip
from ui.theme.icons import pixmap
from ui.theme.manager import Theme
from ui.theme.tokens import RADIUS, Tokens

_HEIGHT, _LINE_HEIGHT = 112, 38
_LEAST_WORDS = 90  # pixels: less of what follows says nothing
_TOUCH_ENDS = frozenset({QEvent.Type.TouchEnd, QEvent.Type.TouchCancel})


class TalkButton(QAbstractButton):
    """`went_down` and `came_up` come in pairs, whatever holds the button and however that ends.

    Keys are the part of ui.channel_keys. The mouse may leave the button while it holds it. What takes the window's
    place (another window, another panel) lets go of it.
    """

    went_down = Signal()
    came_up = Signal()

    def __init__(self, theme: Theme, name: str) -> None:
        super().__init__()
        self.setObjectName("talkButton")
        self._theme = theme
        self._name = name
        self._held = self._is_compact = False
        self.face = Face("", "", "idle")
        self.setMinimumHeight(_HEIGHT)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        # A click gives the focus to the panel: Space goes on to be the key of the primary channel.
        self.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.setCursor(Qt.CursorShape.PointingHandCursor)
        self.setAttribute(Qt.WidgetAttribute.WA_AcceptTouchEvents)
        self.pressed.connect(self._go_down)  # what a screen reader does
        self.released.connect(self._come_up)
        theme.changed.connect(self.update)

    def show_face(self, name: str, face: Face, key: str) -> None:
        """Show what the channel `name` does; `key` is the key that talks there, "" for none."""
        if (name, face) == (self._name, self.face) and self.accessibleName():
            return
        self._name, self.face = name, face
        self.setAccessibleName(f"{name}: {face.title}")
        hint = f"Key {key}" if key else ""
        self.setAccessibleDescription(". ".join(part for part in (face.text, hint) if part))
        self._tell_tip()
        self.update()

    def _tell_tip(self) -> None:
        whole = self._is_compact or self.face.warns or self.face.state == "off"
        self.setToolTip(plain_tip(self.face.text) if whole else "")

    def set_compact(self, on: bool) -> None:
        """Be one line of text high, or a large button."""
        self._is_compact = on
        self.setMinimumHeight(_LINE_HEIGHT if on else _HEIGHT)
        self._tell_tip()
        self.updateGeometry()
        self.update()

    @property
    def held(self) -> bool:
        return self._held

    def hold(self) -> None:
        """Go down until `let_go`."""
        self.setDown(True)
        self._go_down()

    def let_go(self) -> None:
        """End what holds the button."""
        self.setDown(False)
        self._come_up()

    def sizeHint(self) -> QSize:
        return QSize(120 if self._is_compact else 240, _LINE_HEIGHT if self._is_compact else _HEIGHT)

    # What holds it ------------------------------------------------------------------------------------------------

    def _go_down(self) -> None:
        if not self._held:
            self._held = True
            self.update()
            self.went_down.emit()

    def _come_up(self) -> None:
        if self._held:
            self._held = False
            self.update()
            self.came_up.emit()

    def mousePressEvent(self, event: QMouseEvent) -> None:
        if event.button() is Qt.MouseButton.LeftButton:
            self.hold()
        event.accept()

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        event.accept()

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        if event.button() is Qt.MouseButton.LeftButton:
            self.let_go()
        event.accept()

    def event(self, event: QEvent) -> bool:
        kind = event.type()
        if kind is QEvent.Type.TouchBegin:
            self.hold()
            event.accept()
            return True
        if kind is QEvent.Type.TouchUpdate:
            return True
        if kind in _TOUCH_ENDS:
            self.let_go()
            return True
        if kind is QEvent.Type.WindowDeactivate:
            self.let_go()
        return super().event(event)

    def focusOutEvent(self, event: QFocusEvent) -> None:
        super().focusOutEvent(event)
        self.let_go()

    def hideEvent(self, event: QHideEvent) -> None:
        super().hideEvent(event)
        self.let_go()

    # How it looks -------------------------------------------------------------------------------------------------

    def paintEvent(self, event: QPaintEvent) -> None:
        tokens, face = self._theme.tokens, self.face
        ground, title, text, edge = _colours(tokens, face, held=self._held)
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        area = QRectF(self.rect()).adjusted(1, 1, -1, -1)
        painter.setPen(QPen(QColor(edge), 2 if self._held else 1))
        painter.setBrush(QColor(ground))
        painter.drawRoundedRect(area, RADIUS, RADIUS)
        if self.hasFocus():
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.setPen(QPen(QColor(title if face.state == "sending" else tokens.accent), 2))
            painter.drawRoundedRect(area.adjusted(3, 3, -3, -3), RADIUS - 3, RADIUS - 3)
        if face.level is not None:
            self._paint_level(painter, area, face.level)
        if self._is_compact:
            self._paint_line(painter, area.adjusted(10, 0, -10, 0), title, text)
        else:
            self._paint_words(painter, area.adjusted(12, 8, -12, -8), title, text)

    def _paint_level(self, painter: QPainter, area: QRectF, level: float) -> None:
        """Show at the lower edge that the microphone hears something."""
        under = 5 if self._is_compact else 12
        groove = QRectF(area.left() + 16, area.bottom() - under, area.width() - 32, 4)
        painter.setPen(Qt.PenStyle.NoPen)
        for share, opacity in ((1.0, 0.3), (level, 1.0)):
            painter.setOpacity(opacity)
            painter.setBrush(QColor("#ffffff"))
            if share > 0:
                painter.drawRoundedRect(QRectF(groove.left(), groove.top(), groove.width() * share, 4), 2, 2)
        painter.setOpacity(1.0)

    def _paint_line(self, painter: QPainter, area: QRectF, title: str, text: str) -> None:
        """Write both lines as one, from the left: what does not fit is cut, and the tooltip has a warning whole."""
        large, small = _fonts(self.font(), 13)
        middle = Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter
        sign, first, then = self.face.line
        if sign:
            colour = text if self.face.warns else title
            where = QRectF(area.left(), area.center().y() - 8, 16, 16).toAlignedRect().topLeft()
            painter.drawPixmap(where, pixmap(sign, colour, 16, self.devicePixelRatioF()))
            area = area.adjusted(22, 0, 0, 0)
        for font, colour, words in ((large, title, first), (small, text, then)):
            metrics = QFontMetricsF(font)
            if words == then and area.width() < min(_LEAST_WORDS, metrics.horizontalAdvance(words)):
                break
            shown = metrics.elidedText(words, Qt.TextElideMode.ElideRight, area.width())
            painter.setFont(font)
            painter.setPen(QColor(colour))
            painter.drawText(area, middle, shown)
            area = area.adjusted(metrics.horizontalAdvance(shown) + 8, 0, 0, 0)

    def _paint_words(self, painter: QPainter, area: QRectF, title: str, text: str) -> None:
        large, small = _fonts(self.font(), 15)
        heading = QFontMetricsF(large)
        lines = _wrapped(self.face.text, QFontMetricsF(small), area.width())
        line = QFontMetricsF(small).height()
        top = area.center().y() - (heading.height() + 4 + line * len(lines)) / 2
        sign = self.face.icon
        room = area.width() - (26 if sign else 0)
        shown = heading.elidedText(self.face.title, Qt.TextElideMode.ElideRight, room)
        width = heading.horizontalAdvance(shown) + (26 if sign else 0)
        left = area.center().x() - width / 2
        if sign:
            scale = self.devicePixelRatioF()
            colour = text if self.face.warns else title
            where = QRectF(left, top + heading.height() / 2 - 9, 18, 18).toAlignedRect().topLeft()
            painter.drawPixmap(where, pixmap(sign, colour, 18, scale))
            left += 26
        painter.setFont(large)
        painter.setPen(QColor(title))
        painter.drawText(QRectF(left, top, width, heading.height()), Qt.AlignmentFlag.AlignLeft, shown)
        painter.setFont(small)
        painter.setPen(QColor(text))
        top += heading.height() + 4
        for number, words in enumerate(lines):
            place = QRectF(area.left(), top + line * number, area.width(), line)
            painter.drawText(place, Qt.AlignmentFlag.AlignHCenter, words)


def _fonts(font: QFont, size: int) -> tuple[QFont, QFont]:
    """Give those of the first and of the second line."""
    large, small = QFont(font), QFont(font)
    large.setPixelSize(size)
    large.setWeight(QFont.Weight.DemiBold)
    small.setPixelSize(12)
    return large, small


def _wrapped(text: str, metrics: QFontMetricsF, width: float, most: int = 3) -> list[str]:
    """Break a text into lines; what goes beyond `most` of them is cut with an ellipsis."""
    lines: list[str] = []
    for word in text.split():
        if lines and metrics.horizontalAdvance(f"{lines[-1]} {word}") <= width:
            lines[-1] = f"{lines[-1]} {word}"
        else:
            lines.append(word)
    if len(lines) > most:
        lines = [*lines[: most - 1], " ".join(lines[most - 1 :])]
    return [metrics.elidedText(line, Qt.TextElideMode.ElideRight, width) for line in lines]


def _colours(tokens: Tokens, face: Face, *, held: bool) -> tuple[str, str, str, str]:
    """Give the ground, the colours of both lines, and the edge."""
    if face.state == "sending":
        return tokens.hang_up, "#ffffff", "#ffffff", tokens.hang_up
    if face.urgent:
        return tokens.bad_soft, tokens.bad, tokens.warn if face.warns else tokens.muted, tokens.bad
    if face.state == "receiving":
        return tokens.good_soft, tokens.good, tokens.text if face.warns else tokens.muted, tokens.good_line
    edge = tokens.accent if held else tokens.line_strong
    if face.warns:
        return tokens.warn_soft, tokens.text, tokens.warn, tokens.accent if held else tokens.warn_line
    if face.state == "join":
        return tokens.accent_soft, tokens.accent, tokens.muted, edge
    if face.state == "off":
        return tokens.card, tokens.muted, tokens.muted, tokens.card
    return tokens.card_hover if held else tokens.card, tokens.text, tokens.muted, edge
