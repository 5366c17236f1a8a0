"""Sharing a screen from the window: the dialog that asks which, and the mark that nobody overlooks."""

from __future__ import annotations

import asyncio

import pytest
from PySide6.QtCore import QPoint, QRect, Qt
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from app.engine.errors import EngineError
from app.events import CallChanged, CallState
from tests.ui import scenes
from tests.ui.conftest import Tell
from tests.ui.recorder import Recorder
from ui import words
from ui.dialogs.share import ShareDialog
from ui.main_window import MainWindow

SHARED = {"sharing": "window:0x600001", "mirrors_own": False}


def share_dialog(window: MainWindow, tell: Tell) -> ShareDialog:
    tell(CallChanged(scenes.call(CallState.CONNECTED)))
    assert window.call.buttons.menu.share.isEnabled()
    window.call.buttons.menu.share.trigger()
    found = window.findChild(ShareDialog, "shareDialog")
    assert isinstance(found, ShareDialog)
    return found


def test_a_window_is_chosen_by_keyboard_and_shared(
    window: MainWindow, tell: Tell, engine: Recorder, qtbot: QtBot
) -> None:
    engine.answers["media.share_choices"] = scenes.SHARE_CHOICES
    dialog = share_dialog(window, tell)
    assert not dialog.isModal()
    qtbot.waitUntil(lambda: dialog.list.count() == 4)
    assert dialog.list.item(0).text() == "Screen HDMI-1\n1920 × 1080"
    assert dialog.list.currentRow() == 0
    dialog.list.setCurrentRow(3)
    qtbot.keyClick(dialog.list, Qt.Key.Key_Return)
    qtbot.waitUntil(lambda: "media.share" in engine.names())
    assert engine.last("media.share") == ("c1", "window:0x600001")
    qtbot.waitUntil(lambda: window.findChild(ShareDialog, "shareDialog") is None)
    tell(CallChanged(scenes.call(CallState.CONNECTED, **SHARED)))
    assert window.call.marks.sharing.words.text() == "You are sharing the window “Notes”"


def test_why_nothing_can_be_shared_is_said_in_the_dialog(
    window: MainWindow, tell: Tell, engine: Recorder, qtbot: QtBot
) -> None:
    engine.answers["media.share_choices"] = EngineError(scenes.NO_SHARING)
    dialog = share_dialog(window, tell)
    qtbot.waitUntil(lambda: "Wayland" in dialog.answer.text())
    assert not dialog.share.isEnabled()
    assert not dialog.list.isVisible()  # an empty list would say nothing
    qtbot.waitUntil(lambda: dialog.answer.height() >= dialog.answer.heightForWidth(dialog.answer.width()))
    engine.answers["media.share_choices"] = scenes.SHARE_CHOICES[:1]
    qtbot.mouseClick(dialog.again, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: dialog.list.count() == 1)
    assert dialog.list.isVisible()
    assert dialog.answer.text() == ""
    qtbot.waitUntil(lambda: dialog.list.geometry().bottom() < dialog.answer.y())


def test_a_dialog_that_was_closed_meanwhile_is_left_alone(
    window: MainWindow, tell: Tell, engine: Recorder, qtbot: QtBot
) -> None:
    waiting: asyncio.Future[object] = asyncio.get_event_loop().create_future()
    engine.answers["media.share_choices"] = waiting
    dialog = share_dialog(window, tell)
    dialog.reject()
    qtbot.waitUntil(lambda: window.findChild(ShareDialog, "shareDialog") is None)
    waiting.set_result(scenes.SHARE_CHOICES)
    qtbot.wait(0)


def test_sharing_is_in_sight_until_it_is_stopped(
    window: MainWindow, tell: Tell, engine: Recorder, qtbot: QtBot
) -> None:
    panel = window.call
    tell(CallChanged(scenes.call(CallState.CONNECTED, **SHARED)))
    engine.mailbox("c1", "remote").put(scenes.picture())
    engine.mailbox("c1", "own").put(scenes.picture())
    qtbot.waitUntil(lambda: panel.own.view.isVisible())
    assert panel.marks.sharing.isVisible()
    assert panel.own.words.text() == "What you share"
    assert not panel.own.view.mirrored  # others read it from left to right, and so does who shares it
    assert not panel.buttons.camera.isEnabled()
    assert panel.buttons.menu.share.text() == "Stop &sharing"
    panel._idle.timeout.emit()
    assert panel.marks.sharing.isVisible()
    qtbot.mouseClick(panel.marks.sharing.stop, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: engine.given == [("media.stop_sharing", ("c1",))])
    panel.buttons.menu.share.trigger()
    qtbot.waitUntil(lambda: engine.names() == ["media.stop_sharing"] * 2)
    tell(CallChanged(scenes.call(CallState.CONNECTED)))
    assert not panel.marks.isVisible()
    assert panel.own.view.mirrored
    assert panel.buttons.camera.isEnabled()


def test_the_mark_fits_into_the_narrowest_window(window: MainWindow, tell: Tell) -> None:
    tell(CallChanged(scenes.call(CallState.CONNECTED, **SHARED)))
    window.resize(window.minimumSize())
    QApplication.processEvents()
    panel, stop = window.call, window.call.marks.sharing.stop
    assert panel.rect().contains(QRect(stop.mapTo(panel, QPoint(0, 0)), stop.size()))
    assert panel.marks.y() >= panel.bar.geometry().bottom()


@pytest.mark.parametrize(
    ("call", "enabled"),
    [
        (scenes.call(CallState.RINGING), False),
        (scenes.call(CallState.CONNECTED, has_video=False, sending_video=False), False),
        (scenes.call(CallState.CONNECTED, held=True), False),
        (scenes.call(CallState.CONNECTED, sending_video=False), True),
    ],
)
def test_sharing_is_offered_where_it_can_be_done(window: MainWindow, tell: Tell, call: object, enabled: bool) -> None:
    tell(CallChanged(call))  # type: ignore[arg-type]
    assert window.call.buttons.menu.share.isEnabled() == enabled


def test_what_is_shared_in_words() -> None:
    assert words.sharing_words("screen", "") == "You are sharing your screen"
    assert words.sharing_words("screen:HDMI-1", "x") == "You are sharing your screen HDMI-1"
    assert words.sharing_words("window:0x1", "") == "You are sharing a window"
    assert words.sharing_words("window:Notes", "") == "You are sharing the window “Notes”"
    assert len(words.sharing_words("window:0x1", "long " * 40)) < 80
