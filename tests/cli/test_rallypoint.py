"""`parley rallypoint` as a program: what it prints, how it ends, and that nothing outlives it."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from app.cli.main import run
from tests.channels.rallypoints import MISSING, SERVER, free_ports


@pytest.mark.skipif(SERVER is None, reason=MISSING)
@pytest.mark.skipif(sys.platform != "linux", reason="a child that dies with its parent")
def test_it_tells_missions_where_it_is_and_its_server_does_not_outlive_it(profile_dir: Path) -> None:
    (port,) = free_ports(1)
    program = subprocess.Popen(
        [
            *(sys.executable, "-m", "app", "rallypoint", "--profile", profile_dir, "--json"),
            *("--listen", "127.0.0.1", "--port", str(port), "--advertise", "rally.example.org:443"),
        ],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert program.stdout is not None
    told = {}
    while "serving" not in told:
        line = json.loads(program.stdout.readline())
        told[line["event"]] = line
    assert (told["mission-line"]["host"], told["mission-line"]["port"]) == ("rally.example.org", 443)
    assert len(told["mission-line"]["fingerprint"]) == 95
    assert "open" in told
    program.send_signal(signal.SIGKILL)
    program.wait()
    server = Path(f"/proc/{told['serving']['pid']}")
    deadline = time.monotonic() + 10
    while server.exists() and b"nats" in (server / "cmdline").read_bytes():
        assert time.monotonic() < deadline
        time.sleep(0.01)
    program.stdout.close()


def test_the_configuration_alone_is_for_its_owner(
    profile_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("WORD", "a long password")
    out = tmp_path / "nats.conf"
    arguments = ["rallypoint", "--profile", str(profile_dir), "--config-out", str(out)]
    assert run([*arguments, "--user", "relief", "--password-from", "env:WORD"], 0.0) == 0
    assert out.stat().st_mode & 0o077 == 0
    assert "a long password" in out.read_text()
    assert "a long password" not in capsys.readouterr().out
    assert run(arguments, 0.0) == 1
    assert "is there already" in capsys.readouterr().err


@pytest.mark.parametrize(
    "wrong", [["--user", "a b"], ["--token-from", "env:NOBODY_SET_THIS"], ["--peer", "a@b:1"], ["--listen", "a b"]]
)
def test_wrong_usage_is_2(wrong: list[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        run(["rallypoint", *wrong], 0.0)
    assert ended.value.code == 2
