"""The channel panel by itself: what it shows of what the engine tells, and what each control asks for."""

from __future__ import annotations

import time
from dataclasses import replace
from types import SimpleNamespace

import pytest
from PySide6.QtCore import QEvent, QPoint, QRect, Qt, QTimer
from PySide6.QtGui import QKeyEvent, QPointingDevice
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QAbstractButton, QApplication, QLineEdit, QMenu, QScrollArea, QWidget
from pytestqt.qtbot import QtBot

from app.engine.errors import EngineError
from app.events import (
    BurstKept,
    CallChanged,
    CallRule,
    CallState,
    ChannelChanged,
    ChannelId,
    ChannelInfo,
    HistoryChanged,
    LastTalker,
    MissionsChanged,
    PeopleChanged,
    PlaybackChanged,
    RosterChanged,
    TalkMode,
)
from tests.ui import mission_scenes as missions
from tests.ui import scenes
from tests.ui.conftest import Tell
from tests.ui.recorder import Recorder
from ui import channel_words
from ui.main_window import MainWindow
from ui.panels.channel_self import read_place
from ui.panels.channels import ChannelsPanel
from ui.theme.manager import Theme
from ui.theme.tokens import DARK, LIGHT
from ui.widgets import enter as enter_keys
from ui.widgets import hold_button

LEFT = Qt.MouseButton.LeftButton
ALPHA, BOATS, SHORE = missions.ALPHA, missions.BOATS, missions.SHORE


@pytest.fixture
def panel(window: MainWindow, tell: Tell, engine: Recorder, qtbot: QtBot) -> ChannelsPanel:
    tell(MissionsChanged((missions.harbour(), missions.stadium())), RosterChanged(missions.HARBOUR, missions.PEOPLE))
    window.rail.chosen.emit("channels")
    made = window.channels.panel
    qtbot.waitUntil(lambda: made.isVisible() and not window.context.tasks.busy)
    engine.given.clear()
    return made


def given(engine: Recorder) -> list[tuple[str, tuple[object, ...]]]:
    """The commands of channels, and only those."""
    return [(name[9:], arguments) for name, arguments in engine.given if name.startswith("channels.")]


def part(panel: QWidget, name: str) -> QWidget:
    found = panel.findChild(QWidget, name)
    assert found is not None
    return found


def focused(window: MainWindow) -> QWidget:
    found = window.focusWidget()
    assert found is not None
    return found


def make_as_wide(panel: ChannelsPanel, width: int, qtbot: QtBot) -> None:
    """Give the window another width, and wait until what is in it fits."""
    panel.window().resize(width, 800)
    qtbot.waitUntil(lambda: part(panel, "channelsInside").width() <= panel.width() == width - (372, 72)[width < 900])


def repeat(widget: QWidget, key: Qt.Key, flagged: bool) -> None:
    """What a held key sends again and again."""
    for kind in (QEvent.Type.KeyRelease, QEvent.Type.KeyPress):
        event = QKeyEvent(kind, key, Qt.KeyboardModifier.NoModifier, " ", flagged)
        QApplication.sendEvent(widget, event)


def stamped(widget: QWidget, kind: QEvent.Type, key: Qt.Key, stamp: int) -> None:
    """A key at a time of the X server's, in milliseconds, that is not marked as a repeat."""
    event = QKeyEvent(kind, key, Qt.KeyboardModifier.NoModifier, "\r")
    event.setTimestamp(stamp)
    QApplication.sendEvent(widget, event)


# What is shown ----------------------------------------------------------------------------------------------------


def test_a_card_for_each_channel_with_its_key_and_its_facts(
    panel: ChannelsPanel, window: MainWindow, tell: Tell
) -> None:
    assert [panel.card(key).name.text() for key in (ALPHA, BOATS, SHORE)] == ["Alpha", "Boats", "Shore"]
    assert [panel.card(key).hint.text() for key in (ALPHA, BOATS, SHORE)] == ["primary · Space", "F2", "F3"]
    assert panel.card(ALPHA).chips.words == ("encrypted", "rallypoint · 42 ms", "6 listening · ideal")
    assert panel.card(SHORE).chips.words == ("clear", "multicast", "2 listening")
    assert panel.card(SHORE).talk.accessibleName() == "Shore: Hold to talk"
    assert panel.card(SHORE).talk.face.text == "last: Boat two, 2 min ago"

    now = window.context.book.engine_now()
    assert now is not None
    link = missions.link_limited(now + 9.5)
    tell(ChannelChanged(missions.shore(link=link)))
    assert panel.card(SHORE).chips.words == ("clear", "limited", "failover in 10 s")
    assert panel.card(SHORE).property("mark") == "limited"
    down = replace(link, up=False, limited=False, failover_at=None, words="No network.")
    tell(ChannelChanged(missions.shore(link=down)))
    assert (panel.card(SHORE).talk.face.title, panel.card(SHORE).talk.face.text) == ("Not connected", "No network.")


def test_who_talks_and_for_how_long(panel: ChannelsPanel, window: MainWindow, tell: Tell) -> None:
    now = window.context.book.engine_now()
    assert now is not None
    tell(ChannelChanged(missions.alpha(talkers=(missions.talker("Harbour office", now - 6.3),))))
    talk = panel.card(ALPHA).talk
    assert (talk.face.title, talk.face.text, talk.face.state) == ("Harbour office", "talking for 0:06", "receiving")
    tell(ChannelChanged(missions.boats(sending=missions.sending(now - 3.4))))
    talk = panel.card(BOATS).talk
    assert (talk.face.title, talk.face.text) == ("You are talking", "release to listen · 0:03 of 1:00")
    row = window.column.channels.model.rows[1]
    assert (row.subtitle, row.tone) == ("Harbour office talks on Alpha", "good")


@pytest.mark.parametrize(
    ("changes", "title", "text"),
    [
        ({"joined": False}, "Join", "You neither hear nor talk here."),
        ({"why_mute": "Its codec cannot be sent."}, "Listen only", "Its codec cannot be sent."),
        ({"notice": "Somebody more urgent talks."}, "Hold to talk", "Somebody more urgent talks."),
        ({"talk_mode": TalkMode.LATCH}, "Press to talk", "nobody has talked yet"),
        (
            {"talk_mode": TalkMode.VOICE, "armed": True},
            "Speak to talk",
            "your voice begins a burst · press to end it",
        ),
        ({"held_back": CallRule.PAUSE}, "Paused by a call", "What is said is kept among the last bursts."),
        ({"held_back": CallRule.DUCK}, "Hold to talk", "quieter during a call · nobody has talked yet"),
        ({"last": LastTalker("", 1_000.0, True)}, "Hold to talk", "last: you, 2 min ago"),
        ({"talkers": tuple(missions.talker(name, 0) for name in "ABCDE")}, "5 are talking", "A, B and 3 others"),
        ({"talkers": (missions.talker("A", 0, emergency=True),)}, "Emergency: A", "talking for 0:05"),
        (
            {"sending": missions.sending(0, emergency=True, silent=True)},
            "Emergency: sent without a voice",
            "The microphone hears nothing.",
        ),
    ],
)
def test_what_a_button_says(changes: dict[str, object], title: str, text: str) -> None:
    face = channel_words.face(missions.boats(**changes), 5.0, 1_120.0)
    assert (face.title, face.text) == (title, text)


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({}, ("", "Hold to talk", "nobody has talked yet")),
        ({"notice": "Somebody more urgent talks."}, ("warning", "Somebody more urgent talks.", "")),
        ({"talkers": (missions.talker("A", 0, emergency=True),)}, ("warning", "A", "talking for 0:05")),
        ({"talkers": (missions.talker("A", 0),)}, ("volume", "A", "talking for 0:05")),
        (
            {"sending": missions.sending(0, emergency=True)},
            ("warning", "You are talking", "release to listen · 0:05 of 1:00"),
        ),
    ],
)
def test_what_a_button_of_one_line_says_first(changes: dict[str, object], line: tuple[str, str, str]) -> None:
    assert channel_words.face(missions.boats(**changes), 5.0, 1_120.0).line == line


def test_the_clock_is_looked_at_often_only_while_seconds_are_shown(panel: ChannelsPanel, tell: Tell) -> None:
    """An idle panel must not cost a laptop its battery."""
    quiet = missions.alpha(talkers=(), sending=None)
    tell(MissionsChanged((missions.harbour(quiet),)))
    assert panel._ticks.interval() >= 5_000
    for changes in ({"talkers": (missions.talker("A", 0),)}, {"link": replace(quiet.link, failover_at=9.0)}):
        tell(ChannelChanged(replace(quiet, **changes)))  # type: ignore[arg-type]
        assert panel._ticks.interval() <= 250
        tell(ChannelChanged(quiet))
        assert panel._ticks.interval() >= 5_000


def test_who_is_here_stands_at_the_left(panel: ChannelsPanel, window: MainWindow, tell: Tell) -> None:
    rows = window.column.channels.model.rows
    assert [(row.title, row.subtitle) for row in rows] == [
        ("Missions", ""),
        ("Harbour rescue", "3 channels · 7 people"),
        ("Stadium", "ends in 3 days · 5 channels"),
        ("Open a mission", "file, QR code or link"),
        ("Here now", ""),
        ("Boat two", "4.1 km west · on the way back · on 3 channels"),
        ("Front desk", "1.2 km north-east · battery 82 % · Wi-Fi 78 %"),
        ("Harbour office", "300 m south · on Alpha"),
    ]
    tell(RosterChanged(missions.HARBOUR, tuple(missions.person(f"Boat {number}", "") for number in (10, 2, 1))))
    assert [row.title for row in window.column.channels.model.rows[-3:]] == ["Boat 1", "Boat 2", "Boat 10"]
    tell(RosterChanged(missions.HARBOUR, ()))
    assert window.column.channels.model.rows[-1].title == "No one else is here yet."
    tell(MissionsChanged((missions.harbour(has_control=False),)))
    assert "no mission control" in window.column.channels.model.rows[-1].title
    assert not panel.texts.isVisible()
    assert not panel.head.emergency.isVisible()


def test_without_a_mission_the_panel_says_what_one_is(window: MainWindow, tell: Tell, qtbot: QtBot) -> None:
    window.rail.chosen.emit("channels")
    panel = window.channels.panel
    assert panel.none_title.text() == "Starting…"
    tell(MissionsChanged(()))
    assert panel.none_title.text() == "No mission open"
    assert "set of channels" in panel.none_words.text()
    panel.open.click()
    assert window.findChild(QWidget, "openMission") is not None


def test_another_mission_is_looked_at_with_a_click(panel: ChannelsPanel, window: MainWindow, qtbot: QtBot) -> None:
    column = window.column.channels
    qtbot.mouseClick(column.view.viewport(), LEFT, pos=column.row_area(missions.STADIUM).center())
    assert panel.head.name.text() == "Stadium"
    assert "Space talks on Alpha of Harbour rescue" in panel.head.line.text()
    assert len(panel.grid.findChildren(QWidget, "channelCard", Qt.FindChildOption.FindDirectChildrenOnly)) >= 5


def test_the_list_marks_the_mission_that_is_looked_at_also_when_another_way_led_there(
    panel: ChannelsPanel, window: MainWindow
) -> None:
    column = window.column.channels
    row = column.current_row()
    assert row is not None
    assert row.mission == missions.HARBOUR
    window.context.channels.show_mission(missions.STADIUM)  # as opening a file and an emergency's Show do
    row = column.current_row()
    assert row is not None
    assert row.mission == missions.STADIUM


def test_a_look_at_a_person_leaves_the_mark_on_the_mission(
    panel: ChannelsPanel, window: MainWindow, theme: Theme, qtbot: QtBot
) -> None:
    column = window.column.channels

    def marked() -> list[bool]:
        picture = column.view.viewport().grab().toImage()
        areas = [column.row_area(key) for key in (missions.HARBOUR, missions.STADIUM, "person:n-Front desk")]
        colours = [picture.pixelColor(area.left() + 12, area.center().y()).name() for area in areas]
        return [colour == theme.tokens.accent_soft for colour in colours]

    assert marked() == [True, False, False]
    qtbot.mouseClick(column.view.viewport(), LEFT, pos=column.row_area("person:n-Front desk").center())
    assert marked() == [True, False, False]
    row = column.current_row()  # the keyboard goes on from there
    assert row is not None
    assert row.title == "Front desk"
    qtbot.keyClick(column.view, Qt.Key.Key_Home)
    qtbot.mouseClick(column.view.viewport(), LEFT, pos=column.row_area(missions.STADIUM).center())
    assert marked() == [False, True, False]


def test_cards_flow_and_nothing_is_cut_at_480_pixels(
    panel: ChannelsPanel, window: MainWindow, theme: Theme, tell: Tell, qtbot: QtBot
) -> None:
    cards = [panel.card(key) for key in (ALPHA, BOATS, SHORE)]
    window.resize(1320, 820)
    qtbot.waitUntil(lambda: len({card.y() for card in cards}) == 1)
    window.resize(480, 700)
    qtbot.waitUntil(lambda: len({card.x() for card in cards}) == 1 and window.shell.narrow)
    area = part(panel, "channelsInside")
    qtbot.waitUntil(lambda: area.width() <= 408)
    tell(BurstKept(missions.burst(1, "Front desk", 3, 5)))
    panel.bursts.clear.ask.click()
    QApplication.processEvents()
    assert area.width() <= 408
    for card in (*cards, panel.bursts, panel.texts, panel.own):
        assert card.mapTo(area, QPoint(card.width(), 0)).x() <= area.width()
    for tokens in (LIGHT, DARK):
        theme.force(tokens)
        assert not window.grab().toImage().isNull()
    theme.force(None)


def test_a_card_stays_as_high_as_it_is_whatever_it_has_to_say(
    panel: ChannelsPanel, window: MainWindow, tell: Tell, qtbot: QtBot
) -> None:
    tell(ChannelChanged(missions.alpha(grade="", link=missions.MULTICAST)))
    card = panel.card(BOATS)
    limited = missions.link_limited(None)
    for width, columns in ((1320, 3), (1000, 2), (480, 1)):
        make_as_wide(panel, width, qtbot)
        qtbot.waitUntil(lambda columns=columns: len({panel.card(key).x() for key in (ALPHA, BOATS, SHORE)}) == columns)
        heights = set()
        for changes in (
            {},
            {"grade": "Ideal."},
            {"grade": "Not acceptable: a loss of 3.6 %; it has to be below 2 %."},
            {"here": 0, "link": missions.RALLYPOINT},
            {"link": limited},
            {"link": replace(limited, carrier=missions.MULTICAST.carrier)},
            {"link": replace(limited, up=False)},
        ):
            tell(ChannelChanged(missions.boats(**changes)))
            heights.add((card.height(), panel.grid.height()))
        assert len(heights) == 1, width


def many(count: int, **changes: object) -> tuple[ChannelInfo, ...]:
    """So many channels: Alpha, Boats and Shore, and others behind them."""
    others = (
        missions.channel(ChannelId(missions.HARBOUR, f"m{number:02}"), f"Post {number}", **changes)
        for number in range(count - 3)
    )
    return missions.alpha(), missions.boats(), missions.shore(), *others


@pytest.mark.parametrize("size", [(1280, 800), (480, 900)])
def test_more_channels_than_fit_are_a_line_each_and_nothing_is_cut_or_moves(
    panel: ChannelsPanel, window: MainWindow, tell: Tell, qtbot: QtBot, size: tuple[int, int]
) -> None:
    window.resize(*size)
    large = panel.card(BOATS).height()
    channels = many(20)
    tell(MissionsChanged((missions.harbour(*channels), missions.stadium())))
    cards = [panel.card(channel.id) for channel in channels]
    qtbot.waitUntil(lambda: max(card.height() for card in cards) < large / 3)
    if size[0] > 1000:
        qtbot.waitUntil(lambda: panel.grid.height() < panel.height() - panel.head.height())
    area = part(panel, "channelsInside")
    qtbot.waitUntil(lambda: area.width() <= panel.width())

    def places() -> list[QRect]:
        QApplication.processEvents()
        return [each.geometry() for card in cards for each in (card, card.talk, card.name, card.tune)]

    before = places()
    for card in cards:
        assert card.mapTo(area, QPoint(card.width(), 0)).x() <= area.width()
        assert card.rect().contains(card.talk.geometry().united(card.tune.geometry()))
        assert card.talk.width() >= 110
    limited = missions.link_limited(None)
    for changes in (
        {"talkers": (missions.talker("Somebody with a very long name indeed", 0, emergency=True),)},
        {"sending": missions.sending(0)},
        {"notice": "Somebody more urgent talks: wait until the channel is free.", "link": limited},
        {"encrypted": False, "muted": True, "here": 99},
    ):
        tell(ChannelChanged(missions.boats(**changes)))
        assert places() == before
    tell(MissionsChanged((missions.harbour(), missions.stadium())))
    qtbot.waitUntil(lambda: panel.card(BOATS).height() == large)  # few are large again
    assert panel.card(BOATS).chips.isVisible()
    assert panel.card(BOATS).mode.isVisible()


def test_a_line_is_talked_on_and_set_as_a_card_is(
    panel: ChannelsPanel, window: MainWindow, tell: Tell, engine: Recorder, qtbot: QtBot
) -> None:
    window.resize(1280, 800)
    channels = many(20)
    tell(MissionsChanged((missions.harbour(*channels), missions.stadium())))
    engine.given.clear()
    card = panel.card(channels[-1].id)
    qtbot.waitUntil(lambda: card.height() < 60 and card.isVisible())
    key = channels[-1].id
    qtbot.mousePress(card.talk, LEFT)
    qtbot.mouseRelease(card.talk, LEFT)
    qtbot.waitUntil(lambda: given(engine) == [("press", (key, False)), ("release", (key,))])
    engine.given.clear()
    card.tune.setFocus()
    qtbot.keyClick(card.tune, Qt.Key.Key_Return)
    assert card.sound.isVisible()
    assert card.chips.isVisible()  # its facts stand with what is set seldom
    for control in (card.primary, card.recent, card.mode):
        assert control.isVisible()
        assert card.sound.rect().contains(control.mapTo(card.sound, control.rect().center()))
    card.volume_wanted.emit(0.5)
    card.primary.click()
    wanted = [("set_volume", (key, 0.5)), ("set_primary", (key,))]
    qtbot.waitUntil(lambda: given(engine) == wanted)
    qtbot.keyClick(card.sound.volume, Qt.Key.Key_Escape)
    assert not card.sound.isVisible()
    assert card.tune.hasFocus()
    qtbot.mouseClick(card, LEFT, pos=QPoint(4, card.height() // 2))
    qtbot.waitUntil(lambda: card.property("chosen") == "yes")


def test_the_window_that_is_made_larger_or_smaller_changes_the_form_and_ends_no_burst(
    panel: ChannelsPanel, window: MainWindow, tell: Tell, engine: Recorder, qtbot: QtBot
) -> None:
    tell(MissionsChanged((missions.harbour(*many(8)), missions.stadium())))
    window.resize(1600, 1300)
    card = panel.card(BOATS)
    qtbot.waitUntil(lambda: card.height() > 150)
    engine.given.clear()
    qtbot.mousePress(card.talk, LEFT)
    window.resize(1000, 600)
    qtbot.waitUntil(lambda: card.height() < 60)
    assert card.talk.held
    qtbot.mouseRelease(card.talk, LEFT)
    qtbot.waitUntil(lambda: given(engine) == [("press", (BOATS, False)), ("release", (BOATS,))])
    window.resize(1600, 1300)
    qtbot.waitUntil(lambda: card.height() > 150)
    seen = []
    card.talk.setFocus()
    for _ in card.controls:
        seen.append(focused(window).objectName())
        qtbot.keyClick(focused(window), Qt.Key.Key_Tab)
    assert seen == [control.objectName() for control in card.controls]


@pytest.mark.parametrize("width", [1320, 480])
def test_volume_and_side_open_over_what_is_below_and_move_nothing(
    panel: ChannelsPanel, window: MainWindow, engine: Recorder, tell: Tell, qtbot: QtBot, width: int
) -> None:
    make_as_wide(panel, width, qtbot)
    window.resize(window.width(), window.minimumHeight())
    QApplication.processEvents()
    card, inside = panel.card(BOATS), part(panel, "channelsInside")

    def places() -> list[tuple[int, int]]:
        QApplication.processEvents()
        parts = (*(panel.card(key) for key in (ALPHA, BOATS, SHORE)), panel.grid, panel.bursts, panel.own)
        return [(each.mapTo(inside, QPoint(0, 0)).y(), each.height()) for each in parts]

    before = places()
    scroll = part(panel, "channelsScroll")
    assert isinstance(scroll, QScrollArea)
    foot = card.mapTo(inside, card.rect().bottomLeft()).y()
    scroll.verticalScrollBar().setValue(foot - scroll.viewport().height())  # no room below it
    qtbot.mouseClick(card.tune, LEFT)
    assert card.sound.isVisible()
    assert places() == before
    assert card.sound.volume.hasFocus()
    assert inside.rect().contains(card.sound.geometry())
    assert card.sound.visibleRegion().boundingRect().height() == card.sound.height()
    qtbot.keyClick(card.sound.volume, Qt.Key.Key_Left)
    qtbot.waitUntil(lambda: given(engine) == [("set_volume", (BOATS, 0.95))])
    qtbot.keyClick(card.sound.volume, Qt.Key.Key_F2)  # and one talks meanwhile
    qtbot.waitUntil(lambda: given(engine)[1:] == [("press", (BOATS, False)), ("release", (BOATS,))])
    qtbot.mouseClick(card.tune, LEFT)
    assert not card.sound.isVisible()
    qtbot.mouseClick(card.tune, LEFT)
    qtbot.mouseClick(card.sound.pan, LEFT)
    assert card.sound.isVisible()
    qtbot.mouseClick(panel.card(ALPHA).mute, LEFT)  # whoever goes on elsewhere is done with it
    assert not card.sound.isVisible()
    qtbot.mouseClick(card.tune, LEFT)
    qtbot.keyClick(card.sound.volume, Qt.Key.Key_Escape)
    assert not card.sound.isVisible()
    assert panel.hasFocus()
    card.tune.setFocus()
    qtbot.keyClick(card.tune, Qt.Key.Key_Space)
    qtbot.keyClick(card.sound.volume, Qt.Key.Key_Tab)
    assert card.sound.pan.hasFocus()
    qtbot.keyClick(card.sound.pan, Qt.Key.Key_Escape)
    assert card.tune.hasFocus()
    card.tune.click()
    tell(MissionsChanged((missions.harbour(missions.alpha()),)))
    qtbot.waitUntil(lambda: panel.findChildren(QWidget, "channelSound") == [panel.card(ALPHA).sound])


def test_every_control_has_a_name_and_is_reached_by_tab(
    panel: ChannelsPanel, window: MainWindow, tell: Tell, qtbot: QtBot
) -> None:
    tell(BurstKept(missions.burst(1, "Front desk", 3, 5)))
    panel.card(ALPHA).tune.click()
    for control in panel.findChildren(QAbstractButton) + panel.findChildren(QLineEdit):
        if not control.objectName().startswith("qt_"):
            assert control.objectName(), control.text()
            assert control.accessibleName(), control.objectName()
    seen = {focused(window).objectName()}  # the drawer that was opened has the focus, and closes once it is left
    for _ in range(60):
        qtbot.keyClick(focused(window), Qt.Key.Key_Tab)
        seen.add(focused(window).objectName())
    assert {
        "talkButton",
        "channelMute",
        "channelTune",
        "channelPrimary",
        "channelRecent",
        "channelMode",
        "channelVolume",
        "channelPan",
        "channelLeave",
        "emergencyButton",
        "missionMenuButton",
        "burstsList",
        "clearBursts",
        "textField",
        "sendText",
        "ownStatus",
        "ownPlace",
        "callRule",
        "channelsList",
    } <= seen


def test_tab_goes_as_the_eye_does(panel: ChannelsPanel, window: MainWindow, tell: Tell, qtbot: QtBot) -> None:
    tell(
        BurstKept(missions.burst(1, "Front desk", 3, 5)),
        MissionsChanged((missions.harbour(missions.alpha(), missions.boats(), own_place=(54.3, 10.1)),)),
    )
    panel.setFocus()
    seen = []
    for _ in range(30):
        qtbot.keyClick(focused(window), Qt.Key.Key_Tab)
        seen.append(focused(window).objectName())
    card = ["talkButton", "channelMute", "channelTune", "channelPrimary", "channelRecent", "channelMode"]
    below = ["clearBursts", "burstsList", "textTo", "textsView", "textField", "sendText"]
    own = ["ownStatus", "setStatus", "ownPlace", "setPlace", "followPlace", "clearPlace", "callRule"]
    assert seen[:27] == ["emergencyButton", "missionMenuButton", *card, *card, *below, *own]


def test_enter_presses_what_has_the_focus(
    panel: ChannelsPanel, window: MainWindow, engine: Recorder, tell: Tell, qtbot: QtBot
) -> None:
    tell(BurstKept(missions.burst(1, "Front desk", 3, 5)))
    card, enter = panel.card(BOATS), Qt.Key.Key_Return
    for control in (card.mute, card.primary, panel.bursts.clear.ask, panel.head.emergency, card.tune):
        control.setFocus()
        qtbot.keyClick(control, enter)
    qtbot.waitUntil(lambda: given(engine) == [("set_muted", (BOATS, True)), ("set_primary", (BOATS,))])
    assert panel.bursts.clear.is_asking
    assert panel.head.question.isVisible()
    assert card.sound.isVisible()
    people = part(window.rail, "rail-people")
    people.setFocus()
    qtbot.keyClick(people, enter)
    assert not panel.isVisible()


def test_an_enter_that_is_held_asks_and_does_not_answer(
    panel: ChannelsPanel, window: MainWindow, engine: Recorder, qtbot: QtBot
) -> None:
    def enter(kind: QEvent.Type, *, repeats: bool = False) -> None:
        at = QApplication.focusWidget()
        assert at is not None
        event = QKeyEvent(kind, Qt.Key.Key_Return, Qt.KeyboardModifier.NoModifier, "\r", repeats)
        QApplication.sendEvent(at, event)

    panel.head.emergency.setFocus()
    enter(QEvent.Type.KeyPress)
    for _ in range(3):
        enter(QEvent.Type.KeyRelease, repeats=True)
        enter(QEvent.Type.KeyPress, repeats=True)
    assert not panel.head.question.isVisible()
    enter(QEvent.Type.KeyRelease)
    assert panel.head.question.isVisible()
    assert given(engine) == []
    panel.head.emergency.setFocus()
    enter(QEvent.Type.KeyPress)
    panel.head.words.setFocus()  # the focus goes while it is down: it comes up elsewhere
    enter(QEvent.Type.KeyRelease)
    assert not panel.head.emergency.isDown()
    assert given(engine) == []


def test_repeats_of_enter_that_look_like_presses_raise_no_emergency(
    panel: ChannelsPanel, window: MainWindow, engine: Recorder, qtbot: QtBot
) -> None:
    head, enter = panel.head, Qt.Key.Key_Return
    head.emergency.setFocus()
    qtbot.keyPress(head.emergency, enter)
    for _ in range(4):  # X11 does not always tell that a key only repeats
        repeat(focused(window), enter, False)
    qtbot.keyRelease(focused(window), enter)
    assert head.question.isVisible()
    assert head.words.hasFocus()
    assert not window.context.tasks.busy
    assert given(engine) == []
    sure = part(head, "raiseEmergency")
    qtbot.keyClick(head.words, Qt.Key.Key_Tab)
    assert sure.hasFocus()
    qtbot.keyClick(sure, enter)
    qtbot.waitUntil(lambda: given(engine) == [("raise_emergency", (missions.HARBOUR, ""))])


def test_an_enter_that_is_held_opens_a_menu_and_chooses_nothing_of_it(
    panel: ChannelsPanel, engine: Recorder, qtbot: QtBot
) -> None:
    mode, enter, shown = panel.card(BOATS).mode, Qt.Key.Key_Return, []
    menu = mode.menu()

    def opened() -> None:
        shown.append(menu)
        QTimer.singleShot(0, menu, menu.close)

    menu.aboutToShow.connect(opened)
    mode.setFocus()
    qtbot.keyPress(mode, enter)
    repeat(mode, enter, True)
    assert not shown
    qtbot.keyRelease(mode, enter)
    qtbot.waitUntil(lambda: shown == [menu] and not menu.isVisible())
    assert given(engine) == []


def test_enter_at_once_after_another_key_chooses_from_the_menu_that_it_opened(
    panel: ChannelsPanel, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = time.monotonic()
    monkeypatch.setattr(enter_keys, "time", SimpleNamespace(monotonic=lambda: now))  # nobody waits
    mode, chosen = panel.card(BOATS).mode, []
    menu = mode.menu()
    menu.triggered.connect(chosen.append)

    def opened() -> None:
        qtbot.keyClick(menu, Qt.Key.Key_Return)
        assert (menu.isVisible(), chosen) == (True, [])  # it may be held
        qtbot.keyClick(menu, Qt.Key.Key_Down)
        qtbot.keyClick(menu, Qt.Key.Key_Return)
        menu.close()

    menu.aboutToShow.connect(lambda: QTimer.singleShot(0, menu, opened))
    mode.setFocus()
    qtbot.keyClick(mode, Qt.Key.Key_Return)
    qtbot.waitUntil(lambda: len(chosen) == 1)


def test_an_enter_that_is_held_chooses_nothing_of_the_menu_that_it_opened_though_x11_marks_no_repeats(
    panel: ChannelsPanel, engine: Recorder, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = SimpleNamespace(now=time.monotonic(), monotonic=lambda: clock.now)
    monkeypatch.setattr(enter_keys, "time", clock)
    mode, enter, chosen = panel.card(BOATS).mode, Qt.Key.Key_Return, []
    menu = mode.menu()
    menu.triggered.connect(chosen.append)

    def held(at: int) -> None:
        for stamp in range(at, at + 132, 33):
            stamped(menu, QEvent.Type.KeyPress, enter, stamp)
            stamped(menu, QEvent.Type.KeyRelease, enter, stamp + 33)

    def opened() -> None:
        held(633)
        assert menu.isVisible()
        stamped(menu, QEvent.Type.KeyPress, Qt.Key.Key_Down, 700)
        clock.now += 1.0  # the window stood still, and they wait
        held(765)
        assert (menu.isVisible(), chosen) == (True, [])
        menu.setActiveAction(menu.actions()[1])
        clock.now += 1.0  # let go for good
        stamped(menu, QEvent.Type.KeyPress, enter, 3_000)

    menu.aboutToShow.connect(lambda: QTimer.singleShot(0, menu, opened))
    mode.setFocus()
    stamped(mode, QEvent.Type.KeyPress, enter, 100)
    stamped(mode, QEvent.Type.KeyRelease, enter, 633)
    qtbot.waitUntil(lambda: len(chosen) == 1 and not menu.isVisible())
    stamped(mode, QEvent.Type.KeyRelease, enter, 3_600)
    for stamp in range(3_600, 3_800, 33):  # held for longer than the menu was there
        stamped(mode, QEvent.Type.KeyPress, enter, stamp)
        stamped(mode, QEvent.Type.KeyRelease, enter, stamp + 33)
    assert not menu.isVisible()
    qtbot.waitUntil(lambda: given(engine) == [("set_talk_mode", (BOATS, TalkMode.LATCH))])
    assert len(chosen) == 1


def test_an_enter_that_is_held_opens_a_submenu_and_closes_no_mission(
    panel: ChannelsPanel, engine: Recorder, qtbot: QtBot
) -> None:
    enter = Qt.Key.Key_Return
    panel.head.menu.click()
    menu = part(panel, "missionMenu")
    forget = part(menu, "closeMissionMenu")
    assert isinstance(menu, QMenu)
    assert isinstance(forget, QMenu)
    menu.setActiveAction(forget.menuAction())
    stamped(menu, QEvent.Type.KeyPress, enter, 100)
    qtbot.waitUntil(forget.isVisible)
    forget.setActiveAction(forget.actions()[0])
    for stamp in range(633, 765, 33):
        stamped(forget, QEvent.Type.KeyRelease, enter, stamp)
        stamped(forget, QEvent.Type.KeyPress, enter, stamp)
    assert forget.isVisible()
    menu.close()
    QApplication.processEvents()
    assert given(engine) == []


def test_a_question_is_not_there_any_more_for_who_went_elsewhere(
    panel: ChannelsPanel, window: MainWindow, tell: Tell, qtbot: QtBot
) -> None:
    tell(BurstKept(missions.burst(1, "Front desk", 3, 5)))
    asked = panel.bursts.clear
    qtbot.mouseClick(asked.ask, LEFT)
    assert asked.is_asking
    qtbot.mouseClick(part(window.rail, "rail-people"), LEFT)
    assert not asked.is_asking
    window.rail.chosen.emit("channels")
    asked.ask.click()
    window.context.channels.forget_bursts(ALPHA)  # the last of them is gone: there is nothing to ask about
    assert not asked.is_asking
    tell(BurstKept(missions.burst(2, "Front desk", 3, 5)))
    assert asked.ask.isVisible()
    assert asked.ask.isEnabled()


# Talking ----------------------------------------------------------------------------------------------------------


def test_the_button_is_held_with_the_mouse(panel: ChannelsPanel, engine: Recorder, qtbot: QtBot) -> None:
    talk = panel.card(BOATS).talk
    qtbot.mousePress(talk, LEFT)
    qtbot.waitUntil(lambda: given(engine) == [("press", (BOATS, False))])
    qtbot.mouseMove(panel.card(SHORE).talk)  # whoever slips off the button goes on talking
    qtbot.mouseRelease(talk, LEFT)
    qtbot.waitUntil(lambda: given(engine)[1:] == [("release", (BOATS,))])
    qtbot.mouseClick(talk, Qt.MouseButton.RightButton)
    assert len(given(engine)) == 2


def test_the_button_is_held_with_a_finger(panel: ChannelsPanel, engine: Recorder, qtbot: QtBot) -> None:
    talk = panel.card(BOATS).talk
    device = QTest.createTouchDevice()
    assert isinstance(device, QPointingDevice)
    window, where = talk.window(), talk.mapTo(talk.window(), QPoint(20, 20))
    QTest.touchEvent(window, device).press(1, where, window).commit()
    qtbot.waitUntil(lambda: given(engine) == [("press", (BOATS, False))])
    QTest.touchEvent(talk.window(), device).release(
        1, talk.mapTo(talk.window(), QPoint(20, 20)), talk.window()
    ).commit()
    qtbot.waitUntil(lambda: given(engine)[1:] == [("release", (BOATS,))])


def test_space_is_the_primary_channels_key_and_repeats_are_nothing(
    panel: ChannelsPanel, window: MainWindow, engine: Recorder, qtbot: QtBot, tell: Tell
) -> None:
    qtbot.mouseClick(panel.card(BOATS).mute, LEFT)  # a click takes no focus: Space stays the talk key
    qtbot.waitUntil(lambda: given(engine) == [("set_muted", (BOATS, True))])
    engine.given.clear()
    focus = focused(window)
    qtbot.keyPress(focus, Qt.Key.Key_Space)
    for flagged in (True, False):  # X11 does not always tell that a key only repeats
        repeat(focus, Qt.Key.Key_Space, flagged)
    qtbot.waitUntil(lambda: given(engine) == [("press", (ALPHA, False))])
    qtbot.keyRelease(focus, Qt.Key.Key_Space)
    qtbot.waitUntil(lambda: given(engine)[1:] == [("release", (ALPHA,))])

    tell(ChannelChanged(missions.alpha(primary=False)))
    assert "choose one with its star" in panel.head.line.text()
    qtbot.keyClick(focused(window), Qt.Key.Key_Space)
    assert "choose it with the star" in window.toasts.sentences[0]


def test_function_keys_talk_on_their_cards_also_from_a_field(
    panel: ChannelsPanel, window: MainWindow, engine: Recorder, qtbot: QtBot
) -> None:
    panel.texts.field.setFocus()
    qtbot.keyPress(panel.texts.field, Qt.Key.Key_F3)
    qtbot.waitUntil(lambda: given(engine) == [("press", (SHORE, False))])
    qtbot.keyRelease(panel.texts.field, Qt.Key.Key_F3)
    qtbot.waitUntil(lambda: given(engine)[1:] == [("release", (SHORE,))])
    qtbot.keyClicks(panel.texts.field, "a b")
    assert panel.texts.field.text() == "a b"
    qtbot.mouseClick(panel.texts.send, LEFT)
    assert panel.hasFocus()  # and Space talks again
    qtbot.waitUntil(lambda: given(engine)[2:] == [("send_text", (missions.HARBOUR, None, "a b"))])
    panel.texts.field.setFocus()
    qtbot.keyClick(panel.texts.field, Qt.Key.Key_Escape)
    assert panel.hasFocus()
    qtbot.keyClick(panel.texts.field, Qt.Key.Key_F9)  # no such card
    assert len(given(engine)) == 3


def test_space_from_the_list_talks_and_from_a_focused_button_presses_it(
    panel: ChannelsPanel, window: MainWindow, engine: Recorder, qtbot: QtBot
) -> None:
    window.column.channels.view.setFocus()
    qtbot.keyClick(window.column.channels.view, Qt.Key.Key_Space)
    qtbot.waitUntil(lambda: given(engine) == [("press", (ALPHA, False)), ("release", (ALPHA,))])
    talk = panel.card(SHORE).talk
    talk.setFocus(Qt.FocusReason.TabFocusReason)
    qtbot.keyPress(talk, Qt.Key.Key_Space)
    qtbot.waitUntil(lambda: given(engine)[2:] == [("press", (SHORE, False))])
    qtbot.keyRelease(talk, Qt.Key.Key_Space)
    qtbot.waitUntil(lambda: given(engine)[3:] == [("release", (SHORE,))])


def test_a_key_that_was_down_before_the_window_had_the_keyboard_begins_nothing(
    panel: ChannelsPanel, window: MainWindow, engine: Recorder, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    focus = focused(window)
    now = [time.monotonic()]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    for late_s in (0.0, 0.0, 0.5):  # X11 goes on repeating it here, as let go and pressed again at the same time
        for kind in (QEvent.Type.KeyRelease, QEvent.Type.KeyPress):
            event = QKeyEvent(kind, Qt.Key.Key_F2, Qt.KeyboardModifier.NoModifier)
            event.setTimestamp(1_000)
            QApplication.sendEvent(focus, event)
            now[0] += late_s  # the window was busy between them
    qtbot.keyRelease(focus, Qt.Key.Key_F2)
    now[0] += 0.1
    qtbot.keyPress(focus, Qt.Key.Key_F3)
    qtbot.keyPress(focus, Qt.Key.Key_F2)
    qtbot.waitUntil(lambda: given(engine) == [("press", (SHORE, False)), ("press", (BOATS, False))])
    qtbot.keyRelease(focus, Qt.Key.Key_F2)
    qtbot.keyRelease(focus, Qt.Key.Key_F3)
    qtbot.waitUntil(lambda: len(given(engine)) == 4)


def test_what_takes_the_keyboard_or_the_panel_away_ends_the_burst(
    panel: ChannelsPanel, window: MainWindow, tell: Tell, engine: Recorder, qtbot: QtBot
) -> None:
    qtbot.keyPress(focused(window), Qt.Key.Key_Space)
    qtbot.waitUntil(lambda: len(given(engine)) == 1)
    window.open_contact(None)  # another window has the keyboard now
    qtbot.waitUntil(lambda: given(engine)[1:] == [("release", (ALPHA,))])
    dialog = window.findChild(QWidget, "contactDialog")
    assert dialog is not None
    dialog.close()
    window.activateWindow()
    qtbot.waitUntil(window.isActiveWindow)
    qtbot.mousePress(panel.card(BOATS).talk, LEFT)
    qtbot.waitUntil(lambda: given(engine)[2:] == [("press", (BOATS, False))])
    window.rail.chosen.emit("people")
    qtbot.waitUntil(lambda: given(engine)[3:] == [("release", (BOATS,))])
    assert window.stage.currentWidget() is window.welcome


def test_two_holds_of_one_channel_are_one_burst(
    panel: ChannelsPanel, window: MainWindow, engine: Recorder, qtbot: QtBot
) -> None:
    qtbot.keyPress(focused(window), Qt.Key.Key_Space)
    qtbot.mousePress(panel.card(ALPHA).talk, LEFT)
    qtbot.keyRelease(focused(window), Qt.Key.Key_Space)
    qtbot.mouseRelease(panel.card(ALPHA).talk, LEFT)
    qtbot.waitUntil(lambda: [name for name, _ in given(engine)] == ["press", "release"])

    qtbot.keyPress(focused(window), Qt.Key.Key_Space)
    menu = panel.card(BOATS).mode.menu()
    menu.popup(panel.mapToGlobal(QPoint(10, 10)))
    qtbot.waitUntil(lambda: [name for name, _ in given(engine)] == ["press", "release"] * 2)
    menu.close()


def test_nobody_talks_where_one_cannot_and_who_has_left_joins(
    panel: ChannelsPanel, tell: Tell, engine: Recorder, qtbot: QtBot
) -> None:
    tell(
        ChannelChanged(missions.boats(why_mute="Its codec cannot be sent.")),
        ChannelChanged(missions.shore(joined=False)),
    )
    qtbot.mouseClick(panel.card(BOATS).talk, LEFT)
    qtbot.mouseClick(panel.card(SHORE).talk, LEFT)
    qtbot.waitUntil(lambda: given(engine) == [("join", (SHORE,))])


def test_a_refusal_is_said_until_the_engine_takes_it_back(panel: ChannelsPanel, tell: Tell) -> None:
    tell(ChannelChanged(missions.boats(notice="Ada is talking: wait.")))
    talk = panel.card(BOATS).talk
    assert (talk.face.text, talk.face.warns) == ("Ada is talking: wait.", True)
    tell(ChannelChanged(missions.boats()))
    assert talk.face.text == "nobody has talked yet"


# What each control asks for -------------------------------------------------------------------------------------


def test_what_can_be_set_for_a_channel(panel: ChannelsPanel, tell: Tell, engine: Recorder, qtbot: QtBot) -> None:
    card = panel.card(BOATS)
    qtbot.mouseClick(card.primary, LEFT)
    card.mode.menu().actions()[1].trigger()
    card.tune.click()
    assert card.sound.isVisible()
    card.sound.volume.setValue(40)
    card.sound.pan.setValue(-60)
    qtbot.waitUntil(lambda: len(given(engine)) == 4)
    assert given(engine) == [
        ("set_primary", (BOATS,)),
        ("set_talk_mode", (BOATS, TalkMode.LATCH)),
        ("set_volume", (BOATS, 0.4)),
        ("set_pan", (BOATS, -0.6)),
    ]
    tell(ChannelChanged(missions.boats(volume=0.4, pan=-0.6, primary=True, muted=True)))
    assert card.sound.pan.accessibleName() == "Left or right for Boats, 60 % left"
    assert card.mute.accessibleName() == "Unmute Boats"
    assert card.primary.accessibleName() == "Boats is the primary channel"
    card.sound.leave.click()
    qtbot.waitUntil(lambda: given(engine)[4:] == [("leave", (BOATS,))])


def test_the_last_bursts_are_played_stopped_and_cleared(
    panel: ChannelsPanel, tell: Tell, engine: Recorder, qtbot: QtBot
) -> None:
    assert panel.bursts.title.text() == "Alpha, last bursts"
    assert panel.bursts.none.isVisible()
    tell(*(BurstKept(burst) for burst in missions.bursts()))
    assert [row.title for row in panel.bursts.model.rows] == ["Harbour office", "Front desk", "You"]
    part(panel, "channelsScroll").ensureWidgetVisible(panel.bursts)  # type: ignore[attr-defined]
    qtbot.mouseClick(panel.bursts.view.viewport(), LEFT, pos=panel.bursts.button_centre("b2"))
    qtbot.waitUntil(lambda: given(engine) == [("play", ("b2",))])
    tell(PlaybackChanged("b2"))
    assert "Enter stops it" in panel.bursts.model.rows[1].spoken()
    qtbot.mouseClick(panel.bursts.view.viewport(), LEFT, pos=panel.bursts.button_centre("b2"))
    qtbot.waitUntil(lambda: given(engine)[1:] == [("stop_playing", ())])
    tell(ChannelChanged(missions.alpha(last=None)))  # as after a restart
    assert panel.card(ALPHA).talk.face.text == "last: Harbour office, just now"
    panel.bursts.clear.ask.click()
    assert len(given(engine)) == 2
    panel.bursts.clear.yes.click()
    qtbot.waitUntil(lambda: given(engine)[2:] == [("clear_bursts", (ALPHA,))])
    qtbot.waitUntil(lambda: not panel.bursts.model.rows)
    panel.card(BOATS).recent.click()
    qtbot.waitUntil(lambda: panel.bursts.title.text() == "Boats, last bursts")


def test_escape_takes_a_question_back_and_the_focus_goes_where_it_was(
    panel: ChannelsPanel, window: MainWindow, tell: Tell, engine: Recorder, qtbot: QtBot
) -> None:
    tell(BurstKept(missions.burst(1, "Front desk", 3, 5)))
    clear = panel.bursts.clear
    part(panel, "channelsScroll").ensureWidgetVisible(clear)  # type: ignore[attr-defined]
    qtbot.mouseClick(clear.ask, LEFT)
    assert clear.no.hasFocus()
    qtbot.keyClick(clear.no, Qt.Key.Key_Escape)
    assert not clear.is_asking
    assert panel.hasFocus()  # and Space talks
    clear.ask.setFocus()
    qtbot.keyClick(clear.ask, Qt.Key.Key_Space)
    qtbot.keyClick(clear.no, Qt.Key.Key_Escape)
    assert clear.ask.hasFocus()
    qtbot.mouseClick(panel.head.emergency, LEFT)
    qtbot.keyClick(panel.head.words, Qt.Key.Key_Escape)
    assert not panel.head.question.isVisible()
    assert panel.hasFocus()
    assert given(engine) == []
    tell(HistoryChanged(scenes.history()))
    window.rail.chosen.emit("history")
    asked = window.column.history.clear
    qtbot.mouseClick(asked.ask, LEFT)
    qtbot.keyClick(asked.no, Qt.Key.Key_Escape)
    assert not asked.is_asking
    assert asked.ask.hasFocus()


def test_the_field_above_finds_a_mission_or_calls(
    panel: ChannelsPanel, window: MainWindow, engine: Recorder, qtbot: QtBot
) -> None:
    field = window.column.field
    qtbot.keyClicks(field, "stad")
    qtbot.keyClick(field, Qt.Key.Key_Down)
    qtbot.keyClick(field, Qt.Key.Key_Return)
    assert panel.head.name.text() == "Stadium"
    field.setText("sip:ada@example.org")
    qtbot.keyClick(field, Qt.Key.Key_Return)
    qtbot.waitUntil(lambda: "calls.place" in engine.names())


@pytest.mark.parametrize("width", [1320, 480])
def test_what_comes_moves_neither_the_field_to_write_in_nor_what_is_below(
    panel: ChannelsPanel, window: MainWindow, tell: Tell, qtbot: QtBot, width: int
) -> None:
    make_as_wide(panel, width, qtbot)

    def places() -> list[int]:
        QApplication.processEvents()
        inside = part(panel, "channelsInside")
        return [each.mapTo(inside, QPoint(0, 0)).y() for each in (panel.texts.field, panel.own)]

    before = places()
    tell(*missions.texts())
    assert places() == before
    for number in range(12):
        tell(BurstKept(missions.burst(number, "Front desk", 3, 5)))
        assert places() == before
    panel.bursts.clear.ask.click()
    assert places() == before


def test_messages_are_read_and_written(
    panel: ChannelsPanel, window: MainWindow, tell: Tell, engine: Recorder, qtbot: QtBot
) -> None:
    tell(*missions.texts())
    lines = panel.texts.view.toPlainText().splitlines()
    assert lines[1].endswith("Boat two on Boats: Two people on board, both well.")
    assert lines[2].endswith("You: Understood, the ambulance waits at the pier.")
    panel.texts.to.setCurrentText("To Shore")
    qtbot.keyClicks(panel.texts.field, "All well")
    qtbot.keyClick(panel.texts.field, Qt.Key.Key_Return)
    qtbot.waitUntil(lambda: given(engine) == [("send_text", (missions.HARBOUR, SHORE, "All well"))])
    assert panel.texts.field.text() == ""
    engine.answers["channels.send_text"] = EngineError("Too many messages at once: wait a moment.")
    panel.texts.field.setText("Again")
    panel.texts.send.click()
    qtbot.waitUntil(lambda: panel.texts.field.text() == "Again" and bool(window.toasts.sentences))
    assert window.toasts.sentences == ["Too many messages at once: wait a moment."]

    tell(missions.text(9, "<b>x</b>", "<img src=x>\nSecond line", 1))
    assert "<b>x</b>: <img src=x> Second line" in panel.texts.view.toPlainText()
    tell(MissionsChanged((missions.harbour(missions.boats(name="<i>B</i>"), name="<h1>M</h1>"),)))
    assert panel.head.name.textFormat() is Qt.TextFormat.PlainText
    assert panel.card(BOATS).name.textFormat() is Qt.TextFormat.PlainText


def test_an_emergency_is_raised_by_holding_or_by_saying_yes(
    panel: ChannelsPanel, tell: Tell, engine: Recorder, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    button = panel.head.emergency
    qtbot.mouseClick(button, LEFT)
    assert panel.head.question.isVisible()
    assert given(engine) == []
    qtbot.keyClicks(panel.head.words, "fire")
    qtbot.keyClick(panel.head.words, Qt.Key.Key_Return)
    qtbot.waitUntil(lambda: given(engine) == [("raise_emergency", (missions.HARBOUR, "fire"))])
    assert not panel.head.question.isVisible()
    monkeypatch.setattr(hold_button, "HOLD_MS", 40)
    qtbot.mousePress(button, LEFT)
    qtbot.waitUntil(lambda: given(engine)[1:] == [("raise_emergency", (missions.HARBOUR, ""))])
    qtbot.mouseRelease(button, LEFT)
    tell(MissionsChanged((missions.harbour(own_emergency="fire"),)))
    assert not button.isVisible()
    qtbot.keyClick(focused(panel.window()), Qt.Key.Key_Space)  # type: ignore[arg-type]
    qtbot.waitUntil(lambda: given(engine)[2:3] == [("press", (ALPHA, True))])


def test_ones_own_place_and_status_and_the_rule_for_calls(panel: ChannelsPanel, engine: Recorder, qtbot: QtBot) -> None:
    own = panel.own
    own.status.setText("on watch")
    own.set_status.click()
    own.place.setText("54.3 N 10.1 W")
    own.set_place.click()
    own.rule.setCurrentIndex(1)
    own.rule.activated.emit(1)
    qtbot.waitUntil(lambda: len(given(engine)) == 3)
    assert given(engine) == [
        ("set_status", ("on watch",)),
        ("set_place", (54.3, -10.1)),
        ("set_call_rule", (CallRule.DUCK,)),
    ]
    own.place.setText("somewhere")
    own.set_place.click()
    assert "degrees north" in own.answer.text()
    assert own.place.property("wrong") is True


def test_the_way_to_hide_ones_place_moves_no_other_button(panel: ChannelsPanel, tell: Tell) -> None:
    own = panel.own

    def places() -> list[object]:
        QApplication.processEvents()
        return [each.geometry() for each in (own.set_status, own.set_place, own.status, own.place, own.follow)]

    before = places()
    assert own.set_status.width() == own.set_place.width()
    tell(MissionsChanged((missions.harbour(own_place=(54.3, 10.1)),)))
    assert own.clear_place.isVisible()
    assert places() == before


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("54.3233, 10.1394", (54.3233, 10.1394)),
        ("-33.9 18.4", (-33.9, 18.4)),
        ("33.9° S, 18.4° E", (-33.9, 18.4)),
        ("N54 W3.5", (54.0, -3.5)),
        ("91, 0", None),
        ("0, 181", None),
        ("54", None),
        ("54, 10, 3", None),
        ("10 E, 54 N", None),
        ("x", None),
    ],
)
def test_a_place_is_read_as_maps_write_it(text: str, place: tuple[float, float] | None) -> None:
    assert read_place(text) == place


# Wherever one is --------------------------------------------------------------------------------------------------


def test_the_rail_tells_who_talks_while_another_panel_is_shown(window: MainWindow, tell: Tell) -> None:
    heard = missions.alpha(talkers=(missions.talker("Front desk", 0),))
    tell(MissionsChanged((missions.harbour(heard, missions.boats()),)), *missions.texts()[:1])
    entry = part(window, "rail-channels")
    badge = part(entry, "railBadge")
    assert badge.isVisible()
    assert entry.accessibleName() == "Channels, somebody talks, 1 new message"
    window.rail.chosen.emit("channels")
    assert not badge.isVisible()
    window.rail.chosen.emit("people")
    assert entry.accessibleName() == "Channels, somebody talks"
    tell(ChannelChanged(missions.alpha()))
    assert not badge.isVisible()


def test_an_emergency_is_told_wherever_one_is_until_it_is_dismissed(
    window: MainWindow, tell: Tell, engine: Recorder, qtbot: QtBot
) -> None:
    calls = missions.person("Boat two", "4.1 km west", emergency="man overboard")
    tell(MissionsChanged((missions.harbour(),)), PeopleChanged(scenes.PEOPLE))
    tell(RosterChanged(missions.HARBOUR, (calls,)))
    banner = window.channels.banner
    assert banner is not None
    assert banner.isVisible()
    assert banner.sentences == ["Emergency: Boat two in Harbour rescue: man overboard · 4.1 km west"]
    assert window.stage.y() == banner.height()
    part(banner, "showEmergency").click()  # type: ignore[attr-defined]
    assert window.channels.shown
    window.activateWindow()
    part(banner, "dismissEmergency").setFocus()
    qtbot.waitUntil(part(banner, "dismissEmergency").hasFocus)
    part(banner, "dismissEmergency").click()  # type: ignore[attr-defined]
    assert not banner.isVisible()
    assert QApplication.focusWidget() is None  # Space talks, and neither types nor presses another button
    assert window.stage.y() == 0
    assert "channels.dismiss" not in engine.names()  # they are here: the roster shows it as long as it goes on
    tell(RosterChanged(missions.HARBOUR, ()), RosterChanged(missions.HARBOUR, (calls,)))
    assert banner.isVisible()  # a new one
    tell(RosterChanged(missions.HARBOUR, (replace(calls, gone=True),)))
    column = window.column.channels
    qtbot.mouseClick(column.view.viewport(), LEFT, pos=column.dismiss_centre("person:n-Boat two"))
    qtbot.waitUntil(lambda: given(engine)[-1:] == [("dismiss", (missions.HARBOUR, "n-Boat two"))])
    assert not banner.isVisible()

    heard = missions.boats(talkers=(missions.talker("Pilot", 0, emergency=True),))
    tell(ChannelChanged(heard))
    assert banner.sentences == ["Emergency: Pilot talks on Boats in Harbour rescue"]
    tell(ChannelChanged(missions.boats()))
    assert not banner.isVisible()
    tell(MissionsChanged((missions.harbour(own_emergency=""),)))
    assert banner.sentences[-1] == "Your emergency is raised in Harbour rescue"
    tell(MissionsChanged((missions.harbour(own_emergency="", emergency_waits=True),)))
    waits = "Your emergency in Harbour rescue waits to be sent: there is no connection yet"
    assert banner.sentences[-1] == waits
    banner.findChildren(QAbstractButton, "dismissEmergency")[-1].click()
    qtbot.waitUntil(lambda: given(engine)[-1] == ("clear_emergency", (missions.HARBOUR,)))


def test_a_call_comes_to_the_stage_and_channels_come_back_after_it(
    panel: ChannelsPanel, window: MainWindow, tell: Tell
) -> None:
    tell(CallChanged(scenes.call(CallState.CONNECTED)))
    assert window.stage.currentWidget() is window.call
    window.rail.chosen.emit("channels")
    assert window.channels.shown
    window.rail.chosen.emit("people")
    assert window.stage.currentWidget() is window.call
    window.rail.chosen.emit("channels")
    tell(CallChanged(scenes.call(CallState.ENDED)))
    window.context.book.put_away()
    assert window.channels.shown


def test_a_mission_is_closed_from_its_menu(
    panel: ChannelsPanel, window: MainWindow, engine: Recorder, qtbot: QtBot
) -> None:
    panel.head.menu.click()
    menu = part(panel, "missionMenu")
    closing = part(menu, "closeMissionMenu")
    closing.actions()[0].trigger()
    menu.close()
    qtbot.waitUntil(lambda: given(engine) == [("close_mission", (missions.HARBOUR,))])
    qtbot.waitUntil(lambda: "closed and forgotten" in "".join(window.toasts.sentences))


def test_what_a_missions_author_wrote_is_no_html(panel: ChannelsPanel, tell: Tell) -> None:
    wrote = "<img src='//elsewhere/share/x.png'> & <b>all</b>"
    tell(ChannelChanged(missions.boats(description=wrote)))
    tips = [each.toolTip() for each in panel.findChildren(QWidget)]
    assert not any("<img" in tip for tip in tips)
    assert any("&lt;img" in tip for tip in tips)
