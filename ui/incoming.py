"""Keeps one dialog open for each call that asks to be answered, and says which ones were missed."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import QObject, QPoint
from PySide6.QtWidgets import QApplication, QWidget

from app.events import CallChanged, CallState, Direction, EndKind
from ui.context import Context
from ui.dialogs.incoming_call import IncomingCallDialog

_MISSED = frozenset({EndKind.CANCELLED, EndKind.NO_ANSWER})


class IncomingCalls(QObject):
    """Opens and closes the dialogs as calls begin and stop to ring."""

    def __init__(self, context: Context, window: QWidget, name_of: Callable[[str, str], str]) -> None:
        super().__init__(window)
        self._context = context
        self._window = window
        self._name_of = name_of
        self.dialogs: dict[str, IncomingCallDialog] = {}
        context.book.asking_changed.connect(self._refresh)
        context.bridge.call.connect(self._say_missed)

    def close(self) -> None:
        """Take all dialogs down without declining anything; the engine ends the calls."""
        for dialog in self.dialogs.values():
            dialog.take_down()
        self.dialogs.clear()

    def _refresh(self) -> None:
        asking = {record.info.call_id: record.info for record in self._context.book.asking}
        for call_id in [known for known in self.dialogs if known not in asking]:
            self.dialogs.pop(call_id).take_down()
        for call_id, call in asking.items():
            if call_id in self.dialogs:
                continue
            name = self._name_of(call.remote_uri, call.remote_name)
            busy = bool(self._context.book.live)
            dialog = IncomingCallDialog(self._context, call, name, during_call=busy, parent=self._window)
            dialog.adjustSize()
            corner = self._window.geometry().center() - QPoint(dialog.width() // 2, dialog.height() // 2)
            dialog.move(corner + QPoint(28, 28) * len(self.dialogs))
            self.dialogs[call_id] = dialog
            dialog.show()
            dialog.raise_()
            QApplication.alert(self._window)

    def _say_missed(self, event: CallChanged) -> None:
        call = event.call
        if call.direction is not Direction.INCOMING or call.state is not CallState.ENDED or call.end is None:
            return
        rang = any(step.state is CallState.RINGING for step in call.steps)
        if rang and call.connected_at is None and call.end.kind in _MISSED:
            self._context.say(f"{self._name_of(call.remote_uri, call.remote_name)} called; you missed it.")
