"""Diagnostics, first tab: how the call travels; a sentence, four figures, then the tables for experts."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import QModelIndex
from PySide6.QtWidgets import QHBoxLayout, QLabel, QScrollArea, QVBoxLayout, QWidget

from app.events import IceSnapshot
from ui import facts, path_words, words
from ui.models.calls import CallRecord
from ui.models.candidates import CandidatesModel
from ui.models.cells import ROW
from ui.models.pairs import PairsModel
from ui.models.servers import ServersModel
from ui.quality import round_trip_ms
from ui.theme.manager import Theme
from ui.widgets.basics import label, section
from ui.widgets.pair_table import CellDelegate, QuietTable
from ui.widgets.story import StoryCard, Tile

_FLOW = 4  # the column of a candidate's flow


class PathTab(QScrollArea):
    """Shows one call's path; `show_call` is called again for each change."""

    def __init__(self, theme: Theme) -> None:
        super().__init__()
        self.setObjectName("pathTab")
        self.setWidgetResizable(True)
        self.setHorizontalScrollBarPolicy(self.horizontalScrollBarPolicy().ScrollBarAlwaysOff)
        inner = QWidget()
        self.setWidget(inner)
        box = QVBoxLayout(inner)
        box.setContentsMargins(16, 14, 16, 16)
        box.setSpacing(8)
        self.story = StoryCard(theme, "pathStory")
        box.addWidget(self.story)
        self.trip = Tile("round trip", "tileRoundTrip")
        self.loss = Tile("loss", "tileLoss")
        self.jitter = Tile("jitter", "tileJitter")
        self.rate = Tile("received", "tileRate")
        row = QHBoxLayout()
        row.setSpacing(8)
        for tile in (self.trip, self.loss, self.jitter, self.rate):
            row.addWidget(tile, 1)
        box.addSpacing(4)
        box.addLayout(row)
        self.alive = label("", "muted", "pathAlive", wrap=True, selectable=True)
        self.restarts = label("", "muted", "pathRestarts", wrap=True, selectable=True)
        box.addWidget(self.alive)
        box.addWidget(self.restarts)
        self.problems = label("", "warn", "pathProblems", wrap=True, selectable=True)
        box.addWidget(self.problems)
        self.pairs = PairsModel()
        self.servers = ServersModel()
        self.local = CandidatesModel("Yours")
        self.remote = CandidatesModel("Theirs")
        self._tables: list[tuple[QuietTable, QWidget]] = []
        self.pair_table = QuietTable("pairTable", "Candidate pairs", self.pairs, stretch=1, tall=True, spared=(3, 4))
        self._add(
            box, theme, "Pairs", self.pair_table, "No pairs yet: they form when both sides' candidates are known."
        )
        self.pair_story = label("", "small", "pairStory", wrap=True, selectable=True)
        box.addWidget(self.pair_story)
        self.pair_table.selectionModel().currentRowChanged.connect(self._tell_pair)
        self.server_table = QuietTable("serverTable", "Servers", self.servers, stretch=2, tall=True)
        nothing = "No server was asked: STUN and TURN servers can be named in the settings."
        self._add(box, theme, "Servers", self.server_table, nothing)
        self.server_problems = label("", "warn", "serverProblems", wrap=True, selectable=True)
        box.addWidget(self.server_problems)
        self.nat = label("", "muted", "natWords", wrap=True, selectable=True)
        box.addWidget(self.nat)
        self.local_table = QuietTable("localCandidates", "Your candidates", self.local, stretch=3)
        nothing = "None of yours yet: they are collected when a call starts."
        self._add(box, theme, "Candidates", self.local_table, nothing)
        self.remote_table = QuietTable("remoteCandidates", "The other side's candidates", self.remote, stretch=3)
        self._add(box, theme, "", self.remote_table, "None of theirs yet: they come with the other side's answer.")
        box.addStretch(1)

    def show_call(self, record: CallRecord | None, now: float | None, clock: Callable[[float], str]) -> None:
        """Show a call as it is at `now` on the engine's clock; `clock` gives the time of the day of a moment."""
        figures = record.figures if record else None
        ice = figures.ice if figures else None
        self.story.show_fact(facts.path_story(record.info if record else None, figures))
        self.trip.show_figure(words.number(round_trip_ms(figures) if figures else None, "ms"))
        self.loss.show_figure(words.number(record.series.loss_percent() if record else None, "%", 1))
        audio = figures.audio if figures else None
        self.jitter.show_figure(words.number(audio.jitter_ms if audio else None, "ms"))
        sample = record.series.samples[-1] if record and record.series.samples else None
        rates = (sample.audio_in_bps, sample.video_in_bps) if sample else ()
        known = [rate for rate in rates if rate is not None]
        self.rate.show_figure(words.rate(sum(known) if known else None))
        self._say(self.alive, path_words.alive(ice, now) if ice and not (record and record.over) else "")
        self._say(self.restarts, path_words.restarts(ice, clock) if ice else "")
        self._show_tables(ice)

    def as_text(self) -> str:
        """Give what stands in the tab as text to send to somebody."""
        lines = [self.story.title.text(), self.story.text.text()]
        lines += [part.text() for part in (self.alive, self.restarts, self.problems) if part.text()]
        for title, rows in (("Pairs", self.pairs.rows), ("Servers", self.servers.rows)):
            lines += ["", title]
            lines += ["  " + "  ".join(text for cell in row.cells for text in cell if text) for row in rows]
            lines += [f"  {row.tip}" for row in rows if row.tone == "bad" and rows is self.pairs.rows]
        lines += [part.text() for part in (self.server_problems, self.nat) if part.text()]
        for title, model in (("Your candidates", self.local), ("Their candidates", self.remote)):
            lines += ["", title]
            for candidate in model.candidates:
                origin = candidate.server or candidate.interface or "–"
                lines.append(f"  {candidate.type} {candidate.place} {candidate.priority} {candidate.flow} {origin}")
        return "\n".join(lines)

    # --------------------------------------------------------------------------------------------------------------

    def _show_tables(self, ice: IceSnapshot | None) -> None:
        self.pairs.set_snapshot(ice)
        self.servers.set_snapshot(ice)
        self.local.set_candidates(ice.local if ice else ())
        self.remote.set_candidates(ice.remote if ice else ())
        self.local_table.setColumnHidden(_FLOW, self.local.flows < 2)
        self.remote_table.setColumnHidden(_FLOW, self.remote.flows < 2)
        self._say(self.problems, "\n".join(ice.problems) if ice else "")
        self._say(self.server_problems, "\n".join(_told_by_servers(ice)))
        self._say(self.nat, ice.nat or "" if ice else "")
        self._tell_pair(self.pair_table.currentIndex())
        for table, nothing in self._tables:
            count = table.model().rowCount()
            table.setVisible(count > 0)
            nothing.setVisible(count == 0)

    def _tell_pair(self, current: QModelIndex) -> None:
        """Say of the pair that is chosen, or else of the first that did not work, how it went."""
        row = current.data(ROW) if current.isValid() else None
        if row is None:
            row = next((one for one in self.pairs.rows if one.tone == "bad"), None)
        self._say(self.pair_story, row.tip if row is not None else "")

    @staticmethod
    def _say(place: QLabel, text: str) -> None:
        if place.text() != text:
            place.setText(text)
        place.setVisible(bool(text))

    def _add(self, box: QVBoxLayout, theme: Theme, title: str, table: QuietTable, nothing: str) -> None:
        box.addSpacing(6)
        if title:
            box.addWidget(section(title))
        table.setItemDelegate(CellDelegate(theme, table))
        words_for_nothing = label(nothing, "muted", wrap=True)
        box.addWidget(words_for_nothing)
        box.addWidget(table)
        self._tables.append((table, words_for_nothing))


def _told_by_servers(ice: IceSnapshot | None) -> list[str]:
    """Give what is wrong with the servers and is not among the problems at the head of the tab."""
    told = [server.problem for server in ice.servers if server.problem] if ice else []
    return [sentence for sentence in dict.fromkeys(told) if ice is not None and sentence not in ice.problems]
