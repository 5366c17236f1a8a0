"""`parley listen`: takes calls, several at a time, each answered or declined, and each reported once."""

from __future__ import annotations

import argparse
import asyncio
from collections import deque
from typing import Any

from app.cli.calling import (
    END_WAIT_S,
    Watch,
    begin_recording,
    cause_of,
    empty_report,
    engine_options,
    report_of,
    summary_of,
    tell,
)
from app.cli.console import Console
from app.cli.running import Running, running
from app.engine.errors import EngineError
from app.events import (
    CallChanged,
    CallState,
    DigitReceived,
    Direction,
    Event,
    FiguresChanged,
    FileKept,
    RegistrationChanged,
    RegistrationState,
)

REMEMBERED = 64  # calls that are over: a late event about one is no new call


async def listen(args: argparse.Namespace, console: Console, started_at: float) -> int:
    """Wait for calls, answer or decline each, report each; the last report closes."""
    args.takes_calls = True
    async with running(engine_options(args, started_at)) as run:
        service = _Service(run, console, args)
        await service.serve()
        if service.last is None:
            cause = service.trouble or "Nobody called."
            if service.trouble is None:
                console.error(cause)
            console.report(empty_report(cause), "")
        else:
            console.report(service.last, "")
        return service.exit_code


class _Service:
    """All calls of one run. `last` is the report of the call that ended last; `trouble` why nobody can call."""

    def __init__(self, run: Running, console: Console, args: argparse.Namespace) -> None:
        self._run = run
        self._console = console
        self._args = args
        self._loop = asyncio.get_running_loop()
        self._deadline = None if args.for_seconds is None else self._loop.time() + args.for_seconds
        self._watches: dict[str, Watch] = {}
        self._answer_at: dict[str, float] = {}
        self._over: deque[str] = deque(maxlen=REMEMBERED)
        self._recorded: set[str] = set()  # calls whose file is not finished
        self._said_where = False
        self._refused = False
        self._taken = self._failed = 0
        self.last: dict[str, Any] | None = None
        self.trouble: str | None = None

    @property
    def exit_code(self) -> int:
        if self._refused or self._failed:
            return 1
        if self._args.calls is not None:
            return 0 if self._taken >= self._args.calls else 1
        return 0 if self._taken or self._deadline is None else 1

    async def serve(self) -> None:
        """Until there were enough calls, the time is up, somebody stops the command, or nobody could ever call."""
        while not self._refused and (self._args.calls is None or self._taken < self._args.calls):
            moments = [*self._answer_at.values(), *([] if self._deadline is None else [self._deadline])]
            event = await self._run.next_event(min(moments, default=None))
            if event is not None:
                await self._take(event)
            elif self._run.stop.is_set() or (self._deadline is not None and self._loop.time() >= self._deadline):
                break
            await self._answer_due()
        await self._hang_up_all()

    async def _take(self, event: Event) -> None:
        if isinstance(event, FiguresChanged) and event.figures.call_id in self._watches:
            self._watches[event.figures.call_id].take(event)
            return
        if isinstance(event, DigitReceived) and event.call_id in self._watches:
            self._watches[event.call_id].take(event)
            return
        if isinstance(event, FileKept):
            self._recorded.discard(event.call_id)
            self._failed += event.problem is not None
        if not isinstance(event, CallChanged):
            tell(self._console, event)
            if isinstance(event, RegistrationChanged):
                self._registered(event)
            return
        call = event.call
        if call.direction is not Direction.INCOMING or call.call_id in self._over:
            return
        watch = self._watches.setdefault(call.call_id, Watch(self._console))
        before = watch.state
        watch.take(event)
        if watch.is_over:
            await self._ended(call.call_id, watch)
        elif watch.state is CallState.CONNECTED and before is CallState.ANSWERING and self._args.record is not None:
            if await begin_recording(self._run, self._console, call.call_id, self._args.record):
                self._recorded.add(call.call_id)
            else:
                self._failed += 1
        elif watch.state is CallState.RINGING and before is not CallState.RINGING:
            wait_s = 0.0 if self._args.decline else self._args.answer_after
            self._answer_at[call.call_id] = self._loop.time() + wait_s

    def _registered(self, event: RegistrationChanged) -> None:
        """Tell once at which address this side can be called, so that a script knows when to begin."""
        if event.state is RegistrationState.FAILED:
            if self.trouble is None and not self._said_where:
                self.trouble = event.sentence or "The registration failed: check the account and its server."
                self._console.error(self.trouble)
            # What the server says about this account stays so; a server that is away is asked again.
            lasting = event.status is not None and 400 <= event.status < 500 and event.status not in (408, 480)
            self._refused = lasting and not self._said_where
        elif event.state in (RegistrationState.NONE, RegistrationState.REGISTERED) and not self._said_where:
            self._said_where, self.trouble = True, None
            registered = event.state is RegistrationState.REGISTERED
            uri = event.account if registered else event.own_uri
            self._console.event("listening", f"listening {'as' if registered else 'at'} {uri}", uri=uri)

    async def _answer_due(self) -> None:
        for call_id, at in tuple(self._answer_at.items()):
            if at <= self._loop.time():
                del self._answer_at[call_id]
                await self._answer(call_id)

    async def _answer(self, call_id: str) -> None:
        calls = self._run.engine.calls
        try:
            if self._args.decline:
                await calls.decline(call_id)
            else:
                await calls.answer(call_id, video=self._args.video_from != "none")
        except EngineError:
            return  # the caller gave up at the same moment; its event follows

    async def _ended(self, call_id: str, watch: Watch) -> None:
        del self._watches[call_id]
        self._answer_at.pop(call_id, None)
        self._over.append(call_id)
        self._taken += 1
        if not (watch.went_well or self._args.decline):
            self._failed += 1
            self._console.error(cause_of(watch))
        if self.last is not None:
            self._console.event("call-report", "", report=self.last)
        self.last = await report_of(self._run, watch)
        if not self._console.as_json:
            print(summary_of(self.last), flush=True)

    async def _hang_up_all(self) -> None:
        for call_id in tuple(self._watches):
            try:
                await self._run.engine.calls.hang_up(call_id)
            except EngineError:
                continue  # it ended at the same moment; its event follows
        self._run.stop.clear()
        deadline = self._loop.time() + END_WAIT_S
        while (self._watches or self._recorded) and (event := await self._run.next_event(deadline)) is not None:
            await self._take(event)
