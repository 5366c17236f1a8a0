"""A rallypoint's page of the mission editor: the certificates by which it and this machine know each other."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

from PySide6.QtWidgets import QCheckBox, QLineEdit, QPlainTextEdit, QVBoxLayout

from app.engine import mission_drafts
from app.engine.mission_drafts import Rallypoint
from ui.dialogs.mission_draft import Draft
from ui.theme.manager import Theme
from ui.widgets.basics import button, label
from ui.widgets.secret_field import SecretField
from ui.widgets.sheets import SheetPage
from ui.widgets.told_fields import ToldFields

_FORMS = "PEM text, or @ and the path of a file"
_END = re.compile(r"(?<=-----END CERTIFICATE-----)\s*\n|\n(?=@)")


class RallypointPage(SheetPage):
    """One rallypoint of one channel."""

    def __init__(self, theme: Theme, draft: Draft, index: int, number: int) -> None:
        super().__init__("rallypointPage", (0, 4, 8, 8))
        self._theme, self._draft, self.index, self.number = theme, draft, index, number
        self.fields = ToldFields()
        server = self.server
        box = self.sheet(f"Rallypoint {server.host}")
        self.verify = self._check(box, "Its certificate must be right", "rallypointVerify", server.verify_peer)
        self.verify.toggled.connect(lambda on: self._set(verify_peer=on))
        words = "A certificate that it signed itself will do"
        self.own = self._check(box, words, "rallypointSelfSigned", server.allow_self_signed_certificate)
        self.own.toggled.connect(lambda on: self._set(allow_self_signed_certificate=on))
        self.trusts_anybody = label(
            "Then somebody on the way can pose as the rallypoint.", "warn", "rallypointTrusts", wrap=True
        )
        box.addWidget(self.trusts_anybody)
        self.sni = QLineEdit(server.sni)
        self.sni.setMaxLength(253)
        self.sni.textChanged.connect(lambda text: self._set(sni=text.strip()))
        self.fields.add(box, "Name its certificate shows, if not the host", self.sni, "rallypointSni", "sni")
        self.authorities = self._text(
            box, "Who signs its certificate", "rallypointCa", "caCertificates", "\n".join(server.ca_certificates)
        )
        self.authorities.setPlaceholderText("the authorities that this system knows")
        self.authorities.textChanged.connect(self._set_authorities)
        box = self.sheet("The certificate members show")
        self.certificate = self._text(box, "Certificate", "rallypointCertificate", "certificate", server.certificate)
        self.certificate.textChanged.connect(lambda: self._set(certificate=self.certificate.toPlainText()))
        self.key = self._text(box, "Its private key", "rallypointKey", "certificateKey", "")
        self.key.setPlaceholderText("kept; type to change it" if server.certificate_key else "none")
        self.key.textChanged.connect(self._set_key)
        self._key_before = server.certificate_key
        self.show_key = button("Show the key", "rallypointShowKey", self._show_key, look="link")
        self.show_key.setVisible(bool(server.certificate_key))
        box.addWidget(self.show_key)
        box.addWidget(label(f"{_FORMS}. Whoever has the mission has these too.", "small", wrap=True))
        self._build_login(server)
        self.finish()
        self._show_trust()

    def _build_login(self, server: Rallypoint) -> None:
        box = self.sheet("How members log in")
        box.addWidget(label("By name and password, by a token, or not at all.", "muted", wrap=True))
        self.user = QLineEdit(server.user)
        self.password = SecretField(self._theme, "Password")
        self.token = SecretField(self._theme, "Token")
        for field, words, name, key in (
            (self.user, "Name", "rallypointUser", "user"),
            (self.password, "Password", "rallypointPassword", "password"),
            (self.token, "Token", "rallypointToken", "token"),
        ):
            field.setMaxLength(mission_drafts.MOST_LOGIN)
            field.setText(getattr(server, key))
            field.textChanged.connect(lambda text, key=key: self._set(**{key: text}))
            self.fields.add(box, words, field, name, key)
        self.websocket = self._check(box, "By secure WebSocket", "rallypointWebsocket", server.websocket)
        self.websocket.toggled.connect(lambda on: self._set(websocket=on))

    @property
    def server(self) -> Rallypoint:
        return mission_drafts.servers_of(self._draft.group(self.index))[self.number]

    def _set(self, **fields: Any) -> None:
        group = self._draft.group(self.index)
        servers = list(mission_drafts.servers_of(group))
        servers[self.number] = replace(servers[self.number], **fields)
        self._draft.set_group(self.index, mission_drafts.with_servers(group, tuple(servers)))
        self._show_trust()

    def _show_trust(self) -> None:
        self.trusts_anybody.setVisible(not self.server.verify_peer or self.server.allow_self_signed_certificate)

    def _set_authorities(self) -> None:
        parts = [part.strip() for part in _END.split(self.authorities.toPlainText())]
        self._set(ca_certificates=tuple(part for part in parts if part))

    def _set_key(self) -> None:
        self._set(certificate_key=self.key.toPlainText() or self._key_before)

    def _show_key(self) -> None:
        self.show_key.hide()
        self._key_before = ""  # from now on what stands in the field is the key, also when it is emptied
        self.key.setPlainText(self.server.certificate_key)

    def _check(self, box: QVBoxLayout, words: str, name: str, on: bool) -> QCheckBox:
        made = QCheckBox(words)
        made.setObjectName(name)
        made.setAccessibleName(words)
        made.setChecked(on)
        box.addWidget(made)
        return made

    def _text(self, box: QVBoxLayout, words: str, name: str, key: str, text: str) -> QPlainTextEdit:
        made = QPlainTextEdit(text)
        made.setTabChangesFocus(True)
        made.setFixedHeight(88)
        self.fields.add(box, words, made, name, key)
        return made
