"""What must happen to each message of RFC 4475.

Two verdicts: of the parser (read, refused with a status, or dropped because it is a response), and, where it was
read, of a user agent that serves calls.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from app.sip.errors import ParseError
from app.sip.framing import FramingError, StreamFramer
from app.sip.message import Request, Response, parse_message, refusal_of
from app.sip.screening import Abilities, screen
from app.sip.uri import OtherUri, SipUri

TORTURE = Path(__file__).parent / "torture"
ABILITIES = Abilities(
    ("INVITE", "ACK", "BYE", "CANCEL", "OPTIONS", "PRACK", "UPDATE", "INFO"), extensions=("100rel", "timer")
)
READ, DROPPED = "read", "dropped"
SERVED = None


@dataclass(frozen=True)
class Case:
    """`parser`: READ, DROPPED or the status of the refusal; `agent`: what a user agent answers, or SERVED."""

    name: str
    section: str
    parser: str | int
    agent: int | None = SERVED


CASES = (
    Case("wsinv", "3.1.1.1", READ),
    Case("intmeth", "3.1.1.2", READ, 501),
    Case("esc01", "3.1.1.3", READ),
    Case("escnull", "3.1.1.4", READ, 405),
    Case("esc02", "3.1.1.5", READ, 501),
    Case("lwsdisp", "3.1.1.6", READ),
    Case("longreq", "3.1.1.7", READ),
    Case("dblreq", "3.1.1.8", READ, 405),
    Case("semiuri", "3.1.1.9", READ),
    Case("transports", "3.1.1.10", READ),
    Case("mpart01", "3.1.1.11", READ, 405),
    Case("unreason", "3.1.1.12", READ),
    Case("noreason", "3.1.1.13", READ),
    Case("badinv01", "3.1.2.1", 400),
    Case("clerr", "3.1.2.2", 400),
    Case("ncl", "3.1.2.3", 400),
    Case("scalar02", "3.1.2.4", 400),
    Case("scalarlg", "3.1.2.5", DROPPED),
    Case("quotbal", "3.1.2.6", 400),
    Case("ltgtruri", "3.1.2.7", 400),
    Case("lwsruri", "3.1.2.8", 400),
    Case("lwsstart", "3.1.2.9", 400),
    Case("trws", "3.1.2.10", 400),
    Case("escruri", "3.1.2.11", 400),
    Case("baddate", "3.1.2.12", 400),
    Case("regbadct", "3.1.2.13", 400),
    Case("badaspec", "3.1.2.14", 400),
    Case("baddn", "3.1.2.15", 400),
    Case("badvers", "3.1.2.16", 505),
    Case("mismatch01", "3.1.2.17", 400),
    Case("mismatch02", "3.1.2.18", 501),
    Case("bigcode", "3.1.2.19", DROPPED),
    Case("badbranch", "3.2.1", 400),
    Case("insuf", "3.3.1", 400),
    Case("unkscm", "3.3.2", READ, 416),
    Case("novelsc", "3.3.3", READ, 416),
    Case("unksm2", "3.3.4", READ, 405),
    Case("bext01", "3.3.5", READ, 420),
    Case("invut", "3.3.6", READ, 415),
    Case("regaut01", "3.3.7", READ, 405),
    Case("multi01", "3.3.8", 400),
    Case("mcl01", "3.3.9", 400),
    Case("bcast", "3.3.10", READ),
    Case("zeromf", "3.3.11", READ),
    Case("cparam01", "3.3.12", READ, 405),
    Case("cparam02", "3.3.13", READ, 405),
    Case("regescrt", "3.3.14", READ, 405),
    Case("sdp01", "3.3.15", READ, 406),
    Case("inv2543", "3.4.1", READ),
)
WELL_FORMED = [case.name for case in CASES if case.parser == READ]


def data_of(name: str) -> bytes:
    return (TORTURE / f"{name}.dat").read_bytes()


def request_of(name: str) -> Request:
    message = parse_message(data_of(name))
    assert isinstance(message, Request)
    return message


def response_of(name: str) -> Response:
    message = parse_message(data_of(name))
    assert isinstance(message, Response)
    return message


def error_of(name: str) -> ParseError:
    with pytest.raises(ParseError) as caught:
        parse_message(data_of(name))
    return caught.value


def test_every_message_has_its_case() -> None:
    assert sorted(case.name for case in CASES) == sorted(path.stem for path in TORTURE.glob("*.dat"))
    assert len(CASES) == 49


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_verdict(case: Case) -> None:
    if case.parser == READ:
        message = parse_message(data_of(case.name))
        refusal = screen(message, ABILITIES, to_tag="t") if isinstance(message, Request) else None
        assert (refusal.status if refusal else SERVED) == case.agent
        return
    refusal = refusal_of(error_of(case.name), to_tag="t")
    assert (refusal.status if refusal else DROPPED) == case.parser


@pytest.mark.parametrize("case", [case for case in CASES if isinstance(case.parser, int)], ids=lambda case: case.name)
def test_a_refused_request_is_answered_with_what_it_brought(case: Case) -> None:
    error = error_of(case.name)
    refusal = refusal_of(error, to_tag="t")
    assert refusal is not None
    assert error.partial is not None
    for name in ("Via", "From", "Call-ID", "CSeq"):
        assert refusal.headers.rows(name)[:1] == error.partial.rows(name)[:1]
    assert ("To" in refusal.headers) == ("To" in error.partial)
    assert f"SIP/2.0 {case.parser} ".encode() in bytes(refusal)


@pytest.mark.parametrize("name", WELL_FORMED)
def test_what_was_read_and_written_is_the_same_message(name: str) -> None:
    message = parse_message(data_of(name))
    again = parse_message(bytes(message))
    assert again.headers.get("Content-Length") == str(len(message.body))
    message.headers.remove("Content-Length")  # it is written last, wherever it stood
    again.headers.remove("Content-Length")
    assert again == message


# Section 3.1.1: what the well-formed ones say -----------------------------------------------------------------


def test_wsinv_folding_compact_forms_and_escapes() -> None:
    request = request_of("wsinv")
    assert isinstance(request.uri, SipUri)
    assert request.uri.params == (("unknownparam", None),)
    assert request.to.tag == "1918181833n"
    assert request.from_.display_name == 'J Rosenberg \\"'
    assert request.from_.tag == "98asjd8"
    assert request.max_forwards == 68
    assert str(request.cseq) == "9 INVITE"
    assert [(via.transport, via.host, via.branch) for via in request.vias] == [
        ("UDP", "192.0.2.2", "390skdjuw"),
        ("TCP", "spindle.example.com", "z9hG4bK9ikj8"),
        ("UDP", "192.168.255.111", "z9hG4bK30239"),
    ]
    assert request.headers.get("Subject") == ""
    assert request.headers.get("NewFangledHeader") == "newfangled value continued newfangled value"
    assert request.headers.get("UnknownHeaderWithUnusualValue") == ";;,,;;,;"
    assert request.contacts[0].display_name == 'Quoted string ""'
    assert request.contacts[0].params == (("newparam", "newvalue"), ("secondparam", None), ("q", "0.33"))
    assert request.contacts[0].q == pytest.approx(0.33)
    assert str(request.routes[0].uri) == "sip:services.example.com;lr;unknownwith=value;unknown-no-value"
    assert len(request.body) == 150


def test_intmeth_unusual_characters() -> None:
    request = request_of("intmeth")
    assert request.method == "!interesting-Method0123456789_*+`.%indeed'~"
    assert isinstance(request.uri, SipUri)
    assert request.uri.user == "1_unusual.URI~(to-be!sure)&isn't+it$/crazy?,/;;*"
    assert request.uri.password == "&it+has=1,weird!*pas$wo~d_too.(doesn't-it)"
    assert request.to.display_name == "BEL:\x07 NUL:\x00 DEL:\x7f"
    assert request.from_.display_name == "token1~` token2'+_ token3*%!.-"
    assert request.from_.param("fromParam''~+*_!.-%") == "работающий"
    assert request.from_.tag == "_token~1'+`*%!-."
    assert request.call_id == "intmeth.word%ZK-!.*_+'@word`~)(><:\\/\"][?}{"
    assert request.headers.get("extensionHeader-!.%*+_`'~") == "\ufeff大停電"


def test_esc01_escapes_are_undone_once() -> None:
    request = request_of("esc01")
    assert isinstance(request.uri, SipUri)
    assert request.uri.user == "sips:user@example.com"
    assert request.uri.host == "example.net"
    assert isinstance(request.to.uri, SipUri)
    assert request.to.uri.user == "user"
    assert request.to.uri.matches(SipUri.parse("sip:user@example.com"))
    contact = request.contacts[0].uri
    assert isinstance(contact, SipUri)
    assert contact.user == "caller"
    assert contact.params == (("lr", None), ("name", "value%41"))
    assert str(contact) == "sip:cal%6Cer@host5.example.net;%6C%72;n%61me=v%61lue%25%34%31"


def test_escnull_nulls_do_not_shorten_users() -> None:
    request = request_of("escnull")
    assert isinstance(request.to.uri, SipUri)
    assert request.to.uri.user == "null-\0-null"
    one, two = (contact.uri for contact in request.contacts)
    assert isinstance(one, SipUri)
    assert isinstance(two, SipUri)
    assert (one.user, two.user) == ("\0", "\0\0")
    assert not one.matches(two)


def test_esc02_percent_is_no_escape_in_methods_names_and_display_names() -> None:
    request = request_of("esc02")
    assert request.method == "RE%47IST%45R"
    assert request.from_.display_name == "%Z%45"
    assert len(request.contacts) == 2
    assert request.headers.get("C%6Fntact") == "<sip:alias2@host2.example.com>"


def test_lwsdisp_display_name_without_space() -> None:
    assert request_of("lwsdisp").from_.display_name == "caller"


def test_longreq_long_values() -> None:
    request = request_of("longreq")
    assert len(request.vias) == 34
    assert request.vias[-1].param("branch") == f"very{'long' * 50}branchvalue"
    assert request.from_.tag == f"12{'982' * 50}424"
    assert isinstance(request.to.uri, SipUri)
    assert request.to.uri.param("longparam" + "name" * 25) == "shortvalue"
    assert request.call_id == f"longreq.one{'really' * 20}longcallid"


def test_dblreq_what_follows_the_body_is_ignored() -> None:
    request = request_of("dblreq")
    assert (request.method, request.body) == ("REGISTER", b"")
    assert b"INVITE" not in bytes(request)


def test_semiuri_semicolon_in_user() -> None:
    uri = request_of("semiuri").uri
    assert isinstance(uri, SipUri)
    assert (uri.user, uri.host, uri.params) == ("user;par=u@example.net", "example.com", ())
    assert len(request_of("semiuri").headers.all("Accept")) == 6


def test_transports_unknown_ones_are_read() -> None:
    assert [via.transport for via in request_of("transports").vias] == ["UDP", "SCTP", "TLS", "UNKNOWN", "TCP"]


def test_mpart01_binary_body() -> None:
    request = request_of("mpart01")
    assert len(request.body) == 553
    assert b"\0" in request.body
    assert request.content_type is not None
    assert request.content_type.param("boundary") == "7a9cbec02ceef655"
    assert request.top_via.wants_rport


def test_unreason_and_noreason() -> None:
    assert response_of("unreason").reason.startswith("= 2**3 * 5**2 но сто")
    assert (response_of("noreason").status, response_of("noreason").reason) == (100, "")


# Section 3.1.2 and 3.3 ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["ncl", "mcl01"])
def test_a_stream_ends_at_an_unreadable_length(name: str) -> None:
    framer = StreamFramer()
    frames = framer.feed(data_of(name))
    assert len(frames) == 1
    assert isinstance(frames[0], FramingError)
    assert frames[0].fatal
    assert refusal_of(frames[0].error) is not None
    assert framer.feed(data_of("zeromf")) == []


def test_clerr_a_stream_waits_for_the_rest() -> None:
    framer = StreamFramer()
    assert framer.feed(data_of("clerr")) == []
    assert framer.waiting


def test_baddn_is_malformed_also_with_the_empty_line_its_file_lacks() -> None:
    with pytest.raises(ParseError, match="From"):
        parse_message(data_of("baddn") + b"\r\n")


def test_scalar02_nonsense_expiry_counts_as_an_hour() -> None:
    headers = error_of("scalar02").partial
    assert headers is not None
    headers.set("CSeq", "1 REGISTER")
    headers.set("Max-Forwards", "70")
    request = Request("REGISTER", SipUri.parse("sip:example.com"), headers)
    assert request.expires == 3600
    assert request.contacts[0].expires == 3600


def test_unknown_schemes() -> None:
    assert request_of("unkscm").uri == OtherUri("nobodyKnowsThisScheme", "totallyopaquecontent")
    assert request_of("novelsc").uri == OtherUri("soap.beep", "//192.0.2.103:3002")
    request = request_of("unksm2")
    assert request.to.uri.scheme == "isbn"
    assert request.from_.uri == OtherUri("http", "//www.example.com")
    assert request.contacts[0].uri == OtherUri("name", "John_Smith")


def test_bext01_names_what_is_not_supported() -> None:
    refusal = screen(request_of("bext01"), ABILITIES)
    assert refusal is not None
    assert refusal.unsupported == ("nothingSupportsThis", "nothingSupportsThisEither")
    assert request_of("bext01").proxy_require == ("noProxiesSupportThis", "norDoAnyProxiesSupportThis")


def test_invut_names_what_is_accepted() -> None:
    refusal = screen(request_of("invut"), ABILITIES)
    assert refusal is not None
    assert refusal.headers.get("Accept") == "application/sdp"


def test_intmeth_is_answered_with_what_is_allowed() -> None:
    refusal = screen(request_of("intmeth"), ABILITIES)
    assert refusal is not None
    assert refusal.allow == ABILITIES.methods


def test_bcast_shows_that_it_has_further_to_go() -> None:
    assert [via.host for via in response_of("bcast").vias] == ["192.0.2.198", "255.255.255.255"]


def test_cparam_and_regescrt_parameters_stay_where_they_belong() -> None:
    of_header = request_of("cparam01").contacts[0]
    assert of_header.params == (("unknownparam", None),)
    assert str(of_header.uri) == "sip:+19725552222@gw1.example.net"
    of_uri = request_of("cparam02").contacts[0]
    assert of_uri.params == ()
    assert str(of_uri.uri) == "sip:+19725552222@gw1.example.net;unknownparam"
    escaped = request_of("regescrt").contacts[0].uri
    assert isinstance(escaped, SipUri)
    assert escaped.headers == (("Route", "<sip:sip.example.com>"),)
    assert str(escaped) == "sip:user@example.com?Route=%3Csip:sip.example.com%3E"


def test_inv2543_lacks_what_rfc_2543_had_not() -> None:
    request = request_of("inv2543")
    assert request.from_.tag is None
    assert request.top_via.branch is None
    assert request.max_forwards is None
    assert request.to.params == (("user", "phone"),)
    assert len(request.body) == 105
    assert str(request.record_routes[0].uri) == "sip:UserB@example.com;maddr=ss1.example.com"
