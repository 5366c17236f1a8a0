"""Diagnostics, third tab: how the call sounds and looks; what limits it, its delay, a minute of curves, all figures."""

from __future__ import annotations

from operator import attrgetter

from PySide6.QtCore import Qt
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QGridLayout, QLabel, QScrollArea, QVBoxLayout, QWidget

from ui import facts, words
from ui.figures import GROUPS, NOTHING, Group, delay_parts
from ui.models.calls import CallRecord
from ui.theme.manager import Theme
from ui.widgets.basics import label, section
from ui.widgets.curve import Curve
from ui.widgets.delay_bar import DelayBar
from ui.widgets.story import StoryCard

_TWO_COLUMNS_FROM = 400
_CURVES_EVERY_S = 0.9  # a minute is as wide as a hand: more often nobody would see
_OF_PICTURES = ("video_in_bps", "fps_in")


class QualityTab(QScrollArea):
    """Shows one call's figures; `show_call` is called again for each change."""

    def __init__(self, theme: Theme) -> None:
        super().__init__()
        self.setObjectName("qualityTab")
        self.setWidgetResizable(True)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        inner = QWidget()
        self.setWidget(inner)
        box = QVBoxLayout(inner)
        box.setContentsMargins(16, 14, 16, 16)
        box.setSpacing(8)
        self.story = StoryCard(theme, "qualityStory")
        box.addWidget(self.story)
        self.limits = label("", name="qualityLimits", wrap=True, selectable=True)
        self.limits.setProperty("look", "limits")
        self.limits.hide()
        box.addWidget(self.limits)
        self.delay = DelayBar(theme)
        box.addWidget(self.delay)
        self.curves = {
            "score": Curve(theme, "curveScore", "Sound, of 5", lambda v: words.number(v, "", 1), 4.5),
            "loss_percent": Curve(theme, "curveLoss", "Loss", lambda v: words.number(v, "%", 1), 2),
            "total_ms": Curve(theme, "curveDelay", "Mouth to ear", lambda v: words.number(v, "ms"), 150),
            "concealed_percent": Curve(theme, "curveConcealed", "Concealed", lambda v: words.number(v, "%", 1), 2),
            "rtt_ms": Curve(theme, "curveRoundTrip", "Round trip", lambda v: words.number(v, "ms"), 20),
            "jitter_ms": Curve(theme, "curveJitter", "Jitter", lambda v: words.number(v, "ms", 1), 5),
            "out_bps": Curve(theme, "curveSent", "Sent", words.rate, 1e5),
            "estimate_bps": Curve(theme, "curveEstimate", "Network carries", words.rate, 1e5),
            "video_in_bps": Curve(theme, "curveReceived", "Picture received", words.rate, 1e5),
            "fps_in": Curve(theme, "curveFrames", "Pictures a second", lambda v: words.number(v, ""), 15),
        }
        self._grid = QGridLayout()
        self._grid.setSpacing(8)
        self._columns = 0
        self._drawn: tuple[str | None, float] = ("", 0.0)
        self._place_curves(2)
        box.addLayout(self._grid)
        self.cells: dict[tuple[str, str], QLabel] = {}
        self._parts: dict[str, list[QWidget]] = {}
        for group in GROUPS:
            self._add_group(box, group)
        box.addStretch(1)

    def show_call(self, record: CallRecord | None) -> None:
        figures = record.figures if record else None
        samples = record.series.samples if record else []
        self.story.show_fact(facts.how_it_sounds(figures))
        sentences = facts.limit_words(figures, mild=True)
        limits = "\n".join(sentences if len(sentences) < 2 else (f"• {sentence}" for sentence in sentences))
        if limits != self.limits.text():
            self.limits.setText(limits)
            self.limits.setVisible(bool(limits))
        self.delay.show_parts(delay_parts(figures.audio if figures else None))
        with_video = figures is None or figures.video is not None
        for field in _OF_PICTURES:
            if self.curves[field].isHidden() == with_video:
                self.curves[field].setVisible(with_video)
        drawn = record.info.call_id if record else None, samples[-1].at if samples else 0.0
        if drawn[0] != self._drawn[0] or abs(drawn[1] - self._drawn[1]) >= _CURVES_EVERY_S:
            self._drawn = drawn
            for field, curve in self.curves.items():
                value = attrgetter(field)
                curve.show_points([(sample.at, value(sample)) for sample in samples])
        for group in GROUPS:
            there = figures is None or group.is_there(figures)
            for part in self._parts[group.title]:
                if part.isHidden() == there:
                    part.setVisible(there)
            for figure in group.figures:
                cell, text = self.cells[group.title, figure.name], figure.text(figures) if figures else NOTHING
                if cell.text() != text:
                    cell.setText(text)

    def as_text(self) -> str:
        lines = [self.story.title.text(), self.story.text.text()]
        lines += [self.limits.text()] if self.limits.text() else []
        lines.append(self.delay.as_text())
        for (group, name), cell in self.cells.items():
            if not cell.isHidden():
                lines.append(f"{group} · {name}: {cell.text()}")
        return "\n".join(lines)

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._place_curves(2 if self.viewport().width() >= _TWO_COLUMNS_FROM else 1)

    def _place_curves(self, columns: int) -> None:
        if columns == self._columns:
            return
        self._columns = columns
        for number, curve in enumerate(self.curves.values()):
            self._grid.addWidget(curve, number // columns, number % columns)

    def _add_group(self, box: QVBoxLayout, group: Group) -> None:
        heading = section(group.title)
        heading.setContentsMargins(0, 6, 0, 0)
        box.addWidget(heading)
        table = QWidget()
        grid = QGridLayout(table)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setHorizontalSpacing(16)
        grid.setVerticalSpacing(4)
        grid.setColumnStretch(1, 1)
        grid.setColumnMinimumWidth(0, 120)
        for number, figure in enumerate(group.figures):
            name = label(figure.name, "small")
            name_of_cell = f"figure-{group.title}-{figure.name}".replace(" ", "")
            cell = label(NOTHING, "value", name_of_cell, wrap=True, selectable=True)
            for part in (name, cell):
                part.setToolTip(figure.hint)
                part.setAccessibleDescription(figure.hint)
            grid.addWidget(name, number, 0, Qt.AlignmentFlag.AlignTop)
            grid.addWidget(cell, number, 1)
            self.cells[group.title, figure.name] = cell
        box.addWidget(table)
        self._parts[group.title] = [heading, table]
