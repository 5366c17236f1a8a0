"""A field for a password, passphrase or PIN: dots, and an eye that shows what was typed."""

from __future__ import annotations

from PySide6.QtGui import QAction
from PySide6.QtWidgets import QLineEdit

from ui.theme.icons import icon
from ui.theme.manager import Theme


class SecretField(QLineEdit):
    """`words` names the secret: "Password"."""

    def __init__(self, theme: Theme, words: str, name: str = "") -> None:
        super().__init__()
        self._theme, self._words = theme, words
        self.setObjectName(name)
        self.setAccessibleName(words)
        self.setMaxLength(512)
        self._eye = QAction(self)
        self._eye.setCheckable(True)
        self._eye.toggled.connect(self.reveal)
        self.addAction(self._eye, QLineEdit.ActionPosition.TrailingPosition)
        theme.changed.connect(self._draw)
        self.reveal(False)

    def reveal(self, shown: bool) -> None:
        """Show what stands in the field, or dots."""
        self._eye.setChecked(shown)
        self.setEchoMode(QLineEdit.EchoMode.Normal if shown else QLineEdit.EchoMode.Password)
        self._draw()

    @property
    def is_shown(self) -> bool:
        return self.echoMode() is QLineEdit.EchoMode.Normal

    def _draw(self) -> None:
        self._eye.setIcon(icon("eye-off" if self.is_shown else "eye", self._theme.tokens.muted, 18))
        self._eye.setText(f"{'Hide' if self.is_shown else 'Show'} the {self._words[:1].lower()}{self._words[1:]}")
        self._eye.setToolTip(self._eye.text())
