"""The column at the left: the one field, the list below it, and at the foot how others reach this person."""

from __future__ import annotations

from PySide6.QtCore import QSize, Qt, Signal
from PySide6.QtWidgets import QStackedWidget, QVBoxLayout, QWidget

from app.events import RegistrationState
from ui import words
from ui.context import Context
from ui.panels.channels_column import ChannelsColumn
from ui.panels.history import HistoryPanel
from ui.panels.people import PeoplePanel
from ui.theme.icons import icon
from ui.widgets.basics import button
from ui.widgets.search_field import SearchField

_SHORT = {
    RegistrationState.REGISTERED: ("registered", "check", "good"),
    RegistrationState.REGISTERING: ("registering…", "history", "muted"),
    RegistrationState.FAILED: ("not registered", "warning", "bad"),
    RegistrationState.UNREGISTERED: ("not registered", "warning", "warn"),
}


class ListColumn(QWidget):
    """Holds the people, channels and history lists; the field above works on the one that is seen."""

    account_wanted = Signal()
    called = Signal()

    def __init__(self, context: Context) -> None:
        super().__init__()
        self.setObjectName("listColumn")
        self.setAttribute(Qt.WidgetAttribute.WA_StyledBackground)
        self._context = context
        self._entered = ""  # what Enter was last pressed on
        box = QVBoxLayout(self)
        box.setContentsMargins(0, 0, 1, 0)
        box.setSpacing(0)
        self.field = SearchField(context.theme)
        top = QVBoxLayout()
        top.setContentsMargins(14, 14, 14, 8)
        top.addWidget(self.field)
        box.addLayout(top)
        self.people = PeoplePanel(context)
        self.channels = ChannelsColumn(context)
        self.history = HistoryPanel(context)
        self.lists = QStackedWidget()
        self.lists.addWidget(self.people)
        self.lists.addWidget(self.channels)
        self.lists.addWidget(self.history)
        box.addWidget(self.lists, 1)
        self.account = button("Starting…", "accountButton", self.account_wanted.emit)
        self.account.setIconSize(QSize(16, 16))
        box.addWidget(self.account)
        self.field.textChanged.connect(self._typed)
        self.field.returnPressed.connect(self._enter)
        self.field.moved.connect(lambda step: self._shown().walk(step))
        for panel in (self.people, self.channels, self.history):
            panel.called.connect(self._called)
        context.not_placed.connect(self._give_back)
        context.status_changed.connect(self._show_status)
        context.theme.changed.connect(self._show_status)
        self._show_status()

    def show_people(self) -> None:
        self.lists.setCurrentWidget(self.people)

    def show_channels(self) -> None:
        self.lists.setCurrentWidget(self.channels)

    @property
    def shown(self) -> str:
        """The rail's key of the list that is seen."""
        shown = self.lists.currentWidget()
        return "history" if shown is self.history else "channels" if shown is self.channels else "people"

    def show_history(self) -> None:
        self.lists.setCurrentWidget(self.history)
        self.history.mark_seen()

    def _shown(self) -> PeoplePanel | ChannelsColumn | HistoryPanel:
        panels: dict[str, PeoplePanel | ChannelsColumn | HistoryPanel]
        panels = {"people": self.people, "channels": self.channels, "history": self.history}
        return panels[self.shown]

    def _typed(self, text: str) -> None:
        if text.strip():
            self._context.expect_call()
        self.people.set_filter(text)
        self.channels.set_filter(text)
        self.history.set_filter(text)

    def _enter(self) -> None:
        typed = self._entered = self.field.text()
        if not typed.strip() and self._shown() is self.people and self.people.current_row() is None:
            return
        if not self._shown().call_current(typed) and typed.strip():
            self._context.place(typed)
            self._called()

    def _called(self) -> None:
        self.field.clear()
        self.called.emit()

    def _give_back(self, target: str) -> None:
        """Put back what was typed and cannot be called, to be mended, unless something else was typed since."""
        typed, self._entered = self._entered, ""
        if typed and target.strip() == typed.strip() and not self.field.text():
            self.field.setText(typed)

    def _show_status(self) -> None:
        text, sign, role, spoken = self._status()
        self.account.ensurePolished()
        self.account.setText(self.account.fontMetrics().elidedText(text, Qt.TextElideMode.ElideRight, 240))
        self.account.setIcon(icon(sign, getattr(self._context.theme.tokens, role), 16))
        self.account.setToolTip(spoken)
        self.account.setAccessibleName(f"Account: {text}")
        self.account.setAccessibleDescription(spoken)

    def _status(self) -> tuple[str, str, str, str]:
        """Give the words, the icon, its colour and the long form of how this person is reached."""
        if self._context.failure is not None:
            return "Not running", "warning", "bad", self._context.failure
        registration, home = self._context.registration, self._context.home
        if registration is not None and registration.state is not RegistrationState.NONE:
            said, sign, role = _SHORT[registration.state]
            tail = f" · {said}"
            if registration.state is RegistrationState.REGISTERED and registration.transport:
                tail += f" · {registration.transport.upper()}"
            metrics = self.account.fontMetrics()
            room = 240 - metrics.horizontalAdvance(tail)
            address = words.shown_address(registration.account)
            return (
                metrics.elidedText(address, Qt.TextElideMode.ElideRight, room) + tail,
                sign,
                role,
                registration.sentence or "Open the account",
            )
        if home is not None and home.running:
            spoken = "Parley runs its own server on this machine. Click to set up an account."
            return "No account · own server runs", "check", "good", spoken
        if home is not None and home.sentence:
            return "No account · own server failed", "warning", "bad", home.sentence
        if registration is not None:
            return "No account · direct calls only", "info", "muted", "Click to set up an account."
        return "Starting…", "history", "muted", "Parley is starting"
