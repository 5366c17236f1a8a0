"""The caller's side of a session: the INVITE, its forks, PRACK, ACK, CANCEL.

RFC 3261 sections 9.1, 13.2 and 12.1.2 (one early dialog for each To tag), RFC 3262 section 4.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

from app.sip.answers import SentAck
from app.sip.dialogs import Dialog
from app.sip.editing import option_tags
from app.sip.errands import Errand, Nobody
from app.sip.events import Answered, Provisional, Refused
from app.sip.hops import Hop
from app.sip.message import Headers, Request, Response
from app.sip.reasons import Reason, reasons_of
from app.sip.session_states import SessionState
from app.sip.transactions import TRANSPORT, ClientTransaction
from app.sip.uri import NameAddr, SipUri

if TYPE_CHECKING:
    from collections.abc import Sequence

    from app.sip.sessions import InviteSession

log = logging.getLogger(__name__)

MAX_LEGS = 20


@dataclass(slots=True, eq=False)
class _Leg:
    """One fork of the call."""

    dialog: Dialog
    rseq: int | None = None  # of the last reliable provisional taken
    last: tuple[int, bytes] | None = None  # status and body of the last unreliable one shown
    ack: SentAck | None = None


class CallerSide:
    """What happens between our INVITE and its last final response."""

    def __init__(
        self,
        session: InviteSession,
        uri: SipUri,
        body: bytes,
        content_type: str,
        extra: Headers,
        display_name: str,
    ) -> None:
        agent = session.agent
        self._session = session
        self._legs: dict[str, _Leg] = {}
        self._errand: Errand | None = None
        self._heard: ClientTransaction | None = None  # had a provisional: a CANCEL of it may be sent
        self._given_up: tuple[Reason, ...] | None = None
        own = agent.identity.own_name(None).with_tag(session.key[1])
        to = NameAddr(display_name, uri)
        self._template = agent.new_request("INVITE", uri, to=str(to), own=str(own), call_id=session.call_id)
        for name, value in agent.abilities():
            self._template.headers.add(name, value)
        for name, value in extra:
            self._template.headers.add(name, value)
        self._template.headers.add("Content-Type", content_type)
        self._template.body = body
        self._cseq = 1
        session.offers.initial_offer_made()

    @property
    def request(self) -> Request:
        return self._errand.sent_request if self._errand is not None else self._template

    @property
    def transport(self) -> str | None:
        transaction = self._errand.transaction if self._errand is not None else None
        return transaction.hop.transport if transaction is not None else None

    def leg_dialog(self, remote_tag: str) -> Dialog | None:
        leg = self._legs.get(remote_tag)
        return leg.dialog if leg is not None else None

    def only_dialog(self) -> Dialog | None:
        return next(iter(self._legs.values())).dialog if len(self._legs) == 1 else None

    def start(self) -> None:
        """Find the server first: without an account, From says where we are as seen from there."""
        uri = self._template.uri
        assert isinstance(uri, SipUri)
        self._session.agent.resolve(self._session.agent.identity.next_hop(uri), self._resolved)

    def _resolved(self, hops: Sequence[Hop], problem: str) -> None:
        session, agent = self._session, self._session.agent
        if session.state is SessionState.ENDED:
            return
        if not hops:
            session.fail(TRANSPORT, problem)
            return
        own = agent.identity.own_name(hops[0]).with_tag(session.key[1])
        self._template.headers.set("From", str(own))
        uri = self._template.uri
        self._errand = Errand(
            agent, self._template, uri, self, self._next_cseq, contact=agent.contact, via_account=session.via_account
        )
        self._errand.start(hops)

    def _next_cseq(self) -> int:
        self._cseq += 1
        return self._cseq

    def cancel(self, reasons: tuple[Reason, ...]) -> None:
        """Section 9.1: no CANCEL before a provisional has come."""
        session = self._session
        self._given_up = reasons
        session.state = SessionState.CANCELLING
        if self._errand is None or self._errand.transaction is None:
            self._refused(487, "Request Terminated", None)
            return
        self._errand.abandon()
        if self._heard is self._errand.transaction:
            self._send_cancel()

    def _send_cancel(self) -> None:
        errand = self._errand
        if errand is not None and errand.transaction is not None:
            headers = [("Reason", str(reason)) for reason in self._given_up or ()]
            agent = self._session.agent
            agent.layer.cancel(errand.transaction, agent.now, headers)

    # From the errand --------------------------------------------------------

    def on_failure(self, errand: Errand, cause: str, sentence: str) -> None:
        if self._given_up is not None:
            self._refused(487, "Request Terminated", None)
        else:
            self._session.fail(cause, sentence)

    def on_response(self, errand: Errand, response: Response, source: Hop) -> None:
        if response.status < 200:
            self._provisional(errand, response)
        elif response.status < 300:
            self._answered(response)
        else:
            self._refused(response.status, response.reason, response)

    def _provisional(self, errand: Errand, response: Response) -> None:
        first, self._heard = self._heard is not errand.transaction, errand.transaction
        if self._given_up is not None:
            if first:
                self._send_cancel()
            return
        if response.status == 100 or self._session.dialog is not None:
            return
        session = self._session
        session.note_peer(response)
        leg = self._leg(response)
        rseq = response.rseq
        reliable = rseq is not None and "100rel" in option_tags(response, "Require") and leg is not None
        if leg is not None and reliable:
            if leg.rseq is not None and rseq != leg.rseq + 1:
                return  # a retransmission, or one that overtook its predecessor (RFC 3262 section 4)
            leg.rseq = rseq
            session.prack(leg.dialog, response)
            if response.body:
                session.offers.initial_offer_answered()
        elif leg is not None:
            if leg.last == (response.status, response.body):
                return
            leg.last = (response.status, response.body)
        tag = response.to.tag or ""
        session.emit(Provisional(session, response.status, response.reason, response.body, tag, reliable, response))

    def _leg(self, response: Response) -> _Leg | None:
        tag = response.to.tag
        if tag is None:
            return None
        leg = self._legs.get(tag)
        if leg is None and len(self._legs) < MAX_LEGS:
            leg = self._legs[tag] = _Leg(Dialog.as_caller(self.request, response))
        return leg

    def _answered(self, response: Response) -> None:
        session = self._session
        tag = response.to.tag or ""
        leg = self._legs.get(tag)
        if leg is None:
            leg = self._legs[tag] = _Leg(Dialog.as_caller(self.request, response))
        if leg.ack is not None:
            leg.ack.again()
            return
        leg.dialog.confirm(response)
        leg.ack = SentAck.of(session.agent, leg.dialog, self.request)
        if session.dialog is None and session.state is SessionState.CALLING:
            session.dialog = leg.dialog
            session.state = SessionState.CONFIRMED
            session.note_peer(response)
            session.offers.initial_offer_answered()
            session.offers.chosen(leg.dialog)
            session.emit(Answered(session, response, response.body, tag))
            session.offers.go_on()
        else:
            self._end_other(leg)
            if session.state is SessionState.CANCELLING:
                self._refused(487, "Request Terminated", None)

    def _end_other(self, leg: _Leg) -> None:
        """A second fork answered, or the answer crossed our CANCEL: it is hung up at once (section 13.2.2.4)."""
        bye = leg.dialog.build("BYE")
        for reason in self._given_up or (Reason("SIP", 200, "Call completed elsewhere"),):
            bye.headers.add("Reason", str(reason))
        self._session.send(bye, leg.dialog, Nobody())

    def _refused(self, status: int, reason: str, response: Response | None) -> None:
        session = self._session
        if session.dialog is not None:
            return
        if self._given_up is not None:
            status, reason = 487, "Request Terminated"
        reasons = reasons_of(response) if response is not None else ()
        session.emit(Refused(session, status, reason, response, reasons))
        session.close()
