"""Digest authentication from both sides: the RFCs' own examples, then client against server."""

from __future__ import annotations

import random

import pytest

from app.sip.digest import (
    Authenticator,
    Challenge,
    Credentials,
    Missing,
    Stale,
    Verdict,
    Wrong,
    choose_challenge,
    credentials_for,
    digest_response,
    make_ha1,
    make_ha1s,
    new_cnonce,
)
from app.sip.errors import LocalError
from app.sip.message import Headers, Request, parse_message
from app.sip.uri import SipUri
from tests.sip.test_torture import data_of

REALM = "home.example"
USERS = {name: make_ha1s(name, REALM, f"{name}'s secret") for name in ("ada", "bob")}
RFC7616_NONCE = "7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v"
RFC7616_CNONCE = "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ"


def lookup(username: str, algorithm: str) -> str | None:
    return USERS.get(username, {}).get(algorithm)


def authenticator(**options: object) -> Authenticator:
    return Authenticator(REALM, b"0123456789abcdef", lookup, rng=random.Random(1), **options)  # type: ignore[arg-type]


def request(method: str = "REGISTER", uri: str = "sip:home.example", body: bytes = b"") -> Request:
    return Request(method, SipUri.parse(uri), Headers(), body)


def challenge_of(server: Authenticator, now: float = 0.0, **options: bool) -> Challenge:
    chosen = choose_challenge(Challenge.parse(text) for text in server.challenge(now, **options))
    assert chosen is not None
    return chosen


def answer(server: Authenticator, challenge: Challenge, message: Request, **changed: object) -> Request:
    options: dict[str, object] = {
        "method": message.method,
        "uri": str(message.uri),
        "username": "ada",
        "password": "ada's secret",
        "body": message.body,
        "cnonce": "c",
    }
    value = credentials_for(challenge, **(options | changed))  # type: ignore[arg-type]
    message.headers.set(server.credentials_header, value)
    return message


# What the RFCs compute -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("algorithm", "response"),
    [
        ("MD5", "8ca523f5e9506fed4657c9700eebdbec"),
        ("SHA-256", "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"),
    ],
)
def test_the_example_of_rfc_7616(algorithm: str, response: str) -> None:
    text = (
        f'Digest realm="http-auth@example.org", qop="auth, auth-int", algorithm={algorithm},'
        f' nonce="{RFC7616_NONCE}", opaque="FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS"'
    )
    credentials = Credentials.parse(
        credentials_for(
            Challenge.parse(text),
            method="GET",
            uri="/dir/index.html",
            username="Mufasa",
            password="Circle of Life",
            nc=1,
            cnonce=RFC7616_CNONCE,
        )
    )
    assert credentials.param("response") == response
    assert credentials.param("qop") == "auth"
    assert credentials.param("nc") == "00000001"
    assert credentials.param("opaque") == "FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS"
    assert credentials.param("algorithm") == algorithm


def test_the_examples_of_rfc_2069_and_2617() -> None:
    ha1 = make_ha1("Mufasa", "testrealm@host.com", "Circle Of Life")
    assert ha1 == "939e7578ed9e3c518a452acee763bce9"
    common = {"method": "GET", "uri": "/dir/index.html", "body": b"", "nonce": "dcd98b7102dd2f0e8b11d0f600bfb0c093"}
    with_qop = digest_response("MD5", ha1, **common, qop="auth", nc="00000001", cnonce="0a4f113b")  # type: ignore[arg-type]
    assert with_qop == "6629fae49393a05397450978507c4ef1"
    without = digest_response("MD5", ha1, **common, qop="", nc="", cnonce="")  # type: ignore[arg-type]
    assert without == "670fd8c2df070c60b045671b8b24ff02"


# The client ----------------------------------------------------------------------------------------------------


def challenge(text: str) -> Challenge:
    return Challenge.parse(f"Digest {text}")


def test_the_strongest_challenge_is_chosen_whatever_the_order() -> None:
    md5 = challenge('realm="r", nonce="1"')
    sha = challenge('realm="r", nonce="2", algorithm=SHA-256-sess, qop="auth"')
    unknown = challenge('realm="r", nonce="3", algorithm=SHA-512-256')
    odd = challenge('realm="r", nonce="4", algorithm=SHA-256, qop="other"')
    basic = Challenge.parse('Basic realm="r"')
    assert choose_challenge([md5, unknown, odd, basic, sha]) is sha
    assert choose_challenge([md5, sha], algorithms=("MD5",)) is md5
    assert choose_challenge([unknown, odd, basic]) is None
    assert choose_challenge([]) is None


def test_auth_is_preferred_to_auth_int() -> None:
    offered = challenge('realm="r", nonce="1", qop="auth-int,auth"')
    credentials = Credentials.parse(credentials_for(offered, method="A", uri="u", username="x", password="y"))
    assert credentials.param("qop") == "auth"
    assert len(credentials.param("cnonce") or "") == 32


def test_an_old_server_without_qop() -> None:
    value = credentials_for(challenge('realm="r", nonce="1"'), method="A", uri="u", username="x", ha1="0" * 32)
    credentials = Credentials.parse(value)
    assert (credentials.param("qop"), credentials.param("nc"), credentials.param("cnonce")) == (None, None, None)


def test_ha1_is_as_good_as_the_password() -> None:
    sha = challenge('realm="r", nonce="1", algorithm=SHA-256, qop="auth"')
    common = {"method": "A", "uri": "u", "username": "x", "cnonce": "c"}
    by_password = credentials_for(sha, password="y", **common)  # type: ignore[arg-type]
    assert credentials_for(sha, ha1=make_ha1s("x", "r", "y"), **common) == by_password  # type: ignore[arg-type]
    assert credentials_for(sha, ha1=make_ha1("x", "r", "y", "SHA-256"), **common) == by_password  # type: ignore[arg-type]


def test_what_cannot_be_answered() -> None:
    for text in ('realm="r", nonce="1", algorithm=X', 'realm="r", nonce="1", qop="other"'):
        with pytest.raises(LocalError):
            credentials_for(challenge(text), method="A", uri="u", username="x", password="y")
    with pytest.raises(LocalError):
        credentials_for(Challenge.parse("NTLM"), method="A", uri="u", username="x", password="y")
    with pytest.raises(LocalError):
        credentials_for(challenge('realm="r", nonce="1"'), method="A", uri="u", username="x", ha1={"SHA-256": "0"})
    with pytest.raises(LocalError):
        make_ha1("a", "b", "c", "SHA-1")


def test_cnonces_can_be_seeded() -> None:
    assert new_cnonce(random.Random(1)) == new_cnonce(random.Random(1))
    assert new_cnonce() != new_cnonce()


def test_names_with_quotes_and_umlauts_survive() -> None:
    offered = challenge('realm="a \\"b\\"", nonce="1"')
    credentials = Credentials.parse(credentials_for(offered, method="A", uri="u", username='jü"rg', password="y"))
    assert (credentials.param("username"), credentials.param("realm")) == ('jü"rg', 'a "b"')


# Client against server -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("algorithm", ["MD5", "SHA-256"])
@pytest.mark.parametrize("qop", ["auth", "auth-int", "auth,auth-int"])
@pytest.mark.parametrize("sess", ["", "-sess"])
@pytest.mark.parametrize("proxy", [False, True])
def test_every_kind_of_digest_is_accepted(algorithm: str, qop: str, sess: str, proxy: bool) -> None:
    server = authenticator(algorithms=(algorithm,), qop=qop, proxy=proxy)
    offered = challenge_of(server)
    assert offered.algorithm == algorithm
    if sess:
        offered = Challenge.parse(str(offered).replace(algorithm, algorithm + sess))
    assert server.check(answer(server, offered, request(body=b"v=0")), 1.0) == "ada"
    assert (server.status, server.credentials_header) == (
        (407, "Proxy-Authorization") if proxy else (401, "Authorization")
    )


def test_both_algorithms_are_offered_strongest_first() -> None:
    server = authenticator()
    offered = [Challenge.parse(text) for text in server.challenge(0.0)]
    assert [one.algorithm for one in offered] == ["SHA-256", "MD5"]
    assert len({one.nonce for one in offered}) == 1
    assert not any(one.stale for one in offered)
    assert server.challenge(0.0) != server.challenge(0.0)
    assert challenge_of(server, stale=True).stale


def test_auth_int_covers_the_body() -> None:
    server = authenticator(qop="auth-int")
    message = answer(server, challenge_of(server), request("INVITE", "sip:bob@home.example", b"v=0"))
    message.body = b"v=1"
    assert isinstance(server.check(message, 0.0), Wrong)


def test_no_credentials_and_those_of_others_are_missing() -> None:
    server = authenticator()
    message = request()
    assert server.check(message, 0.0) == Missing()
    message.headers.add("Authorization", 'Digest username="ada", realm="elsewhere", nonce="1", uri="x", response="y"')
    message.headers.add("Authorization", "broken")
    message.headers.add("Authorization", 'Digest "')
    assert server.check(message, 0.0) == Missing()
    good = answer(server, challenge_of(server), request()).headers.get("Authorization")
    message.headers.add("Authorization", good)
    assert server.check(message, 0.0) == "ada"
    unknown_scheme = parse_message(data_of("regaut01"))
    assert isinstance(unknown_scheme, Request)
    assert server.check(unknown_scheme, 0.0) == Missing()


@pytest.mark.parametrize(
    "changed",
    [
        {"password": "guess"},
        {"username": "eve"},
        {"username": "bob"},
        {"method": "INVITE"},
        {"uri": "sip:other.example"},
        {"uri": "sip:bob@home.example"},
        {"uri": "\x00"},
        {"username": ""},
    ],
)
def test_wrong_credentials(changed: dict[str, object]) -> None:
    server = authenticator()
    verdict = server.check(answer(server, challenge_of(server), request(), **changed), 0.0)
    assert isinstance(verdict, Wrong)
    assert verdict.username == changed.get("username", "ada")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("qop=auth,", "qop=other,"),
        ("nc=00000001", "nc=1"),
        ("nc=00000001", "nc=0000000g"),
        ("algorithm=SHA-256", "algorithm=SHA-512-256"),
        ('cnonce="c", ', ""),
        ('response="', 'response="0'),
        ('response="', 'response="ü'),
    ],
)
def test_credentials_that_do_not_fit_the_challenge(old: str, new: str) -> None:
    server = authenticator()
    message = answer(server, challenge_of(server), request())
    text = message.headers.get("Authorization") or ""
    assert old in text
    message.headers.set("Authorization", text.replace(old, new))
    assert isinstance(server.check(message, 0.0), Wrong)


def test_port_and_parameters_of_the_address_may_differ() -> None:
    server = authenticator()
    message = answer(server, challenge_of(server), request(), uri="sip:Home.Example:5060;transport=udp")
    assert server.check(message, 0.0) == "ada"


def test_an_old_nonce_is_stale_only_for_who_knows_the_password() -> None:
    server = authenticator(nonce_lifetime_s=60.0)
    offered = challenge_of(server, 100.0)
    assert server.check(answer(server, offered, request()), 160.0) == "ada"
    assert server.check(answer(server, offered, request(), nc=2), 161.0) == Stale()
    assert isinstance(server.check(answer(server, offered, request(), nc=2, password="guess"), 161.0), Wrong)


@pytest.mark.parametrize("nonce", ["", "x", "00", "0" * 56, "g" * 56])
def test_an_invented_nonce_is_stale(nonce: str) -> None:
    server = authenticator()
    invented = Challenge("Digest", (("realm", REALM), ("nonce", nonce), ("qop", "auth")))
    assert server.check(answer(server, invented, request()), 0.0) == Stale()


def test_a_nonce_of_another_secret_or_realm_is_stale() -> None:
    other = Authenticator(REALM, b"fedcba9876543210", lookup)
    server = authenticator()
    assert server.check(answer(server, challenge_of(other), request()), 0.0) == Stale()
    elsewhere = Authenticator("elsewhere", b"0123456789abcdef", lookup)
    nonce = challenge_of(elsewhere).nonce
    copied = Challenge("Digest", (("realm", REALM), ("nonce", nonce), ("qop", "auth")))
    assert server.check(answer(server, copied, request()), 0.0) == Stale()


def test_a_nonce_of_the_registrar_does_not_serve_the_proxy() -> None:
    registrar, proxy = authenticator(), authenticator(proxy=True)
    assert proxy.check(answer(proxy, challenge_of(registrar), request()), 0.0) == Stale()


def test_a_request_cannot_be_replayed() -> None:
    server = authenticator()
    offered = challenge_of(server)
    message = answer(server, offered, request())
    assert server.check(message, 0.0) == "ada"
    assert server.check(message, 0.0) == Stale()
    counts = [5, 3, 4, 2, 3, 70, 6, 7, 7]
    verdicts: list[Verdict] = [server.check(answer(server, offered, request(), nc=nc), 0.0) for nc in counts]
    fresh = [verdict == "ada" for verdict in verdicts]
    # Out of order is fine once, and no further back than 63 behind the highest.
    assert fresh == [True, True, True, True, False, True, False, True, False]


def test_without_qop_a_nonce_serves_once() -> None:
    server = authenticator()
    offered = challenge_of(server)
    old = Challenge("Digest", (("realm", REALM), ("nonce", offered.nonce)))
    assert server.check(answer(server, old, request()), 0.0) == "ada"
    assert server.check(answer(server, old, request()), 0.0) == Stale()


def test_the_memory_of_used_nonces_is_bounded() -> None:
    server = authenticator(max_nonces=3)
    offered = [challenge_of(server, float(index)) for index in range(5)]
    for one in offered[:4]:
        assert server.check(answer(server, one, request()), 5.0) == "ada"
    # The first was forgotten, so nobody can tell whether it was used; the last is younger than anything forgotten.
    assert server.check(answer(server, offered[0], request(), nc=2), 5.0) == Stale()
    assert server.check(answer(server, offered[1], request(), nc=2), 5.0) == "ada"
    assert server.check(answer(server, offered[4], request()), 5.0) == "ada"


def test_a_short_secret_is_refused() -> None:
    with pytest.raises(LocalError):
        Authenticator(REALM, b"short", lookup)
