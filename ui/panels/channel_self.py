"""What others of a mission see of this person, and what becomes of channels during a call."""

from __future__ import annotations

import re

from PySide6.QtWidgets import QBoxLayout, QFrame, QGridLayout, QHBoxLayout, QLineEdit, QVBoxLayout, QWidget

from app.events import CallRule, MissionInfo
from ui.channel_words import RULES
from ui.context import Context
from ui.widgets.basics import button, label, restyle
from ui.widgets.choice import Choice

_MOST_STATUS = 120
_NUMBER = r"[-+]?\d{1,3}(?:\.\d{1,12})?"
_NORTH, _EAST, _COMMA = f"(?P<north>{_NUMBER})", f"(?P<east>{_NUMBER})", r"(?: ?[,;/] ?| )"
_PLACES = tuple(
    re.compile(pattern)
    for pattern in (
        _NORTH + _COMMA + _EAST,
        f"{_NORTH} ?(?P<ns>[NS]){_COMMA}{_EAST} ?(?P<ew>[EW])",
        f"(?P<ns>[NS]) ?{_NORTH}{_COMMA}(?P<ew>[EW]) ?{_EAST}",
    )
)


class ChannelSelf(QFrame):
    """Status, place and call rule. The place is typed; degrees as maps write them: 54.32, 10.14."""

    def __init__(self, context: Context) -> None:
        super().__init__()
        self.setObjectName("channelSelf")
        self.setProperty("look", "sheet")
        self._context = context
        self._own: tuple[str, tuple[float, float] | None] | None = None
        box = QVBoxLayout(self)
        box.setContentsMargins(16, 12, 16, 14)
        box.setSpacing(8)
        box.addWidget(label("You", "heading"))
        self._halves = QBoxLayout(QBoxLayout.Direction.LeftToRight)
        self._halves.setSpacing(16)
        self._halves.addWidget(self._about_me(), 3)
        self._halves.addWidget(self._in_calls(), 2)
        box.addLayout(self._halves)
        box.addStretch(1)
        self._show_rule_words()
        context.engine_ready.connect(self._load_rule)
        self._load_rule()

    def fit(self, width: int) -> None:
        """Stand side by side where there is room, else one below the other."""
        wide = width >= 640
        self._halves.setDirection(QBoxLayout.Direction.LeftToRight if wide else QBoxLayout.Direction.TopToBottom)

    def _about_me(self) -> QWidget:
        part = QWidget()
        grid = QGridLayout(part)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setHorizontalSpacing(8)
        grid.setVerticalSpacing(8)
        self.status = self._field("ownStatus", "Your status, as others see it", "such as: on watch until 18:00")
        self.status.setMaxLength(_MOST_STATUS)
        self.status.returnPressed.connect(self._set_status)
        self.status.editingFinished.connect(self._show_buttons)
        self.set_status = button("Tell", "setStatus", self._set_status)
        self.place = self._field("ownPlace", "Your place, in degrees north and east", "54.3233, 10.1394")
        self.place.setMaxLength(64)
        self.place.returnPressed.connect(self._set_place)
        self.place.textChanged.connect(lambda: restyle(self.place, wrong=False))
        self.set_place = button("Tell", "setPlace", self._set_place)
        self.clear_place = button("Hide", "clearPlace", self._clear_place, hint="Others no longer see where you are")
        for row, (words, field) in enumerate((("Status", self.status), ("Place", self.place))):
            caption = label(words, "small")
            caption.setBuddy(field)
            grid.addWidget(caption, row, 0)
            grid.addWidget(field, row, 1)
        grid.addWidget(self.set_status, 0, 2)
        both = QHBoxLayout()
        both.setSpacing(8)
        both.addWidget(self.set_place)
        both.addWidget(self.clear_place)
        grid.addLayout(both, 1, 2)
        grid.setColumnStretch(1, 1)
        self.answer = label("", "small", "ownAnswer", wrap=True)
        self.answer.hide()
        grid.addWidget(self.answer, 2, 1, 1, 2)
        grid.setRowStretch(3, 1)
        return part

    def _in_calls(self) -> QWidget:
        part = QWidget()
        box = QVBoxLayout(part)
        box.setContentsMargins(0, 0, 0, 0)
        box.setSpacing(6)
        caption = label("During a call", "small")
        self.rule = Choice()
        self.rule.setObjectName("callRule")
        self.rule.setAccessibleName("What becomes of channels during a call")
        caption.setBuddy(self.rule)
        for rule, (words, _) in RULES.items():
            self.rule.addItem(words, rule)
        self.rule.activated.connect(lambda index: self._set_rule())
        self.rule_words = label("", "small", "callRuleWords", wrap=True)
        for each in (caption, self.rule, self.rule_words):
            box.addWidget(each)
        box.addStretch(1)
        return part

    def _field(self, name: str, words: str, example: str) -> QLineEdit:
        made = QLineEdit()
        made.setObjectName(name)
        made.setAccessibleName(words)
        made.setPlaceholderText(example)
        return made

    # What is shown ------------------------------------------------------------------------------------------------

    def show_mission(self, mission: MissionInfo | None) -> None:
        """Show what is told of this person; what is being typed stays."""
        own = (mission.own_status, mission.own_place) if mission is not None else ("", None)
        if own == self._own:
            return
        before, self._own = self._own, own
        if before is None or before[0] != own[0]:
            self.status.setText(own[0])
        if before is None or before[1] != own[1]:
            self.place.setText(f"{own[1][0]:.5g}, {own[1][1]:.5g}" if own[1] is not None else "")
        self._show_buttons()

    def _show_buttons(self) -> None:
        self.clear_place.setVisible(self._own is not None and self._own[1] is not None)

    def _load_rule(self) -> None:
        if self._context.engine is not None:
            self._context.ask(lambda engine: self._take_rule())

    async def _take_rule(self) -> None:
        assert self._context.engine is not None
        rule = await self._context.engine.channels.call_rule()
        if rule is not None:
            self.rule.setCurrentIndex(self.rule.findData(rule))
            self._show_rule_words()

    def _show_rule_words(self) -> None:
        said = RULES[CallRule(self.rule.currentData())][1]
        self.rule_words.setText(f"{said} An emergency is always heard.")

    # What is wanted -----------------------------------------------------------------------------------------------

    def _set_status(self) -> None:
        typed = self.status.text().strip()
        self._context.ask(lambda engine: engine.channels.set_status(typed))
        self._say("Others see your status now." if typed else "Your status is empty now.")

    def _set_place(self) -> None:
        typed = self.place.text()
        if not typed.strip():
            self._clear_place()
            return
        found = read_place(typed)
        if found is None:
            restyle(self.place, wrong=True)
            self._say("Type two numbers: degrees north (-90 to 90), then degrees east (-180 to 180).", "bad")
            return
        self._context.ask(lambda engine: engine.channels.set_place(*found))
        self._say("Others see your place now.")

    def _clear_place(self) -> None:
        self.place.clear()
        self._context.ask(lambda engine: engine.channels.clear_place())
        self._say("Others no longer see where you are.")

    def _say(self, sentence: str, tone: str = "small") -> None:
        restyle(self.answer, tone=tone)
        self.answer.setText(sentence)
        self.answer.show()

    def _set_rule(self) -> None:
        rule: CallRule = CallRule(self.rule.currentData())
        self._show_rule_words()
        self._context.ask(lambda engine: engine.channels.set_call_rule(rule))


def read_place(text: str) -> tuple[float, float] | None:
    """Read degrees north and east as maps write them, "54.32, 10.14" or "54.32° N 10.14° E"; None for anything else."""
    typed = " ".join(text.upper().replace("°", " ").split())
    for pattern in _PLACES:
        found = pattern.fullmatch(typed)
        if found is None:
            continue
        parts = found.groupdict()
        north, east = float(parts["north"]), float(parts["east"])
        north, east = -north if parts.get("ns") == "S" else north, -east if parts.get("ew") == "W" else east
        return (north, east) if -90 <= north <= 90 and -180 <= east <= 180 else None
    return None
