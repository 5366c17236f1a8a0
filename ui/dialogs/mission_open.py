"""Opening a mission: from a file, a picture, text, a link or the web; what is in it is shown before it is opened."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Coroutine
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QFileDialog, QHBoxLayout, QPlainTextEdit, QVBoxLayout, QWidget

from app.engine import mission_drafts, missions
from app.engine.errors import EngineError
from app.engine.missions import Mission, PassphraseWanted
from ui.context import Context
from ui.dialogs.form import FormDialog
from ui.dialogs.mission_pin import check_pin
from ui.dialogs.shown import show_one
from ui.mission_sources import MissionDrops, MissionSource, from_mime, from_text
from ui.mission_words import counted
from ui.widgets.basics import button, label
from ui.widgets.mission_preview import MissionPreview
from ui.widgets.secret_field import SecretField
from ui.widgets.video_view import VideoView

if TYPE_CHECKING:
    from app.engine.facade import Engine

FILTER = "Missions and pictures (*.ice *.json *.txt *.png *.jpg *.jpeg *.bmp *.gif *.webp);;All files (*)"
_CAMERA, _WEB = 3, 4  # steps
_MOST_SHOWN = 300  # characters of a web address; whose server it is stands at its beginning
_AROUND = 200  # pixels: title, answer and buttons above and below what is in a mission


def open_mission_dialog(
    context: Context, parent: QWidget | None, source: MissionSource | None = None
) -> OpenMissionDialog:
    """Show the dialog; with a source it is read at once.

    Its `opened` tells the id of the mission that was opened, `new_wanted` that the person wants to make one.
    """
    dialog = OpenMissionDialog(context, parent)
    show_one(dialog)
    if source is not None:
        dialog.read(source)
    return dialog


class OpenMissionDialog(FormDialog):
    """Shown, not executed. One step after the other: where from, the passphrase if there is one, what is in it."""

    opened = Signal(str)
    new_wanted = Signal()

    def __init__(self, context: Context, parent: QWidget | None) -> None:
        super().__init__(parent, "openMission", "Open a mission", "")
        self._context = context
        self._source: MissionSource | None = None
        self._mission: Mission | None = None
        self._problem = ""
        self.busy = False
        self._scanning: asyncio.Task[None] | None = None
        self._steps = (
            self._make_choice(),
            self._make_passphrase(),
            self._make_preview(),
            self._make_camera(),
            self._make_web(),
        )
        for step in self._steps:
            self._box.addWidget(step, 1)
        self.back = button("Back", "missionBack", self.choose, hint="Choose another file, picture or text")
        self.make = button("Make a new one…", "missionNew", self._make_new, look="link")
        left = QWidget()
        row = QHBoxLayout(left)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self.back)
        row.addWidget(self.make)
        self.cancel = button("Cancel", "missionCancel", self.reject)
        self.go = button("Read", "missionGo", self._go, look="primary")
        self.go.setDefault(True)
        self.add_buttons(self.cancel, self.go, first=left)
        self.finished.connect(self._stop_camera)
        MissionDrops(self, self.read).watch(self.text)
        self.choose()
        self.resize(520, 360)

    # The steps ----------------------------------------------------------------------------------------------------

    def _make_choice(self) -> QWidget:
        step, box = _step()
        row = QHBoxLayout()
        self.file = button(
            "Choose a file…", "missionFile", self._choose_file, hint="A mission, or a picture of its QR code"
        )
        self.paste = button("Paste", "missionPaste", self._paste, hint="A picture, a link or text from the clipboard")
        row.addWidget(self.file)
        self.scan = button("Camera", "missionScan", self.look_through_camera, hint="Read a QR picture")
        row.addWidget(self.paste)
        row.addWidget(self.scan)
        row.addStretch(1)
        box.addLayout(row)
        box.addWidget(label("Or a link, a web address (https://…), or the mission's text:", "small"))
        self.text = QPlainTextEdit()
        self.text.setObjectName("missionText")
        self.text.setAccessibleName("Link, web address or text of a mission")
        self.text.setTabChangesFocus(True)
        self.text.setFixedHeight(96)
        self.text.textChanged.connect(self._update_go)
        box.addWidget(self.text)
        hint = "A file, a picture of a QR code, or a link can also be dropped on the window."
        box.addWidget(label(hint, "muted", wrap=True))
        box.addStretch(1)
        return step

    def _make_passphrase(self) -> QWidget:
        step, box = _step()
        self.passphrase = SecretField(self._context.theme, "Passphrase", "missionPassphrase")
        box.addWidget(
            label("The mission is encrypted. Whoever gave it to you knows its passphrase.", "muted", wrap=True)
        )
        box.addWidget(label("Passphrase", "small"))
        box.addWidget(self.passphrase)
        box.addStretch(1)
        return step

    def _make_preview(self) -> QWidget:
        step, box = _step()
        self.preview = MissionPreview(self._context.theme)
        box.addWidget(self.preview, 1)
        self.pin_row = QWidget()
        pin_box = QVBoxLayout(self.pin_row)
        pin_box.setContentsMargins(0, 0, 0, 0)
        self.pin = SecretField(self._context.theme, "PIN", "missionPin")
        self.pin.setMaxLength(mission_drafts.MOST_DIGITS)
        self.pin.setInputMethodHints(Qt.InputMethodHint.ImhDigitsOnly)
        pin_box.addWidget(label("PIN", "small"))
        pin_box.addWidget(self.pin)
        box.addWidget(self.pin_row)
        return step

    def _make_camera(self) -> QWidget:
        step, box = _step()
        self.camera = VideoView("missionCamera", "What the camera sees", radius=8)
        self.camera.setMinimumHeight(240)
        box.addWidget(label("Hold the QR picture before the camera: whole, sharp, and large.", "muted", wrap=True))
        box.addWidget(self.camera, 1)
        return step

    def _make_web(self) -> QWidget:
        step, box = _step()
        self.web = label("", "title", "missionWeb", wrap=True, selectable=True)
        hint = "Nothing has been asked of this server yet. Go on if you know whose it is; what it gives is shown first."
        box.addWidget(label("The mission is to be fetched from:", "small"))
        box.addWidget(self.web)
        box.addWidget(label(hint, "muted", wrap=True))
        box.addStretch(1)
        return step

    def _show_step(self, number: int, go: str) -> None:
        for index, step in enumerate(self._steps):
            step.setVisible(index == number)
        self.back.setVisible(number > 0)
        self.make.setVisible(number == 0)
        self.go.setVisible(number != _CAMERA)
        self.go.setText(go)
        self.go.setAccessibleName(go)
        self._update_go()
        self._focus()
        self.make_room()

    def _focus(self) -> None:
        """Put the cursor where the person goes on."""
        last = self.pin if not self.pin_row.isHidden() else self.go if self.go.isEnabled() else self.back
        (self.file, self.passphrase, last, self.back, self.back)[self.step].setFocus()

    def _update_go(self) -> None:
        ready = (bool(self.text.toPlainText().strip()), True, not self._problem, False, True)
        self.go.setEnabled(ready[self.step] and not self.busy)

    @property
    def step(self) -> int:
        """Which step is shown: 0 where from, 1 the passphrase, 2 what is in it, 3 the camera, 4 the web address."""
        return next(index for index, step in enumerate(self._steps) if not step.isHidden())

    def choose(self) -> None:
        """Begin again: ask where the mission comes from."""
        self._stop_camera()
        self._source = self._mission = None
        self._problem = ""
        self.pin_row.hide()
        self.pin.clear()
        self.passphrase.clear()
        self._show_step(0, "Read")
        self.say("")

    def _choose_file(self) -> None:
        dialog = QFileDialog(self, "Open a mission", os.path.expanduser("~"), FILTER)
        dialog.setObjectName("missionFileDialog")
        dialog.setFileMode(QFileDialog.FileMode.ExistingFile)
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.fileSelected.connect(self._file_chosen)
        dialog.open()

    def _file_chosen(self, name: str) -> None:
        path = Path(name)
        self.read(MissionSource(path.name, path))

    def _paste(self) -> None:
        source = from_mime(QGuiApplication.clipboard().mimeData())
        if source is None:
            self.say("There is no picture, link or text on the clipboard.", "bad")
        else:
            self.read(source)

    def look_through_camera(self) -> None:
        """Look for a QR picture through the camera, until one is seen or the person goes back."""
        engine = self._context.engine
        if engine is None:
            self.say("Parley is still starting: try again in a moment.", "bad")
            return
        self._show_step(_CAMERA, "Read")
        self.say("")
        self.camera.show_mailbox(engine.devices.scanned_picture())
        self._scanning = self._context.tasks.start(self._scan(engine))

    async def _scan(self, engine: Engine) -> None:
        try:
            text = await engine.devices.scan_qr((await engine.settings.get()).media)
        except EngineError as error:
            if not self.gone:
                self.choose()
                self.say(str(error), "bad")
            return
        if not self.gone:
            self._scanning = None
            self.read(replace(from_text(text), words="The QR picture"))

    def _stop_camera(self) -> None:
        self.camera.show_mailbox(None)
        if self._scanning is not None:
            self._scanning.cancel()
            self._scanning = None

    def _make_new(self) -> None:
        self.new_wanted.emit()
        self.accept()

    def _go(self) -> None:
        if self.step == 0:
            self.read(from_text(self.text.toPlainText()))
        elif self.step == _WEB:
            self._start(self._fetch())
        elif self.step == 1:
            self._start(self._read(self.passphrase.text()))
        else:
            self._start(self._open())

    # Reading ------------------------------------------------------------------------------------------------------

    def read(self, source: MissionSource) -> None:
        """Read a mission and show what is in it, whatever the dialog shows now; ask before it is fetched."""
        if self.busy:
            return
        self.choose()
        self._source = source
        if source.url:
            self.web.setText(source.url if len(source.url) <= _MOST_SHOWN else f"{source.url[:_MOST_SHOWN]}…")
            self._show_step(_WEB, "Fetch")
        else:
            self._start(self._read(None))

    async def _fetch(self) -> None:
        source, engine = self._source, self._context.engine
        assert source is not None
        if engine is None:
            raise EngineError("Parley is still starting: try again in a moment.")
        self.say("Fetching…")
        data = await engine.channels.fetch_mission(source.url)
        if not self.gone:
            self._source = replace(source, data=data, url="")
            await self._read(None)

    def _start(self, work: Coroutine[None, None, None]) -> None:
        """Do one thing at a time, and say what was wrong with it here."""
        self._set_busy(True)
        self._context.tasks.start(self._told(work))

    async def _told(self, work: Coroutine[None, None, None]) -> None:
        try:
            await self.tell_of(work, self._context.say)
        finally:
            if not self.gone:
                self._set_busy(False)

    def _set_busy(self, on: bool) -> None:
        self.busy = on
        for part in (*self._steps, self.back):
            part.setEnabled(not on)
        self._update_go()
        if not on:
            self._focus()

    async def _read(self, passphrase: str | None) -> None:
        source = self._source
        assert source is not None
        self.say("Reading…")
        try:
            mission = await asyncio.to_thread(_load, source, passphrase)
        except PassphraseWanted:
            if not self.gone:
                self._show_step(1, "Continue")
                self.say("")
            return
        note = await self._against_open(mission)
        if self.gone:
            return
        self._mission = mission
        now = datetime.now(UTC)
        view = missions.view(mission, now)
        try:
            missions.check_usable(mission, now)
            self._problem = ""
        except EngineError as error:
            self._problem = str(error)
        self.preview.show_mission(view, note, self._problem)
        self.pin_row.setVisible(view.has_pin and not self._problem)
        self._show_step(2, "Open")
        self.resize(self.width(), max(self.height(), self.preview.sizeHint().height() + _AROUND))
        self.say("There were several files: this is the first." if source.is_one_of_many else "")

    async def _against_open(self, mission: Mission) -> str:
        """Say what opening it would change, where it is open already."""
        engine = self._context.engine
        if engine is None:
            return ""
        if mission.id not in {info.id for info in await engine.channels.list()}:
            return ""
        return missions.against_open(mission, await engine.channels.mission(mission.id))

    async def _open(self) -> None:
        mission, engine = self._mission, self._context.engine
        assert mission is not None
        if engine is None:
            raise EngineError("Parley is still starting: try again in a moment.")
        pin = self.pin.text() or None
        if mission.pin_digest is not None:
            await check_pin(self._context, mission, pin)
        info = await engine.channels.open_mission(str(mission), pin=pin)
        self._context.say(f"{info.name} is open: {counted(len(info.channels), 'channel')}.", "good")
        if not self.gone:
            self.opened.emit(info.id)
            self.accept()


def _step() -> tuple[QWidget, QVBoxLayout]:
    step = QWidget()
    box = QVBoxLayout(step)
    box.setContentsMargins(0, 0, 0, 0)
    box.setSpacing(6)
    return step, box


def _load(source: MissionSource, passphrase: str | None) -> Mission:
    if source.path is not None:
        return missions.read_file(source.path, passphrase)
    return missions.read(source.data, passphrase)
