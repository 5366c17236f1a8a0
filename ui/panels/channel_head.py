"""The head of the channel panel: which mission this is, its menu, and the guarded way to raise an emergency."""

from __future__ import annotations

import time

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QKeyEvent
from PySide6.QtWidgets import QFrame, QHBoxLayout, QLineEdit, QVBoxLayout, QWidget

from app.events import MissionInfo
from ui import channel_words
from ui.context import Context
from ui.plain_tips import plain_tip
from ui.widgets.basics import button, icon_button, label, restyle
from ui.widgets.elided import ElidedLabel
from ui.widgets.enter import is_enter
from ui.widgets.hold_button import HoldButton

_MOST_WORDS = 120


class ChannelHead(QWidget):
    """`menu_wanted` asks for the mission's menu below the button."""

    menu_wanted = Signal(QWidget)
    answered = Signal()  # the question about an emergency

    def __init__(self, context: Context) -> None:
        super().__init__()
        self.setObjectName("channelHead")
        self._context = context
        self.mission: MissionInfo | None = None
        box = QVBoxLayout(self)
        box.setContentsMargins(0, 0, 0, 0)
        box.setSpacing(8)
        row = QHBoxLayout()
        row.setSpacing(8)
        said = QVBoxLayout()
        said.setSpacing(0)
        self.name = ElidedLabel("title", "missionName")
        self.line = label("", "muted", "missionLine", wrap=True)
        said.addWidget(self.name)
        said.addWidget(self.line)
        row.addLayout(said, 1)
        self.emergency = HoldButton(
            context.theme,
            "emergencyButton",
            "Emergency",
            "Hold it to raise an emergency at once; a short press asks first",
        )
        self.emergency.held_long.connect(lambda: self._raise(""))
        self.emergency.asked.connect(self._ask)
        row.addWidget(self.emergency, 0, Qt.AlignmentFlag.AlignTop)
        self.menu = icon_button(context.theme, "more", "More about this mission", "missionMenuButton")
        self.menu.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.menu.clicked.connect(lambda: self.menu_wanted.emit(self.menu))
        row.addWidget(self.menu, 0, Qt.AlignmentFlag.AlignTop)
        box.addLayout(row)
        box.addWidget(self._question())

    def _question(self) -> QWidget:
        """What a short press on the emergency button opens."""
        self.question = QFrame()
        self.question.setObjectName("emergencyQuestion")
        self.question.setProperty("look", "badCard")
        box = QVBoxLayout(self.question)
        box.setContentsMargins(14, 10, 14, 12)
        box.setSpacing(8)
        box.addWidget(label("Raise an emergency? Everybody of this mission is alarmed.", "bad", wrap=True))
        self.words = _Words()
        self.words.setObjectName("emergencyWords")
        self.words.setAccessibleName("What has happened, if you can say it")
        self.words.setPlaceholderText("What has happened, if you can say it")
        self.words.setMaxLength(_MOST_WORDS)
        self.words.sure.connect(lambda: self._raise(self.words.text().strip()))
        box.addWidget(self.words)
        row = QHBoxLayout()
        row.setSpacing(8)
        sure = button("Raise it", "raiseEmergency", lambda: self._raise(self.words.text().strip()), look="primary")
        row.addWidget(sure)
        self.last_control = button("Not now", "keepQuiet", self.keep_quiet)
        row.addWidget(self.last_control)
        row.addStretch(1)
        box.addLayout(row)
        self.question.hide()
        return self.question

    def show_mission(self, mission: MissionInfo, note: str) -> None:
        """Show a mission; `note` says what its line cannot, such as where Space talks."""
        if self.mission is not None and mission.id != self.mission.id:
            self._ask_over()
        self.mission = mission
        self.name.setText(mission.name)
        self.name.setToolTip(plain_tip(mission.name))
        ends = channel_words.expiry_words(mission, time.time())
        parts = [part for part in (mission.problem, mission.description, ends, note) if part]
        self.line.setText(" · ".join(parts))
        self.line.setVisible(bool(parts))
        restyle(self.line, tone="bad" if mission.problem else "muted")
        self.emergency.setVisible(mission.has_control and mission.own_emergency is None)
        if mission.own_emergency is not None:
            self._ask_over()

    def _ask(self) -> None:
        self.question.show()
        self.words.begin()

    def _ask_over(self) -> None:
        self.words.clear()
        self.question.hide()

    def keep_quiet(self) -> bool:
        """Ask no more about an emergency; tell whether anything was asked."""
        if self.question.isHidden():
            return False
        self._ask_over()
        self.answered.emit()
        return True

    def _raise(self, words: str) -> None:
        mission = self.mission
        self._ask_over()
        self.answered.emit()
        if mission is not None:
            self._context.ask(lambda engine: engine.channels.raise_emergency(mission.id, words))


class _Words(QLineEdit):
    """Enter says `sure` once something was typed since `begin`.

    The key that opened the question may still be held, and X11 does not always mark its repeats; they end where
    another key goes down.
    """

    sure = Signal()

    def __init__(self) -> None:
        super().__init__()
        self._typed = False
        self.textEdited.connect(self._edited)

    def begin(self) -> None:
        """Take the focus for a new question."""
        self._typed = False
        self.setFocus()

    def _edited(self) -> None:
        self._typed = True

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if not is_enter(event):
            super().keyPressEvent(event)
        elif self._typed and not event.isAutoRepeat():
            self.sure.emit()
