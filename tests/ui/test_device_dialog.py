"""Choosing devices and trying them out, in the window."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QPushButton, QWidget
from pytestqt.qtbot import QtBot

from app.events import CallChanged, CallState, DeviceInfo, DevicesChanged, TrialChanged
from app.settings import MediaSettings, Settings
from tests.ui import scenes
from tests.ui.conftest import Tell
from tests.ui.recorder import Recorder
from ui.dialogs.devices import DeviceDialog
from ui.main_window import MainWindow
from ui.panels.settings import SettingsPanel

KEPT = Settings(media=MediaSettings(microphone="Headset", camera="Old camera", gain_control=False), ring_volume=0.4)


@pytest.fixture
def dialog(window: MainWindow, engine: Recorder, tell: Tell, qtbot: QtBot) -> DeviceDialog:
    engine.answers["settings.get"] = KEPT
    tell(DevicesChanged(scenes.DEVICES))
    window.findChild(QPushButton, "idleDevices").click()
    made = window.findChild(DeviceDialog, "deviceDialog")
    qtbot.waitUntil(lambda: "devices.try_out" in engine.names())
    return made


def test_it_shows_what_is_chosen_and_opens_it(dialog: DeviceDialog, engine: Recorder) -> None:
    assert dialog.microphone.currentText() == "Headset"
    assert dialog.speaker.currentText() == "Follow the system (Built-in speakers)"
    assert dialog.ring.currentText() == "Same as the speaker"
    assert dialog.camera.currentText() == "Old camera (not plugged in)"
    assert [switch.isChecked() for switch in dialog.switches.values()] == [True, True, False]
    assert engine.last("devices.try_out") == (KEPT.media, True)


def test_what_is_chosen_is_kept_and_tried_out_at_once(dialog: DeviceDialog, engine: Recorder, qtbot: QtBot) -> None:
    dialog.ring.setCurrentIndex(1)
    wanted = replace(KEPT.media, ring_device="Built-in speakers")
    qtbot.waitUntil(lambda: engine.last("devices.try_out") == (wanted, True))
    assert engine.last("settings.change") == (replace(KEPT, media=wanted),)
    dialog.switches["gain_control"].click()
    wanted = replace(wanted, gain_control=True)
    qtbot.waitUntil(lambda: engine.last("devices.try_out") == (wanted, True))


def test_of_two_quick_choices_neither_is_lost(dialog: DeviceDialog, engine: Recorder, qtbot: QtBot) -> None:
    first: asyncio.Future[None] = asyncio.get_event_loop().create_future()
    engine.answers["settings.change"] = first
    dialog.ring.setCurrentIndex(1)
    dialog.switches["gain_control"].click()
    qtbot.waitUntil(lambda: "settings.change" in engine.names())
    qtbot.wait(0)
    assert engine.names().count("settings.change") == 1  # the second one waits, or the first might be kept last
    first.set_result(None)
    wanted = replace(KEPT.media, ring_device="Built-in speakers", gain_control=True)
    qtbot.waitUntil(lambda: engine.last("settings.change") == (replace(KEPT, media=wanted),))


def test_levels_problems_and_the_echo_test(dialog: DeviceDialog, engine: Recorder, tell: Tell, qtbot: QtBot) -> None:
    tell(TrialChanged(-30.0, -36.0))
    assert dialog.level.filled == pytest.approx(0.5)
    assert dialog.level.accessibleName() == "Level: -30 dB"
    assert not dialog.microphone_note.isVisible()
    dialog.echo.click()
    qtbot.waitUntil(lambda: "devices.echo_test" in engine.names())
    tell(TrialChanged(-30.0, -36.0, echo_test="recording"))
    assert dialog.echo_words.text() == "Speak now …"
    assert not dialog.echo.isEnabled()
    lost = "No microphone was found: others hear silence."
    tell(TrialChanged(None, None, lost, "The speaker was lost.", "No camera was found."))
    assert dialog.level.filled == 0
    assert dialog.level.accessibleName() == "Level: silence"
    assert dialog.microphone_note.text() == lost
    assert dialog.speaker_note.isVisible()
    assert dialog.camera_note.text() == "No camera was found."
    assert dialog.echo.isEnabled()


def test_sounds_go_to_the_device_that_is_chosen(dialog: DeviceDialog, engine: Recorder, qtbot: QtBot) -> None:
    dialog.test_sound.click()
    qtbot.waitUntil(lambda: "devices.play_test_sound" in engine.names())
    assert engine.last("devices.play_test_sound") == ("", 0.4)
    dialog.speaker.setCurrentIndex(1)
    dialog.test_ring.click()  # the ring has no device of its own: it rings on the speaker
    qtbot.waitUntil(lambda: engine.last("devices.play_test_sound") == ("Built-in speakers", 0.4))


def test_a_device_that_is_plugged_in_can_be_chosen_and_the_choice_stays(dialog: DeviceDialog, tell: Tell) -> None:
    tell(DevicesChanged((*scenes.DEVICES, DeviceInfo("speaker", "Headset", False))))
    assert dialog.speaker.findData("Headset") == 2
    assert dialog.microphone.currentText() == "Headset"


def test_a_call_keeps_its_camera(dialog: DeviceDialog, engine: Recorder, tell: Tell, qtbot: QtBot) -> None:
    tell(CallChanged(scenes.call(CallState.CONNECTED)))
    qtbot.waitUntil(lambda: engine.last("devices.try_out") == (KEPT.media, False))
    assert "The call uses the camera" in dialog.camera_note.text()
    tell(CallChanged(scenes.call(CallState.CONNECTED, sending_video=False)))
    qtbot.waitUntil(lambda: engine.last("devices.try_out") == (KEPT.media, True))


@pytest.mark.parametrize("way", ["button", "escape", "frame"])
def test_closing_releases_everything(
    dialog: DeviceDialog, window: MainWindow, engine: Recorder, qtbot: QtBot, way: str
) -> None:
    if way == "button":
        dialog.close_button.click()
    elif way == "escape":
        qtbot.keyClick(dialog, Qt.Key.Key_Escape)
    else:
        dialog.close()
    qtbot.waitUntil(lambda: "devices.stop_trial" in engine.names())
    qtbot.waitUntil(lambda: window.findChild(DeviceDialog, "deviceDialog") is None)


@pytest.mark.parametrize("mirrored", [True, False])
def test_the_picture_is_shown_as_in_a_mirror_where_that_is_wanted(
    window: MainWindow, engine: Recorder, qtbot: QtBot, mirrored: bool
) -> None:
    engine.answers["settings.get"] = replace(KEPT, media=replace(KEPT.media, mirror_own=mirrored))
    window.open_devices()
    dialog = window.findChild(DeviceDialog, "deviceDialog")
    qtbot.waitUntil(lambda: "devices.try_out" in engine.names())
    engine.mailbox("", "trial").put(scenes.picture())
    qtbot.waitUntil(lambda: dialog.picture.painted > 0)
    assert dialog.picture.mirrored is mirrored


def test_settings_lead_to_it_and_have_the_switches(
    window: MainWindow, engine: Recorder, tell: Tell, qtbot: QtBot
) -> None:
    engine.answers["settings.get"] = KEPT
    tell(DevicesChanged(scenes.DEVICES))
    window.toggle_settings()
    panel = window.findChild(SettingsPanel, "settingsPage")
    qtbot.waitUntil(lambda: panel.fields.microphone.chosen == "Headset")
    assert not panel.fields.cleaning["gain_control"].isChecked()
    panel.fields.ring_device.setCurrentIndex(1)
    panel.fields.cleaning["noise_suppression"].setChecked(False)
    panel.save.click()
    qtbot.waitUntil(lambda: "settings.change" in engine.names())
    changed = replace(KEPT.media, ring_device="Built-in speakers", noise_suppression=False)
    assert engine.last("settings.change") == (replace(KEPT, media=changed),)
    window.findChild(QPushButton, "settingsTryOut").click()
    assert window.findChild(QWidget, "deviceDialog").isVisible()


def test_it_opens_from_a_call_and_what_is_chosen_holds_for_the_call(
    window: MainWindow, engine: Recorder, tell: Tell, qtbot: QtBot
) -> None:
    engine.answers["settings.get"] = KEPT
    tell(DevicesChanged(scenes.DEVICES))
    tell(CallChanged(scenes.call(CallState.CONNECTED)))
    window.call.buttons.menu.devices.trigger()
    dialog = window.findChild(DeviceDialog, "deviceDialog")
    assert dialog is not None
    qtbot.waitUntil(lambda: "devices.try_out" in engine.names())
    assert engine.last("devices.try_out") == (KEPT.media, False)
    dialog.speaker.setCurrentIndex(1)
    wanted = replace(KEPT.media, speaker="Built-in speakers")
    qtbot.waitUntil(lambda: "settings.change" in engine.names())
    assert engine.last("settings.change") == (replace(KEPT, media=wanted),)


def test_a_choice_is_kept_though_the_dialog_closes_at_once(
    dialog: DeviceDialog, engine: Recorder, qtbot: QtBot
) -> None:
    tried = engine.names().count("devices.try_out")
    dialog.ring.setCurrentIndex(1)
    dialog.close_button.click()
    qtbot.waitUntil(lambda: "settings.change" in engine.names() and "devices.stop_trial" in engine.names())
    assert engine.last("settings.change") == (
        replace(KEPT, media=replace(KEPT.media, ring_device="Built-in speakers")),
    )
    assert engine.names().count("devices.try_out") == tried
