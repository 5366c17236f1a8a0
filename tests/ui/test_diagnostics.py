from __future__ import annotations

import re
from dataclasses import replace

import pytest
from PySide6.QtGui import QGuiApplication
from pytestqt.qtbot import QtBot

from app.events import CallChanged, CallState, FiguresChanged, IceState, SipSeen
from tests.ui import scenes
from tests.ui.conftest import Tell
from ui.main_window import MainWindow
from ui.panels.diagnostics import DiagnosticsPane


@pytest.fixture
def pane(window: MainWindow) -> DiagnosticsPane:
    window.toggle_pane()
    made = window.findChild(DiagnosticsPane, "pane")
    assert isinstance(made, DiagnosticsPane)
    return made


def test_it_opens_and_closes(window: MainWindow, pane: DiagnosticsPane) -> None:
    assert pane.isVisible()
    window.toggle_pane()
    assert not pane.isVisible()


def test_before_any_call_every_part_says_what_will_be_there(pane: DiagnosticsPane) -> None:
    assert pane.path.story.title.text() == "No call yet"
    assert not pane.path.pair_table.isVisible()
    assert pane.signalling.nothing.text().startswith("No messages yet")


def test_it_fills_while_the_call_is_being_set_up(pane: DiagnosticsPane, tell: Tell, qtbot: QtBot) -> None:
    tell(CallChanged(scenes.call(CallState.CONNECTING)))
    ice = scenes.snapshot(IceState.CHECKING, selected=None)
    tell(FiguresChanged(scenes.no_figures(ice=ice)))
    qtbot.waitUntil(lambda: pane.path.pair_table.isVisible())
    assert pane.path.story.title.text() == "Trying the ways"
    assert len(pane.path.pairs.rows) == 4
    assert not any(row.selected for row in pane.path.pairs.rows)
    tell(FiguresChanged(scenes.no_figures(ice=scenes.snapshot())))
    qtbot.waitUntil(lambda: pane.path.pairs.rows[0].selected)
    first = pane.path.pairs.rows[0]
    assert first.cells[2] == ("✓ selected", "3 checks")
    assert first.cells[1] == ("198.51.100.7:5113", "7277816997797167103")
    assert pane.path.pairs.rows[1].cells[2][0] == "no answer"
    pane.tabs.setCurrentWidget(pane.timeline)
    assert pane.timeline.checks.count == 3


def test_candidates_of_both_sides(pane: DiagnosticsPane, tell: Tell, qtbot: QtBot) -> None:
    tell(CallChanged(scenes.call(CallState.CONNECTED)), FiguresChanged(scenes.figures()))
    qtbot.waitUntil(lambda: pane.path.local.rowCount() == 3)
    model = pane.path.local
    texts = [[model.index(row, column).data() for column in range(4)] for row in range(3)]
    assert texts[1] == ["203.0.113.11:40213", "srflx", "1694498815", "stun.home"]
    assert pane.path.remote.rowCount() == 3


def test_the_ladder_shows_a_messages_text_on_click(pane: DiagnosticsPane, tell: Tell) -> None:
    tell(*(SipSeen(trace) for trace in scenes.traces()[:3]))  # some come before the call itself is told
    tell(CallChanged(scenes.call(CallState.CONNECTING)))
    tell(*(SipSeen(trace) for trace in scenes.traces()[3:]))
    pane.tabs.setCurrentWidget(pane.signalling)
    ladder = pane.signalling
    assert [ladder.model.index(row, 0).data() for row in range(4)] == [
        "INVITE",
        "100 Trying",
        "183 Session Progress",
        "PRACK",
    ]
    ladder.view.setCurrentIndex(ladder.model.index(2, 0))
    assert ladder.text.toPlainText().startswith("SIP/2.0 183 Session Progress\nVia:")
    ladder.copy.click()
    assert QGuiApplication.clipboard().text().startswith("SIP/2.0 183")
    ladder.copy_all.click()
    assert QGuiApplication.clipboard().text().count("---") == 8


def test_messages_outside_calls_are_apart(pane: DiagnosticsPane, tell: Tell) -> None:
    tell(*(SipSeen(trace) for trace in scenes.traces(call_id=None)))
    assert pane.signalling.model.rowCount() == 0
    pane.signalling.others.setChecked(True)
    assert pane.signalling.model.rowCount() == 8


def test_figures_and_curves(pane: DiagnosticsPane, tell: Tell, qtbot: QtBot) -> None:
    tell(CallChanged(scenes.call(CallState.CONNECTED)))
    tell(*(FiguresChanged(scenes.figures(step=step)) for step in range(40, 60)))
    pane.tabs.setCurrentWidget(pane.quality)
    qtbot.waitUntil(lambda: pane.quality.curves["rtt_ms"].newest == "18 ms")
    assert pane.quality.cells["Picture you see", "Size"].text() == "1280 × 720"
    assert pane.quality.story.title.text().endswith("/ 5 · excellent")
    assert pane.quality.delay.total in ("116 ms", "117 ms", "118 ms", "119 ms", "120 ms", "121 ms")
    assert not pane.quality.limits.isVisible()
    assert pane.quality.cells["Security", "Media"].text() == "dtls-srtp"
    assert pane.quality.cells["Set-up", "Answered"].text() == "400 ms"
    assert not pane.quality.grab().toImage().isNull()


def test_what_limits_a_call_is_said_and_goes_again(pane: DiagnosticsPane, tell: Tell, qtbot: QtBot) -> None:
    pane.tabs.setCurrentWidget(pane.quality)
    tell(CallChanged(scenes.call(CallState.CONNECTED)), FiguresChanged(scenes.figures(limits=scenes.LIMITS)))
    qtbot.waitUntil(pane.quality.limits.isVisible)
    assert pane.quality.limits.text().count("\n") == 2
    assert "280 kbit/s" in pane.quality.as_text()
    tell(FiguresChanged(scenes.figures()))
    qtbot.waitUntil(lambda: not pane.quality.limits.isVisible())


def test_a_call_without_picture_shows_no_figures_of_one(pane: DiagnosticsPane, tell: Tell, qtbot: QtBot) -> None:
    pane.tabs.setCurrentWidget(pane.quality)
    tell(CallChanged(scenes.call(CallState.CONNECTED)), FiguresChanged(replace(scenes.figures(), video=None)))
    qtbot.waitUntil(lambda: not pane.quality.cells["Picture you see", "Size"].isVisible())
    assert pane.quality.cells["Sound you hear", "Codec"].text() == "opus"
    assert not pane.quality.curves["fps_in"].isVisible()
    tell(FiguresChanged(scenes.figures()))
    qtbot.waitUntil(lambda: not pane.quality.cells["Picture you see", "Size"].isHidden())


def test_everything_can_be_copied_as_text(pane: DiagnosticsPane, tell: Tell) -> None:
    tell(CallChanged(scenes.call(CallState.CONNECTED)), FiguresChanged(scenes.figures()))
    tell(*(SipSeen(trace) for trace in scenes.traces()))
    pane._copy()
    text = QGuiApplication.clipboard().text()
    for part in (
        "Direct, through both NATs",
        "✓ selected",
        "203.0.113.1",
        "Sound you hear · Codec: opus",
        "INVITE sip:",
    ):
        assert part in text
    for part in (
        "What happened",
        "This way is taken: srflx 203.0.113.11:40213",
        "Servers",
        "stun.home:3478",
        "a NAT that",
    ):
        assert part in text
    assert not re.search(r"ufrag|ice-pwd|password", text, re.IGNORECASE)


def test_the_last_call_stays_readable(window: MainWindow, pane: DiagnosticsPane, tell: Tell) -> None:
    tell(CallChanged(scenes.call(CallState.CONNECTED)), FiguresChanged(scenes.figures()))
    tell(CallChanged(scenes.call(CallState.ENDED)))
    window.context.book.put_away()
    pane.refresh()
    assert pane.title.text() == "Last call: Front desk"
    assert len(pane.path.pairs.rows) == 4


def test_in_a_narrow_window_the_figures_of_a_pair_give_way_to_its_ends(
    window: MainWindow, pane: DiagnosticsPane, tell: Tell, qtbot: QtBot
) -> None:
    tell(CallChanged(scenes.call(CallState.CONNECTED)), FiguresChanged(scenes.figures()))
    table = pane.path.pair_table
    qtbot.waitUntil(table.isVisible)
    assert not table.isColumnHidden(4)
    window.resize(480, 560)
    qtbot.waitUntil(lambda: table.isColumnHidden(3) and table.isColumnHidden(4))
    assert table.columnWidth(1) > 100
    window.resize(1320, 820)
    qtbot.waitUntil(lambda: not table.isColumnHidden(4))
