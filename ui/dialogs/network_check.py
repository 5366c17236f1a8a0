"""The dialog that examines this machine's network, as `parley doctor` does, and says who can be reached and how."""

from __future__ import annotations

import asyncio

from PySide6.QtCore import Qt
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QDialog, QFrame, QGridLayout, QHBoxLayout, QLabel, QScrollArea, QVBoxLayout, QWidget
from shiboken6 import isValid

from app.engine.errors import EngineError
from app.engine.network_report import Examination, Finding
from ui.context import Context
from ui.theme.icons import pixmap
from ui.widgets.basics import button, label, restyle, section, tint

_NAMES = {
    "microphone": "Microphone",
    "speaker": "Speaker",
    "camera": "Camera",
    "dns": "Names",
    "network": "Addresses",
    "ipv6": "IPv6",
    "udp": "UDP",
    "nat": "NAT",
    "stun": "STUN server",
    "turn": "TURN server",
    "proxy": "Proxy",
    "mdns": "Local names",
    "reach": "Reach",
    "registration": "Account",
}
_SIGNS = {True: ("check", "good", "fine"), False: ("warning", "bad", "wrong"), None: ("info", "muted", "to know")}
_WAY_SIGNS = {
    "direct-udp": ("check", "good"),
    "direct-tcp": ("check", "good"),
    "relay": ("relayed", "warn"),
    "none": ("warning", "bad"),
}


class NetworkCheckDialog(QDialog):
    """Shown, not executed: the rest of the window goes on, calls too. Begins by itself."""

    def __init__(self, context: Context, parent: QWidget | None) -> None:
        super().__init__(parent)
        self.setObjectName("networkCheck")
        self.setWindowTitle("Check my network")
        self.setModal(False)
        self.setMinimumSize(420, 420)
        self.resize(620, 640)
        self._context = context
        self._examination: Examination | None = None
        box = QVBoxLayout(self)
        box.setContentsMargins(24, 20, 24, 20)
        box.setSpacing(8)
        box.addWidget(label("Check my network", "title"))
        self.answer = label("", "muted", "networkCheckAnswer", wrap=True, selectable=True)
        box.addWidget(self.answer)
        self._scroll = QScrollArea()
        self._scroll.setObjectName("networkCheckScroll")
        self._scroll.setAccessibleName("What was found")
        self._scroll.setWidgetResizable(True)
        self._scroll.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        box.addWidget(self._scroll, 1)
        row = QHBoxLayout()
        self.copy = button("Copy", "networkCheckCopy", self._copy, hint="Copy what was found as text")
        tint(context.theme, self.copy, "copy", "muted")
        self.again = button("Check again", "networkCheckAgain", self.check)
        self.close_button = button("Close", "networkCheckClose", self.reject, look="primary")
        row.addWidget(self.copy)
        row.addStretch(1)
        row.addWidget(self.again)
        row.addWidget(self.close_button)
        box.addLayout(row)
        context.theme.changed.connect(self._draw)
        self._checking: asyncio.Task[None] | None = None
        self.finished.connect(self._stop)
        self.check()

    def check(self) -> None:
        """Examine everything anew."""
        engine = self._context.engine
        if engine is None:
            self._say("Parley is still starting: try again in a moment.", "bad")
            return
        self.again.setEnabled(False)
        self.copy.setEnabled(False)
        self._say("Asking the servers, the NAT and the devices; this takes some seconds…", "muted")
        self._checking = self._context.tasks.start(self._check())

    def _stop(self) -> None:
        """Nobody waits for an answer any more."""
        if self._checking is not None:
            self._checking.cancel()

    async def _check(self) -> None:
        engine = self._context.engine
        assert engine is not None
        try:
            found = await engine.diagnosis.examine()
        except EngineError as error:
            if isValid(self):
                self.again.setEnabled(True)
                self._say(str(error), "bad")
            return
        if isValid(self):
            self.show_examination(found)

    def show_examination(self, found: Examination) -> None:
        """Show what was found: first in a sentence, then each finding, then who can be reached."""
        self._examination = found
        self.again.setEnabled(True)
        self.copy.setEnabled(True)
        wrong = sum(finding.fine is False for finding in found.findings)
        if wrong:
            self._say(f"✕ {wrong} thing{'s are' if wrong > 1 else ' is'} wrong: see below.", "bad")
        else:
            self._say("✓ Everything that could be checked works.", "good")
        self._draw()

    def as_text(self) -> str:
        """Give what was found as text to send to somebody."""
        found = self._examination
        if found is None:
            return ""
        lines = [self.answer.text(), ""]
        lines += [f"{_SIGNS[one.fine][2]}: {_name(one)}: {one.sentence}" for one in found.findings]
        if found.network.reach:
            lines += ["", "Who can be reached"]
            lines += [f"{row.who}: {row.how}. {row.reason}" for row in found.network.reach]
        return "\n".join(lines)

    # --------------------------------------------------------------------------------------------------------------

    def _draw(self) -> None:
        found = self._examination
        if found is None:
            return
        inner = QWidget()
        box = QVBoxLayout(inner)
        box.setContentsMargins(0, 4, 8, 4)
        box.setSpacing(10)
        grid = _grid()
        ordered = sorted(found.findings, key=lambda one: one.fine is not False)
        for number, finding in enumerate(ordered):
            icon, role, spoken = _SIGNS[finding.fine]
            self._add_row(grid, number, icon, role, _name(finding), finding.sentence, spoken)
        box.addLayout(grid)
        box.addWidget(section("Who can be reached"))
        if found.network.reach:
            grid = _grid()
            for number, row in enumerate(found.network.reach):
                icon, role = _WAY_SIGNS[row.way.value]
                title = f"{row.who[:1].upper()}{row.who[1:]}: {row.how}"
                self._add_row(grid, number, icon, role, title, row.reason, row.how, wide=True)
            box.addLayout(grid)
        else:
            words = "This is known once a STUN or TURN server tells what stands between this machine and the internet."
            box.addWidget(label(words, "muted", wrap=True))
        box.addStretch(1)
        self._scroll.setWidget(inner)

    def _add_row(
        self,
        grid: QGridLayout,
        number: int,
        icon: str,
        role: str,
        title: str,
        text: str,
        spoken: str,
        *,
        wide: bool = False,
    ) -> None:
        frame = QFrame()
        words = QVBoxLayout(frame)
        words.setContentsMargins(0, 0, 0, 0)
        words.setSpacing(1)
        sign = QLabel()
        sign.setPixmap(pixmap(icon, getattr(self._context.theme.tokens, role), 18, self.devicePixelRatioF()))
        sign.setAccessibleName(spoken)
        top = Qt.AlignmentFlag.AlignTop
        grid.addWidget(sign, number, 0, top)
        words.addWidget(label(title, "heading" if not wide else "value", wrap=True))
        words.addWidget(label(text, "muted", wrap=True, selectable=True))
        frame.setAccessibleName(f"{title}: {spoken}. {text}")
        grid.addWidget(frame, number, 1)

    def _say(self, sentence: str, tone: str) -> None:
        self.answer.setText(sentence)
        self.answer.setAccessibleName(sentence)
        restyle(self.answer, tone=tone)

    def _copy(self) -> None:
        QGuiApplication.clipboard().setText(self.as_text())
        self._context.say("What was found is on the clipboard.", "good")


def _name(finding: Finding) -> str:
    return _NAMES.get(finding.about, finding.about.capitalize())


def _grid() -> QGridLayout:
    grid = QGridLayout()
    grid.setHorizontalSpacing(12)
    grid.setVerticalSpacing(12)
    grid.setColumnStretch(1, 1)
    return grid
