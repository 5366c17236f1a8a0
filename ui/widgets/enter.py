"""Enter on buttons and in menus: it counts when it comes up on a button, and what repeats while it is held is nothing.

X11 tells a repeating key as released and pressed again, at one time, and Qt does not always mark that. So a press of a
key that has just come up is none, wherever the keyboard has gone meanwhile: a key that is held would else choose, by
its repeats, from the menu that it opened.
"""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING

from PySide6.QtCore import Qt
from PySide6.QtGui import QKeyEvent
from PySide6.QtWidgets import QAbstractButton, QMenu

_Button = QAbstractButton if TYPE_CHECKING else object

_REPEAT_S = 0.04
_CHOOSING = frozenset({Qt.Key.Key_Return, Qt.Key.Key_Enter, Qt.Key.Key_Space, Qt.Key.Key_Select})


def is_enter(event: QKeyEvent) -> bool:
    return event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter)


class _CameUp:
    """When a key that presses or chooses came up last; `stamp` is the window system's time, 0 where it gives none."""

    def __init__(self) -> None:
        self._key, self._at, self._stamp = 0, 0.0, 0

    def note(self, event: QKeyEvent) -> None:
        self._key, self._at, self._stamp = event.key(), time.monotonic(), event.timestamp()

    def note_press(self, event: QKeyEvent) -> None:
        """A key that is held does not repeat past another one: how soon it is down again says nothing any more."""
        if event.key() != self._key:
            self._at = -math.inf

    def is_repeated_by(self, event: QKeyEvent, within_s: float = 0.0) -> bool:
        """Tell whether that key was never let go: it is down again at the same moment, or so soon that nobody does."""
        if event.isAutoRepeat() or event.key() != self._key:
            return event.isAutoRepeat()
        return 0 < self._stamp == event.timestamp() or time.monotonic() - self._at < within_s


_came_up = _CameUp()  # on any button or in any menu


class EnterPresses(_Button):
    """A mixin before a button's class: Enter presses it, as Space does, also where it is no dialog's default."""

    def keyPressEvent(self, event: QKeyEvent) -> None:
        _came_up.note_press(event)
        if not is_enter(event):
            super().keyPressEvent(event)
        elif not _came_up.is_repeated_by(event):
            self.setDown(True)

    def keyReleaseEvent(self, event: QKeyEvent) -> None:
        if event.key() in _CHOOSING:
            _came_up.note(event)
        if not is_enter(event):
            super().keyReleaseEvent(event)
        elif not event.isAutoRepeat() and self.isDown():
            self.setDown(False)
            self.click()


class Menu(QMenu):
    """A menu of which a key that was held when it opened chooses nothing; its submenus are such menus too."""

    def keyPressEvent(self, event: QKeyEvent) -> None:
        _came_up.note_press(event)
        if event.key() in _CHOOSING and _came_up.is_repeated_by(event, _REPEAT_S):
            event.accept()
        else:
            super().keyPressEvent(event)

    def keyReleaseEvent(self, event: QKeyEvent) -> None:
        if event.key() in _CHOOSING:
            _came_up.note(event)
        super().keyReleaseEvent(event)
