"""A plain flow for RTCP that shares its socket with RTP: neither follows what belongs to the other."""

from __future__ import annotations

import pytest

from app.ice.plain import may_belong

RTP, RTCP, DTLS = b"\x80\x60 sound", b"\x80\xc8 report", b"\x16\xfe\xfd hello"


@pytest.mark.parametrize(
    ("flow", "data", "plain", "may"),
    [
        ("0", RTP, {"0"}, True),
        ("0", RTCP, {"0"}, True),  # multiplexed
        ("0", RTCP, {"0", "0/2"}, False),
        ("0", RTP, {"0", "0/2"}, True),
        ("0/2", RTP, {"0", "0/2"}, False),
        ("0/2", RTCP, {"0", "0/2"}, True),
        ("1", RTCP, {"0", "0/2", "1"}, True),
        ("0", DTLS, {"0", "0/2"}, True),  # whose handshake it is, only the keys can tell
        ("0/2", DTLS, {"0", "0/2"}, True),
        ("0/2", b"\x80", {"0", "0/2"}, True),
    ],
)
def test_packet_types_tell_whom_a_stranger_may_be(flow: str, data: bytes, plain: set[str], may: bool) -> None:
    assert may_belong(flow, data, plain) is may
