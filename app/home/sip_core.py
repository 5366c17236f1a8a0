"""The SIP server without sockets: registrar and proxy behind one door. RFC 3261 sections 10, 16 and 22.

The owner of the sockets hands in each message with the hop it came on, and carries out `take_outputs`. What a
stranger sends is counted, limited by source, and answered without keeping anything until it has been found to go
somewhere: challenges and refusals are stateless (section 8.2.7), so only calls that ring a user cost memory.
"""

from __future__ import annotations

import hmac
import logging
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from app.home.accounts import Users
from app.home.flows import FlowTokens
from app.home.fork import Forward
from app.home.limits import SourceLimiter
from app.home.location import Location
from app.home.names import OwnNames
from app.home.proxy import Proxy
from app.home.registrar import MIN_EXPIRES_S, Registrar
from app.home.routing import Paths, Refusal, Router
from app.noise import Noise
from app.sip.digest import ALGORITHMS, Authenticator, Stale, Wrong
from app.sip.editing import learn_source, reply_hop, server_key
from app.sip.errors import ParseError
from app.sip.hops import Hop
from app.sip.message import METHODS, Request, Response, refusal_of, response_to
from app.sip.timers import Timers
from app.sip.transactions import (
    AckArrived,
    ClientTransaction,
    RequestArrived,
    ResponseArrived,
    Send,
    ServerTransaction,
    TransactionEnded,
    TransactionFailed,
    TransactionLayer,
)
from app.sip.uri import SipUri

log = logging.getLogger(__name__)

_TAG_PREFIX = "home-"


@dataclass(frozen=True, slots=True)
class SipLimits:
    """What strangers may do. A source from which a user has registered is no stranger."""

    requests_per_s: float = 50.0  # per source address
    requests_total_per_s: float = 1000.0
    wrong_passwords_per_s: float = 2.0  # per source address
    transactions: int = 1000
    min_expires_s: int = MIN_EXPIRES_S


@dataclass(frozen=True, slots=True)
class ContactsChanged:
    """A user registered, moved or went: `contacts` says where the user is reached now."""

    user: str
    contacts: tuple[str, ...]


class SipCore:
    """See the module. `secret` signs nonces, routes and tags, and never leaves the process."""

    def __init__(
        self,
        realm: str,
        users: Users,
        names: OwnNames,
        paths: Paths,
        *,
        secret: bytes,
        on_contacts: Callable[[ContactsChanged], None] | None = None,
        digests: tuple[str, ...] = ALGORITHMS,
        limits: SipLimits | None = None,
        timers: Timers | None = None,
        rng: random.Random | None = None,
    ) -> None:
        limits = limits or SipLimits()
        rng = rng or random.SystemRandom()
        self.counters: Counter[str] = Counter()
        self._noise = Noise(log, "messages that are no SIP")
        self.location = Location()
        self._names = names
        self._secret = secret
        self._on_contacts = on_contacts
        self._layer = TransactionLayer(timers or Timers(), rng, limits.transactions)
        tokens = FlowTokens(secret)
        self._registrar = Registrar(self.location, names, min_expires_s=limits.min_expires_s)
        self._user_auth = Authenticator(realm, secret, users.ha1, algorithms=digests, rng=rng)
        self._proxy_auth = Authenticator(realm, secret, users.ha1, proxy=True, algorithms=digests, rng=rng)
        self._router = Router(users, self.location, names, tokens, paths, self._prove_caller)
        self._proxy = Proxy(self._layer, tokens, names, secret=secret, rng=rng)
        self._strangers = SourceLimiter(
            limits.requests_per_s,
            limits.requests_per_s * 2,
            total_rate_per_s=limits.requests_total_per_s,
            total_burst=limits.requests_total_per_s,
        )
        self._guesses = SourceLimiter(
            limits.wrong_passwords_per_s, 20, total_rate_per_s=100, total_burst=200, max_sources=1024
        )
        self._known: set[tuple[str, ...]] = set()  # keys of the server transactions alive
        self._decision: Forward | str | None = None  # for the request just handed to the layer
        self._sends: list[Send] = []

    # What the owner of the sockets calls ------------------------------------------------------------------

    @property
    def transactions(self) -> int:
        return len(self._layer)

    def all_counters(self) -> Counter[str]:
        return self.counters + self._layer.counters + self._proxy.counters

    def bind_local(self, user: str, uri: SipUri, now: float) -> None:
        """Let calls to `user` go to a contact of this very program."""
        self._registrar.bind_local(user, uri, now)
        self._contacts_changed(user, now)

    def drop_user(self, user: str, now: float) -> None:
        if self.location.drop(user):
            self._contacts_changed(user, now)

    def take_outputs(self) -> list[Send]:
        """Give what is to be sent; report with `send_failed` what could not be."""
        sends, self._sends = self._sends, []
        return sends

    def send_failed(self, transaction: int, now: float, detail: str = "") -> None:
        self._layer.send_failed(transaction, now, detail)
        self._drain(now)

    def next_timeout(self) -> float | None:
        times = (self._layer.next_timeout(), self._proxy.next_timeout(), self.location.next_expiry())
        return min((each for each in times if each is not None), default=None)

    def handle_timeout(self, now: float) -> None:
        self._layer.handle_timeout(now)
        self._proxy.handle_timeout(now)
        for user in self.location.expire(now):
            self._contacts_changed(user, now)
        self._drain(now)

    def receive_bad(self, error: ParseError, source: Hop, now: float) -> None:
        """Take what could not be read: answer it if it can be answered, and its sender does not do it too often."""
        self.counters["malformed"] += 1
        self._noise.add(source, error)
        refusal = refusal_of(error, to_tag=_TAG_PREFIX + "bad")
        if refusal is None or not self._strangers.allow(source.remote.host, now):
            return
        try:
            request = Request("OPTIONS", SipUri("sip"), refusal.headers.copy())
            learn_source(request, source)
            refusal.headers.set("Via", ", ".join(str(via) for via in request.vias))
            self._layer.send_stateless(refusal, reply_hop(request, source))
        except ParseError:
            return  # not even its Via can be read
        self._drain(now)

    def receive(self, message: Request | Response, source: Hop, now: float) -> None:
        """Take one message that parsed."""
        if isinstance(message, Response):
            self._layer.receive(message, source, now)
        else:
            try:
                self._receive_request(message, source, now)
            except ParseError as error:  # a header field that only matters here, e.g. Proxy-Require
                self._refuse(message, source, Refusal(error.status, error.reason))
        self._drain(now)

    # Requests ---------------------------------------------------------------------------------------------

    def _receive_request(self, request: Request, source: Hop, now: float) -> None:
        learn_source(request, source)
        if request.method != "ACK" and server_key(request, method=request.method) in self._known:
            self._layer.receive(request, source, now)
            return
        if not self.location.knows_source(source) and not self._strangers.allow(source.remote.host, now):
            self.counters["rate_limited"] += 1
            return
        if request.method == "ACK":
            self._receive_ack(request, source, now)
            return
        try:
            self._decision = self._decide(request, source, now)
        except Refusal as refusal:
            self._refuse(request, source, refusal)
            return
        self._layer.receive(request, source, now)
        self._drain(now)
        self._decision = None

    def _receive_ack(self, request: Request, source: Hop, now: float) -> None:
        if request.to.tag != self._tag(request):  # else it is for a refusal that was sent without a transaction
            self._layer.receive(request, source, now)

    def _decide(self, request: Request, source: Hop, now: float) -> Forward | str | None:
        """Say what becomes of a new request: proxied, a registration of this user, or None: answered here."""
        if request.method == "CANCEL":
            if self._layer.invite_of(request) is None:
                raise Refusal(481)
            return None
        if not isinstance(request.uri, SipUri):
            raise Refusal(416)
        if request.max_forwards == 0:
            raise Refusal(483)
        if request.proxy_require:
            raise Refusal(420, None, (("Unsupported", ", ".join(request.proxy_require)),))
        if self._proxy.is_loop(request):
            raise Refusal(482)
        own = self._names.is_own(request.uri)
        if request.method == "REGISTER" and own:
            return self._prove(self._user_auth, request, source.remote.host, now)
        if own and not request.uri.user and not any(not self._names.is_own(route.uri) for route in request.routes):
            if request.method != "OPTIONS":
                raise Refusal(405, None, (("Allow", "OPTIONS, REGISTER"),))
            return None
        return self._router.route(request, source, now)

    def _prove_caller(self, request: Request, now: float) -> str:
        via = request.top_via
        return self._prove(self._proxy_auth, request, via.received or via.host, now)

    def _prove(self, auth: Authenticator, request: Request, host: str, now: float) -> str:
        """Give the user who signed this request; otherwise raise the challenge (section 22)."""
        verdict = auth.check(request, now)
        if isinstance(verdict, str):
            return verdict
        stale = isinstance(verdict, Stale)
        if isinstance(verdict, Wrong):
            self.counters["wrong_password"] += 1
            log.info("%s: wrong password for %r", host, verdict.username[:64])
            if not self._guesses.allow(host, now):
                raise Refusal(503, None, (("Retry-After", "10"),))
        challenges = tuple((auth.challenge_header, value) for value in auth.challenge(now, stale))
        raise Refusal(auth.status, None, challenges)

    def _refuse(self, request: Request, source: Hop, refusal: Refusal) -> None:
        """Answer without a transaction; a lost answer is asked for again by the retransmitted request."""
        self.counters[f"refused_{refusal.status}"] += 1
        if request.method == "ACK":
            return
        response = response_to(request, refusal.status, refusal.reason, to_tag=self._tag(request))
        for name, value in refusal.headers:
            response.headers.add(name, value)
        self._layer.send_stateless(response, reply_hop(request, source))

    def _tag(self, request: Request) -> str:
        """Give the To tag of a refusal of this request: the same each time, and in its ACK known again."""
        text = f"{request.top_via.branch} {request.call_id} {request.cseq.number}".encode("utf-8", "surrogateescape")
        return _TAG_PREFIX + hmac.digest(self._secret, text, "sha256").hex()[:16]

    # What the transaction layer says ----------------------------------------------------------------------

    def _drain(self, now: float) -> None:
        for output in self._layer.take():
            match output:
                case Send():
                    self._sends.append(output)
                case RequestArrived(transaction, request, source):
                    self._known.add(transaction.key)
                    self._serve(transaction, request, source, now)
                case AckArrived(request, source):
                    self._pass_ack(output, now)
                case ResponseArrived():
                    self._proxy.response(output, now)
                case TransactionFailed():
                    self._proxy.failed(output, now)
                case TransactionEnded(ServerTransaction() as transaction):
                    self._known.discard(transaction.key)
                case TransactionEnded(ClientTransaction() as transaction):
                    self._proxy.ended(transaction)

    def _serve(self, transaction: ServerTransaction, request: Request, source: Hop, now: float) -> None:
        decision = self._decision
        if request.method == "CANCEL":
            self._layer.respond(transaction, response_to(request, 200, to_tag=self._tag(request)), now)
            invite = self._layer.invite_of(request)
            if invite is not None:
                self._proxy.cancel(invite, request, now)
        elif isinstance(decision, Forward):
            self.counters[f"proxied_{request.method}" if request.method in METHODS else "proxied_other"] += 1
            self._proxy.start(transaction, decision, now)
        elif isinstance(decision, str):
            response = self._registrar.register(request, decision, source, self._tag(request), now)
            self.counters[f"registrations_{response.status}"] += 1
            self._layer.respond(transaction, response, now)
            if response.status == 200 and len(request.contacts) + request.contacts.star:
                self._contacts_changed(decision, now)
        else:
            response = response_to(request, 200, to_tag=self._tag(request))
            response.headers.add("Allow", ", ".join(METHODS))
            self._layer.respond(transaction, response, now)

    def _pass_ack(self, arrived: AckArrived, now: float) -> None:
        try:
            plan = self._router.route(arrived.request, arrived.source, now)
        except Refusal:
            self.counters["stray_acks"] += 1
        else:
            self._proxy.acknowledge(arrived, plan)

    def _contacts_changed(self, user: str, now: float) -> None:
        if self._on_contacts is not None:
            contacts = tuple(str(binding.uri) for binding in self.location.of(user, now))
            self._on_contacts(ContactsChanged(user, contacts))
