"""`parley call`: one call made, with a report at the end; and what `parley listen` shares with it."""

from __future__ import annotations

import argparse
import asyncio
from dataclasses import dataclass, field
from typing import Any

from app.cli.console import Console
from app.cli.flags import passwords_of, settings_adjuster
from app.cli.report import call_report
from app.cli.running import Running, running
from app.engine.errors import EngineError
from app.engine.options import EngineOptions, HomeMode
from app.events import (
    CallChanged,
    CallInfo,
    CallState,
    DigitReceived,
    EndedBy,
    Event,
    FiguresChanged,
    FileKept,
    IceMoment,
    IceSnapshot,
    MomentKind,
    Problem,
    QualityLimit,
    RegistrationChanged,
    RegistrationState,
)

END_WAIT_S = 5.0

_WORDS = {
    CallState.GATHERING: "gathering addresses",
    CallState.INVITING: "calling",
    CallState.PREPARING: "a call is coming in",
    CallState.CONNECTING: "looking for the best path",
    CallState.RINGING: "ringing",
    CallState.ANSWERING: "answered",
    CallState.CONNECTED: "connected",
    CallState.INTERRUPTED: "the path is silent",
    CallState.ENDING: "ending",
    CallState.ENDED: "ended",
}

# Moments of the path that are worth a line while the call goes on; True: for a person too.
_PATH = {
    MomentKind.GATHERED: False,
    MomentKind.ROLE: False,
    MomentKind.CONNECTED: False,
    MomentKind.COMPLETED: False,
    MomentKind.SILENT: False,
    MomentKind.INTERRUPTED: True,
    MomentKind.RECOVERED: True,
    MomentKind.EXPIRED: True,
    MomentKind.REACHABLE: False,
    MomentKind.RESTART: True,
    MomentKind.RESTARTED: True,
    MomentKind.RESTART_FAILED: True,
    MomentKind.RELAY_LOST: True,
    MomentKind.FAILED: True,
}


def engine_options(args: argparse.Namespace, started_at: float, home: HomeMode = HomeMode.ON_DEMAND) -> EngineOptions:
    """What every command of this kind asks of the engine: nothing that was not configured is sent anywhere."""
    return EngineOptions(
        profile=args.profile,
        adjust=settings_adjuster(args),
        passwords=passwords_of(args),
        home=home,
        neighbours=False,
        watch_presence=False,
        ring=False,
        take_calls=getattr(args, "takes_calls", False),
        keep_missions=False,
        clock_zero=started_at,
        sip_trace_file=args.sip_trace,
        pcap_file=args.pcap,
    )


@dataclass
class Watch:
    """Follows one call and tells of every new state, and of what happens to its path."""

    console: Console
    states_told: int = 0
    info: CallInfo | None = None
    is_recorded: bool = False  # and the file is not finished
    fell_short: bool = False  # something beside the call itself was asked for and not done
    path_told: set[IceMoment] = field(default_factory=set)
    timeline: tuple[IceMoment, ...] = ()  # that was looked through last
    limits_told: set[tuple[str, str, bool]] = field(default_factory=set)

    def take(self, event: Event) -> None:
        if isinstance(event, CallChanged):
            self.info = event.call
            for step in event.call.steps[self.states_told :]:
                words = _WORDS[step.state]
                facts: dict[str, Any] = {"call": event.call.call_id, "state": step.state.value}
                if step.state is CallState.ENDED and event.call.end is not None:
                    end = event.call.end
                    facts |= {"by": end.by.value, "cause": end.sentence, "status": end.status}
                    words = f"ended: {end.sentence}"
                elif step.state in (CallState.PREPARING, CallState.GATHERING):
                    facts |= {"remote": event.call.remote_uri, "direction": event.call.direction.value}
                    words = f"{words}: {event.call.remote_name}"
                self.console.event("call", words, **facts)
            self.states_told = len(event.call.steps)
            return
        if isinstance(event, DigitReceived):
            self.console.event("digit", f"the other side pressed {event.digit}", call=event.call_id, digit=event.digit)
            return
        if isinstance(event, FiguresChanged) and event.figures.ice is not None:
            self._tell_path(event.figures.call_id, event.figures.ice)
        if isinstance(event, FiguresChanged) and event.figures.quality is not None:
            self._tell_limits(event.figures.call_id, event.figures.quality.limits)
        if isinstance(event, FileKept):
            self.is_recorded = False
            self.fell_short |= event.problem is not None
        tell(self.console, event)

    def _tell_limits(self, call_id: str, limits: tuple[QualityLimit, ...]) -> None:
        """Say when something begins to limit the call; a mild thing is for scripts only."""
        if self.info is not None and call_id != self.info.call_id:
            return
        for limit in limits:
            if (limit.about, limit.cause, limit.is_theirs) not in self.limits_told:
                facts = {"call": call_id, "about": limit.about, "cause": limit.cause, "theirs": limit.is_theirs}
                self.console.event("limit", "" if limit.is_mild else limit.sentence, sentence=limit.sentence, **facts)
        self.limits_told = {(limit.about, limit.cause, limit.is_theirs) for limit in limits}

    def _tell_path(self, call_id: str, ice: IceSnapshot) -> None:
        if self.info is not None and call_id != self.info.call_id:
            return
        if ice.timeline is self.timeline:
            return
        self.timeline = ice.timeline
        for moment in ice.timeline:
            if moment.kind in _PATH and moment not in self.path_told:
                self.path_told.add(moment)
                facts = {"call": call_id, "kind": moment.kind.value, "text": moment.text, "flow": moment.flow}
                self.console.event("ice", moment.text if _PATH[moment.kind] else "", at=round(moment.at, 4), **facts)

    @property
    def state(self) -> CallState | None:
        return self.info.state if self.info is not None else None

    @property
    def is_over(self) -> bool:
        return self.state is CallState.ENDED

    @property
    def went_well(self) -> bool:
        """Connected, and not ended by a failure."""
        info = self.info
        return (
            info is not None
            and info.connected_at is not None
            and not (info.end is not None and info.end.by is EndedBy.FAILURE)
        )


def tell(console: Console, event: Event) -> None:
    """What is worth a line although it is not about a call's state."""
    if isinstance(event, Problem):
        of_call = event.about == "call"  # why it does not go on: no news of its course, and read where errors are
        words = "" if of_call else event.sentence
        console.event("problem", words, about=event.about, sentence=event.sentence, call=event.call_id)
        if of_call:
            console.error(event.sentence)
    elif isinstance(event, FileKept):
        facts = {"call": event.call_id, "path": event.path, "seconds": round(event.seconds, 1)}
        console.event("recorded", f"recorded {event.seconds:.0f} s to {event.path}", **facts, problem=event.problem)
        if event.problem is not None:
            console.error(event.problem)
    elif isinstance(event, RegistrationChanged) and event.state is not RegistrationState.NONE:
        console.event(
            "registration",
            event.sentence or event.state.value,
            state=event.state.value,
            status=event.status,
            sentence=event.sentence,
        )
    elif isinstance(event, FiguresChanged) and console.as_json:
        audio, video, quality = event.figures.audio, event.figures.video, event.figures.quality
        console.event(
            "figures",
            "",
            call=event.figures.call_id,
            audio_received=audio.packets_received if audio else None,
            rtt_ms=audio.rtt_ms if audio else None,
            output_level_dbfs=audio.output_level_dbfs if audio else None,
            frames_decoded=video.frames_decoded if video else None,
            width=video.width if video else None,
            height=video.height if video else None,
            score=round(quality.score, 2) if quality and quality.score is not None else None,
        )


# parley call ----------------------------------------------------------------------------------------------


async def call(args: argparse.Namespace, console: Console, started_at: float) -> int:
    """Call somebody, talk for as long as was asked, hang up, report."""
    async with running(engine_options(args, started_at)) as run:
        watch = Watch(console)
        try:
            call_id = await run.engine.calls.place(args.target, video=args.video_from != "none")
        except EngineError as error:
            console.error(str(error))
            console.report(empty_report(str(error)), "")
            return 1
        await _talk(run, watch, call_id, args)
        await _hang_up(run, watch, call_id)
        if watch.is_recorded:
            await _wait_for_recording(run, watch)
        report = await report_of(run, watch)
        console.report(report, summary_of(report))
        if not watch.went_well:
            console.error(cause_of(watch))
        return 0 if watch.went_well and not watch.fell_short else 1


async def _talk(run: Running, watch: Watch, call_id: str, args: argparse.Namespace) -> None:
    """Until the call is over, its time is up, or somebody stops the command; keys are pressed once it is connected."""
    digits, record, for_seconds = args.digits, args.record, args.for_seconds
    loop = asyncio.get_running_loop()
    deadline: float | None = None
    while True:
        event = await run.next_event(deadline)
        if event is None:
            return
        if isinstance(event, CallChanged) and event.call.call_id != call_id:
            continue
        watch.take(event)
        if watch.is_over:
            return
        if watch.state is CallState.CONNECTED and digits:
            try:
                await run.engine.calls.send_digits(call_id, digits)
            except EngineError as error:  # it is put on hold, or ends, at this moment
                watch.console.error(str(error))
                watch.fell_short = True
            digits = None
        if watch.state is CallState.CONNECTED and deadline is None and for_seconds is not None:
            deadline = loop.time() + for_seconds
        if watch.state is CallState.CONNECTED and record is not None:
            watch.is_recorded = await begin_recording(run, watch.console, call_id, record)
            watch.fell_short |= not watch.is_recorded
            record = None


async def begin_recording(run: Running, console: Console, call_id: str, path: str) -> bool:
    """Record a call from now on; False where that fails: the call goes on without."""
    try:
        made = await run.engine.media.record(call_id, path)
        console.event("recording", f"recording to {made}", path=made, call=call_id)
    except EngineError as error:
        console.error(str(error))
        return False
    return True


async def _wait_for_recording(run: Running, watch: Watch) -> None:
    """The file is whole only after the call's end; what became of it is told as any event."""
    run.stop.clear()
    deadline = asyncio.get_running_loop().time() + END_WAIT_S
    while (event := await run.next_event(deadline)) is not None:
        watch.take(event)
        if not watch.is_recorded:
            return


async def _hang_up(run: Running, watch: Watch, call_id: str) -> None:
    if watch.is_over:
        return
    try:
        await run.engine.calls.hang_up(call_id)
    except EngineError:
        return  # it ended at the same moment
    run.stop.clear()
    deadline = asyncio.get_running_loop().time() + END_WAIT_S
    while (event := await run.next_event(deadline)) is not None:
        watch.take(event)
        if watch.is_over:
            return


async def report_of(run: Running, watch: Watch) -> dict[str, Any]:
    info = watch.info
    if info is None:
        return empty_report("Nothing happened.")
    figures = await run.engine.calls.figures(info.call_id)
    return call_report(info, figures, await run.engine.calls.sip_trace(info.call_id))


def empty_report(cause: str) -> dict[str, Any]:
    ended = {"by": EndedBy.FAILURE.value, "cause": cause, "status": None}
    nothing = dict.fromkeys(("ice", "security", "audio", "video", "transport", "quality", "milestones"))
    return {"ended": ended, "states": [], "sip": [], "digits": "", **nothing}


def cause_of(watch: Watch) -> str:
    end = watch.info.end if watch.info is not None else None
    return (end.sentence if end is not None else None) or "The call did not get connected."


def summary_of(report: dict[str, Any]) -> str:
    lines = []
    parts = ("ice", "audio", "video", "security", "quality")
    ice, audio, video, security, quality = (report.get(part) or {} for part in parts)
    selected = next((pair for pair in ice.get("pairs", ()) if pair["selected"]), None)
    if selected is not None:
        local, remote = ice["local"][selected["local"]], ice["remote"][selected["remote"]]
        how = "relayed" if "relay" in (local["type"], remote["type"]) else "direct"
        rtt = "" if selected["rtt"] is None else f", {selected['rtt'] * 1000:.1f} ms round trip"
        lines.append(
            f"path      {how}: {local['address']}:{local['port']} ({local['type']}) to "
            f"{remote['address']}:{remote['port']} ({remote['type']}){rtt}"
        )
    if security.get("media"):
        lines.append(f"security  {security['media']}, signalling {security['signalling']}")
    if audio:
        level = "silent" if audio["level_dbfs"] is None else f"{audio['level_dbfs']:.1f} dBFS"
        lines.append(
            f"sound     {audio['codec']}, {audio['packets_received']} packets received, {audio['lost']} lost, {level}"
        )
    if video and video["frames_decoded"]:
        lines.append(
            f"picture   {video['codec']}, {video['width']}x{video['height']}, {video['frames_decoded']} frames"
        )
    if quality.get("score_average") is not None:
        delay = "" if audio["total_delay_ms"] is None else f", {audio['total_delay_ms']:.0f} ms from mouth to ear"
        average, worst = quality["score_average"], quality["score_worst"]
        lines.append(f"quality   {average:.1f} of 5 over the call, {worst:.1f} at its worst{delay}")
    lines += [f"limited   {past['seconds']:.0f} s: {past['sentence']}" for past in quality.get("limited", ())]
    lines += [f"problem   {sentence}" for sentence in ice.get("problems", ())]
    return "\n".join(lines)
