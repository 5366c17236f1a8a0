"""The tab of channels in the diagnostics pane: what carries them, what they cost, how their talkers arrive."""

from __future__ import annotations

from dataclasses import replace

import pytest
from PySide6.QtGui import QGuiApplication
from pytestqt.qtbot import QtBot

from app.engine.errors import EngineError
from app.events import ChannelChanged, MissionsChanged
from tests.ui import channel_scenes as scenes
from tests.ui.conftest import Tell
from tests.ui.recorder import Recorder
from ui.main_window import MainWindow
from ui.panels.channels_tab import ChannelsTab
from ui.panels.diagnostics import DiagnosticsPane


@pytest.fixture
def pane(window: MainWindow) -> DiagnosticsPane:
    window.toggle_pane()
    made = window.findChild(DiagnosticsPane, "pane")
    assert isinstance(made, DiagnosticsPane)
    return made


@pytest.fixture
def tab(pane: DiagnosticsPane) -> ChannelsTab:
    pane.tabs.setCurrentWidget(pane.channels)
    return pane.channels


def test_without_channels_it_says_what_will_be_there(tab: ChannelsTab, engine: Recorder) -> None:
    assert tab.nothing.isVisible()
    assert tab.nothing.text().startswith("No channels yet")
    assert engine.names() == []


def test_diagnose_opens_the_tab_of_what_is_on_the_stage_and_its_name_is_whole_at_480_pixels(
    window: MainWindow, tell: Tell, qtbot: QtBot
) -> None:
    tell(scenes.missions())
    window.resize(480, 700)
    window.rail.chosen.emit("channels")
    window.rail.chosen.emit("diagnose")
    pane = window.findChild(DiagnosticsPane)
    assert pane is not None
    assert pane.tabs.currentWidget() is pane.channels
    qtbot.waitUntil(pane.isVisible)
    bar = pane.tabs.tabBar()
    assert bar.tabRect(bar.count() - 1).right() <= bar.width()
    window.rail.chosen.emit("diagnose")
    window.rail.chosen.emit("people")
    window.rail.chosen.emit("diagnose")
    assert pane.tabs.currentWidget() is pane.path
    pane.tabs.setCurrentWidget(pane.quality)
    window.rail.chosen.emit("diagnose")
    window.rail.chosen.emit("channels")
    window.rail.chosen.emit("diagnose")
    assert pane.tabs.currentWidget() is pane.channels
    window.rail.chosen.emit("diagnose")
    window.rail.chosen.emit("people")
    window.rail.chosen.emit("diagnose")
    assert pane.tabs.currentWidget() is pane.quality


def test_each_channel_shows_its_carrier_cost_and_talkers(
    tab: ChannelsTab, engine: Recorder, tell: Tell, qtbot: QtBot
) -> None:
    engine.answers["channels.figures"] = scenes.figures()
    tell(scenes.missions())
    alpha, bravo = tab.blocks[scenes.ALPHA], tab.blocks[scenes.BRAVO]
    qtbot.waitUntil(lambda: alpha.cost.figure.text() != "–")
    assert engine.last("channels.figures") == ("m-1",)
    assert (alpha.cost.figure.text(), alpha.wire.figure.text()) == ("57.2 kb/s", "58.1 kb/s")
    assert (alpha.heard.figure.text(), alpha.sent.figure.text()) == ("412", "120")
    assert alpha.story.title.text() == "Multicast · ideal"
    assert alpha.refused.isHidden()
    assert bravo.story.title.text() == "Rallypoint · 41 ms · not acceptable"
    assert bravo.story.text.text().endswith("is not verified. Not acceptable: a loss of 3.6 %; it has to be below 2 %.")
    assert bravo.wire.figure.text() == "–"
    assert bravo.refused.text().startswith("12 packets were refused")
    assert [row.cells for row in bravo.talkers.rows] == [
        (("Zoë", "opus"), ("291", "3.6 % lost"), ("34.2 ms", ""), ("118 ms", "220 ms concealed")),
        (("Somebody", "GSM"), ("412", "none lost"), ("2.1 ms", ""), ("61 ms", "")),
    ]
    assert [row.tone for row in bravo.talkers.rows] == ["bad", "good"]
    qtbot.waitUntil(bravo.table.isVisible)


def test_a_lost_link_and_a_left_channel_are_said_at_once(tab: ChannelsTab, tell: Tell) -> None:
    tell(scenes.missions())
    tell(ChannelChanged(scenes.channel(link=scenes.LOST)))
    story = tab.blocks[scenes.ALPHA].story
    assert (story.title.text(), story.text.text()) == ("Not connected", scenes.LOST.words)
    tell(ChannelChanged(replace(scenes.channel(), joined=False)))
    assert story.title.text() == "Not joined"
    tell(MissionsChanged(()))
    assert tab.blocks == {}
    assert tab.nothing.isVisible()


def test_figures_are_asked_for_only_while_the_tab_is_seen(
    pane: DiagnosticsPane, tab: ChannelsTab, engine: Recorder, tell: Tell, qtbot: QtBot
) -> None:
    engine.answers["channels.figures"] = EngineError("This mission is not open.")
    tell(scenes.missions())
    qtbot.waitUntil(tab.problem.isVisible)
    assert tab.problem.text() == "This mission is not open."
    engine.answers["channels.figures"] = scenes.figures()
    tab._ask()
    qtbot.waitUntil(lambda: not tab.problem.isVisible())
    assert tab._timer.isActive()
    pane.tabs.setCurrentWidget(pane.path)
    assert not tab._timer.isActive()


def test_it_is_among_what_is_copied(
    pane: DiagnosticsPane, tab: ChannelsTab, engine: Recorder, tell: Tell, qtbot: QtBot
) -> None:
    engine.answers["channels.figures"] = scenes.figures()
    tell(scenes.missions())
    qtbot.waitUntil(lambda: bool(tab.blocks[scenes.BRAVO].talkers.rows))
    pane._copy()
    text = QGuiApplication.clipboard().text()
    assert "Bravo · Relief" in text
    assert "Zoë, opus: 291 packets, 11 lost." in text
