"""`parley mission`: files in and out, reports, exit codes, and nothing overwritten or shown that should not be."""

from __future__ import annotations

import io
import json
import stat
import sys
from pathlib import Path
from typing import Any

import pytest

from app.cli.main import run
from tests.channels.missions import KEY, mission_json, speech
from tests.web import web_server


@pytest.fixture
def parley(capsys: pytest.CaptureFixture[str]):
    def call(*arguments: str) -> tuple[int, str, str]:
        try:
            code = run(["mission", *arguments], 0.0)
        except SystemExit as ended:
            code = int(ended.code or 0)
        out, err = capsys.readouterr()
        return code, out, err

    return call


def report_of(out: str) -> dict[str, Any]:
    (line,) = out.splitlines()
    report: dict[str, Any] = json.loads(line)["report"]
    return report


def test_a_mission_is_read_from_a_web_address(parley, tmp_path: Path) -> None:
    assert parley("new", "Relief", "--channel", "Alpha", "-o", str(tmp_path / "relief.ice"))[0] == 0
    with web_server(tmp_path / "web", {"/relief.ice": (tmp_path / "relief.ice").read_bytes()}) as web:
        known = ("--ca-file", str(web.ca))
        code, out, err = parley("show", f"{web.url}/relief.ice", *known, "--json")
        assert (code, err, report_of(out)["name"]) == (0, "", "Relief")
        code, out, err = parley("verify", f"{web.url}/relief.ice")
        assert (code, out) == (1, "")
        assert "unknown authority" in err
        code, out, err = parley("unpack", f"{web.url.replace('https', 'http')}/relief.ice")
        assert (code, out) == (1, "")
        assert "by https alone" in err
        assert web.asked == ["/relief.ice"]


def test_a_mission_from_wishes_to_json(parley, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PASSPHRASE", "correct horse")
    monkeypatch.setenv("PIN", "2580")
    file, picture = tmp_path / "relief.ice", tmp_path / "relief.svg"
    channels = ("--channel", "Alpha", "--channel", "Bravo=239.192.7.2:18002")
    servers = ("--rallypoint", "rp.example.org", "--failover-after", "5")
    more = ("--expires", "2199-12-31", "--pin-from", "env:PIN", "--passphrase-from", "env:PASSPHRASE")
    code, out, err = parley(
        "new", "Relief", *channels, *servers, *more, "-o", str(file), "--qr", str(picture), "--json"
    )
    assert (code, err) == (0, "")
    report = report_of(out)
    assert (report["file"], report["qr"], report["encrypted"], report["fits_qr"]) == (
        str(file),
        [str(picture)],
        True,
        True,
    )
    assert report["packed"] is None
    assert report["bytes"] == len(file.read_text().rstrip())
    assert picture.read_text().startswith("<?xml")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600

    unlock = ("--passphrase-from", "env:PASSPHRASE")
    code, out, err = parley("show", str(file), *unlock, "--json")
    seen = report_of(out)
    assert (code, err, seen["has_pin"], seen["expires"]) == (0, "", True, "2199-12-31T23:59:59.999Z")
    bravo = next(each for each in seen["channels"] if each["name"] == "Bravo")
    assert (bravo["receives_at"], bravo["encrypted"], bravo["kind"]) == ("239.192.7.2:18002", True, "audio")
    assert bravo["codec"] == "Opus 24 kb/s"
    assert (bravo["encoder"], bravo["framing_ms"], bravo["failover_after_s"]) == (29, 20, 5)
    assert bravo["rallypoints"] == ["rp.example.org:7443"]

    plain = tmp_path / "relief.json"
    assert parley("unpack", str(file), *unlock, "-o", str(plain))[0] == 0
    keys = [group["cryptoPassword"] for group in json.loads(plain.read_text())["groups"]]
    assert len(set(keys)) == 3
    code, shown, _ = parley("show", str(plain))
    assert code == 0
    assert "Bravo" in shown
    assert not any(key in shown for key in keys)
    assert parley("unpack", str(plain))[1] == plain.read_text()
    code, packed, _ = parley("pack", str(plain))
    assert code == 0
    again = tmp_path / "again.ice"
    again.write_text(packed)
    code, out, _ = parley("verify", str(again), "--json")
    assert (code, report_of(out)["id"]) == (0, seen["id"])


def test_a_mission_through_stdin_and_with_a_page(parley, monkeypatch: pytest.MonkeyPatch) -> None:
    class Stdin:
        buffer = io.BytesIO(mission_json(speech(cryptoPassword=KEY)).encode())

    monkeypatch.setattr(sys, "stdin", Stdin)
    code, out, _ = parley("pack", "-", "--page", "https://example.org/join", "--json")
    assert code == 0
    assert report_of(out)["packed"].startswith("https://example.org/join/??")


def test_verify_says_what_may_not_be_meant(parley, tmp_path: Path) -> None:
    file = tmp_path / "clear.json"
    file.write_text(mission_json(speech()))
    code, out, _ = parley("verify", str(file))
    assert code == 0
    assert "note: Alpha is clear" in out
    code, out, _ = parley("show", str(file), "--qr")
    assert code == 0
    assert "▀" in out


def test_a_file_that_is_there_is_kept(parley, tmp_path: Path) -> None:
    file, picture = tmp_path / "relief.ice", tmp_path / "relief.png"
    picture.write_text("mine")
    make = ("new", "Relief", "--channel", "Alpha", "-o", str(file), "--qr", str(picture))
    code, _, err = parley(*make)
    assert code == 1
    assert "relief.png is there already" in err
    assert not file.exists()
    assert picture.read_text() == "mine"
    assert parley(*make, "--force")[0] == 0
    code, out, _ = parley("unpack", str(picture))
    assert code == 0
    assert out == parley("unpack", str(file))[1]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (
            mission_json(speech(cryptoPassword="")),
            "groups[0].cryptoPassword is empty; a clear channel leaves the field out.",
        ),
        (
            mission_json(speech(), parleyExpires="2020-01-01T00:00Z"),
            "The mission Relief ended on 2020-01-01T00:00:00.000Z.",
        ),
        ("nothing", "This is no mission file, or one that another program encrypted in a way Parley cannot read."),
        (None, "cannot be read (no such file or directory)."),
    ],
)
def test_what_cannot_be_used_is_one_sentence_and_1(parley, tmp_path: Path, text: str | None, sentence: str) -> None:
    file = tmp_path / "relief.ice"
    if text is not None:
        file.write_text(text)
    code, out, err = parley("verify", str(file), "--json")
    assert (code, out) == (1, "")
    assert err.startswith("parley: ")
    assert err.endswith(sentence + "\n")
    assert err.count("\n") == 1


def test_an_encrypted_mission_wants_its_passphrase(parley, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file, secret = tmp_path / "relief.ice", tmp_path / "secret"
    secret.write_text("correct horse\n")
    code, _, err = parley("new", "R", "--channel", "A", "-o", str(file), "--passphrase-from", f"file:{secret}")
    assert (code, err) == (0, "")
    code, _, err = parley("show", str(file))
    assert (code, err) == (1, "parley: The mission is encrypted: its passphrase is needed.\n")


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("new", "Relief"),
        ("new", "Relief", "--channel", "=239.1.1.1:1"),
        ("new", "Relief", "--channel", "A=239.1.1.1"),
        ("new", "Relief", "--channel", "A", "--qr", "relief.gif"),
        ("new", "Relief", "--channel", "A", "--expires", "soon"),
        ("show", "relief.ice", "--passphrase-from", "correct horse"),
        ("pack",),
    ],
)
def test_wrong_usage_is_2(parley, arguments: tuple[str, ...]) -> None:
    code, _, err = parley(*arguments)
    assert code == 2
    assert "usage:" in err


def test_what_rallypoints_ask_for_travels_in_the_mission(
    parley, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORD", "a long password")
    authority = tmp_path / "authority.pem"
    authority.write_text("-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n")
    file = tmp_path / "relief.ice"
    made = ("new", "Relief", "--channel", "Alpha", "--rallypoint", "rp.example.org", "-o", str(file), "--force")
    login = ("--rallypoint-websocket", "--rallypoint-user", "relief", "--rallypoint-password-from", "env:WORD")
    assert parley(*made, "--rallypoint-ca", str(authority), *login)[0] == 0
    code, out, _ = parley("unpack", str(file))
    (rallypoint,) = json.loads(out)["groups"][1]["rallypointCluster"]["rallypoints"]
    assert rallypoint["caCertificates"] == [authority.read_text()]
    assert (rallypoint["user"], rallypoint["password"], rallypoint["websocket"]) == ("relief", "a long password", True)
    code, _, err = parley(*made, "--rallypoint-cert", str(authority))
    assert code == 1
    assert "belong together" in err
    assert parley(*made, "--rallypoint-ca", str(file))[0] == 2
