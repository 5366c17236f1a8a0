"""Keeps a call's path alive: carries out what restarts.py decides, and answers the restarts of the peer.

RFC 8445 section 9, RFC 8839 sections 4.4.1.1.1 and 4.4.2. The old path carries the call until the new one is connected;
keys, streams and the dialog stay what they are.
"""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TYPE_CHECKING

from app.calls.errors import DescriptionError
from app.calls.legs import Leg
from app.calls.restarts import Action, NetworkChange, Restarts
from app.calls.states import Input
from app.events import CallState, EndedBy, EndKind
from app.ice import events as ice_events
from app.ice.candidates import IceError
from app.ice.session import IceSession
from app.media.errors import MediaError
from app.sip import events as sip_events

if TYPE_CHECKING:
    from app.calls.call import Call

log = logging.getLogger(__name__)

ENOUGH_AFTER_S = 1.0  # an offer waits no longer for servers; what they tell later is still checked from
_SEARCHING = (CallState.CONNECTING, CallState.RINGING, CallState.ANSWERING)  # maybe without a path yet
_LIVING = (*_SEARCHING, CallState.CONNECTED, CallState.INTERRUPTED)


class Recovery:
    """The restarts of one call; used on the engine's loop only."""

    def __init__(self, call: Call) -> None:
        self._call = call
        self._silent: set[str] = set()  # flows whose checks stay unanswered
        self._offline = False
        self._timer: asyncio.TimerHandle | None = None
        self.begin_anew()

    def begin_anew(self) -> None:
        """Another leg carries the call: what was under way on the one before is none of its business."""
        call = self._call
        self._restarts = Restarts(is_caller=call.is_caller, patience_s=call.services.settings.reconnect_for_s)
        self._silent.clear()
        self._ready: IceSession | None = None  # gathered, and to be offered
        self._offered: IceSession | None = None  # agreed by an offer of ours
        self._why_lost: str | None = None
        self.close()

    # What happens ------------------------------------------------------------------------------------------

    def on_ice(self, leg: Leg, event: ice_events.IceEvent) -> None:
        """Take what the leg that carries the call tells of its path."""
        now = time.monotonic()
        match event:
            case ice_events.Silent():
                self._silent.add(event.flow)
                self._call.services.sip.renew_registration()  # what this way has lost, the way to us may have lost too
                self._restarts.silent(now)
            case ice_events.Interrupted():
                self._silent.add(event.flow)
                self._restarts.interrupted(now)
                self._call.feed(Input.PATH_INTERRUPTED)
            case ice_events.Recovered():
                self._silent.discard(event.flow)
                if not self._silent:
                    self._restarts.recovered(now)
                    self._call.feed(Input.PATH_RECOVERED)
            case ice_events.ConsentExpired():
                self._why_lost = event.reason
            case ice_events.RelayLost() if event.carries:
                self._restarts.relay_lost(now)
            case ice_events.BetterFound():
                self._restarts.better(now)
            case ice_events.Reachable():
                self._restarts.reachable(now)
            case ice_events.Restarted():
                self._restarted(leg, now)
            case ice_events.RestartFailed():
                log.info("%s: the restart found no path: %s", self._call.call_id, event.reason)
                self._restarts.checks_failed(now)
        self._carry_out()

    def _restarted(self, leg: Leg, now: float) -> None:
        self._silent.clear()
        self._why_lost = None
        ours, self._offered = self._offered is leg.ice.current, None
        self._restarts.done(now)
        self._call.feed(Input.PATH_RECOVERED)
        if ours:
            self._call.align()
        self._call.changes.send()  # what could not be told while nothing arrived
        self._call.services.on_change(self._call)

    def on_network(self, change: NetworkChange) -> None:
        """Take a change of this machine's addresses."""
        self._offline = change.offline
        leg = self._living_leg()
        if leg is None:
            return
        if leg.ready:
            used, may_gain = leg.ice.leaves_from(), leg.is_relayed
        else:  # nothing is in use yet; whatever is new may be what leads to the other side
            used, may_gain = leg.ice.hosts(), True
        self._restarts.network(change, used, time.monotonic(), relayed=may_gain)
        self._carry_out()

    def on_other_contact(self) -> None:
        """The registrar sees us elsewhere than before: a NAT on the way has forgotten us."""
        if self._living_leg() is not None and not self._restarts.is_well:
            self._restarts.remapped(time.monotonic())
            self._carry_out()

    def _living_leg(self) -> Leg | None:
        """The leg that can be restarted: its path is there, or is looked for with what offer and answer told."""
        leg, state = self._call.leg, self._call.state
        if leg is None or leg.agreement is None or state not in _LIVING:
            return None
        searching = leg.begun and leg.agreement.uses_ice and state in _SEARCHING
        return leg if leg.ready or searching else None

    # Doing it ------------------------------------------------------------------------------------------------

    def _carry_out(self) -> None:
        for action in self._restarts.take():
            if self._living_leg() is None:
                continue
            if action is Action.BEGIN:
                self._call.tasks.start(self._begin(), "restart")
            elif action is Action.HURRY:
                self._call.services.sip.hurry()
            elif action is Action.END:
                self._end()
        self._set_timer()

    def _set_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        at = self._restarts.next_timeout()
        if at is not None and self._living_leg() is not None:
            self._timer = asyncio.get_running_loop().call_later(max(0.0, at - time.monotonic()), self._on_timer)

    def _on_timer(self) -> None:
        self._timer = None
        self._restarts.handle_timeout(time.monotonic())
        self._carry_out()

    def _end(self) -> None:
        detail = "This machine has no network." if self._offline else self._why_lost
        self._call.set_end(EndedBy.FAILURE, EndKind.NETWORK_LOST, None, detail)
        self._call.feed(Input.PATH_LOST)

    async def _begin(self) -> None:
        """Gather a next generation and offer it."""
        leg = self._living_leg()
        if leg is None:
            return
        log.info("%s: looking for the path anew", self._call.call_id)
        coming = await self._gathered(leg, controlling=True)
        if coming is None or leg is not self._call.leg:
            return
        if not leg.can_describe(coming):
            log.info("%s: there is no address to be reached at now", self._call.call_id)
            self.not_agreed(coming, for_good=False)
            return
        self._ready = coming
        self._call.changes.send()

    async def _gathered(self, leg: Leg, *, controlling: bool) -> IceSession | None:
        """Make the next generation and wait until it can be described; None when another took its place meanwhile."""
        coming = leg.ice.restart(controlling, self._call.services.ice_config)
        gathering = self._call.tasks.start(coming.gather(), "gather anew")
        if leg.trickle.is_agreed:
            await coming.gather_hosts()  # the rest is told by INFO
        else:
            await asyncio.wait({gathering}, timeout=ENOUGH_AFTER_S)
        if not leg.can_describe(coming):  # nothing but relays may be used
            await asyncio.wait({gathering})
        return coming if leg.ice.next is coming else None

    def to_offer(self) -> IceSession | None:
        """Give the generation that an offer of now should describe; None when there is no restart to be asked for."""
        leg = self._call.leg
        return self._ready if leg is not None and self._ready is leg.ice.next else None

    def agreed(self) -> None:
        """The peer has answered our restart with one of its own: the checks run."""
        self._offered, self._ready = self._ready, None
        leg = self._call.leg
        self._restarts.agreed(time.monotonic(), first=leg is not None and not leg.ready)
        if leg is not None and leg.agreement is not None and not leg.agreement.uses_ice:
            leg.ice.adopt()
        self._carry_out()

    def not_agreed(self, generation: IceSession, *, for_good: bool) -> None:
        """Our offer came to nothing, now or for good: the old path goes on as it is."""
        leg = self._call.leg
        self._ready = None
        if leg is not None and leg.ice.next is generation:
            leg.ice.abandon()
        if for_good:
            self._restarts.refused(time.monotonic())
        else:
            self._restarts.offer_failed(time.monotonic())
        self._carry_out()

    # The peer's ----------------------------------------------------------------------------------------------

    def answer(self, event: sip_events.OfferReceived) -> None:
        """The peer asks to restart: gather anew too, and answer with what was found."""
        self._call.tasks.start(self._answer(event), "answer a restart")

    def wants_all(self) -> None:
        """The peer asks to restart some streams and not the others, which are one here: offer to restart them all."""
        if self._restarts.may_peer_begin(time.monotonic()):
            self._restarts.wanted(time.monotonic())
            self._carry_out()

    async def _answer(self, event: sip_events.OfferReceived) -> None:
        leg, session = self._call.leg, event.session
        assert leg is not None
        if not self._restarts.may_peer_begin(time.monotonic()):
            session.refuse_offer(500)  # it may ask again, later
            return
        self._ready = self._offered = None
        self._restarts.peer_begins(time.monotonic())
        self._carry_out()
        coming = await self._gathered(leg, controlling=False)
        if not session.has_open_offer:
            log.info("%s: a restart was taken back", self._call.call_id)
            self._not_begun(leg, coming)
            return
        if coming is None or not leg.can_describe(coming):
            session.refuse_offer(500)  # it may ask again
            self._not_begun(leg, coming)
            return
        try:
            agreement = self._call.negotiation.answer_again(event.body, leg, self._call.wishes.now(), coming)
            leg.agree_again(agreement, coming)
        except (DescriptionError, IceError, MediaError) as error:
            log.info("%s: a restart is refused: %s", self._call.call_id, error)
            session.refuse_offer(error.status if isinstance(error, DescriptionError) else 488)
            self._not_begun(leg, coming)
        else:
            session.answer_offer(self._call.negotiation.answer)
        self._call.services.on_change(self._call)

    def _not_begun(self, leg: Leg, coming: IceSession | None) -> None:
        """The peer's restart came to nothing; this side begins, if the path needs it. None: another one did already."""
        if coming is not None and leg.ice.next is coming:
            leg.ice.abandon()
            self._restarts.checks_failed(time.monotonic())
            self._carry_out()

    def offer_instead(self, event: sip_events.OfferReceived) -> None:
        """The peer asks for an offer of ours inside the call: it must restart (RFC 8839 section 7.5, B11)."""
        self._call.tasks.start(self._offer_instead(event), "offer a restart")

    async def _offer_instead(self, event: sip_events.OfferReceived) -> None:
        leg, session = self._call.leg, event.session
        assert leg is not None
        if not self._restarts.may_peer_begin(time.monotonic()):
            session.refuse_offer(500)
            return
        self._restarts.peer_begins(time.monotonic())
        coming = await self._gathered(leg, controlling=True)
        if not session.has_open_offer:
            log.info("%s: a wish for an offer was taken back", self._call.call_id)
            self._not_begun(leg, coming)
            return
        if coming is not None and not leg.can_describe(coming):
            self._not_begun(leg, coming)
            coming = None
        elif coming is not None:
            self._ready = coming
        session.answer_offer(self._call.changes.compose(coming))

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
