from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QWidget
from pytestqt.qtbot import QtBot

from app.events import CallChanged, CallEnd, CallState, EndedBy, EndKind, PeopleChanged
from tests.ui import scenes
from tests.ui.conftest import Tell
from tests.ui.recorder import Recorder
from ui.dialogs.incoming_call import IncomingCallDialog
from ui.main_window import MainWindow


def dialog_of(window: MainWindow, call_id: str = "in1") -> IncomingCallDialog:
    return window.incoming.dialogs[call_id]


def test_nobody_is_asked_before_it_rings(window: MainWindow, tell: Tell) -> None:
    for state in (CallState.PREPARING, CallState.CONNECTING):
        tell(CallChanged(scenes.incoming(state)))
        assert not window.incoming.dialogs
    tell(CallChanged(scenes.incoming(CallState.RINGING)))
    assert dialog_of(window).isVisible()
    assert window.stage.currentWidget() is window.welcome


def test_the_caller_is_named_as_in_ones_own_list(window: MainWindow, tell: Tell) -> None:
    tell(PeopleChanged(scenes.PEOPLE), CallChanged(scenes.incoming()))
    name = dialog_of(window).findChild(QWidget, "incomingName")
    assert name.text() == "Workshop"  # type: ignore[union-attr]


def test_answering_with_and_without_picture(window: MainWindow, tell: Tell, engine: Recorder, qtbot: QtBot) -> None:
    for button, video in (("with_picture", True), ("voice", False)):
        tell(CallChanged(scenes.incoming()))
        qtbot.mouseClick(getattr(dialog_of(window), button), Qt.MouseButton.LeftButton)
        qtbot.waitUntil(lambda: bool(engine.given))
        assert engine.given == [("calls.answer", ("in1", video))]
        engine.given.clear()
        tell(CallChanged(scenes.incoming(CallState.ANSWERING)))
        assert not window.incoming.dialogs
        assert window.stage.currentWidget() is window.call
        end = CallEnd(EndedBy.REMOTE, EndKind.HUNG_UP, None, None)
        tell(CallChanged(scenes.incoming(CallState.ENDED, end=end)))
        window.context.book._records.clear()


def test_declining_and_closing_the_dialog_both_decline(
    window: MainWindow, tell: Tell, engine: Recorder, qtbot: QtBot
) -> None:
    tell(CallChanged(scenes.incoming()), CallChanged(scenes.incoming(call_id="in2")))
    qtbot.mouseClick(dialog_of(window).decline, Qt.MouseButton.LeftButton)
    dialog_of(window, "in2").close()
    qtbot.waitUntil(lambda: len(engine.given) == 2)
    assert engine.given == [("calls.decline", ("in1",)), ("calls.decline", ("in2",))]


def test_enter_and_escape_neither_answer_nor_decline(
    window: MainWindow, tell: Tell, engine: Recorder, qtbot: QtBot
) -> None:
    tell(CallChanged(scenes.incoming()))
    for key in (Qt.Key.Key_Return, Qt.Key.Key_Space, Qt.Key.Key_Escape):
        qtbot.keyClick(dialog_of(window), key)
    qtbot.wait(20)
    assert engine.given == []
    assert dialog_of(window).isVisible()


def test_a_call_without_picture_offers_none(window: MainWindow, tell: Tell) -> None:
    tell(CallChanged(scenes.incoming(offers_video=False)))
    assert not dialog_of(window).with_picture.isVisible()
    assert dialog_of(window).voice.isVisible()


def test_a_second_call_while_in_one_can_be_answered_or_declined(window: MainWindow, tell: Tell) -> None:
    tell(CallChanged(scenes.call(CallState.CONNECTED)), CallChanged(scenes.incoming()))
    words = dialog_of(window).findChild(QWidget, "incomingWords")
    assert "on hold" in words.text()  # type: ignore[union-attr]
    assert window.call.bar.name.text() == "Front desk"


def test_a_caller_who_gives_up_leaves_a_sentence(window: MainWindow, tell: Tell) -> None:
    tell(PeopleChanged(scenes.PEOPLE), CallChanged(scenes.incoming()))
    end = CallEnd(EndedBy.REMOTE, EndKind.CANCELLED, 487, None)
    tell(CallChanged(scenes.incoming(CallState.RINGING)))
    steps = scenes.incoming().steps
    tell(CallChanged(scenes.incoming(CallState.ENDED, end=end, steps=steps)))
    assert not window.incoming.dialogs
    assert window.toasts.sentences == ["Workshop called; you missed it."]
    assert window.stage.currentWidget() is window.welcome
