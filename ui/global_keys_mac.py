"""The global talk key on macOS: RegisterEventHotKey of Carbon's event manager, which needs no permission.

Watching the keyboard by other means needs the person's leave in the system settings, and shows every key that is typed;
this tells of one key, when it goes down and when it goes up.
"""

from __future__ import annotations

import ctypes
import ctypes.util
from typing import Any

from ui.global_keys import KeyNotHad, Listener
from ui.key_names import TalkKeyName

_KEYBOARD_CLASS = int.from_bytes(b"keyb")
_SIGNATURE = int.from_bytes(b"Prly")
_PRESSED, _RELEASED = 5, 6
_COMMAND, _SHIFT, _OPTION, _CONTROL = 0x100, 0x200, 0x800, 0x1000
_EXISTS = -9878


class _EventType(ctypes.Structure):
    _fields_ = (("event_class", ctypes.c_uint32), ("kind", ctypes.c_uint32))


class _KeyId(ctypes.Structure):
    _fields_ = (("signature", ctypes.c_uint32), ("number", ctypes.c_uint32))


_Handler = ctypes.CFUNCTYPE(ctypes.c_int32, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p)


class MacKey:
    """See ui.global_keys.GlobalKey. Carbon's events come through the loop that Qt runs on macOS."""

    def __init__(self, listener: Listener) -> None:
        self._listener = listener
        self._carbon: Any = None
        self._handler = _Handler(self._told)  # kept: the system holds no reference to it
        self._installed = ctypes.c_void_p()
        self._registered = ctypes.c_void_p()
        self._is_down = False

    async def grab(self, key: TalkKeyName) -> None:
        if key.mac is None:
            raise KeyNotHad(f"Keyboards of this system have no key {key.words}: choose another one.")
        self._carbon = _carbon()
        target = self._carbon.GetApplicationEventTarget()
        kinds = (_EventType * 2)(_EventType(_KEYBOARD_CLASS, _PRESSED), _EventType(_KEYBOARD_CLASS, _RELEASED))
        failed = self._carbon.InstallEventHandler(target, self._handler, 2, kinds, None, ctypes.byref(self._installed))
        if failed:
            raise KeyNotHad(f"macOS does not tell Parley of keys (error {failed}).")
        # Qt calls the command key Ctrl here, and the control key Meta.
        held = ((key.ctrl, _COMMAND), (key.alt, _OPTION), (key.shift, _SHIFT), (key.meta, _CONTROL))
        modifiers = sum(bit for on, bit in held if on)
        failed = self._carbon.RegisterEventHotKey(
            key.mac, modifiers, _KeyId(_SIGNATURE, 1), target, 0, ctypes.byref(self._registered)
        )
        if failed == _EXISTS:
            raise KeyNotHad(f"Another program has {key.words} already: choose another key, or free it there.")
        if failed:
            raise KeyNotHad(f"macOS does not give Parley the key {key.words} (error {failed}).")

    def close(self) -> None:
        self._is_down = False
        if self._registered:
            self._carbon.UnregisterEventHotKey(self._registered)
            self._registered = ctypes.c_void_p()
        if self._installed:
            self._carbon.RemoveEventHandler(self._installed)
            self._installed = ctypes.c_void_p()

    def _told(self, next_handler: int, event: int, data: int) -> int:
        is_down = self._carbon.GetEventKind(event) == _PRESSED
        if is_down is not self._is_down:
            self._is_down = is_down
            (self._listener.key_down if is_down else self._listener.key_up)()
        return 0


def _carbon() -> Any:
    path = ctypes.util.find_library("Carbon")
    if path is None:
        raise KeyNotHad("This system has no Carbon event manager, which would tell Parley of the key.")
    carbon = ctypes.CDLL(path)
    pointer, number = ctypes.c_void_p, ctypes.c_uint32
    carbon.GetApplicationEventTarget.restype = pointer
    carbon.InstallEventHandler.argtypes = (pointer, _Handler, ctypes.c_ulong, pointer, pointer, pointer)
    carbon.RegisterEventHotKey.argtypes = (number, number, _KeyId, pointer, number, pointer)
    carbon.UnregisterEventHotKey.argtypes = (pointer,)
    carbon.RemoveEventHandler.argtypes = (pointer,)
    carbon.GetEventKind.argtypes = (pointer,)
    carbon.GetEventKind.restype = number
    return carbon
