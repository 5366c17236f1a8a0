"""Changing a running session: re-INVITE and UPDATE both ways, glare, and offers in PRACK.

RFC 3261 section 14, RFC 3311 section 5, RFC 3262 section 5, RFC 3264 section 4. At any time one offer is open, either
ours or theirs; this file keeps that rule, also for the first INVITE's offer.

An offer that nobody answers changes nothing: whether the far end is still there is seen by the path of the call, which
may come back long after a transaction has given up. Only 481 says that the far end has no such call any more, and of
an early dialog not even that: there the INVITE tells.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from app.sip.answers import AnswerKeeper, SentAck
from app.sip.dialogs import Dialog
from app.sip.editing import option_tags
from app.sip.errands import Errand
from app.sip.events import OfferAnswered, OfferReceived
from app.sip.hops import Hop
from app.sip.message import Request, Response, response_to
from app.sip.session_states import SessionError, SessionState
from app.sip.transactions import TIMED_OUT, ServerTransaction

if TYPE_CHECKING:
    from app.sip.sessions import InviteSession

log = logging.getLogger(__name__)

MAX_GLARE_RETRIES = 4
MAX_UNANSWERED = 8  # re-INVITEs of ours whose answer may still come, far too late
GLARE_OWNER_CS = (210, 400)  # hundredths of a second: RFC 3261 section 14.1, for whoever made the Call-ID
GLARE_OTHER_CS = (0, 30)  # of the 0 to 200 that it leaves the other one: a call may be silent meanwhile

Body = bytes | Callable[[], bytes]
"""A description, or who writes it when its turn has come; an empty one means that nothing is left to be said."""

_OVER = (SessionState.ENDING, SessionState.ENDED, SessionState.CANCELLING)


@dataclass(slots=True, eq=False)
class _Ours:
    """An offer of ours: waiting for its turn (no errand yet), or under way."""

    method: str
    body: Body
    content_type: str
    dialog_tag: str | None
    errand: Errand | None = None
    dialog: Dialog | None = None
    retries: int = 0
    heard: bool = False  # the far end has said more of it than that it is under way
    crossed: int = 0  # how often an offer of theirs came meanwhile


@dataclass(slots=True, eq=False)
class _Theirs:
    transaction: ServerTransaction
    request: Request
    dialog: Dialog
    source: Hop


class Offers:
    """The offers of one session."""

    def __init__(self, session: InviteSession) -> None:
        self._session = session
        self._waiting: _Ours | None = None
        self._ours: _Ours | None = None
        self._being_read = False  # the answer to the last one is on its way to the owner
        self._theirs: _Theirs | None = None
        self._first_ours = False  # the first exchange: an offer of ours is open
        self._first_theirs = False
        self._keeper: AnswerKeeper | None = None  # our 2xx to a re-INVITE, awaiting its ACK
        self._keeper_cseq = 0
        self._offer_in_answer = False  # that 2xx carried our offer, its ACK brings the answer
        self._acks: dict[str, SentAck] = {}
        self._unanswered: dict[str, tuple[Dialog, Request]] = {}  # re-INVITEs that were given up, by CSeq

    # The first exchange --------------------------------------------------------

    def initial_offer_made(self) -> None:
        self._first_ours = True

    def initial_offer_received(self) -> None:
        self._first_theirs = True

    def initial_offer_answered(self) -> None:
        self._first_ours = self._first_theirs = False

    @property
    def awaits_answer(self) -> bool:
        """Whether our offer in a response to the first INVITE is still without an answer."""
        return self._first_ours

    @property
    def is_under_way(self) -> bool:
        """Whether a re-INVITE or UPDATE of ours is without its answer."""
        return self._ours is not None

    @property
    def is_asked(self) -> bool:
        """Whether an offer of theirs is without its answer."""
        return self._theirs is not None

    # Ours --------------------------------------------------------

    def offer(self, method: str, body: Body, content_type: str, dialog_tag: str | None = None) -> None:
        session = self._session
        if session.state in _OVER:
            raise SessionError(f"A session that is {session.state} cannot be changed")
        if method == "UPDATE" and self._dialog_for(dialog_tag) is None:
            raise SessionError("An UPDATE needs a dialog: there is none yet, or several")
        self._waiting = _Ours(method, body, content_type, dialog_tag)
        self.go_on()

    def go_on(self) -> None:
        """Send what waits, if its turn has come."""
        waiting = self._waiting
        if waiting is None or self._ours is not None or self._theirs is not None or self._being_read:
            return
        if self._first_ours or self._first_theirs or self._session.state in _OVER:
            return
        if waiting.method == "INVITE" and (not self._is_confirmed or self._keeper):
            return  # section 14.1: one INVITE at a time, in either direction
        dialog = self._dialog_for(waiting.dialog_tag)
        if dialog is None or self._session.awaits_prack:  # RFC 3311 section 5.1
            return
        self._waiting = None
        self._session.agent.cancel_timer(self._glare_key)
        body = waiting.body if isinstance(waiting.body, bytes) else waiting.body()
        if not body:
            return
        self._ours = waiting
        request = dialog.build(waiting.method)
        request.headers.add("Content-Type", waiting.content_type)
        request.body = body
        waiting.dialog = dialog
        waiting.errand = self._session.send(request, dialog, self)

    def _dialog_for(self, tag: str | None) -> Dialog | None:
        return self._session.any_dialog() if tag is None else self._session.dialog_with(tag)

    def on_response(self, errand: Errand, response: Response, source: Hop) -> None:
        self._session.heard_over(source)
        ours = self._ours
        if ours is None or errand is not ours.errand:
            if 200 <= response.status < 300:
                self.on_late_answer(response)
        elif response.status < 200:
            ours.heard = ours.heard or response.status > 100
            self._pracked(ours, response)
            # A transaction that was taken has no limit of its own: without one nothing more could be said in this call.
            session = self._session
            session.agent.at(self._patience_key, session.agent.timers.timeout_s, lambda: self._withdraw(ours, 408))
        elif response.status < 300:
            if ours.dialog is not None:
                ours.dialog.refresh_target(response)
                self._acknowledge(errand, ours.dialog)
            self._done(ours, response.status, response.body)
        elif response.status == 491 and ours.retries < MAX_GLARE_RETRIES:
            self._retry_after_glare(ours)
        elif response.status == 481 and ours.dialog is self._session.dialog and self._is_confirmed:
            self._ours = None
            self._session.time_out(481, "The far end no longer knows this call")
        else:
            self._done(ours, response.status, response.body if response.status < 300 else b"")

    def on_failure(self, errand: Errand, cause: str, sentence: str) -> None:
        ours = self._ours
        if ours is None or errand is not ours.errand:
            return
        self._note_unanswered(ours)
        self._done(ours, 408 if cause == TIMED_OUT else 503, b"")

    @property
    def _is_confirmed(self) -> bool:
        return self._session.state is SessionState.CONFIRMED

    def chosen(self, dialog: Dialog) -> None:
        """This far end has answered the call: an offer to another fork leads nowhere, and must not hold up others."""
        ours = self._ours
        if ours is not None and ours.dialog is not dialog and ours.errand is not None:
            ours.errand.abandon()
            self._done(ours, 481, b"")

    def _done(self, ours: _Ours, status: int, body: bytes) -> None:
        self._ours = None
        self._session.agent.cancel_timer(self._patience_key)
        self._session.emit(OfferAnswered(self._session, status, body, ours.method))
        # What waits, and what is asked for meanwhile, is written only after its owner has read this answer.
        self._being_read = True
        self._session.agent.at(self._turn_key, 0.0, self._next_turn)
        self._session.infos.go_on()

    def _next_turn(self) -> None:
        self._being_read = False
        self.go_on()

    def _retry_after_glare(self, ours: _Ours) -> None:
        """Section 14.1: whoever made the Call-ID waits longer, in steps of 10 ms."""
        session = self._session
        own_call_id = session.request.call_id == session.call_id and session.role == "caller"
        low, high = GLARE_OWNER_CS if own_call_id else GLARE_OTHER_CS
        wait_s = session.agent.rng.randint(low, high) / 100
        self._ours = None
        session.agent.cancel_timer(self._patience_key)
        again = _Ours(ours.method, ours.body, ours.content_type, ours.dialog_tag, retries=ours.retries + 1)

        def retry() -> None:
            if self._waiting is None:  # else the owner has made a newer offer meanwhile
                self._waiting = again
            self.go_on()

        session.agent.at(self._glare_key, wait_s, retry)

    def _acknowledge(self, errand: Errand, dialog: Dialog) -> None:
        request = errand.sent_request
        if request.method == "INVITE":
            self._acks = {str(request.cseq): SentAck.of(self._session.agent, dialog, request)}

    def on_late_answer(self, response: Response) -> None:
        """A 2xx that came again, since its ACK was lost, or to a re-INVITE that was given up.

        It is confirmed in any case: a far end that hears no ACK ends the call (section 13.3.1.4). What it says is no
        longer taken; the next offer tells what holds.
        """
        number = str(response.cseq)
        ack = self._acks.get(number)
        if ack is not None:
            ack.again()
        elif number in self._unanswered:
            dialog, request = self._unanswered.pop(number)
            if dialog.remote_tag == response.to.tag:
                self._acks[number] = SentAck.of(self._session.agent, dialog, request)

    def _note_unanswered(self, ours: _Ours) -> None:
        if ours.method == "INVITE" and ours.errand is not None and ours.dialog is not None:
            request = ours.errand.sent_request
            self._unanswered[str(request.cseq)] = ours.dialog, request
            while len(self._unanswered) > MAX_UNANSWERED:
                del self._unanswered[next(iter(self._unanswered))]

    def _pracked(self, ours: _Ours, response: Response) -> None:
        if ours.dialog is not None and response.rseq is not None and "100rel" in option_tags(response, "Require"):
            self._session.prack(ours.dialog, response)

    @property
    def _glare_key(self) -> tuple[int, str]:
        return (id(self), "glare")

    @property
    def _patience_key(self) -> tuple[int, str]:
        return (id(self), "patience")

    @property
    def _turn_key(self) -> tuple[int, str]:
        return (id(self), "turn")

    # Theirs --------------------------------------------------------

    def on_offer(self, transaction: ServerTransaction, request: Request, dialog: Dialog, source: Hop) -> None:
        """A re-INVITE, UPDATE or PRACK that wants to change the session."""
        refusal = self._clash(request)
        if refusal is not None:
            headers = [("Retry-After", str(self._session.agent.rng.randint(0, 10)))] if refusal == 500 else []
            self._session.agent.reply(transaction, refusal, headers=headers)
            return
        if request.method != "PRACK":
            dialog.refresh_target(request)
        theirs = _Theirs(transaction, request, dialog, source)
        transaction.user = self._session
        if not request.body and request.method == "UPDATE":
            self._session.agent.respond(transaction, self._response(theirs, 200))  # only a new target
            return
        self._theirs = theirs
        self._session.emit(OfferReceived(self._session, request.body, request.method, dialog.remote_tag))

    def _clash(self, request: Request) -> int | None:
        """Glare and its kin (section 14.2, RFC 3311 section 5.2)."""
        if self._theirs is not None:
            return 500
        if self._ours is not None and self._is_lost(self._ours, request):
            self._withdraw(self._ours, 491)
        if self._ours is not None or (self._first_ours and request.body):
            return 491
        if self._first_theirs and request.body:
            return 500
        if request.method == "INVITE":
            if self._keeper is not None:
                return 500
            if not self._is_confirmed:
                return 491
        return None

    def _is_lost(self, ours: _Ours, request: Request) -> bool:
        """Whether ours seems not to reach the far end: theirs comes a second time, and nothing is said of ours.

        Had ours arrived, it would have been refused with 491 as theirs was. Behind a NAT that has forgotten it the
        far end can be heard, but cannot be asked.
        """
        ours.crossed += 1
        return ours.method == request.method == "INVITE" and ours.crossed > 1 and not ours.heard

    def _withdraw(self, ours: _Ours, status: int) -> None:
        transaction = ours.errand.transaction if ours.errand is not None else None
        if ours.errand is not None and transaction is not None:
            ours.errand.abandon()
            self._session.agent.layer.withdraw(transaction, self._session.agent.now)
        self._note_unanswered(ours)
        self._done(ours, status, b"")

    def answer(self, body: bytes, content_type: str) -> None:
        theirs = self._take_theirs()
        response = self._response(theirs, 200)
        if body:
            response.headers.set("Content-Type", content_type)
            response.body = body
        if theirs.request.method == "INVITE":
            self._offer_in_answer = not theirs.request.body
            self._keeper_cseq = theirs.request.cseq.number
            self._keeper = AnswerKeeper(self._session.agent, theirs.transaction, response, self._no_ack)
            self._keeper.start()
        else:
            self._session.agent.respond(theirs.transaction, response)
        self.go_on()

    def refuse(self, status: int, reason: str | None) -> None:
        theirs = self._take_theirs()
        self._session.agent.reply(theirs.transaction, status, reason)
        self.go_on()

    def _take_theirs(self) -> _Theirs:
        theirs, self._theirs = self._theirs, None
        if theirs is None:
            raise SessionError("There is no offer to answer")
        return theirs

    def _response(self, theirs: _Theirs, status: int, headers: Iterable[tuple[str, str]] = ()) -> Response:
        agent = self._session.agent
        response = response_to(theirs.request, status, to_tag=self._session.key[1])
        response.headers.set("Contact", agent.contact(theirs.source))
        for name, value in (*agent.abilities(), *headers):
            response.headers.set(name, value)
        return response

    def on_ack(self, request: Request) -> None:
        keeper = self._keeper
        if keeper is None or request.cseq.number != self._keeper_cseq:
            return
        self._keeper = None
        keeper.stop()
        if self._offer_in_answer:
            self._offer_in_answer = False
            self._session.emit(OfferAnswered(self._session, 200, request.body, "ACK"))
        self.go_on()

    def on_cancel(self, invite: ServerTransaction) -> None:
        """The far end takes its re-INVITE back."""
        if self._theirs is not None and self._theirs.transaction is invite:
            self.refuse(487, None)

    def _no_ack(self) -> None:
        """The far end went out of reach in the middle of a change: as with an offer that nobody answers."""
        log.info("%r: the far end never confirmed a change of the call", self._session)
        self._keeper = None
        self._offer_in_answer = False
        self.go_on()

    def hurry(self) -> None:
        """The far end may be reachable again: what it has not confirmed is said again at once."""
        if self._keeper is not None:
            self._keeper.hurry()

    def close(self) -> None:
        """The session ends: what the far end asked gets its answer, ours is forgotten."""
        self._session.agent.cancel_timer(self._glare_key)
        self._session.agent.cancel_timer(self._turn_key)
        self._session.agent.cancel_timer(self._patience_key)
        self._waiting = self._ours = None
        if self._theirs is not None:
            self.refuse(487, None)
        if self._keeper is not None:
            self._keeper.stop()
            self._keeper = None
