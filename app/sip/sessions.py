"""One INVITE session, in either role: what `app.calls` drives.

All methods return at once; what follows comes as events (app/sip/events.py) on the endpoint's loop. A method called
at a moment where it makes no sense (accept() twice, provisional() after the end) raises SessionError; ending what has
ended is harmless.

The caller's side stands in app/sip/caller.py, the callee's in app/sip/callee.py, changes of a running session in
app/sip/offers.py.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import TYPE_CHECKING

from app.sip.callee import CalleeSide
from app.sip.caller import CallerSide
from app.sip.dialogs import Dialog
from app.sip.editing import new_token, option_tags
from app.sip.errands import Errand, ErrandOwner
from app.sip.events import (
    Bye,
    InfoReceived,
    SessionClosed,
    SessionEvent,
    SessionTimedOut,
    TransportFailed,
)
from app.sip.hops import Hop
from app.sip.info_packages import judge, package_of
from app.sip.infos import IN_DIALOG, Infos
from app.sip.message import Headers, Request, Response
from app.sip.offers import Body, Offers
from app.sip.reasons import Reason, reasons_of
from app.sip.session_states import SDP, Role, SessionError, SessionState
from app.sip.transactions import TRANSPORT, ServerTransaction
from app.sip.uri import NameAddr, SipUri

if TYPE_CHECKING:
    from app.sip.agent import UserAgent

log = logging.getLogger(__name__)


class InviteSession:
    """One call's signalling.

    `request` is the initial INVITE (the caller's newest one, after challenges); `state` and `role` speak for
    themselves; `call_id` is the Call-ID header.
    """

    def __init__(self, agent: UserAgent, role: Role, call_id: str, local_tag: str) -> None:
        self.agent = agent
        self.role = role
        self.state = SessionState.CALLING if role is Role.CALLER else SessionState.INCOMING
        self.call_id = call_id
        self.key = (call_id, local_tag)
        self.dialog: Dialog | None = None  # the confirmed one; the callee's from the start
        self.offers = Offers(self)
        self.infos = Infos(self)
        self.via_account = False  # our INVITE goes to the account's own server
        self._caller: CallerSide | None = None
        self._callee: CalleeSide | None = None
        self._peer: Request | Response | None = None  # the newest message of the far end

    @classmethod
    def calling(
        cls, agent: UserAgent, uri: SipUri, body: bytes, content_type: str, extra: Headers, display_name: str
    ) -> InviteSession:
        """The session of an INVITE of ours."""
        session = cls(agent, Role.CALLER, new_token(agent.rng, 24), new_token(agent.rng))
        session.via_account = agent.identity.is_account(uri)
        session._caller = CallerSide(session, uri, body, content_type, extra, display_name)
        return session

    @classmethod
    def called(cls, agent: UserAgent, transaction: ServerTransaction, request: Request, source: Hop) -> InviteSession:
        """The session of an INVITE that came."""
        session = cls(agent, Role.CALLEE, request.call_id, new_token(agent.rng))
        session._peer = request
        session._callee = CalleeSide(session, transaction, request, source)
        session.dialog = session._callee.dialog
        transaction.user = session
        return session

    def start(self) -> None:
        """Send the INVITE, or show it to the owner."""
        if self._caller is not None:
            self._caller.start()
        if self._callee is not None:
            self._callee.start()

    def __repr__(self) -> str:
        return f"<{self.role} {self.state} {self.call_id[:8]}>"

    @property
    def request(self) -> Request:
        """The initial INVITE."""
        side = self._caller or self._callee
        assert side is not None
        return side.request

    @property
    def local(self) -> NameAddr:
        """Who this side is (From of the caller, To of the callee), with our tag."""
        if self.dialog is not None:
            return self.dialog.local
        return self.request.from_

    @property
    def remote(self) -> NameAddr:
        """Who the far side is, with its display name."""
        return self.request.to if self.role is Role.CALLER else self.request.from_

    @property
    def transport(self) -> str | None:
        """The transport the INVITE went or came over: "udp", "tcp" or "tls"; None before it is sent."""
        side = self._caller or self._callee
        return side.transport if side is not None else None

    @property
    def dialog_tag(self) -> str | None:
        """The far end's tag of the confirmed dialog (callee: of the only one)."""
        return self.dialog.remote_tag if self.dialog is not None else None

    def peer_supports(self, option: str) -> bool:
        """Whether the far end named `option` in Supported or Require of its newest message that names any."""
        message = self._peer
        if message is None:
            return False
        return option.lower() in option_tags(message, "Supported") | option_tags(message, "Require")

    def peer_allows(self, method: str) -> bool:
        """Whether the far end named `method` in Allow of the same message."""
        return self._peer is not None and method.lower() in option_tags(self._peer, "Allow")

    @property
    def peer_agent(self) -> str | None:
        """User-Agent or Server of the far end."""
        if self._peer is None:
            return None
        return self._peer.headers.get("User-Agent") or self._peer.headers.get("Server")

    # Caller --------------------------------------------------------

    def cancel(self, reasons: Iterable[Reason] = ()) -> None:
        """Give up before the answer. Ends in Refused(487), also when a 2xx was already on its way (ACK, then BYE)."""
        with self.agent.turn():
            if self._caller is not None and self.state is SessionState.CALLING:
                self._caller.cancel(tuple(reasons))

    # Callee --------------------------------------------------------

    def provisional(
        self,
        status: int,
        reason: str | None = None,
        body: bytes = b"",
        *,
        reliable: bool | None = None,
        transmissions: int | None = None,
        content_type: str = SDP,
    ) -> None:
        """Send a 101–199 response, in the order of the calls.

        `reliable` None: with a body, or when the caller requires 100rel, it is sent reliably (PRACK) if the caller
        supports that, otherwise retransmitted with the same backoff until stop_retransmitting() or the final answer;
        without a body it is sent once. True: as with a body. False: once.
        `transmissions` limits the retransmitted form (4 toward an ICE-lite caller). While a reliable one awaits its
        PRACK, later provisionals and the 2xx wait behind it.
        """
        if not 100 < status < 200:
            raise SessionError(f"{status} is not a provisional status")
        with self.agent.turn():
            self._callee_in(SessionState.INCOMING).provisional(
                status, reason, body, reliable=reliable, transmissions=transmissions, content_type=content_type
            )

    def stop_retransmitting(self) -> None:
        """A matching Binding request has come: the far end has our 183 (RFC 8839 section 7.1.1)."""
        with self.agent.turn():
            if self._callee is not None:
                self._callee.provisionals.binding_seen()

    def accept(self, body: bytes = b"", *, content_type: str = SDP) -> None:
        """Answer with 200; retransmitted until AckReceived. Waits for the PRACK of an SDP-bearing 183."""
        with self.agent.turn():
            self._callee_in(SessionState.INCOMING).accept(body, content_type)

    def reject(
        self,
        status: int,
        reason: str | None = None,
        *,
        reasons: Iterable[Reason] = (),
        headers: Iterable[tuple[str, str]] = (),
    ) -> None:
        """Refuse with a 3xx–6xx; SessionClosed follows when the far end has acknowledged."""
        if not 300 <= status < 700:
            raise SessionError(f"{status} is not a refusal")
        with self.agent.turn():
            side = self._callee_in(SessionState.INCOMING)
            side.refuse(status, reason, [*(("Reason", str(value)) for value in reasons), *headers])

    def _callee_in(self, *states: SessionState) -> CalleeSide:
        if self._callee is None or self.state not in states:
            raise SessionError(f"A session that is {self.state} cannot do that")
        return self._callee

    # Both, once there is a dialog --------------------------------------------------------

    def bye(self, reasons: Iterable[Reason] = ()) -> None:
        """Hang up, whatever the state: BYE, CANCEL or 480 as the moment asks; SessionClosed follows."""
        listed = tuple(reasons)
        with self.agent.turn():
            if self.state is SessionState.CALLING and self._caller is not None:
                self._caller.cancel(listed)
            elif self.state in (SessionState.INCOMING, SessionState.ACCEPTED) and self._callee is not None:
                self._callee.hang_up(listed)
            elif self.state is SessionState.CONFIRMED and self.dialog is not None:
                self.send_bye(self.dialog, listed)

    def reinvite(self, body: Body, *, content_type: str = SDP) -> None:
        """Offer a change after the answer; ends in OfferAnswered. 491 is retried as RFC 3261 section 14.1 says.

        While another offer or INVITE is under way it waits for its end; a newer call takes its place. A `body` that is
        a function is called when its turn has come, again for each retry, and must only write. OfferAnswered tells 408
        where no answer came and 503 where nothing could be sent: the session stands as it was.
        """
        with self.agent.turn():
            self.offers.offer("INVITE", body, content_type)

    def update(self, body: Body, *, content_type: str = SDP, dialog_tag: str | None = None) -> None:
        """Offer a change by UPDATE (RFC 3311), also before the answer; ends in OfferAnswered.

        A caller with several early dialogs names the one meant.
        """
        with self.agent.turn():
            self.offers.offer("UPDATE", body, content_type, dialog_tag)

    def info(self, body: bytes, *, content_type: str) -> None:
        """Send an INFO of the old kind; its answer is not reported."""
        with self.agent.turn():
            if self.dialog is None or self.state is not SessionState.CONFIRMED:
                raise SessionError("An INFO needs a call that is up")
            request = self.dialog.build("INFO")
            request.headers.add("Content-Type", content_type)
            request.body = body
            self.send(request, self.dialog, self)

    def package_info(self, package: str, body: bytes, *, dialog_tag: str | None = None) -> None:
        """Send an INFO of a package (RFC 6086), also in an early dialog; ends in InfoAnswered.

        It waits for the answers of requests under way (app/sip/infos.py); a newer one takes its place. A caller with
        several early dialogs names the one meant. A callee must know that its provisional response has arrived, since
        before that the caller has no dialog.
        """
        with self.agent.turn():
            dialog = self.any_dialog() if dialog_tag is None else self.dialog_with(dialog_tag)
            if dialog is None or self.state not in IN_DIALOG:
                raise SessionError("An INFO needs a dialog: there is none yet, or several, or none any more")
            self.infos.send(dialog, package, body)

    @property
    def has_open_offer(self) -> bool:
        """Whether the last OfferReceived still wants its answer: the far end may have taken it back."""
        return self.offers.is_asked

    def answer_offer(self, body: bytes, *, content_type: str = SDP) -> None:
        """Accept the last OfferReceived with this answer (or offer, where the far end asked for one)."""
        with self.agent.turn():
            self.offers.answer(body, content_type)

    def refuse_offer(self, status: int = 488, reason: str | None = None) -> None:
        """Refuse the last OfferReceived; the session stands as it was."""
        with self.agent.turn():
            self.offers.refuse(status, reason)

    # From the agent --------------------------------------------------------

    def on_request(self, transaction: ServerTransaction, request: Request, source: Hop) -> None:
        """A request inside the dialog."""
        dialog = self.dialog_with(request.from_.tag or "")
        if dialog is None or self.state is SessionState.ENDED:
            self.agent.reply(transaction, 481)
            return
        if self.state is SessionState.ENDING and request.method != "BYE":
            self.agent.reply(transaction, 481)
            return
        if not dialog.take_cseq(request.cseq.number):
            self.agent.reply(transaction, 500, "Sequence number out of order")
            return
        self.note_peer(request)
        self.heard_over(source)
        match request.method:
            case "BYE":
                self._on_bye(transaction, request)
            case "INVITE" | "UPDATE":
                self.offers.on_offer(transaction, request, dialog, source)
            case "PRACK" if self._callee is not None:
                self._callee.on_prack(transaction, request)
            case "INFO":
                self._on_info(transaction, request)
            case "OPTIONS":
                self.agent.answer_options(transaction)
            case _:
                self.agent.reply(transaction, 481)

    def on_cancel(self, invite: ServerTransaction, reasons: tuple[Reason, ...]) -> None:
        if self._callee is not None and invite is self._callee.transaction:
            self._callee.on_cancel(reasons)
        else:
            self.offers.on_cancel(invite)

    def on_ack(self, request: Request) -> None:
        number = request.cseq.number
        if self._callee is not None and number == self._callee.request.cseq.number:
            self._callee.on_ack(request)
        else:
            self.offers.on_ack(request)

    def on_late_answer(self, response: Response) -> None:
        """A 2xx to an INVITE of ours whose transaction is no more."""
        self.offers.on_late_answer(response)

    def on_finished(self, transaction: ServerTransaction) -> None:
        """Our refusal of the first INVITE has been acknowledged, or nobody cared to for 64*T1."""
        if self._callee is not None and transaction is self._callee.transaction:
            self.close()

    def on_response(self, errand: Errand, response: Response, source: Hop) -> None:
        """The answer to a BYE or an INFO."""
        if response.status >= 200 and errand.request.method == "BYE":
            self.close()

    def on_failure(self, errand: Errand, cause: str, sentence: str) -> None:
        if errand.request.method == "BYE":
            self.close()

    def _on_info(self, transaction: ServerTransaction, request: Request) -> None:
        refusal = judge(request, self.agent.info_packages, to_tag=self.key[1])
        if refusal is not None:
            self.agent.respond(transaction, refusal)
            return
        self.agent.reply(transaction, 200)
        content_type = request.content_type
        kind = content_type.essence if content_type else ""
        self.emit(InfoReceived(self, kind, request.body, package_of(request), request.from_.tag or ""))

    def _on_bye(self, transaction: ServerTransaction, request: Request) -> None:
        self.agent.reply(transaction, 200)
        if self.state is SessionState.ENDING:
            return  # both hung up at once; our BYE is answered the same way
        self.emit(Bye(self, reasons_of(request)))
        if self._callee is not None and not self._callee.transaction.answered:
            self._callee.refuse(487, None)  # an early dialog: the INVITE still needs its answer (section 15.1.2)
        else:
            self.close()

    # For the sides --------------------------------------------------------

    def dialog_with(self, remote_tag: str) -> Dialog | None:
        if self.dialog is not None:
            return self.dialog if self.dialog.remote_tag == remote_tag else None
        return self._caller.leg_dialog(remote_tag) if self._caller is not None else None

    def any_dialog(self) -> Dialog | None:
        """The confirmed dialog, else the only early one."""
        return self.dialog or (self._caller.only_dialog() if self._caller is not None else None)

    @property
    def awaits_prack(self) -> bool:
        """Whether the far end has not yet acknowledged our description in a reliable provisional response."""
        return self._callee is not None and self._callee.provisionals.holds_back_answer

    def heard_over(self, hop: Hop) -> None:
        """A message of the far end came this way."""
        if self._callee is not None:
            self._callee.heard_over(hop)

    def note_peer(self, message: Request | Response) -> None:
        if self._peer is None or option_tags(message, "Supported"):
            self._peer = message

    def emit(self, event: SessionEvent) -> None:
        if self.state is not SessionState.ENDED:
            self.agent.emit(event)

    def send(self, request: Request, dialog: Dialog, owner: ErrandOwner) -> Errand:
        """Send a request inside `dialog`; INVITE and UPDATE carry our Contact and what we can do."""
        errand = Errand(self.agent, request, dialog.next_hop, owner, dialog.next_cseq)
        if request.method in ("INVITE", "UPDATE"):
            errand.contact = self.agent.contact
            for name, value in self.agent.abilities():
                request.headers.set(name, value)
        errand.start()
        return errand

    def send_bye(self, dialog: Dialog, reasons: tuple[Reason, ...]) -> None:
        """Hang up; SessionClosed follows the answer."""
        self.state = SessionState.ENDING
        self.offers.close()
        request = dialog.build("BYE")
        for reason in reasons:
            request.headers.add("Reason", str(reason))
        self.send(request, dialog, self)

    def prack(self, dialog: Dialog, response: Response) -> None:
        """Acknowledge a reliable provisional (RFC 3262 section 4)."""
        request = dialog.build("PRACK")
        request.headers.add("RAck", f"{response.rseq} {response.cseq}")
        self.infos.begin(request, dialog)

    def time_out(self, status: int, sentence: str) -> None:
        """The far end is gone in the middle of a call (section 12.2.1.2): tell the owner, and hang up in any case."""
        self.emit(SessionTimedOut(self, sentence, status))
        if self.dialog is not None and self.state is not SessionState.ENDING:
            self.send_bye(self.dialog, (Reason("SIP", 408, "The far end does not answer"),))

    def fail(self, cause: str, sentence: str) -> None:
        """The INVITE could not be delivered, or nothing came back."""
        event = TransportFailed if cause == TRANSPORT else SessionTimedOut
        self.emit(event(self, sentence))
        self.close()

    def hurry(self) -> None:
        """What the far end has not confirmed is sent again at once."""
        self.offers.hurry()
        if self._callee is not None:
            self._callee.hurry()

    def close(self) -> None:
        """The last word about this session."""
        if self.state is SessionState.ENDED:
            return
        self.offers.close()
        if self._callee is not None:
            self._callee.close()
        self.emit(SessionClosed(self))
        self.state = SessionState.ENDED
        self.agent.forget(self)


__all__ = ["SDP", "InviteSession", "Role", "SessionError", "SessionState"]
