"""Which keys can be a talk key for the whole desktop, how they are kept, and what each platform calls them.

A key is kept as Qt's portable text, such as "F9" or "Ctrl+Alt+T": it means the same on every platform and layout.
"""

from __future__ import annotations

from dataclasses import dataclass

from PySide6.QtCore import QKeyCombination, Qt
from PySide6.QtGui import QKeyEvent, QKeySequence

_K = Qt.Key
_MODIFIERS = Qt.KeyboardModifier
_ALONE = (_K.Key_Control, _K.Key_Shift, _K.Key_Alt, _K.Key_AltGr, _K.Key_Meta, _K.Key_Super_L, _K.Key_Super_R)
_LOCKS = (_K.Key_CapsLock, _K.Key_NumLock)


@dataclass(frozen=True, slots=True)
class _Names:
    """A key's keysym (X11) with its name, virtual key (Windows) and key code (macOS, None: its keyboards lack it)."""

    keysym: int
    name: str
    windows: int
    mac: int | None


_MAC_ROWS = (  # key codes of macOS are the places of keys on a US keyboard, counted from these
    (0, "ASDFHGZXCV"),
    (11, "BQWERYT123465"),
    (31, "OU"),
)
_MAC_LETTERS = {letter: first + n for first, letters in _MAC_ROWS for n, letter in enumerate(letters)} | {
    "9": 25,
    "7": 26,
    "8": 28,
    "0": 29,
    "I": 34,
    "P": 35,
    "L": 37,
    "J": 38,
    "K": 40,
    "N": 45,
    "M": 46,
}
_MAC_F = (122, 120, 99, 118, 96, 97, 98, 100, 101, 109, 103, 111, 105, 107, 113, 106, 64, 79, 80, 90)
_F_KEYS = {
    Qt.Key(_K.Key_F1 + n): _Names(0xFFBE + n, f"F{n + 1}", 0x70 + n, _MAC_F[n] if n < len(_MAC_F) else None)
    for n in range(24)
}
_LETTERS = {Qt.Key(ord(c)): _Names(ord(c.lower()), c.lower(), ord(c), mac) for c, mac in _MAC_LETTERS.items()}
_FREE = {  # keys that nobody types with: they may stand alone, as the function keys may
    _K.Key_Pause: _Names(0xFF13, "Pause", 0x13, None),
    _K.Key_ScrollLock: _Names(0xFF14, "Scroll_Lock", 0x91, None),
    _K.Key_Insert: _Names(0xFF63, "Insert", 0x2D, 114),
    _K.Key_Menu: _Names(0xFF67, "Menu", 0x5D, None),
    _K.Key_MediaPlay: _Names(0x1008FF14, "XF86AudioPlay", 0xB3, None),
    _K.Key_MediaTogglePlayPause: _Names(0x1008FF14, "XF86AudioPlay", 0xB3, None),
    _K.Key_MicMute: _Names(0x1008FFB2, "XF86AudioMicMute", 0, None),
}
_TYPED = {
    _K.Key_Space: _Names(0x20, "space", 0x20, 49),
    _K.Key_Home: _Names(0xFF50, "Home", 0x24, 115),
    _K.Key_End: _Names(0xFF57, "End", 0x23, 119),
    _K.Key_PageUp: _Names(0xFF55, "Prior", 0x21, 116),
    _K.Key_PageDown: _Names(0xFF56, "Next", 0x22, 121),
}
_ALL = {**_F_KEYS, **_LETTERS, **_FREE, **_TYPED}
_MAY_STAND_ALONE = frozenset({**_F_KEYS, **_FREE})


class UnfitKey(ValueError):
    """A key that cannot be a talk key; the text is one sentence for a person."""


@dataclass(frozen=True, slots=True)
class TalkKeyName:
    """A key with what is held besides it; `keysym` and the others as the platforms call it."""

    key: Qt.Key
    ctrl: bool = False
    alt: bool = False
    shift: bool = False
    meta: bool = False

    @classmethod
    def parse(cls, text: str) -> TalkKeyName:
        """Read what `str` gives; UnfitKey says why not."""
        sequence = QKeySequence.fromString(text, QKeySequence.SequenceFormat.PortableText)
        if sequence.count() != 1:
            raise UnfitKey(f"{text[:40]!r} is no key.")
        return cls._of(sequence[0])

    @classmethod
    def pressed(cls, event: QKeyEvent) -> TalkKeyName | None:
        """What somebody presses; None while only Ctrl and the like are down. UnfitKey says why it will not do."""
        if event.key() in (*_ALONE, 0, _K.Key_unknown):
            return None
        return cls._of(event.keyCombination())

    @classmethod
    def _of(cls, pressed: QKeyCombination) -> TalkKeyName:
        key, held = pressed.key(), pressed.keyboardModifiers()
        made = cls(
            key,
            bool(held & _MODIFIERS.ControlModifier),
            bool(held & _MODIFIERS.AltModifier),
            bool(held & _MODIFIERS.ShiftModifier),
            bool(held & _MODIFIERS.MetaModifier),
        )
        if key in _ALONE or key in _LOCKS:
            raise UnfitKey("Take another key than this, or one together with it.")
        if key not in _ALL:
            raise UnfitKey("Take a function key, Pause, or a letter or digit together with Ctrl, Alt or Meta.")
        if key not in _MAY_STAND_ALONE and not (made.ctrl or made.alt or made.meta):
            raise UnfitKey(f"{made.words} alone could not be typed any more: hold Ctrl, Alt or Meta with it.")
        return made

    def __str__(self) -> str:
        return self._sequence.toString(QKeySequence.SequenceFormat.PortableText)

    @property
    def words(self) -> str:
        """As this platform writes it."""
        return self._sequence.toString(QKeySequence.SequenceFormat.NativeText)

    @property
    def keysym(self) -> int:
        return _ALL[self.key].keysym

    @property
    def trigger(self) -> str:
        """As the shortcuts specification of freedesktop.org writes it."""
        held = ((self.ctrl, "CTRL"), (self.alt, "ALT"), (self.shift, "SHIFT"), (self.meta, "LOGO"))
        return "+".join([*(name for on, name in held if on), _ALL[self.key].name])

    @property
    def windows(self) -> int:
        """The virtual key; 0 where Windows has none."""
        return _ALL[self.key].windows

    @property
    def mac(self) -> int | None:
        return _ALL[self.key].mac

    @property
    def _sequence(self) -> QKeySequence:
        held = _MODIFIERS.NoModifier
        for on, modifier in (
            (self.ctrl, _MODIFIERS.ControlModifier),
            (self.alt, _MODIFIERS.AltModifier),
            (self.shift, _MODIFIERS.ShiftModifier),
            (self.meta, _MODIFIERS.MetaModifier),
        ):
            held |= modifier if on else _MODIFIERS.NoModifier
        return QKeySequence(QKeyCombination(held, self.key))
