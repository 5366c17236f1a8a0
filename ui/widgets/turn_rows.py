"""The TURN servers in the settings: a row each with its own way, user and password, and what is wrong beside it."""

from __future__ import annotations

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QFrame, QGridLayout, QHBoxLayout, QLabel, QLineEdit, QVBoxLayout, QWidget

from app.settings import HostPort, TurnServer
from ui.widgets.basics import button, label
from ui.widgets.choice import Choice

MOST_SERVERS = 8
_FIELD_HEIGHT = 34  # what is wrong, below, must not squeeze the fields
_WAYS = (("udp", "UDP"), ("tcp", "TCP"), ("tls", "TLS"))
_SECRETS = ((False, "Password"), (True, "Shared secret"))


class TurnRow(QFrame):
    """One server. `changed` for each edit, `removed` when it is not wanted any more."""

    changed = Signal()
    removed = Signal()

    def __init__(self, server: TurnServer | None = None) -> None:
        super().__init__()
        self.setObjectName("turnRow")
        self.setProperty("look", "tile")
        grid = QGridLayout(self)
        grid.setContentsMargins(12, 10, 12, 10)
        grid.setSpacing(6)
        self.place = _line("Server", "turn.example.org", 300)
        self.way = _choice("How it is reached", [words for _, words in _WAYS])
        self.user = _line("User name", "user name", 255)
        self.kind = _choice("What proves who you are", [words for _, words in _SECRETS])
        self.secret = _line("Password or secret", "", 512)
        self.secret.setEchoMode(QLineEdit.EchoMode.Password)
        self.kind.setToolTip("A shared secret makes passwords that end by themselves: ask whoever runs the server")
        drop = button("Remove", "turnRemove", self.removed.emit, look="quiet")
        grid.addWidget(self.place, 0, 0)
        grid.addWidget(self.way, 0, 1)
        grid.addWidget(drop, 0, 2)
        grid.addWidget(self.user, 1, 0)
        grid.addWidget(self.kind, 1, 1)
        grid.addWidget(self.secret, 2, 0, 1, 3)
        self.wrong: QLabel = label("", "bad", "turnWrong", wrap=True)
        self.wrong.hide()
        grid.addWidget(self.wrong, 3, 0, 1, 3)
        grid.setColumnStretch(0, 1)
        for field in (self.place, self.way, self.user, self.kind, self.secret):
            field.setMinimumHeight(_FIELD_HEIGHT)
        if server is not None:
            self._fill(server)
        self._name_secret()
        for field in (self.place, self.user, self.secret):
            field.textChanged.connect(lambda text: self.changed.emit())
        for choice in (self.way, self.kind):
            choice.currentIndexChanged.connect(lambda number: self.changed.emit())
        self.kind.currentIndexChanged.connect(lambda number: self._name_secret())
        self.place.editingFinished.connect(self.check)

    def _name_secret(self) -> None:
        what = _SECRETS[self.kind.currentIndex()][1]
        self.secret.setPlaceholderText(f"{what.lower()} (empty: the one kept so far)")
        self.secret.setAccessibleName(what)
        self.secret.setToolTip(what)

    def _fill(self, server: TurnServer) -> None:
        shown = str(server.server) if server.server.port else server.server.host
        self.place.setText(shown)
        self.way.setCurrentIndex([way for way, _ in _WAYS].index(server.transport))
        self.user.setText(server.username)
        self.kind.setCurrentIndex([limited for limited, _ in _SECRETS].index(server.time_limited))

    @property
    def empty(self) -> bool:
        return not (self.place.text().strip() or self.user.text().strip() or self.secret.text())

    def check(self) -> bool:
        """Say beside the row what is wrong with it; True when nothing is."""
        problem = None
        if not self.empty:
            try:
                self.read()
            except ValueError as error:
                problem = str(error)
        self.wrong.setText(f"✕ {problem}" if problem else "")
        self.wrong.setVisible(problem is not None)
        return problem is None

    def read(self) -> TurnServer:
        """Give the server; ValueError is a sentence that says what is wrong."""
        text = self.place.text().strip()
        scheme, _, rest = text.partition(":")
        if scheme.lower() in ("turn", "turns") and not rest.isdigit():
            text = rest.partition("?")[0]
        if "@" in text:
            raise ValueError("The user name belongs into its own field, not before the server.")
        way = _WAYS[self.way.currentIndex()][0]
        try:
            server = HostPort.parse_server(text, 5349 if way == "tls" else 3478)
        except ValueError as error:
            raise ValueError(f"This server is not understood: {error}.") from error
        limited = _SECRETS[self.kind.currentIndex()][0]
        typed = self.secret.text()
        return TurnServer(
            server,
            way,
            self.user.text().strip(),
            password="" if limited else typed,
            secret=typed if limited else "",
            time_limited=limited,
        )


class TurnRows(QWidget):
    """All rows, and a button for one more. `changed` for each edit."""

    changed = Signal()

    def __init__(self) -> None:
        super().__init__()
        self._box = QVBoxLayout(self)
        self._box.setContentsMargins(0, 0, 0, 0)
        self._box.setSpacing(8)
        self.rows: list[TurnRow] = []
        self.add = button("Add a TURN server", "turnAdd", self._add_empty, look="link")
        foot = QHBoxLayout()
        foot.addWidget(self.add)
        foot.addStretch(1)
        self._box.addLayout(foot)

    def fill(self, servers: tuple[TurnServer, ...]) -> None:
        for row in tuple(self.rows):
            self._drop(row)
        for server in servers[:MOST_SERVERS]:
            self._add(server)

    def add_server(self, server: TurnServer | None = None) -> TurnRow:
        """Put one more row below the others."""
        row = self._add(server)
        self.changed.emit()
        return row

    def check(self) -> bool:
        """Mark the rows that cannot be understood; True when there is none."""
        return not [row for row in self.rows if not row.check()]

    def read(self) -> tuple[TurnServer, ...]:
        """Give the servers of the rows in which something stands; ValueError as `TurnRow.read`."""
        return tuple(row.read() for row in self.rows if not row.empty)

    def setFocus(self) -> None:  # type: ignore[override]
        """Put the cursor where something is wrong, or into the first row."""
        wrong = next((row for row in self.rows if row.wrong.isVisibleTo(row)), None)
        target = wrong or next(iter(self.rows), None)
        (target.place if target is not None else self.add).setFocus()

    def _add_empty(self) -> None:
        self.add_server().place.setFocus()

    def _add(self, server: TurnServer | None) -> TurnRow:
        row = TurnRow(server)
        row.changed.connect(self.changed)
        row.removed.connect(lambda: self._remove(row))
        self._box.insertWidget(len(self.rows), row)
        self.rows.append(row)
        self._number()
        return row

    def _remove(self, row: TurnRow) -> None:
        self._drop(row)
        self.add.setFocus()
        self.changed.emit()

    def _drop(self, row: TurnRow) -> None:
        self.rows.remove(row)
        row.hide()
        row.deleteLater()
        self._number()

    def _number(self) -> None:
        """Tell the rows apart for whoever hears them."""
        for number, row in enumerate(self.rows, 1):
            row.setAccessibleName(f"TURN server {number}")
        self.add.setEnabled(len(self.rows) < MOST_SERVERS)


def _line(words: str, placeholder: str, most: int) -> QLineEdit:
    made = QLineEdit()
    made.setAccessibleName(words)
    made.setPlaceholderText(placeholder)
    made.setToolTip(words)
    made.setMaxLength(most)
    return made


def _choice(words: str, items: list[str]) -> Choice:
    made = Choice()
    made.setAccessibleName(words)
    made.setToolTip(words)
    made.addItems(items)
    return made
