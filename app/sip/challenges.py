"""Challenges and credentials: WWW-Authenticate, Proxy-Authenticate, Authorization, Proxy-Authorization.

Only their text; what is computed from it stands in `app.sip.digest`. RFC 3261 sections 20.7, 20.27, 20.28 and 20.44,
RFC 7235 section 4.1 (several challenges in one field), RFC 7616.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from app.sip.errors import ParseError
from app.sip.grammar import TOKEN_CHARS, get_param, is_token, quote, split_list, unquote

_AUTH_SCHEME = re.compile(rf"([{TOKEN_CHARS}]++)(?:[ \t]++(.*+))?", re.DOTALL)
_AUTH_PARAM = re.compile(rf'([{TOKEN_CHARS}]++)[ \t]*+=[ \t]*+(?:"((?:[^"\\]|\\.)*+)"|([^",\s]++))[ \t]*+', re.DOTALL)
# What is written without quotes, by the grammar; everything else is quoted. (qop is a list, quoted, in a challenge.)
_BARE_IN_CHALLENGE = frozenset({"stale", "algorithm", "userhash", "charset"})
_BARE_IN_CREDENTIALS = frozenset({"algorithm", "qop", "nc", "userhash"})
_SECRET = frozenset({"response", "cnonce"})


def _format_auth(scheme: str, params: tuple[tuple[str, str], ...], bare: frozenset[str]) -> str:
    written: list[str] = []
    for name, value in params:
        bare_value = name.lower() in bare and is_token(value)
        written.append(f"{name}={value if bare_value else quote(value)}" if name else value)
    return f"{scheme} {', '.join(written)}".rstrip(" ")


def _is_new_scheme(item: str) -> bool:
    """Whether a comma-separated piece begins another challenge instead of a parameter of the current one."""
    return _AUTH_PARAM.fullmatch(item) is None


def _parse_auth(items: list[str], what: str) -> tuple[str, tuple[tuple[str, str], ...]]:
    match = _AUTH_SCHEME.fullmatch(items[0])
    if match is None:
        raise ParseError(f"Bad {what}", items[0])
    scheme, first = match.groups()
    params: list[tuple[str, str]] = []
    for item in ([first] if first else []) + items[1:]:
        param = _AUTH_PARAM.fullmatch(item)
        if param is not None:
            name, quoted, plain = param.groups()
            params.append((name, plain if quoted is None else unquote(quoted)))
        elif scheme.lower() == "digest":
            raise ParseError(f"Bad parameter in {what}", item)
        elif item:
            params.append(("", item))  # another scheme's token68, of no use to us
    if len({name.lower() for name, _ in params}) != len(params) and scheme.lower() == "digest":
        raise ParseError(f"A parameter comes twice in {what}")
    return scheme, tuple(params)


@dataclass(frozen=True, slots=True)
class Challenge:
    """One challenge of a WWW-Authenticate or Proxy-Authenticate header field."""

    scheme: str
    params: tuple[tuple[str, str], ...]

    @classmethod
    def parse(cls, text: str) -> Challenge:
        return cls(*_parse_auth(split_list(text, "challenge"), "challenge"))

    def __str__(self) -> str:
        return _format_auth(self.scheme, self.params, _BARE_IN_CHALLENGE)

    def param(self, name: str) -> str | None:
        return get_param(self.params, name)

    @property
    def is_digest(self) -> bool:
        return self.scheme.lower() == "digest"

    @property
    def realm(self) -> str:
        return self.param("realm") or ""

    @property
    def nonce(self) -> str:
        return self.param("nonce") or ""

    @property
    def algorithm(self) -> str:
        """The algorithm in upper case; MD5 where none is named (RFC 7616 section 3.3)."""
        return (self.param("algorithm") or "MD5").upper()

    @property
    def qop(self) -> tuple[str, ...]:
        """The qualities of protection offered, in lower case; empty for an RFC 2069 server."""
        return tuple(item.strip(" \t").lower() for item in (self.param("qop") or "").split(",") if item.strip(" \t"))

    @property
    def stale(self) -> bool:
        return (self.param("stale") or "").lower() == "true"


@dataclass(frozen=True, slots=True)
class Credentials:
    """What an Authorization or Proxy-Authorization header field holds. Its repr shows nothing secret."""

    scheme: str
    params: tuple[tuple[str, str], ...]

    @classmethod
    def parse(cls, text: str) -> Credentials:
        return cls(*_parse_auth(split_list(text, "credentials"), "credentials"))

    def __str__(self) -> str:
        return _format_auth(self.scheme, self.params, _BARE_IN_CREDENTIALS)

    def __repr__(self) -> str:
        shown = tuple((name, "…" if name.lower() in _SECRET else value) for name, value in self.params)
        return f"Credentials({self.scheme!r}, {shown!r})"

    def param(self, name: str) -> str | None:
        return get_param(self.params, name)


def split_challenges(text: str) -> list[str]:
    """Split a header field that holds several challenges into one text each (RFC 7235 section 4.1)."""
    challenges: list[list[str]] = []
    for item in split_list(text, "challenge"):
        if not item:
            continue
        if not challenges or _is_new_scheme(item):
            challenges.append([item])
        else:
            challenges[-1].append(item)
    return [", ".join(items) for items in challenges]
