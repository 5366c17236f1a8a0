"""Diagnostics, second tab: what was tried and when, as a chart of the checks and as a list of what happened."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QCheckBox, QHBoxLayout, QScrollArea, QVBoxLayout, QWidget

from app.events import IceSnapshot
from ui.models.calls import CallRecord
from ui.models.lanes import build_chart, generations
from ui.models.moments import MomentsModel
from ui.theme.manager import Theme
from ui.widgets.basics import label, section
from ui.widgets.check_line import CheckLine
from ui.widgets.choice import Choice
from ui.widgets.moment_list import MomentList

_MOST_CHART = 300  # pixels; a longer chart scrolls
_NOTHING = "Nothing yet: as soon as a call looks for its path, each step stands here with its time."
_NO_CHECKS = "No checks yet: they begin when both sides know each other's addresses."


class TimelineTab(QWidget):
    """Shows one call's time line; `show_call` is called again for each change."""

    def __init__(self, theme: Theme) -> None:
        super().__init__()
        self.setObjectName("timelineTab")
        box = QVBoxLayout(self)
        box.setContentsMargins(16, 14, 16, 16)
        box.setSpacing(8)
        head = QHBoxLayout()
        head.addWidget(section("Checks"), 1)
        self.which = Choice()
        self.which.setObjectName("generationChoice")
        self.which.setAccessibleName("Which set of checks")
        self.which.currentIndexChanged.connect(lambda number: self._show_chart())
        head.addWidget(self.which)
        box.addLayout(head)
        self.checks = CheckLine(theme)
        self.checks.told.connect(self._tell)
        self.no_checks = label(_NO_CHECKS, "muted", "noChecks", wrap=True)
        box.addWidget(self.no_checks)
        self.chart = QScrollArea()
        self.chart.setObjectName("checkChart")
        self.chart.setWidgetResizable(True)
        self.chart.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.chart.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        inner = QWidget()
        around = QVBoxLayout(inner)
        around.setContentsMargins(0, 0, 0, 0)
        around.addWidget(self.checks)
        around.addStretch(1)
        self.chart.setWidget(inner)
        box.addWidget(self.chart)
        self.story = label("", "small", "checkStory", wrap=True, selectable=True)
        box.addWidget(self.story)
        box.addSpacing(6)
        row = QHBoxLayout()
        row.addWidget(section("What happened"), 1)
        self.every = QCheckBox("Every check")
        self.every.setObjectName("everyCheck")
        self.every.setAccessibleName(self.every.text())
        self.every.setToolTip("Show each pair and each single check too")
        row.addWidget(self.every)
        box.addLayout(row)
        self.model = MomentsModel()
        self.every.toggled.connect(self.model.show_every)
        self.every.toggled.connect(lambda on: self._show_counts())
        self.nothing = label(_NOTHING, "muted", "noMoments", wrap=True)
        box.addWidget(self.nothing)
        self.list = MomentList(theme, self.model)
        box.addWidget(self.list, 1)
        self.dropped = label("", "small", "momentsDropped", wrap=True)
        box.addWidget(self.dropped)
        self._rest = QWidget()
        box.addWidget(self._rest, 1)
        self._ice: IceSnapshot | None = None
        self._show_chart()
        self._show_counts()

    def show_call(self, record: CallRecord | None) -> None:
        figures = record.figures if record else None
        self._ice = figures.ice if figures else None
        self._offer_generations()
        self._show_chart()
        bar = self.list.verticalScrollBar()
        at_end = bar.value() >= bar.maximum() - 4
        self.model.set_snapshot(self._ice, record.info.steps[0].at if record and record.info.steps else 0.0)
        if at_end:
            self.list.scrollToBottom()
        self._show_counts()

    def as_text(self) -> str:
        """Give the time line as text to send to somebody."""
        return "What happened\n" + self.model.as_text()

    # --------------------------------------------------------------------------------------------------------------

    def _offer_generations(self) -> None:
        known = generations(self._ice)
        if [self.which.itemData(number) for number in range(self.which.count())] != known:
            self.which.blockSignals(True)
            self.which.clear()
            for number in known:
                self.which.addItem("At the start" if number == 0 else f"Restart {number}", number)
            self.which.setCurrentIndex(len(known) - 1)
            self.which.blockSignals(False)
        self.which.setVisible(len(known) > 1)

    def _show_chart(self) -> None:
        chart = build_chart(self._ice, self.which.currentData())
        self.checks.show_chart(chart)
        self.chart.setVisible(chart is not None)
        self.chart.setFixedHeight(min(_MOST_CHART, self.checks.height() + 2))
        self.no_checks.setVisible(chart is None)
        if chart is None:
            self._tell("")
        elif chart.hidden and not self.story.text():
            self._tell(f"{chart.hidden} more pairs are not drawn.")
        elif not self.story.text():
            self._tell("Choose a row to read what came of it.")

    def _tell(self, words: str) -> None:
        self.story.setText(words)
        self.story.setVisible(bool(words))

    def _show_counts(self) -> None:
        some = self.model.rowCount() > 0
        self.nothing.setVisible(not some)
        self.list.setVisible(some)
        self._rest.setVisible(not some)
        dropped = self._ice.timeline_dropped if self._ice else 0
        self.dropped.setText(f"{dropped} older lines are not kept.")
        self.dropped.setVisible(dropped > 0)
