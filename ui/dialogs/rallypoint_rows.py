"""A channel's rallypoints in the mission editor: their order, which is used when, and what happens without one."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from PySide6.QtCore import QObject, Signal
from PySide6.QtWidgets import QCheckBox, QFrame, QGridLayout, QHBoxLayout, QLineEdit, QVBoxLayout, QWidget

from app.engine import mission_drafts
from app.engine.mission_drafts import ConnectionStrategy, Group, Rallypoint
from ui.dialogs.mission_draft import Draft
from ui.widgets.basics import button, label
from ui.widgets.choice import Amount, Choice
from ui.widgets.told_fields import ToldFields

_MOST_PORT = 65_535
_STRATEGIES = (
    (ConnectionStrategy.ROUND_ROBIN, "The next in turn when one is lost"),
    (ConnectionStrategy.FAIL_BACK, "Back to the first as soon as it answers"),
)


class RallypointRows(QObject):
    """Builds itself into a sheet's layout. `more_wanted` with the number of a rallypoint to edit further."""

    more_wanted = Signal(int)

    def __init__(self, fields: ToldFields, draft: Draft, index: int, box: QVBoxLayout) -> None:
        super().__init__()
        self._fields, self._draft, self._index = fields, draft, index
        self.rows: list[_Row] = []
        own = draft.mission.rallypoint
        self.none = label("", "muted", "rallypointNone", wrap=True)
        self._none = (
            "None: the channel goes by multicast."
            if own is None
            else f"None of its own: the mission's rallypoint {own.host} carries it."
        )
        self.none.setText(self._none)
        box.addWidget(self.none)
        self._column = QVBoxLayout()
        self._column.setSpacing(8)
        box.addLayout(self._column)
        self.add = button("Add a rallypoint", "rallypointAdd", self._add, look="link")
        foot = QHBoxLayout()
        foot.addWidget(self.add)
        foot.addStretch(1)
        box.addLayout(foot)
        self.use = QWidget()
        column = QVBoxLayout(self.use)
        column.setContentsMargins(0, 0, 0, 0)
        self._build_use(column)
        box.addWidget(self.use)
        self.fill()

    def _build_use(self, box: QVBoxLayout) -> None:
        group = self.group
        cluster = group.cluster
        strategies = [strategy for strategy, _ in _STRATEGIES]
        self.strategy = Choice()
        self.strategy.addItems([words for _, words in _STRATEGIES])
        self.strategy.setCurrentIndex(strategies.index(cluster.connection_strategy) if cluster is not None else 0)
        self.strategy.currentIndexChanged.connect(lambda row: self._set_servers(self.servers, strategies[row]))
        self.strategy_words = self._fields.add(
            box, "Which of them", self.strategy, "rallypointStrategy", "rallypointCluster.connectionStrategy"
        )
        self.failover = QCheckBox("Multicast when none answers")
        self.failover.setObjectName("channelFailover")
        self.failover.setAccessibleName(self.failover.text())
        self.failover.setChecked(group.enable_multicast_failover)
        self.failover.toggled.connect(self._set_failover)
        box.addWidget(self.failover)
        self.after = Amount()
        self.after.setRange(0, 3_600)
        self.after.setValue(group.multicast_failover_secs)
        self.after.setSuffix(" s")
        self.after.setEnabled(group.enable_multicast_failover)
        self.after.valueChanged.connect(lambda value: self._set(multicast_failover_secs=value))
        self._fields.add(box, "After", self.after, "channelFailoverAfter", "multicastFailoverSecs")

    @property
    def group(self) -> Group:
        return self._draft.group(self._index)

    @property
    def servers(self) -> tuple[Rallypoint, ...]:
        return mission_drafts.servers_of(self.group)

    def fill(self) -> None:
        """Build the rows anew, as the draft has the rallypoints."""
        self._fields.forget("rallypoint[")
        for row in self.rows:
            row.hide()
            row.deleteLater()
        servers = self.servers
        self.rows = [_Row(self, number, server, len(servers)) for number, server in enumerate(servers)]
        for number, row in enumerate(self.rows):
            self._column.addWidget(row)
            self._fields.tell_below(row.box, "Host", row.host, f"rallypoint[{number}].host.address")
        self.none.setVisible(not servers)
        self.use.setVisible(bool(servers))
        for part in (self.strategy, self.strategy_words):
            part.setVisible(len(servers) > 1)
        self.add.setEnabled(len(servers) < mission_drafts.MOST_RALLYPOINTS)

    # Edits --------------------------------------------------------------------------------------------------------

    def change(self, number: int, server: Rallypoint) -> None:
        servers = list(self.servers)
        servers[number] = server
        self._set_servers(tuple(servers))

    def move(self, number: int, by: int) -> None:
        servers = list(self.servers)
        servers.insert(number + by, servers.pop(number))
        self._set_servers(tuple(servers))
        self.fill()
        self.rows[number + by].host.setFocus()

    def remove(self, number: int) -> None:
        self._set_servers(tuple(each for place, each in enumerate(self.servers) if place != number))
        self.fill()
        self.add.setFocus()

    def _add(self) -> None:
        self._set_servers((*self.servers, mission_drafts.new_rallypoint()))
        self.fill()
        self.rows[-1].host.setFocus()

    def _set_servers(self, servers: tuple[Rallypoint, ...], strategy: ConnectionStrategy | None = None) -> None:
        self._draft.set_group(self._index, mission_drafts.with_servers(self.group, servers, strategy))

    def _set_failover(self, on: bool) -> None:
        self.after.setEnabled(on)
        self._set(enable_multicast_failover=on)

    def _set(self, **fields: Any) -> None:
        self._draft.set_group(self._index, replace(self.group, **fields))


class _Row(QFrame):
    """One rallypoint."""

    def __init__(self, rows: RallypointRows, number: int, server: Rallypoint, count: int) -> None:
        super().__init__()
        self.setObjectName("rallypointRow")
        self.setAccessibleName(f"Rallypoint {number + 1}")
        self.setProperty("look", "tile")
        self._rows, self._number, self._server = rows, number, server
        self.box = QVBoxLayout(self)
        self.box.setContentsMargins(12, 10, 12, 10)
        grid = QGridLayout()
        grid.setColumnStretch(0, 1)
        self.host = QLineEdit(server.host.address)
        self.host.setObjectName("rallypointHost")
        self.host.setAccessibleName("Host")
        self.host.setPlaceholderText("rally.example.org")
        self.host.setMaxLength(253)
        self.port = Amount()
        self.port.setObjectName("rallypointPort")
        self.port.setAccessibleName("Port")
        self.port.setRange(1, _MOST_PORT)
        self.port.setValue(server.host.port)
        grid.addWidget(self.host, 0, 0)
        grid.addWidget(self.port, 0, 1)
        self.box.addLayout(grid)
        foot = QHBoxLayout()
        self.more = button("More…", "rallypointMore", lambda: rows.more_wanted.emit(number), look="quiet")
        self.up = button("Up", "rallypointUp", lambda: rows.move(number, -1), look="quiet")
        self.down = button("Down", "rallypointDown", lambda: rows.move(number, 1), look="quiet")
        self.drop = button("Remove", "rallypointRemove", lambda: rows.remove(number), look="quiet")
        self.up.setEnabled(number > 0)
        self.down.setEnabled(number < count - 1)
        for part in (self.more, self.up, self.down):
            foot.addWidget(part)
        foot.addStretch(1)
        foot.addWidget(self.drop)
        self.box.addLayout(foot)
        self.host.textChanged.connect(lambda text: self._set(address=text.strip()))
        self.port.valueChanged.connect(lambda value: self._set(port=value))

    def _set(self, **fields: Any) -> None:
        self._server = replace(self._server, host=replace(self._server.host, **fields))
        self._rows.change(self._number, self._server)
