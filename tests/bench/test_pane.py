"""What it costs to watch a call: judging it in the engine, and the diagnostics that show it."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
from PySide6.QtWidgets import QApplication, QWidget

from app.diagnosis.quality import QualityMonitor
from app.events import CallFigures, CallState
from tests.bench.table import Table
from tests.ui import scenes
from ui.models.calls import CallRecord
from ui.panels.path_tab import PathTab
from ui.panels.quality_tab import QualityTab
from ui.theme.manager import Theme

SECTION = "Processor time of watching a call for a second, its figures coming four times"
A_SECOND = 4
_MINUTE = 240


def spent(seconds: int, update: Callable[[int], None]) -> float:
    """Give the milliseconds of processor time for each second of figures."""
    before = time.process_time()
    for step in range(seconds * A_SECOND):
        update(step)
    return (time.process_time() - before) * 1000 / seconds


@pytest.mark.short
def test_watching_a_call(table: Table, is_long: bool, qapp: QApplication) -> None:
    seconds, times = (30, 5) if is_long else (8, 1)
    told = [scenes.figures(step=step) for step in range(_MINUTE + seconds * A_SECOND)]
    record = CallRecord(scenes.call(CallState.CONNECTED))
    for step, figures in enumerate(told[:_MINUTE]):
        record.series.add(figures, step / A_SECOND)
    theme, monitor = Theme(qapp), QualityMonitor()
    path, quality = PathTab(theme), QualityTab(theme)

    def take(step: int) -> CallFigures:
        record.figures = told[_MINUTE + step]
        return record.figures

    def judge(step: int) -> None:
        monitor.take(take(step), step / A_SECOND)

    def show(tab: QWidget, draw: Callable[[], None]) -> Callable[[int], None]:
        tab.resize(520, 800)
        tab.show()

        def update(step: int) -> None:
            record.series.add(take(step), (_MINUTE + step) / A_SECOND)
            draw()
            qapp.processEvents()

        return update

    show_path = show(path, lambda: path.show_call(record, 1.0, lambda at: ""))
    show_quality = show(quality, lambda: quality.show_call(record))
    judged = [spent(seconds, judge) for _ in range(times)]
    paths = [spent(seconds, show_path) for _ in range(times)]
    qualities = [spent(seconds, show_quality) for _ in range(times)]
    path.close()
    quality.close()
    table.add(SECTION, "judging it in the engine", "ms", judged, base=("the path tab", paths))
    table.add(SECTION, "the quality tab", "ms", qualities, base=("the path tab", paths))
