"""`parley doctor`: examines everything a call needs and says what is wrong."""

from __future__ import annotations

import argparse
import asyncio
from dataclasses import replace

from app.cli.calling import engine_options
from app.cli.console import Console
from app.cli.report import network_report
from app.cli.running import Running, running
from app.engine.errors import EngineError
from app.engine.network_report import NetworkReport
from app.engine.options import EngineOptions
from app.events import CallChanged, CallState
from app.settings import Settings

CALL_S = 2.0
CALL_LIMIT_S = 15.0
_MARKS = {True: "fine ", False: "WRONG", None: "-    "}


async def doctor(args: argparse.Namespace, console: Console, started_at: float) -> int:
    """Run every check; 1 when something is wrong."""
    options = _with_test_media(engine_options(args, started_at))
    async with running(options) as run:
        examination = await run.engine.diagnosis.examine()
        findings = examination.findings
        for finding in findings:
            _tell(console, finding.about, finding.fine, finding.sentence)
        _tell_reach(console, examination.network)
        fine, sentence = await _call_itself(run)
        _tell(console, "call", fine, sentence)
    wrong = [finding.sentence for finding in findings if finding.fine is False] + ([] if fine else [sentence])
    words = "Everything needed for a call works." if not wrong else f"{len(wrong)} of the checks found something wrong."
    console.report(
        {
            "wrong": wrong,
            "checks": [
                *({"about": f.about, "fine": f.fine, "sentence": f.sentence} for f in findings),
                {"about": "call", "fine": fine, "sentence": sentence},
            ],
            "network": network_report(examination.network),
        },
        words,
    )
    return 1 if wrong else 0


def _with_test_media(options: EngineOptions) -> EngineOptions:
    """The call to itself uses a tone and a test picture, so that it tells of the network and not of the room."""
    before = options.adjust

    def adjust(settings: Settings) -> Settings:
        settings = before(settings)
        media = replace(settings.media, audio_from="tone:440", audio_to="null", video_from="pattern", video_to="null")
        return replace(settings, media=media)

    return replace(options, adjust=adjust)


def _tell(console: Console, about: str, fine: bool | None, sentence: str) -> None:
    console.event("check", f"{_MARKS[fine]}  {about:13} {sentence}", about=about, fine=fine, sentence=sentence)


def _tell_reach(console: Console, network: NetworkReport) -> None:
    """Print the table of who can be reached; scripts read it in the report."""
    if console.as_json or not network.reach:
        return
    print("\nWho can be reached, and how:")
    for row in network.reach:
        print(f"  {row.who:39} {row.how:21} {row.reason}")
    print(flush=True)


async def _call_itself(run: Running) -> tuple[bool, str]:
    """A whole call to the echo contact of this machine: SIP, ICE, DTLS-SRTP, sound and picture and back."""
    try:
        call_id = await run.engine.calls.place("echo")
    except EngineError as error:
        return False, f"A call to this machine itself cannot be made: {error}"
    loop = asyncio.get_running_loop()
    deadline = loop.time() + CALL_LIMIT_S
    hang_up_at: float | None = None
    while (event := await run.next_event(hang_up_at or deadline)) is not None:
        if not isinstance(event, CallChanged) or event.call.call_id != call_id:
            continue
        if event.call.state is CallState.CONNECTED and hang_up_at is None:
            hang_up_at = loop.time() + CALL_S
        elif event.call.state is CallState.ENDED:
            cause = event.call.end.sentence if event.call.end is not None else None
            return False, cause or "The call to this machine itself ended early."
    figures = await run.engine.calls.figures(call_id)
    await run.engine.calls.hang_up(call_id)
    if figures is None or hang_up_at is None:
        return False, "The call to this machine itself did not get connected."
    heard = figures.audio is not None and figures.audio.packets_received > 0
    seen = figures.video is not None and figures.video.frames_decoded > 0
    if heard and seen:
        return True, "A call to this machine itself was heard and seen."
    return False, f"In a call to this machine itself nothing was {'seen' if heard else 'heard'}."
