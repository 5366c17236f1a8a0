"""Typed header values: Via, CSeq, RAck, contacts, media types, Retry-After, challenges, credentials."""

from __future__ import annotations

import pytest

from app.sip.challenges import Challenge, Credentials, split_challenges
from app.sip.errors import ParseError
from app.sip.headers import ContactList, CSeq, MediaType, RAck, RetryAfter, Via


def test_via() -> None:
    via = Via.parse("sip / 2.0 / udp Host.Example.org : 5070 ; branch = z9hG4bK1 ; rport ; received=192.0.2.1 ; ttl=5")
    assert (via.transport, via.host, via.port) == ("UDP", "host.example.org", 5070)
    assert (via.branch, via.received, via.rport, via.wants_rport) == ("z9hG4bK1", "192.0.2.1", None, True)
    assert str(via) == "SIP/2.0/UDP host.example.org:5070;branch=z9hG4bK1;rport;received=192.0.2.1;ttl=5"
    assert Via.parse(str(via)) == via


def test_via_with_ipv6() -> None:
    via = Via.parse("SIP/2.0/TCP [2001:db8::9:1];branch=z9hG4bK1;received=2001:db8::2;rport=9")
    assert (via.host, via.received, via.rport) == ("2001:db8::9:1", "2001:db8::2", 9)
    assert str(via).startswith("SIP/2.0/TCP [2001:db8::9:1];")
    assert Via.parse("SIP/2.0/TCP [::1];received=[2001:db8::2]").received == "2001:db8::2"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "SIP/2.0/UDP",
        "SIP/2.0/UDP ",
        "SIP/3.0/UDP h",
        "HTTP/1.1/TCP h",
        "SIP/2.0 h",
        "SIP/2.0/UDPh",
        "SIP/2.0/UDP h:",
        "SIP/2.0/UDP h:99999",
        "SIP/2.0/UDP h h",
        "SIP/2.0/UDP h;",
        "SIP/2.0/UDP h;branch=a;branch=b",
        "SIP/2.0/UDP h;ttl=256",
        "SIP/2.0/UDP [::g]",
        "SIP/2.0/UDP 1.2.3.400",
    ],
)
def test_malformed_via(text: str) -> None:
    with pytest.raises(ParseError):
        Via.parse(text)


def test_via_notes_its_source() -> None:
    same = Via.parse("SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bK1")
    assert same.with_source("192.0.2.1", 5060) == same
    assert str(same.with_source("192.0.2.9", 7)) == f"{same};received=192.0.2.9"
    asking = Via.parse("SIP/2.0/UDP 192.0.2.1:5060;rport;branch=z9hG4bK1")
    assert str(asking.with_source("192.0.2.1", 7)) == (
        "SIP/2.0/UDP 192.0.2.1:5060;rport=7;branch=z9hG4bK1;received=192.0.2.1"
    )


def test_cseq_and_rack() -> None:
    assert CSeq.parse("0004711 \t INVITE") == CSeq(4711, "INVITE")
    assert str(CSeq(1, "ACK")) == "1 ACK"
    assert CSeq.parse("4294967295 X").number == 4294967295
    assert RAck.parse("776656 1 INVITE") == RAck(776656, 1, "INVITE")
    assert str(RAck(1, 2, "INVITE")) == "1 2 INVITE"


@pytest.mark.parametrize("text", ["", "1", "INVITE", "1INVITE", "-1 INVITE", "4294967296 X", "1 A B", "１ INVITE"])
def test_malformed_cseq(text: str) -> None:
    with pytest.raises(ParseError):
        CSeq.parse(text)


@pytest.mark.parametrize("text", ["", "1 INVITE", "1 2", "1 2 3 INVITE", "9999999999 1 INVITE"])
def test_malformed_rack(text: str) -> None:
    with pytest.raises(ParseError):
        RAck.parse(text)


def test_media_type() -> None:
    media = MediaType.parse('Multipart / Mixed ; boundary="a b;c" ; Charset=utf-8')
    assert media.essence == "multipart/mixed"
    assert media.param("BOUNDARY") == "a b;c"
    assert str(media) == 'multipart/mixed;boundary="a b;c";Charset=utf-8'
    with pytest.raises(ParseError):
        MediaType.parse("sdp")


def test_contacts() -> None:
    contacts = ContactList.parse(["<sip:a@h>;q=0.1", "sip:b@h"])
    assert [str(contact.uri) for contact in contacts] == ["sip:a@h", "sip:b@h"]
    assert len(contacts) == 2
    assert str(contacts) == "<sip:a@h>;q=0.1, <sip:b@h>"
    assert ContactList.parse(["*"]).star
    assert str(ContactList.parse(["*"])) == "*"
    assert not ContactList.parse([])
    with pytest.raises(ParseError):
        ContactList.parse(["*", "<sip:a@h>"])


def test_retry_after() -> None:
    assert RetryAfter.parse("18000;duration=3600") == RetryAfter(18000, None, 3600)
    assert RetryAfter.parse("120 (I'm in a (nested \\)) meeting)") == RetryAfter(120, "I'm in a (nested )) meeting")
    assert RetryAfter.parse("5 (x) ;duration=1;other=2") == RetryAfter(5, "x", 1)
    assert str(RetryAfter(5, "a(b", 1)) == "5 (a\\(b);duration=1"
    assert RetryAfter.parse(str(RetryAfter(5, "a(b", 1))) == RetryAfter(5, "a(b", 1)


@pytest.mark.parametrize("text", ["", "x", "1 (", "1 " + "(" * 17 + ")" * 17, "5000000000", "1;duration=x", "1 (a) b"])
def test_malformed_retry_after(text: str) -> None:
    with pytest.raises(ParseError):
        RetryAfter.parse(text)


# Challenges and credentials ------------------------------------------------------------------------------------


def test_a_challenge_with_commas_in_quoted_strings() -> None:
    text = 'Digest realm="a, \\"b\\"",nonce="n,1" , qop="auth,auth-int", stale=TRUE, algorithm=md5, opaque=""'
    challenge = Challenge.parse(text)
    assert challenge.is_digest
    assert (challenge.realm, challenge.nonce) == ('a, "b"', "n,1")
    assert challenge.qop == ("auth", "auth-int")
    assert challenge.stale
    assert challenge.algorithm == "MD5"
    assert challenge.param("opaque") == ""
    assert Challenge.parse(str(challenge)) == challenge
    assert 'qop="auth,auth-int"' in str(challenge)


def test_several_challenges_in_one_field() -> None:
    text = (
        'Digest realm="a", nonce="1,Digest x=y", algorithm=SHA-256, NTLM, Basic realm="b c",'
        ' Digest realm="a", nonce="2", Negotiate a87421=='
    )
    found = [Challenge.parse(one) for one in split_challenges(text)]
    assert [challenge.scheme for challenge in found] == ["Digest", "NTLM", "Basic", "Digest", "Negotiate"]
    assert [challenge.nonce for challenge in found] == ["1,Digest x=y", "", "", "2", ""]
    assert found[2].realm == "b c"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "=",
        'Digest realm="a',
        'Digest realm="a", nonce',
        'Digest realm="a", realm="b"',
        "Digest realm=a b",
        ", Digest",
        '"Digest"',
    ],
)
def test_malformed_challenges(text: str) -> None:
    with pytest.raises(ParseError):
        Challenge.parse(text)


def test_credentials_keep_their_secret_to_themselves() -> None:
    credentials = Credentials.parse(
        'Digest username="bob", response="0123456789abcdef", cnonce="c", nc=00000001, qop=auth'
    )
    assert credentials.param("Response") == "0123456789abcdef"
    assert "0123456789abcdef" not in repr(credentials)
    assert str(credentials).endswith("nc=00000001, qop=auth")
    assert Credentials.parse("NoOneKnowsThisScheme opaque-data=here").scheme == "NoOneKnowsThisScheme"
