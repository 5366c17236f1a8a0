"""The menu behind the call's "More" button: what is done seldom in a call, each with its state."""

from __future__ import annotations

from PySide6.QtCore import Signal
from PySide6.QtGui import QAction
from PySide6.QtWidgets import QWidget

from app.events import CallInfo, CallState
from ui.widgets.enter import Menu


class MoreMenu(Menu):
    """Emits what is wanted; `show_call` sets words and states to what is."""

    keypad_wanted = Signal()
    hold_wanted = Signal(bool)
    share_wanted = Signal(bool)
    record_wanted = Signal(bool)
    still_wanted = Signal()
    devices_wanted = Signal()

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self.setObjectName("moreMenu")
        self.setAccessibleName("More")
        self.setToolTipsVisible(True)
        self._held = self._shares = self._records = False
        self.keypad = self._action("keypadAction", "&Keypad", "Press keys of a telephone; typing digits does it too")
        self.keypad.triggered.connect(self.keypad_wanted)
        self.share = self._action("shareAction", "&Share screen…", "Show a screen or a window instead of the camera")
        self.record = self._action("recordAction", "&Record", "Keep this call in a file, both sides")
        self.record.triggered.connect(lambda: self.record_wanted.emit(not self._records))
        self.still = self._action("stillAction", "Keep a &picture", "Keep what is seen now as a picture")
        self.still.triggered.connect(self.still_wanted)
        self.share.triggered.connect(lambda: self.share_wanted.emit(not self._shares))
        self.devices = self._action(
            "devicesAction", "Sound and p&icture…", "Choose microphone, speaker and camera; the call goes on with them"
        )
        self.devices.triggered.connect(self.devices_wanted)
        self.hold = self._action("holdAction", "&Hold")
        self.hold.triggered.connect(lambda: self.hold_wanted.emit(not self._held))

    def show_call(self, call: CallInfo) -> None:
        """Set the actions to a call's state."""
        talking = call.state in (CallState.CONNECTED, CallState.INTERRUPTED)
        self._held, self._shares, self._records = call.held, bool(call.sharing), call.recording is not None
        self.share.setText("Stop &sharing" if call.sharing else "&Share screen…")
        self.share.setEnabled(talking and (bool(call.sharing) or (call.has_video and not call.held)))
        self.keypad.setEnabled(call.state is CallState.CONNECTED and not call.held)
        self.record.setText("Stop &recording" if self._records else "&Record")
        self.record.setEnabled(talking)
        self.hold.setText("Go on with the call" if call.held else "&Hold")
        self.hold.setEnabled(talking)

    def _action(self, name: str, words: str, hint: str = "") -> QAction:
        made = self.addAction(words)
        made.setObjectName(name)
        made.setToolTip(hint or words.replace("&", ""))
        return made
