"""Fields on a sheet that say beside themselves what is wrong with them, found by the name of what they are about."""

from __future__ import annotations

from collections.abc import Mapping

from PySide6.QtWidgets import QLabel, QLineEdit, QPlainTextEdit, QVBoxLayout, QWidget

from ui.widgets.basics import label, restyle


class ToldFields:
    """Each field has a key, such as "rx.address"; `mark` shows what is wrong with which."""

    def __init__(self) -> None:
        self._fields: dict[str, tuple[str, QWidget, QLabel]] = {}

    def add(self, box: QVBoxLayout, words: str, field: QWidget, name: str, key: str, explain: str = "") -> QLabel:
        """Put a field below its words, and room for what is wrong with it below that; gives the words' label."""
        caption = label(words, "small")
        caption.setBuddy(field)
        field.setObjectName(name)
        field.setAccessibleName(words)
        box.addWidget(caption)
        box.addWidget(field)
        if explain:
            field.setAccessibleDescription(explain)
            box.addWidget(label(explain, "small", wrap=True))
        self.tell_below(box, words, field, key)
        return caption

    def tell_below(self, box: QVBoxLayout, words: str, field: QWidget, key: str) -> None:
        """Leave room below a field for what is wrong with it."""
        wrong = label("", "bad", f"{field.objectName()}Wrong", wrap=True)
        wrong.hide()
        box.addWidget(wrong)
        self._fields[key] = (words, field, wrong)

    def forget(self, prefix: str) -> None:
        """Drop the fields whose keys begin so: their widgets are being taken away."""
        for key in [key for key in self._fields if key.startswith(prefix)]:
            del self._fields[key]

    def mark(self, wrong: Mapping[str, str], *, empty_too: bool) -> None:
        """Show clauses such as "is 70000, and …" by key; an empty field is only told of with `empty_too`."""
        for key, (words, field, told) in self._fields.items():
            clause = wrong.get(key, "")
            if clause and not empty_too and is_empty(field):
                clause = ""
            told.setText(f"✕ {words} {clause}{'' if clause.endswith('.') else '.'}" if clause else "")
            told.setVisible(bool(clause))
            restyle(field, wrong=bool(clause))

    def words(self, key: str) -> str:
        """What stands below a field now."""
        return self._fields[key][2].text()

    def field(self, key: str) -> QWidget | None:
        """The field of a key, where it is here."""
        found = self._fields.get(key)
        return found[1] if found is not None else None


def is_empty(field: QWidget) -> bool:
    if isinstance(field, QLineEdit):
        return not field.text().strip()
    return isinstance(field, QPlainTextEdit) and not field.toPlainText().strip()
