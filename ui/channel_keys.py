"""The talk keys of the channel panel: Space for the primary channel, a function key for each card.

They work while the panel is shown and its window has the keyboard, wherever in the window the focus is, but for Space
in a field that is written in or on a control that Space itself works on.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from PySide6.QtCore import QEvent, QObject, Qt, QTimer
from PySide6.QtGui import QKeyEvent
from PySide6.QtWidgets import (
    QAbstractButton,
    QAbstractSpinBox,
    QApplication,
    QComboBox,
    QLineEdit,
    QPlainTextEdit,
    QTextEdit,
    QWidget,
)

from app.events import ChannelId
from ui.widgets.talk_button import TalkButton

_WATCH_MS = 150
_REPEAT_MS = 40  # X11 tells a repeating key as released and pressed again; Qt does not always see that it is one
_FUNCTION = {int(Qt.Key.Key_F1) + number: number for number in range(12) if number != 10}  # F11 is full screen
_BUTTON_KEYS = frozenset({Qt.Key.Key_Space, Qt.Key.Key_Return, Qt.Key.Key_Enter})
_PLAIN = (Qt.KeyboardModifier.NoModifier, Qt.KeyboardModifier.KeypadModifier)


def key_name(number: int) -> str:
    """Name the key of the card at a place, from 0; "" where there is none."""
    return f"F{number + 1}" if int(Qt.Key.Key_F1) + number in _FUNCTION else ""


class TalkKeys(QObject):
    """`press` and `release` are called in pairs with the channel that a key stands for when it goes down.

    Space and Enter on a talk button that has the focus hold that button instead.
    """

    def __init__(
        self,
        panel: QWidget,
        channel_of: Callable[[int | None], ChannelId | None],
        press: Callable[[ChannelId], object],
        release: Callable[[ChannelId], object],
    ) -> None:
        """`channel_of` gives the channel of the card at a place, or for None the primary one."""
        super().__init__(panel)
        self._panel, self._channel_of = panel, channel_of
        self._press, self._release = press, release
        self._held: dict[int, Callable[[], object]] = {}  # by key: what ends it
        self._ending: dict[int, QTimer] = {}
        self._let_up: tuple[int, float, int] | None = None  # the key that came up and had not gone down here, and when
        self._watched: QWidget | None = None
        self._watch = QTimer(self)  # a menu or another window may take the keyboard without the focus going anywhere
        self._watch.setInterval(_WATCH_MS)
        self._watch.timeout.connect(self._look)
        app = QApplication.instance()
        assert isinstance(app, QApplication)
        app.focusChanged.connect(self._focus_changed)

    def follow(self) -> None:
        """Begin to hear keys: the panel is shown."""
        self._hear(self._panel.window().focusWidget() or self._panel.window())

    def let_go(self) -> None:
        """End every burst that a key holds."""
        for key in list(self._held):
            self._end(key)

    def _end(self, key: int) -> None:
        ending = self._ending.pop(key, None)
        if ending is not None:
            ending.stop()
            ending.deleteLater()
        release = self._held.pop(key, None)
        if not self._held:
            self._watch.stop()
        if release is not None:
            release()

    def stop(self) -> None:
        """Hear no more keys: the panel is hidden."""
        self.let_go()
        self._hear(None)

    def _hear(self, widget: QWidget | None) -> None:
        if widget is self._watched:
            return
        if self._watched is not None:
            self._watched.removeEventFilter(self)
            self._watched.destroyed.disconnect(self._gone)
        self._watched = widget
        if widget is not None:
            widget.installEventFilter(self)
            widget.destroyed.connect(self._gone)

    def _gone(self) -> None:
        self._watched = None

    def _focus_changed(self, old: QWidget | None, new: QWidget | None) -> None:
        if not self._panel.isVisible():
            return
        if new is None or new.window() is not self._panel.window():
            self.let_go()
            return
        self._hear(new)

    def _look(self) -> None:
        if QApplication.activePopupWidget() is not None or not self._panel.isActiveWindow():
            self.let_go()

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if not isinstance(event, QKeyEvent) or not self._panel.isVisible():
            return False
        key = event.key()
        if event.type() is QEvent.Type.KeyPress:
            return self._key_down(event, watched)
        if event.type() is QEvent.Type.KeyRelease and key not in self._held:
            self._let_up = key, time.monotonic(), event.timestamp()
        elif event.type() is QEvent.Type.KeyRelease:
            if not event.isAutoRepeat() and key not in self._ending:
                ending = self._ending[key] = QTimer(self)
                ending.setSingleShot(True)
                ending.timeout.connect(lambda: self._end(key))
                ending.start(_REPEAT_MS)
            return True
        return False

    def _key_down(self, event: QKeyEvent, watched: QObject) -> bool:
        key = event.key()
        if key in self._held:
            ending = self._ending.pop(key, None)
            if ending is not None:
                ending.stop()
                ending.deleteLater()
            return True
        if event.modifiers() not in _PLAIN:
            return False
        if self._only_repeats(event):
            return key in _FUNCTION
        if isinstance(watched, TalkButton) and key in _BUTTON_KEYS:
            if not event.isAutoRepeat():
                watched.hold()
                self._hold(key, watched.let_go)
            return True
        if key not in _FUNCTION and (key != Qt.Key.Key_Space or _wants_space(watched)):
            return False
        channel_id = self._channel_of(_FUNCTION.get(key))
        if channel_id is None:
            return False
        if not event.isAutoRepeat():
            self._press(channel_id)
            self._hold(key, lambda: self._release(channel_id))
        return True

    def _only_repeats(self, event: QKeyEvent) -> bool:
        """Tell whether a key was down before the keyboard came here. X11 gives both halves of a repeat one time."""
        if self._let_up is None or self._let_up[0] != event.key():
            return False
        _, at, stamp = self._let_up
        return time.monotonic() - at < _REPEAT_MS / 1000 or 0 < stamp == event.timestamp()

    def _hold(self, key: int, release: Callable[[], object]) -> None:
        self._held[key] = release
        self._watch.start()


def _wants_space(widget: QObject) -> bool:
    """Tell whether Space belongs to a widget: text is written there, or it is what Space works on."""
    if isinstance(widget, QPlainTextEdit | QTextEdit | QLineEdit):
        return not widget.isReadOnly()
    return isinstance(widget, QAbstractButton | QComboBox | QAbstractSpinBox)
