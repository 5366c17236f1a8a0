from __future__ import annotations

import asyncio

import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QPushButton
from pytestqt.qtbot import QtBot

from app.engine.errors import EngineError
from app.events import RegistrationChanged, RegistrationState
from app.settings import Account, HostPort, Settings, SipTransport
from tests.ui import scenes
from tests.ui.conftest import Tell
from tests.ui.recorder import Recorder
from ui.dialogs.account import AccountDialog
from ui.dialogs.contact import ContactDialog
from ui.dialogs.network_check import NetworkCheckDialog
from ui.main_window import MainWindow


def contact_dialog(window: MainWindow) -> ContactDialog:
    found = window.findChild(ContactDialog, "contactDialog")
    assert isinstance(found, ContactDialog)
    return found


def account_dialog(window: MainWindow, engine: Recorder, qtbot: QtBot) -> AccountDialog:
    window.open_account()
    found = window.findChild(AccountDialog, "accountDialog")
    assert isinstance(found, AccountDialog)
    qtbot.waitUntil(lambda: "settings.get" in engine.names())
    return found


def test_adding_a_person_by_keyboard(window: MainWindow, engine: Recorder, qtbot: QtBot) -> None:
    qtbot.keyClick(window, Qt.Key.Key_N, Qt.KeyboardModifier.ControlModifier)
    dialog = contact_dialog(window)
    assert not dialog.isModal()
    qtbot.keyClicks(dialog.name, "Ada")
    qtbot.keyClicks(dialog.address, "sip:ada@example.org")
    qtbot.keyClick(dialog.address, Qt.Key.Key_Return)
    qtbot.waitUntil(lambda: engine.given == [("people.add", ("Ada", "sip:ada@example.org", False))])
    qtbot.waitUntil(lambda: window.findChild(ContactDialog, "contactDialog") is None)


def test_an_address_that_cannot_be_called_is_said_beside_it(window: MainWindow, engine: Recorder, qtbot: QtBot) -> None:
    engine.answers["people.add"] = EngineError("This is no address: write sip:somebody@example.org.")
    window.open_contact(None)
    dialog = contact_dialog(window)
    dialog.save.click()
    assert "name" in dialog.answer.text()
    dialog.name.setText("Ada")
    dialog.save.click()
    assert "address" in dialog.answer.text()
    dialog.address.setText("nonsense")
    dialog.save.click()
    qtbot.waitUntil(lambda: "no address" in dialog.answer.text())
    assert dialog.isVisible()
    assert dialog.save.isEnabled()
    assert dialog.address.text() == "nonsense"


def test_editing_keeps_what_is_not_shown(window: MainWindow, engine: Recorder, qtbot: QtBot) -> None:
    window.open_contact(scenes.WORKSHOP)
    dialog = contact_dialog(window)
    dialog.name.setText("Work shop")
    dialog.favourite.setChecked(False)
    dialog.save.click()
    qtbot.waitUntil(lambda: bool(engine.given))
    (changed,) = engine.last("people.update")
    assert (changed.contact_id, changed.name, changed.favourite) == ("2", "Work shop", False)


def test_somebody_found_on_the_network_is_kept_as_a_new_person(
    window: MainWindow, engine: Recorder, qtbot: QtBot
) -> None:
    window.open_contact(scenes.BOAT)
    contact_dialog(window).save.click()
    qtbot.waitUntil(lambda: engine.given == [("people.add", ("Boat two", scenes.BOAT.uri, False))])


def test_the_servers_answer_is_said_in_words_and_nothing_blocks(
    window: MainWindow, engine: Recorder, qtbot: QtBot
) -> None:
    dialog = account_dialog(window, engine, qtbot)
    waiting: asyncio.Future[RegistrationChanged] = asyncio.get_running_loop().create_future()
    engine.answers["accounts.set_account"] = waiting
    dialog.address.setText("ada@example.org")
    dialog.password.setText("secret")
    dialog.server.setText("sip.example.org")
    dialog.transport.setCurrentIndex(3)
    dialog.save.click()
    qtbot.waitUntil(lambda: "accounts.set_account" in engine.names())
    assert dialog.answer.text() == "Asking the server…"
    assert not dialog.save.isEnabled()
    window.focus_field()  # the rest of the window goes on
    qtbot.keyClicks(window.column.field, "hello")
    assert window.column.field.text() == "hello"
    account, password = engine.last("accounts.set_account")
    expected = Account("sip:ada@example.org", SipTransport.TLS, HostPort("sip.example.org", 5061))
    assert (account, password) == (expected, "secret")
    sentence = "The server does not accept this password: type it again."
    waiting.set_result(RegistrationChanged("sip:ada@example.org", RegistrationState.FAILED, 403, sentence))
    qtbot.waitUntil(lambda: sentence in dialog.answer.text())
    assert dialog.save.isEnabled()


def test_wrong_fields_are_named_before_anything_is_sent(window: MainWindow, engine: Recorder, qtbot: QtBot) -> None:
    dialog = account_dialog(window, engine, qtbot)
    for address, password, server, said in (
        ("ada", "x", "", "sip:you@example.org"),
        ("sip:ada@example.org", "", "", "password"),
        ("sip:ada@example.org", "x", "host:99999", "server is not understood"),
    ):
        dialog.address.setText(address)
        dialog.password.setText(password)
        dialog.server.setText(server)
        dialog.save.click()
        assert said in dialog.answer.text()
    assert "accounts.set_account" not in engine.names()


def test_a_kept_account_is_shown_without_its_password(window: MainWindow, engine: Recorder, qtbot: QtBot) -> None:
    account = Account("sip:ada@example.org", SipTransport.TCP, None, "Ada")
    engine.answers["settings.get"] = Settings(accounts=(account,))
    engine.answers["accounts.password_kept"] = True
    dialog = account_dialog(window, engine, qtbot)
    qtbot.waitUntil(lambda: dialog.remove.isVisible())
    assert (dialog.address.text(), dialog.password.text()) == ("sip:ada@example.org", "")
    assert dialog.transport.currentText() == "TCP"
    engine.answers["accounts.set_account"] = RegistrationChanged("", RegistrationState.REGISTERED)
    dialog.save.click()
    qtbot.waitUntil(lambda: "✓" in dialog.answer.text())
    assert engine.last("accounts.set_account") == (account, "")
    dialog.remove.click()
    qtbot.waitUntil(lambda: "gone" in dialog.answer.text())
    assert "accounts.remove_account" in engine.names()


def test_a_refused_change_is_said_in_the_dialog(window: MainWindow, engine: Recorder, qtbot: QtBot, tell: Tell) -> None:
    engine.answers["accounts.set_account"] = EngineError("Hang up first: the account cannot be changed during a call.")
    dialog = account_dialog(window, engine, qtbot)
    dialog.address.setText("sip:ada@example.org")
    dialog.password.setText("secret")
    dialog.save.click()
    qtbot.waitUntil(lambda: "Hang up first" in dialog.answer.text())
    assert dialog.password.text() == "secret"


@pytest.mark.parametrize(
    "answer", [RegistrationChanged("", RegistrationState.REGISTERED), EngineError("Hang up first.")]
)
def test_an_account_dialog_closed_while_the_server_is_asked_troubles_nobody(
    answer: RegistrationChanged | EngineError,
    window: MainWindow,
    engine: Recorder,
    qtbot: QtBot,
    caplog: pytest.LogCaptureFixture,
) -> None:
    dialog = account_dialog(window, engine, qtbot)
    waiting: asyncio.Future[RegistrationChanged] = asyncio.get_running_loop().create_future()
    engine.answers["accounts.set_account"] = waiting
    dialog.address.setText("ada@example.org")
    dialog.password.setText("secret")
    dialog.save.click()
    qtbot.waitUntil(lambda: "accounts.set_account" in engine.names())
    dialog.reject()
    qtbot.waitUntil(lambda: dialog.gone)
    if isinstance(answer, EngineError):
        waiting.set_exception(answer)
    else:
        waiting.set_result(answer)
    qtbot.waitUntil(lambda: not window.context.tasks.busy)
    assert "a task of the window failed" not in caplog.text


def test_a_contact_dialog_closed_while_it_saves_still_saves(
    window: MainWindow, engine: Recorder, qtbot: QtBot, caplog: pytest.LogCaptureFixture
) -> None:
    waiting: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    engine.answers["people.update"] = waiting
    window.open_contact(scenes.WORKSHOP)
    dialog = contact_dialog(window)
    dialog.save.click()
    qtbot.waitUntil(lambda: bool(engine.given))
    dialog.reject()
    qtbot.waitUntil(lambda: dialog.gone)
    waiting.set_result(None)
    qtbot.waitUntil(lambda: not window.context.tasks.busy)
    assert "a task of the window failed" not in caplog.text


def test_the_network_is_examined_and_told(window: MainWindow, engine: Recorder, qtbot: QtBot) -> None:
    waiting: asyncio.Future[object] = asyncio.get_event_loop().create_future()
    engine.answers["diagnosis.examine"] = waiting
    window.toggle_settings()
    check = window.findChild(QPushButton, "settingsCheck")
    assert check is not None
    check.click()
    dialog = window.findChild(NetworkCheckDialog, "networkCheck")
    assert isinstance(dialog, NetworkCheckDialog)
    assert "some seconds" in dialog.answer.text()
    assert not dialog.again.isEnabled()
    waiting.set_result(scenes.EXAMINATION)
    qtbot.waitUntil(lambda: "1 thing is wrong" in dialog.answer.text())
    dialog.copy.click()
    text = QGuiApplication.clipboard().text()
    assert "wrong: TURN server: The TURN server old.example.org:5349 is not trusted" in text
    assert "peers behind a symmetric NAT: not at all. Both NATs" in text
    dialog.again.click()
    qtbot.waitUntil(lambda: engine.names().count("diagnosis.examine") == 2)


def test_a_network_check_that_cannot_be_made_says_why(window: MainWindow, engine: Recorder, qtbot: QtBot) -> None:
    engine.answers["diagnosis.examine"] = EngineError("Parley's engine is not running any more; start Parley again.")
    window.open_network_check()
    dialog = window.findChild(NetworkCheckDialog, "networkCheck")
    assert isinstance(dialog, NetworkCheckDialog)
    qtbot.waitUntil(lambda: "not running" in dialog.answer.text())
    assert dialog.again.isEnabled()
    dialog.close_button.click()
    qtbot.waitUntil(lambda: window.findChild(NetworkCheckDialog, "networkCheck") is None)


def test_a_network_check_ends_with_its_dialog(window: MainWindow, engine: Recorder, qtbot: QtBot) -> None:
    waiting: asyncio.Future[object] = asyncio.get_event_loop().create_future()
    engine.answers["diagnosis.examine"] = waiting
    window.open_network_check()
    dialog = window.findChild(NetworkCheckDialog, "networkCheck")
    assert isinstance(dialog, NetworkCheckDialog)
    qtbot.waitUntil(lambda: "diagnosis.examine" in engine.names())
    dialog.close_button.click()
    qtbot.waitUntil(lambda: waiting.cancelled() and not window.context.tasks.busy)


def test_a_long_sentence_in_a_dialog_gets_room(window: MainWindow, engine: Recorder, qtbot: QtBot) -> None:
    dialog = account_dialog(window, engine, qtbot)
    dialog.resize(dialog.width(), dialog.height() + 60)
    high = dialog.height()
    dialog.say("This password is wrong.", "bad")
    assert dialog.height() == high  # what the person made larger stays so
    dialog.say("The server does not know this password, whoever asks it and however often it is asked. " * 6, "bad")
    qtbot.waitUntil(lambda: dialog.answer.height() >= dialog.answer.heightForWidth(dialog.answer.width()))
    assert dialog.answer.y() > dialog.save.y() - dialog.answer.height() - 20
