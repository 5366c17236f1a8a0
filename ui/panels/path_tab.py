"""Diagnostics, first tab: how the call travels; a sentence, four figures, then the tables for experts."""

from __future__ import annotations

from PySide6.QtWidgets import QHBoxLayout, QScrollArea, QVBoxLayout, QWidget

from app.events import IceSnapshot
from ui import facts, words
from ui.models.calls import CallRecord
from ui.models.candidates import CandidatesModel
from ui.models.pairs import PairsModel
from ui.quality import round_trip_ms
from ui.theme.manager import Theme
from ui.widgets.basics import label, section
from ui.widgets.check_line import CheckLine
from ui.widgets.pair_table import CellDelegate, QuietTable
from ui.widgets.story import StoryCard, Tile


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
        self.problems = label("", "warn", "pathProblems", wrap=True, selectable=True)
        box.addWidget(self.problems)
        self.pairs = PairsModel()
        self.local = CandidatesModel("Yours")
        self.remote = CandidatesModel("Theirs")
        self._tables: list[tuple[QWidget, QWidget]] = []
        self.pair_table = QuietTable("pairTable", "Candidate pairs", self.pairs, stretch=1, tall=True)
        self._add(
            box, theme, "Pairs", self.pair_table, "No pairs yet: they form when both sides' candidates are known."
        )
        local = QuietTable("localCandidates", "Your candidates", self.local, stretch=3)
        self._add(box, theme, "Candidates", local, "None of yours yet: they are collected when a call starts.")
        remote = QuietTable("remoteCandidates", "The other side's candidates", self.remote, stretch=3)
        self._add(box, theme, "", remote, "None of theirs yet: they come with the other side's answer.")
        self.checks = CheckLine(theme)
        self._add(box, theme, "Checks", self.checks, "No checks yet.")
        box.addStretch(1)

    def show_call(self, record: CallRecord | None) -> None:
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
        self._show_tables(ice)

    def as_text(self) -> str:
        """Give what stands in the tab as text to send to somebody."""
        lines = [self.story.title.text(), self.story.text.text(), self.problems.text(), "", "Pairs"]
        lines += ["  " + "  ".join(text for cell in row.cells for text in cell if text) for row in self.pairs.rows]
        for title, model in (("Your candidates", self.local), ("Their candidates", self.remote)):
            lines += ["", title]
            for candidate in model.candidates:
                origin = candidate.server or candidate.interface or "–"
                end = f"{candidate.address} {candidate.port}"
                lines.append(f"  {candidate.type} {end} {candidate.protocol} {candidate.priority} {origin}")
        return "\n".join(lines)

    # --------------------------------------------------------------------------------------------------------------

    def _show_tables(self, ice: IceSnapshot | None) -> None:
        self.pairs.set_snapshot(ice)
        self.local.set_candidates(ice.local if ice else ())
        self.remote.set_candidates(ice.remote if ice else ())
        self.checks.show_snapshot(ice)
        self.problems.setText("\n".join(ice.problems) if ice else "")
        self.problems.setVisible(bool(ice and ice.problems))
        counts = (len(self.pairs.rows), len(self.local.candidates), len(self.remote.candidates), self.checks.count)
        for (table, nothing), count in zip(self._tables, counts, strict=True):
            table.setVisible(count > 0)
            nothing.setVisible(count == 0)

    def _add(self, box: QVBoxLayout, theme: Theme, title: str, table: QWidget, nothing: str) -> None:
        box.addSpacing(6)
        if title:
            box.addWidget(section(title))
        if isinstance(table, QuietTable):
            table.setItemDelegate(CellDelegate(theme, table))
        words_for_nothing = label(nothing, "muted", wrap=True)
        box.addWidget(words_for_nothing)
        box.addWidget(table)
        self._tables.append((table, words_for_nothing))
