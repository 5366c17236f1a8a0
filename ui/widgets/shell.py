"""How the parts of the window stand beside each other: rail, list, stage, pane.

In a wide window they share the width. Under 900 px the stage takes all of it, and list and pane slide over it; a click
on what they leave of the stage sends them back.
"""

from __future__ import annotations

from PySide6.QtCore import QEasingCurve, QPoint, QRect, Qt, QVariantAnimation, Signal
from PySide6.QtGui import QColor, QMouseEvent, QPainter, QPaintEvent, QResizeEvent
from PySide6.QtWidgets import QWidget

from ui.theme.tokens import LIST_WIDTH, NARROW_BELOW, PANE_WIDTH, RAIL_WIDTH

_SLIDE_MS = 170


class Shell(QWidget):
    """Lays out the four parts; `layout_changed` after each change of what is seen."""

    layout_changed = Signal()

    def __init__(self, rail: QWidget, column: QWidget, stage: QWidget) -> None:
        super().__init__()
        self.setObjectName("shell")
        self._rail, self._column, self._stage = rail, column, stage
        self._pane: QWidget | None = None
        self._banner: QWidget | None = None
        self._full_screen = False
        self._list_wanted = True  # in a narrow window: slid out
        self._pane_wanted = False
        self._was_narrow: bool | None = None
        for part in (stage, column, rail):
            part.setParent(self)
        self._shade = _Shade(self)
        self._shade.clicked.connect(self.slide_back)
        self._slides: dict[QWidget, QVariantAnimation] = {}
        self._rail.raise_()

    @property
    def narrow(self) -> bool:
        return self.width() < NARROW_BELOW

    @property
    def list_open(self) -> bool:
        return not self._full_screen and self._list_wanted

    @property
    def pane_open(self) -> bool:
        return self._pane_wanted and self._pane is not None

    def set_pane(self, pane: QWidget) -> None:
        """Give the pane once it is first wanted."""
        self._pane = pane
        pane.setParent(self)
        pane.hide()
        self._rail.raise_()

    def set_banner(self, banner: QWidget) -> None:
        """Give what stands over list, stage and pane while it is not hidden; `arrange` after each of its changes."""
        self._banner = banner
        banner.setParent(self)

    def arrange(self) -> None:
        """Lay the parts out anew."""
        self._arrange()

    def open_list(self, on: bool) -> None:
        """Show or hide the list; a wide window always shows it."""
        if on and self.narrow and self._pane_wanted:
            self._pane_wanted = False
        self._list_wanted = on
        self._arrange(slide=True)

    def open_pane(self, on: bool) -> None:
        if on and self.narrow:
            self._list_wanted = False
        self._pane_wanted = on
        self._arrange(slide=True)

    def set_full_screen(self, on: bool) -> None:
        """Leave only the stage, and the pane where it was open in a wide window."""
        self._full_screen = on
        self._arrange()

    def slide_back(self) -> None:
        """In a narrow window: leave the stage alone."""
        if self.narrow:
            self._list_wanted = self._pane_wanted = False
            self._arrange(slide=True)

    def resizeEvent(self, event: QResizeEvent) -> None:
        narrow = self.narrow
        if self._was_narrow is not None and narrow != self._was_narrow:
            self._list_wanted = not narrow or not self._pane_wanted
        self._was_narrow = narrow
        self._arrange()

    # --------------------------------------------------------------------------------------------------------------

    def _arrange(self, *, slide: bool = False) -> None:
        width, height = self.width(), self.height()
        self._rail.setVisible(not self._full_screen)
        left = 0 if self._full_screen else RAIL_WIDTH
        self._rail.setGeometry(0, 0, RAIL_WIDTH, height)
        top = self._place_banner(left, width)
        if self.narrow:
            self._arrange_narrow(left, top, width, height - top, slide=slide)
        else:
            self._arrange_wide(left, top, width, height - top)
        self.layout_changed.emit()

    def _place_banner(self, left: int, width: int) -> int:
        """Put the banner over everything beside the rail; give where the parts below it begin."""
        banner = self._banner
        if banner is None or banner.isHidden():
            return 0
        layout = banner.layout()
        assert layout is not None
        layout.activate()
        height = layout.totalHeightForWidth(width - left) if layout.hasHeightForWidth() else layout.sizeHint().height()
        banner.setGeometry(left, 0, width - left, height)
        banner.raise_()
        return height

    def _arrange_wide(self, left: int, top: int, width: int, height: int) -> None:
        self._stop_slides()
        self._shade.hide()
        show_list = not self._full_screen
        self._list_wanted = True
        self._column.setVisible(show_list)
        if show_list:
            self._column.setGeometry(left, top, LIST_WIDTH, height)
            left += LIST_WIDTH
        right = width
        if self._pane is not None:
            self._pane.setVisible(self._pane_wanted)
            if self._pane_wanted:
                pane = min(PANE_WIDTH, max(400, width - left - 400))
                right -= pane
                self._pane.setGeometry(right, top, pane, height)
        self._stage.setGeometry(left, top, right - left, height)

    def _arrange_narrow(self, left: int, top: int, width: int, height: int, *, slide: bool) -> None:
        room = width - left
        self._stage.setGeometry(left, top, room, height)
        list_in = self._list_wanted and not self._full_screen
        shaded = list_in or self._pane_wanted
        self._shade.setGeometry(left, top, room, height)
        self._shade.setVisible(shaded)
        if shaded:
            self._shade.raise_()
        wide = min(LIST_WIDTH, room)
        self._move(self._column, QRect(left, top, wide, height), QPoint(left - wide, top), list_in, slide=slide)
        if self._pane is not None:
            wide = min(PANE_WIDTH, room)
            place = QRect(width - wide, top, wide, height)
            self._move(self._pane, place, QPoint(width, top), self._pane_wanted, slide=slide)
        self._rail.raise_()

    def _move(self, part: QWidget, place: QRect, away: QPoint, shown: bool, *, slide: bool) -> None:
        part.resize(place.size())
        running = self._slides.pop(part, None)
        if running is not None:
            running.stop()
        if not slide or (not shown and not part.isVisible()) or not self.isVisible():
            part.move(place.topLeft() if shown else away)
            part.setVisible(shown)
            part.raise_()
            return
        start = part.pos() if part.isVisible() else away
        part.move(start)
        part.show()
        part.raise_()
        animation = QVariantAnimation(self)
        animation.setDuration(_SLIDE_MS)
        animation.setEasingCurve(QEasingCurve.Type.OutCubic)
        animation.setStartValue(start)
        animation.setEndValue(place.topLeft() if shown else away)
        animation.valueChanged.connect(part.move)
        animation.finished.connect(lambda: part.setVisible(shown))
        self._slides[part] = animation
        animation.start()

    def _stop_slides(self) -> None:
        for animation in self._slides.values():
            animation.stop()
        self._slides.clear()


class _Shade(QWidget):
    """Darkens the stage under a slid part."""

    clicked = Signal()

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self.setObjectName("shade")
        self.setAccessibleName("Close what lies over the stage")
        self.setCursor(Qt.CursorShape.PointingHandCursor)
        self.hide()

    def paintEvent(self, event: QPaintEvent) -> None:
        QPainter(self).fillRect(self.rect(), QColor(0, 0, 0, 90))

    def mousePressEvent(self, event: QMouseEvent) -> None:
        self.clicked.emit()
