"""Anything may arrive: reading never raises but ParseError, and what was read can be written and read again."""

from __future__ import annotations

import contextlib
from pathlib import Path

from hypothesis import example, given
from hypothesis import strategies as st

from app.sip.challenges import Challenge, split_challenges
from app.sip.errors import ParseError
from app.sip.framing import FramingError, KeepAlive, StreamFramer
from app.sip.grammar import quote, split_list
from app.sip.headers import RetryAfter, Via
from app.sip.message import Headers, Request, Response, parse_message, refusal_of, response_to
from app.sip.screening import Abilities, screen
from app.sip.uri import NameAddr, SipUri, parse_uri

SEEDS = [path.read_bytes() for path in sorted((Path(__file__).parents[1] / "sip" / "torture").glob("*.dat"))]
ABILITIES = Abilities(("INVITE", "OPTIONS"))
VIEWS = (
    *("vias", "from_", "to", "call_id", "cseq", "contacts", "routes", "record_routes", "max_forwards", "expires"),
    *("min_expires", "retry_after", "require", "proxy_require", "supported", "unsupported", "allow", "rseq", "rack"),
    *("content_type", "challenges"),
)

# What parsers trip over, put between and into real messages.
PIECES = st.sampled_from(
    [b"\r\n", b"\r\n ", b"\r", b"\n", b"\0", b'"', b"\\", b"<", b">", b";", b",", b"%", b"%00", b"=", b":", b"@", b"(",
     b"\xff", b"\xc3\xa9", b" ", b"\t", b"[", b"]", b"?", b"*", b"SIP/2.0", b"sip:", b"99999999999999999999", b"-1"]
)  # fmt: skip
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """A torture message with a few cuts, repeats and insertions."""
    data = draw(st.sampled_from(SEEDS))
    for _ in range(draw(st.integers(0, 6))):
        at = draw(st.integers(0, len(data)))
        match draw(st.integers(0, 3)):
            case 0:
                data = data[:at] + draw(PIECES) + data[at:]
            case 1:
                data = data[:at] + data[at + draw(st.integers(0, 20)) :]
            case 2:
                data = data[:at] + draw(st.binary(max_size=4)) + data[at + 1 :]
            case _:
                end = at + draw(st.integers(0, 80))
                data = data[:end] + data[at:end] * draw(st.integers(1, 3)) + data[end:]
    return data


def check_message(message: Request | Response) -> None:
    for name in VIEWS:
        with contextlib.suppress(ParseError):
            getattr(message, name, None)
    again = parse_message(bytes(message))
    message.headers.remove("Content-Length")
    again.headers.remove("Content-Length")
    assert again == message
    if isinstance(message, Request):
        screen(message, ABILITIES)
        parse_message(bytes(response_to(message, 486, to_tag="t")))


@given(st.one_of(mutated(), st.binary(max_size=400)))
def test_any_datagram(data: bytes) -> None:
    try:
        message = parse_message(data)
    except ParseError as error:
        refusal = refusal_of(error, to_tag="t")
        assert refusal is None or bytes(refusal).startswith(b"SIP/2.0 ")
        return
    check_message(message)


@given(st.lists(mutated(), max_size=4), st.integers(1, 200))
def test_any_stream(parts: list[bytes], size: int) -> None:
    framer = StreamFramer()
    data = b"".join(parts)
    for start in range(0, len(data), size):
        for frame in framer.feed(data[start : start + size]):
            assert isinstance(frame, Request | Response | KeepAlive | FramingError)
            if isinstance(frame, Request | Response):
                check_message(frame)


@given(
    st.one_of(TEXT, st.sampled_from(["sip:", "sips:a@", "tel:+", "x:"]).flatmap(lambda head: TEXT.map(head.__add__)))
)
def test_any_uri(text: str) -> None:
    try:
        uri = parse_uri(text)
    except ParseError:
        return
    assert str(uri) == text
    assert uri.matches(uri)


@given(TEXT, TEXT, st.lists(st.tuples(TEXT, TEXT), max_size=3))
def test_any_text_can_be_put_into_a_uri(user: str, password: str, params: list[tuple[str, str]]) -> None:
    named = {name.lower(): value for name, value in params if name and value}
    uri = SipUri("sip", user or None, password if user else None, "h", 5060, tuple(named.items()), (("H", password),))
    assert parse_uri(str(uri)) == uri


@given(TEXT, TEXT)
def test_any_text_can_be_put_into_an_address(name: str, value: str) -> None:
    address = NameAddr(name, SipUri("sip", "a", host="h"), (("x", value),))
    headers = Headers([("Contact", address), ("Contact", "<sip:b@h>")])
    again = NameAddr.parse(headers.all("Contact")[0])
    cleaned = str.maketrans("\r\n", "  ")
    assert (again.display_name, again.param("x")) == (name.translate(cleaned), value.translate(cleaned))


@example("0,")  # a challenge with an empty parameter
@given(TEXT)
def test_any_text_as_a_value(text: str) -> None:
    for parse in (NameAddr.parse, Via.parse, RetryAfter.parse, Challenge.parse):
        try:
            value = parse(text)
        except ParseError:
            continue
        assert parse(str(value)) == value
    with contextlib.suppress(ParseError):
        for item in split_challenges(text):
            Challenge.parse(item)


@given(st.lists(TEXT, max_size=5))
def test_quoted_commas_never_split(items: list[str]) -> None:
    quoted = [quote(item) for item in items]
    assert split_list(", ".join(quoted), "list") == (quoted or [""])
