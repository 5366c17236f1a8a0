"""The strip over everything that tells an emergency until somebody dismisses it, whatever else is shown."""

from __future__ import annotations

from collections.abc import Iterable

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QAccessible, QAccessibleEvent
from PySide6.QtWidgets import QApplication, QFrame, QHBoxLayout, QLabel, QVBoxLayout, QWidget

from app.events import ChannelId, MissionInfo, PersonHere, TalkerInfo
from ui.channel_words import NAMELESS
from ui.theme.icons import pixmap
from ui.theme.manager import Theme
from ui.widgets.basics import button, label
from ui.words import apart

_MOST = 3  # more are counted


class EmergencyBanner(QWidget):
    """One line for each emergency; `show_wanted` tells the mission, `dismissed` mission and node."""

    show_wanted = Signal(str)
    dismissed = Signal(str, str)
    own_over = Signal(str)
    resized = Signal()

    def __init__(self, theme: Theme) -> None:
        super().__init__()
        self.setObjectName("emergencyBanner")
        self._theme = theme
        self._box = QVBoxLayout(self)
        self._box.setContentsMargins(8, 6, 8, 6)
        self._box.setSpacing(4)
        self._lines: dict[tuple[str, str], _Line] = {}
        self._more = label("", "small", "moreEmergencies")
        self._box.addWidget(self._more)
        self.hide()

    def show_emergencies(
        self,
        people: Iterable[PersonHere],
        bursts: Iterable[tuple[ChannelId, TalkerInfo]],
        missions: Iterable[MissionInfo],
    ) -> None:
        """Show those of others, those that are only talked of, and, last, one's own."""
        missions = tuple(missions)
        names = {mission.id: apart(mission.name) for mission in missions}
        wanted: dict[tuple[str, str], str] = {}
        for person in people:
            said = f"Emergency: {apart(person.name)} in {names.get(person.mission, 'a mission')}"
            detail = " · ".join(part for part in (apart(person.emergency or ""), person.place) if part)
            wanted[person.mission, person.node_id] = f"{said}: {detail}" if detail else said
        channels = {channel.id: apart(channel.name) for mission in missions for channel in mission.channels}
        for channel_id, talker in bursts:
            said = f"Emergency: {apart(talker.alias) or NAMELESS} talks on {channels[channel_id]}"
            wanted[channel_id.mission, talker.node_id] = f"{said} in {names[channel_id.mission]}"
        more = len(wanted) - _MOST
        wanted = dict(list(wanted.items())[:_MOST])
        for mission in missions:
            if mission.own_emergency is not None:
                said = f"Your emergency is raised in {names[mission.id]}"
                if mission.emergency_waits:
                    said = f"Your emergency in {names[mission.id]} waits to be sent: there is no connection yet"
                wanted[mission.id, ""] = f"{said}: {apart(mission.own_emergency)}" if mission.own_emergency else said
        for key in [key for key in self._lines if key not in wanted]:
            line = self._lines.pop(key)
            self._box.removeWidget(line)
            focus = QApplication.focusWidget()
            if focus is not None and line.isAncestorOf(focus):
                focus.clearFocus()  # else Qt hands it on to a field, and the talk key would be typed there
            line.hide()
            line.deleteLater()
        self._more.setText(f"and {more} more")
        self._more.setVisible(more > 0)
        for key, sentence in wanted.items():
            known = self._lines.get(key)
            if known is None:
                known = self._lines[key] = self._line(key)
                self._box.insertWidget(self._box.count() - 1, known)
                known.say(sentence)
                QAccessible.updateAccessibility(QAccessibleEvent(known, QAccessible.Event.Alert))
            else:
                known.say(sentence)
        self.setVisible(bool(self._lines))
        self.resized.emit()

    @property
    def sentences(self) -> list[str]:
        return [line.sentence for line in self._lines.values()]

    def _line(self, key: tuple[str, str]) -> _Line:
        mission, node = key
        line = _Line(self._theme, own=not node)
        line.show_.clicked.connect(lambda: self.show_wanted.emit(mission))
        line.dismiss.clicked.connect(
            lambda: self.dismissed.emit(mission, node) if node else self.own_over.emit(mission)
        )
        return line


class _Line(QFrame):
    def __init__(self, theme: Theme, *, own: bool) -> None:
        super().__init__()
        self.setObjectName("emergency")
        self.setProperty("look", "badCard")
        self.sentence = ""
        self._theme = theme
        row = QHBoxLayout(self)
        row.setContentsMargins(12, 6, 8, 6)
        row.setSpacing(8)
        self._sign = QLabel()
        self._words = label("", "bad", "emergencyText", wrap=True, selectable=True)
        self.show_ = button("Show", "showEmergency", lambda: None, look="quiet")
        self.dismiss = button("End it" if own else "Dismiss", "dismissEmergency", lambda: None)
        row.addWidget(self._sign, 0, Qt.AlignmentFlag.AlignVCenter)
        row.addWidget(self._words, 1)
        row.addWidget(self.show_)
        row.addWidget(self.dismiss)
        theme.changed.connect(self._tint)
        self._tint()

    def say(self, sentence: str) -> None:
        self.sentence = sentence
        self._words.setText(sentence)
        self.setAccessibleName(sentence)
        self.show_.setAccessibleName(f"Show: {sentence}")
        self.dismiss.setAccessibleName(f"{self.dismiss.text()}: {sentence}")

    def _tint(self) -> None:
        self._sign.setPixmap(pixmap("warning", self._theme.tokens.bad, 20, self.devicePixelRatioF()))
