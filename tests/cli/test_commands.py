"""The commands as programs: exit codes, JSON lines, and what goes to stderr."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.heard import sounds
from tests.seen import stamps

MEDIA = [
    "--audio-from",
    "tone:440",
    "--audio-to",
    "null",
    "--video-from",
    "pattern",
    "--size",
    "320x240",
    "--fps",
    "15",
]
LOOPBACK = ["--interface", "127.0.0.1"]


def parley(*arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "app", *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def lines_of(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def test_a_call_to_echo_ends_with_a_report_and_its_recording(profile_dir: Path, tmp_path: Path) -> None:
    talk = tmp_path / "talk.mkv"
    flags = ("--profile", str(profile_dir), "--json", "--record", str(talk))
    program = parley("call", "echo", "--for", "2", *flags, *MEDIA, *LOOPBACK)
    out, err = program.communicate(timeout=50)
    assert program.returncode == 0, err
    *events, last = lines_of(out)
    assert all("event" in line and line["at"] >= 0 for line in events)
    (recorded,) = [line for line in events if line["event"] == "recorded"]
    assert (recorded["path"], recorded["problem"]) == (str(talk), None)
    assert len(sounds(talk)[0]) / 48_000 == pytest.approx(recorded["seconds"], abs=0.2)
    assert len(set(stamps(talk))) > 10
    report = last["report"]
    assert "connected" in [step["state"] for step in report["states"]]
    assert report["ice"]["state"] == "completed"
    kinds = [moment["kind"] for moment in report["ice"]["timeline"]]
    assert kinds.index("check") < kinds.index("answer") < kinds.index("completed")
    assert "connected" in [line["kind"] for line in events if line["event"] == "ice"]
    assert report["security"]["media"] == "dtls-srtp"
    assert report["audio"]["level_dbfs"] > -30
    assert report["video"]["frames_decoded"] > 10
    assert 1 <= report["quality"]["score_worst"] <= report["quality"]["score_average"] <= 4.5
    assert all(limited["sentence"] and limited["seconds"] >= 0 for limited in report["quality"]["limited"])
    assert report["audio"]["total_delay_ms"] > report["audio"]["delay_ms"] > 0
    assert report["audio"]["remote_loss_percent"] == 0
    assert report["transport"]["rtt_ms"] > 0
    assert [line["score"] for line in events if line["event"] == "figures"][-1] >= 1
    order = ["invite_sent", "ringing", "answered", "first_audio"]
    times = [report["milestones"][name] for name in order]
    assert times == sorted(times)
    lines = [entry["line"] for entry in report["sip"]]
    assert lines[0].startswith("INVITE")
    assert any(line.startswith("PRACK") for line in lines)


def test_a_target_that_cannot_be_called_is_one_sentence_and_1(profile_dir: Path) -> None:
    program = parley("call", "nobody here", "--profile", str(profile_dir), "--json", *LOOPBACK)
    out, err = program.communicate(timeout=30)
    assert program.returncode == 1
    assert err.startswith("parley: Nobody in the list")
    assert len(err.splitlines()) == 1
    assert lines_of(out)[-1]["report"]["ended"]["by"] == "failure"


def test_wrong_usage_is_2() -> None:
    program = parley("call")
    _, err = program.communicate(timeout=30)
    assert program.returncode == 2
    assert "TARGET" in err


def test_listen_says_where_and_stops_at_ctrl_c(profile_dir: Path) -> None:
    program = parley("listen", "--profile", str(profile_dir), "--json", *MEDIA, *LOOPBACK)
    assert program.stdout is not None
    for line in program.stdout:
        event = json.loads(line)
        if event["event"] == "listening":
            assert event["uri"].startswith("sip:")
            break
    program.send_signal(signal.SIGINT)
    out, err = program.communicate(timeout=30)
    assert lines_of(out)[-1]["report"]["ended"]["cause"] == "Nobody called."
    assert "Traceback" not in err


def test_home_serves_for_a_while_and_hides_passwords(profile_dir: Path) -> None:
    program = parley(
        *("home", "--listen", "127.0.0.1", "--sip-port", "46060", "--turn-port", "46478", "--user", "ada:hunter2"),
        *("--for", "0.5", "--json", "--log-level", "debug", "--profile", str(profile_dir)),
    )
    out, err = program.communicate(timeout=30)
    assert program.returncode == 0, err
    serving = lines_of(out)[0]
    assert serving["event"] == "serving"
    assert (serving["sip"], serving["turn"], serving["turns"]) == ("127.0.0.1:46060", "127.0.0.1:46478", None)
    assert "hunter2" not in out + err


def test_doctor_makes_a_call_to_itself_and_finds_nothing_wrong(profile_dir: Path) -> None:
    program = parley("doctor", "--profile", str(profile_dir), "--json", *LOOPBACK)
    out, err = program.communicate(timeout=50)
    assert program.returncode == 0, out + err
    checks = {check["about"]: check["fine"] for check in lines_of(out)[-1]["report"]["checks"]}
    assert checks["call"] is True
    assert checks["network"] is True


def test_doctor_names_a_dead_turn_server(profile_dir: Path) -> None:
    dead = ["--turn", "turn:127.0.0.1:9", "--turn-user", "ada"]
    program = parley("doctor", "--profile", str(profile_dir), "--json", *dead, *LOOPBACK)
    out, _ = program.communicate(timeout=50)
    assert program.returncode == 1
    wrong = lines_of(out)[-1]["report"]["wrong"]
    assert len(wrong) == 1
    assert "127.0.0.1:9" in wrong[0]
