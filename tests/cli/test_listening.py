"""What `parley listen` prints of calls whose events are made up here."""

from __future__ import annotations

import argparse
import asyncio
import json
import time
from types import SimpleNamespace

import pytest

from app.cli.calling import empty_report
from app.cli.console import Console
from app.cli.listening import _Service
from app.cli.report import call_report
from app.cli.running import Running
from app.events import (
    CallChanged,
    CallFigures,
    CallInfo,
    CallState,
    CallStep,
    DigitReceived,
    Direction,
    Event,
    FiguresChanged,
    FileKept,
    Milestones,
    SecurityInfo,
)

FIGURES = CallFigures("c1", None, SecurityInfo(), None, None, Milestones())


def call(*states: CallState) -> CallChanged:
    steps = tuple(CallStep(state, 0.1) for state in states)
    connected_at = 1.0 if CallState.CONNECTED in states else None
    return CallChanged(CallInfo("c1", Direction.INCOMING, "sip:b@x", "b", states[-1], steps, 0, connected_at))


async def served(events: list[Event]) -> _Service:
    """Let one call happen."""

    async def quietly(*args: object, **kwargs: object) -> str:
        return "talk.mkv"

    async def known(*args: object) -> CallFigures:
        return FIGURES

    async def nothing(*args: object) -> tuple[()]:
        return ()

    calls = SimpleNamespace(answer=quietly, hang_up=quietly, figures=known, sip_trace=nothing)
    queue: asyncio.Queue[Event] = asyncio.Queue()
    for event in events:
        queue.put_nowait(event)
    run = Running(SimpleNamespace(calls=calls, media=SimpleNamespace(record=quietly)), queue)  # type: ignore[arg-type]
    args = argparse.Namespace(
        for_seconds=None, calls=1, decline=False, answer_after=0.0, record="talk.mkv", video_from="none"
    )
    service = _Service(run, Console(time.monotonic(), as_json=True), args)
    await asyncio.wait_for(service.serve(), 5)
    return service


TAKEN = (CallState.RINGING, CallState.ANSWERING, CallState.CONNECTED)


@pytest.mark.parametrize("problem", [None, "The recording has ended: the disk is full."])
async def test_each_event_of_a_call_is_told_once_and_its_recording_waited_for(
    problem: str | None, capsys: pytest.CaptureFixture[str]
) -> None:
    service = await served(
        [
            call(*TAKEN[:1]),
            call(*TAKEN[:2]),
            call(*TAKEN),
            FiguresChanged(FIGURES),
            DigitReceived("c1", "5"),
            call(*TAKEN, CallState.ENDED),
            FileKept("c1", "talk.mkv", 1.0, problem),
        ]
    )
    out, err = capsys.readouterr()
    kinds = [line["event"] for line in map(json.loads, out.splitlines()) if line["event"] != "call"]
    assert kinds == ["recording", "figures", "digit", "recorded"]
    assert service.exit_code == (0 if problem is None else 1)
    assert (problem or "") in err


def test_a_call_that_never_was_has_the_report_of_any_other() -> None:
    info = call(CallState.ENDED).call
    assert set(call_report(info, None, ())) - {"remote", "poorer"} == set(empty_report("Nobody called."))
