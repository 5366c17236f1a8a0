"""The buttons that float over a call: mute, camera, volume, full screen, details, more, and the only red one."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import QPoint, QSize, Qt, Signal
from PySide6.QtWidgets import QFrame, QHBoxLayout, QSlider, QToolButton, QVBoxLayout, QWidget

from app.events import CallInfo, CallState
from ui.theme.icons import icon
from ui.theme.manager import Theme
from ui.widgets.basics import ToolButton, label
from ui.widgets.more_menu import MoreMenu

_WHITE, _BLACK = "#ffffff", "#15181c"
_BUTTON = QSize(56, 56)
_COMPACT_BELOW = 580


class CallButtons(QWidget):
    """Emits what is wanted; `show_call` sets the buttons to what is."""

    mute_wanted = Signal(bool)
    camera_wanted = Signal(bool)
    volume_wanted = Signal(float)
    full_screen_wanted = Signal()
    details_wanted = Signal()
    hang_up_wanted = Signal()

    def __init__(self, theme: Theme) -> None:
        super().__init__()
        self.setObjectName("callButtons")
        self._row = row = QHBoxLayout(self)
        row.setContentsMargins(8, 8, 8, 8)
        row.setSpacing(12)
        self._compact = False
        self.mute = self._button("muteButton", "mic", self._mute_clicked, checkable=True)
        self.camera = self._button("cameraButton", "camera", self._camera_clicked, checkable=True)
        self.volume = self._button("volumeButton", "volume", self._volume_clicked)
        self.full_screen = self._button("fullScreenButton", "fullscreen", self.full_screen_wanted.emit)
        self.details = self._button("detailsButton", "diagnose", self.details_wanted.emit)
        self.more = self._button("moreButton", "more", lambda: None)
        self.menu = MoreMenu(self.more)
        self.more.setMenu(self.menu)
        self.more.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        self.hang_up = self._button("hangUpButton", "hang-up", self.hang_up_wanted.emit)
        self.hang_up.setProperty("look", "hangup")
        self.hang_up.setText("Hang up")
        self.hang_up.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        self.hang_up.setFixedSize(132, _BUTTON.height())
        for made in (*self._round(), self.hang_up):
            row.addWidget(made)
        self.volume_card: VolumeCard | None = None
        self._say(self.volume, "Volume (Ctrl+Up, Ctrl+Down)")
        self._say(self.details, "How it travels and sounds (Ctrl+D)")
        self._say(self.more, "More")
        self._say(self.hang_up, "Hang up (Ctrl+H)")
        self.show_full_screen(False)

    def show_call(self, call: CallInfo) -> None:
        """Set the buttons to a call's state."""
        self.mute.setChecked(call.muted)
        self._icon(self.mute, "mic-off" if call.muted else "mic")
        self._say(self.mute, "Unmute (Ctrl+M)" if call.muted else "Mute (Ctrl+M)")
        self.camera.setChecked(not call.sending_video)
        self._icon(self.camera, "camera" if call.sending_video else "camera-off")
        self._say(self.camera, "Camera off (Ctrl+E)" if call.sending_video else "Camera on (Ctrl+E)")
        talking = call.state in (CallState.CONNECTED, CallState.INTERRUPTED)
        self.camera.setVisible(call.has_video or call.sending_video or (talking and call.offers_video))
        self.menu.show_call(call)
        for made in (self.mute, self.camera, self.volume, self.more):
            made.setEnabled(call.state is not CallState.ENDING)
        if call.sharing:
            self.camera.setEnabled(False)
            self._say(self.camera, "The camera is off while you share your screen")
        words = "Hang up" if talking or call.state is CallState.ENDING else "Cancel"
        self.hang_up.setText(words)
        self._say(self.hang_up, f"{words} (Ctrl+H)")

    def fit(self, width: int) -> None:
        """Use smaller buttons, and the red one without its word, on a stage too narrow for all of it."""
        compact = width < _COMPACT_BELOW
        if compact == self._compact:
            return
        self._compact = compact
        side = 44 if compact else _BUTTON.width()
        for made in self._round():
            made.setFixedSize(side, side)
        style = Qt.ToolButtonStyle.ToolButtonIconOnly if compact else Qt.ToolButtonStyle.ToolButtonTextBesideIcon
        self.hang_up.setToolButtonStyle(style)
        self.hang_up.setFixedSize(56 if compact else 132, side)
        self._row.setSpacing(6 if compact else 12)

    def show_full_screen(self, on: bool) -> None:
        self._icon(self.full_screen, "fullscreen-exit" if on else "fullscreen")
        self._say(self.full_screen, "Leave full screen (Esc)" if on else "Full screen (F11)")

    def set_volume_card(self, card: VolumeCard) -> None:
        self.volume_card = card
        card.changed.connect(self._volume_changed)

    # --------------------------------------------------------------------------------------------------------------

    def _round(self) -> tuple[QToolButton, ...]:
        return self.mute, self.camera, self.volume, self.full_screen, self.details, self.more

    def _button(
        self, name: str, icon_name: str, clicked: Callable[[], object], *, checkable: bool = False
    ) -> QToolButton:
        made = ToolButton()
        made.setObjectName(name)
        made.setProperty("look", "call")
        made.setFixedSize(_BUTTON)
        made.setIconSize(QSize(24, 24))
        made.setCheckable(checkable)
        made.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        made.setCursor(Qt.CursorShape.PointingHandCursor)
        self._icon(made, icon_name)
        made.clicked.connect(lambda: clicked())
        return made

    def _icon(self, target: QToolButton, name: str) -> None:
        target.setIcon(icon(name, _WHITE, 24, _BLACK))

    @staticmethod
    def _say(target: QToolButton, words: str) -> None:
        target.setToolTip(words)
        target.setAccessibleName(words.partition(" (")[0])

    def _mute_clicked(self) -> None:
        self.mute_wanted.emit(self.mute.isChecked())

    def _camera_clicked(self) -> None:
        self.camera_wanted.emit(not self.camera.isChecked())

    def _volume_clicked(self) -> None:
        card = self.volume_card
        owner = card.parentWidget() if card is not None else None
        if card is None or owner is None:
            return
        if card.isVisible():
            card.hide()
            return
        top = self.volume.mapTo(owner, QPoint(0, 0))
        card.adjustSize()
        card.move(top.x() + (_BUTTON.width() - card.width()) // 2, top.y() - card.height() - 10)
        card.show()
        card.raise_()
        card.slider.setFocus()

    def _volume_changed(self, value: float) -> None:
        self._icon(self.volume, "volume" if value > 0 else "volume-off")
        self.volume_wanted.emit(value)


class VolumeCard(QFrame):
    """The slider that opens over the volume button: 0 to 150 per cent."""

    changed = Signal(float)

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self.setObjectName("volumeCard")
        box = QVBoxLayout(self)
        box.setContentsMargins(14, 10, 14, 12)
        self._words = label("Volume 100 %")
        self.slider = QSlider(Qt.Orientation.Horizontal)
        self.slider.setObjectName("volumeSlider")
        self.slider.setAccessibleName("Volume")
        self.slider.setRange(0, 150)
        self.slider.setPageStep(10)
        self.slider.setValue(100)
        self.slider.setMinimumWidth(180)
        self.slider.valueChanged.connect(self._moved)
        box.addWidget(self._words)
        box.addWidget(self.slider)
        self.hide()

    def step(self, percent: int) -> None:
        self.slider.setValue(self.slider.value() + percent)

    def _moved(self, value: int) -> None:
        self._words.setText(f"Volume {value} %")
        self.changed.emit(value / 100)
