from __future__ import annotations

import json
import time
from dataclasses import replace

import pytest

from app.cli.calling import Watch
from app.cli.console import Console
from app.cli.report import call_report
from app.events import (
    CallChanged,
    CallFigures,
    CallInfo,
    CallState,
    CallStep,
    Direction,
    FiguresChanged,
    IceMoment,
    IceSnapshot,
    IceState,
    Milestones,
    MomentKind,
    SecurityInfo,
    ServerInfo,
    ServerState,
)

CONNECTED = IceMoment(0.2, MomentKind.CONNECTED, "Connected: sound and picture may flow both ways")
CHECK = IceMoment(0.1, MomentKind.CHECK, "A check left", "0", "host 192.0.2.1:4000", "host 192.0.2.2:4000")
SILENT = IceMoment(9.0, MomentKind.INTERRUPTED, "The other side is silent: the path is interrupted", "0")
SERVERS = (ServerInfo("turn.example.org:3478", "turn", "tcp", ServerState.REFUSED, problem="Wrong password."),)
ICE = IceSnapshot("controlling", IceState.COMPLETED, timeline=(CHECK, CONNECTED), servers=SERVERS, nat="No NAT.")
CALL = CallInfo("c1", Direction.OUTGOING, "sip:b@x", "b", CallState.CONNECTED, (CallStep(CallState.CONNECTED, 0.3),), 0)


def figures(ice: IceSnapshot) -> CallFigures:
    return CallFigures("c1", ice, SecurityInfo(), None, None, Milestones())


def test_each_turn_of_the_path_is_told_once(capsys: pytest.CaptureFixture[str]) -> None:
    watch = Watch(Console(time.monotonic(), as_json=True))
    watch.take(CallChanged(CALL))
    watch.take(FiguresChanged(figures(ICE)))
    watch.take(FiguresChanged(figures(replace(ICE, timeline=(CHECK, CONNECTED, SILENT)))))
    told = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    path = [line for line in told if line["event"] == "ice"]
    assert [(line["kind"], line["at"]) for line in path] == [("connected", 0.2), ("interrupted", 9.0)]


def test_a_person_reads_of_trouble_only(capsys: pytest.CaptureFixture[str]) -> None:
    watch = Watch(Console(time.monotonic(), as_json=False))
    watch.take(FiguresChanged(figures(replace(ICE, timeline=(CONNECTED, SILENT)))))
    said = capsys.readouterr().out
    assert "interrupted" in said
    assert "Connected" not in said


def test_the_report_has_the_time_line_and_the_servers() -> None:
    report = call_report(CALL, figures(ICE), ())["ice"]
    assert [moment["kind"] for moment in report["timeline"]] == ["check", "connected"]
    assert report["timeline"][0]["local"] == "host 192.0.2.1:4000"
    assert (report["servers"][0]["state"], report["servers"][0]["problem"]) == ("refused", "Wrong password.")
    assert report["nat"] == "No NAT."
    json.dumps(report)
