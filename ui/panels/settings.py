"""The settings panel: name, devices, ring, network; saved by one button, with errors beside the field they are in."""

from __future__ import annotations

import os

from PySide6.QtCore import QEvent, QObject, Qt, Signal
from PySide6.QtWidgets import (
    QAbstractButton,
    QCheckBox,
    QComboBox,
    QFileDialog,
    QFrame,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QPlainTextEdit,
    QSlider,
    QSpinBox,
    QVBoxLayout,
    QWidget,
)

from app.engine.errors import EngineError
from app.settings import Settings
from ui.context import Context
from ui.panels.settings_form import FieldError, SettingsFields
from ui.widgets.basics import button, icon_button, label, restyle, tint
from ui.widgets.sheets import SheetPage
from ui.widgets.turn_rows import TurnRows


class SettingsPanel(QWidget):
    """Stands on the stage; `close_wanted` gives the stage back, the other signals open dialogs."""

    close_wanted = Signal()
    account_wanted = Signal()
    check_wanted = Signal()
    devices_wanted = Signal()

    def __init__(self, context: Context) -> None:
        super().__init__()
        self.setObjectName("settingsPage")
        self.setAttribute(Qt.WidgetAttribute.WA_StyledBackground)
        self._context = context
        self._settings: Settings | None = None
        self._filling = False
        self.fields = SettingsFields()
        self._wrong: dict[str, QLabel] = {}
        outer = QVBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 0)
        outer.setSpacing(0)
        outer.addLayout(self._head())
        self.page = SheetPage("settingsScroll", (24, 8, 24, 24))
        self._build()
        self.page.finish()
        outer.addWidget(self.page, 1)
        outer.addWidget(self._foot())
        self._watch_edits()
        context.engine_ready.connect(self.load)
        context.bridge.settings.connect(lambda event: self.load())
        context.bridge.devices.connect(lambda event: self._show_devices())
        self._set_changed(False)
        self.load()

    # Building -----------------------------------------------------------------------------------------------------

    def _head(self) -> QHBoxLayout:
        row = QHBoxLayout()
        row.setContentsMargins(24, 18, 16, 8)
        row.addWidget(label("Settings", "title"), 1)
        close = icon_button(
            self._context.theme, "close", "Close settings (Esc)", "settingsClose", self.close_wanted.emit
        )
        tint(self._context.theme, close, "close", "muted")
        row.addWidget(close)
        return row

    def _build(self) -> None:
        fields = self.fields
        you = self.page.sheet("You")
        fields.name.setPlaceholderText("empty: your login name")
        self._add(you, "Your name, as others see it", fields.name, "settingsName")
        account = button("Account…", "settingsAccount", self.account_wanted.emit)
        tint(self._context.theme, account, "person")
        you.addWidget(account, 0, Qt.AlignmentFlag.AlignLeft)
        devices = self.page.sheet("Sound and picture")
        self._add(devices, "Microphone", fields.microphone, "settingsMicrophone")
        self._add(devices, "Speaker", fields.speaker, "settingsSpeaker")
        self._add(devices, "Incoming calls ring on", fields.ring_device, "settingsRingDevice")
        self._add(devices, "Camera", fields.camera, "settingsCamera")
        for key, switch in fields.cleaning.items():
            self._add_box(devices, switch, f"settings_{key}")
        trial = button("Try them out…", "settingsTryOut", self.devices_wanted.emit)
        tint(self._context.theme, trial, "mic")
        devices.addWidget(trial, 0, Qt.AlignmentFlag.AlignLeft)
        explain = "Pauses take next to nothing then: for connections that are paid by the amount."
        self._add_box(devices, fields.dtx, "settingsDtx", explain)
        self._add(devices, "What others see", fields.picture, "settingsPicture")
        self._add(devices, "Size of the picture", fields.size, "settingsSize")
        explain = "A picture always follows what the network carries; this keeps it below that."
        self._add(devices, "Most that my picture may take", fields.most_rate, "settingsMostRate", explain)
        self._add_box(devices, fields.mirror, "settingsMirror", "Others always see it as it is.")
        self._add(devices, "Volume of the ring", fields.ring, "settingsRing")
        self.device_notes = label("", "warn", "settingsDeviceNotes", wrap=True)
        devices.addWidget(self.device_notes)
        self._build_recording()
        self._build_channels()
        network = self.page.sheet("Network")
        explain = "One a line: host or host:port. They tell this machine how it is seen from outside."
        self._add(network, "STUN servers", fields.stun, "settingsStun", explain, "stun")
        explain = "They carry a call where no direct way is open. Several stand in for each other."
        self._add(network, "TURN servers", fields.turn, "settingsTurn", explain, "turn")
        self._add(network, "Paths a call may take", fields.policy, "settingsPolicy")
        explain = "Others learn only names that this network can look up, and what servers see. Calls may need a relay."
        self._add_box(network, fields.hide_addresses, "settingsHide", explain)
        explain = "Where UDP is shut and no relay is to be had, a call may still go over TCP, less smoothly."
        self._add_box(network, fields.ice_tcp, "settingsIceTcp", explain)
        explain = "Telling addresses as they are found makes calls start sooner; old phones may not understand it."
        self._add(network, "Tell addresses as they are found", fields.trickle, "settingsTrickle", explain)
        explain = "An interrupted call looks for a new path as long as this, then it ends and says why."
        self._add(network, "An interrupted call waits", fields.reconnect, "settingsReconnect", explain)
        fields.proxy.setPlaceholderText("empty: as this system says")
        explain = "For TURN over TCP and TLS, where a network allows nothing else: http://host:port, or none."
        self._add(network, "Proxy", fields.proxy, "settingsProxy", explain, "proxy")
        self._add(network, "Encryption of sound and picture", fields.encryption, "settingsEncryption")
        self._add_box(network, fields.neighbours, "settingsNeighbours", "They find this one too.")
        check = button("Check my network…", "settingsCheck", self.check_wanted.emit)
        tint(self._context.theme, check, "diagnose")
        network.addWidget(check, 0, Qt.AlignmentFlag.AlignLeft)

    def _build_recording(self) -> None:
        fields, box = self.fields, self.page.sheet("Recording")
        self._add_folder(box, "Folder for recordings", "record_folder", "settingsRecordFolder", "videos")
        self._add(box, "How both voices are kept", fields.recorded_sound, "settingsRecordedSound")
        explain = "In many places it is the law that everybody on the line knows of a recording."
        self._add(box, "Tell the other side", fields.tell_other, "settingsTellOther", explain)
        self._add_folder(box, "Folder for pictures of calls", "stills_folder", "settingsStillsFolder", "pictures")

    def _build_channels(self) -> None:
        """The talk key of the desktop, with why it is not had, and the priority on channels."""
        field, box, key = self.fields.talk_key, self.page.sheet("Channels"), self._context.talk_key
        explain = "Held down anywhere on the desktop, it talks on the primary channel. Taken while a mission is open."
        self._add(box, "Talk key", field, "settingsTalkKey", explain, "talk_key")
        self.key_note = label(key.problem, "warn", "settingsTalkKeyNote", wrap=True)
        box.addWidget(self.key_note)
        explain = "Agree on it with the others: every Parley of a mission goes by what is said here."
        self._add(box, "Priority", self.fields.priority, "settingsTalkPriority", explain)
        field.listening.connect(key.pause)
        field.unfit.connect(self._show_unfit_key)
        key.changed.connect(self._show_key_problem)
        self._show_key_problem()

    def _show_key_problem(self) -> None:
        self.key_note.setText(self._context.talk_key.problem)
        self.key_note.setVisible(bool(self.key_note.text()))

    def _show_unfit_key(self, sentence: str) -> None:
        self._wrong["talk_key"].setText(f"✕ {sentence}")
        self._wrong["talk_key"].setVisible(bool(sentence))

    def _add_folder(self, box: QVBoxLayout, words: str, key: str, name: str, otherwise: str) -> None:
        """Add a field for a folder with a button to choose one; `otherwise`: whose folder an empty field means."""
        field: QLineEdit = getattr(self.fields, key)
        field.setPlaceholderText(f"empty: Parley in your folder for {otherwise}")
        self._add(box, words, field, name, key=key)
        choose = button("Choose…", f"{name}Choose", lambda: self._choose_folder(words, field))
        choose.setAccessibleName(f"Choose: {words}")
        box.addWidget(choose, 0, Qt.AlignmentFlag.AlignLeft)
        box.addSpacing(4)

    def _choose_folder(self, words: str, field: QLineEdit) -> None:
        dialog = QFileDialog(self, words, os.path.expanduser(field.text()))
        dialog.setObjectName("folderDialog")
        dialog.setFileMode(QFileDialog.FileMode.Directory)
        dialog.setOption(QFileDialog.Option.ShowDirsOnly)
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.fileSelected.connect(field.setText)
        dialog.open()

    def _add(self, box: QVBoxLayout, words: str, field: QWidget, name: str, explain: str = "", key: str = "") -> None:
        field.setObjectName(name)
        field.setAccessibleName(words)
        caption = label(words, "small")
        caption.setBuddy(field)
        box.addWidget(caption)
        box.addWidget(field)
        if explain:
            field.setAccessibleDescription(explain)
            box.addWidget(label(explain, "small", wrap=True))
        if key:
            wrong = label("", "bad", f"{name}Wrong", wrap=True)
            wrong.hide()
            box.addWidget(wrong)
            self._wrong[key] = wrong
        box.addSpacing(4)

    def _add_box(self, box: QVBoxLayout, field: QCheckBox, name: str, explain: str = "") -> None:
        field.setObjectName(name)
        field.setAccessibleName(field.text())
        box.addWidget(field)
        if explain:
            field.setAccessibleDescription(explain)
            box.addWidget(label(explain, "small", wrap=True))
        box.addSpacing(4)

    def _foot(self) -> QWidget:
        self.foot = QFrame()
        self.foot.setObjectName("settingsFoot")
        self.foot.setProperty("look", "sheet")
        row = QHBoxLayout(self.foot)
        row.setContentsMargins(24, 10, 24, 10)
        self.note = label("Not saved yet.", "muted", "settingsNote", wrap=True)
        row.addWidget(self.note, 1)
        self.undo = button("Undo", "settingsUndo", self._undo)
        self.save = button("Save", "settingsSave", self._save, look="primary")
        row.addWidget(self.undo)
        row.addWidget(self.save)
        return self.foot

    def _watch_edits(self) -> None:
        for field in (*vars(self.fields).values(), *self.fields.cleaning.values()):
            if isinstance(field, QLineEdit | QPlainTextEdit):
                field.textChanged.connect(self._edited)
            elif isinstance(field, QComboBox):
                field.currentIndexChanged.connect(self._edited)
            elif isinstance(field, QSlider | QSpinBox):
                field.valueChanged.connect(self._edited)
                field.installEventFilter(self)
            elif isinstance(field, TurnRows):
                field.changed.connect(self._edited)
            elif isinstance(field, QAbstractButton):
                field.toggled.connect(self._edited)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Leave the wheel to the page: it must not change a choice that only lies under the mouse."""
        if event.type() is QEvent.Type.Wheel and isinstance(watched, QWidget) and not watched.hasFocus():
            event.ignore()
            return True
        return False

    # Filling and saving ---------------------------------------------------------------------------------------------

    def load(self) -> None:
        """Read the settings anew, unless somebody is changing them here."""
        if self._context.engine is not None and not self.changed:
            self._context.tasks.start(self._load())

    @property
    def changed(self) -> bool:
        return self.foot.isVisibleTo(self)

    async def _load(self) -> None:
        engine = self._context.engine
        assert engine is not None
        self._settings = await engine.settings.get()
        self._fill()

    def _fill(self) -> None:
        if self._settings is None:
            return
        self._filling = True
        self._set_changed(False)
        self.fields.fill(self._settings)
        self._show_devices()
        self._filling = False

    def _show_devices(self) -> None:
        if self._settings is None:
            return
        devices = self._context.devices
        media = self._settings.media
        kept = (media.microphone, media.speaker, media.ring_device, media.camera)
        self.fields.fill_devices(devices.devices, self.fields.chosen_devices if self.changed else kept)
        self.device_notes.setText("\n".join(devices.problems))
        self.device_notes.setVisible(bool(devices.problems))

    def _edited(self, *value: object) -> None:
        if not self._filling and self._settings is not None:
            self._clear_wrong()
            self.note.setText("Not saved yet.")
            restyle(self.note, tone="muted")
            self._set_changed(True)

    def _set_changed(self, on: bool) -> None:
        self.foot.setVisible(on)

    def _undo(self) -> None:
        self._clear_wrong()
        self._fill()

    def _clear_wrong(self) -> None:
        for wrong in self._wrong.values():
            wrong.hide()

    def _save(self) -> None:
        if self._context.engine is not None:
            self._context.tasks.start(self._keep())

    async def _keep(self) -> None:
        engine = self._context.engine
        assert engine is not None
        try:
            await engine.settings.change(self.fields.read(await engine.settings.get()))
        except FieldError as error:
            self._wrong[error.field].setText(f"✕ {error}")
            self._wrong[error.field].show()
            getattr(self.fields, error.field).setFocus()
            self._say_not_saved("Not saved: look at the marked field.")
            return
        except EngineError as error:
            self._say_not_saved(str(error))
            return
        self._set_changed(False)
        self._context.say("Saved. Devices change at once, the rest from the next call on.", "good")
        self.load()

    def _say_not_saved(self, sentence: str) -> None:
        self.note.setText(sentence)
        restyle(self.note, tone="bad")
