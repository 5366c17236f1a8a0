"""The theme in force: follows the system's light or dark choice, live, and tells who paints by hand."""

from __future__ import annotations

from PySide6.QtCore import QObject, Qt, Signal
from PySide6.QtGui import QColor, QFont, QPalette
from PySide6.QtWidgets import QApplication, QStyleFactory

from ui.theme.stylesheet import build
from ui.theme.tokens import DARK, LIGHT, Tokens


class Theme(QObject):
    """Applies palette, style sheet and font to the application; `changed` is emitted after each switch."""

    changed = Signal()

    def __init__(self, app: QApplication) -> None:
        super().__init__(app)
        self.tokens: Tokens = LIGHT
        self._app = app
        self._forced: Tokens | None = None
        app.setStyle(QStyleFactory.create("Fusion"))
        font = app.font()
        font.setFeature(QFont.Tag("tnum"), 1)  # figures that change do not make their neighbours jump
        app.setFont(font)
        self._follow()
        app.styleHints().colorSchemeChanged.connect(self._follow)

    def force(self, tokens: Tokens | None) -> None:
        """Keep to one set of colours whatever the system says; None follows the system again."""
        self._forced = tokens
        self._follow()

    def _follow(self) -> None:
        dark = self._app.styleHints().colorScheme() is Qt.ColorScheme.Dark
        self._apply(self._forced or (DARK if dark else LIGHT))

    def _apply(self, tokens: Tokens) -> None:
        self.tokens = tokens
        self._app.setPalette(palette(tokens))
        self._app.setPalette(_box_palette(tokens), "QCheckBox")
        self._app.setStyleSheet(build(tokens))
        self.changed.emit()


def _box_palette(tokens: Tokens) -> QPalette:
    """Give a check box a ground that stands out: Fusion draws its edge darker than the window, unseen in the dark."""
    result = palette(tokens)
    if tokens is DARK:
        result.setColor(QPalette.ColorRole.Base, QColor(tokens.line_strong))
    return result


def palette(tokens: Tokens) -> QPalette:
    """Give Qt's palette for what a stylesheet does not reach."""
    role = QPalette.ColorRole
    colours = {
        role.Window: tokens.background,
        role.Base: tokens.background,
        role.AlternateBase: tokens.card,
        role.Button: tokens.card,
        role.Text: tokens.text,
        role.WindowText: tokens.text,
        role.ButtonText: tokens.text,
        role.PlaceholderText: tokens.muted,
        role.Highlight: tokens.accent,
        role.HighlightedText: tokens.accent_text,
        role.ToolTipBase: tokens.text,
        role.ToolTipText: tokens.background,
        role.Link: tokens.accent,
        role.Mid: tokens.line_strong,
    }
    result = QPalette()
    for which, colour in colours.items():
        result.setColor(which, QColor(colour))
    for which in (role.Text, role.WindowText, role.ButtonText):
        result.setColor(QPalette.ColorGroup.Disabled, which, QColor(tokens.muted))
    return result
