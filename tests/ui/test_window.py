from __future__ import annotations

import gc
import sys

import pytest
from PySide6.QtCore import QEvent, QObject, Qt
from PySide6.QtWidgets import (
    QAbstractButton,
    QAbstractItemView,
    QApplication,
    QComboBox,
    QLineEdit,
    QPlainTextEdit,
    QSlider,
    QTabBar,
    QWidget,
)
from pytestqt.qtbot import QtBot

from app.events import (
    CallChanged,
    CallState,
    FiguresChanged,
    HistoryChanged,
    HomeChanged,
    PeopleChanged,
    Problem,
    RegistrationChanged,
    RegistrationState,
)
from tests.ui import scenes
from tests.ui.conftest import Tell
from tests.ui.recorder import Recorder
from ui.main_window import MainWindow
from ui.tasks import UNEXPECTED
from ui.theme.manager import Theme
from ui.theme.tokens import DARK, LIGHT

CONTROL = Qt.KeyboardModifier.ControlModifier
CONTROLS = (QAbstractButton, QLineEdit, QComboBox, QPlainTextEdit, QSlider, QAbstractItemView)


def everything_open(window: MainWindow, tell: Tell) -> None:
    tell(PeopleChanged(scenes.PEOPLE), HistoryChanged(scenes.history()))
    window.toggle_settings()
    window.toggle_pane()
    window.open_contact(scenes.WORKSHOP)
    window.open_account()
    tell(CallChanged(scenes.call(CallState.CONNECTED)), FiguresChanged(scenes.figures()))
    tell(CallChanged(scenes.incoming()))
    window.context.say("A sentence.", "bad")


def test_every_control_has_a_name_for_tests_and_for_ears(window: MainWindow, tell: Tell) -> None:
    everything_open(window, tell)
    nameless = []
    for control in window.findChildren(QWidget):
        owner = control.parent()
        qts_own = isinstance(owner, QComboBox | QLineEdit | QAbstractItemView | QTabBar)
        if not isinstance(control, CONTROLS) or qts_own or control.objectName().startswith("qt_"):
            continue
        if owner is not None and owner.metaObject().className().startswith("QComboBox"):
            continue
        if not control.objectName() or not control.accessibleName():
            nameless.append((control.metaObject().className(), control.objectName(), control.accessibleName()))
    assert nameless == []


def test_every_button_of_a_call_is_reached_by_tab(window: MainWindow, tell: Tell, qtbot: QtBot) -> None:
    tell(PeopleChanged(scenes.PEOPLE), CallChanged(scenes.call(CallState.CONNECTED)))
    window.activateWindow()
    window.column.field.setFocus()
    seen = set()
    for _ in range(60):
        focus = window.focusWidget()
        assert focus is not None
        seen.add(focus.objectName())
        qtbot.keyClick(focus, Qt.Key.Key_Tab)
    assert {
        "searchField",
        "peopleList",
        "addContact",
        "accountButton",
        "rail-people",
        "rail-history",
        "rail-diagnose",
        "rail-settings",
        "factListen",
        "factTravel",
        "factSound",
        "muteButton",
        "cameraButton",
        "volumeButton",
        "fullScreenButton",
        "detailsButton",
        "hangUpButton",
    } <= seen


def test_keys(window: MainWindow, tell: Tell, engine: Recorder, qtbot: QtBot) -> None:
    tell(PeopleChanged(scenes.PEOPLE), CallChanged(scenes.call(CallState.CONNECTED)))
    qtbot.keyClick(window, Qt.Key.Key_M, CONTROL)
    qtbot.keyClick(window, Qt.Key.Key_E, CONTROL)
    qtbot.keyClick(window, Qt.Key.Key_Up, CONTROL)
    qtbot.keyClick(window, Qt.Key.Key_H, CONTROL)
    qtbot.waitUntil(lambda: len(engine.given) == 4)
    assert engine.names() == ["calls.set_muted", "calls.set_camera", "calls.set_volume", "calls.hang_up"]
    qtbot.keyClick(window, Qt.Key.Key_2, CONTROL)
    assert window.column.lists.currentWidget() is window.column.history
    qtbot.keyClick(window, Qt.Key.Key_D, CONTROL)
    assert window.shell.pane_open
    qtbot.keyClick(window, Qt.Key.Key_K, CONTROL)
    assert window.focusWidget() is window.column.field
    assert window.column.lists.currentWidget() is window.column.people


def test_full_screen_leaves_the_picture_alone_and_escape_ends_it(window: MainWindow, tell: Tell, qtbot: QtBot) -> None:
    qtbot.keyClick(window, Qt.Key.Key_F11)
    assert not window.isFullScreen()  # there is nothing to show
    tell(CallChanged(scenes.call(CallState.CONNECTED)))
    window.call.buttons.full_screen.click()
    qtbot.waitUntil(window.isFullScreen)
    assert not window.rail.isVisible()
    assert not window.column.isVisible()
    assert window.call.buttons.full_screen.accessibleName() == "Leave full screen"
    qtbot.keyClick(window, Qt.Key.Key_Escape)
    qtbot.waitUntil(lambda: not window.isFullScreen())
    assert window.column.isVisible()


def test_under_900_px_list_and_pane_slide_over_the_stage(window: MainWindow, tell: Tell, qtbot: QtBot) -> None:
    tell(PeopleChanged(scenes.PEOPLE))
    window.resize(800, 600)
    qtbot.waitUntil(lambda: window.shell.narrow)
    assert window.column.isVisible()
    assert window.stage.x() == window.rail.width()
    tell(CallChanged(scenes.call(CallState.CONNECTED)))
    qtbot.waitUntil(lambda: not window.column.isVisible())
    window.rail.chosen.emit("people")
    qtbot.waitUntil(lambda: window.column.x() == window.rail.width() and window.column.isVisible())
    window.toggle_pane()
    pane = window.findChild(QWidget, "pane")
    assert isinstance(pane, QWidget)
    qtbot.waitUntil(lambda: pane.isVisible() and pane.geometry().right() == window.shell.width() - 1)
    qtbot.waitUntil(lambda: not window.column.isVisible())
    qtbot.keyClick(window, Qt.Key.Key_Escape)
    qtbot.waitUntil(lambda: not pane.isVisible())
    window.resize(1240, 780)
    qtbot.waitUntil(lambda: not window.shell.narrow)
    assert window.column.isVisible()


def test_nothing_opens_a_window_of_its_own_by_accident(window: MainWindow, tell: Tell) -> None:
    """A part that is shown before it has a parent flashes as a window and takes the keyboard away."""
    shown: list[str] = []

    class Watch(QObject):
        def eventFilter(self, watched: QObject, event: QEvent) -> bool:
            if event.type() is QEvent.Type.Show and isinstance(watched, QWidget) and watched.isWindow():
                shown.append(watched.objectName() or watched.metaObject().className())
            return False

    watch = Watch()
    QApplication.instance().installEventFilter(watch)  # type: ignore[union-attr]
    everything_open(window, tell)
    QApplication.instance().removeEventFilter(watch)  # type: ignore[union-attr]
    assert sorted(shown) == ["accountDialog", "contactDialog", "incomingCall"]


def test_a_call_goes_on_behind_the_settings(window: MainWindow, tell: Tell) -> None:
    tell(CallChanged(scenes.call(CallState.CONNECTED)))
    window.toggle_settings()
    tell(CallChanged(scenes.call(CallState.CONNECTED, muted=True)))
    assert window.stage.currentWidget().objectName() == "settingsPage"
    window.toggle_settings()
    assert window.stage.currentWidget() is window.call


def test_problems_are_one_sentence_each_and_not_repeated(window: MainWindow, tell: Tell) -> None:
    for _ in range(3):
        tell(Problem("network", "The TURN server does not answer."))
    tell(Problem("disk", "The disk is full."))
    assert window.toasts.sentences == ["The TURN server does not answer.", "The disk is full."]


def test_who_speaks_while_muted_is_told_and_can_unmute_there(
    window: MainWindow, engine: Recorder, tell: Tell, qtbot: QtBot
) -> None:
    said = "You are muted: nobody hears what you say."
    tell(CallChanged(scenes.call(CallState.CONNECTED, muted=True)), Problem("muted", said))
    assert window.toasts.sentences == [said]
    window.toasts.findChild(QAbstractButton, "toastOffer").click()
    qtbot.waitUntil(lambda: "calls.set_muted" in engine.names())
    assert engine.last("calls.set_muted") == ("c1", False)
    tell(CallChanged(scenes.call(CallState.CONNECTED, muted=False)))
    assert window.toasts.sentences == []  # it is not true any more


def test_an_engine_that_cannot_start_is_said_for_good(window: MainWindow, tell: Tell) -> None:
    window.context.registration = None
    tell(Problem("engine", "The profile folder cannot be written: free some space."))
    assert window.welcome.title.text() == "Parley could not start"
    assert "free some space" in window.welcome.text.text()
    window.context.place("sip:ada@example.org")
    assert window.toasts.sentences == ["The profile folder cannot be written: free some space."]


@pytest.mark.logs_error("a task of the window failed")
def test_an_unforeseen_failure_is_one_sentence_and_a_log_line(
    window: MainWindow, engine: Recorder, qtbot: QtBot
) -> None:
    engine.answers["calls.place"] = ZeroDivisionError("x")
    window.context.place("sip:ada@example.org")
    qtbot.waitUntil(lambda: bool(window.toasts.sentences))
    assert window.toasts.sentences == [UNEXPECTED]


def test_how_one_is_reached_stands_at_the_foot(window: MainWindow, tell: Tell) -> None:
    button = window.column.account
    tell(HomeChanged(True, "127.0.0.1:5060"))
    assert button.text() == "No account · own server runs"
    sentence = "The password is wrong: open the account and type it again."
    tell(RegistrationChanged("sip:ada@example.org", RegistrationState.FAILED, 403, sentence))
    assert button.text().endswith("not registered")
    assert button.toolTip() == sentence
    tell(RegistrationChanged("sip:ada@example.org", RegistrationState.REGISTERED, 200, None, "tls"))
    assert button.text().endswith("registered · TLS")


def test_history_shows_what_became_of_calls(window: MainWindow, tell: Tell, engine: Recorder, qtbot: QtBot) -> None:
    tell(HistoryChanged(scenes.history()))
    badge = window.rail.findChild(QWidget, "railBadge")
    assert badge is not None
    assert badge.isVisible()
    window.rail.chosen.emit("history")
    qtbot.waitUntil(lambda: engine.names() == ["people.mark_history_seen"])
    panel = window.column.history
    assert [row.title for row in panel.model.rows][:2] == ["Today", "Workshop"]
    assert panel.model.rows[1].subtitle == "Missed"
    panel.view.setCurrentIndex(panel.model.index(2, 0))
    assert "It went directly." in window.welcome.text.text()
    assert "It sounded excellent: 4.4 of 5, estimated." in window.welcome.text.text()
    panel.clear.ask.click()
    assert "people.clear_history" not in engine.names()
    panel.clear.yes.click()
    qtbot.waitUntil(lambda: "people.clear_history" in engine.names())
    tell(HistoryChanged(()))
    assert "No calls yet" in panel.empty.accessibleName()


def test_nothing_a_stranger_sends_is_read_as_markup(window: MainWindow, tell: Tell) -> None:
    tell(CallChanged(scenes.incoming(remote_name="<b>Bank</b>", remote_uri="sip:x@y")))
    name = window.incoming.dialogs["in1"].findChild(QWidget, "incomingName")
    assert name.textFormat() is Qt.TextFormat.PlainText  # type: ignore[union-attr]


@pytest.mark.parametrize("tokens", [LIGHT, DARK], ids=lambda tokens: tokens.name)
def test_the_whole_window_can_be_painted_in_both_themes(
    window: MainWindow, theme: Theme, tell: Tell, tokens: object
) -> None:
    theme.force(tokens)  # type: ignore[arg-type]
    everything_open(window, tell)
    assert not window.grab().toImage().isNull()
    theme.force(None)


def test_painting_drops_no_reference_to_none(window: MainWindow, tell: Tell, qtbot: QtBot) -> None:
    """A binding that loses references to None crashes an idle window after half a minute."""
    tell(CallChanged(scenes.call(CallState.CONNECTED)), FiguresChanged(scenes.figures()))
    window.toggle_pane()
    gc.collect()
    before = sys.getrefcount(None)
    for _ in range(60):
        window.update()
        window.call.update()
        qtbot.wait(1)
    gc.collect()
    assert sys.getrefcount(None) > before - 200


def test_who_begins_to_dial_has_the_call_gathered_ahead(window: MainWindow, engine: Recorder, qtbot: QtBot) -> None:
    qtbot.keyClicks(window.column.field, "sip:ada@example.org")
    qtbot.waitUntil(lambda: engine.expected == 1)
    window.column.field.clear()
    qtbot.keyClicks(window.column.field, "ada")
    qtbot.waitUntil(lambda: not window.context.tasks.busy)
    assert engine.expected == 1  # said once, not with every letter
    assert "calls.place" not in engine.names()
