"""The global talk key on Windows: RegisterHotKey tells of the press, the key's own state of its release.

A low-level keyboard hook would tell of both, and of every other key of every program; this asks about one key alone.
While it is down its state is looked at every 15 ms.
"""

from __future__ import annotations

import ctypes
from typing import Any

from PySide6.QtCore import QByteArray, QTimer
from PySide6.QtWidgets import QWidget

from ui.global_keys import KeyNotHad, Listener
from ui.key_names import TalkKeyName

_WM_HOTKEY = 0x0312
_ALT, _CONTROL, _SHIFT, _WIN, _NO_REPEAT = 1, 2, 4, 8, 0x4000
_ALREADY_REGISTERED = 1409
_IS_DOWN = 0x8000
_LOOK_MS = 15
_ID = 1


class WindowsKey:
    """See ui.global_keys.GlobalKey. `user32`: the system's functions."""

    def __init__(self, listener: Listener, user32: Any = None) -> None:
        self._listener = listener
        self._user32 = user32
        self._window: _Window | None = None
        self._code = 0
        self._is_down = False
        self._look = QTimer()
        self._look.setInterval(_LOOK_MS)
        self._look.timeout.connect(self._looked)

    async def grab(self, key: TalkKeyName) -> None:
        if not key.windows:
            raise KeyNotHad(f"Windows gives no program the key {key.words}: choose another one.")
        if self._user32 is None:
            self._user32 = ctypes.WinDLL("user32", use_last_error=True)  # type: ignore[attr-defined]
        self._code = key.windows
        held = ((key.alt, _ALT), (key.ctrl, _CONTROL), (key.shift, _SHIFT), (key.meta, _WIN))
        modifiers = sum(bit for on, bit in held if on) | _NO_REPEAT
        window = _Window(self._pressed)
        if not self._user32.RegisterHotKey(ctypes.c_void_p(int(window.winId())), _ID, modifiers, self._code):
            error = ctypes.get_last_error() if hasattr(ctypes, "get_last_error") else _ALREADY_REGISTERED
            if error == _ALREADY_REGISTERED:
                raise KeyNotHad(f"Another program has {key.words} already: choose another key, or free it there.")
            raise KeyNotHad(f"Windows does not give Parley the key {key.words} (error {error}).")
        self._window = window

    def close(self) -> None:
        self._look.stop()
        self._is_down = False
        if self._window is not None:
            self._user32.UnregisterHotKey(ctypes.c_void_p(int(self._window.winId())), _ID)
            self._window.deleteLater()
            self._window = None

    def _pressed(self) -> None:
        if not self._is_down and self._window is not None:
            self._is_down = True
            self._look.start()
            self._listener.key_down()

    def _looked(self) -> None:
        if not self._user32.GetAsyncKeyState(self._code) & _IS_DOWN:
            self._look.stop()
            self._is_down = False
            self._listener.key_up()


class _Window(QWidget):
    """Never shown: Windows tells a window of its keys."""

    def __init__(self, pressed: Any) -> None:
        super().__init__()
        self._pressed = pressed

    def nativeEvent(self, kind: QByteArray | bytes, message: int) -> tuple[bool, int]:
        from ctypes.wintypes import MSG

        if MSG.from_address(int(message)).message == _WM_HOTKEY:
            self._pressed()
            return True, 0
        return False, 0
