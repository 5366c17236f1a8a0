"""One channel as a card: its talk button, its facts, and below them what can be set for it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from PySide6.QtCore import QSize, Qt, Signal
from PySide6.QtGui import QAction, QActionGroup, QMouseEvent
from PySide6.QtWidgets import (
    QFrame,
    QHBoxLayout,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from app.events import ChannelInfo, TalkMode
from ui import channel_words
from ui.channel_words import MODE_SHORT, MODES
from ui.plain_tips import plain_tip
from ui.theme.icons import icon
from ui.theme.manager import Theme
from ui.widgets.basics import ToolButton, icon_button, label, restyle
from ui.widgets.channel_sound import ChannelSound
from ui.widgets.chip_row import ChipRow
from ui.widgets.elided import ElidedLabel
from ui.widgets.enter import Menu
from ui.widgets.talk_button import TalkButton


class ChannelCard(QFrame):
    """Emits what is wanted for its channel; `show_channel` sets it to what is."""

    pressed = Signal()
    released = Signal()
    join_wanted = Signal(bool)
    mute_wanted = Signal(bool)
    volume_wanted = Signal(float)
    pan_wanted = Signal(float)
    mode_wanted = Signal(object)
    primary_wanted = Signal()
    chosen = Signal()

    def __init__(self, theme: Theme, info: ChannelInfo, over: QWidget) -> None:
        """`over`: the widget that the card stands in somewhere, for what floats below the card."""
        super().__init__()
        self.setObjectName("channelCard")
        self.setProperty("look", "channelCard")
        self._theme = theme
        self.info = info
        self._key = ""
        self._pressing = False
        box = QVBoxLayout(self)
        box.setContentsMargins(14, 10, 14, 10)
        box.setSpacing(8)
        top = QHBoxLayout()
        self.name = ElidedLabel("heading", "channelName")
        self.hint = label("", "small", "channelKey")
        top.addWidget(self.name, 1)
        top.addWidget(self.hint)
        box.addLayout(top)
        self.talk = TalkButton(theme, info.name)
        self.talk.went_down.connect(self._went_down)
        self.talk.came_up.connect(self._came_up)
        box.addWidget(self.talk)
        self.chips = ChipRow(theme, "channelChips")
        box.addWidget(self.chips)
        box.addStretch(1)
        box.addWidget(self._tools())
        self.sound = ChannelSound(info, self.tune)
        self.sound.volume_wanted.connect(self.volume_wanted)
        self.sound.pan_wanted.connect(self.pan_wanted)
        self.sound.leave_wanted.connect(lambda: self.join_wanted.emit(False))
        self.sound.float_below(self, over)
        theme.changed.connect(self._tint)

    # What it is built of ------------------------------------------------------------------------------------------

    def _tools(self) -> QWidget:
        tools = QWidget()
        row = QHBoxLayout(tools)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(2)
        self.mute = self._tool("channelMute", "volume", self._mute_clicked)
        self.tune = self._tool("channelTune", "sliders")
        self.primary = self._tool("channelPrimary", "star", self._primary_clicked)
        self.recent = self._tool("channelRecent", "history", self.chosen.emit)
        self.mode = ToolButton()
        self.mode.setObjectName("channelMode")
        self.mode.setProperty("look", "mode")
        self.mode.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.mode.setCursor(Qt.CursorShape.PointingHandCursor)
        self.mode.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextOnly)
        self.mode.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        self.mode.setMenu(self._mode_menu())
        for part in (self.mute, self.tune, self.primary, self.recent):
            row.addWidget(part)
        row.addStretch(1)
        row.addWidget(self.mode)
        return tools

    def _tool(self, name: str, icon_name: str, clicked: Callable[[], object] | None = None) -> QToolButton:
        made = icon_button(self._theme, icon_name, name, name, clicked, size=18)
        made.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        return made

    def _mode_menu(self) -> Menu:
        menu = Menu(self)
        menu.setObjectName("channelModeMenu")
        group = QActionGroup(menu)
        self._modes: dict[TalkMode, QAction] = {}
        for mode, (words, hint) in MODES.items():
            action = menu.addAction(words)
            action.triggered.connect(partial(self.mode_wanted.emit, mode))
            action.setToolTip(hint)
            action.setCheckable(True)
            group.addAction(action)
            self._modes[mode] = action
        menu.setToolTipsVisible(True)
        return menu

    @property
    def controls(self) -> tuple[QWidget, ...]:
        """In the order in which they stand."""
        return self.talk, self.mute, self.tune, self.primary, self.recent, self.mode

    # What is shown ------------------------------------------------------------------------------------------------

    def show_channel(self, info: ChannelInfo, key: str, *, chosen: bool, now: float | None, wall: float) -> None:
        """Show a channel; `key` talks there ("" for none), `chosen`: its last bursts are shown."""
        self.info, self._key = info, key
        self.name.setText(info.name)
        self.name.setToolTip(plain_tip(info.description or info.name))
        self.hint.setText(" · ".join(part for part in ("primary" if info.primary else "", key) if part))
        self.tick(now, wall)
        for part in (self.mute, self.tune, self.primary, self.recent, self.mode):
            part.setVisible(info.joined or part is self.recent)
        self._say(self.mute, f"Unmute {info.name}" if info.muted else f"Mute {info.name}")
        self._say(self.tune, f"Volume and side of {info.name}, leave it")
        primary = f"{info.name} is the primary channel" if info.primary else f"Make {info.name} the primary channel"
        self._say(self.primary, primary)
        self._say(self.recent, f"Show the last bursts of {info.name}")
        restyle(self.recent, chosen="yes" if chosen else "no")
        self.mode.setText(f"{MODE_SHORT[info.talk_mode]} ▾")
        self._say(self.mode, f"How to talk on {info.name}: {MODES[info.talk_mode][0].lower()}")
        self._modes[info.talk_mode].setChecked(True)
        self.mode.setVisible(info.joined and not info.why_mute)
        self.sound.show_channel(info)
        self._tint()

    def tick(self, now: float | None, wall: float) -> None:
        """Go on with the running times; `now` on the engine's clock."""
        info = self.info
        face = channel_words.face(info, now, wall)
        self.talk.show_face(info.name, face, self._key)
        self.talk.setCursor(
            Qt.CursorShape.PointingHandCursor if channel_words.can_press(info) else Qt.CursorShape.ArrowCursor
        )
        said = channel_words.state_of_link(info, now)
        self.chips.show_chips(channel_words.chips(info), said, info.grade, widest=channel_words.widest(info))
        mark = "urgent" if face.urgent else face.state
        restyle(self, mark="limited" if mark == "idle" and info.joined and info.link.limited else mark)

    def _say(self, part: QWidget, words: str) -> None:
        part.setAccessibleName(words)
        part.setToolTip(words)

    def _tint(self) -> None:
        tokens, info = self._theme.tokens, self.info
        for part, name, colour in (
            (self.mute, "volume-off" if info.muted else "volume", tokens.warn if info.muted else tokens.muted),
            (self.tune, "sliders", tokens.muted),
            (self.primary, "star-full" if info.primary else "star", tokens.accent if info.primary else tokens.muted),
            (self.recent, "history", tokens.accent if self.recent.property("chosen") == "yes" else tokens.muted),
        ):
            part.setIcon(icon(name, colour, 18))

    def minimumSizeHint(self) -> QSize:
        return QSize(200, 120)

    # What is wanted -----------------------------------------------------------------------------------------------

    def _went_down(self) -> None:
        if not self.info.joined or not channel_words.can_press(self.info):
            return
        self._pressing = True
        self.pressed.emit()

    def _came_up(self) -> None:
        if self._pressing:
            self._pressing = False
            self.released.emit()
        elif not self.info.joined:
            self.join_wanted.emit(True)

    def _mute_clicked(self) -> None:
        self.mute_wanted.emit(not self.info.muted)

    def _primary_clicked(self) -> None:
        if not self.info.primary:
            self.primary_wanted.emit()

    def mousePressEvent(self, event: QMouseEvent) -> None:
        if event.button() is Qt.MouseButton.LeftButton:
            self.chosen.emit()
        super().mousePressEvent(event)
