"""Phones around the SIP core of the home server, on a virtual clock and a network of dictionaries."""

from __future__ import annotations

import random
from collections.abc import Iterable

from app.home.accounts import HomeUser, Users
from app.home.names import OwnNames
from app.home.sip_core import ContactsChanged, SipCore, SipLimits
from app.settings import HostPort
from app.sip.digest import choose_challenge, credentials_for
from app.sip.errors import ParseError
from app.sip.hops import Hop
from app.sip.message import Headers, Request, Response, parse_message, response_to
from app.sip.uri import SipUri, parse_uri

REALM = "home.test"
SERVER = HostPort("198.51.100.1", 5060)


class World:
    """The server under test, its clock, and whoever it speaks to."""

    def __init__(self, *, limits: SipLimits | None = None) -> None:
        self.users = Users(HomeUser.from_password(name, REALM, f"{name}-secret") for name in ("ada", "bob", "carl"))
        self.names = OwnNames((REALM,))
        self.names.set_addresses([SERVER.host, "127.0.0.1"], [SERVER.port])
        self.events: list[ContactsChanged] = []
        self.open: set[int] = set()
        self.silent: set[HostPort] = set()
        self.core = SipCore(
            REALM,
            self.users,
            self.names,
            self,
            secret=b"s" * 32,
            on_contacts=self.events.append,
            limits=limits,
            rng=random.Random(1),
        )
        self.now = 1000.0
        self.phones: dict[tuple[str, HostPort], Phone] = {}
        self.refused_as_read: list[ParseError] = []
        self.lost: list[Request | Response] = []  # sent to where nobody is

    def local_for(self, transport: str, host: str) -> HostPort:
        return SERVER

    def is_silent(self, remote: HostPort) -> bool:
        return remote in self.silent

    def is_open(self, connection: int) -> bool:
        return connection in self.open

    def receive(self, message: Request | Response, hop: Hop) -> None:
        self.core.receive(parse_message(bytes(message)), hop, self.now)
        self.drain()

    def drain(self) -> None:
        while sends := self.core.take_outputs():
            for send in sends:
                try:
                    message = parse_message(bytes(send.message))
                except ParseError as error:
                    self.refused_as_read.append(error)  # a refusal repeats what was wrong with the request
                    continue
                phone = self.phones.get((send.hop.transport, send.hop.remote))
                if phone is not None and phone.alive:
                    phone.inbox.append(message)
                else:
                    self.lost.append(message)
                    if send.hop.transport != "udp" and send.transaction is not None:
                        self.core.send_failed(send.transaction, self.now, "refused")

    def advance(self, seconds: float) -> None:
        """Let time pass, timer by timer."""
        until = self.now + seconds
        while (due := self.core.next_timeout()) is not None and due <= until:
            self.now = max(self.now, due)
            self.core.handle_timeout(self.now)
            self.drain()
        self.now = until


class Phone:
    """One user agent, as plain as can be: it says what the test tells it to say."""

    def __init__(
        self,
        world: World,
        name: str,
        host: str,
        port: int = 5060,
        *,
        transport: str = "udp",
        contact: str | None = None,
        connection: int | None = None,
        rport: bool = True,
        via: str | None = None,
    ) -> None:
        self.world = world
        self.name = name
        self.alive = True
        self.inbox: list[Request | Response] = []
        self.hop = Hop(transport, HostPort(host, port), SERVER, connection)
        self.contact = contact or f"<sip:{name}@{host}:{port}{';transport=tcp' if transport == 'tcp' else ''}>"
        self.rport = rport
        self.via = via or str(self.hop.remote)
        self._count = 0
        self._nonce_count = 0
        world.phones[(transport, self.hop.remote)] = self
        if connection is not None:
            world.open.add(connection)

    # Saying -----------------------------------------------------------------------------------------------

    def request(
        self,
        method: str,
        uri: str,
        headers: Iterable[tuple[str, str]] = (),
        *,
        sender: str | None = None,
        call_id: str | None = None,
        cseq: int | None = None,
        to: str | None = None,
        body: bytes = b"",
    ) -> Request:
        self._count += 1
        made = Headers()
        via = f"SIP/2.0/{self.hop.transport.upper()} {self.via}"
        made.add("Via", f"{via};branch=z9hG4bK{self.name}{self._count}{';rport' if self.rport else ''}")
        made.add("Max-Forwards", "70")
        made.add("From", f"<{sender or f'sip:{self.name}@{self.hop.remote.host}'}>;tag={self.name}")
        made.add("To", to or f"<{uri}>")
        made.add("Call-ID", call_id or f"{self.name}-{self._count}")
        made.add("CSeq", f"{cseq or self._count} {method}")
        if method in ("INVITE", "REGISTER", "UPDATE"):
            made.add("Contact", self.contact)
        for name, value in headers:
            made.set(name, value)
        return Request(method, parse_uri(uri), made, body)

    def say(self, message: Request | Response) -> list[Request | Response]:
        """Send, and give what came back to this phone at once."""
        before = len(self.inbox)
        self.world.receive(message, self.hop)
        return self.inbox[before:]

    def ask(self, request: Request) -> Response:
        """Send a request that is answered at once."""
        answers = [each for each in self.say(request) if isinstance(each, Response)]
        assert len(answers) == 1, answers
        self.inbox.remove(answers[0])
        return answers[0]

    def signed(
        self, request: Request, challenge: Response, password: str | None = None, algorithm: str = ""
    ) -> Request:
        """The same request again, with credentials, a new branch and a higher CSeq."""
        chosen = choose_challenge(challenge.challenges, (algorithm,) if algorithm else ("SHA-256", "MD5"))
        assert chosen is not None
        self._nonce_count += 1
        value = credentials_for(
            chosen,
            method=request.method,
            uri=str(request.uri),
            username=self.name,
            password=password or f"{self.name}-secret",
            cnonce="c",
            body=request.body,
        )
        headers = request.headers.copy()
        headers.add("Proxy-Authorization" if challenge.status == 407 else "Authorization", value)
        headers.set("CSeq", f"{request.cseq.number + 1} {request.method}")
        headers.set("Via", str(request.top_via.with_param("branch", f"{request.top_via.branch}s{self._nonce_count}")))
        return Request(request.method, request.uri, headers, request.body)

    def register(
        self, expires: int | None = 600, contacts: Iterable[str] | None = None, *, call_id: str = "", cseq: int = 0
    ) -> Response:
        headers = [("Contact", ", ".join(contacts))] if contacts is not None else []
        headers += [("Expires", str(expires))] if expires is not None else []
        request = self.request(
            "REGISTER",
            f"sip:{REALM}",
            headers,
            sender=f"sip:{self.name}@{REALM}",
            to=f"<sip:{self.name}@{REALM}>",
            call_id=call_id or f"{self.name}-registration",
            cseq=cseq or None,
        )
        return self.ask(self.signed(request, self.ask(request)))

    def respond(
        self, request: Request, status: int, headers: Iterable[tuple[str, str]] = (), *, tag: str | None = None
    ) -> Response:
        response = response_to(request, status, to_tag=tag or f"{self.name}-tag")
        if status < 300:
            response.headers.add("Contact", self.contact)
        for name, value in headers:
            response.headers.add(name, value)
        self.say(response)
        return response

    def in_dialog(self, method: str, peer: Request | Response, headers: Iterable[tuple[str, str]] = ()) -> Request:
        """A request in a dialog: `peer` is the response this phone got as caller, or the request it got as callee."""
        routes = [str(route) for route in peer.record_routes]
        remote, local = peer.from_, peer.to
        if isinstance(peer, Response):
            routes.reverse()
            remote, local = peer.to, peer.from_
        else:
            local = local.with_tag(f"{self.name}-tag")
        request = self.request(
            method, str(peer.contacts[0].uri), headers, to=str(remote), call_id=peer.call_id, cseq=peer.cseq.number
        )
        if method != "ACK":
            request.headers.set("CSeq", f"{peer.cseq.number + self._count} {method}")
        request.headers.set("From", str(local))
        for route in routes:
            request.headers.add("Route", route)
        return request

    # Hearing ----------------------------------------------------------------------------------------------

    def requests(self, method: str) -> list[Request]:
        """Take the requests of this method out of the inbox, retransmissions counted once."""
        found = [each for each in self.inbox if isinstance(each, Request) and each.method == method]
        self.inbox = [each for each in self.inbox if each not in found]
        return list({bytes(each): each for each in found}.values())

    def heard(self, method: str) -> Request:
        found = self.requests(method)
        assert len(found) == 1, self.inbox
        return found[0]

    def statuses(self) -> list[int]:
        """Take the responses out of the inbox; 100 does not count."""
        found = [each.status for each in self.inbox if isinstance(each, Response) and each.status != 100]
        self.inbox = [each for each in self.inbox if not isinstance(each, Response)]
        return found

    def answer(self) -> Response:
        """Take the one final response, and its retransmissions, out of the inbox."""
        found = {bytes(each): each for each in self.inbox if isinstance(each, Response) and each.status >= 200}
        self.inbox = [each for each in self.inbox if not isinstance(each, Response)]
        assert len(found) == 1, found
        return found.popitem()[1]


def uri_of(name: str) -> SipUri:
    return SipUri("sip", name, None, REALM)
