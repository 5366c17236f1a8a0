"""Recording and stills from the window: the red mark, what the person is told afterwards, and where the files are."""

from __future__ import annotations

import time

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QPushButton
from pytestqt.qtbot import QtBot

from app.engine.errors import EngineError
from app.events import CallChanged, CallState, FileKept, RecordingInfo
from tests.ui import scenes
from tests.ui.conftest import Tell
from tests.ui.recorder import Recorder
from ui import main_window
from ui.main_window import MainWindow

LEFT = Qt.MouseButton.LeftButton
RUNNING = RecordingInfo("/videos/x.mkv", 65.0, 10.6, False)


def test_recording_is_in_sight_and_counts_until_it_is_stopped(
    window: MainWindow, tell: Tell, engine: Recorder, qtbot: QtBot
) -> None:
    panel = window.call
    tell(CallChanged(scenes.call(CallState.CONNECTED)))
    panel.buttons.menu.record.trigger()
    qtbot.waitUntil(lambda: engine.given == [("media.record", ("c1",))])
    assert not panel.marks.isVisible()  # until the engine says so
    tell(CallChanged(scenes.call(CallState.CONNECTED, recording=RUNNING)))
    panel._context.book._clock_offset = time.monotonic() - (10.6 + 7.2)
    panel._show_time()
    assert panel.marks.recording.words.text() == "Recording 01:12"
    assert panel.buttons.menu.record.text() == "Stop &recording"
    panel._idle.timeout.emit()
    assert panel.marks.recording.isVisible()
    held = RecordingInfo("/videos/x.mkv", 65.0, 10.6, True)
    tell(CallChanged(scenes.call(CallState.CONNECTED, recording=held, held=True)))
    assert panel.marks.recording.words.text() == "Recording 01:05 · paused"
    qtbot.mouseClick(panel.marks.recording.stop, LEFT)
    qtbot.waitUntil(lambda: engine.given[-1] == ("media.stop_recording", ("c1",)))
    tell(CallChanged(scenes.call(CallState.CONNECTED)))
    assert not panel.marks.isVisible()


def test_where_the_recording_is_can_be_shown(
    window: MainWindow, tell: Tell, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown: list[str] = []
    monkeypatch.setattr(main_window, "show_folder", shown.append)
    tell(FileKept("c1", "/videos/2026-11-22 14.03 Front desk.mkv", 754.0))
    assert window.toasts.sentences == ["Recorded 12:34 to 2026-11-22 14.03 Front desk.mkv."]
    offer = window.toasts.findChild(QPushButton, "toastOffer")
    assert isinstance(offer, QPushButton)
    qtbot.mouseClick(offer, LEFT)
    assert shown == ["/videos/2026-11-22 14.03 Front desk.mkv"]
    full = "The recording has ended: x.mkv cannot be written (No space left on device)."
    tell(FileKept("c1", "/videos/x.mkv", 12.0, full))
    assert window.toasts.sentences[-1] == full


def test_a_recording_that_cannot_begin_is_said(window: MainWindow, tell: Tell, engine: Recorder, qtbot: QtBot) -> None:
    engine.answers["media.record"] = EngineError("Nothing can be kept in /videos (Permission denied).")
    tell(CallChanged(scenes.call(CallState.CONNECTED)))
    window.call.buttons.menu.record.trigger()
    qtbot.waitUntil(lambda: window.toasts.sentences == ["Nothing can be kept in /videos (Permission denied)."])


def test_what_is_seen_is_kept(window: MainWindow, tell: Tell, engine: Recorder, qtbot: QtBot) -> None:
    panel, menu = window.call, window.call.buttons.menu
    engine.answers["media.keep_still"] = "/pictures/x.png"
    tell(CallChanged(scenes.call(CallState.CONNECTED)))
    menu.aboutToShow.emit()
    assert not menu.still.isEnabled()  # nothing is seen yet
    far, own = scenes.picture(), scenes.picture(320, 240)
    engine.mailbox("c1", "remote").put(far)
    engine.mailbox("c1", "own").put(own)
    qtbot.waitUntil(lambda: panel.remote.picture is far and panel.own.view.picture is own)
    menu.aboutToShow.emit()
    menu.still.trigger()
    qtbot.waitUntil(lambda: window.toasts.sentences == ["Both pictures were kept."])
    assert engine.given == [("media.keep_still", ("c1", far, False)), ("media.keep_still", ("c1", own, True))]
    assert window.toasts.findChild(QPushButton, "toastOffer") is not None


def test_a_double_click_on_the_picture_is_full_screen(window: MainWindow, tell: Tell, qtbot: QtBot) -> None:
    tell(CallChanged(scenes.call(CallState.CONNECTED)))
    qtbot.mouseDClick(window.call.remote, LEFT)
    assert window.isFullScreen()
    qtbot.mouseDClick(window.call.remote, LEFT)
    assert not window.isFullScreen()


def test_ones_own_picture_is_mirrored_only_where_that_is_wanted(window: MainWindow, tell: Tell) -> None:
    tell(CallChanged(scenes.call(CallState.CONNECTED)))
    assert window.call.own.view.mirrored
    tell(CallChanged(scenes.call(CallState.CONNECTED, mirrors_own=False)))
    assert not window.call.own.view.mirrored
