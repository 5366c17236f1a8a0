"""What a call does about each thing its SIP session tells: reads descriptions, and feeds the table in states.py."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING

from app.calls.endings import end_kind_of_refusal
from app.calls.errors import DescriptionError, PartialRestart
from app.calls.states import Action, Input
from app.events import CallState, EndedBy, EndKind
from app.ice.candidates import IceError
from app.media.errors import MediaError
from app.sip import events as sip_events
from app.sip.info_packages import TRICKLE
from app.sip.sessions import SessionError

if TYPE_CHECKING:
    from app.calls.call import Call

log = logging.getLogger(__name__)


class SipSide:
    """The events of one call's session, one method each."""

    def __init__(self, call: Call) -> None:
        self._call = call

    def take(self, event: sip_events.SessionEvent) -> None:
        """Do what this event asks; events a call has no use for are passed over."""
        handler = _HANDLERS.get(type(event))
        if handler is not None:
            handler(self, event)

    def _on_provisional(self, event: sip_events.Provisional) -> None:
        if event.body:
            self._call.path.describe(event.dialog_tag, event.body)
            self._call.path.candidates.dialog_is_up(event.dialog_tag, event.response)
        if event.status == 180 and self._call.state is not CallState.ENDED:
            self._call.mark("ringing")
            self._call.feed(Input.ALERTED)

    def _on_answered(self, event: sip_events.Answered) -> None:
        self._call.mark("answered")
        leg = self._call.path.legs.get(event.dialog_tag)
        if self._call.state is not CallState.ENDING:
            if leg is None or leg.agreement is None:
                if not event.body:
                    self._call.refuse_description(DescriptionError("the answer has no session description"))
                    return
                if not self._call.path.take_answer(event.dialog_tag, event.body):
                    return
                leg = self._call.path.legs[event.dialog_tag]
                if leg.agreement is not None and leg.agreement.uses_ice:
                    self._call.note_poorer(
                        "The other side gave its addresses only at pick-up, so sound began a moment later."
                    )
            self._call.path.choose(leg)
            self._call.path.candidates.dialog_is_up(event.dialog_tag, event.response)
        self._call.feed(Input.ANSWERED_READY if leg is not None and leg.ready else Input.ANSWERED)
        self._call.changes.send()  # what could not be said before, to a far end without UPDATE

    def _on_refused(self, event: sip_events.Refused) -> None:
        refuses_terms = self._call.state is CallState.INVITING and event.status in (415, 488, 606)
        if refuses_terms and self._call.negotiation.step_down():
            log.info("%s refuses %s; asking again with less", self._call.remote_uri, event.status)
            self._call.carry_out(Action.SEND_INVITE)
            return
        kind = end_kind_of_refusal(event.status, event.reasons, rang=self._call.has_been(CallState.RINGING))
        text = next((reason.text for reason in event.reasons if reason.text), None) or event.reason
        by = EndedBy.LOCAL if kind is EndKind.CANCELLED else EndedBy.REMOTE
        if kind in (EndKind.CHECKS_FAILED, EndKind.WRONG_PASSWORD):
            by = EndedBy.FAILURE
        if kind is EndKind.CHECKS_FAILED:
            text = self._call.path.why_no_path() or text  # the same search, seen from here
        self._call.set_end(by, kind, event.status, text)
        self._call.feed(Input.REFUSED)

    def _on_confirmed(self, event: sip_events.ProvisionalConfirmed) -> None:
        log.debug("%s: the 183 arrived (%s)", self._call.call_id, event.by)
        self._call.path.candidates.dialog_is_up(event.session.dialog_tag or "", event.session.request)
        leg = self._call.path.leg
        if event.by == "prack" and leg is not None and leg.begun:
            leg.ice.peer_has_begun()  # the caller has our answer, so its checks open its NAT from now on

    def _on_expired(self, event: sip_events.ProvisionalExpired) -> None:
        if event.ended:
            detail = "The caller never confirmed the answer."
            self._call.set_end(EndedBy.FAILURE, EndKind.SERVER_UNREACHABLE, 504, detail)
            self._call.feed(Input.SIGNALLING_FAILED)

    def _on_ack(self, event: sip_events.AckReceived) -> None:
        self._call.acknowledged = True
        leg = self._call.path.leg
        if self._call.late_offer and leg is not None and leg.agreement is None:
            if not self._call.path.take_answer(self._call.path.tag_of(leg), event.body):
                return
            self._call.carry_out(Action.CONNECT)
        self._call.path.candidates.dialog_is_up(event.session.dialog_tag or "", event.session.request)
        self._call.path.candidates.was_taken()
        ready = leg is not None and leg.ready
        self._call.feed(Input.ACKNOWLEDGED if ready else Input.ACKNOWLEDGED_EARLY)
        self._call.changes.send()  # what could not be said before, to a far end without UPDATE

    def _on_info(self, event: sip_events.InfoReceived) -> None:
        if event.package == TRICKLE:
            event.session.stop_retransmitting()  # whoever sends it has our 183
            self._call.path.candidates.take(event.dialog_tag, event.body)
        elif event.package is None:
            self._call.keys.take_info(event.content_type, event.body)

    def _on_info_answered(self, event: sip_events.InfoAnswered) -> None:
        leg = self._call.path.legs.get(event.dialog_tag)
        if event.package == TRICKLE and leg is not None and event.status >= 300:
            log.info("%s: the far end did not take candidates by INFO: %d", self._call.call_id, event.status)
            leg.trickle.answered(event.status)

    def _on_cancelled(self, event: sip_events.Cancelled) -> None:
        elsewhere = any(reason.cause == 200 for reason in event.reasons)
        self._call.set_end(EndedBy.REMOTE, EndKind.ANSWERED_ELSEWHERE if elsewhere else EndKind.CANCELLED, 487)
        self._call.feed(Input.CANCELLED)

    def _on_bye(self, event: sip_events.Bye) -> None:
        self._call.set_end(EndedBy.REMOTE, EndKind.HUNG_UP, 200, next((r.text for r in event.reasons if r.text), None))
        self._call.feed(Input.BYE)

    def _on_offer(self, event: sip_events.OfferReceived) -> None:
        """A re-INVITE or UPDATE: directions may change, the path stays (B8) or is looked for anew."""
        try:
            self._answer_offer(event)
        except SessionError as error:
            log.info("%s: an offer inside the call was taken back: %s", self._call.call_id, error)

    def _answer_offer(self, event: sip_events.OfferReceived) -> None:
        session, leg = event.session, self._call.path.leg
        if leg is None or leg.agreement is None:
            session.refuse_offer(491)
            return
        if self._call.path.legs.get(event.dialog_tag, leg) is not leg:
            session.refuse_offer(500)  # of a fork that may yet win: it can ask again then
            return
        try:
            if not event.body and leg.agreement.uses_ice:
                self._call.path.recovery.offer_instead(event)
                return
            if not event.body:
                session.answer_offer(self._call.changes.compose(None))
                return
            if self._call.negotiation.asks_restart(event.body, leg, self._call.wishes.now()):
                self._call.path.recovery.answer(event)
                return
            agreement = self._call.negotiation.answer_again(event.body, leg, self._call.wishes.now())
            leg.agree_again(agreement)
        except (DescriptionError, IceError, MediaError) as error:
            log.info("%s: an offer inside the call is refused: %s", self._call.call_id, error)
            session.refuse_offer(error.status if isinstance(error, DescriptionError) else 488)
            if isinstance(error, PartialRestart):
                self._call.path.recovery.wants_all()
            return
        session.answer_offer(self._call.negotiation.answer)
        self._call.services.on_change(self._call)

    def _on_offer_answered(self, event: sip_events.OfferAnswered) -> None:
        leg = self._call.path.leg
        if leg is None:
            return
        if leg.agreement is None and event.body:  # our offer went out in a reliable 183, this is the PRACK (B11)
            if self._call.path.take_answer(self._call.path.tag_of(leg), event.body):
                self._call.carry_out(Action.CONNECT)
                self._call.path.candidates.dialog_is_up(event.session.dialog_tag or "", event.session.request)
            return
        self._call.changes.take_answer(event)

    def _on_timed_out(self, event: sip_events.SessionTimedOut) -> None:
        was_up = self._call.has_been(CallState.CONNECTED)
        kind = EndKind.NETWORK_LOST if was_up else EndKind.SERVER_UNREACHABLE
        self._call.set_end(EndedBy.FAILURE, kind, event.status, event.sentence)
        self._call.feed(Input.SIGNALLING_FAILED)

    def _on_transport_failed(self, event: sip_events.TransportFailed) -> None:
        self._call.set_end(EndedBy.FAILURE, EndKind.SERVER_UNREACHABLE, None, event.sentence)
        self._call.feed(Input.SIGNALLING_FAILED)

    def _on_closed(self, event: sip_events.SessionClosed) -> None:
        if event.session is self._call.session:
            self._call.feed(Input.FINISHED)


_HANDLERS: dict[type, Callable[..., None]] = {
    sip_events.Provisional: SipSide._on_provisional,
    sip_events.Answered: SipSide._on_answered,
    sip_events.Refused: SipSide._on_refused,
    sip_events.ProvisionalConfirmed: SipSide._on_confirmed,
    sip_events.ProvisionalExpired: SipSide._on_expired,
    sip_events.AckReceived: SipSide._on_ack,
    sip_events.InfoReceived: SipSide._on_info,
    sip_events.InfoAnswered: SipSide._on_info_answered,
    sip_events.Cancelled: SipSide._on_cancelled,
    sip_events.Bye: SipSide._on_bye,
    sip_events.OfferReceived: SipSide._on_offer,
    sip_events.OfferAnswered: SipSide._on_offer_answered,
    sip_events.SessionTimedOut: SipSide._on_timed_out,
    sip_events.TransportFailed: SipSide._on_transport_failed,
    sip_events.SessionClosed: SipSide._on_closed,
}
