from __future__ import annotations

import time
from dataclasses import replace

import pytest
from PySide6.QtCore import QPointF, Qt
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from app.events import (
    CallChanged,
    CallState,
    CandidateInfo,
    CandidateType,
    FiguresChanged,
    IceMoment,
    IceSnapshot,
    IceState,
    MomentKind,
    PairInfo,
    PairState,
)
from tests.ui import scenes
from tests.ui.conftest import Tell
from ui import path_words
from ui.main_window import MainWindow
from ui.models.lanes import build_chart, generations
from ui.models.moments import MomentsModel, line
from ui.panels.diagnostics import DiagnosticsPane


@pytest.fixture
def pane(window: MainWindow, tell: Tell) -> DiagnosticsPane:
    tell(CallChanged(scenes.call(CallState.CONNECTED)), FiguresChanged(scenes.figures()))
    window.toggle_pane()
    made = window.findChild(DiagnosticsPane, "pane")
    assert isinstance(made, DiagnosticsPane)
    made.tabs.setCurrentWidget(made.timeline)
    return made


def test_each_pair_has_a_lane_with_its_checks() -> None:
    chart = build_chart(scenes.snapshot())
    assert chart is not None
    first, second, third = chart.lanes
    assert (first.name, first.result) == ("srflx–srflx", "selected")
    assert [mark.kind for mark in first.marks] == ["sent", "answered", "sent", "nominated"]
    assert [mark.kind for mark in second.marks] == ["sent", "failed"]
    assert (third.name, third.tone) == ("relay–srflx", "good")
    assert chart.start == 10.2
    assert chart.span >= 0.09


def test_the_scale_reaches_to_the_last_mark() -> None:
    ends = ("srflx 203.0.113.11:40213", "srflx 198.51.100.7:5113")
    late = IceMoment(10.6, MomentKind.NOMINATED, "Both sides take this way", "0", *ends)
    chart = build_chart(replace(scenes.snapshot(), timeline=(*scenes.moments(), late)))
    assert chart is not None
    assert chart.start + chart.span >= 10.6
    assert chart.lanes[0].marks[-1].at == 10.6


def test_several_flows_are_told_apart() -> None:
    second = tuple(replace(one, component=2) for one in scenes.LOCAL)
    local, pair = (*scenes.LOCAL, *second), replace(scenes.snapshot().pairs[0], local=3)
    ice = replace(scenes.snapshot(), local=local, pairs=(*scenes.snapshot().pairs, pair))
    chart = build_chart(ice)
    assert chart is not None
    assert {lane.name for lane in chart.lanes} >= {"host–host · 0", "host–host · 0/2"}
    assert line(IceMoment(1.0, MomentKind.WORKS, "This way works", "0/2")) == "This way works, stream 0, RTCP"


def test_nothing_checked_is_no_chart() -> None:
    assert build_chart(None) is None
    assert build_chart(IceSnapshot("controlling", IceState.GATHERED, scenes.LOCAL)) is None


def test_an_earlier_generation_is_drawn_from_the_time_line_alone() -> None:
    ice = scenes.restarted()
    assert generations(ice) == [0, 1]
    chart = build_chart(ice, 0)
    assert chart is not None
    assert {lane.result for lane in chart.lanes} == {"selected", "works", "no answer"}
    newest = build_chart(ice)
    assert newest is not None
    assert newest.start == pytest.approx(71.6)


def test_a_hundred_lanes_do_not_fit_and_that_is_said() -> None:
    chart = build_chart(crowd())
    assert chart is not None
    assert (len(chart.lanes), chart.hidden) == (40, 60)


def test_the_list_grows_at_its_end_and_keeps_its_place() -> None:
    model = MomentsModel()
    inserted: list[tuple[int, int]] = []
    resets: list[bool] = []
    told = scenes.moments()
    model.set_snapshot(replace(scenes.snapshot(), timeline=told[:4]), 10.0)
    model.rowsInserted.connect(lambda parent, first, last: inserted.append((first, last)))
    model.modelReset.connect(lambda: resets.append(True))
    model.set_snapshot(replace(scenes.snapshot(), timeline=told), 10.0)
    assert inserted == [(4, 7)]
    assert not resets
    assert model.index(0, 0).data(Qt.ItemDataRole.AccessibleTextRole).endswith("after 0 ms")
    model.show_every(True)
    assert model.rowCount() == len(told)
    assert "A check left: host 192.168.1.10:40213 to srflx 198.51.100.7:5113" in model.as_text()


def test_the_chart_can_be_walked_by_keys(pane: DiagnosticsPane, qtbot: QtBot) -> None:
    checks = pane.timeline.checks
    checks.setFocus()
    assert "the path of this call" in pane.timeline.story.text()
    qtbot.keyClick(checks, Qt.Key.Key_Down)
    assert "7 checks, no answer" in pane.timeline.story.text()
    qtbot.keyClick(checks, Qt.Key.Key_End)
    assert pane.timeline.story.text().startswith("relay 203.0.113.1:49160")
    assert "host–host no answer" in checks.accessibleDescription()


def test_hovering_tells_of_the_mark_and_of_the_row(pane: DiagnosticsPane) -> None:
    checks = pane.timeline.checks
    answered = next(mark for mark in build_chart(scenes.snapshot()).lanes[0].marks if mark.kind == "answered")  # type: ignore[union-attr]
    assert "after 18 ms: It was answered" in checks.words_at(QPointF(checks._x(answered.at), 10))
    assert "selected" not in checks.words_at(QPointF(2, 400))
    assert "the path of this call" in checks.words_at(QPointF(4, 10))


def test_an_older_set_of_checks_can_be_chosen(pane: DiagnosticsPane, tell: Tell, qtbot: QtBot) -> None:
    assert not pane.timeline.which.isVisible()
    tell(FiguresChanged(scenes.figures(ice=scenes.restarted())))
    qtbot.waitUntil(pane.timeline.which.isVisible)
    assert pane.timeline.which.currentText() == "Restart 1"
    pane.timeline.which.setCurrentIndex(0)
    assert pane.timeline.checks.count == 3
    tell(FiguresChanged(scenes.figures(ice=scenes.restarted())))
    pane.refresh()
    assert pane.timeline.which.currentText() == "At the start"
    pane.tabs.setCurrentWidget(pane.path)
    assert pane.path.restarts.text().startswith("The path was made anew once, last at ")


def test_servers_and_the_nat_are_told(pane: DiagnosticsPane) -> None:
    pane.tabs.setCurrentWidget(pane.path)
    path = pane.path
    assert [row.cells[1][0] for row in path.servers.rows] == ["answers", "answers", "refuses"]
    assert "certificate has expired" in path.server_problems.text()
    assert "behind a NAT" in path.nat.text()
    assert "alive" in path.alive.text()


@pytest.mark.parametrize(
    ("reason", "state", "said"),
    [
        ("no answer", "no answer", "9 checks, no answer"),
        ("the roles were in conflict (487)", "role conflict", "roles were in conflict"),
        ("network unreachable", "unreachable", "network unreachable"),
        ("the network says that nobody is there", "unreachable", "nobody is there"),
        ("the TURN server refused the permission: 403 Forbidden", "refused", "403 Forbidden"),
    ],
)
def test_why_a_pair_failed_is_said(reason: str, state: str, said: str) -> None:
    pair = PairInfo(0, 1, PairState.FAILED, False, False, 1, None, 0, 0, 9, reason, 1.0, 40.5)
    assert path_words.pair_state(pair) == state
    assert said in path_words.why(pair, scenes.LOCAL[0], scenes.REMOTE[1])


def crowd(step: int = 0) -> IceSnapshot:
    """A hundred pairs under way, each with checks; every step some bytes and one pair's state change."""
    local = tuple(
        CandidateInfo(CandidateType.HOST, f"10.0.0.{n}", 4000 + n, "udp", 2130706431 - n, "1") for n in range(10)
    )
    remote = tuple(
        CandidateInfo(CandidateType.SRFLX, f"198.51.100.{n}", 5000 + n, "udp", 1694498815 - n, "1") for n in range(10)
    )
    pairs = tuple(
        PairInfo(
            n // 10,
            n % 10,
            PairState.SUCCEEDED if n == step else PairState.IN_PROGRESS,
            False,
            n == step,
            10_000 - n,
            0.02 if n == step else None,
            step * 100,
            step * 100,
            1,
            None,
            10.0 + n * 0.02,
        )
        for n in range(100)
    )
    checks = tuple(
        IceMoment(
            10.0 + n * 0.02,
            MomentKind.CHECK,
            "A check left",
            "0",
            f"host {local[n // 10].place}",
            f"srflx {remote[n % 10].place}",
        )
        for n in range(100)
    )
    return IceSnapshot("controlling", IceState.CHECKING, local, remote, pairs, timeline=checks * 3)


@pytest.mark.parametrize("tab", ["path", "timeline"])
def test_a_hundred_pairs_cost_the_window_little(pane: DiagnosticsPane, tell: Tell, qtbot: QtBot, tab: str) -> None:
    pane.tabs.setCurrentWidget(getattr(pane, tab))
    book = pane._context.book
    costs = []
    for step in range(10):
        book.take_figures(scenes.figures(step=step, ice=crowd(step)))
        QApplication.processEvents()
        before = time.process_time()
        pane.refresh()
        pane.repaint()
        QApplication.processEvents()
        costs.append(time.process_time() - before)
    # At four a second 60 ms would be a quarter of one core; the median forgives a busy machine.
    assert sorted(costs)[5] < 0.06, [f"{cost * 1000:.1f} ms" for cost in costs]
