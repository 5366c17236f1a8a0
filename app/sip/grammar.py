"""The small pieces that SIP header fields are made of: tokens, quoted strings, parameters, lists, numbers.

Every function is linear in its input: the patterns use possessive quantifiers, so none of them backtracks.
RFC 3261 section 25.1.
"""

from __future__ import annotations

import re

from app.sip.errors import ParseError

Params = tuple[tuple[str, str | None], ...]

MAX_VALUES = 256  # values in one header field, parameters in one value
MAX_COMMENT_DEPTH = 16

TOKEN_CHARS = r"A-Za-z0-9\-.!%*_+`'~"
# A parameter value that is no quoted string: a token or a host by the grammar. Base64 tags and bare IPv6 addresses
# (Via received=2001:db8::1) are in wide use, so their characters are taken too.
_VALUE_CHARS = TOKEN_CHARS + r"\[\]:/=@&$?"

_TOKEN = re.compile(rf"[{TOKEN_CHARS}]++")
_PARAM = re.compile(
    rf'[ \t]*+;[ \t]*+([{TOKEN_CHARS}]++)[ \t]*+(?:=[ \t]*+(?:([{_VALUE_CHARS}]++)|"((?:[^"\\]|\\.)*+)")[ \t]*+)?+',
    re.DOTALL,
)
_QUOTED_PAIR = re.compile(r"\\(.)", re.DOTALL)
_MUST_ESCAPE = re.compile(r'["\\\x00-\x08\x0b\x0c\x0e-\x1f\x7f]')
_LIST_PIECE = re.compile(r'[^",<]++|"(?:[^"\\]|\\.)*+"|<[^>]*+>', re.DOTALL)
_COMMENT_PIECE = re.compile(r"[^()\\]++|\\.|[()]", re.DOTALL)


def is_token(text: str) -> bool:
    """Whether `text` is one RFC 3261 token."""
    return _TOKEN.fullmatch(text) is not None


def unquote(inner: str) -> str:
    """Give the text of a quoted string from what stands between its quotes."""
    return _QUOTED_PAIR.sub(r"\1", inner) if "\\" in inner else inner


def quote(text: str) -> str:
    """Write `text` as a quoted string. CR and LF cannot be carried by one and become spaces."""
    text = text.replace("\r", " ").replace("\n", " ")
    return '"' + _MUST_ESCAPE.sub(lambda match: "\\" + match[0], text) + '"'


def parse_params(text: str, pos: int, what: str) -> Params:
    """Read `;name=value;name` from `pos` to the end of `text`. Names keep their case; none may come twice."""
    params: list[tuple[str, str | None]] = []
    end = len(text)
    while pos < end:
        match = _PARAM.match(text, pos)
        if match is None:
            raise ParseError(f"Bad parameter in {what}", text[pos:])
        name, plain, quoted = match.groups()
        params.append((name, plain if quoted is None else unquote(quoted)))
        pos = match.end()
    check_params(params, what)
    return tuple(params)


def check_params(params: list[tuple[str, str | None]], what: str) -> None:
    """Refuse too many parameters and one that comes twice (RFC 3261 section 7.3.1)."""
    if len(params) > 1:
        if len(params) > MAX_VALUES:
            raise ParseError(f"Too many parameters in {what}")
        if len({name.lower() for name, _ in params}) != len(params):
            raise ParseError(f"A parameter comes twice in {what}")


def format_params(params: Params) -> str:
    """Write parameters as `;name=value;name`, quoting a value that is not a token or host."""
    return "".join(
        f";{name}" if value is None else f";{name}={value if _PLAIN.fullmatch(value) else quote(value)}"
        for name, value in params
    )


_PLAIN = re.compile(rf"[{TOKEN_CHARS}\[\]:]++")


def get_param(params: Params, name: str) -> str | None:
    """The value of a parameter; "" for one without a value, None for none."""
    name = name.lower()
    for key, value in params:
        if key.lower() == name:
            return "" if value is None else value
    return None


def set_param(params: Params, name: str, value: str | None) -> Params:
    """The parameters with `name` set to `value` (None: no value), in its old place or at the end."""
    lowered = name.lower()
    if any(key.lower() == lowered for key, _ in params):
        return tuple((key, value if key.lower() == lowered else old) for key, old in params)
    return (*params, (name, value))


def split_list(text: str, what: str) -> list[str]:
    """Split a comma-separated value, leaving commas in quoted strings and in <…> alone. Empty items are kept."""
    if "," not in text:
        return [text.strip(" \t")]
    quoted = '"' in text or "<" in text
    items = _split_quoted(text, what) if quoted else text.split(",")
    if len(items) > MAX_VALUES:
        raise ParseError(f"Too many values in {what}")
    return [item.strip(" \t") for item in items]


def _split_quoted(text: str, what: str) -> list[str]:
    items: list[str] = []
    start = pos = 0
    while pos < len(text):
        if text[pos] == ",":
            items.append(text[start:pos])
            start = pos = pos + 1
            continue
        match = _LIST_PIECE.match(text, pos)
        if match is None:
            raise ParseError(f"A quotation mark or bracket is not closed in {what}", text[pos:])
        pos = match.end()
    items.append(text[start:])
    return items


def parse_tokens(text: str, what: str) -> tuple[str, ...]:
    """Read a list of tokens; empty items are skipped, an empty list is fine (RFC 3261 section 20.37)."""
    items = tuple(item for item in split_list(text, what) if item)
    for item in items:
        if not is_token(item):
            raise ParseError(f"Bad value in {what}", item)
    return items


def parse_number(text: str, maximum: int, what: str) -> int:
    """Read an unsigned decimal number of any number of leading zeros, at most `maximum`."""
    if not (text.isascii() and text.isdigit()):
        raise ParseError(f"{what} is not a number", text)
    digits = text.lstrip("0")
    if len(digits) > 20 or (number := int(digits or "0")) > maximum:
        raise ParseError(f"{what} is too large", text)
    return number


def split_comment(text: str, what: str) -> tuple[str, str | None, str]:
    """Cut the first (comment) out of `text`: what stands before it, its words, what stands after it."""
    start = text.find("(")
    if start < 0:
        return text, None, ""
    depth, pos = 0, start
    while match := _COMMENT_PIECE.match(text, pos):
        pos = match.end()
        if match[0] == "(":
            depth += 1
            if depth > MAX_COMMENT_DEPTH:
                raise ParseError(f"Comments are nested too deeply in {what}")
        elif match[0] == ")":
            depth -= 1
            if depth == 0:
                return text[:start], unquote(text[start + 1 : pos - 1]), text[pos:]
    raise ParseError(f"A comment is not closed in {what}", text[start:])
