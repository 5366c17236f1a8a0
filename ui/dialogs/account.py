"""The account dialog: address, password, server, transport, and the server's answer in words."""

from __future__ import annotations

from PySide6.QtWidgets import QLineEdit, QWidget

from app.engine.errors import EngineError
from app.events import RegistrationChanged, RegistrationState
from app.settings import Account, HostPort, SipTransport
from ui.context import Context
from ui.dialogs.form import FormDialog
from ui.widgets.basics import button, restyle
from ui.widgets.choice import Choice
from ui.widgets.secret_field import SecretField

_TRANSPORTS: tuple[tuple[str, SipTransport | None], ...] = (
    ("Automatic", None),
    ("UDP", SipTransport.UDP),
    ("TCP", SipTransport.TCP),
    ("TLS (protected)", SipTransport.TLS),
)


class AccountDialog(FormDialog):
    """Sets, changes or removes the account. Waiting for the server blocks nothing."""

    def __init__(self, context: Context, parent: QWidget | None) -> None:
        super().__init__(
            parent,
            "accountDialog",
            "Account",
            "With an account others reach you through your SIP server. Without one Parley runs its own on this "
            "machine, and people on the same network find each other.",
        )
        self._context = context
        self._kept = False
        self._build_fields()
        self.remove = button("Remove account", "accountRemove", self._remove)
        self.save = button("Save and register", "accountSave", self._save, look="primary")
        self.save.setDefault(True)
        self.add_buttons(button("Close", "accountClose", self.reject), self.save, first=self.remove)
        self.remove.hide()
        context.bridge.registration.connect(self._registration_changed)
        if context.engine is not None:
            context.tasks.start(self._load())

    def _build_fields(self) -> None:
        self.address = QLineEdit()
        self.address.setPlaceholderText("sip:you@example.org")
        self.address.setMaxLength(512)
        self.password = SecretField(self._context.theme, "Password")
        self.server = QLineEdit()
        self.server.setPlaceholderText("found by the address")
        self.server.setMaxLength(300)
        self.transport = Choice()
        for words, _ in _TRANSPORTS:
            self.transport.addItem(words)
        self.name = QLineEdit()
        self.name.setPlaceholderText("how others see you")
        self.name.setMaxLength(200)
        self.add_field("Address", self.address, "accountAddress")
        self.add_field("Password", self.password, "accountPassword")
        self.add_field("Server", self.server, "accountServer", "host or host:port; empty: the domain of the address")
        self.add_field("Transport", self.transport, "accountTransport")
        self.add_field("Your name", self.name, "accountName")
        for field in (self.address, self.server, self.password):
            field.textChanged.connect(lambda text, field=field: restyle(field, wrong=False))

    # --------------------------------------------------------------------------------------------------------------

    async def _load(self) -> None:
        engine = self._context.engine
        assert engine is not None
        settings = await engine.settings.get()
        kept = bool(settings.accounts) and await engine.accounts.password_kept()
        if self.gone:
            return
        account = settings.accounts[0] if settings.accounts else None
        self.name.setText(account.display_name if account else settings.display_name)
        if account is None:
            return
        self._kept = kept
        self.address.setText(account.address)
        self.server.setText(str(account.registrar) if account.registrar else "")
        transports = [transport for _, transport in _TRANSPORTS]
        if account.transport in transports:
            self.transport.setCurrentIndex(transports.index(account.transport))
        if self._kept:
            self.password.setPlaceholderText("kept; type to change it")
        self.remove.show()
        if self._context.registration is not None:
            self._say_answer(self._context.registration)

    def _account(self) -> Account | None:
        """Read the fields; None when one of them is wrong, which is then said."""
        address = self.address.text().strip()
        if address and not address.lower().startswith(("sip:", "sips:")):
            address = f"sip:{address}"
        if "@" not in address:
            self._wrong(self.address, "An address has the form sip:you@example.org.")
            return None
        server = self.server.text().strip()
        transport = _TRANSPORTS[self.transport.currentIndex()][1]
        registrar = None
        if server:
            tls = transport is SipTransport.TLS or (transport is None and address.lower().startswith("sips:"))
            try:
                registrar = HostPort.parse(server, 5061 if tls else 5060)
            except ValueError as error:
                self._wrong(self.server, f"The server is not understood: {error}.")
                return None
        return Account(address, transport=transport, registrar=registrar, display_name=self.name.text().strip())

    def _wrong(self, field: QLineEdit, sentence: str) -> None:
        restyle(field, wrong=True)
        field.setFocus()
        self.say(sentence, "bad")

    def _save(self) -> None:
        account = self._account()
        if account is None:
            return
        if not self.password.text() and not self._kept:
            self._wrong(self.password, "Type the password of this account.")
            return
        if self._context.engine is None:
            self.say("Parley is still starting: try again in a moment.", "bad")
            return
        self._busy(True)
        self.say("Asking the server…")
        self._context.tasks.start(self._register(account, self.password.text()))

    async def _register(self, account: Account, password: str) -> None:
        engine = self._context.engine
        assert engine is not None
        try:
            answer = await engine.accounts.set_account(account, password)
        except EngineError as error:
            self._refused(error)
            return
        finally:
            self._busy(False)
        if self.gone:
            return
        self._kept = True
        self.remove.show()
        self._say_answer(answer)

    def _remove(self) -> None:
        if self._context.engine is None:
            return
        self._busy(True)
        self.say("Removing the account…")
        self._context.tasks.start(self._take_off())

    async def _take_off(self) -> None:
        engine = self._context.engine
        assert engine is not None
        try:
            await engine.accounts.remove_account()
        except EngineError as error:
            self._refused(error)
            return
        finally:
            self._busy(False)
        if self.gone:
            return
        self._kept = False
        for field in (self.address, self.password, self.server):
            field.clear()
        self.password.setPlaceholderText("")
        self.remove.hide()
        self.say("The account and its password are gone from this machine.", "good")

    def _refused(self, error: EngineError) -> None:
        """Say what was wrong here, or in the window when the dialog was closed meanwhile."""
        if self.gone:
            self._context.say(str(error), "bad")
        else:
            self.say(str(error), "bad")

    def _busy(self, on: bool) -> None:
        if self.gone:
            return
        for part in (self.save, self.remove, self.address, self.password, self.server, self.transport, self.name):
            part.setEnabled(not on)

    def _registration_changed(self, event: RegistrationChanged) -> None:
        if self.isVisible() and event.state is not RegistrationState.NONE:
            self._say_answer(event)

    def _say_answer(self, answer: RegistrationChanged) -> None:
        tone = {RegistrationState.REGISTERED: "good", RegistrationState.FAILED: "bad"}.get(answer.state, "muted")
        words = {
            RegistrationState.REGISTERED: "Registered: others can reach you.",
            RegistrationState.REGISTERING: "Asking the server…",
            RegistrationState.UNREGISTERED: "Not registered.",
            RegistrationState.FAILED: "The server did not accept the account.",
        }
        self.say(answer.sentence or words.get(answer.state, ""), tone)
