"""What floats below a channel's card: its volume, from which side it is heard, and the way to leave it."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QEvent, QObject, Qt, QTimer, Signal
from PySide6.QtWidgets import QApplication, QFrame, QLabel, QScrollArea, QSlider, QToolButton, QVBoxLayout, QWidget
from shiboken6 import isValid

from app.events import ChannelInfo
from ui.widgets.basics import button, label, tab_through

_SETTLE_MS = 80  # a slider that is dragged asks for its newest place only


class ChannelSound(QFrame):
    """Opens over what is below the card, so that nothing moves; closes when the focus goes elsewhere."""

    volume_wanted = Signal(float)
    pan_wanted = Signal(float)
    leave_wanted = Signal()

    def __init__(self, info: ChannelInfo, opener: QToolButton) -> None:
        """`opener` opens and closes it."""
        super().__init__()
        self.setObjectName("channelSound")
        self.setProperty("look", "drawer")
        self.setFocusPolicy(Qt.FocusPolicy.ClickFocus)  # a click beside a slider leaves it open
        self._info = info
        self._opener = opener
        self._card: QWidget | None = None
        self._before: QWidget | None = None  # had the focus when it was opened
        self._taken: tuple[QWidget, ...] = ()
        self._just_closed = self._was_closed = False
        box = QVBoxLayout(self)
        box.setContentsMargins(14, 10, 14, 8)
        box.setSpacing(2)
        self._volume_words, self.volume = self._slider("channelVolume", 0, 150)
        self._pan_words, self.pan = self._slider("channelPan", -100, 100)
        for part in (self._volume_words, self.volume, self._pan_words, self.pan):
            box.addWidget(part)
        self.leave = button("Leave this channel", "channelLeave", self.leave_wanted.emit, look="link")
        self.leave.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        box.addWidget(self.leave, 0, Qt.AlignmentFlag.AlignLeft)
        self._settle = QTimer(self)
        self._settle.setSingleShot(True)
        self._settle.setInterval(_SETTLE_MS)
        self._settle.timeout.connect(self._send)
        opener.pressed.connect(self._opener_pressed)
        opener.clicked.connect(self._toggle)
        self.hide()

    def _slider(self, name: str, least: int, most: int) -> tuple[QLabel, QSlider]:
        made = QSlider(Qt.Orientation.Horizontal)
        made.setObjectName(name)
        made.setRange(least, most)
        made.setSingleStep(5)
        made.setPageStep(10)
        made.valueChanged.connect(self._moved)
        return label("", "small"), made

    def take_in(self, parts: Sequence[QWidget], controls: Sequence[QWidget]) -> None:
        """Have parts of the card stand above the volume; `controls` are those of them that Tab goes to."""
        box = self.layout()
        assert isinstance(box, QVBoxLayout)
        for number, part in enumerate(parts):
            box.insertWidget(number, part)
        self._taken = tuple(controls)

    def float_below(self, card: QWidget, over: QWidget) -> None:
        """Belong to a card that stands somewhere in `over`."""
        self._card = card
        self.setParent(over)
        card.installEventFilter(self)
        card.destroyed.connect(self._card_gone)

    def _card_gone(self) -> None:
        if isValid(self):
            self.deleteLater()

    # Opening and closing ------------------------------------------------------------------------------------------

    def _opener_pressed(self) -> None:
        self._was_closed, self._just_closed = self._just_closed, False  # by this very press, which took the focus

    def _toggle(self) -> None:
        was_closed, self._was_closed = self._was_closed, False
        if not self.put_away() and not was_closed:
            self._open()

    def _open(self) -> None:
        card, app = self._card, QApplication.instance()
        assert card is not None
        assert isinstance(app, QApplication)
        self._before = app.focusWidget()
        self._place()
        self.show()
        self.raise_()
        tab_through(self._opener, *self._taken, self.volume, self.pan, self.leave)
        self._bring_into_sight()
        self.volume.setFocus()
        app.focusChanged.connect(self._focus_changed)

    def _bring_into_sight(self) -> None:
        around = self.parentWidget()
        while around is not None and not isinstance(around, QScrollArea):
            around = around.parentWidget()
        if around is not None:
            around.ensureWidgetVisible(self, 0, 0)

    def put_away(self) -> bool:
        """Close it; the focus goes back to where it was. Tells whether it was open."""
        if self.isHidden():
            return False
        app = QApplication.instance()
        assert isinstance(app, QApplication)
        app.focusChanged.disconnect(self._focus_changed)
        focus, before = app.focusWidget(), self._before
        if focus is not None and self._holds(focus) and before is not None and isValid(before):
            before.setFocus()
        self.hide()
        return True

    def _holds(self, widget: QWidget) -> bool:
        return widget is self or self.isAncestorOf(widget)

    def _focus_changed(self, old: QWidget | None, new: QWidget | None) -> None:
        if new is not None and new.window() is self.window() and not self._holds(new):
            self._just_closed = self.put_away()
            QTimer.singleShot(0, self, self._settled)

    def _settled(self) -> None:
        self._just_closed = False

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if event.type() in (QEvent.Type.Move, QEvent.Type.Resize) and self.isVisible():
            self._place()
        return False

    def _place(self) -> None:
        card, over = self._card, self.parentWidget()
        assert card is not None
        assert over is not None
        corner = card.mapTo(over, card.rect().bottomLeft())
        box, width = self.layout(), card.width()
        assert box is not None
        high = box.totalHeightForWidth(width) if box.hasHeightForWidth() else self.sizeHint().height()
        self.setGeometry(corner.x(), corner.y() - 6, width, high)

    # What is shown and set ----------------------------------------------------------------------------------------

    def show_channel(self, info: ChannelInfo) -> None:
        """Show a channel as it is; a slider that is being moved stays where it is."""
        self._info = info
        if not info.joined:
            self.put_away()
        if not (self.volume.isSliderDown() or self.pan.isSliderDown() or self._settle.isActive()):
            for slider, value in ((self.volume, info.volume), (self.pan, info.pan)):
                blocked = slider.blockSignals(True)
                slider.setValue(round(value * 100))
                slider.blockSignals(blocked)
        self._say()

    def _say(self) -> None:
        pan = self.pan.value()
        side = "in the middle" if pan == 0 else f"{abs(pan)} % {'left' if pan < 0 else 'right'}"
        self._volume_words.setText(f"Volume {self.volume.value()} %")
        self._pan_words.setText(f"Heard {side}")
        self.volume.setAccessibleName(f"Volume of {self._info.name}")
        self.pan.setAccessibleName(f"Left or right for {self._info.name}, {side}")

    def _moved(self) -> None:
        self._say()
        if not self._settle.isActive():
            self._settle.start()

    def _send(self) -> None:
        if self.volume.value() != round(self._info.volume * 100):
            self.volume_wanted.emit(self.volume.value() / 100)
        if self.pan.value() != round(self._info.pan * 100):
            self.pan_wanted.emit(self.pan.value() / 100)
