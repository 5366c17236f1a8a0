"""One channel as a card: its talk button, its facts, and below them what can be set for it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from PySide6.QtCore import QSize, Qt, Signal
from PySide6.QtGui import QAction, QActionGroup, QMouseEvent, QResizeEvent
from PySide6.QtWidgets import (
    QBoxLayout,
    QFrame,
    QHBoxLayout,
    QToolButton,
    QWidget,
)

from app.events import ChannelInfo, TalkMode
from ui import channel_words
from ui.channel_words import MODE_SHORT, MODES
from ui.plain_tips import plain_tip
from ui.theme.icons import icon, pixmap
from ui.theme.manager import Theme
from ui.widgets.basics import ToolButton, icon_button, label, restyle
from ui.widgets.channel_sound import ChannelSound
from ui.widgets.chip_row import ChipRow
from ui.widgets.elided import ElidedLabel
from ui.widgets.enter import Menu
from ui.widgets.talk_button import TalkButton

_NAME_SHARE, _MOST_NAME = 0.24, 190  # of a line, and in pixels
_HINT_FROM = 400  # pixels: a narrower line has no room for the key
_SIGN = 16
_UNBOUNDED = 16_777_215  # pixels, Qt's


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
        self._is_compact = False
        self._box = QBoxLayout(QBoxLayout.Direction.TopToBottom, self)
        self._head = QHBoxLayout()
        self.name = ElidedLabel("heading", "channelName")
        self.hint = label("", "small", "channelKey")
        self.sign = label("", "", "channelSign")
        self.sign.setFixedWidth(_SIGN)
        self._head.addWidget(self.name, 1)
        self._head.addWidget(self.sign)
        self._head.addWidget(self.hint)
        self._box.addLayout(self._head)
        self.talk = TalkButton(theme, info.name)
        self.talk.went_down.connect(self._went_down)
        self.talk.came_up.connect(self._came_up)
        self._box.addWidget(self.talk)
        self.chips = ChipRow(theme, "channelChips")
        self._tools, self._more = QHBoxLayout(), QWidget()
        self._box.addLayout(self._tools)
        self._fill_tools()
        self.sound = ChannelSound(info, self.tune)
        self.sound.volume_wanted.connect(self.volume_wanted)
        self.sound.pan_wanted.connect(self.pan_wanted)
        self.sound.leave_wanted.connect(lambda: self.join_wanted.emit(False))
        self.sound.float_below(self, over)
        self._lay_out()
        theme.changed.connect(self._tint)

    # What it is built of ------------------------------------------------------------------------------------------

    def _fill_tools(self) -> None:
        more = QHBoxLayout(self._more)
        more.setContentsMargins(0, 0, 0, 0)
        for row in (self._tools, more):
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
        self._tools.addWidget(self.mute)
        self._tools.addWidget(self.tune)
        more.addWidget(self.primary)
        more.addWidget(self.recent)
        more.addStretch(1)
        more.addWidget(self.mode)

    def set_compact(self, on: bool) -> None:
        """Be one line: its facts and what is set seldom stand with the volume then."""
        if on is not self._is_compact:
            self._is_compact = on
            self.sound.put_away()
            self._lay_out()
            self.show_hint()

    def _lay_out(self) -> None:
        compact = self._is_compact
        self.talk.set_compact(compact)
        self._box.setDirection(QBoxLayout.Direction.LeftToRight if compact else QBoxLayout.Direction.TopToBottom)
        self._box.setContentsMargins(*((12, 4, 6, 4) if compact else (14, 10, 14, 10)))
        if compact:
            self.sound.take_in((self.chips, self._more), (self.primary, self.recent, self.mode))
        else:
            self.sound.take_in((), ())
            self._box.insertWidget(2, self.chips, 1)
            self._tools.addWidget(self._more, 1)
        self._box.setStretchFactor(self.talk, 1 if compact else 0)
        self._box.setSpacing(8)
        for part in (self.chips, self._more):
            part.show()
        for styled in (self, self.name, self.mute, self.tune):
            restyle(styled, compact="yes" if compact else "no")
        self._fit_name()

    def _fit_name(self) -> None:
        """All names take the same part of their lines."""
        room = max(64, min(_MOST_NAME, round(self.width() * _NAME_SHARE)))
        self.name.setMinimumWidth(room if self._is_compact else 0)
        self.name.setMaximumWidth(room if self._is_compact else _UNBOUNDED)
        self.hint.setMinimumWidth(self.hint.fontMetrics().horizontalAdvance("Space") if self._is_compact else 0)
        self.hint.setVisible(not self._is_compact or self.width() >= _HINT_FROM)

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._fit_name()

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
        self.show_hint()
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
        restyle(self, chosen="yes" if chosen else "no")
        self._tint()

    def show_hint(self) -> None:
        """Say which key talks here, and in one line only that; what is amiss has a sign there."""
        primary = "primary" if self.info.primary and not self._is_compact else ""
        self.hint.setText(" · ".join(part for part in (primary, self._key) if part))
        signs = [chip for chip in channel_words.chips(self.info) if chip.icon]
        self.sign.setVisible(self._is_compact)
        if signs:
            worst = signs[-1]
            colour = getattr(self._theme.tokens, worst.tone)
            self.sign.setPixmap(pixmap(worst.icon, colour, _SIGN, self.devicePixelRatioF()))
        else:
            self.sign.clear()
        self.sign.setAccessibleName(", ".join(chip.text for chip in signs))
        self.sign.setToolTip(plain_tip(" ".join(chip.detail for chip in signs)))

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
        return QSize(200, 40 if self._is_compact else 120)

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
