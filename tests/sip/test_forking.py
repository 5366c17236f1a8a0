"""One INVITE, several phones: RFC 3261 sections 12.1.2 and 13.2.2.4."""

from __future__ import annotations

from app.settings import HostPort
from app.sip.events import (
    Answered,
    OfferAnswered,
    Provisional,
    SessionTimedOut,
)
from app.sip.hops import Hop
from app.sip.message import Request, Response, response_to
from app.sip.sessions import SessionState
from tests.sip.pair import ANSWER, OFFER
from tests.sip.wire import Wire


class Forked:
    """Ada's INVITE reaches two phones, as through a forking proxy."""

    def __init__(self) -> None:
        self.wire = Wire()
        self.ada = self.wire.node("ada", "10.0.0.1")
        self.caller = self.ada.agent.invite("sip:bob@10.0.0.9", body=OFFER)
        self.wire.run(0)
        self.invite: Request = self.wire.messages("INVITE")[0]

    def say(self, status: int, tag: str, body: bytes = b"", rseq: int | None = None) -> None:
        response: Response = response_to(self.invite, status, to_tag=tag)
        response.headers.add("Contact", f"<sip:bob@10.0.1.{ord(tag) - ord('a')}>")
        if rseq is not None:
            response.headers.add("Require", "100rel")
            response.headers.add("RSeq", rseq)
        if body:
            response.headers.add("Content-Type", "application/sdp")
            response.body = body
        self.wire.inject(self.ada, bytes(response), Hop("udp", HostPort("10.0.0.9", 5060), self.ada.address))


def test_each_fork_is_a_dialog_of_its_own_and_the_first_answer_wins():
    fork = Forked()
    fork.say(183, "b", ANSWER, rseq=1)
    fork.say(183, "c", ANSWER, rseq=70)
    fork.say(180, "c")
    pracks = fork.wire.messages("PRACK")
    assert [(str(prack.rack), str(prack.uri), str(prack.cseq)) for prack in pracks] == [
        ("1 1 INVITE", "sip:bob@10.0.1.1", "2 PRACK"),
        ("70 1 INVITE", "sip:bob@10.0.1.2", "2 PRACK"),
    ]
    assert [event.dialog_tag for event in fork.ada.of(Provisional)] == ["b", "c", "c"]
    fork.say(200, "c", ANSWER)
    assert fork.ada.one(Answered).dialog_tag == "c"
    assert fork.caller.dialog_tag == "c"
    fork.say(200, "b", ANSWER)
    fork.say(200, "b", ANSWER)
    assert len(fork.ada.of(Answered)) == 1
    acks = fork.wire.messages("ACK")
    assert [ack.to.tag for ack in acks] == ["c", "b", "b"]
    (bye,) = fork.wire.messages("BYE")
    assert (bye.to.tag, str(bye.uri)) == ("b", "sip:bob@10.0.1.1")
    assert fork.caller.state is SessionState.CONFIRMED


def test_a_change_offered_to_a_phone_that_lost_holds_up_nothing():
    """Its UPDATE is answered by nobody, or with 481: the call with the other one goes on, and can be changed."""
    fork = Forked()
    fork.say(183, "b", ANSWER, rseq=1)
    prack = fork.wire.messages("PRACK")[0]
    fork.wire.inject(fork.ada, bytes(response_to(prack, 200)))
    fork.caller.update(OFFER, dialog_tag="b")
    fork.wire.run(0.1)
    update = fork.wire.messages("UPDATE")[0]
    fork.say(200, "c", ANSWER)
    assert fork.ada.one(OfferAnswered).status == 481
    fork.caller.reinvite(OFFER)
    fork.wire.run(0)
    assert fork.wire.messages("INVITE")[-1].to.tag == "c"
    fork.wire.inject(fork.ada, bytes(response_to(update, 481)))
    assert fork.caller.state is SessionState.CONFIRMED
    assert fork.ada.of(SessionTimedOut) == []


def test_a_second_answer_after_the_call_is_over_is_hung_up_too():
    fork = Forked()
    fork.say(200, "b", ANSWER)
    fork.caller.bye()
    fork.wire.run(0)
    fork.say(200, "c", ANSWER)
    assert [bye.to.tag for bye in fork.wire.messages("BYE")] == ["b", "c"]


def test_an_answer_without_a_provisional_before_it_makes_its_dialog():
    fork = Forked()
    fork.say(183, "b", ANSWER, rseq=1)
    fork.say(200, "c", ANSWER)
    assert fork.ada.one(Answered).dialog_tag == "c"
