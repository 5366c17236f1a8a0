from __future__ import annotations

import time
from dataclasses import replace

import pytest
from PySide6.QtCore import QPoint, QRect, Qt, QTimer
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from app.events import CallChanged, CallEnd, CallState, EndedBy, EndKind, FiguresChanged, IceState
from tests.ui import scenes
from tests.ui.conftest import Tell
from tests.ui.recorder import Recorder
from ui.main_window import MainWindow
from ui.panels.call import CallPanel


@pytest.fixture
def panel(window: MainWindow) -> CallPanel:
    return window.call


def test_every_step_of_a_call_is_said_in_words(window: MainWindow, panel: CallPanel, tell: Tell) -> None:
    said = []
    for state in (CallState.GATHERING, CallState.INVITING, CallState.CONNECTING, CallState.RINGING):
        tell(CallChanged(scenes.call(state)))
        said.append(panel.centre.state.text())
    assert said == ["Looking at the network…", "Calling…", "Finding the best path…", "Ringing…"]
    assert window.stage.currentWidget() is panel
    assert panel.buttons.hang_up.text() == "Cancel"
    tell(CallChanged(scenes.call(CallState.CONNECTED)))
    assert panel.buttons.hang_up.text() == "Hang up"
    assert window.windowTitle().startswith("Front desk")


def test_both_pictures_are_shown(panel: CallPanel, tell: Tell, engine: Recorder, qtbot: QtBot) -> None:
    tell(CallChanged(scenes.call(CallState.CONNECTED)))
    assert panel.centre.isVisible()
    engine.mailbox("c1", "remote").put(scenes.picture())
    engine.mailbox("c1", "own").put(scenes.picture())
    qtbot.waitUntil(lambda: not panel.centre.isVisible() and panel.own.view.isVisible())
    assert panel.remote.picture is not None
    assert panel.own.view.mirrored
    assert not panel.remote.mirrored


@pytest.mark.parametrize(("width", "height"), [(64, 48), (64, 36), (60, 20)])
def test_ones_own_picture_is_seen_whole(
    panel: CallPanel, tell: Tell, engine: Recorder, qtbot: QtBot, width: int, height: int
) -> None:
    tell(CallChanged(scenes.call(CallState.CONNECTED)))
    engine.mailbox("c1", "own").put(scenes.picture(width, height))
    view = panel.own.view
    qtbot.waitUntil(lambda: view.isVisible() and abs(view.width() / view.height() - width / height) < 0.05)
    assert panel.rect().contains(panel.own.geometry())


def test_the_buttons_ask_and_show_what_is(panel: CallPanel, tell: Tell, engine: Recorder, qtbot: QtBot) -> None:
    tell(CallChanged(scenes.call(CallState.CONNECTED)))
    qtbot.mouseClick(panel.buttons.mute, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: engine.names() == ["calls.set_muted"])
    assert engine.last("calls.set_muted") == ("c1", True)
    assert not panel.buttons.mute.isChecked()  # until the engine says so
    tell(CallChanged(scenes.call(CallState.CONNECTED, muted=True)))
    assert panel.buttons.mute.isChecked()
    assert panel.buttons.mute.accessibleName() == "Unmute"
    assert "muted" in panel.own.words.text()
    qtbot.mouseClick(panel.buttons.camera, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: "calls.set_camera" in engine.names())
    assert engine.last("calls.set_camera") == ("c1", False)


def test_the_volume_goes_from_nothing_to_one_and_a_half(
    panel: CallPanel, tell: Tell, engine: Recorder, qtbot: QtBot
) -> None:
    tell(CallChanged(scenes.call(CallState.CONNECTED)))
    qtbot.mouseClick(panel.buttons.volume, Qt.MouseButton.LeftButton)
    assert panel.volume_card.isVisible()
    panel.volume_card.slider.setValue(400)
    qtbot.waitUntil(lambda: engine.names() == ["calls.set_volume"])
    assert engine.last("calls.set_volume") == ("c1", 1.5)
    qtbot.mouseClick(panel.buttons.volume, Qt.MouseButton.LeftButton)
    assert not panel.volume_card.isVisible()


def test_hanging_up(panel: CallPanel, tell: Tell, engine: Recorder, qtbot: QtBot) -> None:
    tell(CallChanged(scenes.call(CallState.CONNECTED)))
    qtbot.mouseClick(panel.buttons.hang_up, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: engine.given == [("calls.hang_up", ("c1",))])


def test_what_is_done_seldom_is_behind_one_more_button(
    window: MainWindow, panel: CallPanel, tell: Tell, engine: Recorder, qtbot: QtBot
) -> None:
    tell(CallChanged(scenes.call(CallState.RINGING)))
    menu, more = panel.buttons.menu, panel.buttons.more
    assert (more.accessibleName(), more.toolTip()) == ("More", "More")
    assert not menu.hold.isEnabled()
    tell(CallChanged(scenes.call(CallState.CONNECTED)))
    more.setFocus()
    QTimer.singleShot(0, more, lambda: qtbot.keyClick(menu, Qt.Key.Key_H))
    qtbot.keyClick(more, Qt.Key.Key_Space)
    qtbot.waitUntil(lambda: engine.names() == ["calls.set_held"])
    assert engine.last("calls.set_held") == ("c1", True)
    tell(CallChanged(scenes.call(CallState.CONNECTED, held=True)))
    assert menu.hold.text() == "Go on with the call"
    menu.hold.trigger()
    qtbot.waitUntil(lambda: engine.last("calls.set_held") == ("c1", False))


def test_all_buttons_fit_into_the_narrowest_window(window: MainWindow, panel: CallPanel, tell: Tell) -> None:
    tell(CallChanged(scenes.call(CallState.CONNECTED)))
    window.resize(window.minimumSize())
    QApplication.processEvents()
    room = panel.rect()
    for part in (panel.buttons.mute, panel.buttons.more, panel.buttons.hang_up):
        assert part.isVisible()
        assert room.contains(QRect(part.mapTo(panel, QPoint(0, 0)), part.size()))


def test_three_facts_are_always_in_sight(panel: CallPanel, tell: Tell) -> None:
    tell(CallChanged(scenes.call(CallState.CONNECTING)))
    chips = panel.bar.chips
    assert [chip.text() for chip in (chips.listen, chips.travel, chips.sound)] == [
        "Not secured yet",
        "No path yet",
        "No sound yet",
    ]
    tell(CallChanged(scenes.call(CallState.CONNECTED)), FiguresChanged(scenes.figures()))
    assert [chip.text() for chip in (chips.listen, chips.travel, chips.sound)] == [
        "End to end · verified",
        "Direct · 18 ms",
        "Sound 4.4 / 5 · excellent",
    ]
    panel._idle.timeout.emit()
    assert all(chip.isVisible() for chip in (chips.listen, chips.travel, chips.sound))


def test_poorer_steps_are_said(panel: CallPanel, tell: Tell) -> None:
    tell(CallChanged(scenes.call(CallState.CONNECTED, poorer_steps=("No encryption.", "No ICE."))))
    assert panel.poorer.isVisible()
    assert panel.poorer.text() == "No encryption.\nNo ICE."


def test_what_a_call_lacks_can_be_read_when_the_stage_becomes_narrow(
    window: MainWindow, panel: CallPanel, tell: Tell, qtbot: QtBot
) -> None:
    notice = "What you hear suffers: this computer has too little time for it. Close other programs. " * 2
    tell(CallChanged(scenes.call(CallState.CONNECTED, notice=notice)))
    note = panel.poorer
    qtbot.waitUntil(lambda: note.width() == 640)
    high = note.height()
    window.resize(window.minimumSize())
    qtbot.waitUntil(lambda: note.width() < 500)
    assert note.height() == note.heightForWidth(note.width()) > high
    window.resize(1320, 820)
    qtbot.waitUntil(lambda: note.width() == 640)
    assert note.height() == high


def test_a_failed_call_says_why_and_what_can_be_done(
    window: MainWindow, panel: CallPanel, tell: Tell, engine: Recorder, qtbot: QtBot
) -> None:
    tell(CallChanged(scenes.call(CallState.INVITING)))
    tell(CallChanged(scenes.failed(EndKind.NOT_FOUND, "Nobody is registered there: check the address.", 404)))
    assert panel.centre.state.text() == "Nobody is registered there: check the address."
    assert not panel.buttons.isVisible()
    qtbot.mouseClick(panel.centre.again, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: "calls.place" in engine.names())
    qtbot.mouseClick(panel.centre.close_button, Qt.MouseButton.LeftButton)
    assert window.stage.currentWidget() is window.welcome


def test_a_call_that_ended_well_says_so(panel: CallPanel, tell: Tell) -> None:
    tell(CallChanged(scenes.call(CallState.CONNECTED)))
    end = CallEnd(EndedBy.REMOTE, EndKind.HUNG_UP, 200, None)
    tell(CallChanged(scenes.call(CallState.ENDED, end=end)))
    assert panel.centre.state.text() == "The call is over."
    assert panel.remote.picture is None


def test_an_interrupted_call_is_told_apart(panel: CallPanel, tell: Tell) -> None:
    tell(CallChanged(scenes.call(CallState.CONNECTED)))
    tell(
        CallChanged(scenes.call(CallState.INTERRUPTED, connected_at=10.5)),
        FiguresChanged(scenes.figures(ice=scenes.snapshot(IceState.INTERRUPTED))),
    )
    assert panel.bar.time.text().endswith("Interrupted")
    assert "trying to reconnect" in panel.poorer.text()
    assert panel.bar.chips.travel.text() == "Interrupted"


def test_a_held_call_can_go_on(panel: CallPanel, tell: Tell, engine: Recorder, qtbot: QtBot) -> None:
    tell(CallChanged(scenes.call(CallState.CONNECTED)))
    second = scenes.incoming(CallState.CONNECTED, connected_at=20.5)
    tell(CallChanged(second), CallChanged(scenes.call(CallState.CONNECTED, held=True)))
    assert panel.bar.name.text() == "workshop"
    panel._context.book.bring("c1")
    assert panel.centre.resume.isVisible()
    qtbot.mouseClick(panel.centre.resume, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: len(engine.given) == 2)
    assert engine.given == [("calls.set_held", ("in1", True)), ("calls.set_held", ("c1", False))]


def test_buttons_fade_only_over_a_picture(panel: CallPanel, tell: Tell, engine: Recorder, qtbot: QtBot) -> None:
    tell(CallChanged(scenes.call(CallState.CONNECTED)))
    panel._idle.timeout.emit()
    assert panel._fader.shown
    engine.mailbox("c1", "remote").put(scenes.picture())
    qtbot.waitUntil(lambda: panel.remote.picture is not None)
    panel.buttons.hang_up.clearFocus()
    panel._idle.timeout.emit()
    assert not panel._fader.shown
    qtbot.mouseMove(panel.remote)
    qtbot.keyClick(panel, Qt.Key.Key_Shift)
    assert panel._fader.shown


def test_a_call_dialled_during_another_comes_to_the_stage(window: MainWindow, panel: CallPanel, tell: Tell) -> None:
    tell(CallChanged(scenes.call(CallState.CONNECTED)))
    second = replace(scenes.call(CallState.INVITING), call_id="c2", remote_name="Somebody else")
    tell(CallChanged(second), CallChanged(scenes.call(CallState.CONNECTED, held=True)))
    assert panel.bar.name.text() == "Somebody else"
    lost = scenes.failed(EndKind.SERVER_UNREACHABLE, "The server cannot be reached.")
    tell(CallChanged(replace(lost, call_id="c2", remote_name="Somebody else")))
    assert panel.centre.state.text() == "The server cannot be reached."
    panel.centre.close_button.click()
    assert panel.bar.name.text() == scenes.call(CallState.CONNECTED).remote_name
    assert panel.centre.resume.isVisible()


def test_an_interruption_counts_its_seconds(panel: CallPanel, tell: Tell) -> None:
    tell(CallChanged(scenes.call(CallState.CONNECTED)))
    tell(CallChanged(scenes.call(CallState.INTERRUPTED, connected_at=10.5)))
    panel._context.book._clock_offset = time.monotonic() - (10.6 + 7.2)  # the interruption was told at 10.6
    panel._show_time()
    assert panel.bar.time.text() == "00:07 · Interrupted"
    assert panel.poorer.text() == "Interrupted for 7 s, trying to reconnect…"


def test_what_keeps_a_call_from_going_on_is_said_on_the_stage(panel: CallPanel, tell: Tell) -> None:
    notice = "No path to the other side so far: 6 ways are being tried, none has answered."
    tell(CallChanged(scenes.call(CallState.CONNECTING, notice=notice)))
    assert panel.poorer.isVisible()
    assert panel.poorer.text() == notice
    tell(CallChanged(scenes.call(CallState.CONNECTED)))
    assert not panel.poorer.isVisible()


def test_a_restart_is_noted(window: MainWindow, panel: CallPanel, tell: Tell) -> None:
    said: list[str] = []
    panel._context.said.connect(lambda sentence, tone: said.append(sentence))
    tell(CallChanged(scenes.call(CallState.CONNECTED)), FiguresChanged(scenes.figures()))
    tell(FiguresChanged(scenes.figures(ice=scenes.restarted())), FiguresChanged(scenes.figures(ice=scenes.restarted())))
    assert len(said) == 1
    assert said[0].startswith("The path was made anew at ")
    local = tuple(replace(one, address="10.8.0.4", base="10.8.0.4:5000") for one in scenes.LOCAL)
    tell(FiguresChanged(scenes.figures(ice=replace(scenes.restarted(), local=(*scenes.LOCAL, *local)))))  # under way
    tell(FiguresChanged(scenes.figures(ice=replace(scenes.restarted(), local=local, restarts=2))))
    assert said[1].startswith("This machine moved to another network at ")
    assert said[1].endswith("; the call with Front desk went on.")


def test_what_limits_the_call_most_is_said_on_the_stage(panel: CallPanel, tell: Tell, qtbot: QtBot) -> None:
    tell(CallChanged(scenes.call(CallState.CONNECTED)), FiguresChanged(scenes.figures(limits=scenes.LIMITS[1:])))
    qtbot.waitUntil(lambda: "280 kbit/s: your picture is paused" in panel.poorer.text())
    tell(FiguresChanged(scenes.figures(limits=scenes.LIMITS[2:])))  # mild: for the diagnostics only
    qtbot.waitUntil(lambda: not panel.poorer.isVisible())


def test_keys_are_pressed_on_the_keypad_and_by_typing(
    window: MainWindow, panel: CallPanel, tell: Tell, engine: Recorder, qtbot: QtBot
) -> None:
    tell(CallChanged(scenes.call(CallState.RINGING)))
    assert not panel.buttons.menu.keypad.isEnabled()
    qtbot.keyClicks(panel, "1")
    assert engine.names() == []
    tell(CallChanged(scenes.call(CallState.CONNECTED)))
    panel.buttons.menu.keypad.trigger()
    assert panel.keypad.isVisible()
    qtbot.mouseClick(panel.keypad.keys["5"], Qt.MouseButton.LeftButton)
    qtbot.keyClicks(panel.keypad, "#x")
    qtbot.waitUntil(lambda: len(engine.given) == 2)
    assert engine.given == [("calls.send_digits", ("c1", "5")), ("calls.send_digits", ("c1", "#"))]
    assert panel.keypad.shown.text() == "5#"
    panel.keypad.keys["6"].setFocus()
    qtbot.keyClick(panel.keypad.keys["6"], Qt.Key.Key_Return)
    assert panel.keypad.shown.text() == "5#6"
    qtbot.waitUntil(lambda: engine.last("calls.send_digits") == ("c1", "6"))
    panel.keypad.close_button.setFocus()
    qtbot.keyClick(panel.keypad.close_button, Qt.Key.Key_Return)
    assert not panel.keypad.isVisible()
    panel.buttons.menu.keypad.trigger()
    qtbot.keyClick(window, Qt.Key.Key_Escape)
    assert not panel.keypad.isVisible()
    panel.setFocus()
    qtbot.keyClicks(panel.buttons.mute, "7")
    assert panel.keypad.isVisible()
    assert panel.keypad.shown.text() == "7"
    qtbot.waitUntil(lambda: engine.last("calls.send_digits") == ("c1", "7"))


def test_the_keypad_goes_with_the_call_and_tells_what_its_keys_are(panel: CallPanel, tell: Tell) -> None:
    tell(CallChanged(scenes.call(CallState.CONNECTED)))
    panel.keypad.open_over(panel.buttons)
    assert panel.keypad.keys["#"].accessibleName() == "hash"
    assert panel.rect().contains(panel.keypad.geometry())
    tell(CallChanged(scenes.call(CallState.CONNECTED, held=True)))
    assert not panel.keypad.isVisible()


def test_that_the_picture_has_stopped_is_said_beside_the_own_one(
    window: MainWindow, panel: CallPanel, tell: Tell, engine: Recorder, qtbot: QtBot
) -> None:
    tell(CallChanged(scenes.call(CallState.CONNECTED, has_video=True)))
    engine.mailbox("c1", "remote").put(scenes.picture())
    engine.mailbox("c1", "own").put(scenes.picture())
    qtbot.waitUntil(lambda: panel.remote.last_painted_at is not None and panel.own.isVisible())
    window.resize(window.minimumWidth(), 700)
    panel.remote.last_painted_at -= 60
    qtbot.waitUntil(panel.stale.isVisible)
    assert not panel.stale.geometry().intersects(panel.own.geometry())
    assert panel.rect().contains(panel.stale.geometry())
    assert panel.stale.height() >= panel.stale.heightForWidth(panel.stale.width())
