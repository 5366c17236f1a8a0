"""What others of a mission see of this person, and what becomes of channels during a call."""

from __future__ import annotations

import asyncio
import re

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QBoxLayout, QFrame, QGridLayout, QLineEdit, QVBoxLayout, QWidget

from app.events import CallRule, MissionInfo
from ui.channel_words import RULES
from ui.context import Context
from ui.system_place import PlaceNotHad, SystemPlace, follow_place
from ui.widgets.basics import button, label, restyle
from ui.widgets.choice import Choice

_MOST_STATUS = 120
_FOLLOW, _FOLLOW_NO_MORE = "Use this computer's", "Stop using this computer's"
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
    """Status, place and call rule. The place is typed, degrees as maps write them: 54.32, 10.14; or the system's is
    followed, from the press of a button until another one, or until a place is typed, told or hidden."""

    def __init__(self, context: Context) -> None:
        super().__init__()
        self.setObjectName("channelSelf")
        self.setProperty("look", "sheet")
        self._context = context
        self._own: tuple[str, tuple[float, float] | None] | None = None
        self._following: asyncio.Task[None] | None = None
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
        self.place.textEdited.connect(lambda: self._place_typed())
        self.set_place = button("Tell", "setPlace", self._set_place)
        self.clear_place = button("Hide", "clearPlace", self._clear_place, hint="Others no longer see where you are")
        self.follow = button(_FOLLOW, "followPlace", self._follow, hint="Others see where the desktop says you are")
        room = self.clear_place.sizePolicy()
        room.setRetainSizeWhenHidden(True)  # or the buttons above it would grow when it comes
        self.clear_place.setSizePolicy(room)
        for row, (words, field, tell) in enumerate(
            (("Status", self.status, self.set_status), ("Place", self.place, self.set_place))
        ):
            caption = label(words, "small")
            caption.setBuddy(field)
            grid.addWidget(caption, row, 0)
            grid.addWidget(field, row, 1)
            grid.addWidget(tell, row, 2)
        grid.addWidget(self.follow, 2, 1, Qt.AlignmentFlag.AlignLeft)
        grid.addWidget(self.clear_place, 2, 2)
        grid.setColumnStretch(1, 1)
        self.answer = label("", "small", "ownAnswer", wrap=True)
        self.answer.hide()
        grid.addWidget(self.answer, 3, 1, 1, 2)
        grid.setRowStretch(4, 1)
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
            self.place.setText(_shown(*own[1]) if own[1] is not None else "")
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
        self.stop_following()
        self._context.ask(lambda engine: engine.channels.set_place(*found))
        self._say("Others see your place now.")

    def _clear_place(self) -> None:
        self.stop_following()
        self.place.clear()
        self._context.ask(lambda engine: engine.channels.clear_place())
        self._say("Others no longer see where you are.")

    def _follow(self) -> None:
        if self._following is not None:
            self._stop_and_say()
            return
        self._name_follow(_FOLLOW_NO_MORE)
        self._say("The desktop is asked where this computer is.")
        self._following = self._context.tasks.start(self._follow_system())

    def _place_typed(self) -> None:
        if self._following is not None:
            self._stop_and_say()

    def _stop_and_say(self) -> None:
        self.stop_following()
        self._say("Your place is followed no more; others see the last one until you tell another or hide it.")

    def stop_following(self) -> None:
        """Ask the system no more where this computer is; what was told of it last stays."""
        if self._following is not None:
            self._following.cancel()
            self._following = None
            self._name_follow(_FOLLOW)

    async def _follow_system(self) -> None:
        try:
            await follow_place(self._take_place)
        except PlaceNotHad as error:
            self._following = None
            self._name_follow(_FOLLOW)
            self._say(str(error), "bad")

    def _take_place(self, place: SystemPlace) -> None:
        self.place.setText(_shown(place.north, place.east))
        self._context.ask(lambda engine: engine.channels.set_place(place.north, place.east))
        self._say(f"Others see where this computer is{_give_or_take(place.within)}.")

    def _name_follow(self, words: str) -> None:
        self.follow.setText(words)
        self.follow.setAccessibleName(words)

    def _say(self, sentence: str, tone: str = "small") -> None:
        restyle(self.answer, tone=tone)
        self.answer.setText(sentence)
        self.answer.show()

    def _set_rule(self) -> None:
        rule: CallRule = CallRule(self.rule.currentData())
        self._show_rule_words()
        self._context.ask(lambda engine: engine.channels.set_call_rule(rule))


def _shown(north: float, east: float) -> str:
    """Write a place to 11 metres."""
    return f"{round(north, 4)}, {round(east, 4)}"


def _give_or_take(metres: float | None) -> str:
    if metres is None:
        return ""
    return f", give or take {metres:.0f} m" if metres < 1000 else f", give or take {metres / 1000:.0f} km"


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
