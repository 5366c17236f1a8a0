"""A small SIP server for tests on the virtual wire: challenges, binds, and says what it is told to say."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterator

from app.settings import HostPort
from app.sip.authenticator import Authenticator, Stale
from app.sip.digest import make_ha1s
from app.sip.hops import Hop
from app.sip.message import Request, Response, parse_message, response_to
from app.sip.transactions import RequestArrived, Send, TransactionLayer
from tests.sip.wire import Node, Wire

ADDRESS = HostPort("10.0.0.5", 5060)


class Registrar:
    """Serves example.org. `policy` may answer a request in its own way; None goes on as usual."""

    def __init__(self, password: str | None = None, *, status: int = 401) -> None:
        self.layer = TransactionLayer(rng=random.Random(5))
        self.counters: Counter[str] = Counter()
        self.requests: list[Request] = []
        self.bindings: dict[str, int] = {}
        self.longest_s = 3600
        self.policy: Callable[[Request], Response | None] = lambda request: None
        self.now = 0.0
        self._authenticator = None
        if password is not None:
            digests = make_ha1s("ada", "example.org", password)
            self._authenticator = Authenticator(
                "example.org",
                b"0123456789abcdef",
                lambda user, algorithm: digests[algorithm] if user == "ada" else None,
                proxy=status == 407,
                nonce_lifetime_s=100,
                rng=random.Random(6),
            )

    def on(self, wire: Wire) -> Node:
        wire.hosts["example.org"] = ADDRESS
        wire.nodes[ADDRESS] = node = Node("registrar", self, ADDRESS)  # type: ignore[arg-type]
        return node

    # What the wire wants of a node

    def receive(self, data: bytes, source: Hop, now: float) -> None:
        self.now = now
        self.layer.receive(parse_message(data), source, now)

    def handle_timeout(self, now: float) -> None:
        self.layer.handle_timeout(now)

    def next_timeout(self) -> float | None:
        return self.layer.next_timeout()

    def take(self) -> Iterator[Send]:
        for output in self.layer.take():
            if isinstance(output, Send):
                yield output
            elif isinstance(output, RequestArrived):
                self.requests.append(output.request)
                self.layer.respond(output.transaction, self._answer(output.request), self.now)

    # What it says

    def _answer(self, request: Request) -> Response:
        own = self.policy(request)
        if own is not None:
            return own
        challenge = self._challenge(request)
        if challenge is not None:
            return challenge
        if request.method != "REGISTER":
            return response_to(request, 404, to_tag="r")
        response = response_to(request, 200, to_tag="r")
        for contact in request.contacts:
            expires = contact.expires if contact.expires is not None else request.expires or 3600
            self.bindings[str(contact.uri)] = min(expires, self.longest_s)
            if expires == 0:
                del self.bindings[str(contact.uri)]
        for uri, expires in {"sip:ada@10.9.9.9": 77, **self.bindings}.items():
            response.headers.add("Contact", f"<{uri}>;expires={expires}")
        return response

    def _challenge(self, request: Request) -> Response | None:
        authenticator = self._authenticator
        if authenticator is None:
            return None
        verdict = authenticator.check(request, self.now)
        if isinstance(verdict, str):
            return None
        response = response_to(request, authenticator.status, to_tag="r")
        for value in authenticator.challenge(self.now, stale=isinstance(verdict, Stale)):
            response.headers.add(authenticator.challenge_header, value)
        return response
