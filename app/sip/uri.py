"""SIP, tel and other URIs, and addresses with display names (RFC 3261 sections 19.1 and 25.1, RFC 3966).

The fields of a URI hold decoded text: `user` of sip:%61lice@h is "alice". `str()` gives back the very text that was
parsed, or, for a URI built here, a canonical form with everything escaped that must be. Octets that are not UTF-8
are kept as lone surrogates (errors="surrogateescape").
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass, field, replace

from app.sip.errors import ParseError
from app.sip.grammar import (
    TOKEN_CHARS,
    Params,
    check_params,
    format_params,
    get_param,
    parse_params,
    quote,
    set_param,
    unquote,
)
from app.sip.other_uris import MAX_URI, PARAM_SAFE, OtherUri, TelUri, decode, encode

__all__ = [
    "MAX_URI",
    "NameAddr",
    "OtherUri",
    "SipUri",
    "TelUri",
    "Uri",
    "format_host",
    "parse_host",
    "parse_port",
    "parse_uri",
]


_USER_SAFE = "-_.!~*'()&=+$,;?/"
_PASSWORD_SAFE = "-_.!~*'()&=+$,"
_HEADER_SAFE = "-_.!~*'()[]/?:+$"

_HOST = r"\[[0-9A-Fa-f:.]++\]|[A-Za-z0-9_](?:[A-Za-z0-9_.\-]*+)"
_OCTET = r"(?:25[0-5]|2[0-4][0-9]|[01]?[0-9]?[0-9])"
_IPV4 = re.compile(rf"{_OCTET}(?:\.{_OCTET}){{3}}")
_SIP = re.compile(
    r"(sips?):"
    r"(?:([A-Za-z0-9\-_.!~*'()%&=+$,;?/]++)(?::([A-Za-z0-9\-_.!~*'()%&=+$,]*+))?@)?"
    rf"({_HOST})(?::([0-9]++))?"
    r"((?:;[^?]*+)?)(?:\?(.*+))?",
    re.IGNORECASE,
)
_SIP_PARAM = re.compile(r"([A-Za-z0-9\-_.!~*'()%\[\]/:&+$]++)(?:=([A-Za-z0-9\-_.!~*'()%\[\]/:&+$]++))?")
_SIP_HEADER = re.compile(r"([A-Za-z0-9\-_.!~*'()%\[\]/?:+$]++)=([A-Za-z0-9\-_.!~*'()%\[\]/?:+$]*+)")
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.\-]*+):")


def parse_host(text: str) -> str:
    """Read a host name or address as URIs and Via write it; brackets of an IPv6 address are taken off."""
    if text.startswith("["):
        try:
            if not text.endswith("]"):
                raise ValueError
            return str(ipaddress.IPv6Address(text[1:-1]))
        except ValueError:
            raise ParseError("Bad IPv6 address", text) from None
    host = text.lower()
    last = host.rstrip(".").rpartition(".")[2]
    if ".." in host or len(host) > 255:
        raise ParseError("Bad host name", text)
    if last.isdigit() and not _IPV4.fullmatch(host):
        raise ParseError("Bad IPv4 address", text)
    return host


def parse_port(text: str) -> int:
    """Read a port number from 1 to 65535."""
    digits = text.lstrip("0")
    if not (text.isascii() and digits.isdigit() and len(digits) <= 5 and int(digits) < 65536):
        raise ParseError("Bad port", text)
    return int(digits)


def format_host(host: str, port: int | None = None) -> str:
    """Write host and port, an IPv6 address in brackets."""
    text = f"[{host}]" if ":" in host else host
    return text if port is None else f"{text}:{port}"


@dataclass(frozen=True, slots=True)
class SipUri:
    """A sip: or sips: URI. Host in lower case without brackets; parameter names in lower case; all text decoded."""

    scheme: str
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    host: str = ""
    port: int | None = None
    params: Params = ()
    headers: tuple[tuple[str, str], ...] = ()
    _text: str | None = field(default=None, init=False, repr=False, compare=False)

    @classmethod
    def parse(cls, text: str) -> SipUri:
        """Read one SIP or SIPS URI; ParseError 400."""
        if len(text) > MAX_URI:
            raise ParseError("URI too long", text, status=414)
        match = _SIP.fullmatch(text)
        if match is None:
            raise ParseError("Bad SIP URI", text)
        scheme, user, password, host, port, params, headers = match.groups()
        uri = cls(
            scheme.lower(),
            None if user is None else decode(user),
            None if password is None else decode(password),
            parse_host(host),
            None if port is None else parse_port(port),
            _parse_uri_params(params) if params else (),
            () if headers is None else _parse_uri_headers(headers),
        )
        object.__setattr__(uri, "_text", text)
        return uri

    def __str__(self) -> str:
        if self._text is not None:
            return self._text
        parts = [self.scheme, ":"]
        if self.user is not None:
            parts.append(encode(self.user, _USER_SAFE))
            if self.password is not None:
                parts += [":", encode(self.password, _PASSWORD_SAFE)]
            parts.append("@")
        parts.append(format_host(self.host, self.port))
        for name, value in self.params:
            parts.append(f";{encode(name, PARAM_SAFE)}")
            if value is not None:
                parts.append(f"={encode(value, PARAM_SAFE)}")
        for index, (name, value) in enumerate(self.headers):
            parts.append(f"{'&' if index else '?'}{encode(name, _HEADER_SAFE)}={encode(value, _HEADER_SAFE)}")
        return "".join(parts)

    def param(self, name: str) -> str | None:
        """The value of a URI parameter; "" for one without a value, None for none."""
        return get_param(self.params, name) if self.params else None

    def with_param(self, name: str, value: str | None = None) -> SipUri:
        """A copy with the parameter set; None gives it no value (`;lr`)."""
        return replace(self, params=set_param(self.params, name, value))

    def without_headers(self) -> SipUri:
        """A copy fit for a Request-URI, which carries no headers (RFC 3261 section 19.1.5)."""
        return replace(self, headers=())

    @property
    def is_loose(self) -> bool:
        """Whether a route with this URI is a loose one, marked by `lr` (RFC 3261 section 16.12)."""
        return self.param("lr") is not None

    def matches(self, other: object) -> bool:
        """Whether both mean the same resource by the rules of RFC 3261 section 19.1.4. Not transitive."""
        if not isinstance(other, SipUri):
            return False
        if (self.scheme, self.user, self.password, self.host.lower(), self.port) != (
            other.scheme,
            other.user,
            other.password,
            other.host.lower(),
            other.port,
        ):
            return False
        return _params_match(self.params, other.params) and _headers_match(self.headers, other.headers)


_NEVER_IGNORED = ("user", "ttl", "method", "maddr", "transport")


def _params_match(ours: Params, theirs: Params) -> bool:
    mine = {name.lower(): (value or "").lower() for name, value in ours}
    other = {name.lower(): (value or "").lower() for name, value in theirs}
    if any((name in mine) != (name in other) for name in _NEVER_IGNORED):
        return False
    return all(other[name] == value for name, value in mine.items() if name in other)


def _headers_match(ours: tuple[tuple[str, str], ...], theirs: tuple[tuple[str, str], ...]) -> bool:
    def in_order(headers: tuple[tuple[str, str], ...]) -> list[tuple[str, str]]:
        return sorted((name.lower(), value) for name, value in headers)

    return in_order(ours) == in_order(theirs)


def _parse_uri_params(text: str) -> Params:
    params: list[tuple[str, str | None]] = []
    for piece in text[1:].split(";"):
        match = _SIP_PARAM.fullmatch(piece)
        if match is None:
            raise ParseError("Bad URI parameter", piece)
        name, value = match.groups()
        params.append((decode(name).lower(), None if value is None else decode(value)))
    check_params(params, "URI")
    return tuple(params)


def _parse_uri_headers(text: str) -> tuple[tuple[str, str], ...]:
    headers: list[tuple[str, str]] = []
    for piece in text.split("&"):
        match = _SIP_HEADER.fullmatch(piece)
        if match is None:
            raise ParseError("Bad header in URI", piece)
        headers.append((decode(match[1]), decode(match[2])))
    return tuple(headers)


Uri = SipUri | TelUri | OtherUri


def parse_uri(text: str) -> Uri:
    """Read a URI of any scheme; ParseError 400 (414 when it is too long)."""
    match = _SCHEME.match(text)
    if match is None:
        raise ParseError("Not a URI", text)
    scheme = match[1].lower()
    if scheme in ("sip", "sips"):
        return SipUri.parse(text)
    if scheme == "tel":
        return TelUri.parse(text)
    return OtherUri.parse(text)


# A display name without quotes is tokens; any non-ASCII letter is taken as well, since phones send them so.
_NAME_ADDR = re.compile(
    rf'[ \t]*+(?:"((?:[^"\\]|\\.)*+)"|([{TOKEN_CHARS} \t\u0080-\U0010ffff]*+))[ \t]*+<([^<>" \t]*+)>',
    re.DOTALL,
)
_ADDR_SPEC = re.compile(r'[ \t]*+([^;,?<>" \t]++)[ \t]*+')


@dataclass(frozen=True, slots=True)
class NameAddr:
    """An address as From, To, Contact, Route and others carry it: display name, URI, header parameters."""

    display_name: str
    uri: Uri
    params: Params = ()

    @classmethod
    def parse(cls, text: str, what: str = "address") -> NameAddr:
        """Read one name-addr or addr-spec with its parameters; ParseError 400. `what` names it in the error.

        Without brackets everything after the first semicolon belongs to the header field, and the URI may hold
        neither comma nor question mark (RFC 3261 section 20).
        """
        match = _NAME_ADDR.match(text)
        if match is not None:
            quoted, tokens, uri_text = match.groups()
            name = unquote(quoted) if quoted is not None else tokens.strip(" \t")
        else:
            match = _ADDR_SPEC.match(text)
            if match is None:
                raise ParseError(f"Bad {what}", text)
            name, uri_text = "", match[1]
        try:
            uri = parse_uri(uri_text)
        except ParseError as error:
            raise ParseError(f"{error.reason} in {what}", uri_text) from None
        end = match.end()
        return cls(name, uri, parse_params(text, end, what) if end < len(text) else ())

    def __str__(self) -> str:
        name = f"{quote(self.display_name)} " if self.display_name else ""
        return f"{name}<{self.uri}>{format_params(self.params)}"

    def param(self, name: str) -> str | None:
        """The value of a header parameter; "" for one without a value, None for none."""
        return get_param(self.params, name) if self.params else None

    @property
    def tag(self) -> str | None:
        return self.param("tag") or None

    def with_tag(self, tag: str) -> NameAddr:
        return self.with_param("tag", tag)

    def with_param(self, name: str, value: str | None = None) -> NameAddr:
        """A copy with the header parameter set; None gives it no value."""
        return replace(self, params=set_param(self.params, name, value))

    @property
    def expires(self) -> int | None:
        """The `expires` of a contact in seconds. A malformed one counts as 3600 (RFC 3261 section 10.2.1)."""
        text = self.param("expires")
        if text is None:
            return None
        digits = text.lstrip("0") or "0"
        if not (text.isascii() and text.isdigit()) or len(digits) > 10 or int(digits) > 0xFFFFFFFF:
            return 3600
        return int(digits)

    @property
    def q(self) -> float:
        """The preference of a contact from 0 to 1; 1 where it is missing or malformed."""
        text = self.param("q")
        if text is None or _QVALUE.fullmatch(text) is None:
            return 1.0
        return float(text)


_QVALUE = re.compile(r"0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?")
