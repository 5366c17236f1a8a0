"""What stands on the stage while there is no call: a welcome, the person chosen, or the past call chosen."""

from __future__ import annotations

import time

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QFrame, QHBoxLayout, QLabel, QVBoxLayout, QWidget

from app.events import Contact, HistoryEntry, PeopleChanged, RegistrationState
from ui import facts, words
from ui.context import Context
from ui.theme.icons import pixmap
from ui.widgets.avatar import Avatar
from ui.widgets.basics import button, label, tint


class WelcomePage(QWidget):
    """Shows one card in the middle of the stage, and under it what a person should know of their devices."""

    edit_wanted = Signal(object)
    remove_wanted = Signal(object)
    devices_wanted = Signal()

    def __init__(self, context: Context) -> None:
        super().__init__()
        self.setObjectName("idlePage")
        self.setAttribute(Qt.WidgetAttribute.WA_StyledBackground)
        self._context = context
        self._contact: Contact | None = None
        self._entry: HistoryEntry | None = None
        outer = QVBoxLayout(self)
        outer.setContentsMargins(24, 24, 24, 24)
        outer.addStretch(2)
        self._card = QFrame()
        self._card.setObjectName("idleCard")
        self._card.setProperty("look", "sheet")
        self._build_card()
        middle = QWidget()
        middle.setMaximumWidth(460)
        inner = QVBoxLayout(middle)
        inner.setContentsMargins(0, 0, 0, 0)
        inner.setSpacing(14)
        inner.addWidget(self._card)
        self.notes = label("", "muted", "deviceNotes", wrap=True)
        self.notes.setAlignment(Qt.AlignmentFlag.AlignCenter)
        inner.addWidget(self.notes)
        self.devices = button("Set up sound and picture…", "idleDevices", self.devices_wanted.emit, look="quiet")
        tint(context.theme, self.devices, "mic", "muted")
        inner.addWidget(self.devices, 0, Qt.AlignmentFlag.AlignCenter)
        across = QHBoxLayout()
        across.addStretch(1)
        across.addWidget(middle, 1000)
        across.addStretch(1)
        outer.addLayout(across)
        outer.addStretch(3)
        context.status_changed.connect(self._refresh)
        context.bridge.people.connect(self._people_changed)
        self._contacts: tuple[Contact, ...] = ()
        self._refresh()

    def _build_card(self) -> None:
        theme = self._context.theme
        box = QVBoxLayout(self._card)
        box.setContentsMargins(28, 28, 28, 24)
        box.setSpacing(8)
        middle = Qt.AlignmentFlag.AlignHCenter
        self._avatar = Avatar(88)
        self._sign = QLabel()
        self._sign.setPixmap(pixmap("parley", "#ffffff", 72, self.devicePixelRatioF()))
        self.title = label("", "title", "idleTitle", wrap=True)
        self.text = label("", "muted", "idleText", wrap=True, selectable=True)
        for part in (self.title, self.text):
            part.setAlignment(Qt.AlignmentFlag.AlignCenter)
        box.addWidget(self._avatar, 0, middle)
        box.addWidget(self._sign, 0, middle)
        box.addSpacing(4)
        box.addWidget(self.title)
        box.addWidget(self.text)
        box.addSpacing(8)
        self.call = button("Call", "idleCall", lambda: self._call(True), look="primary")
        tint(theme, self.call, "camera", "accent_text")
        self.voice = button("Voice only", "idleVoice", lambda: self._call(False))
        tint(theme, self.voice, "phone")
        box.addLayout(_row(self.call, self.voice))
        self.edit = button("Edit", "idleEdit", lambda: self.edit_wanted.emit(self._contact), look="quiet")
        tint(theme, self.edit, "edit", "muted")
        self.remove = button("Remove", "idleRemove", lambda: self.remove_wanted.emit(self._contact), look="quiet")
        tint(theme, self.remove, "remove", "muted")
        self.copy = button("Copy my address", "copyAddress", self._copy, look="quiet")
        tint(theme, self.copy, "copy", "muted")
        box.addLayout(_row(self.edit, self.remove, self.copy))

    # --------------------------------------------------------------------------------------------------------------

    def show_contact(self, contact: Contact | None) -> None:
        self._contact, self._entry = contact, None
        self._refresh()

    def show_entry(self, entry: HistoryEntry | None) -> None:
        self._contact, self._entry = None, entry
        self._refresh()

    def _people_changed(self, event: PeopleChanged) -> None:
        self._contacts = event.contacts
        if self._contact is not None:
            wanted = self._contact.contact_id
            self._contact = next((who for who in self._contacts if who.contact_id == wanted), None)
        self._refresh()

    def _refresh(self) -> None:
        if self._context.failure is not None:
            self._fill("Parley could not start", self._context.failure, face=None)
            self._offer(call=False)
        elif self._contact is not None:
            self._show_person(self._contact)
        elif self._entry is not None:
            self._show_past(self._entry)
        else:
            self._show_welcome()
        problems = self._context.devices.problems
        self.notes.setText("\n".join(problems))
        self.notes.setVisible(bool(problems))

    def _show_person(self, who: Contact) -> None:
        lines = [words.shown_address(who.uri), who.note or words.presence_words(who)]
        self._fill(who.name, "\n".join(lines), face=who.name)
        kept = who.source == "kept"
        edit = "Edit" if kept else "Keep in my list" if who.source == "network" else ""
        self._offer(call=True, edit=edit, remove=kept)

    def _show_past(self, entry: HistoryEntry) -> None:
        name = entry.remote_name or words.shown_address(entry.remote_uri)
        lines = [words.shown_address(entry.remote_uri)]
        lines.append(f"{words.when(entry.started_wall, time.time())} · {words.outcome_words(entry)}")
        if entry.sentence:
            lines.append(entry.sentence)
        if entry.path:
            lines.append({"direct": "It went directly.", "relayed": "It went through a relay."}.get(entry.path, ""))
        if entry.score is not None:
            lines.append(f"It sounded {facts.score_word(entry.score)[0]}: {entry.score:.1f} of 5, estimated.")
        self._fill(name, "\n".join(line for line in lines if line), face=name)
        self._offer(call=True)

    def _show_welcome(self) -> None:
        own = self._own_address()
        echo = self._echo()
        text = "Choose somebody in the list, or press Ctrl+K and type a name, an address or a number."
        if echo is not None:
            text += " To hear and see yourself, call the echo."
        if own:
            text += f"\n\nOthers reach you at {words.shown_address(own)}"
        self._fill("Ready for a call", text, face=None)
        self._offer(call=echo is not None, copy=bool(own), call_words="Call the echo")

    def _fill(self, title: str, text: str, *, face: str | None) -> None:
        self._avatar.setVisible(face is not None)
        self._sign.setVisible(face is None)
        if face is not None:
            self._avatar.show_name(face)
        self.title.setText(title)
        self.text.setText(text)

    def _offer(
        self, *, call: bool, edit: str = "", remove: bool = False, copy: bool = False, call_words: str = "Call"
    ) -> None:
        self.call.setVisible(call)
        self.call.setText(call_words)
        self.call.setAccessibleName(call_words)
        self.voice.setVisible(call)
        self.edit.setVisible(bool(edit))
        self.edit.setText(edit or "Edit")
        self.remove.setVisible(remove)
        self.copy.setVisible(copy)

    def _call(self, video: bool) -> None:
        if self._contact is not None:
            self._context.place(self._contact.uri, video=video)
        elif self._entry is not None:
            self._context.place(self._entry.remote_uri, video=video)
        else:
            echo = self._echo()
            if echo is not None:
                self._context.place(echo.uri, video=video)

    def _echo(self) -> Contact | None:
        return next((who for who in self._contacts if who.source == "builtin"), None)

    def _own_address(self) -> str | None:
        registration = self._context.registration
        if registration is not None and registration.own_uri:
            return registration.own_uri
        if registration is not None and registration.state is RegistrationState.REGISTERED:
            return registration.account or None
        return None

    def _copy(self) -> None:
        own = self._own_address()
        if own:
            QGuiApplication.clipboard().setText(own)
            self._context.say("Your address is on the clipboard.", "good")


def _row(*parts: QWidget) -> QHBoxLayout:
    row = QHBoxLayout()
    row.setSpacing(8)
    row.addStretch(1)
    for part in parts:
        row.addWidget(part)
    row.addStretch(1)
    return row
