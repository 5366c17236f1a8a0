"""Small builders, so that every control gets its name for tests, its accessible name and its look in one place."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

from PySide6.QtCore import QObject, QSize, Qt
from PySide6.QtWidgets import QAbstractButton, QFrame, QLabel, QPushButton, QSizePolicy, QToolButton, QWidget

from ui.theme.icons import icon
from ui.theme.manager import Theme
from ui.widgets.enter import EnterPresses


class PushButton(EnterPresses, QPushButton):
    """A button with words on it."""


class ToolButton(EnterPresses, QToolButton):
    """A button with an icon, or one that opens a menu."""


def label(text: str = "", tone: str = "", name: str = "", *, wrap: bool = False, selectable: bool = False) -> QLabel:
    """Make a text; it is always plain, whatever a stranger put in it."""
    made = QLabel(text)
    made.setTextFormat(Qt.TextFormat.PlainText)
    made.setWordWrap(wrap)
    if tone:
        made.setProperty("tone", tone)
    if name:
        made.setObjectName(name)
    if selectable:
        made.setTextInteractionFlags(
            Qt.TextInteractionFlag.TextSelectableByMouse | Qt.TextInteractionFlag.TextSelectableByKeyboard
        )
    return made


def button(text: str, name: str, clicked: Callable[[], object], *, look: str = "", hint: str = "") -> QPushButton:
    """Make a button with words on it."""
    made = PushButton(text)
    made.setObjectName(name)
    made.setAccessibleName(text)
    made.setAutoDefault(False)
    made.setCursor(Qt.CursorShape.PointingHandCursor)
    if look:
        made.setProperty("look", look)
    if hint:
        made.setToolTip(hint)
        made.setAccessibleDescription(hint)
    made.clicked.connect(lambda: clicked())
    return made


def icon_button(
    theme: Theme, icon_name: str, words: str, name: str, clicked: Callable[[], object] | None = None, *, size: int = 20
) -> QToolButton:
    """Make a button with an icon; its words are the label on hover and the accessible name."""
    made = ToolButton()
    made.setObjectName(name)
    made.setAccessibleName(words)
    made.setToolTip(words)
    made.setIconSize(QSize(size, size))
    made.setCursor(Qt.CursorShape.PointingHandCursor)
    made.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
    tint(theme, made, icon_name)
    if clicked is not None:
        made.clicked.connect(lambda: clicked())
    return made


def tint(theme: Theme, target: QAbstractButton, icon_name: str, role: str = "text", checked_role: str = "") -> None:
    """Set an icon in a colour of the theme and keep it in step when the theme changes."""

    def draw() -> None:
        colour = getattr(theme.tokens, role)
        checked = getattr(theme.tokens, checked_role) if checked_role else None
        target.setIcon(icon(icon_name, colour, target.iconSize().width(), checked))

    draw()
    connection = theme.changed.connect(draw)
    target.destroyed.connect(lambda: QObject.disconnect(connection))


def restyle(widget: QWidget, **properties: object) -> None:
    """Change properties that the stylesheet looks at and have it looked at again."""
    changed = False
    for key, value in properties.items():
        if widget.property(key) != value:
            widget.setProperty(key, value)
            changed = True
    if changed:
        widget.style().unpolish(widget)
        widget.style().polish(widget)


def tab_through(*controls: QWidget) -> None:
    """Have Tab go from each of these to the next; they are in one window."""
    for before, after in pairwise(controls):
        QWidget.setTabOrder(before, after)


def section(text: str) -> QLabel:
    """Make the small heading over a group."""
    made = label(text.upper(), "section")
    made.setAccessibleName(text)
    return made


def line() -> QFrame:
    made = QFrame()
    made.setProperty("look", "line")
    made.setFixedHeight(1)
    return made


def spring() -> QWidget:
    """Make an empty widget that takes what room is left."""
    made = QWidget()
    made.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
    return made
