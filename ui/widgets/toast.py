"""Sentences that come and go over the stage: what happened and what to do, never more."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import QEvent, QObject, QTimer
from PySide6.QtGui import QAccessible, QAccessibleEvent
from PySide6.QtWidgets import QFrame, QHBoxLayout, QLabel, QVBoxLayout, QWidget

from ui.theme.icons import pixmap
from ui.theme.manager import Theme
from ui.widgets.basics import button, icon_button, label, tint

Offer = tuple[str, Callable[[], object]]
"""A button on a message: its words, and what it does."""

_MOST = 3
_STAY_MS = {"plain": 6000, "good": 5000, "warn": 12000, "bad": 15000}
_ICONS = {"plain": "info", "good": "check", "warn": "warning", "bad": "warning"}


class Toasts(QWidget):
    """A stack of at most three sentences at the lower edge of its parent."""

    def __init__(self, theme: Theme, parent: QWidget, margin: Callable[[], int]) -> None:
        """`margin` gives the pixels at the lower edge that belong to something else."""
        super().__init__(parent)
        self._over = parent
        self.setObjectName("toasts")
        self._theme = theme
        self._box = QVBoxLayout(self)
        self._box.setContentsMargins(0, 0, 0, 0)
        self._box.setSpacing(8)
        self._shown: list[_Toast] = []
        self._margin = margin
        parent.installEventFilter(self)
        self.hide()

    @property
    def sentences(self) -> list[str]:
        return [toast.sentence for toast in self._shown]

    def show_sentence(self, sentence: str, tone: str = "plain", offer: Offer | None = None) -> None:
        """Show a sentence, maybe with something to do about it; the same one again only stays longer."""
        for toast in self._shown:
            if toast.sentence == sentence:
                toast.stay(_STAY_MS[tone])
                return
        toast = _Toast(self._theme, sentence, tone, offer, self)
        toast.stay(_STAY_MS[tone])
        self._shown.append(toast)
        self._box.addWidget(toast)
        while len(self._shown) > _MOST:
            self.remove(self._shown[0])
        self.show()
        self.raise_()
        self._place()
        QAccessible.updateAccessibility(QAccessibleEvent(toast, QAccessible.Event.Alert))

    def take_back(self, sentence: str) -> None:
        """Show a sentence no longer that is no longer true."""
        for toast in [toast for toast in self._shown if toast.sentence == sentence]:
            self.remove(toast)

    def remove(self, toast: _Toast) -> None:
        if toast in self._shown:
            self._shown.remove(toast)
            self._box.removeWidget(toast)
            toast.hide()
            toast.deleteLater()
        self.setVisible(bool(self._shown))
        self._place()

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if event.type() is QEvent.Type.Resize:
            self._place()
        return False

    def _place(self) -> None:
        parent = self._over
        width = min(560, parent.width() - 32)
        height = 0
        for toast in self._shown:
            height += toast.fit(width) + self._box.spacing()
        self.setGeometry((parent.width() - width) // 2, parent.height() - height - self._margin(), width, height)


class _Toast(QFrame):
    def __init__(self, theme: Theme, sentence: str, tone: str, offer: Offer | None, owner: Toasts) -> None:
        super().__init__(owner)
        self.sentence = sentence
        self.setObjectName("toast")
        self.setProperty("look", "toast")
        self.setAccessibleName(sentence)
        self._row = row = QHBoxLayout(self)
        row.setContentsMargins(14, 10, 8, 10)
        row.setSpacing(10)
        sign = QLabel()
        sign.setPixmap(pixmap(_ICONS[tone], theme.tokens.background, 20, self.devicePixelRatioF()))
        row.addWidget(sign)
        self._text = label(sentence, name="toastText", wrap=True, selectable=True)
        row.addWidget(self._text, 1)
        if offer is not None:
            words, act = offer
            row.addWidget(button(words, "toastOffer", act, look="onToast"))
        close = icon_button(theme, "close", "Close this message", "toastClose", lambda: owner.remove(self), size=16)
        tint(theme, close, "close", "background")
        row.addWidget(close)
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.timeout.connect(lambda: owner.remove(self))

    def fit(self, width: int) -> int:
        """Take a width; give the height that the sentence needs in it."""
        for part in (self, self._text):
            part.ensurePolished()
        edge = 2 * self.frameWidth()
        height = self._row.heightForWidth(width - edge) + edge
        self.setFixedSize(width, height)
        return height

    def stay(self, milliseconds: int) -> None:
        self._timer.start(milliseconds)
