"""Typed values of header fields: Via, CSeq, RAck, Contact lists, media types, Retry-After.

Each has `parse` and `__str__`; bad text raises ParseError with status 400. From, To, Route and single contacts are
`app.sip.uri.NameAddr`; challenges and credentials stand in `app.sip.challenges` and can be had from here too.
RFC 3261 sections 20 and 25.1, RFC 3262 section 7.2, RFC 3581.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

from app.sip.challenges import Challenge, Credentials
from app.sip.errors import ParseError
from app.sip.grammar import (
    TOKEN_CHARS,
    Params,
    format_params,
    get_param,
    parse_number,
    parse_params,
    set_param,
    split_comment,
)
from app.sip.uri import NameAddr, format_host, parse_host, parse_port

__all__ = [
    "BRANCH_COOKIE",
    "MAX_CSEQ",
    "MAX_SECONDS",
    "CSeq",
    "Challenge",
    "ContactList",
    "Credentials",
    "MediaType",
    "NameAddr",
    "RAck",
    "RetryAfter",
    "Via",
]

MAX_CSEQ = 0xFFFFFFFF
MAX_SECONDS = 0xFFFFFFFF
BRANCH_COOKIE = "z9hG4bK"  # RFC 3261 section 8.1.1.7

_VIA = re.compile(
    rf"SIP[ \t]*+/[ \t]*+2\.0[ \t]*+/[ \t]*+([{TOKEN_CHARS}]++)[ \t]++"
    r"(\[[0-9A-Fa-f:.]++\]|[A-Za-z0-9_][A-Za-z0-9_.\-]*+)[ \t]*+(?::[ \t]*+([0-9]++)[ \t]*+)?",
    re.IGNORECASE,
)
_CSEQ = re.compile(rf"([0-9]++)[ \t]++([{TOKEN_CHARS}]++)")
_RACK = re.compile(rf"([0-9]++)[ \t]++([0-9]++)[ \t]++([{TOKEN_CHARS}]++)")
_MEDIA_TYPE = re.compile(rf"([{TOKEN_CHARS}]++)[ \t]*+/[ \t]*+([{TOKEN_CHARS}]++)[ \t]*+")


@dataclass(frozen=True, slots=True)
class Via:
    """One hop of a message's way: transport in upper case, host without brackets, parameters."""

    transport: str
    host: str
    port: int | None = None
    params: Params = ()

    @classmethod
    def parse(cls, text: str) -> Via:
        match = _VIA.match(text)
        if match is None:
            raise ParseError("Bad Via", text)
        transport, host, port = match.groups()
        end = match.end()
        params = parse_params(text, end, "Via") if end < len(text) else ()
        via = cls(transport.upper(), parse_host(host), None if port is None else parse_port(port), params)
        ttl = get_param(params, "ttl")
        if ttl is not None:
            parse_number(ttl, 255, "Via ttl")
        return via

    def __str__(self) -> str:
        return f"SIP/2.0/{self.transport} {format_host(self.host, self.port)}{format_params(self.params)}"

    def param(self, name: str) -> str | None:
        """The value of a parameter; "" for one without a value, None for none."""
        return get_param(self.params, name)

    def with_param(self, name: str, value: str | None = None) -> Via:
        """A copy with the parameter set; None gives it no value."""
        return replace(self, params=set_param(self.params, name, value))

    @property
    def branch(self) -> str | None:
        return get_param(self.params, "branch") or None

    @property
    def received(self) -> str | None:
        """Where the message really came from, without brackets; None when the sent-by is right."""
        value = get_param(self.params, "received")
        return value.strip("[]") if value else None

    @property
    def rport(self) -> int | None:
        """The source port that the server saw (RFC 3581); None when there is no value."""
        value = get_param(self.params, "rport")
        return parse_port(value) if value else None

    @property
    def wants_rport(self) -> bool:
        """Whether the sender asks for the answer at its source port (RFC 3581 section 3)."""
        return get_param(self.params, "rport") is not None

    def with_source(self, host: str, port: int) -> Via:
        """A copy that notes where the message came from (RFC 3261 section 18.2.1, RFC 3581 section 4)."""
        params = self.params
        if self.wants_rport:
            params = set_param(params, "rport", str(port))
        if self.wants_rport or host.lower() != self.host.lower():
            params = set_param(params, "received", host)
        return replace(self, params=params)


@dataclass(frozen=True, slots=True)
class CSeq:
    """The number and method of a request in its dialog."""

    number: int
    method: str

    @classmethod
    def parse(cls, text: str) -> CSeq:
        match = _CSEQ.fullmatch(text)
        if match is None:
            raise ParseError("Bad CSeq", text)
        return cls(parse_number(match[1], MAX_CSEQ, "CSeq"), match[2])

    def __str__(self) -> str:
        return f"{self.number} {self.method}"


@dataclass(frozen=True, slots=True)
class RAck:
    """What a PRACK acknowledges: the RSeq of the response, the number and method of its CSeq (RFC 3262)."""

    rseq: int
    cseq: int
    method: str

    @classmethod
    def parse(cls, text: str) -> RAck:
        match = _RACK.fullmatch(text)
        if match is None:
            raise ParseError("Bad RAck", text)
        rseq, cseq, method = match.groups()
        return cls(parse_number(rseq, 0xFFFFFFFF, "RAck"), parse_number(cseq, MAX_CSEQ, "RAck"), method)

    def __str__(self) -> str:
        return f"{self.rseq} {self.cseq} {self.method}"


@dataclass(frozen=True, slots=True)
class MediaType:
    """A Content-Type; type and subtype in lower case, so that `str(media.essence)` can be compared."""

    type: str
    subtype: str
    params: Params = ()

    @classmethod
    def parse(cls, text: str) -> MediaType:
        match = _MEDIA_TYPE.match(text)
        if match is None:
            raise ParseError("Bad Content-Type", text)
        params = parse_params(text, match.end(), "Content-Type") if match.end() < len(text) else ()
        return cls(match[1].lower(), match[2].lower(), params)

    def __str__(self) -> str:
        return f"{self.essence}{format_params(self.params)}"

    @property
    def essence(self) -> str:
        """Type and subtype alone: "application/sdp"."""
        return f"{self.type}/{self.subtype}"

    def param(self, name: str) -> str | None:
        return get_param(self.params, name)


@dataclass(frozen=True, slots=True)
class ContactList:
    """The contacts of a message. `star` is the `*` of a REGISTER that removes all bindings; it stands alone."""

    contacts: tuple[NameAddr, ...] = ()
    star: bool = False

    @classmethod
    def parse(cls, values: list[str]) -> ContactList:
        if "*" in values:
            if len(values) > 1:
                raise ParseError("Contact * beside other contacts")
            return cls(star=True)
        return cls(tuple(NameAddr.parse(value, "Contact") for value in values))

    def __str__(self) -> str:
        return "*" if self.star else ", ".join(str(contact) for contact in self.contacts)

    def __iter__(self) -> Iterator[NameAddr]:
        return iter(self.contacts)

    def __len__(self) -> int:
        return len(self.contacts)

    def __getitem__(self, index: int) -> NameAddr:
        return self.contacts[index]


@dataclass(frozen=True, slots=True)
class RetryAfter:
    """When to try again, in seconds, with the comment and the time for which it will then work, if given."""

    seconds: int
    comment: str | None = None
    duration: int | None = None

    @classmethod
    def parse(cls, text: str) -> RetryAfter:
        what = "Retry-After"
        before, comment, after = split_comment(text, what)
        number, semicolon, rest = before.partition(";")
        params = parse_params(f"{semicolon}{rest}{after}".strip(" \t"), 0, what)
        duration = get_param(params, "duration")
        return cls(
            parse_number(number.strip(" \t"), MAX_SECONDS, what),
            comment,
            None if duration is None else parse_number(duration, MAX_SECONDS, what),
        )

    def __str__(self) -> str:
        comment = "" if self.comment is None else " (" + re.sub(r"([()\\])", r"\\\1", self.comment) + ")"
        return f"{self.seconds}{comment}" + ("" if self.duration is None else f";duration={self.duration}")
