"""Requests and responses as objects: a start line, headers with typed views, a body.

A view is read when it is first asked for and kept until the headers change; it raises ParseError when the field is
missing or malformed. `parse_message` reads the ones every message needs, so on a received message those are safe:
vias, top_via, from_, to, call_id, cseq, contacts, routes, record_routes, max_forwards.
RFC 3261 sections 7, 8.1.1 and 20.
"""

from __future__ import annotations

from dataclasses import dataclass

from app.sip.challenges import Challenge
from app.sip.errors import LocalError, ParseError
from app.sip.grammar import is_token, parse_number, parse_tokens
from app.sip.header_map import Headers
from app.sip.headers import MAX_SECONDS, ContactList, CSeq, MediaType, RAck, RetryAfter, Via
from app.sip.phrases import phrase_of
from app.sip.uri import NameAddr, Uri

VERSION = "SIP/2.0"
_MALFORMED_EXPIRY = 3600  # what a nonsensical expiry counts as (RFC 3261 section 10.2.1, RFC 4475 section 3.1.2.4)


class Message:
    """What requests and responses have in common."""

    __slots__ = ()
    headers: Headers
    body: bytes

    @property
    def line(self) -> str:
        """The start line without its line end."""
        raise NotImplementedError

    @property
    def vias(self) -> tuple[Via, ...]:
        return self.headers.view("via", _vias)

    @property
    def top_via(self) -> Via:
        vias = self.vias
        if not vias:
            raise ParseError("Missing Via header")
        return vias[0]

    @property
    def from_(self) -> NameAddr:
        return self.headers.view("from", lambda headers: NameAddr.parse(_required(headers, "From"), "From"))

    @property
    def to(self) -> NameAddr:
        return self.headers.view("to", lambda headers: NameAddr.parse(_required(headers, "To"), "To"))

    @property
    def call_id(self) -> str:
        return self.headers.view("call-id", _call_id)

    @property
    def cseq(self) -> CSeq:
        return self.headers.view("cseq", lambda headers: CSeq.parse(_required(headers, "CSeq")))

    @property
    def contacts(self) -> ContactList:
        return self.headers.view("contact", lambda headers: ContactList.parse(headers.all("Contact")))

    @property
    def routes(self) -> tuple[NameAddr, ...]:
        return self.headers.view("route", lambda headers: _addresses(headers, "Route"))

    @property
    def record_routes(self) -> tuple[NameAddr, ...]:
        return self.headers.view("record-route", lambda headers: _addresses(headers, "Record-Route"))

    @property
    def max_forwards(self) -> int | None:
        """Hops left, 0 to 255; None for an RFC 2543 request, which has none."""
        return self.headers.view("max-forwards", lambda headers: _number(headers, "Max-Forwards", 255))

    @property
    def expires(self) -> int | None:
        """Seconds, up to 2**32-1; a malformed value counts as 3600, as it does in a contact."""
        return self.headers.view("expires", _expires)

    @property
    def min_expires(self) -> int | None:
        return self.headers.view("min-expires", lambda headers: _number(headers, "Min-Expires", MAX_SECONDS))

    @property
    def retry_after(self) -> RetryAfter | None:
        text = self.headers.get("Retry-After")
        return None if text is None else RetryAfter.parse(text)

    @property
    def require(self) -> tuple[str, ...]:
        return self.headers.view("require", lambda headers: _tokens(headers, "Require"))

    @property
    def proxy_require(self) -> tuple[str, ...]:
        return self.headers.view("proxy-require", lambda headers: _tokens(headers, "Proxy-Require"))

    @property
    def supported(self) -> tuple[str, ...]:
        return self.headers.view("supported", lambda headers: _tokens(headers, "Supported"))

    @property
    def unsupported(self) -> tuple[str, ...]:
        return self.headers.view("unsupported", lambda headers: _tokens(headers, "Unsupported"))

    @property
    def allow(self) -> tuple[str, ...]:
        return self.headers.view("allow", lambda headers: _tokens(headers, "Allow"))

    @property
    def rseq(self) -> int | None:
        """The number of a reliable provisional response (RFC 3262); None for an unreliable one."""
        return self.headers.view("rseq", lambda headers: _number(headers, "RSeq", 0xFFFFFFFF))

    @property
    def rack(self) -> RAck | None:
        text = self.headers.get("RAck")
        return None if text is None else RAck.parse(text)

    @property
    def content_type(self) -> MediaType | None:
        text = self.headers.get("Content-Type")
        return None if text is None else MediaType.parse(text)

    def __bytes__(self) -> bytes:
        """Write the message; Content-Length is always that of the body, whatever the headers say."""
        rows = [f"{name}: {value}\r\n" for name, value in self.headers.items() if name != "Content-Length"]
        head = f"{self.line}\r\n{''.join(rows)}Content-Length: {len(self.body)}\r\n\r\n"
        try:
            return head.encode("utf-8", "surrogateescape") + self.body
        except UnicodeEncodeError:  # half a character out of a broken text of ours; nothing received can hold one
            raise LocalError("A header field holds half a character") from None


@dataclass(slots=True)
class Request(Message):
    """A request. `method` is case-sensitive; `uri` is the Request-URI."""

    method: str
    uri: Uri
    headers: Headers
    body: bytes = b""
    version: str = VERSION

    @property
    def line(self) -> str:
        uri = str(self.uri)
        if not is_token(self.method) or any(char in uri for char in " \t\r\n"):
            raise LocalError("Method and URI of a request must be one word each")
        return f"{self.method} {uri} {self.version}"


@dataclass(slots=True)
class Response(Message):
    """A response; `status` from 100 to 699."""

    status: int
    reason: str
    headers: Headers
    body: bytes = b""

    @property
    def line(self) -> str:
        if not 100 <= self.status <= 699:
            raise LocalError(f"{self.status} is not a SIP status")
        reason = self.reason.replace("\r", " ").replace("\n", " ")
        return f"{VERSION} {self.status} {reason}"

    @property
    def challenges(self) -> tuple[Challenge, ...]:
        """Every readable challenge of a 401 or 407, in order; a malformed one is left out, its neighbours kept."""
        name = "Proxy-Authenticate" if self.status == 407 else "WWW-Authenticate"
        found: list[Challenge] = []
        for text in self.headers.all(name):
            try:
                found.append(Challenge.parse(text))
            except ParseError:
                continue
        return tuple(found)

    @classmethod
    def of(cls, status: int, headers: Headers, reason: str | None = None, body: bytes = b"") -> Response:
        """A response with the standard reason phrase where none is given."""
        return cls(status, phrase_of(status) if reason is None else reason, headers, body)


def _required(headers: Headers, name: str) -> str:
    value = headers.get(name)
    if not value:
        raise ParseError(f"Missing {name} header")
    return value


def _vias(headers: Headers) -> tuple[Via, ...]:
    return tuple(Via.parse(text) for text in headers.all("Via"))


def _addresses(headers: Headers, name: str) -> tuple[NameAddr, ...]:
    return tuple(NameAddr.parse(text, name) for text in headers.all(name))


def _call_id(headers: Headers) -> str:
    value = _required(headers, "Call-ID")
    if " " in value or "\t" in value:
        raise ParseError("Bad Call-ID", value)
    return value


def _tokens(headers: Headers, name: str) -> tuple[str, ...]:
    return tuple(token for row in headers.rows(name) for token in parse_tokens(row, name))


def _number(headers: Headers, name: str, maximum: int) -> int | None:
    text = headers.get(name)
    return None if text is None else parse_number(text, maximum, name)


def _expires(headers: Headers) -> int | None:
    try:
        return _number(headers, "Expires", MAX_SECONDS)
    except ParseError:
        return _MALFORMED_EXPIRY
