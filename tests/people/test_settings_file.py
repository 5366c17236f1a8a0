"""Settings come back as they were kept, and a damaged file is neither fatal nor lost."""

from __future__ import annotations

import json
import os
import re
import stat
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.people.errors import PeopleError
from app.people.settings_file import load_settings, save_settings
from app.settings import (
    Account,
    Encryption,
    HostPort,
    IcePolicy,
    MediaSettings,
    NetworkSettings,
    Settings,
    SipTransport,
    TurnServer,
)

FULL = Settings(
    accounts=(
        Account(
            "sip:ada@example.org", SipTransport.TCP, HostPort("2001:db8::1", 5070), "Ada", "ada-auth", register=False
        ),
    ),
    network=NetworkSettings(
        stun_servers=(HostPort("stun.example.org", 3478),),
        turn_servers=(TurnServer(HostPort("turn.example.org", 5349), "tls", "ada"),),
        ice_policy=IcePolicy.RELAY,
        interfaces=("eth0",),
        sip_port=5062,
        ca_file="/etc/ca.pem",
        find_neighbours=False,
    ),
    media=MediaSettings(audio_from="tone:440", encryption=Encryption.DTLS, audio_codecs=("opus",), fps=15),
    display_name="Ada Lovelace",
    ring_volume=0.25,
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "settings.json"


def test_no_file_means_defaults(path: Path) -> None:
    assert load_settings(path) == (Settings(), None)
    assert not path.exists()


@pytest.mark.parametrize("settings", [Settings(), FULL])
def test_what_was_kept_comes_back(path: Path, settings: Settings) -> None:
    save_settings(path, settings)
    assert load_settings(path) == (settings, None)
    assert os.name == "nt" or stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [entry.name for entry in path.parent.iterdir()] == ["settings.json"]


def test_no_password_reaches_the_file(path: Path) -> None:
    server = TurnServer(HostPort("turn.example.org", 3478), "udp", "ada", password="opensesame")
    save_settings(path, replace(FULL, network=NetworkSettings(turn_servers=(server,))))
    assert "opensesame" not in path.read_text()
    settings, _ = load_settings(path)
    assert settings.network.turn_servers == (replace(server, password=""),)


def test_a_password_written_there_by_hand_is_not_used(path: Path) -> None:
    path.write_text(
        json.dumps({"network": {"turn_servers": [{"server": {"host": "t", "port": 1}, "password": "opensesame"}]}})
    )
    settings, problem = load_settings(path)
    assert problem is None
    assert settings.network.turn_servers[0].password == ""


def test_fields_of_another_version_are_ignored(path: Path) -> None:
    path.write_text('{"display_name": "Ada", "hologram": true, "media": {"fps": 10, "smell": "roses"}}')
    settings, problem = load_settings(path)
    assert problem is None
    assert (settings.display_name, settings.media.fps, settings.media.width) == ("Ada", 10, 640)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"", "truncated"),
        (b'{"display_name": "Ada"', "truncated"),
        (b"[]", "array"),
        (b"\xff\xfe\x00", "malformed"),
        (b'{"media": {"fps": "many"}}', "media.fps"),
        (b'{"media": {"fps": 0}}', "media.fps is 0"),
        (b'{"media": {"encryption": "rot13"}}', "rot13"),
        (b'{"network": {"sip_port": 70000}}', "sip_port is 70000"),
        (b'{"network": {"stun_servers": [{"host": "a b", "port": 1}]}}', "STUN server names no usable host"),
        (b'{"network": {"turn_servers": [{"server": {"host": "a", "port": -1}}]}}', "TURN server has the port -1"),
        (b'{"ring_volume": 1e400}', "ring_volume|out of range"),
        (b'{"recording": {"folder": "Videos"}}', "recording.folder is 'Videos'"),
        (b'{"recording": {"folder": "~nobody-here/x"}}', "no whole path"),
        (b'{"recording": {"sound": "loud"}}', "loud"),
        (b'{"accounts": [{"address": ""}]}', "no usable address"),
        (b'{"accounts": [{"address": "sip:a@b"}, {"address": "sip:c@d"}]}', "2 accounts"),
        (b'{"x":' + b"[" * 5000 + b"]" * 5000 + b"}", "nested|recursion"),
        (b" " * 1_000_001, "larger than"),
    ],
)
def test_a_damaged_file_is_moved_aside_and_defaults_are_used(path: Path, text: bytes, said: str) -> None:
    path.write_bytes(text)
    settings, problem = load_settings(path)
    assert settings == Settings()
    assert problem is not None
    assert problem.about == "disk"
    assert "settings.json.broken" in problem.sentence
    assert re.search(said, problem.sentence), problem.sentence
    assert path.with_name("settings.json.broken").read_bytes() == text
    assert not path.exists()


def test_two_damaged_files_are_both_kept(path: Path) -> None:
    for text in ("one", "two"):
        path.write_text(text)
        load_settings(path)
    assert path.with_name("settings.json.broken").read_text() == "one"
    assert path.with_name("settings.json.broken-2").read_text() == "two"


def test_settings_that_make_no_sense_are_refused_and_the_old_ones_stay(path: Path) -> None:
    save_settings(path, FULL)
    with pytest.raises(PeopleError, match="ring_volume is 7"):
        save_settings(path, Settings(ring_volume=7))
    assert load_settings(path) == (FULL, None)


def test_a_folder_that_is_gone_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(PeopleError, match=r"could not be saved .* .no such file or directory"):
        save_settings(tmp_path / "gone" / "settings.json", Settings())


@given(st.binary(max_size=200))
def test_no_bytes_at_all_stop_a_start(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    path = tmp_path_factory.mktemp("settings") / "settings.json"
    path.write_bytes(data)
    settings, problem = load_settings(path)
    assert settings == Settings() or problem is None
