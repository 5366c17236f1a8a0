"""The user agent core (RFC 3261 section 8): everything a phone decides, with no socket and no clock.

Bytes and times come in; `take()` gives what must happen: Send, Resolve, KeepAlive, and events for the owner. Sessions,
registration and single requests stand in files of their own and use the services below. `app.sip.endpoint` drives one
over real sockets, the tests over a virtual wire.
"""

from __future__ import annotations

import logging
import random
from collections import Counter, deque
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

from app.noise import Noise
from app.settings import HostPort
from app.sip.config import ALLOWED_METHODS, SipConfig
from app.sip.credentials import CredentialStore
from app.sip.dialogs import Dialog
from app.sip.editing import new_branch, new_token, push_via
from app.sip.errands import Errand, ErrandOwner
from app.sip.errors import ParseError, SipError
from app.sip.events import SipEvent
from app.sip.hops import Hop
from app.sip.identity import Identity
from app.sip.info_packages import content_type_of, packages_of
from app.sip.message import Headers, Request, Response, parse_message, refusal_of, response_to
from app.sip.reasons import Reason, reasons_of
from app.sip.registration import Registration
from app.sip.screening import Abilities, screen
from app.sip.session_states import SessionState
from app.sip.sessions import InviteSession
from app.sip.timers import TimerQueue, Timers
from app.sip.transactions import (
    AckArrived,
    ClientTransaction,
    Finished,
    RequestArrived,
    ResponseArrived,
    Send,
    ServerTransaction,
    TransactionEnded,
    TransactionFailed,
    TransactionLayer,
)
from app.sip.uri import SipUri, Uri

log = logging.getLogger(__name__)

MAX_RESOLVING = 200


@dataclass(frozen=True, slots=True)
class Resolve:
    """Find where `uri` is served (RFC 3263) and call `UserAgent.resolved(token, …)`."""

    token: int
    uri: SipUri


@dataclass(frozen=True, slots=True)
class KeepAlive:
    """Send a CRLF keep-alive to `hop` (RFC 5626 section 3.5.1 over TCP, a bare CRLF over UDP)."""

    hop: Hop


AgentOutput = Send | Resolve | KeepAlive | SipEvent
OnResolved = Callable[[Sequence[Hop], str], None]


class UserAgent:
    """One SIP user agent.

    `clock` gives monotonic seconds for calls that the owner makes (invite, accept, …); `on_wake` is called after
    each step: there may be something to take, and the next timeout may have moved. `rng` must be a good source unless
    it is a test's.
    """

    def __init__(
        self,
        config: SipConfig,
        *,
        clock: Callable[[], float],
        rng: random.Random | None = None,
        on_wake: Callable[[], None] = lambda: None,
    ) -> None:
        self.config = config
        self.rng = rng or random.SystemRandom()
        self.timers = Timers(t1_s=config.t1_s)
        self.identity = Identity(config)
        self.credentials = CredentialStore(self.identity.auth_user, config.password, self.rng)
        self.layer = TransactionLayer(self.timers, self.rng, max_server=config.max_transactions)
        self.counters: Counter[str] = self.layer.counters
        self._noise = Noise(log, "messages that are no SIP")
        self.registration = Registration(self)
        self.now = clock()
        self._abilities = Abilities(ALLOWED_METHODS, config.supported)
        self._clock = clock
        self._on_wake = on_wake
        self._queue = TimerQueue()
        self._outputs: deque[AgentOutput] = deque()
        self._sessions: dict[tuple[str, str], InviteSession] = {}
        self._resolving: dict[int, OnResolved] = {}
        self._tokens = 0
        self._depth = 0
        self._no_tcp: dict[HostPort, float] = {}
        self._account_hosts: dict[str, None] = {}

    # In --------------------------------------------------------

    def receive(self, data: bytes, source: Hop, now: float) -> None:
        """Take one datagram, or one whole message of a stream."""
        try:
            message = parse_message(data)
        except ParseError as error:
            self.receive_bad(error, source, now)
            return
        self.receive_message(message, source, now)

    def receive_message(self, message: Request | Response, source: Hop, now: float) -> None:
        with self.turn(now):
            self.counters["received"] += 1
            try:
                self.layer.receive(message, source, now)
            except ParseError as error:
                self._noise.add(source, error)
                self.counters["malformed"] += 1

    def receive_bad(self, error: ParseError, source: Hop, now: float) -> None:
        """Something that is no message came; a request that can be answered is refused with what is wrong."""
        with self.turn(now):
            self.counters["malformed"] += 1
            self._noise.add(source, error)
            refusal = refusal_of(error, to_tag=new_token(self.rng))
            if refusal is not None:
                self.layer.send_stateless(refusal, source)

    def handle_timeout(self, now: float) -> None:
        with self.turn(now):
            self.layer.handle_timeout(now)
            self._settle()
            self._queue.run_due(now)

    def next_timeout(self) -> float | None:
        times = [at for at in (self.layer.next_timeout(), self._queue.next()) if at is not None]
        return min(times, default=None)

    def send_failed(self, transaction: int | None, detail: str, now: float) -> None:
        """A Send could not be delivered."""
        with self.turn(now):
            self.counters["send_failed"] += 1
            if transaction is not None:
                self.layer.send_failed(transaction, now, detail)

    def connection_lost(self, hop: Hop, now: float) -> None:
        """A stream connection has closed."""
        with self.turn(now):
            self.registration.connection_lost(hop)

    def resolved(self, token: int, hops: Sequence[Hop], problem: str, now: float) -> None:
        """The answer to a Resolve: where to go, best first, each with `local` set; or none, and why."""
        with self.turn(now):
            call = self._resolving.pop(token, None)
            if call is not None:
                call(hops, problem)

    def take(self) -> Iterator[AgentOutput]:
        """Drain what must happen, in order."""
        while self._outputs:
            yield self._outputs.popleft()

    # For the owner --------------------------------------------------------

    def invite(
        self,
        target: str | Uri,
        *,
        body: bytes,
        content_type: str = "application/sdp",
        headers: Iterable[tuple[str, str]] = (),
        display_name: str | None = None,
    ) -> InviteSession:
        """Start a call with an offer; SipError with one sentence when that cannot even begin."""
        uri = self.identity.target(target)
        if not body:
            raise SipError("A call needs a session description to offer")
        if self._is_full():
            raise SipError(f"There are {self.config.max_sessions} calls already: end one first")
        extra = Headers(headers)
        with self.turn():
            session = InviteSession.calling(self, uri, body, content_type, extra, display_name or "")
            self._sessions[session.key] = session
            session.start()
        return session

    def hurry(self) -> None:
        """The network is back, or may be: send everything unanswered again now instead of after its long interval."""
        with self.turn():
            self.layer.hurry(self.now)
            self.registration.hurry()
            for session in self.sessions:
                session.hurry()

    def renew_registration(self) -> None:
        with self.turn():
            self.registration.renew()

    def network_changed(self) -> None:
        """This machine has other addresses: nothing that was learned of them is true, and the account must follow."""
        with self.turn():
            self.identity.forget_learned()
            self.registration.refresh()
            self.layer.say_again()
            self.hurry()

    def request_outside(self, method: str, target: str | Uri, owner: ErrandOwner) -> Errand:
        """Send a request outside any dialog, such as OPTIONS."""
        uri = self.identity.target(target)
        with self.turn():
            to_account = self.identity.is_account(uri)
            request = self.new_request(method, uri, to=f"<{uri}>", own=str(self.identity.own_name(None)))
            cseq = iter(range(2, 100))
            errand = Errand(
                self, request, self.identity.next_hop(uri), owner, lambda: next(cseq), via_account=to_account
            )
            errand.contact = self.contact
            errand.start()
        return errand

    @property
    def sessions(self) -> tuple[InviteSession, ...]:
        return tuple(self._sessions.values())

    # Services for sessions, registration and errands --------------------------------------------------------

    @contextmanager
    def turn(self, now: float | None = None) -> Iterator[None]:
        """One step: sets the time, and at the end of the outermost one carries out what the layers below want."""
        self.now = max(self.now, self._clock() if now is None else now)
        self._depth += 1
        try:
            yield
        finally:
            self._depth -= 1
            if self._depth == 0:
                self._settle()
                self._on_wake()

    def emit(self, event: SipEvent) -> None:
        self._outputs.append(event)

    def at(self, key: Hashable, after_s: float, call: Callable[[], None]) -> None:
        self._queue.set(key, self.now + after_s, lambda now: call())

    def cancel_timer(self, key: Hashable) -> None:
        self._queue.cancel(key)

    def respond(self, transaction: ServerTransaction, response: Response) -> bool:
        return self.layer.respond(transaction, response, self.now)

    def reply(
        self,
        transaction: ServerTransaction,
        status: int,
        reason: str | None = None,
        *,
        to_tag: str | None = None,
        headers: Iterable[tuple[str, str]] = (),
    ) -> None:
        """Answer a request without a body."""
        response = response_to(transaction.request, status, reason, to_tag=to_tag or new_token(self.rng))
        response.headers.set("Server", self.config.user_agent)
        for name, value in headers:
            response.headers.add(name, value)
        self.respond(transaction, response)

    def new_request(self, method: str, uri: Uri, *, to: str, own: str, call_id: str = "", cseq: int = 1) -> Request:
        """A request outside a dialog; `own` is From without its tag unless it has one."""
        headers = Headers()
        headers.add("Max-Forwards", "70")
        headers.add("From", own if ";tag=" in own else f"{own};tag={new_token(self.rng)}")
        headers.add("To", to)
        headers.add("Call-ID", call_id or new_token(self.rng, 24))
        headers.add("CSeq", f"{cseq} {method}")
        return Request(method, uri, headers)

    def resolve(self, uri: Uri, call: OnResolved) -> None:
        if not isinstance(uri, SipUri):
            call((), f"A {uri.scheme}: address cannot be reached directly")
        elif len(self._resolving) >= MAX_RESOLVING:
            call((), "Too many addresses are being looked up at once")
        else:
            self._tokens += 1
            self._resolving[self._tokens] = call
            self._outputs.append(Resolve(self._tokens, uri))

    def open_transaction(self, request: Request, hop: Hop, errand: Errand) -> ClientTransaction:
        return self.layer.send_request(request, hop, self.now, user=errand)

    def send_ack(self, ack: Request, hop: Hop) -> Request:
        """Send the ACK of a 2xx; returns it with its Via, to be repeated as it is."""
        sent = push_via(ack, hop, new_branch(self.rng))
        self.layer.send_stateless(sent, hop)
        return sent

    def keep_alive(self, hop: Hop) -> None:
        self._outputs.append(KeepAlive(hop))

    def contact(self, hop: Hop) -> str:
        """Our Contact as whoever is behind `hop` can reach it."""
        return self.identity.contact(hop)

    def learn_address(self, response: Response, transaction: ClientTransaction) -> None:
        """The far end tells in received and rport how it sees us (RFC 3581)."""
        self.identity.learn(response.top_via, transaction.hop)

    def note_account_server(self, hop: Hop) -> None:
        self._account_hosts[hop.remote.host] = None
        while len(self._account_hosts) > 16:
            del self._account_hosts[next(iter(self._account_hosts))]

    def is_account_server(self, hop: Hop) -> bool:
        """Whether this is our provider's server: only to such do we show what we know of the password."""
        return hop.remote.host in self._account_hosts

    def too_big_for_udp(self, request: Request, hop: Hop) -> bool:
        """RFC 3261 section 18.1.1; the Via to come is counted in."""
        if self._no_tcp.get(hop.remote, 0.0) > self.now:
            return False
        via_bytes = 90
        return len(bytes(request)) + via_bytes > self.config.tcp_above_bytes

    def tcp_refused(self, remote: HostPort, for_s: float) -> None:
        """`remote` speaks no TCP: do not lose time with it again soon."""
        while len(self._no_tcp) >= 64:
            del self._no_tcp[next(iter(self._no_tcp))]
        self._no_tcp[remote] = self.now + for_s

    def forget(self, session: InviteSession) -> None:
        if self._sessions.get(session.key) is session:
            del self._sessions[session.key]

    # What the transaction layer gives out --------------------------------------------------------

    def _settle(self) -> None:
        for output in self.layer.take():
            match output:
                case Send():
                    self.counters["sent"] += 1
                    self._outputs.append(output)
                case RequestArrived(transaction, request, source):
                    self._on_request_guarded(transaction, request, source)
                case AckArrived(request, _, _):
                    session = self._session_of(request)
                    if session is not None:
                        session.on_ack(request)
                case ResponseArrived(transaction, response, source):
                    self._on_response(transaction, response, source)
                case TransactionFailed(transaction, cause, detail):
                    if isinstance(transaction, ServerTransaction):
                        self._on_finished(transaction)
                    elif isinstance(transaction, ClientTransaction) and isinstance(transaction.user, Errand):
                        transaction.user.failed(transaction, cause, detail)
                case Finished(transaction):
                    self._on_finished(transaction)
                case TransactionEnded():
                    continue  # of our own requests: their answer or failure has told everything

    def _on_finished(self, transaction: ServerTransaction) -> None:
        """A refusal of ours was acknowledged, or nobody cared to."""
        if isinstance(transaction.user, InviteSession):
            transaction.user.on_finished(transaction)

    def _on_request_guarded(self, transaction: ServerTransaction, request: Request, source: Hop) -> None:
        """Header fields that are only read now may turn out to be malformed: the answer is 400."""
        try:
            self._on_request(transaction, request, source)
        except ParseError as error:
            self.counters["malformed"] += 1
            if not transaction.answered:
                self.reply(transaction, error.status, error.reason)

    def _on_response(self, transaction: ClientTransaction | None, response: Response, source: Hop) -> None:
        if transaction is None:
            self._on_late_answer(response)
            return
        if len(response.vias) != 1:
            self.counters["responses_not_ours"] += 1  # section 8.1.3.3
            return
        if not isinstance(transaction.user, Errand):
            return
        if transaction.method == "CANCEL":
            return  # what matters is the INVITE's final response
        try:
            transaction.user.received(transaction, response, source)
        except ParseError as error:
            self.counters["malformed"] += 1
            log.debug("A response of %s could not be used: %s", source, error)

    def _on_late_answer(self, response: Response) -> None:
        """Nothing waits for it (section 8.1.3.1); the layer has counted it. But a 2xx to an INVITE wants its ACK."""
        try:
            if 200 <= response.status < 300 and response.cseq.method == "INVITE" and len(response.vias) == 1:
                session = self._sessions.get((response.call_id, response.from_.tag or ""))
                if session is not None:
                    session.on_late_answer(response)
        except ParseError as error:
            log.debug("A late response could not be used: %s", error)

    # Requests (section 8.2) --------------------------------------------------------

    def _on_request(self, transaction: ServerTransaction, request: Request, source: Hop) -> None:
        if request.method == "CANCEL":
            self._on_cancel(transaction, request)
            return
        refusal = screen(request, self._abilities_for(request), to_tag=new_token(self.rng))
        if refusal is not None:
            self.respond(transaction, refusal)
        elif request.to.tag is not None:
            session = self._session_of(request)
            if session is None:
                self.reply(transaction, 481)
            else:
                session.on_request(transaction, request, source)
        elif self.layer.is_merged(transaction):
            self.reply(transaction, 482)
        elif request.method == "INVITE":
            self._on_invite(transaction, request, source)
        elif request.method == "OPTIONS":
            self.answer_options(transaction)
        else:
            self.reply(transaction, 481)

    def _on_cancel(self, transaction: ServerTransaction, cancel: Request) -> None:
        invite = self.layer.invite_of(cancel)
        session = invite.user if invite is not None else None
        if invite is None:
            self.reply(transaction, 481)
            return
        tag = session.local.tag if isinstance(session, InviteSession) else None
        self.reply(transaction, 200, to_tag=tag)
        if isinstance(session, InviteSession):
            session.on_cancel(invite, reasons_of(cancel))

    def _abilities_for(self, request: Request) -> Abilities:
        """Only what carries a session description must be one; the body of an INFO is the owner's business."""
        if request.method in ("INVITE", "UPDATE", "PRACK") or request.content_type is None:
            return self._abilities
        return replace(self._abilities, content_types=(request.content_type.essence,))

    def _on_invite(self, transaction: ServerTransaction, request: Request, source: Hop) -> None:
        if self._is_full():
            self.counters["sessions_over_limit"] += 1
            self.reply(transaction, 486, headers=[("Retry-After", "30")])
        elif first_non_sip_contact(request):
            self.reply(transaction, 400, "An INVITE needs one SIP contact")
        else:
            session = InviteSession.called(self, transaction, request, source)
            self._sessions[session.key] = session
            session.start()

    def _is_full(self) -> bool:
        """Whether there are as many calls as may be. One that only awaits the ACK of its refusal blocks nobody."""
        live = sum(session.state is not SessionState.ENDING for session in self._sessions.values())
        return live >= self.config.max_sessions

    def answer_options(self, transaction: ServerTransaction, to_tag: str | None = None) -> None:
        """Section 11.2: what we can do."""
        accepted = ["application/sdp", *(content_type_of(package) for package in self.info_packages)]
        self.reply(transaction, 200, to_tag=to_tag, headers=[*self.abilities(), ("Accept", ", ".join(accepted))])

    def abilities(self) -> list[tuple[str, str]]:
        """Allow, Supported and Recv-Info, for every message that says what we can do."""
        abilities = [("Allow", ", ".join(ALLOWED_METHODS)), ("Supported", ", ".join(self.config.supported))]
        return [*abilities, ("Recv-Info", ", ".join(self.info_packages))] if self.info_packages else abilities

    @property
    def info_packages(self) -> tuple[str, ...]:
        return packages_of(self.config.supported)

    def _session_of(self, request: Request) -> InviteSession | None:
        return self._sessions.get((request.call_id, request.to.tag or ""))


def first_non_sip_contact(request: Request) -> bool:
    """Whether the Contact of an INVITE is missing or no address that a dialog can use (section 8.1.1.8)."""
    contacts = request.contacts
    return contacts.star or not len(contacts) or not isinstance(contacts[0].uri, SipUri)


__all__ = ["Dialog", "KeepAlive", "Reason", "Resolve", "Send", "UserAgent"]
