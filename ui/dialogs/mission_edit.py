"""The mission editor: a page for the mission, one for a channel, one for a rallypoint; nothing is kept until saved."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime
from typing import Any

from PySide6.QtCore import Qt, QTimer, Signal
from PySide6.QtWidgets import QDialog, QHBoxLayout, QLabel, QStackedWidget, QVBoxLayout, QWidget
from shiboken6 import isValid

from app.engine import mission_drafts
from app.engine.errors import EngineError
from app.engine.mission_drafts import FieldProblem, Mission
from app.engine.missions import MissionProblem
from ui.context import Context
from ui.dialogs.channel_page import ChannelPage
from ui.dialogs.mission_draft import Draft
from ui.dialogs.mission_page import MissionPage
from ui.dialogs.mission_pin import check_pin
from ui.dialogs.rallypoint_page import RallypointPage
from ui.dialogs.shown import show_one
from ui.mission_words import counted
from ui.widgets.basics import button, icon_button, label, restyle, tint
from ui.widgets.question import Question
from ui.widgets.secret_field import SecretField

_PAUSE_MS = 300  # after the last letter, until what is wrong is said
_GROUP = re.compile(r"groups\[(\d+)\]\.?(.*)")
_SERVER = re.compile(r"(?:rallypointCluster\.)?rallypoints\[(\d+)\]\.(.*)")

Page = MissionPage | ChannelPage | RallypointPage


def edit_mission_dialog(
    context: Context, parent: QWidget | None, mission_id: str | None, saved: Callable[[str], object]
) -> EditMissionDialog:
    """Show the editor of an open mission, or of a new one; one that holds unsaved changes is shown instead.

    `saved` is called with the id of the mission once it is saved and open.
    """
    if parent is not None:
        for other in parent.findChildren(EditMissionDialog, options=Qt.FindChildOption.FindDirectChildrenOnly):
            if other.is_changed:
                other.raise_()
                other.activateWindow()
                other.say("Save this one first, or close it.", "warn")
                return other
    dialog = EditMissionDialog(context, mission_id, parent)
    dialog.saved.connect(saved)
    show_one(dialog)
    return dialog


class EditMissionDialog(QDialog):
    """Shown, not executed. `saved` with the id of the mission, which is another one after a change of its name."""

    saved = Signal(str)

    def __init__(self, context: Context, mission_id: str | None, parent: QWidget | None) -> None:
        super().__init__(parent)
        self.setObjectName("editMission")
        self.setModal(False)
        self.setMinimumSize(420, 460)
        self._context, self._mission_id = context, mission_id
        self._locked: Mission | None = None
        self._pin: str | None = None
        self._tried = False
        self._next: QWidget | None = None  # has the cursor once what goes on is done
        self.draft: Draft | None = None
        self.page: MissionPage | None = None
        self.channel: ChannelPage | None = None
        self.rallypoint: RallypointPage | None = None
        self._build()
        self._checking = QTimer(self)
        self._checking.setSingleShot(True)
        self._checking.setInterval(_PAUSE_MS)
        self._checking.timeout.connect(self.check)
        self.resize(640, 760)
        self._title("New mission" if mission_id is None else "Edit mission")
        if mission_id is None:
            self._begin(mission_drafts.begun(datetime.now(UTC)))
        else:
            self.save.setEnabled(False)
            self._start(self._load(mission_id))

    def _build(self) -> None:
        box = QVBoxLayout(self)
        box.setContentsMargins(20, 16, 12, 16)
        box.setSpacing(8)
        head = QHBoxLayout()
        theme = self._context.theme
        self.back = icon_button(theme, "back", "Back", "editBack", self.go_back)
        tint(theme, self.back, "back", "muted")
        self.title: QLabel = label("", "title", "editTitle")
        head.addWidget(self.back)
        head.addWidget(self.title, 1)
        box.addLayout(head)
        self.lock = QWidget()
        lock = QVBoxLayout(self.lock)
        lock.setContentsMargins(0, 0, 8, 0)
        self.pin = SecretField(theme, "PIN", "editPin")
        self.pin.setMaxLength(mission_drafts.MOST_DIGITS)
        self.pin.returnPressed.connect(self._unlock)
        lock.addWidget(label("A PIN keeps this mission from being edited.", "muted", wrap=True))
        lock.addWidget(label("PIN", "small"))
        lock.addWidget(self.pin)
        self.unlock = button("Continue", "editUnlock", self._unlock, look="primary")
        row = QHBoxLayout()
        row.addStretch(1)
        row.addWidget(self.unlock)
        lock.addLayout(row)
        lock.addStretch(1)
        self.lock.hide()
        box.addWidget(self.lock, 1)
        self.pages = QStackedWidget()
        box.addWidget(self.pages, 1)
        self.answer = label("", "muted", "editAnswer", wrap=True, selectable=True)
        self.answer.hide()
        box.addWidget(self.answer)
        self.question = Question("editQuestion")
        box.addWidget(self.question)
        row = QHBoxLayout()
        row.addStretch(1)
        self.cancel = button("Close", "editClose", self.reject)
        self.save = button("Save", "editSave", self._save, look="primary")
        row.addWidget(self.cancel)
        row.addWidget(self.save)
        row.addSpacing(8)
        box.addLayout(row)
        self.back.hide()

    # What there is to edit ----------------------------------------------------------------------------------------

    async def _load(self, mission_id: str) -> None:
        engine = self._context.engine
        if engine is None:
            raise EngineError("Parley is still starting: try again in a moment.")
        mission = await engine.channels.mission(mission_id)
        if not isValid(self):
            return
        if mission.pin_digest is None:
            self._begin(mission)
            return
        self._locked = mission
        self._title(mission.name)
        self.lock.show()
        self.pages.hide()
        self._next = self.pin

    def _unlock(self) -> None:
        async def unlock() -> None:
            mission, pin = self._locked, self.pin.text()
            assert mission is not None
            await check_pin(self._context, mission, pin)
            if isValid(self):
                self._pin = pin
                self.lock.hide()
                self.pages.show()
                self._begin(mission)

        if self._locked is not None:
            self._start(unlock())

    def _begin(self, mission: Mission) -> None:
        self.draft = Draft(mission, self)
        self.draft.changed.connect(self._edited)
        self.page = MissionPage(self._context.theme, self.draft)
        self.page.channel_wanted.connect(self.show_channel)
        self.pages.addWidget(self.page)
        self._show(self.page)
        self.save.setEnabled(True)
        self.say("")
        self._next = self.page.name
        self._next.setFocus()

    @property
    def is_changed(self) -> bool:
        return self.draft is not None and (self.draft.is_changed or bool(self.page and self.page.own_problems))

    # Pages --------------------------------------------------------------------------------------------------------

    def show_channel(self, index: int) -> None:
        """Show a channel's page."""
        assert self.draft is not None
        self._drop(self.channel)
        self.channel = ChannelPage(self._context.theme, self.draft, index)
        self.channel.rallypoint_wanted.connect(self.show_rallypoint)
        self.pages.addWidget(self.channel)
        self._show(self.channel)
        self.channel.name.setFocus()
        self.channel.name.selectAll()  # what is typed is the new name

    def show_rallypoint(self, number: int) -> None:
        """Show the page of one of the channel's rallypoints."""
        assert self.draft is not None
        assert self.channel is not None
        self._drop(self.rallypoint)
        self.rallypoint = RallypointPage(self._context.theme, self.draft, self.channel.index, number)
        self.pages.addWidget(self.rallypoint)
        self._show(self.rallypoint)
        self.rallypoint.verify.setFocus()

    def go_back(self) -> None:
        """Go to the page from which this one was opened."""
        shown = self.pages.currentWidget()
        if shown is self.rallypoint and self.channel is not None:
            self.channel.rallypoints.fill()
            self._show(self.channel)
        elif self.page is not None and shown is not self.page:
            self._show(self.page)

    def _show(self, page: Page) -> None:
        assert self.draft is not None
        self.pages.setCurrentWidget(page)
        self.back.setVisible(page is not self.page)
        name = self.draft.mission.name
        if isinstance(page, ChannelPage):
            name = page.group.name or "Channel"
        elif isinstance(page, RallypointPage):
            name = f"{self.draft.group(page.index).name}: rallypoint {page.number + 1}"
        self._title(name or "New mission")
        self.check()

    def _drop(self, page: QWidget | None) -> None:
        if page is not None:
            self.pages.removeWidget(page)
            page.deleteLater()

    def _title(self, words: str) -> None:
        self.title.setText(words)
        self.setWindowTitle(words)

    # What is wrong ------------------------------------------------------------------------------------------------

    def _edited(self) -> None:
        self.say("")
        self._checking.start()

    def check(self) -> tuple[FieldProblem, ...]:
        """Say beside the fields what is wrong with them; gives all that is."""
        self._checking.stop()
        if self.draft is None or self.page is None:
            return ()
        own = self.page.own_problems
        found = (*(FieldProblem(path, why) for path, why in own.items()), *self.draft.problems())
        self._mark(found)
        return found

    def _mark(self, found: tuple[FieldProblem, ...]) -> None:
        assert self.page is not None
        shown = self.pages.currentWidget()
        of_mission = {each.path: each.why for each in found if not _GROUP.match(each.path)}
        of_groups: dict[int, dict[str, str]] = {}
        for each in found:
            if match := _GROUP.match(each.path):
                of_groups.setdefault(int(match[1]), {})[_key(match[2])] = each.why
        if shown is self.page:
            self.page.fields.mark(of_mission, empty_too=self._tried)
            self.page.list_channels(frozenset(of_groups))
        elif shown is self.channel and self.channel is not None:
            self.channel.fields.mark(of_groups.get(self.channel.index, {}), empty_too=self._tried)
        elif shown is self.rallypoint and self.rallypoint is not None:
            prefix = f"rallypoint[{self.rallypoint.number}]."
            wrong = of_groups.get(self.rallypoint.index, {})
            mine = {key.removeprefix(prefix): why for key, why in wrong.items() if key.startswith(prefix)}
            self.rallypoint.fields.mark(mine, empty_too=self._tried)

    def _go_to(self, problem: FieldProblem) -> None:
        """Show the page on which something is wrong, with the cursor in the field."""
        assert self.page is not None
        match = _GROUP.match(problem.path)
        if match is None:
            self._show(self.page)
            self._focus(self.page, problem.path)
            return
        self.show_channel(int(match[1]))
        server = _SERVER.match(match[2])
        if self.channel is not None and not self._focus(self.channel, _key(match[2])) and server is not None:
            self.show_rallypoint(int(server[1]))
            assert self.rallypoint is not None
            self._focus(self.rallypoint, server[2])

    def _focus(self, page: Page, key: str) -> bool:
        field = page.fields.field(key)
        if field is None:
            return False

        def bring() -> None:
            field.setFocus()
            page.ensureWidgetVisible(field, 0, 60)

        QTimer.singleShot(0, field, bring)  # once the page has its place
        return True

    def say(self, sentence: str, tone: str = "muted") -> None:
        """Put a sentence above the buttons."""
        sign = {"bad": "✕ ", "good": "✓ "}.get(tone, "")
        self.answer.setText(sign + sentence if sentence else "")
        self.answer.setAccessibleName(sentence)
        self.answer.setVisible(bool(sentence))
        restyle(self.answer, tone=tone)

    # Saving and closing -------------------------------------------------------------------------------------------

    def _save(self) -> None:
        self._tried = True
        found = self.check()
        if found:
            self._go_to(found[0])
            few = (
                "Something is wrong: see above." if len(found) == 1 else f"{len(found)} things are wrong: this is one."
            )
            self.say(few, "bad")
            return
        self._start(self._keep())

    async def _keep(self) -> None:
        draft, engine = self.draft, self._context.engine
        assert draft is not None
        if engine is None:
            raise EngineError("Parley is still starting: try again in a moment.")
        made, pin = draft.mission, self._pin
        if draft.pin or draft.drop_pin:
            pin = draft.pin
            made = await asyncio.to_thread(mission_drafts.with_pin, made, pin)
        made = await asyncio.to_thread(mission_drafts.finished, made, datetime.now(UTC))
        channels = engine.channels
        there = {info.id for info in await channels.list()}
        if made.id != self._mission_id and made.id in there:
            raise EngineError(f"There is a mission named {made.name} already: choose another name.")
        info = await channels.open_mission(str(made), pin=pin)
        if self._mission_id is not None and self._mission_id in there - {info.id}:
            await channels.close_mission(self._mission_id)
        self._context.say(f"{info.name} is saved: {counted(len(info.channels), 'channel')}.", "good")
        if isValid(self):
            self.saved.emit(info.id)
            self.draft = None
            self.accept()

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        self._next = self.focusWidget()
        self.setEnabled(False)
        self._context.tasks.start(self._told(work))

    async def _told(self, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        except EngineError as error:
            if not isValid(self):
                self._context.say(str(error), "bad")
            else:
                self.say(str(error), "bad")
                if isinstance(error, MissionProblem):
                    self._go_to(FieldProblem(error.path, error.why))
        finally:
            if isValid(self):
                self.setEnabled(True)
                if self._next is not None and isValid(self._next):
                    self._next.setFocus()

    def reject(self) -> None:
        """Close; with changes only after a question."""
        if not self.is_changed:
            super().reject()
            return
        words = "What you changed is not saved."
        self.question.ask(words, "Close without saving", super().reject, no="Go on editing")


def _key(path: str) -> str:
    """The key of a channel's field by its path in the mission: both lists of rallypoints are one here."""
    return _SERVER.sub(r"rallypoint[\1].\2", path)
