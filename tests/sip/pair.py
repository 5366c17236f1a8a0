"""Two phones on a virtual wire, and what the session tests say to them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from app.settings import HostPort
from app.sip.events import (
    IncomingInvite,
    OfferReceived,
)
from app.sip.message import parse_message
from app.sip.sessions import InviteSession, SessionState
from tests.sip.wire import Node, Passed, Wire

OFFER, ANSWER = b"v=0 offer", b"v=0 answer"


class Pair:
    """Ada calls Bob."""

    def __init__(self, ada: dict[str, Any] | None = None, bob: dict[str, Any] | None = None) -> None:
        self.wire = Wire()
        self.ada = self.wire.node("ada", "10.0.0.1", **(ada or {}))
        self.bob = self.wire.node("bob", "10.0.0.2", **(bob or {}))

    def call(self, run: float = 0.1) -> tuple[InviteSession, InviteSession]:
        caller = self.ada.agent.invite("sip:bob@10.0.0.2", body=OFFER)
        self.wire.run(run)
        return caller, self.bob.of(IncomingInvite)[-1].session

    def up(self) -> tuple[InviteSession, InviteSession]:
        """A call that is answered."""
        caller, callee = self.call()
        callee.accept(ANSWER)
        self.wire.run(1)
        assert caller.state is callee.state is SessionState.CONFIRMED
        return caller, callee

    def settled(self) -> None:
        """After a while nothing of any call is left anywhere."""
        self.wire.run(80)
        for node in (self.ada, self.bob):
            assert node.agent.sessions == ()
            assert len(node.agent.layer) == 0
            assert node.agent.next_timeout() is None


def lost_once(*kinds: str) -> Callable[[Passed], bool]:
    """Loses the first message of each kind."""
    left = list(kinds)

    def lose(passed: Passed) -> bool:
        if passed.what in left:
            left.remove(passed.what)
            return True
        return False

    return lose


NO_100REL = {"supported": ("ice",)}


STRANGER = HostPort("10.0.0.77", 5060)


def by_hand(method: str, cseq: int, *, to: str = "<sip:bob@10.0.0.2>", body: bytes = b"", extra: str = "") -> bytes:
    """A request of somebody who is no node on the wire."""
    kind = "Content-Type: application/sdp\r\n" if body else ""
    return (
        f"{method} sip:bob@10.0.0.2 SIP/2.0\r\nVia: SIP/2.0/UDP 10.0.0.77;branch=z9hG4bKh{cseq}{method}\r\n"
        f"Max-Forwards: 70\r\nFrom: <sip:x@10.0.0.77>;tag=x\r\nTo: {to}\r\nCall-ID: byhand\r\n"
        f"CSeq: {cseq} {method}\r\nContact: <sip:x@10.0.0.77>\r\n{extra}{kind}Content-Length: {len(body)}\r\n\r\n"
    ).encode() + body


def parse_again(message: Any) -> Any:
    """A copy that may be changed without changing what was sent."""
    return parse_message(bytes(message))


def answering(node: Node, body: bytes = ANSWER) -> None:
    """Let `node` accept every offer."""

    def react(event: Any) -> None:
        if isinstance(event, OfferReceived):
            event.session.answer_offer(body)

    node.react = react
