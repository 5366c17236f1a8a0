from __future__ import annotations

from dataclasses import replace

import pytest
from pytestqt.qtbot import QtBot

from app.events import DevicesChanged
from app.settings import Account, HostPort, IcePolicy, MediaSettings, NetworkSettings, Settings, TurnServer
from tests.ui import scenes
from tests.ui.conftest import Tell
from tests.ui.recorder import Recorder
from ui.main_window import MainWindow
from ui.panels.settings import SettingsPanel
from ui.panels.settings_form import FieldError, parse_turn, turn_line

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
    assert fields.speaker.currentText() == "Follow the system"
    assert fields.camera.currentText() == "Old camera (not plugged in)"
    assert panel.device_notes.isVisible()
    assert not panel.foot.isVisible()


def test_saving_changes_only_what_was_changed(panel: SettingsPanel, engine: Recorder, qtbot: QtBot) -> None:
    fields = panel.fields
    fields.name.setText("Ada L.")
    fields.turn.setPlainText("ada@turn.example.org tcp\n\nturn2.example.org:5000")
    fields.turn_password.setText("secret")
    fields.policy.setCurrentIndex(1)
    assert panel.foot.isVisible()
    panel.save.click()
    qtbot.waitUntil(lambda: "settings.change" in engine.names())
    (changed,) = engine.last("settings.change")
    turn = (
        TurnServer(HostPort("turn.example.org", 3478), "tcp", "ada", "secret"),
        TurnServer(HostPort("turn2.example.org", 5000), "udp", "", "secret"),
    )
    network = replace(KEPT.network, turn_servers=turn, ice_policy=IcePolicy.RELAY)
    assert changed == replace(KEPT, display_name="Ada L.", network=network)
    qtbot.waitUntil(lambda: not panel.foot.isVisible())


@pytest.mark.parametrize(
    ("field", "text", "said"),
    [
        ("stun", "stun.example.org:99999", "not a port"),
        ("turn", "turn.example.org sctp", "udp, tcp or tls"),
        ("turn", "ada@:3478", "not understood"),
    ],
)
def test_a_wrong_field_is_named_and_nothing_is_lost(
    panel: SettingsPanel, engine: Recorder, qtbot: QtBot, field: str, text: str, said: str
) -> None:
    getattr(panel.fields, field).setPlainText(text)
    panel.save.click()
    qtbot.waitUntil(lambda: panel._wrong[field].isVisible())
    assert said in panel._wrong[field].text()
    assert "settings.change" not in engine.names()
    assert getattr(panel.fields, field).toPlainText() == text


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


def test_a_turn_server_is_written_as_it_is_read() -> None:
    for line in ("ada@turn.example.org:3478 udp", "turn.example.org:5349 tls", "ada@[2001:db8::1]:3478 tcp"):
        assert turn_line(parse_turn(line, "")) == line
    assert str(parse_turn("turn:t.example.org", "").server) == "t.example.org:3478"
    with pytest.raises(FieldError):
        parse_turn("", "")
