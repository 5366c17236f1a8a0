"""Bodies of type application/trickle-ice-sdpfrag: RFC 8840 section 9 and its limits."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.calls.errors import DescriptionError
from app.calls.sdpfrag import MAX_BYTES, MAX_CANDIDATES, MAX_STREAMS, Fragment, StreamFragment
from app.events import CandidateType
from app.ice.candidates import Candidate

HEAD = "a=ice-pwd:asd88fgpdd777uzjYhagZg\r\na=ice-ufrag:8hhY\r\n"
HOST = "1 1 UDP 2130706432 2001:db8:a0b:12f0::1 5000 typ host"
MAPPED = "2 1 UDP 1694498815 192.0.2.3 5010 typ srflx raddr 10.0.1.1 rport 8998"


def line_of(mid: str, *candidates: str, more: str = "") -> str:
    rows = "".join(f"a=candidate:{one}\r\n" for one in candidates)
    return f"m=audio 9 RTP/AVP 0\r\na=mid:{mid}\r\n{rows}{more}"


def test_a_body_as_the_rfc_has_it_is_understood() -> None:
    body = HEAD + line_of("1", HOST, MAPPED) + line_of("2", HOST, more="a=end-of-candidates\r\n")
    first, second = Fragment.parse(body.encode()).streams
    assert (first.mid, first.ufrag, first.pwd) == ("1", "8hhY", "asd88fgpdd777uzjYhagZg")
    assert [str(one) for one in first.candidates] == [HOST, MAPPED]
    assert not first.ended
    assert (second.mid, second.ended) == ("2", True)


def test_the_end_at_the_head_is_of_every_stream() -> None:
    body = HEAD + "a=end-of-candidates\r\n" + line_of("1", HOST) + line_of("2")
    assert [stream.ended for stream in Fragment.parse(body.encode()).streams] == [True, True]


def test_credentials_of_one_stream_stand_in_its_section() -> None:
    own = "a=ice-ufrag:other\r\na=ice-pwd:0123456789012345678901\r\n"
    first, second = Fragment.parse((HEAD + line_of("1") + line_of("2", more=own)).encode()).streams
    assert (first.ufrag, second.ufrag) == ("8hhY", "other")
    assert second.pwd == "0123456789012345678901"


def test_what_is_not_understood_is_passed_over() -> None:
    odd = "1 1 UDP nonsense 192.0.2.3 5000 typ host"
    body = HEAD + "a=x-new:thing\r\n" + line_of("1", odd, HOST) + "m=audio 9 RTP/AVP 0\r\na=candidate:" + HOST + "\r\n"
    (stream,) = Fragment.parse(body.encode()).streams
    assert [str(one) for one in stream.candidates] == [HOST]


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("v=0\r\n" + HEAD, "a= and m= lines"),
        (line_of("1", HOST), "without ice-ufrag"),
        ("a=ice-ufrag:8\r\na=ice-pwd:short\r\n" + line_of("1"), "ice characters"),
        (HEAD + line_of("1") + line_of("1"), "twice"),
        (HEAD + "".join(line_of(str(i)) for i in range(MAX_STREAMS + 1)), "too many m="),
        (HEAD + "a=x\r\n" * 1000, "too many lines"),
        (HEAD + "a=" + "x" * MAX_BYTES, "too long"),
    ],
)
def test_a_bad_body_is_one_sentence(body: str, words: str) -> None:
    with pytest.raises(DescriptionError, match=words) as caught:
        Fragment.parse(body.encode())
    assert len(str(caught.value)) < 200


def test_only_so_many_candidates_are_read() -> None:
    many = [f"1 1 UDP 2130706432 192.0.2.3 {5000 + i} typ host" for i in range(MAX_CANDIDATES + 20)]
    (stream,) = Fragment.parse((HEAD + line_of("1", *many)).encode()).streams
    assert len(stream.candidates) == MAX_CANDIDATES


def test_the_password_is_in_no_repr() -> None:
    fragment = Fragment((StreamFragment("0", "8hhY", "asd88fgpdd777uzjYhagZg"),))
    assert "asd88" not in repr(fragment)


ice_text = st.text("abcdefgXYZ0189+/", min_size=22, max_size=30)
candidates = st.builds(
    Candidate,
    foundation=st.text("ab12", min_size=1, max_size=8),
    component=st.sampled_from([1, 2]),
    protocol=st.sampled_from(["udp", "tcp"]),
    priority=st.integers(1, 2**31 - 1),
    address=st.sampled_from(["192.0.2.7", "2001:db8::7", "some-name.local"]),
    port=st.integers(1, 65535),
    type=st.sampled_from(list(CandidateType)),
    related_address=st.none(),
    related_port=st.none(),
)
streams = st.builds(
    StreamFragment,
    mid=st.text("abc019", min_size=1, max_size=6),
    ufrag=ice_text,
    pwd=ice_text,
    candidates=st.lists(candidates, max_size=5).map(tuple),
    ended=st.booleans(),
)


@given(st.lists(streams, max_size=4, unique_by=lambda one: one.mid))
@settings(max_examples=60, deadline=None)
def test_what_is_written_reads_again(parts: list[StreamFragment]) -> None:
    fragment = Fragment(tuple(parts))
    assert Fragment.parse(bytes(fragment)) == fragment


@given(st.binary(max_size=400) | st.text(max_size=200).map(lambda text: (HEAD + line_of("1") + text).encode()))
@settings(max_examples=150, deadline=None)
def test_noise_is_refused_or_read_and_nothing_else(body: bytes) -> None:
    with suppress(DescriptionError):
        assert len(Fragment.parse(body).streams) <= MAX_STREAMS
