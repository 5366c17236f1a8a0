"""Candidate pairs as a table: both ends, state in words, round trip, bytes; the selected pair first."""

from __future__ import annotations

from app.events import CandidateInfo, IceSnapshot, PairInfo, PairState
from ui import path_words, words
from ui.models.cells import CellsModel, CellsRow

# Each cell has two lines, and so has each heading.
COLUMNS = (("Local", "kinds"), ("Remote", "priority"), ("State", "checks"), ("RTT", "ms"), ("Sent", "received"))


class PairsModel(CellsModel):
    """The pairs of one snapshot for a table view."""

    def __init__(self) -> None:
        super().__init__(COLUMNS, marked=2, right=3)

    def set_snapshot(self, ice: IceSnapshot | None) -> None:
        self.set_rows(build_rows(ice) if ice else [])


def build_rows(ice: IceSnapshot) -> list[CellsRow]:
    """Give the rows: selected first, then by priority."""
    pairs = [pair for pair in ice.pairs if pair.local < len(ice.local) and pair.remote < len(ice.remote)]
    pairs.sort(key=lambda pair: (not pair.selected, -pair.priority))
    several = len({candidate.flow for candidate in ice.local}) > 1
    return [
        _row(
            pair,
            ice.local[pair.local],
            ice.remote[pair.remote],
            several=several,
            coming=pair.generation > ice.generation,
        )
        for pair in pairs
    ]


def _row(pair: PairInfo, local: CandidateInfo, remote: CandidateInfo, *, several: bool, coming: bool) -> CellsRow:
    tone = "good" if pair.state is PairState.SUCCEEDED else "bad" if pair.state is PairState.FAILED else "plain"
    tip = path_words.why(pair, local, remote)
    if several:
        tip = f"{path_words.flow_words(local.flow).capitalize()}. {tip}"
    if coming:
        tip = f"Of the restart under way. {tip}"
    trip = "–" if pair.rtt_s is None else "<1" if pair.rtt_s < 0.001 else f"{pair.rtt_s * 1000:.0f}"
    checks = f"{pair.checks_sent} check{'s' if pair.checks_sent != 1 else ''}"
    kinds = f"{local.type} – {remote.type}" + (f" · {local.flow}" if several else "") + (" · new" if coming else "")
    cells = (
        (local.place, kinds),
        (remote.place, str(pair.priority)),
        (path_words.pair_state(pair), checks),
        (trip, ""),
        (words.size(pair.sent_bytes), words.size(pair.received_bytes)),
    )
    return CellsRow(cells, tone, tip, pair.selected)
