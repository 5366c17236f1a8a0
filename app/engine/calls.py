"""The person's calls as the engine runs them: rings, figures four times a second, history, and who is told what."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace

from app.calls.call import Call
from app.calls.manager import CallManager
from app.calls.restarts import NetworkChange
from app.calls.rtcp_apart import rtcp_flow
from app.calls.services import CallServices, TellProblem
from app.diagnosis.quality import QualityMonitor
from app.engine.call_sounds import CallSounds
from app.engine.history import history_entry
from app.engine.people import People
from app.events import (
    CallChanged,
    CallFigures,
    CallState,
    DigitReceived,
    Event,
    FiguresChanged,
    Problem,
)
from app.frames import FrameMailbox
from app.ice.config import IceConfig
from app.ice.pool import IcePool
from app.ice.servers import forget_network
from app.owned_tasks import OwnedTasks
from app.settings import Settings
from app.sip.events import SipEvent

TICK_S, IDLE_TICK_S = 0.25, 1.0
REFILL_AFTER_S = 1.0  # who has called may well call again, unless the program ends with the call
KEPT_ENDED = 50  # how many ended calls still answer for their figures and messages


@dataclass(frozen=True, slots=True)
class EndedCall:
    """What is left of a call that is over."""

    figures: CallFigures
    sip_ids: frozenset[str]


class EngineCalls:
    """Wraps the call manager of the person's endpoint."""

    def __init__(
        self,
        services: CallServices,
        people: People,
        publish: Callable[[Event], None],
        *,
        ring: bool,
        on_connected: Callable[[], None],
        on_idle: Callable[[], None],
    ) -> None:
        self._publish = publish
        self._people = people
        self._services = services
        self._on_connected = on_connected
        self._on_idle = on_idle
        self._sounds = CallSounds(ring=ring)
        self._sip_ids: dict[str, set[str]] = {}
        self._ended: dict[str, EndedCall] = {}
        self._monitors: dict[str, QualityMonitor] = {}
        self._saved_connected: set[str] = set()
        self._tasks = OwnedTasks("calls")
        self._saving = OwnedTasks("history")
        self._pool = IcePool()
        self._refill_at: float | None = None
        self._begun = asyncio.Event()  # a call, or something in one
        services = replace(services, ice_config=replace(services.ice_config, pool=self._pool))
        services = services_with(services, self._changed, self._problem, self._key)
        self.manager = CallManager(services, on_ended=self._call_ended)

    def start(self) -> None:
        self._tasks.start(self._tick(), "figures")

    def update(self, settings: Settings, ice_config: IceConfig) -> None:
        """Use other settings for the calls that begin from now on."""
        self._pool.drop()
        self.manager.update(settings, replace(ice_config, pool=self._pool))

    def expect_call(self, *, video: bool) -> None:
        """Gather ahead: somebody begins to dial. Whom, nobody knows yet, so RTCP gets a path of its own too."""
        flows = [flow for name in (("0", "1") if video else ("0",)) for flow in (name, rtcp_flow(name))]
        self._pool.prepare(self.manager.services.ice_config, flows)

    def network_changed(self, change: NetworkChange) -> None:
        """Take the calls along; what was learned of servers on the network before counts no more."""
        self._pool.drop()
        forget_network()
        self.manager.network_changed(change)

    def on_sip(self, event: SipEvent) -> None:
        self.manager.on_sip(event)

    def sip_ids(self, call_id: str) -> set[str]:
        """The Call-ID headers of one call's dialogs."""
        if call_id in self._ended:
            return set(self._ended[call_id].sip_ids)
        return self._sip_ids.get(call_id, set())

    def call_of(self, sip_id: str) -> str | None:
        """Which call a Call-ID header belongs to."""
        for call in self.manager.calls:
            if call.session is not None and call.session.call_id == sip_id:
                return call.call_id
        running = next((call_id for call_id, ids in self._sip_ids.items() if sip_id in ids), None)
        return running or next((call_id for call_id, ended in self._ended.items() if sip_id in ended.sip_ids), None)

    def figures(self, call_id: str) -> CallFigures | None:
        if call_id in self._ended:
            return self._ended[call_id].figures
        return next((self._figures(call) for call in self.manager.calls if call.call_id == call_id), None)

    def pictures(self, call_id: str) -> tuple[FrameMailbox, FrameMailbox]:
        """The mailboxes (remote, own) of a call; empty ones when it is over. Safe from any thread."""
        for call in self.manager.calls:
            if call.call_id == call_id:
                return call.remote_picture, call.own_picture
        return FrameMailbox(), FrameMailbox()

    async def close(self) -> None:
        await self._pool.close()
        await self.manager.close()
        await self._sounds.close()
        await self._tasks.close()
        await self._saving.finish()

    def _changed(self, call: Call) -> None:
        if call.finished.is_set():
            return  # only its devices are free now; its end has been told
        self._begun.set()
        info = call.info
        if call.session is not None:
            self._sip_ids.setdefault(call.call_id, set()).add(call.session.call_id)
        self._sounds.changed(call, self.manager.services.settings)
        self._publish(CallChanged(info))
        if len(info.steps) == 1 or (info.connected_at is not None and call.call_id not in self._saved_connected):
            if info.connected_at is not None:
                self._saved_connected.add(call.call_id)
                self._on_connected()
            self._save(call, self._figures(call))

    def _call_ended(self, call: Call) -> None:
        monitor = self._monitors.pop(call.call_id, None)
        figures = call.figures() if monitor is None else monitor.dress(call.figures(), is_over=True)
        self._ended[call.call_id] = EndedCall(figures, frozenset(self._sip_ids.pop(call.call_id, ())))
        while len(self._ended) > KEPT_ENDED:
            del self._ended[next(iter(self._ended))]
        self._saved_connected.discard(call.call_id)
        self._sounds.ended(call, self.manager.services.settings)
        self._publish(FiguresChanged(figures))
        self._save(call, figures)
        self._refill_at = time.monotonic() + REFILL_AFTER_S
        self._saving.start(self._people.save_peers(), "keep what phones can do")

    def _figures(self, call: Call) -> CallFigures:
        """The figures of now, with how good the call was found to be last."""
        monitor = self._monitors.get(call.call_id)
        return call.figures() if monitor is None else monitor.dress(call.figures())

    def _judge(self, call: Call) -> CallFigures:
        """Judge the figures of now; once in a tick. A call that is being hung up is judged no more."""
        monitor = self._monitors.setdefault(call.call_id, QualityMonitor())
        if call.state is CallState.ENDING:
            return monitor.dress(call.figures(), is_over=True)
        return monitor.take(call.figures(), time.monotonic())

    def _save(self, call: Call, figures: CallFigures) -> None:
        entry = history_entry(call.info, figures, self._services.clock())
        self._saving.start(self._people.save_call(entry), "save a call")

    def _problem(self, call: Call, sentence: str, about: str) -> None:
        self._publish(Problem(about, sentence, call.call_id))

    def _key(self, call: Call, key: str) -> None:
        self._publish(DigitReceived(call.call_id, key))

    async def _tick(self) -> None:
        while True:
            if not self.manager.calls:
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._begun.wait(), IDLE_TICK_S)
                self._begun.clear()
            if self.manager.calls:
                await asyncio.sleep(TICK_S)
            for call in self.manager.calls:
                if call.state is not CallState.ENDED:
                    call.path.watch_silence()
                    self._publish(FiguresChanged(self._judge(call)))
            if not self.manager.calls:
                self._on_idle()
                if self._refill_at is not None and time.monotonic() >= self._refill_at:
                    self._refill_at = None
                    self._pool.refill()


def services_with(
    services: CallServices,
    on_change: Callable[[Call], None],
    on_problem: TellProblem,
    on_key: Callable[[Call, str], None],
) -> CallServices:
    """The same services, telling somebody else."""
    return replace(services, on_change=on_change, on_problem=on_problem, on_key=on_key)


def monotonic_from(zero: float) -> Callable[[], float]:
    """A clock that counts seconds from a monotonic moment."""
    return lambda: time.monotonic() - zero
