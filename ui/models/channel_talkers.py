"""Who was heard on a channel, as a table: how each talker's packets came."""

from __future__ import annotations

from app.events import ChannelFigures, TalkerFigures
from ui import words
from ui.models.cells import CellsModel, CellsRow

COLUMNS = (("Talker", "codec"), ("Packets", "lost"), ("Jitter", ""), ("Delay", "concealed"))
NAMELESS = "Somebody"
_MUCH_LOST = 0.02  # from here on the channel's grade is not acceptable


class ChannelTalkersModel(CellsModel):
    """The talkers of one channel for a table view."""

    def __init__(self) -> None:
        super().__init__(COLUMNS, marked=0, right=1)

    def set_figures(self, figures: ChannelFigures | None) -> None:
        self.set_rows([_row(talker) for talker in figures.talkers] if figures else [])


def _row(talker: TalkerFigures) -> CellsRow:
    sent = talker.packets + talker.lost
    share = talker.lost / sent if sent else 0.0
    lost = f"{words.number(100 * share, '%', 1)} lost" if talker.lost else "none lost"
    concealed = f"{words.seconds(talker.concealed_ms / 1_000)} concealed" if talker.concealed_ms else ""
    jitter, delay = words.number(talker.jitter_ms, "ms", 1), words.number(talker.delay_ms, "ms")
    name = talker.alias or NAMELESS
    told = [f"{name}, {talker.codec}: {talker.packets} packets, {talker.lost} lost."]
    if talker.jitter_ms is not None:
        told.append(f"They vary by {jitter} on their way.")
    if talker.delay_ms is not None:
        told.append(f"They wait {delay} until they are played.")
    if talker.concealed_ms:
        told.append(f"{words.seconds(talker.concealed_ms / 1_000)} of what was lost or late was made up.")
    tone = "bad" if share >= _MUCH_LOST else "plain" if talker.lost else "good"
    cells = ((name, talker.codec), (str(talker.packets), lost), (jitter, ""), (delay, concealed))
    return CellsRow(cells, tone, " ".join(told))
