"""The STUN and TURN servers that were asked, as a table: how each behaves and what it said."""

from __future__ import annotations

from app.events import IceSnapshot, ServerInfo
from ui import path_words
from ui.models.cells import CellsModel, CellsRow

COLUMNS = (("Server", "kind"), ("State", "answers in"), ("Sees this machine as", "lends"))


class ServersModel(CellsModel):
    """The servers of one snapshot for a table view."""

    def __init__(self) -> None:
        super().__init__(COLUMNS, marked=1, right=3)

    def set_snapshot(self, ice: IceSnapshot | None) -> None:
        self.set_rows([_row(server) for server in ice.servers] if ice else [])


def _row(server: ServerInfo) -> CellsRow:
    state, tone = path_words.server_state(server)
    kind = f"{server.kind.upper()}, {server.transport}"
    trip = "" if server.rtt_s is None else path_words.round_trip(server.rtt_s)
    said = [f"{server.name} ({kind}) {state}."]
    if server.mapped:
        said.append(f"It sees this machine as {server.mapped}.")
    if server.relayed:
        said.append(f"It lends {server.relayed}.")
    if server.problem:
        said.append(server.problem)
    cells = ((server.name, kind), (state, trip), (server.mapped or "–", server.relayed or ""))
    return CellsRow(cells, tone, " ".join(said))
