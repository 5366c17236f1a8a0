"""URIs and addresses: what is accepted, what is refused, what is the same (RFC 3261 section 19.1, RFC 3966)."""

from __future__ import annotations

import pytest

from app.sip.errors import ParseError
from app.sip.uri import NameAddr, OtherUri, SipUri, TelUri, parse_uri


@pytest.mark.parametrize(
    "text",
    [
        "sip:alice@example.org",
        "SIPS:Alice@Example.ORG",
        "sip:example.org",
        "sip:alice:secret@example.org:5070",
        "sip:alice@[2001:db8::1]:5060;transport=tcp;lr",
        "sip:alice@192.0.2.1?subject=a%20b&priority=urgent",
        "sip:+1-212-555-1212:1234@gateway.com;user=phone",
        "sip:bob@example.org?Replaces=abc%40h%3Bto-tag%3D1%3Bfrom-tag%3D2",
        "sip:j%fcrgen@example.org",
        "sip:user@my_host.local.",
        "tel:+1-201-555-0123",
        "tel:7042;phone-context=example.com",
        "tel:863-1234;phone-context=+1-914-555;ext=12",
        "tel:*31#",
        "tel:911",
        "http://www.example.com/a?b=c#d",
        "urn:service:sos",
        "mailto:a@b",
    ],
)
def test_a_uri_is_written_as_it_was_read(text: str) -> None:
    uri = parse_uri(text)
    assert str(uri) == text
    assert parse_uri(str(uri)) == uri


@pytest.mark.parametrize(
    "text",
    [
        "",
        "alice",
        "alice@example.org",
        "sip:",
        "sip:@example.org",
        "sip:alice@",
        "sip:alice@exa mple.org",
        "sip:alice@example.org:",
        "sip:alice@example.org:0",
        "sip:alice@example.org:65536",
        "sip:alice@example.org:50²",
        "sip:alice@example.org;",
        "sip:alice@example.org;a=1;A=2",
        "sip:alice@example.org;transport=",
        "sip:alice@example.org?x",
        "sip:al%zzice@example.org",
        "sip:alice@[::1",
        "sip:alice@[1::2::3]",
        "sip:alice@300.1.2.3",
        "sip:alice@1.2.3",
        "sip:alice@a..b",
        "sip:al<ice@example.org",
        "sip:jürgen@example.org",
        "sip:alice@example.org\r\nVia: x",
        "tel:",
        "tel:+",
        "tel:--",
        "tel:hello",
        "tel:+1 201",
        "tel:+1;ext=1;ext=2",
        "foo:",
        "1foo:bar",
        "foo:b ar",
        "foo:%1",
    ],
)
def test_what_is_no_uri_is_refused(text: str) -> None:
    with pytest.raises(ParseError) as caught:
        parse_uri(text)
    assert caught.value.status == 400


def test_a_very_long_uri_is_refused_as_such() -> None:
    for start in ("sip:", "tel:+", "foo:"):
        with pytest.raises(ParseError) as caught:
            parse_uri(start + "1" * 5000)
        assert caught.value.status == 414
        assert len(str(caught.value)) < 120


def test_parts_of_a_sip_uri_are_decoded() -> None:
    uri = SipUri.parse("SIP:al%69ce;x:s%3A@Example.org:5070;Transport=TCP;%6Cr?Subject=a%20b")
    assert (uri.scheme, uri.user, uri.password) == ("sip", "alice;x", "s:")
    assert (uri.host, uri.port) == ("example.org", 5070)
    assert uri.params == (("transport", "TCP"), ("lr", None))
    assert uri.headers == (("Subject", "a b"),)
    assert uri.param("TRANSPORT") == "TCP"
    assert uri.param("lr") == ""
    assert uri.param("maddr") is None
    assert uri.is_loose


def test_a_built_uri_escapes_what_it_must() -> None:
    uri = SipUri("sip", "a@b c\udcff", "p:w", "2001:db8::1", 5060, (("x", "a;b"), ("lr", None)), (("H", "a&b=c"),))
    text = str(uri)
    assert text == "sip:a%40b%20c%FF:p%3Aw@[2001:db8::1]:5060;x=a%3Bb;lr?H=a%26b%3Dc"
    assert parse_uri(text) == uri


def test_octets_that_are_not_utf_8_survive() -> None:
    uri = SipUri.parse("sip:%ff%fe@h")
    assert uri.user == "\udcff\udcfe"
    assert str(SipUri("sip", uri.user, host="h")) == "sip:%FF%FE@h"


def test_a_password_is_not_shown_by_repr() -> None:
    assert "secret" not in repr(SipUri.parse("sip:alice:secret@h"))


def test_changed_copies_forget_the_text_they_were_read_from() -> None:
    uri = SipUri.parse("sip:%61lice@h;transport=udp?a=b")
    assert str(uri.with_param("transport", "tcp")) == "sip:alice@h;transport=tcp?a=b"
    assert str(uri.with_param("lr")) == "sip:alice@h;transport=udp;lr?a=b"
    assert str(uri.without_headers()) == "sip:alice@h;transport=udp"


# The examples of RFC 3261 section 19.1.4
@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("sip:%61lice@atlanta.com;transport=TCP", "sip:alice@AtLanTa.CoM;Transport=tcp"),
        ("sip:carol@chicago.com", "sip:carol@chicago.com;newparam=5"),
        ("sip:carol@chicago.com", "sip:carol@chicago.com;security=on"),
        (
            "sip:biloxi.com;transport=tcp;method=REGISTER?to=sip:bob%40biloxi.com",
            "sip:biloxi.com;method=REGISTER;transport=tcp?to=sip:bob%40biloxi.com",
        ),
        (
            "sip:alice@atlanta.com?subject=project%20x&priority=urgent",
            "sip:alice@atlanta.com?priority=urgent&subject=project%20x",
        ),
        ("tel:+1-201-555-0123", "tel:+12015550123"),
        ("tel:7042;phone-context=Example.com", "tel:70-42;phone-context=example.com"),
        ("tel:1;phone-context=+1-914", "tel:1;phone-context=+1914"),
        ("URN:x", "urn:x"),
    ],
)
def test_equivalent_uris(one: str, other: str) -> None:
    assert parse_uri(one).matches(parse_uri(other))
    assert parse_uri(other).matches(parse_uri(one))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("SIP:ALICE@AtLanTa.CoM;Transport=udp", "sip:alice@AtLanTa.CoM;Transport=UDP"),
        ("sip:bob@biloxi.com", "sip:bob@biloxi.com:5060"),
        ("sip:bob@biloxi.com", "sip:bob@biloxi.com;transport=udp"),
        ("sip:bob@biloxi.com", "sip:bob@biloxi.com:6000;transport=tcp"),
        ("sip:carol@chicago.com", "sip:carol@chicago.com?Subject=next%20meeting"),
        ("sip:bob@phone21.boxesbybob.com", "sip:bob@192.0.2.4"),
        ("sip:carol@chicago.com;security=on", "sip:carol@chicago.com;security=off"),
        ("sip:carol@chicago.com;user=phone", "sip:carol@chicago.com"),
        ("sip:carol@chicago.com", "sip:carol@chicago.com;maddr=192.0.2.4"),
        ("sip:a@h", "sips:a@h"),
        ("sip:h", "sip:a@h"),
        ("sip:a:p@h", "sip:a@h"),
        ("tel:+12015550123", "tel:12015550123"),
        ("tel:+1;ext=1", "tel:+1"),
        ("sip:+1@h", "tel:+1"),
        ("urn:x", "urn:X"),
    ],
)
def test_different_uris(one: str, other: str) -> None:
    assert not parse_uri(one).matches(parse_uri(other))
    assert not parse_uri(other).matches(parse_uri(one))


def test_tel_uris() -> None:
    uri = parse_uri("tel:+1-(201)-555.0123;isub=1411;foo=a%3Bb")
    assert isinstance(uri, TelUri)
    assert uri.digits == "+12015550123"
    assert uri.param("foo") == "a;b"
    assert str(TelUri("+49", (("x", "a;b"), ("y", None)))) == "tel:+49;x=a%3Bb;y"


@pytest.mark.parametrize(
    ("text", "name", "uri", "params"),
    [
        ("sip:a@h", "", "sip:a@h", ()),
        ("sip:a@h;tag=1", "", "sip:a@h", (("tag", "1"),)),
        ("<sip:a@h;x=1>;tag=1", "", "sip:a@h;x=1", (("tag", "1"),)),
        ('"A, \\"B\\" <x>" <sip:a,b@h?c=d> ; tag = 1 ; y', 'A, "B" <x>', "sip:a,b@h?c=d", (("tag", "1"), ("y", None))),
        ("Ada  Lovelace <sip:a@h>", "Ada  Lovelace", "sip:a@h", ()),
        ("Jürgen <sip:a@h>", "Jürgen", "sip:a@h", ()),
        ('"" <tel:+1>', "", "tel:+1", ()),
        ('<sip:a@h>;text="a;b,c"', "", "sip:a@h", (("text", "a;b,c"),)),
        ('<sip:a@h>;+sip.instance="<urn:x>";ob', "", "sip:a@h", (("+sip.instance", "<urn:x>"), ("ob", None))),
        ("<sip:a@h>;tag=a/b+c==", "", "sip:a@h", (("tag", "a/b+c=="),)),
    ],
)  # fmt: skip
def test_addresses(text: str, name: str, uri: str, params: tuple[tuple[str, str | None], ...]) -> None:
    address = NameAddr.parse(text)
    assert (address.display_name, str(address.uri), address.params) == (name, uri, params)
    assert NameAddr.parse(str(address)) == address


@pytest.mark.parametrize(
    "text",
    [
        "",
        "<>",
        "<sip:a@h",
        "sip:a@h>",
        '"A <sip:a@h>',
        "A, B <sip:a@h>",
        "< sip:a@h >",
        "<sip:a@h>;",
        "<sip:a@h>;;x",
        "<sip:a@h>;=x",
        "<sip:a@h>;x=",
        "<sip:a@h>;x=1;X=2",
        "<sip:a@h>x",
        "<sip:a@h> <sip:b@h>",
        "sip:a@h?x=y",
        "sip:a,b@h",
        "A (work) <sip:a@h>",
        '<sip:a@h>;x="1',
    ],
)
def test_malformed_addresses(text: str) -> None:
    with pytest.raises(ParseError):
        NameAddr.parse(text)


def test_an_error_names_the_field_and_cuts_the_text_short() -> None:
    with pytest.raises(ParseError, match=r"^Bad parameter in From: 'paramxxx") as caught:
        NameAddr.parse(f"<sip:a@h>;bad param{'x' * 1000}", "From")
    assert len(str(caught.value)) < 120
    assert caught.value.reason == "Bad parameter in From"


def test_tags_and_contact_parameters() -> None:
    address = NameAddr.parse("<sip:a@h>;Tag=1;expires=60;q=0.5")
    assert (address.tag, address.expires, address.q) == ("1", 60, 0.5)
    assert str(address.with_tag("2")) == "<sip:a@h>;Tag=2;expires=60;q=0.5"
    assert str(address.with_param("lr")) == "<sip:a@h>;Tag=1;expires=60;q=0.5;lr"
    plain = NameAddr.parse("<sip:a@h>")
    assert (plain.tag, plain.expires, plain.q) == (None, None, 1.0)
    odd = NameAddr.parse("<sip:a@h>;expires=soon;q=7")
    assert (odd.expires, odd.q) == (3600, 1.0)


def test_a_display_name_cannot_smuggle_lines_or_quotes() -> None:
    text = str(NameAddr('a"b\\c\r\nVia: x\x00', OtherUri("urn", "x")))
    assert "\r" not in text
    assert "\n" not in text
    assert NameAddr.parse(text).display_name == 'a"b\\c  Via: x\x00'
