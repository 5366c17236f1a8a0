"""The rail at the left edge: one entry for each thing the window can do, each with an icon and a word."""

from __future__ import annotations

from PySide6.QtCore import QSize, Qt, Signal
from PySide6.QtWidgets import QLabel, QSizePolicy, QToolButton, QVBoxLayout, QWidget

from ui.theme.icons import pixmap
from ui.theme.manager import Theme
from ui.theme.tokens import RAIL_WIDTH
from ui.widgets.basics import ToolButton, tint

ENTRIES = (
    ("people", "People", "The people you can call (Ctrl+1)"),
    ("channels", "Channels", "Push-to-talk channels of your missions (Ctrl+3)"),
    ("history", "History", "Past calls (Ctrl+2)"),
    ("diagnose", "Diagnose", "How the call travels and sounds (Ctrl+D)"),
    ("settings", "Settings", "Devices, name and network (Ctrl+,)"),
)


class Rail(QWidget):
    """Emits `chosen` with the entry's key; who listens decides what is marked."""

    chosen = Signal(str)

    def __init__(self, theme: Theme) -> None:
        super().__init__()
        self.setObjectName("rail")
        self.setAttribute(Qt.WidgetAttribute.WA_StyledBackground)
        self.setFixedWidth(RAIL_WIDTH)
        self._buttons: dict[str, QToolButton] = {}
        self._badges: dict[str, QLabel] = {}
        box = QVBoxLayout(self)
        box.setContentsMargins(6, 14, 6, 14)
        box.setSpacing(6)
        sign = QLabel()
        sign.setPixmap(pixmap("parley", "#ffffff", 36, self.devicePixelRatioF()))
        sign.setAccessibleName("Parley")
        box.addWidget(sign, 0, Qt.AlignmentFlag.AlignHCenter)
        box.addSpacing(10)
        for key, words, hint in ENTRIES:
            if key == "diagnose":
                box.addStretch(1)
            box.addWidget(self._entry(theme, key, words, hint))

    def _entry(self, theme: Theme, key: str, words: str, hint: str) -> QToolButton:
        made = ToolButton()
        made.setObjectName(f"rail-{key}")
        made.setText(words)
        made.setAccessibleName(words)
        made.setAccessibleDescription(hint)
        made.setToolTip(hint)
        made.setProperty("look", "rail")
        made.setCheckable(True)
        made.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextUnderIcon)
        made.setIconSize(QSize(24, 24))
        made.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        made.setFixedHeight(56)
        made.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        made.setCursor(Qt.CursorShape.PointingHandCursor)
        tint(theme, made, key, "muted", "accent")
        made.clicked.connect(lambda: self.chosen.emit(key))
        self._buttons[key] = made
        return made

    def mark(self, key: str, on: bool) -> None:
        self._buttons[key].setChecked(on)

    def badge(self, key: str, count: int, said: str = "") -> None:
        """Say how many new things wait behind an entry; `said` is what a screen reader hears of them."""
        words = next(words for name, words, _ in ENTRIES if name == key)
        badge = self._badges.get(key)
        if badge is None:
            badge = self._badges[key] = QLabel(self._buttons[key])
            badge.setObjectName("railBadge")
            badge.setAlignment(Qt.AlignmentFlag.AlignCenter)
            badge.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        badge.setText(str(count) if count < 100 else "99+")
        badge.setVisible(count > 0)
        badge.ensurePolished()
        width = max(16, badge.sizeHint().width())
        badge.setGeometry(34, 4, width, 16)
        self._buttons[key].setAccessibleName(f"{words}, {said or f'{count} new'}" if count else words)
