"""Candidates and descriptions as text: round trips, the numbers of the RFC, and what is refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.events import CandidateType
from app.ice.candidates import (
    Candidate,
    IceDescription,
    IceError,
    ParseError,
    candidate_priority,
    make_credential,
    pair_priority,
)


@pytest.mark.parametrize(
    "text",
    [
        "1 1 UDP 2130706431 192.0.2.1 3478 typ host",
        "a+/b 2 UDP 1694498815 203.0.113.9 9 typ srflx raddr 10.0.1.1 rport 8998",
        "3 1 TCP 16777215 2001:db8::1 443 typ relay raddr :: rport 0 tcptype passive generation 0",
        "4 1 UDP 1 fe80::1 1 typ prflx raddr 10.0.0.1 rport 1 network-id 3 network-cost 10",
        "5 1 UDP 99 8a1c-22.local 5 typ host",
    ],
)
def test_round_trip(text: str) -> None:
    assert str(Candidate.parse(text)) == text


def test_reads_what_others_write() -> None:
    candidate = Candidate.parse("a=candidate:7 1 udp 5 2001:DB8:0:0::1 10 TYP HOST generation 0 ufrag x")
    assert candidate.address == "2001:db8::1"
    assert candidate.type is CandidateType.HOST
    assert candidate.extensions == (("generation", "0"), ("ufrag", "x"))
    assert candidate.is_numeric
    assert not Candidate.parse("5 1 UDP 99 8a1c.local 5 typ host").is_numeric


@pytest.mark.parametrize(
    "text",
    [
        "",
        "1 1 UDP 1 192.0.2.1 1 typ",
        "1 1 UDP 1 192.0.2.1 1 typ host generation",
        "1 1 UDP 1 192.0.2.1 1 typ nowhere",
        "1 1 UDP 1 192.0.2.1 1 type host",
        "1 0 UDP 1 192.0.2.1 1 typ host",
        "1 257 UDP 1 192.0.2.1 1 typ host",
        "1 1 UDP 0 192.0.2.1 1 typ host",
        "1 1 UDP 2147483648 192.0.2.1 1 typ host",
        "1 1 UDP 99999999999999999999 192.0.2.1 1 typ host",
        "1 1 UDP 1 192.0.2.1 65536 typ host",
        "1 1 UDP 1 192.0.2.1 -1 typ host",
        "1 1 UDP 1 192.0.2.1 ² typ host",
        "1 1 UDP 1 192.0.2.1\x00 1 typ host",
        "ü 1 UDP 1 192.0.2.1 1 typ host",
        f"{'1' * 33} 1 UDP 1 192.0.2.1 1 typ host",
        "1 1 UDP 1 192.0.2.1 1 typ host raddr 1.1.1.1 rport x",
        "1 1 UDP 1 192.0.2.1 1 typ host" + " a b" * 17,
        "1 1 UDP 1 192.0.2.1 1 typ host " + "a" * 2000 + " b",
    ],
)
def test_malformed_is_refused_and_shown_cut_short(text: str) -> None:
    with pytest.raises(ParseError) as caught:
        Candidate.parse(text)
    assert len(str(caught.value)) < 300


@given(st.text(max_size=200))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        candidate = Candidate.parse("1 1 UDP 1 192.0.2.1 1 typ host " + text)
    except IceError:
        return
    assert str(Candidate.parse(str(candidate))) == str(candidate)


def test_priorities_are_those_of_the_rfc() -> None:
    expected = {"host": 2130706431, "prflx": 1862270975, "srflx": 1694498815, "relay": 16777215}
    assert {kind.value: candidate_priority(kind, 65535) for kind in CandidateType} == expected
    assert pair_priority(3, 2) == (2 << 32) + 7
    assert pair_priority(2, 3) == (2 << 32) + 6
    assert pair_priority(3, 3) == (3 << 32) + 6
    assert candidate_priority(CandidateType.HOST, 65535, 2) == 2130706430


@given(
    st.sampled_from(list(CandidateType)),
    st.integers(0, 65535),
    st.integers(1, 256),
    st.sampled_from(["udp", "tcp"]),
)
def test_every_priority_is_in_range_and_orders_by_type_preference_and_component(
    kind: CandidateType, preference: int, component: int, protocol: str
) -> None:
    """RFC 8445 sections 5.1.2.1 and 5.1.2.2."""
    priority = candidate_priority(kind, preference, component, protocol)
    assert 0 <= priority < 2**31
    assert (priority >> 8 & 0xFFFF, 256 - (priority & 0xFF)) == (preference, component)
    if preference < 65535:
        assert candidate_priority(kind, preference + 1, component, protocol) > priority


@given(st.integers(1, 2**31 - 1), st.integers(1, 2**31 - 1))
def test_both_sides_compute_the_same_pair_priority_with_the_lower_candidate_first(one: int, other: int) -> None:
    """RFC 8445 section 6.1.2.3."""
    assert pair_priority(one, other) >> 32 == min(one, other)
    assert pair_priority(one, other) - pair_priority(other, one) == (one > other) - (one < other)


@pytest.mark.parametrize(
    ("ufrag", "pwd", "pacing"),
    [("abc", "x" * 22, None), ("abcd", "x" * 21, None), ("ab d", "x" * 22, None), ("abcd", "x" * 22, 0)],
)
def test_bad_credentials_are_refused(ufrag: str, pwd: str, pacing: int | None) -> None:
    with pytest.raises(ParseError):
        IceDescription(ufrag, pwd, pacing_ms=pacing)


def test_a_description_does_not_show_its_password() -> None:
    assert "secret" not in repr(IceDescription("abcd", "secret" * 4))


def test_made_credentials_are_long_enough_and_differ() -> None:
    assert make_credential(8, 0) == "AAAAAAAA"
    assert make_credential(24, 2**144 - 1) == "/" * 24
    IceDescription(make_credential(8, 12345), make_credential(24, 2**100))


@pytest.mark.parametrize(
    ("tail", "related"),
    [
        ("raddr 192.0.2.9", ("192.0.2.9", 0)),
        ("rport 5000", (None, None)),
        ("raddr 192.0.2.9 rport 7", ("192.0.2.9", 7)),
    ],
)
def test_half_of_a_related_address_reads_the_same_once_written(
    tail: str, related: tuple[str | None, int | None]
) -> None:
    candidate = Candidate.parse(f"1 1 udp 100 203.0.113.7 6000 typ srflx {tail}")
    assert (candidate.related_address, candidate.related_port) == related
    assert Candidate.parse(str(candidate)) == candidate
