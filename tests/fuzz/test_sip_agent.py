"""Whatever arrives in whatever order, a user agent neither fails nor grows without bound, and takes the next call."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from app.sip.events import IncomingInvite, OfferReceived, Provisional, ProvisionalConfirmed
from app.sip.hops import Hop
from app.sip.sessions import SessionState
from tests.sip.pair import ANSWER, OFFER, Pair

METHODS = ["INVITE", "ACK", "BYE", "CANCEL", "PRACK", "UPDATE", "INFO", "OPTIONS", "SUBSCRIBE", "X"]


def answers_everything(event: object) -> None:
    match event:
        case IncomingInvite(session):
            session.provisional(183, body=ANSWER)
        case ProvisionalConfirmed(session) if session.state is SessionState.INCOMING:
            session.provisional(180)
            session.accept(ANSWER)
        case OfferReceived(session):
            session.answer_offer(ANSWER)


@st.composite
def disturbances(draw: st.DrawFn) -> list[tuple[int, str, int, bytes]]:
    """(message taken as a model, what to change, a number, bytes)."""
    change = st.sampled_from(["method", "status", "cut", "flip", "cseq", "drop line", "double line", "noise", "as is"])
    item = st.tuples(st.integers(0, 30), change, st.integers(0, 5000), st.binary(min_size=1, max_size=8))
    return draw(st.lists(item, min_size=1, max_size=25))


def disturbed(data: bytes, change: str, number: int, noise: bytes) -> bytes:
    lines = data.split(b"\r\n")
    line = number % max(1, len(lines) - 2)
    match change:
        case "method":
            method = METHODS[number % len(METHODS)].encode()
            lines = [item.replace(lines[0].split()[0], method) if b"SIP/2.0" in item else item for item in lines]
            return b"\r\n".join(lines)
        case "status":
            return data.replace(b"SIP/2.0 200", f"SIP/2.0 {100 + number % 600}".encode())
        case "cut":
            return data[: number % len(data)]
        case "flip":
            at = number % len(data)
            return data[:at] + noise + data[at + len(noise) :]
        case "cseq":
            return data.replace(b"CSeq: ", f"CSeq: {number}".encode())
        case "drop line":
            return b"\r\n".join(lines[:line] + lines[line + 1 :])
        case "double line":
            return b"\r\n".join(lines[: line + 1] + lines[line:])
        case "noise":
            return noise
    return data


@given(disturbances())
def test_disturbed_calls_leave_the_next_one_alone(plan: list[tuple[int, str, int, bytes]]):
    pair = Pair()
    pair.bob.react = answers_everything
    pair.ada.react = answers_everything
    pair.ada.agent.invite("sip:bob@10.0.0.2", body=OFFER)
    pair.wire.run(0.011)
    for index, change, number, noise in plan:
        passed = pair.wire.passed[index % len(pair.wire.passed)]
        data = disturbed(bytes(passed.message), change, number, noise)
        node, other = (pair.bob, pair.ada) if number % 2 else (pair.ada, pair.bob)
        pair.wire.inject(node, data, Hop("udp", other.address, node.address))
        pair.wire.run(0.01 * (number % 60))
    pair.wire.run(1)
    for node in (pair.ada, pair.bob):
        for session in node.agent.sessions:
            session.bye()
    pair.wire.run(200)
    assert pair.ada.agent.sessions == pair.bob.agent.sessions == ()
    assert len(pair.ada.agent.layer) == len(pair.bob.agent.layer) == 0
    before = len(pair.ada.of(Provisional))
    caller = pair.ada.agent.invite("sip:bob@10.0.0.2", body=OFFER)
    pair.wire.run(1)
    assert caller.state is SessionState.CONFIRMED
    assert len(pair.ada.of(Provisional)) == before + 2
