from __future__ import annotations

from dataclasses import replace

from PySide6.QtCore import Qt
from pytestqt.qtbot import QtBot

from app.engine.errors import EngineError
from app.events import CallChanged, CallState, FiguresChanged, PeopleChanged
from tests.ui import scenes
from tests.ui.conftest import Tell
from tests.ui.recorder import Recorder
from ui.main_window import MainWindow
from ui.models.people import DIAL, HEADING, PeopleModel


def titles(model: PeopleModel) -> list[str]:
    return [row.title for row in model.rows]


def test_people_stand_in_groups(window: MainWindow, tell: Tell) -> None:
    tell(PeopleChanged(scenes.PEOPLE))
    assert titles(window.column.people.model) == [
        "Favourites",
        "Harbour office",
        "Workshop",
        "On this network",
        "Boat two",
        "Echo test",
        "Everyone",
        "Front desk",
        "Night shift",
    ]


def test_an_empty_list_says_what_to_do(window: MainWindow, tell: Tell) -> None:
    assert "in a moment" in window.column.people.empty.accessibleName()
    tell(PeopleChanged(()))
    assert window.column.people.empty.isVisible()
    assert "Add a person" in window.column.people.empty.accessibleName()


def test_the_button_in_a_row_calls_with_one_click(
    window: MainWindow, tell: Tell, engine: Recorder, qtbot: QtBot
) -> None:
    tell(PeopleChanged(scenes.PEOPLE))
    people = window.column.people
    qtbot.mouseClick(people.view.viewport(), Qt.MouseButton.LeftButton, pos=people.button_centre("5"))
    qtbot.waitUntil(lambda: bool(engine.given))
    assert engine.given == [("calls.place", (scenes.ECHO.uri, True))]


def test_a_click_on_a_name_shows_the_person(window: MainWindow, tell: Tell, engine: Recorder, qtbot: QtBot) -> None:
    tell(PeopleChanged(scenes.PEOPLE))
    people = window.column.people
    where = people.row_area("2").center()
    qtbot.mouseClick(people.view.viewport(), Qt.MouseButton.LeftButton, pos=where)
    assert window.welcome.title.text() == "Workshop"
    assert engine.given == []
    qtbot.mouseClick(window.welcome.voice, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: bool(engine.given))
    assert engine.given == [("calls.place", (scenes.WORKSHOP.uri, False))]


def test_typing_a_name_and_enter_calls(window: MainWindow, tell: Tell, engine: Recorder, qtbot: QtBot) -> None:
    tell(PeopleChanged(scenes.PEOPLE))
    window.focus_field()
    qtbot.keyClicks(window.column.field, "work")
    assert titles(window.column.people.model) == ["Favourites", "Workshop", "Dial", "Call work"]
    qtbot.keyClick(window.column.field, Qt.Key.Key_Return)
    qtbot.waitUntil(lambda: bool(engine.given))
    assert engine.last("calls.place") == (scenes.WORKSHOP.uri, True)
    assert window.column.field.text() == ""


def test_an_address_is_dialled_before_anything_else(
    window: MainWindow, tell: Tell, engine: Recorder, qtbot: QtBot
) -> None:
    tell(PeopleChanged(scenes.PEOPLE))
    qtbot.keyClicks(window.column.field, " sip:new@example.org ")
    assert window.column.people.model.rows[1].kind == DIAL
    qtbot.keyClick(window.column.field, Qt.Key.Key_Return)
    qtbot.waitUntil(lambda: bool(engine.given))
    assert engine.last("calls.place") == ("sip:new@example.org", True)


def test_arrows_walk_the_list_from_the_field(window: MainWindow, tell: Tell, engine: Recorder, qtbot: QtBot) -> None:
    tell(PeopleChanged(scenes.PEOPLE))
    for expected in ("Harbour office", "Workshop", "Boat two"):
        qtbot.keyClick(window.column.field, Qt.Key.Key_Down)
        row = window.column.people.current_row()
        assert row is not None
        assert row.title == expected
    qtbot.keyClick(window.column.field, Qt.Key.Key_Up)
    qtbot.keyClick(window.column.field, Qt.Key.Key_Return)
    qtbot.waitUntil(lambda: bool(engine.given))
    assert engine.last("calls.place")[0] == scenes.WORKSHOP.uri


def test_enter_in_an_untouched_field_calls_nobody(
    window: MainWindow, tell: Tell, engine: Recorder, qtbot: QtBot
) -> None:
    tell(PeopleChanged(scenes.PEOPLE))
    qtbot.keyClick(window.column.field, Qt.Key.Key_Return)
    qtbot.wait(20)
    assert engine.given == []


def test_why_nobody_was_called_is_said_in_one_sentence(
    window: MainWindow, tell: Tell, engine: Recorder, qtbot: QtBot
) -> None:
    engine.answers["calls.place"] = EngineError("Nobody is called xyz: type an address.")
    qtbot.keyClicks(window.column.field, "xyz")
    qtbot.keyClick(window.column.field, Qt.Key.Key_Return)
    qtbot.waitUntil(lambda: bool(window.toasts.sentences))
    assert window.toasts.sentences == ["Nobody is called xyz: type an address."]


def test_a_choice_survives_news(window: MainWindow, tell: Tell) -> None:
    tell(PeopleChanged(scenes.PEOPLE))
    window.column.people.select_contact("2")
    tell(PeopleChanged((*scenes.PEOPLE, replace(scenes.NIGHT, contact_id="9", name="Aaron", favourite=True))))
    row = window.column.people.current_row()
    assert row is not None
    assert row.key == "2"
    tell(PeopleChanged((scenes.NIGHT,)))
    assert window.column.people.current_row() is None
    assert window.welcome.title.text() == "Ready for a call"


def test_whoever_is_in_a_call_stands_first_with_its_facts(window: MainWindow, tell: Tell, engine: Recorder) -> None:
    tell(PeopleChanged(scenes.PEOPLE), CallChanged(scenes.call(CallState.CONNECTED)), FiguresChanged(scenes.figures()))
    window.column.people._refresh_calls()
    rows = window.column.people.model.rows
    assert (rows[0].kind, rows[0].title, rows[1].title) == (HEADING, "In a call", "Front desk")
    assert rows[1].subtitle.endswith("direct · encrypted")
    window.column.people._call_row(rows[1])
    assert engine.given == []


def test_a_stranger_in_a_call_stands_in_the_list_too(window: MainWindow, tell: Tell) -> None:
    stranger = scenes.call(CallState.RINGING, remote_uri="sip:new@example.org", remote_name="")
    tell(PeopleChanged(scenes.PEOPLE), CallChanged(stranger))
    assert titles(window.column.people.model)[:2] == ["In a call", "new@example.org"]


def test_removing_a_person(window: MainWindow, tell: Tell, engine: Recorder, qtbot: QtBot) -> None:
    tell(PeopleChanged(scenes.PEOPLE))
    window.column.people.select_contact("2")
    qtbot.mouseClick(window.welcome.remove, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: bool(window.toasts.sentences))
    assert engine.given == [("people.remove", ("2",))]
    window.column.people.select_contact("4")
    assert not window.welcome.remove.isVisible()
    assert window.welcome.edit.text() == "Keep in my list"


def test_a_call_that_ended_stays_on_the_stage_when_its_row_moves_back(
    window: MainWindow, tell: Tell, engine: Recorder, qtbot: QtBot
) -> None:
    tell(PeopleChanged(scenes.PEOPLE))
    window.column.people.select_contact("1")
    tell(CallChanged(scenes.call(CallState.CONNECTED)))
    tell(CallChanged(scenes.call(CallState.ENDED)))
    assert window.stage.currentWidget() is window.call
    window.column.people.select_contact("2")
    assert window.stage.currentWidget() is window.welcome


def test_what_cannot_be_called_stays_in_the_field(
    window: MainWindow, tell: Tell, engine: Recorder, qtbot: QtBot
) -> None:
    tell(PeopleChanged(scenes.PEOPLE))
    engine.answers["calls.place"] = EngineError("Nobody in the list is called 'anna !!'.")
    window.focus_field()
    qtbot.keyClicks(window.column.field, "anna !!")
    qtbot.keyClick(window.column.field, Qt.Key.Key_Return)
    qtbot.waitUntil(lambda: window.column.field.text() == "anna !!")
    assert engine.last("calls.place") == ("anna !!", True)


def test_a_scheme_alone_finds_nobody(window: MainWindow, tell: Tell) -> None:
    tell(PeopleChanged(scenes.PEOPLE))
    model = window.column.people.model
    model.set_filter("sip:")
    assert titles(model) == ["Dial", "Call sip:"]
    model.set_filter(scenes.WORKSHOP.uri)
    assert "Workshop" in titles(model)
