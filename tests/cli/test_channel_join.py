"""`parley channel join`: two processes on this machine's loopback, and what is refused."""

from __future__ import annotations

import ipaddress
import json
import os
import struct
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

import pytest

from app.channels.pin import PinDigest
from app.cli.main import run
from app.engine import missions
from app.engine.missions import ChannelWish, MissionWishes
from tests.heard import read_wav, share_at

ROOT = Path(__file__).resolve().parents[2]
loopback = pytest.mark.skipif(sys.platform != "linux", reason="multicast stays on the loopback interface of Linux")


@pytest.fixture
def mission_file(tmp_path: Path) -> Path:
    wishes = MissionWishes("Join", (ChannelWish("Alpha"), ChannelWish("Bravo")))
    file = tmp_path / "join.ice"
    file.write_text(missions.pack(missions.make(wishes, datetime.now(UTC))))
    return file


def joined(mission: Path, profile: Path, *flags: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "app", "channel", "join", str(mission), "--interface", "lo", "--json"]
    command += ["--profile", str(profile), "--for", "30", *flags]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, env=os.environ)


def lines(stream: IO[str] | None, until: str) -> list[dict[str, Any]]:
    """The JSON lines up to an event of this name, or the report."""
    assert stream is not None
    found: list[dict[str, Any]] = []
    for line in stream:
        found.append(json.loads(line))
        if found[-1].get("event") == until or "report" in found[-1]:
            break
    return found


def datagrams(pcap: bytes) -> list[tuple[bytes, int, bytes]]:
    """Destination, port and payload of each IPv4 datagram in a capture file."""
    at, found = 24, []
    while at < len(pcap):
        (size,) = struct.unpack_from("<I", pcap, at + 8)
        packet = pcap[at + 16 : at + 16 + size]
        found.append((packet[16:20], int.from_bytes(packet[22:24]), packet[28:]))
        at += 16 + size
    return found


@loopback
def test_one_command_talks_and_the_other_hears_it_and_both_report(mission_file: Path, tmp_path: Path) -> None:
    heard = tmp_path / "heard.wav"
    quiet = ("--audio-from", "silence", "--audio-to", str(heard), "--display-name", "Ben", "--channel", "alpha")
    tone = ("--audio-from", "tone:440", "--audio-to", "null", "--display-name", "Ada", "--talk", "20")
    pcap = tmp_path / "ben.pcap"
    ben = joined(mission_file, tmp_path / "ben", *quiet, "--pcap", str(pcap))
    ada = joined(mission_file, tmp_path / "ada", *tone, "--emergency")
    try:
        talker = lines(ben.stdout, "talker")[-1]
        while not talker["alias"]:  # Ben came into the burst: who it is, is in every tenth packet
            talker = lines(ben.stdout, "talker")[-1]
        assert (talker["alias"], talker["channel"], talker["emergency"]) == ("Ada", "Alpha", True)
        ada.terminate()
        sent = lines(ada.stdout, "report")[-1]["report"]
        lines(ben.stdout, "burst")
        ben.terminate()
        got = lines(ben.stdout, "report")[-1]["report"]
        assert (ada.wait(10), ben.wait(10)) == (0, 0)
    finally:
        ada.kill()
        ben.kill()
    assert [one["name"] for one in (got["mission"], sent["mission"])] == ["Join", "Join"]
    assert [one["channel"] for one in sent["channels"]] == ["Alpha", "Bravo"]
    assert [one["channel"] for one in got["channels"]] == ["Alpha"]
    alpha = got["channels"][0]
    assert alpha["links"][-1]["carrier"] == "multicast"
    assert (alpha["lost"], alpha["refused"], alpha["talkers"][0]["alias"]) == (0, 0, "Ada")
    assert 0 < alpha["packets_received"] <= sent["channels"][0]["packets_sent"]
    captured = datagrams(pcap.read_bytes())
    group = missions.read_file(mission_file).groups
    there = {one.rx.port: ipaddress.ip_address(one.rx.address).packed for one in group}
    assert all(there[port] == destination for destination, port, _ in captured)
    assert sum(len(data) > 60 for *_, data in captured) >= alpha["packets_received"]
    assert all(data[0] == 1 and b"Ada" not in data for *_, data in captured)  # sealed, as they went
    (burst,), (own,) = got["bursts"]["heard"], sent["bursts"]["sent"]
    assert (burst["alias"], burst["emergency"], own["own"]) == ("Ada", True, True)
    assert 0 < burst["seconds"] <= own["seconds"] + 0.1
    assert share_at(read_wav(heard), 440.0) > 0.3  # however few packets the moment holds: noise has a hundredth


@loopback
def test_talking_on_a_full_duplex_channel_ends_too(tmp_path: Path) -> None:
    file = tmp_path / "call.ice"
    wishes = MissionWishes("Call", (ChannelWish("Alpha"),), full_duplex=True)
    file.write_text(missions.pack(missions.make(wishes, datetime.now(UTC))))
    ada = joined(file, tmp_path / "ada", "--audio-from", "tone:440", "--audio-to", "null", "--talk", "0.2")
    try:
        told = [line.get("event") for line in lines(ada.stdout, "talked")]
        assert told.index("talking") < told.index("burst")
        ada.terminate()
        assert ada.wait(10) == 0
    finally:
        ada.kill()


def test_what_cannot_be_joined_is_said_in_one_sentence(
    mission_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*arguments: str) -> str:
        where = ("--profile", str(tmp_path / "profile"), "--interface", "127.0.0.1", "--audio-to", "null")
        assert run(["channel", "join", *arguments, *where, "--for", "0"], 0.0) == 1
        return capsys.readouterr().err

    assert "no channel 'Charlie'; there are: Alpha, Bravo." in refused(str(mission_file), "--channel", "Charlie")
    monkeypatch.setenv("PHRASE", "correct horse battery")
    locked = tmp_path / "locked.ice"
    mission = replace(missions.read_file(mission_file), pin_digest=PinDigest.of("4711"))
    locked.write_text(missions.pack(mission, "correct horse battery"))
    assert "passphrase" in refused(str(locked))
    assert "by https alone" in refused("http://127.0.0.1/relief.ice")
    assert "PIN" in refused(str(locked), "--passphrase-from", "env:PHRASE")
