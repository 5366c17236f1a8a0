"""The dialog to add or change a person."""

from __future__ import annotations

from dataclasses import replace

from PySide6.QtWidgets import QCheckBox, QLineEdit, QWidget

from app.engine.errors import EngineError
from app.events import Contact
from ui.context import Context
from ui.dialogs.form import FormDialog
from ui.widgets.basics import button, restyle


class ContactDialog(FormDialog):
    """Adds a person, changes a kept one, or keeps one that was found on the network."""

    def __init__(self, context: Context, contact: Contact | None, parent: QWidget | None) -> None:
        self._known = contact is not None and contact.source == "kept"
        title = "Edit person" if self._known else "Add a person"
        super().__init__(parent, "contactDialog", title, "Somebody with a SIP address or a telephone number.")
        self._context = context
        self._contact = contact
        self.name = QLineEdit(contact.name if contact else "")
        self.name.setMaxLength(200)
        self.name.setPlaceholderText("Ada Lovelace")
        self.address = QLineEdit(contact.uri if contact else "")
        self.address.setMaxLength(512)
        self.address.setPlaceholderText("sip:ada@example.org or tel:+4930123456")
        self.add_field("Name", self.name, "contactName")
        self.add_field("Address", self.address, "contactAddress", "sip:, sips: or tel:")
        self.favourite = QCheckBox("Favourite, at the top of the list")
        self.favourite.setObjectName("contactFavourite")
        self.favourite.setAccessibleName(self.favourite.text())
        self.favourite.setChecked(bool(contact and contact.favourite))
        self.add_widget(self.favourite)
        self.save = button("Save", "contactSave", self._save, look="primary")
        self.save.setDefault(True)
        self.add_buttons(button("Cancel", "contactCancel", self.reject), self.save)
        for field in (self.name, self.address):
            field.textChanged.connect(lambda text, field=field: self._edited(field))
        self.name.setFocus()

    def _edited(self, field: QLineEdit) -> None:
        restyle(field, wrong=False)
        self.say("")

    def _save(self) -> None:
        name, address = self.name.text().strip(), self.address.text().strip()
        for field, text, sentence in (
            (self.name, name, "Give the person a name."),
            (self.address, address, "Give an address to call, such as sip:ada@example.org."),
        ):
            if not text:
                restyle(field, wrong=True)
                field.setFocus()
                self.say(sentence, "bad")
                return
        if self._context.engine is None:
            self.say("Parley is still starting: try again in a moment.", "bad")
            return
        self.save.setEnabled(False)
        self._context.tasks.start(self._keep(name, address))

    async def _keep(self, name: str, address: str) -> None:
        engine = self._context.engine
        assert engine is not None
        try:
            if self._known and self._contact is not None:
                changed = replace(self._contact, name=name, uri=address, favourite=self.favourite.isChecked())
                await engine.people.update(changed)
            else:
                await engine.people.add(name, address, self.favourite.isChecked())
        except EngineError as error:
            if self.gone:
                self._context.say(str(error), "bad")
                return
            self.say(str(error), "bad")
            restyle(self.address, wrong=True)
            return
        finally:
            if not self.gone:
                self.save.setEnabled(True)
        if not self.gone:
            self.accept()
