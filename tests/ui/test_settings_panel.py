from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from PySide6.QtWidgets import QFileDialog, QPushButton
from pytestqt.qtbot import QtBot

from app.events import DevicesChanged
from app.settings import (
    Account,
    HostPort,
    IcePolicy,
    MediaSettings,
    NetworkSettings,
    RecordedSound,
    RecordingSettings,
    Settings,
    TellOther,
    TrickleMode,
    TurnServer,
)
from tests.ui import scenes
from tests.ui.conftest import Tell
from tests.ui.recorder import Recorder
from ui.main_window import MainWindow
from ui.panels.settings import SettingsPanel

KEPT = Settings(
    accounts=(Account("sip:ada@example.org"),),
    network=NetworkSettings(stun_servers=(HostPort("stun.example.org", 3478),), sip_port=5070),
    media=MediaSettings(microphone="Headset", camera="Old camera", audio_codecs=("pcmu",)),
    display_name="Ada",
    ring_volume=0.4,
)


@pytest.fixture
def panel(window: MainWindow, engine: Recorder, tell: Tell, qtbot: QtBot) -> SettingsPanel:
    engine.answers["settings.get"] = KEPT
    tell(DevicesChanged(scenes.DEVICES, ("No camera was found: others see a test picture.",)))
    window.toggle_settings()
    made = window.findChild(SettingsPanel, "settingsPage")
    assert isinstance(made, SettingsPanel)
    qtbot.waitUntil(lambda: made.fields.name.text() == "Ada")
    return made


def test_it_shows_what_is_kept(panel: SettingsPanel) -> None:
    fields = panel.fields
    assert fields.stun.toPlainText() == "stun.example.org:3478"
    assert fields.ring.value() == 40
    assert fields.microphone.currentText() == "Headset"
    assert fields.speaker.currentText() == "Follow the system (Built-in speakers)"
    assert fields.ring_device.currentText() == "Same as the speaker"
    assert fields.camera.currentText() == "Old camera (not plugged in)"
    assert panel.device_notes.isVisible()
    assert not panel.foot.isVisible()


def test_saving_changes_only_what_was_changed(panel: SettingsPanel, engine: Recorder, qtbot: QtBot) -> None:
    fields = panel.fields
    fields.name.setText("Ada L.")
    first, second = fields.turn.add_server(), fields.turn.add_server()
    fields.turn.add_server()  # nothing is typed into it
    first.place.setText("turn.example.org")
    first.way.setCurrentIndex(1)
    first.user.setText("ada")
    first.secret.setText("secret")
    second.place.setText("turn2.example.org:5000")
    second.kind.setCurrentIndex(1)
    second.secret.setText("shared")
    fields.proxy.setText("http://proxy.example.org:8080")
    fields.hide_addresses.setChecked(True)
    fields.ice_tcp.setChecked(False)
    fields.trickle.setCurrentIndex(2)
    fields.reconnect.setValue(120)
    fields.priority.setCurrentIndex(1)
    fields.policy.setCurrentIndex(1)
    assert panel.foot.isVisible()
    panel.save.click()
    qtbot.waitUntil(lambda: "settings.change" in engine.names())
    (changed,) = engine.last("settings.change")
    turn = (
        TurnServer(HostPort("turn.example.org", 0), "tcp", "ada", "secret"),
        TurnServer(HostPort("turn2.example.org", 5000), secret="shared", time_limited=True),
    )
    network = replace(
        KEPT.network,
        turn_servers=turn,
        ice_policy=IcePolicy.RELAY,
        proxy="http://proxy.example.org:8080",
        hide_addresses=True,
        ice_tcp=False,
        trickle=TrickleMode.OFF,
    )
    assert changed == replace(KEPT, display_name="Ada L.", network=network, reconnect_for_s=120.0, talk_priority=100)
    qtbot.waitUntil(lambda: not panel.foot.isVisible())


@pytest.mark.parametrize(
    ("field", "text", "said"),
    [
        ("stun", "stun.example.org:99999", "not a port"),
        ("proxy", "proxy.example.org", "http://host:port"),
        ("proxy", "http://me:secret@proxy.example.org:8080", "not kept"),
        ("proxy", "http://proxy.example.org:0", "not a port"),
        ("record_folder", "Videos/calls", "the whole path"),
        ("stills_folder", "Pictures", "the whole path"),
    ],
)
def test_a_wrong_field_is_named_and_nothing_is_lost(
    panel: SettingsPanel, engine: Recorder, qtbot: QtBot, field: str, text: str, said: str
) -> None:
    place = getattr(panel.fields, field)
    place.setPlainText(text) if field == "stun" else place.setText(text)
    panel.save.click()
    qtbot.waitUntil(lambda: panel._wrong[field].isVisible())
    assert said in panel._wrong[field].text()
    assert "settings.change" not in engine.names()
    assert (place.toPlainText() if field == "stun" else place.text()) == text


def choose_folder(panel: SettingsPanel, button: str, folder: str) -> None:
    panel.findChild(QPushButton, button).click()  # type: ignore[union-attr]
    (dialog,) = (found for found in panel.findChildren(QFileDialog, "folderDialog") if found.isVisible())
    dialog.fileSelected.emit(folder)
    dialog.close()


def test_how_calls_are_recorded(panel: SettingsPanel, engine: Recorder, qtbot: QtBot, tmp_path: Path) -> None:
    fields = panel.fields
    assert fields.tell_other.currentText() == "By a short beep every 15 seconds"
    assert fields.mirror.isChecked()
    fields.mirror.setChecked(False)
    fields.recorded_sound.setCurrentIndex(1)
    fields.tell_other.setCurrentIndex(2)
    choose_folder(panel, "settingsRecordFolderChoose", str(tmp_path))
    choose_folder(panel, "settingsStillsFolderChoose", str(tmp_path / "pictures"))
    panel.save.click()
    qtbot.waitUntil(lambda: "settings.change" in engine.names())
    (changed,) = engine.last("settings.change")
    recording = RecordingSettings(str(tmp_path), str(tmp_path / "pictures"), RecordedSound.STEREO, TellOther.NONE)
    assert changed == replace(KEPT, media=replace(KEPT.media, mirror_own=False), recording=recording)


def test_nothing_is_cut_off_in_the_narrowest_window(window: MainWindow, panel: SettingsPanel, qtbot: QtBot) -> None:
    window.resize(window.minimumSize())
    qtbot.waitUntil(lambda: panel.width() < 420)
    assert panel.page.widget().minimumSizeHint().width() <= panel.page.viewport().width()


def test_what_a_call_may_take(panel: SettingsPanel, engine: Recorder, qtbot: QtBot) -> None:
    fields = panel.fields
    assert not fields.dtx.isChecked()
    assert fields.most_rate.currentText() == "As much as its size is worth"
    fields.dtx.setChecked(True)
    fields.most_rate.setCurrentIndex(fields.most_rate.findData(500))
    fields.cleaning["gain_control"].setChecked(False)
    assert panel.foot.isVisible()
    panel.save.click()
    qtbot.waitUntil(lambda: "settings.change" in engine.names())
    media = replace(KEPT.media, dtx=True, video_kbps=500, gain_control=False)
    assert engine.last("settings.change") == (replace(KEPT, media=media),)


def test_a_rate_from_elsewhere_is_shown_and_kept(panel: SettingsPanel) -> None:
    kept = replace(KEPT, media=replace(KEPT.media, video_kbps=700))
    panel.fields.fill(kept)
    assert panel.fields.most_rate.currentText() == "700 kbit/s"
    assert panel.fields.read(kept) == kept


def test_only_a_relay_needs_a_server(panel: SettingsPanel, qtbot: QtBot) -> None:
    panel.fields.policy.setCurrentIndex(1)
    panel.save.click()
    qtbot.waitUntil(lambda: "needs a TURN server" in panel._wrong["turn"].text())


def test_undo_and_news_while_changing(panel: SettingsPanel, tell: Tell) -> None:
    panel.fields.speaker.setCurrentIndex(1)
    tell(DevicesChanged(scenes.DEVICES[:2]))
    assert panel.fields.microphone.currentData() == "Headset"
    assert panel.fields.speaker.currentData() == "Built-in speakers"  # a choice being made survives
    panel.undo.click()
    assert panel.fields.speaker.currentIndex() == 0
    assert not panel.foot.isVisible()


@pytest.mark.parametrize(
    ("text", "said"),
    [("turn.example.org:99999", "not a port"), ("ada@turn.example.org", "its own field"), (":3478", "names no host")],
)
def test_a_wrong_turn_server_is_marked_in_its_row(
    panel: SettingsPanel, engine: Recorder, qtbot: QtBot, text: str, said: str
) -> None:
    row = panel.fields.turn.add_server()
    row.place.setText(text)
    row.place.editingFinished.emit()  # while the person types on, before anything is saved
    assert said in row.wrong.text()
    panel.save.click()
    qtbot.waitUntil(lambda: panel._wrong["turn"].isVisible())
    assert "settings.change" not in engine.names()
    row.place.setText("turn.example.org")
    assert row.check()
    assert not row.wrong.isVisible()


def test_turn_servers_are_shown_as_they_are_kept_without_their_passwords(panel: SettingsPanel) -> None:
    kept = (
        TurnServer(HostPort("turn.example.org", 3478), "udp", "ada"),
        TurnServer(HostPort("2001:db8::1", 5349), "tls", "", time_limited=True),
    )
    panel.fields.turn.fill(kept)
    assert panel.fields.turn.read() == kept
    assert [row.place.text() for row in panel.fields.turn.rows] == ["turn.example.org:3478", "[2001:db8::1]:5349"]
    assert all(row.secret.text() == "" for row in panel.fields.turn.rows)


def test_a_turn_server_can_be_taken_away(panel: SettingsPanel) -> None:
    panel.fields.turn.fill((TurnServer(HostPort("turn.example.org", 3478)),))
    row = panel.fields.turn.rows[0]
    row.removed.emit()
    assert panel.fields.turn.read() == ()
    assert panel.foot.isVisible()


def test_a_turn_address_may_be_pasted_as_servers_write_it(panel: SettingsPanel) -> None:
    row = panel.fields.turn.add_server()
    row.place.setText("turn:t.example.org?transport=udp")
    assert str(row.read().server) == "t.example.org"
