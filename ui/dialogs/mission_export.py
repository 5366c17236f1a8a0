"""Giving a mission to others: as a file, as a QR picture, as a link or text; with a passphrase or without."""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Callable, Coroutine
from pathlib import Path

from PySide6.QtCore import Qt, QTimer
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QFileDialog, QGridLayout, QLineEdit, QVBoxLayout, QWidget

from app.engine import missions
from app.engine.errors import EngineError
from app.engine.missions import Mission
from app.mission_links import MOST_LINK, SUFFIX, link_of
from ui.context import Context
from ui.dialogs.form import FormDialog
from ui.dialogs.shown import show_one
from ui.widgets.basics import button, label
from ui.widgets.qr_view import QrScreen, QrView
from ui.widgets.question import Question
from ui.widgets.secret_field import SecretField

_PAUSE_MS = 400  # after the last letter: deriving a key from a passphrase takes a fraction of a second
_FORMS = {".png": "png", ".svg": "svg"}
_FILES = f"Mission (*{SUFFIX})"
_PICTURES = "PNG picture (*.png);;SVG drawing (*.svg)"


def export_mission_dialog(context: Context, parent: QWidget | None, mission_id: str) -> ExportMissionDialog:
    """Show the dialog for a mission that is open here."""
    dialog = ExportMissionDialog(context, mission_id, parent)
    show_one(dialog)
    return dialog


class ExportMissionDialog(FormDialog):
    """Shown, not executed. What is shown, saved and copied is always the same packed mission."""

    def __init__(self, context: Context, mission_id: str, parent: QWidget | None) -> None:
        words = "Whoever has it can listen and talk on its channels: their keys are in it."
        super().__init__(parent, "exportMission", "Give a mission to others", words)
        self._context, self._mission_id = context, mission_id
        self._mission: Mission | None = None
        self._packing: asyncio.Task[None] | None = None
        self.packed = ""
        self.passphrase = SecretField(context.theme, "Passphrase", "exportPassphrase")
        self.passphrase.setPlaceholderText("none: who finds it can read it")
        self.page = QLineEdit()
        self.page.setPlaceholderText("none; https://example.org shows there instead")
        self.page.setMaxLength(1_000)
        self.add_field(
            "Passphrase", self.passphrase, "exportPassphrase", "8 characters or more; tell it on another way"
        )
        self.add_field("Web page for ordinary cameras", self.page, "exportPage")
        self.qr = QrView()
        self.qr.clicked.connect(lambda: QrScreen(self, self.qr.modules).showFullScreen())
        self.too_large = label("", "value", "exportTooLarge", wrap=True)
        self.too_large.hide()
        shown = QWidget()
        column = QVBoxLayout(shown)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(self.too_large)
        column.addWidget(self.qr, 100)
        column.addStretch(1)
        self._box.addWidget(shown, 1)
        self.question = Question("exportQuestion")
        self.add_widget(self.question)
        self.save_file = button("Save as file…", "exportFile", self._save_file, look="primary")
        self.save_qr = button("Save picture…", "exportQr", self._save_picture)
        self.copy_link = button("Copy link", "exportLink", self._copy_link, hint="A link that opens Parley")
        self.copy_text = button("Copy text", "exportText", self._copy_text, hint="The text of the mission's file")
        grid = QGridLayout()
        for number, each in enumerate((self.save_file, self.save_qr, self.copy_link, self.copy_text)):
            grid.addWidget(each, number // 2, number % 2)
        self._box.addLayout(grid)
        self.add_buttons(button("Close", "exportClose", self.reject))
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(_PAUSE_MS)
        self._timer.timeout.connect(self._pack)
        for field in (self.passphrase, self.page):
            field.textChanged.connect(self._edited)
        self._ready(False)
        self.resize(520, 760)
        self._start(self._load())

    # Packing ------------------------------------------------------------------------------------------------------

    async def _load(self) -> None:
        engine = self._context.engine
        if engine is None:
            raise EngineError("Parley is still starting: try again in a moment.")
        mission = await engine.channels.mission(self._mission_id)
        if self.gone:
            return
        self._mission = mission
        self.setWindowTitle(f"Give {mission.name} to others")
        await self._show_packed()

    def _edited(self) -> None:
        self._ready(False)
        self._timer.start()

    def _pack(self) -> None:
        if self._mission is not None:
            self._start(self._show_packed())

    async def _show_packed(self) -> None:
        assert self._mission is not None
        wanted = self._wanted()
        packed = await asyncio.to_thread(missions.pack, self._mission, *wanted)
        drawn, why_none = b"", ""
        if missions.fits_qr(packed):
            drawn = await asyncio.to_thread(missions.qr_picture, packed, "png")
        else:
            why_none = missions.too_large_for_qr(packed)
        if self.gone or wanted != self._wanted():
            return
        self.packed = packed
        self._ready(True)
        self.qr.setVisible(not why_none)
        self.save_qr.setEnabled(not why_none)
        self.too_large.setText(why_none)
        self.too_large.setVisible(bool(why_none))
        if why_none:
            self.save_file.setFocus()
        else:
            self.qr.show_picture(drawn)
        self.say(f"{len(packed.encode()):,} bytes{', encrypted' if wanted[0] else ''}.")

    def _wanted(self) -> tuple[str | None, str | None]:
        """The passphrase and the page, as they stand in the fields."""
        return self.passphrase.text() or None, self.page.text().strip() or None

    def _ready(self, on: bool) -> None:
        for part in (self.save_file, self.save_qr, self.copy_link, self.copy_text):
            part.setEnabled(on)
        if not on:
            self.qr.clear()  # it is not what stands in the fields any more

    def _start(self, work: Coroutine[None, None, None]) -> None:
        self._context.tasks.start(self.tell_of(work, self._context.say))

    # Giving -------------------------------------------------------------------------------------------------------

    def _save_file(self) -> None:
        self._ask_where("Save the mission", _FILES, SUFFIX, self.write_file)

    def _save_picture(self) -> None:
        self._ask_where("Save the QR picture", _PICTURES, ".png", self.write_picture)

    def _ask_where(self, words: str, kinds: str, suffix: str, write: Callable[[str], None]) -> None:
        assert self._mission is not None
        dialog = QFileDialog(self, words, os.path.join(os.path.expanduser("~"), file_name(self._mission.name) + suffix))
        dialog.setObjectName("exportWhere")
        dialog.setAcceptMode(QFileDialog.AcceptMode.AcceptSave)
        dialog.setNameFilter(kinds)
        dialog.setOption(QFileDialog.Option.DontConfirmOverwrite)  # asked here: see `_write`
        dialog.setDefaultSuffix(suffix[1:])
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.filterSelected.connect(lambda kind: dialog.setDefaultSuffix("svg" if "svg" in kind else suffix[1:]))
        dialog.fileSelected.connect(write)
        dialog.open()

    def write_file(self, name: str) -> None:
        """Write the mission's file; asks first when one is there."""
        path = Path(name)
        if path.suffix.lower() != SUFFIX:
            path = path.with_name(path.name + SUFFIX)
        self._write(path, lambda: self.packed.encode() + b"\n")

    def write_picture(self, name: str) -> None:
        """Write the QR picture as PNG, or SVG by the file's suffix; asks first when a file is there."""
        path = Path(name)
        if path.suffix.lower() not in _FORMS:
            path = path.with_name(f"{path.name}.png")
        self._write(path, lambda: missions.qr_picture(self.packed, _FORMS[path.suffix.lower()]))

    def _write(self, path: Path, contents: Callable[[], bytes]) -> None:
        async def write() -> None:
            await asyncio.to_thread(lambda: missions.write_files([(path, contents())], replace=True))
            if not self.gone:
                self.say(f"Saved as {path.name}.", "good")
            self._context.kept.emit(f"The mission was saved as {path.name}.", str(path))

        if path.exists():
            self.question.ask(f"{path.name} is there already.", "Replace it", lambda: self._start(write()))
            self.make_room()
        else:
            self._start(write())

    def _copy_link(self) -> None:
        if len(link := link_of(self.packed)) > MOST_LINK:
            self.say("The mission is too large for a link: give it as a file.", "bad")
            return
        self._copy(link, "The link is on the clipboard: it holds the whole mission, keys too.")

    def _copy_text(self) -> None:
        self._copy(self.packed, "The text is on the clipboard: it holds the whole mission, keys too.")

    def _copy(self, text: str, sentence: str) -> None:
        QGuiApplication.clipboard().setText(text)
        self.say(sentence, "good")


def file_name(name: str) -> str:
    """Give a mission's name as a file can have it on every system."""
    return re.sub(r"[^\w .-]+", "-", name).strip(" .-")[:60] or "mission"
