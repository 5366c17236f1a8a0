"""All calls of one endpoint: who gets an incoming INVITE, which call a SIP event belongs to, and how many there may be.

One call is active at a time; a second one may ring beside it and pauses the first when it is answered.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Callable
from dataclasses import replace

from app.calls.call import Call
from app.calls.errors import CallError
from app.calls.restarts import NetworkChange
from app.calls.services import CallServices
from app.events import CallState, EndKind
from app.ice.config import IceConfig
from app.settings import Settings
from app.sip import events as sip_events

log = logging.getLogger(__name__)

MAX_CALLS = 16  # ended ones that still free their devices included
MAX_RINGING = 2  # incoming calls that ring at the same time; a further one hears busy

_WAITING = (CallState.PREPARING, CallState.CONNECTING, CallState.RINGING)
_TALKING = (CallState.ANSWERING, CallState.CONNECTED, CallState.INTERRUPTED)


class CallManager:
    """The calls of one SIP endpoint, on its loop. Give it every SIP event; close it before the endpoint."""

    def __init__(
        self, services: CallServices, *, on_ended: Callable[[Call], None] | None = None, answer_at_once: bool = False
    ) -> None:
        self._on_change_outside = services.on_change
        self.services = replace(services, on_change=self._changed)
        self._on_ended = on_ended
        self._answer_at_once = answer_at_once
        self._calls: dict[str, Call] = {}
        self._no_answer: dict[str, asyncio.TimerHandle] = {}
        self._told_ended: set[str] = set()
        self._contact: str | None = None  # as the registrar has it
        self._closed = False

    def update(self, settings: Settings, ice_config: IceConfig) -> None:
        """Use other settings for the calls that begin from now on, and their devices for those that run."""
        self.services = replace(self.services, settings=settings, ice_config=ice_config)
        for call in self.calls:
            call.use_devices(settings.media)

    @property
    def calls(self) -> tuple[Call, ...]:
        return tuple(self._calls.values())

    def get(self, call_id: str) -> Call:
        """The call of this id; CallError when it is over or never was."""
        call = self._calls.get(call_id)
        if call is None:
            raise CallError("This call is already over.")
        return call

    def place(self, target: str, name: str, *, video: bool) -> Call:
        """Call somebody. CallError when another call is being set up or too many are there."""
        if len(self._calls) >= MAX_CALLS:
            raise CallError("There are too many calls at once; end one first.")
        if any(
            call.is_caller and call.state in (*_WAITING, CallState.GATHERING, CallState.INVITING) for call in self.calls
        ):
            raise CallError("You are already calling somebody; hang up first.")
        self._pause_others(None)
        call = self._new(is_caller=True, uri=target, name=name, video=video)
        call.start_outgoing()
        self._changed(call)
        return call

    def answer(self, call_id: str, *, video: bool) -> None:
        """Pick up; a call that is going on is paused first."""
        call = self.get(call_id)
        if call.state is CallState.RINGING and not call.is_caller:
            self._pause_others(call)
        call.pick_up(video=video)

    def on_sip(self, event: sip_events.SipEvent) -> None:
        """Take one event of the endpoint."""
        if isinstance(event, sip_events.IncomingInvite):
            self._incoming(event)
        elif isinstance(event, sip_events.RegistrationChanged):
            self._registered_as(event.contact)
        else:
            call = next((call for call in self._calls.values() if call.session is event.session), None)
            if call is not None:
                call.on_sip(event)

    def _registered_as(self, contact: str | None) -> None:
        moved = self._contact is not None and contact is not None and contact != self._contact
        self._contact = contact or self._contact
        for call in self.calls if moved else ():
            call.path.recovery.on_other_contact()

    def network_changed(self, change: NetworkChange) -> None:
        """Move the calls whose way is no longer there, or may be better now."""
        for call in self.calls:
            call.path.recovery.on_network(change)

    async def close(self) -> None:
        """End every call and wait until all devices and sockets are free; who calls from now on hears 480."""
        self._closed = True
        for call in self.calls:
            call.hang_up()
        await asyncio.gather(
            *(asyncio.wait_for(call.finished.wait(), 6.0) for call in self.calls), return_exceptions=True
        )
        for timer in self._no_answer.values():
            timer.cancel()

    def _incoming(self, event: sip_events.IncomingInvite) -> None:
        if self._closed:
            event.session.reject(480)
            return
        # A call whose path is still being looked for may be a stranger's that never rings: it keeps nobody out.
        limit = MAX_CALLS // 2 if self._answer_at_once else MAX_RINGING
        preparing = [call for call in self.calls if not call.is_caller and call.state in _WAITING]
        if len(self._ringing()) >= limit or len(preparing) >= MAX_CALLS // 2 or len(self._calls) >= MAX_CALLS:
            event.session.reject(486, "Busy Here")
            return
        remote = event.session.remote
        name = remote.display_name or str(getattr(remote.uri, "user", "") or remote.uri)
        call = self._new(is_caller=False, uri=str(remote.uri), name=name[:80], video=True)
        call.start_incoming(event)
        self._changed(call)

    def _ringing(self) -> list[Call]:
        return [call for call in self.calls if not call.is_caller and call.state is CallState.RINGING]

    def _new(self, *, is_caller: bool, uri: str, name: str, video: bool) -> Call:
        call_id = secrets.token_hex(6)
        call = Call(call_id, self.services, is_caller=is_caller, remote_uri=uri, remote_name=name, video=video)
        self._calls[call_id] = call
        return call

    def _pause_others(self, but: Call | None) -> None:
        for call in self.calls:
            if call is not but and not self._answer_at_once:
                call.set_held(True)

    def _changed(self, call: Call) -> None:
        if call.call_id not in self._calls:
            return
        call.recording.follow()
        ringing_here = not call.is_caller and call.state is CallState.RINGING
        if ringing_here and call.call_id not in self._no_answer:
            self._rings(call)
        elif not ringing_here and call.call_id in self._no_answer:
            self._no_answer.pop(call.call_id).cancel()
        self._on_change_outside(call)
        if call.state is CallState.ENDED and call.call_id not in self._told_ended:
            self._told_ended.add(call.call_id)
            if self._on_ended is not None:
                self._on_ended(call)
        if call.state is CallState.ENDED and call.finished.is_set():
            self._told_ended.discard(call.call_id)
            del self._calls[call.call_id]

    def _rings(self, call: Call) -> None:
        loop = asyncio.get_running_loop()
        if self._answer_at_once:
            self._no_answer[call.call_id] = loop.call_soon(self._pick_up, call)  # type: ignore[assignment]
            return
        if len(self._ringing()) > MAX_RINGING:
            self._no_answer[call.call_id] = loop.call_later(0, call.decline, EndKind.BUSY)
            return
        patience_s = self.services.settings.no_answer_after_s
        self._no_answer[call.call_id] = loop.call_later(patience_s, call.decline, EndKind.NO_ANSWER)

    def _pick_up(self, call: Call) -> None:
        if call.state is CallState.RINGING:
            call.pick_up(video=True)
