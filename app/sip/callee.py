"""The callee's side of a session: provisional answers, the 2xx and its ACK, refusals, CANCEL, PRACK.

RFC 3261 sections 9.2, 12.1.1, 13.3 and 15; RFC 3262 section 3.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from app.sip.answers import AnswerKeeper
from app.sip.dialogs import Dialog
from app.sip.editing import option_tags
from app.sip.events import (
    AckReceived,
    Cancelled,
    IncomingInvite,
    OfferAnswered,
    ProvisionalConfirmed,
    ProvisionalExpired,
    SessionTimedOut,
)
from app.sip.hops import Hop
from app.sip.message import Request, Response, response_to
from app.sip.provisionals import Mode, ProvisionalSender
from app.sip.reasons import Reason
from app.sip.session_states import SessionState
from app.sip.transactions import ServerTransaction

if TYPE_CHECKING:
    from app.sip.sessions import InviteSession


# So that no proxy on the way gives up (its timer C is over three minutes): section 13.3.1.1.
STILL_HERE_S = 60.0


class CalleeSide:
    """What happens between an INVITE that came and its ACK."""

    def __init__(self, session: InviteSession, transaction: ServerTransaction, request: Request, source: Hop) -> None:
        self.request = request
        self.transaction = transaction
        self.transport = source.transport
        self.dialog = Dialog.as_callee(request, session.key[1])
        self.provisionals = ProvisionalSender(
            session.agent,
            transaction,
            on_confirmed=self._confirmed,
            on_expired=self._expired,
            on_free=self._answer_if_free,
        )
        self._session = session
        self._source = source
        self._answer: Response | None = None  # our 2xx, waiting behind a reliable 183
        self._keeper: AnswerKeeper | None = None
        self._bye_reasons: tuple[Reason, ...] | None = None  # hang up as soon as the ACK is there
        self._offered = False  # an INVITE without an offer: ours stands in a response

    def start(self) -> None:
        session, request = self._session, self.request
        if request.body:
            session.offers.initial_offer_received()
        content_type = request.content_type
        kind = content_type.essence if content_type is not None else ""
        session.emit(IncomingInvite(session, request.body, kind, request))

    # For the owner --------------------------------------------------------

    def provisional(
        self,
        status: int,
        reason: str | None,
        body: bytes,
        *,
        reliable: bool | None,
        transmissions: int | None,
        content_type: str,
    ) -> None:
        response = self._response(status, reason, body, content_type)
        self._note_description(body)
        self.provisionals.send(response, self._mode(bool(body), reliable), transmissions)

        def still_here() -> None:
            self.provisional(status, reason, b"", reliable=None, transmissions=None, content_type=content_type)

        self._session.agent.at(self._again_key, STILL_HERE_S, still_here)

    @property
    def _again_key(self) -> tuple[int, str]:
        return (id(self), "still here")

    def _mode(self, with_body: bool, reliable: bool | None) -> Mode:
        if "100rel" in option_tags(self.request, "Require"):
            return Mode.PRACK  # RFC 3262 section 3: every one but the 100
        if reliable is False or (reliable is None and not with_body):
            return Mode.ONCE
        supported = "100rel" in option_tags(self.request, "Supported")
        return Mode.PRACK if supported and "100rel" in self._session.agent.config.supported else Mode.REPEAT

    def accept(self, body: bytes, content_type: str) -> None:
        self._answer = self._response(200, None, body, content_type)
        self._note_description(body)
        self._session.state = SessionState.ACCEPTED
        self._session.agent.cancel_timer(self._again_key)
        self._answer_if_free()

    def refuse(self, status: int, reason: str | None, headers: Iterable[tuple[str, str]] = ()) -> None:
        """Send the final refusal; the session closes when its ACK has come."""
        if self.transaction.answered:
            return
        self._answer = None
        self.provisionals.abandon()
        self._session.agent.cancel_timer(self._again_key)
        self._session.state = SessionState.ENDING
        response = response_to(self.request, status, reason, to_tag=self._session.key[1])
        response.headers.set("Server", self._session.agent.config.user_agent)
        for name, value in headers:
            response.headers.add(name, value)
        self._session.agent.respond(self.transaction, response)

    def hang_up(self, reasons: tuple[Reason, ...]) -> None:
        """Before the ACK: refuse if nothing final is out, else wait for the ACK and send BYE (section 15)."""
        if self.transaction.answered:
            self._bye_reasons = reasons
            self._session.state = SessionState.ENDING
        else:
            self.refuse(480, None, [("Reason", str(reason)) for reason in reasons])

    def hurry(self) -> None:
        """The far end may be reachable again: send what it has not confirmed."""
        if self._keeper is not None:
            self._keeper.hurry()

    def close(self) -> None:
        self.provisionals.abandon()
        self._session.agent.cancel_timer(self._again_key)
        if self._keeper is not None:
            self._keeper.stop()

    # From the far end --------------------------------------------------------

    def on_cancel(self, reasons: tuple[Reason, ...]) -> None:
        """Section 9.2: without effect once a final response is out."""
        if self.transaction.answered:
            return
        self._session.emit(Cancelled(self._session, reasons))
        self.refuse(487, None)

    def heard_over(self, hop: Hop) -> None:
        """The far end was heard over this way: our answer names the address that it leads to, which may be new."""
        self._source = hop

    def on_prack(self, transaction: ServerTransaction, request: Request) -> None:
        rack = request.rack
        agent, offers = self._session.agent, self._session.offers
        if rack is None:
            agent.reply(transaction, 400, "Missing RAck header")
        elif not self.provisionals.acknowledge(rack):
            agent.reply(transaction, 481)
        else:
            if request.body and not offers.awaits_answer:
                offers.on_offer(transaction, request, self.dialog, self._source)
            else:
                agent.reply(transaction, 200)
            if request.body and offers.awaits_answer:
                offers.initial_offer_answered()
                self._session.emit(OfferAnswered(self._session, 200, request.body, "PRACK"))
            self.provisionals.advance()
            offers.go_on()

    def on_ack(self, request: Request) -> None:
        keeper, self._keeper = self._keeper, None
        if keeper is None:
            return  # a repeated one
        keeper.stop()
        session = self._session
        if self._bye_reasons is not None:
            session.send_bye(self.dialog, self._bye_reasons)
            return
        session.state = SessionState.CONFIRMED
        self.dialog.confirmed = True
        session.emit(AckReceived(session, request.body))
        if session.offers.awaits_answer:
            session.offers.initial_offer_answered()
            session.emit(OfferAnswered(session, 200, request.body, "ACK"))
        session.offers.go_on()

    # Inside --------------------------------------------------------

    def _response(self, status: int, reason: str | None, body: bytes, content_type: str) -> Response:
        agent = self._session.agent
        response = response_to(self.request, status, reason, to_tag=self._session.key[1])
        response.headers.set("Contact", agent.contact(self._source))
        for name, value in agent.abilities():
            response.headers.set(name, value)
        response.headers.set("Server", agent.config.user_agent)
        if body:
            response.headers.set("Content-Type", content_type)
            response.body = body
        return response

    def _note_description(self, body: bytes) -> None:
        """Our answer went out, or, for an INVITE without one, our offer (RFC 3264, RFC 3261 section 13.2.1)."""
        if not body:
            return
        if self.request.body:
            self._session.offers.initial_offer_answered()
        elif not self._offered:
            self._offered = True
            self._session.offers.initial_offer_made()

    def _answer_if_free(self) -> None:
        response = self._answer
        if response is None or self.provisionals.holds_back_answer:
            return
        self._answer = None
        self.provisionals.close()
        self._keeper = AnswerKeeper(self._session.agent, self.transaction, response, self._no_ack)
        self._keeper.start()

    def _no_ack(self) -> None:
        """Section 13.3.1.4: no ACK within 64*T1; the session is confirmed, and ended."""
        session, self._keeper = self._session, None
        self.dialog.confirmed = True
        if self._bye_reasons is None:
            session.emit(SessionTimedOut(session, "The caller never confirmed that the call was answered"))
        session.send_bye(self.dialog, self._bye_reasons or (Reason("SIP", 408, "No ACK"),))

    def _confirmed(self, by: str) -> None:
        self._session.emit(ProvisionalConfirmed(self._session, by))

    def _expired(self, prack_mode: bool) -> None:
        self._session.emit(ProvisionalExpired(self._session, ended=prack_mode))
        if prack_mode:
            self.refuse(504, None)
