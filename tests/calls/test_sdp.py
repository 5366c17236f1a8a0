"""Session descriptions as text."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.calls.errors import DescriptionError
from app.calls.sdp import SessionDescription

BARESIP = b"""v=0\r
o=- 3456 9876 IN IP4 192.0.2.7\r
s=-\r
c=IN IP4 192.0.2.7\r
t=0 0\r
a=tool:baresip\r
m=audio 20000 UDP/TLS/RTP/SAVPF 96 0\r
a=rtpmap:96 opus/48000/2\r
a=fmtp:96 stereo=1;sprop-stereo=1\r
a=rtpmap:0 PCMU/8000\r
a=rtcp-mux\r
a=sendrecv\r
m=video 0 UDP/TLS/RTP/SAVPF 97\r
"""


def test_a_description_is_written_as_it_was_read() -> None:
    assert bytes(SessionDescription.parse(BARESIP)) == BARESIP


def test_lone_line_feeds_and_a_missing_last_line_end_are_accepted() -> None:
    text = BARESIP.replace(b"\r\n", b"\n").rstrip(b"\n")
    assert bytes(SessionDescription.parse(text)) == BARESIP


def test_media_level_wins_over_session_level() -> None:
    description = SessionDescription.parse(BARESIP.replace(b"t=0 0", b"t=0 0\r\na=setup:passive"))
    assert description.attribute_of(description.media[0], "setup") == "passive"
    assert description.direction_of(description.media[0]) == "sendrecv"
    assert description.connection_of(description.media[0]).address == "192.0.2.7"  # type: ignore[union-attr]


def test_no_direction_anywhere_means_sendrecv() -> None:
    description = SessionDescription.parse(BARESIP.replace(b"a=sendrecv\r\n", b""))
    assert description.direction_of(description.media[0]) == "sendrecv"


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "begin with v=0"),
        (b"hello", "begin with v=0"),
        (b"v=0\r\ns=-\r\n", "without an o= line"),
        (b"v=0\r\no=- 1 IN IP4 x\r\n", "six parts"),
        (b"v=0\r\no=- 1 1 IN IP4 x\r\nm=audio 70000 RTP/AVP 0\r\n", "port"),
        (b"v=0\r\no=- 1 1 IN IP4 x\r\nm=audio\r\n", "m= must name"),
        (b"v=0\r\no=- 1 1 IN IP4 x\r\nc=IN IP9 x\r\n", "c= must read"),
        (b"v=0\r\nnonsense\r\n", "not a line"),
        (b"v=0\r\no=- 1 1 IN IP4 x\r\n" + b"m=audio 1 RTP/AVP 0\r\n" * 17, "too many m= lines"),
        (b"v=0\r\n" + b"a=x\r\n" * 2000, "too many lines"),
        (b"v=0\r\n" + b"a" * 40_000, "too long"),
    ],
)
def test_what_is_wrong_is_said_in_one_sentence(body: bytes, words: str) -> None:
    with pytest.raises(DescriptionError, match=words):
        SessionDescription.parse(body)


@given(st.binary(max_size=2000))
def test_any_bytes_are_read_or_refused(body: bytes) -> None:
    try:
        description = SessionDescription.parse(b"v=0\r\no=- 1 1 IN IP4 x\r\n" + body)
    except DescriptionError:
        return
    assert SessionDescription.parse(bytes(description)) == description
