"""Reading, writing, changing and answering messages."""

from __future__ import annotations

import contextlib
import time

import pytest

from app.sip.errors import LocalError, ParseError
from app.sip.message import (
    MAX_HEADERS,
    MAX_MESSAGE,
    Headers,
    Request,
    Response,
    parse_message,
    phrase_of,
    refusal_of,
    response_to,
)
from app.sip.uri import SipUri

HEAD = (
    "Via: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK1\r\n"
    "From: <sip:ada@example.org>;tag=1\r\n"
    "To: <sip:bob@example.org>\r\n"
    "Call-ID: c@192.0.2.1\r\n"
)
RESPONSE = f"SIP/2.0 200 OK\r\n{HEAD}CSeq: 1 INVITE\r\n\r\n"


def request_text(method: str = "OPTIONS", more: str = "", uri: str = "sip:bob@example.org") -> str:
    return f"{method} {uri} SIP/2.0\r\n{HEAD}CSeq: 1 {method}\r\n{more}\r\n"


def request(method: str = "OPTIONS", more: str = "") -> Request:
    message = parse_message(request_text(method, more).encode("utf-8", "surrogateescape"))
    assert isinstance(message, Request)
    return message


def error_of(data: str | bytes) -> ParseError:
    with pytest.raises(ParseError) as caught:
        parse_message(data.encode("utf-8", "surrogateescape") if isinstance(data, str) else data)
    return caught.value


# Headers ------------------------------------------------------------------------------------------------------


def test_headers_are_found_without_regard_to_case_or_form() -> None:
    headers = Headers([("v", "1"), ("SUBJECT", "x"), ("x-Own", "y"), ("k", "100rel")])
    assert headers.items() == [("Via", "1"), ("Subject", "x"), ("x-Own", "y"), ("Supported", "100rel")]
    assert headers.get("VIA") == headers.get("V") == "1"
    assert headers.get("s") == "x"
    assert headers.get("X-OWN") == "y"
    assert headers.get("To") is None
    assert "supported" in headers
    assert len(headers) == 4
    assert headers == Headers([("via", "1"), ("s", "x"), ("X-own", "y"), ("supported", "100rel")])


def test_list_headers_are_split_and_others_are_not() -> None:
    headers = Headers(
        [
            ("Route", '<sip:a,b@h>, "x, y" <sip:c@h>'),
            ("Subject", "a, b"),
            ("route", "<sip:d@h>"),
            ("Supported", ""),
            ("Date", "Sat, 13 Nov 2010 23:29:00 GMT"),
        ]
    )
    assert headers.all("Route") == ["<sip:a,b@h>", '"x, y" <sip:c@h>', "<sip:d@h>"]
    assert headers.all("Subject") == ["a, b"]
    assert headers.all("Supported") == []
    assert headers.all("Date") == ["Sat, 13 Nov 2010 23:29:00 GMT"]
    assert headers.all("Contact") == []


def test_several_challenges_in_rows_and_in_one_row() -> None:
    headers = Headers(
        [
            ("WWW-Authenticate", 'Digest realm="a", nonce="1,2", qop="auth,auth-int", Digest realm="b", nonce="3"'),
            ("WWW-Authenticate", 'Digest realm="c", nonce="4"'),
        ]
    )
    assert len(headers.all("www-authenticate")) == 3
    response = Response.of(401, headers)
    assert [challenge.realm for challenge in response.challenges] == ["a", "b", "c"]
    assert response.challenges[0].qop == ("auth", "auth-int")


def test_a_bad_challenge_does_not_hide_a_good_one() -> None:
    headers = Headers(
        [("WWW-Authenticate", 'Digest realm="a", =,'), ("WWW-Authenticate", 'Digest realm="b", nonce="1"')]
    )
    assert [challenge.realm for challenge in Response.of(401, headers).challenges] == ["a", "b"]


def test_headers_are_changed_in_place() -> None:
    headers = Headers([("Via", "2"), ("Subject", "x"), ("Via", "3")])
    headers.prepend("Via", "1")
    assert headers.rows("Via") == ["1", "2", "3"]
    headers.set("v", "4")
    assert headers.items() == [("Via", "4"), ("Subject", "x")]
    headers.set("To", "sip:a@h")
    headers.prepend("Route", "<sip:r>")
    assert [name for name, _ in headers] == ["Route", "Via", "Subject", "To"]
    headers.remove("subject")
    headers.remove("Nothing")
    assert "Subject" not in headers


def test_first_values_are_replaced_and_taken_off() -> None:
    headers = Headers([("Via", "SIP/2.0/UDP a, SIP/2.0/UDP b"), ("Via", "SIP/2.0/UDP c")])
    headers.replace_first("Via", "SIP/2.0/UDP x")
    assert headers.all("Via") == ["SIP/2.0/UDP x", "SIP/2.0/UDP b", "SIP/2.0/UDP c"]
    assert headers.pop_first("Via") == "SIP/2.0/UDP x"
    assert headers.pop_first("Via") == "SIP/2.0/UDP b"
    assert headers.all("Via") == ["SIP/2.0/UDP c"]
    assert headers.pop_first("Via") == "SIP/2.0/UDP c"
    assert headers.pop_first("Via") is None
    with pytest.raises(LocalError):
        headers.replace_first("Via", "x")


def test_a_copy_is_independent_and_views_follow_changes() -> None:
    message = request()
    assert message.to.tag is None
    copy = Request(message.method, message.uri, message.headers.copy())
    copy.headers.set("To", message.to.with_tag("9"))
    assert copy.to.tag == "9"
    assert message.to.tag is None
    copy.headers.prepend("Via", "SIP/2.0/TCP p;branch=z9hG4bK2")
    assert [via.host for via in copy.vias] == ["p", "192.0.2.1"]
    assert len(message.vias) == 1


@pytest.mark.parametrize("value", ["a\r\nVia: x", "a\nb", "a\rb"])
def test_a_value_cannot_begin_another_header(value: str) -> None:
    headers = Headers()
    for change in (headers.add, headers.set, headers.prepend):
        with pytest.raises(LocalError):
            change("Subject", value)
    assert len(headers) == 0


@pytest.mark.parametrize("name", ["", "a b", "a:b", "Sübject", "a\r\nb"])
def test_a_bad_header_name_is_refused(name: str) -> None:
    with pytest.raises(LocalError):
        Headers().add(name, "x")


def test_repr_names_no_values() -> None:
    assert "geheim" not in repr(Headers([("Authorization", "geheim")]))


# Reading ------------------------------------------------------------------------------------------------------


def test_typed_views() -> None:
    message = request(
        "PRACK",
        "Contact: <sip:a@h>;expires=5, sip:b@h\r\nRoute: <sip:p;lr>\r\nRecord-Route: <sip:q;lr>\r\nMax-Forwards: 70\r\n"
        "Expires: 30\r\nMin-Expires: 60\r\nRetry-After: 5\r\nRequire: 100rel, , ice\r\nSupported:\r\n"
        "Unsupported: x\r\nAllow: INVITE\r\nallow: ACK\r\nRSeq: 7\r\nRAck: 7 1 INVITE\r\nc: application/SDP\r\n",
    )
    assert [str(contact.uri) for contact in message.contacts] == ["sip:a@h", "sip:b@h"]
    assert [str(route.uri) for route in message.routes] == ["sip:p;lr"]
    assert [str(route.uri) for route in message.record_routes] == ["sip:q;lr"]
    assert (message.max_forwards, message.expires, message.min_expires) == (70, 30, 60)
    assert message.retry_after is not None
    assert message.retry_after.seconds == 5
    assert message.require == ("100rel", "ice")
    assert message.supported == ()
    assert (message.unsupported, message.allow) == (("x",), ("INVITE", "ACK"))
    assert message.rseq == 7
    assert str(message.rack) == "7 1 INVITE"
    assert message.content_type is not None
    assert message.content_type.essence == "application/sdp"
    assert message.call_id == "c@192.0.2.1"


def test_views_of_what_is_not_there() -> None:
    message = request()
    assert (message.max_forwards, message.expires, message.min_expires, message.retry_after) == (None,) * 4
    assert (message.rseq, message.rack, message.content_type) == (None, None, None)
    assert (message.require, message.proxy_require, message.allow, message.routes) == ((), (), (), ())
    assert not message.contacts
    empty = Request("OPTIONS", SipUri("sip", host="h"), Headers())
    for name in ("top_via", "from_", "to", "call_id", "cseq"):
        with pytest.raises(ParseError, match="Missing"):
            getattr(empty, name)


def test_octets_that_are_not_utf_8_come_out_as_they_came_in() -> None:
    data = request_text(more="Subject: \udcff\udcfe caf\udce9 ü\r\nX-\r\n: \r\n").encode("utf-8", "surrogateescape")
    with pytest.raises(ParseError):
        parse_message(data)
    data = request_text(more="Subject: \udcff\udcfe caf\udce9 ü\r\n").encode("utf-8", "surrogateescape")
    message = parse_message(data)
    assert message.headers.get("Subject") == "\udcff\udcfe caf\udce9 ü"
    assert b"Subject: \xff\xfe caf\xe9 \xc3\xbc\r\n" in bytes(message)


def test_folded_lines() -> None:
    message = request(more="Subject: a\r\n b\r\n\t\t c\r\nSupported:\r\n 100rel,\r\n  ice\r\n")
    assert message.headers.get("Subject") == "a b c"
    assert message.supported == ("100rel", "ice")
    assert b"Subject: a b c\r\n" in bytes(message)


def test_a_body_ends_where_content_length_says() -> None:
    data = request_text("INVITE", "l: 3\r\n").encode() + b"abcdef"
    assert parse_message(data).body == b"abc"
    data = request_text("INVITE").encode() + b"abcdef"
    assert parse_message(data).body == b"abcdef"
    assert parse_message(b"\r\n\r\n" + data).body == b"abcdef"


@pytest.mark.parametrize(
    ("text", "status"),
    [
        (request_text(more="Subject x\r\n"), 400),
        (request_text(more=": x\r\n"), 400),
        (request_text(more="Sub ject: x\r\n"), 400),
        (request_text(more="Subject: a\nb\r\n"), 400),
        (request_text(more="Subject: a\rb\r\n"), 400),
        (request_text(more="Content-Length: 1, 1\r\n"), 400),
        (request_text(more="Content-Length: ٣\r\n"), 400),
        (request_text(more="Content-Length: +0\r\n"), 400),
        (request_text(more="Content-Length: 1\r\n"), 400),
        (request_text(more="Content-Length: 0\r\nl: 0\r\n"), 400),
        (request_text(more="To: <sip:x@h>\r\n"), 400),
        (request_text(more="Max-Forwards: 256\r\n"), 400),
        (request_text(more="Max-Forwards: -1\r\n"), 400),
        (request_text(more="Contact: <sip:a@h>,\r\n"), 400),
        (request_text(more="Contact: *, <sip:a@h>\r\n"), 400),
        (request_text(more="Route: sip:a b\r\n"), 400),
        (request_text(more="Record-Route: <>\r\n"), 400),
        (request_text(more="Via: SIP/2.0/UDP\r\n"), 400),
        (request_text(uri="<sip:a@h>"), 400),
        (request_text(uri="sip:a@h?b=c"), 400),
        (request_text(uri="sip:" + "a" * 5000 + "@h"), 414),
        (request_text("INV[TE"), 400),
        (request_text().replace("SIP/2.0\r\nVia", "SIP/3.0\r\nVia"), 505),
        (request_text().replace("SIP/2.0\r\nVia", "HTTP/1.1\r\nVia"), 400),
        (request_text().replace("CSeq: 1 OPTIONS", "CSeq: 1 INVITE"), 400),
        (request_text().replace("CSeq: 1 OPTIONS", "CSeq: 1 options"), 400),
        (request_text("FOO").replace("CSeq: 1 FOO", "CSeq: 1 BAR"), 501),
        (request_text().replace("Call-ID: c", "Call-ID: c d"), 400),
        (request_text().replace("From", "Form"), 400),
        (request_text()[:-2], 400),
        (request_text(more="X: 1\r\n" * MAX_HEADERS), 513),
        (request_text(more=f"X: {'1' * 9000}\r\n"), 513),
        (request_text(more="Supported: x\r\nX: 1\r\n" + "Contact: " + ",".join(["<sip:a@h>"] * 300) + "\r\n"), 400),
        (request_text(more="Contact: <sip:a@h>" + "".join(f";p{i}" for i in range(300)) + "\r\n"), 400),
    ],
)  # fmt: skip
def test_bad_requests_are_refused_and_can_be_answered(text: str, status: int) -> None:
    error = error_of(text)
    assert error.status == status
    assert len(str(error)) < 160
    if error.method is None:
        assert refusal_of(error) is None  # nobody can tell what it is
        return
    refusal = refusal_of(error, to_tag="t")
    assert refusal is not None
    assert refusal.status == status
    assert refusal.headers.rows("Via")[0] == "SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK1"
    assert refusal.headers.get("Call-ID") in ("c@192.0.2.1", "c d@192.0.2.1")
    parsed = bytes(refusal)
    assert parsed.startswith(f"SIP/2.0 {status} ".encode())


@pytest.mark.parametrize("data", [b"", b"\r\n\r\n", b"\0" * 40, b"\xff" * 500, b"GET / HTTP/1.1\r\n\r\n", b"x" * 70000])
def test_noise_is_refused_and_not_answered(data: bytes) -> None:
    assert refusal_of(error_of(data)) is None


@pytest.mark.parametrize(
    "text",
    [
        RESPONSE.replace("200", "99"),
        RESPONSE.replace("200", "700"),
        RESPONSE.replace("200", "2000"),
        RESPONSE.replace("SIP/2.0 200", "SIP/2.1 200"),
        RESPONSE.replace("200 OK", "OK 200"),
        RESPONSE.replace("CSeq: 1", "CSeq: x"),
        RESPONSE.replace("Via: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK1", "Via: x"),
        RESPONSE.replace("z9hG4bK1", "z9hG4bK"),
    ],
)
def test_a_bad_response_is_never_answered(text: str) -> None:
    assert refusal_of(error_of(text)) is None


def test_a_bad_ack_is_never_answered() -> None:
    error = error_of(request_text("ACK", "Max-Forwards: x\r\n"))
    assert error.method == "ACK"
    assert refusal_of(error) is None


def test_a_response_may_lack_what_nobody_needs() -> None:
    message = parse_message(
        RESPONSE.replace("200 OK", "200").replace("\r\n\r\n", "\r\nDate: yesterday\r\n\r\n").encode()
    )
    assert isinstance(message, Response)
    assert (message.status, message.reason) == (200, "")


def test_an_error_keeps_the_peers_text_out_of_the_answer() -> None:
    error = error_of(request_text(more="Contact: <sip:EVIL EVIL>\r\n"))
    refusal = refusal_of(error)
    assert refusal is not None
    assert b"EVIL" not in bytes(refusal)
    assert refusal.reason == "Bad Contact"


# Writing and answering ----------------------------------------------------------------------------------------


def test_a_message_is_written_with_its_true_length() -> None:
    headers = Headers([("v", "SIP/2.0/UDP h;branch=z9hG4bK1"), ("Content-Length", "99"), ("s", "ü")])
    message = Request("MESSAGE", SipUri.parse("sip:a@h"), headers, b"hello")
    assert bytes(message).decode() == (
        "MESSAGE sip:a@h SIP/2.0\r\nVia: SIP/2.0/UDP h;branch=z9hG4bK1\r\nSubject: ü\r\nContent-Length: 5\r\n\r\nhello"
    )
    assert bytes(Response.of(486, Headers())) == b"SIP/2.0 486 Busy Here\r\nContent-Length: 0\r\n\r\n"


def test_a_start_line_cannot_be_broken_out_of() -> None:
    with pytest.raises(LocalError):
        bytes(Request("A B", SipUri.parse("sip:a@h"), Headers()))
    with pytest.raises(LocalError):
        bytes(Request("INVITE", SipUri("sip", "a", host="h\r\nX: y"), Headers()))
    assert Response(200, "a\r\nX: y", Headers()).line == "SIP/2.0 200 a  X: y"
    with pytest.raises(LocalError):
        bytes(Response(1000, "", Headers()))
    with pytest.raises(LocalError):
        bytes(Response(200, "OK", Headers([("Subject", "\ud800")])))


def test_a_response_repeats_what_it_must() -> None:
    message = request("INVITE", "v: SIP/2.0/TCP p\r\nRecord-Route: <sip:p;lr>\r\nTimestamp: 54\r\nSubject: x\r\n")
    ringing = response_to(message, 180, to_tag="t")
    assert ringing.headers.items() == [
        ("Via", "SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK1"),
        ("Via", "SIP/2.0/TCP p"),
        ("Record-Route", "<sip:p;lr>"),
        ("From", "<sip:ada@example.org>;tag=1"),
        ("To", "<sip:bob@example.org>;tag=t"),
        ("Call-ID", "c@192.0.2.1"),
        ("CSeq", "1 INVITE"),
    ]
    assert parse_message(bytes(ringing)).to.tag == "t"
    trying = response_to(message, 100, to_tag="t")
    assert trying.to.tag is None
    assert trying.headers.get("Timestamp") == "54"
    assert "Record-Route" not in trying.headers
    assert "Record-Route" not in response_to(message, 404).headers
    assert response_to(message, 404).line == "SIP/2.0 404 Not Found"
    assert response_to(message, 404, "Gone fishing").line == "SIP/2.0 404 Gone fishing"


def test_a_tag_that_is_there_stays() -> None:
    message = request()
    message.headers.set("To", "Bob <sip:bob@example.org>;tag=old")
    assert response_to(message, 200, to_tag="new").to.tag == "old"


def test_phrases() -> None:
    assert phrase_of(183) == "Session Progress"
    assert phrase_of(499) == "Client Error"


# Limits -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "filling",
    [
        "Subject: {}\r\n".format("\r\n " * 20000),
        "X: {}\r\n".format(" " * 60000),
        "Contact: " + '"' * 8000 + "\r\n",
        "Contact: " + "<" * 8000 + "\r\n",
        'Contact: "' + "\\" * 8000 + "\r\n",
        "Contact: " + "a " * 4000 + "\r\n",
        "Contact: <sip:" + ";" * 8000 + "\r\n",
        "Contact: <sip:a@h>" + ";a" * 4000 + "\r\n",
        "Contact: <sip:a@h>" + " " * 8000 + "x\r\n",
        "Via: SIP/2.0/UDP h" + " " * 8000 + "x\r\n",
        "Via: " + "," * 8000 + "\r\n",
        "Route: " + "<sip:a@h>," * 800 + "\r\n",
        "CSeq: " + "0" * 8000 + "\r\n",
        ("X: " + "y" * 240 + "\r\n") * 250,
        "\r\n" * 30000,
        "a" * 60000,
        ":" * 60000,
    ],
)
def test_reading_takes_time_in_proportion_to_size(filling: str) -> None:
    data = request_text("INVITE", filling).encode()[:MAX_MESSAGE]
    start = time.perf_counter()
    with contextlib.suppress(ParseError):
        parse_message(data)
    assert time.perf_counter() - start < 1.0  # it takes a few milliseconds; anything quadratic takes many seconds
