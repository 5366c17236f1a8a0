"""The global talk key on X11: the server is asked for this one key (X.Org, "X Window System Protocol", GrabKey).

While the key is down the server gives the whole keyboard to whoever grabbed it, so nothing can be typed meanwhile; we
look at no other key. The keyboard's own repeating is turned off for our connection alone ("detectable auto-repeat", The
X Keyboard Extension, XkbPerClientFlags): a key that is held is one press and one release.
"""

from __future__ import annotations

import asyncio
import struct

from PySide6.QtCore import QSocketNotifier

from app.x11_wire import X11Error, XConnection
from ui.global_keys import KeyNotHad, Listener
from ui.key_names import TalkKeyName

_GRAB_KEY, _GET_KEYBOARD_MAPPING, _GET_MODIFIER_MAPPING = 33, 101, 119
_XKB_USE, _XKB_PER_CLIENT = 0, 21
_CORE_KEYBOARD, _DETECTABLE_REPEAT = 0x100, 1
_PRESS, _RELEASE = 2, 3
_ASYNC = 1
_SHIFT, _LOCK, _CONTROL = 1, 2, 4
_ALT_L, _ALT_R, _META_L, _SUPER_L, _SUPER_R = 0xFFE9, 0xFFEA, 0xFFE7, 0xFFEB, 0xFFEC
_NUM_LOCK, _SCROLL_LOCK = 0xFF7F, 0xFF14


class X11Key:
    """See ui.global_keys.GlobalKey. `display` None: what DISPLAY names."""

    def __init__(self, listener: Listener, display: str | None = None) -> None:
        self._listener = listener
        self._display = display
        self._wire: XConnection | None = None
        self._notifier: QSocketNotifier | None = None
        self._codes: set[int] = set()
        self._down: int | None = None  # the code that is held
        self._is_closed = False

    async def grab(self, key: TalkKeyName) -> None:
        wire = await asyncio.to_thread(self._open, key)
        if self._is_closed:
            wire.close()
            return
        self._wire = wire
        self._notifier = QSocketNotifier(wire.fileno(), QSocketNotifier.Type.Read)
        self._notifier.activated.connect(self._read)
        self._read()  # what came while another thread waited for replies

    def close(self) -> None:
        self._is_closed = True
        if self._notifier is not None:
            self._notifier.setEnabled(False)
            self._notifier.deleteLater()
            self._notifier = None
        if self._wire is not None:
            self._wire.close()  # the server gives back every key of a connection that ends
            self._wire = None
        self._down = None

    def _open(self, key: TalkKeyName) -> XConnection:
        """Runs in a thread of its own: a server far away may take seconds."""
        try:
            wire = XConnection(self._display)
        except X11Error as error:
            raise KeyNotHad(f"The desktop's X server gives no key: {error}.") from error
        try:
            xkb = wire.extension("XKEYBOARD")
            if xkb is None:
                raise KeyNotHad("This X server repeats a key that is held and does not say so (no XKEYBOARD).")
            wire.ask(xkb, _XKB_USE, struct.pack("<HH", 1, 0))
            flags = struct.pack("<HxxIIIII", _CORE_KEYBOARD, _DETECTABLE_REPEAT, _DETECTABLE_REPEAT, 0, 0, 0)
            wire.ask(xkb, _XKB_PER_CLIENT, flags)
            self._take(wire, key)
        except X11Error as error:
            wire.close()
            raise KeyNotHad(f"The desktop's X server gives no key: {error}.") from error
        except KeyNotHad:
            wire.close()
            raise
        return wire

    def _take(self, wire: XConnection, key: TalkKeyName) -> None:
        """Grab the key with and without the locks, which nobody means to be part of it."""
        codes = _codes_of(wire)
        wanted = {code for code, symbols in codes.items() if key.keysym in symbols[:3:2]}  # either layout, unshifted
        if not wanted:
            raise KeyNotHad(f"This keyboard has no key {key.words}.")
        modifiers = _modifiers_of(wire, codes)
        needed = (_CONTROL if key.ctrl else 0) | (_SHIFT if key.shift else 0)
        for is_held, symbols, name in (
            (key.alt, (_ALT_L, _ALT_R, _META_L), "Alt"),
            (key.meta, (_SUPER_L, _SUPER_R), "Super"),
        ):
            mask = next((modifiers[symbol] for symbol in symbols if symbol in modifiers), None)
            if is_held and mask is None:
                raise KeyNotHad(f"This keyboard has no key {name}.")
            needed |= (mask or 0) if is_held else 0
        locks = {_LOCK, modifiers.get(_NUM_LOCK, 0), modifiers.get(_SCROLL_LOCK, 0)} - {0, needed}
        masks = {needed}
        for lock in locks:
            masks |= {mask | lock for mask in masks}
        sent = [
            wire.send(_GRAB_KEY, 0, struct.pack("<IHBBB3x", wire.root, mask, code, _ASYNC, _ASYNC))
            for code in sorted(wanted)
            for mask in sorted(masks)
        ]
        refused = wire.complaints()
        if any(number in refused for number in sent):
            raise KeyNotHad(f"Another program has {key.words} already: choose another key, or free it there.")
        self._codes = wanted

    def _read(self) -> None:
        wire = self._wire
        if wire is None:
            return
        try:
            events = wire.events()
        except X11Error:
            was_down = self._down is not None
            self.close()
            if was_down:
                self._listener.key_up()
            self._listener.key_lost("The desktop's X server ended the connection: the talk key is not heard any more.")
            return
        for event in events:
            self._handle(event)

    def _handle(self, event: bytes) -> None:
        kind, code = event[0] & 0x7F, event[1]
        if kind == _PRESS and code in self._codes and self._down is None:
            self._down = code
            self._listener.key_down()
        elif kind == _RELEASE and code == self._down:
            self._down = None
            self._listener.key_up()


def _codes_of(wire: XConnection) -> dict[int, tuple[int, ...]]:
    """The symbols of each key of the keyboard."""
    first, last = wire.keycodes
    reply = wire.ask(_GET_KEYBOARD_MAPPING, 0, struct.pack("<BBxx", first, last - first + 1))
    each = reply[1]
    symbols = struct.unpack_from(f"<{(last - first + 1) * each}I", reply, 32)
    return {first + n: symbols[n * each : (n + 1) * each] for n in range(last - first + 1)}


def _modifiers_of(wire: XConnection, codes: dict[int, tuple[int, ...]]) -> dict[int, int]:
    """Which bit stands for the key with a symbol, for every symbol on a modifier key."""
    reply = wire.ask(_GET_MODIFIER_MAPPING, 0, b"")
    each, found = reply[1], {}
    for bit in range(8):
        for code in reply[32 + bit * each : 32 + (bit + 1) * each]:
            for symbol in codes.get(code, ()):
                if symbol:
                    found.setdefault(symbol, 1 << bit)
    return found
