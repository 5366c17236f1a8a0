"""What strangers send, and what bounds them: RFC 3261 section 8.2."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.sip.errors import SipError
from app.sip.events import (
    IncomingInvite,
    Refused,
)
from app.sip.sessions import SessionState
from tests.sip.pair import ANSWER, OFFER, Pair, by_hand, parse_again


@pytest.fixture
def pair() -> Pair:
    return Pair()


def test_no_more_calls_than_allowed():
    pair = Pair(bob={"max_sessions": 2})
    for _ in range(3):
        pair.ada.agent.invite("sip:bob@10.0.0.2", body=OFFER)
    pair.wire.run(1)
    assert len(pair.bob.of(IncomingInvite)) == 2
    assert pair.ada.one(Refused).status == 486
    with pytest.raises(SipError):
        pair.bob.agent.invite("sip:ada@10.0.0.1", body=OFFER)


def test_refusals_that_nobody_acknowledges_keep_no_call_out():
    pair = Pair(bob={"max_sessions": 2})
    pair.bob.react = lambda event: event.session.reject(486) if isinstance(event, IncomingInvite) else None
    pair.wire.lose = lambda passed: passed.what == "ACK"
    for _ in range(10):
        pair.ada.agent.invite("sip:bob@10.0.0.2", body=OFFER)
    pair.wire.run(1)
    assert len(pair.bob.of(IncomingInvite)) == 10
    pair.settled()


@pytest.mark.parametrize(
    ("method", "status"),
    [("SUBSCRIBE", 405), ("REGISTER", 405), ("TELEPORT", 501), ("BYE", 481), ("PRACK", 481), ("OPTIONS", 200)],
)
def test_requests_out_of_the_blue(pair: Pair, method: str, status: int):
    data = (
        f"{method} sip:bob@10.0.0.2 SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.99;branch=z9hG4bKq\r\nMax-Forwards: 70\r\n"
        f"From: <sip:x@x.example>;tag=1\r\nTo: <sip:bob@10.0.0.2>\r\nCall-ID: q\r\nCSeq: 1 {method}\r\n"
        "Content-Length: 0\r\n\r\n"
    )
    pair.wire.inject(pair.bob, data.encode())
    assert pair.wire.log("bob") == [f"{status} {method}"]
    if status != 481:
        assert "INVITE" in pair.wire.messages(f"{status} {method}")[0].allow


def test_the_same_invite_over_two_paths_is_answered_with_482(pair: Pair):
    pair.call()
    twin = parse_again(pair.wire.messages("INVITE")[0])
    twin.headers.replace_first("Via", "SIP/2.0/UDP 10.0.0.8;branch=z9hG4bKtwin")
    pair.wire.inject(pair.bob, bytes(twin))
    assert pair.wire.log("bob")[-1] == "482 INVITE"
    assert len(pair.bob.of(IncomingInvite)) == 1


def test_a_malformed_request_is_refused_with_what_is_wrong(pair: Pair):
    pair.wire.inject(pair.bob, by_hand("OPTIONS", 1).replace(b"Max-Forwards: 70", b"Max-Forwards: many"))
    assert pair.wire.log("bob") == ["400 OPTIONS"]
    pair.wire.inject(pair.bob, by_hand("OPTIONS", 2, extra="Require: ,;,\r\n"))
    pair.wire.inject(pair.bob, b"\x00\xff nonsense")
    pair.wire.inject(pair.bob, b"")
    pair.wire.inject(pair.bob, by_hand("ACK", 3))
    assert pair.wire.log("bob") == ["400 OPTIONS", "400 OPTIONS"]
    assert pair.bob.agent.counters["malformed"] >= 3
    assert pair.bob.events == []


def test_a_body_that_is_no_session_description_is_refused_with_415(pair: Pair):
    pair.ada.agent.invite("sip:bob@10.0.0.2", body=b"<xml/>", content_type="application/xml")
    pair.wire.run(1)
    refused = pair.ada.one(Refused)
    assert refused.status == 415
    assert refused.response is not None
    assert refused.response.headers.get("Accept") == "application/sdp"


def test_no_torture_message_harms_the_next_call(pair: Pair):
    """RFC 4475, each from a stranger, then a call."""
    for path in sorted((Path(__file__).parent / "torture").glob("*.dat")):
        pair.wire.inject(pair.bob, path.read_bytes())
        pair.wire.run(0.1)
    for session in pair.bob.agent.sessions:
        session.bye()
    pair.wire.run(100)
    assert pair.bob.agent.sessions == ()
    _, callee = pair.call()
    callee.accept(ANSWER)
    pair.wire.run(1)
    assert callee.state is SessionState.CONFIRMED
