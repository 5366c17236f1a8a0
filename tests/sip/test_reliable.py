"""The reliable 183 and its three ways to stop: call-flow B4, RFC 3262, RFC 8839 section 7.1.1."""

from __future__ import annotations

import pytest

from app.sip.errors import SipError
from app.sip.events import (
    AckReceived,
    Answered,
    IncomingInvite,
    OfferAnswered,
    OfferReceived,
    Provisional,
    ProvisionalConfirmed,
    ProvisionalExpired,
    Refused,
)
from app.sip.hops import Hop
from app.sip.sessions import SessionState
from tests.sip.pair import ANSWER, NO_100REL, OFFER, STRANGER, Pair, by_hand, parse_again


@pytest.fixture
def pair() -> Pair:
    return Pair()


# The reliable 183 (call-flow B4) ----------------------------------------


def test_183_is_retransmitted_without_a_cap_until_its_prack(pair: Pair):
    _, callee = pair.call()
    pair.wire.lose = lambda passed: passed.what == "PRACK"
    start = pair.wire.now
    callee.provisional(183, body=ANSWER)
    pair.wire.run(20)
    assert [round(at - start, 3) for at in pair.wire.times("183 INVITE")] == [0, 0.5, 1.5, 3.5, 7.5, 15.5]
    assert len(pair.ada.of(Provisional)) == 1
    pair.wire.lose = lambda passed: False
    pair.wire.run(5)
    assert pair.bob.one(ProvisionalConfirmed).by == "prack"
    pair.wire.run(20)
    assert len(pair.wire.times("183 INVITE")) == 6


def test_a_binding_request_stops_the_183_and_the_answer_still_waits_for_the_prack(pair: Pair):
    _, callee = pair.call()
    pair.wire.lose = lambda passed: passed.what == "PRACK" and pair.wire.now < 1003
    callee.provisional(183, body=ANSWER)
    pair.wire.run(0.1)
    callee.stop_retransmitting()
    callee.accept(ANSWER)
    pair.wire.run(1)
    assert pair.wire.log("bob") == ["183 INVITE"]
    assert pair.bob.one(ProvisionalConfirmed).by == "binding"
    pair.wire.run(5)
    assert pair.wire.log("bob") == ["183 INVITE", "200 PRACK", "200 INVITE"]
    assert pair.ada.one(Answered).body == ANSWER
    assert len(pair.bob.of(ProvisionalConfirmed)) == 1


def test_an_answer_waits_for_the_prack_of_the_183(pair: Pair):
    _, callee = pair.call()
    callee.provisional(183, body=ANSWER)
    callee.accept(ANSWER)
    assert callee.state is SessionState.ACCEPTED
    pair.wire.run(0.005)
    assert "200 INVITE" not in pair.wire.log()
    pair.wire.run(1)
    assert pair.wire.log("bob") == ["183 INVITE", "200 PRACK", "200 INVITE"]


def test_a_180_waits_for_the_prack_of_the_183(pair: Pair):
    _, callee = pair.call()
    callee.provisional(183, body=ANSWER)
    callee.provisional(180)
    pair.wire.run(0.1)
    assert pair.wire.log("bob") == ["183 INVITE", "200 PRACK", "180 INVITE"]


def test_without_any_prack_the_call_is_refused_with_504(pair: Pair):
    _, callee = pair.call()
    pair.wire.lose = lambda passed: passed.what == "PRACK"
    callee.provisional(183, body=ANSWER)
    callee.accept(ANSWER)
    pair.wire.run(40)
    assert pair.bob.one(ProvisionalExpired).ended
    assert pair.ada.one(Refused).status == 504
    pair.settled()


def test_a_lost_prack_ends_nothing_when_the_path_has_shown_that_the_183_arrived(pair: Pair):
    _, callee = pair.call()
    pair.wire.lose = lambda passed: passed.what == "PRACK"
    callee.provisional(183, body=ANSWER)
    callee.stop_retransmitting()
    callee.accept(ANSWER)
    pair.wire.run(40)
    assert pair.bob.of(ProvisionalExpired) == []
    assert len(pair.ada.of(Answered)) == 1


def test_without_100rel_the_183_is_repeated_until_a_binding_request():
    pair = Pair(ada=NO_100REL)
    _, callee = pair.call()
    callee.provisional(183, body=ANSWER)
    pair.wire.run(2)
    assert len(pair.wire.times("183 INVITE")) == 3
    for response in pair.wire.messages("183 INVITE"):
        assert response.rseq is None
        assert response.require == ()
    callee.stop_retransmitting()
    pair.wire.run(10)
    assert len(pair.wire.times("183 INVITE")) == 3
    assert pair.bob.one(ProvisionalConfirmed).by == "binding"
    shown = pair.ada.one(Provisional)
    assert (shown.reliable, shown.body) == (False, ANSWER)


def test_without_100rel_the_answer_stops_the_183():
    pair = Pair(ada=NO_100REL)
    caller, callee = pair.call()
    callee.provisional(183, body=ANSWER)
    callee.accept(ANSWER)
    pair.wire.run(10)
    assert pair.wire.log("bob") == ["183 INVITE", "200 INVITE"]
    assert pair.bob.one(ProvisionalConfirmed).by == "final"
    assert caller.state is SessionState.CONFIRMED


def test_without_100rel_running_out_does_not_end_the_call():
    pair = Pair(ada=NO_100REL)
    caller, callee = pair.call()
    start = pair.wire.now
    callee.provisional(183, body=ANSWER)
    pair.wire.run(50)
    assert [round(at - start, 3) for at in pair.wire.times("183 INVITE")] == [0, 0.5, 1.5, 3.5, 7.5, 15.5, 31.5]
    assert not pair.bob.one(ProvisionalExpired).ended
    callee.accept(ANSWER)
    pair.wire.run(1)
    assert caller.state is SessionState.CONFIRMED


def test_toward_ice_lite_the_183_is_sent_four_times():
    pair = Pair(ada=NO_100REL)
    _, callee = pair.call()
    callee.provisional(183, body=ANSWER, transmissions=4)
    pair.wire.run(40)
    assert len(pair.wire.times("183 INVITE")) == 4


def test_a_caller_that_requires_100rel_gets_every_provisional_reliably(pair: Pair):
    pair.ada.agent.invite("sip:bob@10.0.0.2", body=OFFER, headers=[("Require", "100rel")])
    pair.wire.run(0.1)
    callee = pair.bob.one(IncomingInvite).session
    callee.provisional(180)
    callee.provisional(183, body=ANSWER)
    pair.wire.run(0.1)
    first, second = (pair.wire.messages(f"{status} INVITE")[0] for status in (180, 183))
    assert second.rseq == first.rseq + 1
    assert pair.wire.log().count("PRACK") == 2


def test_an_unknown_requirement_is_refused_with_420(pair: Pair):
    pair.ada.agent.invite("sip:bob@10.0.0.2", body=OFFER, headers=[("Require", "100rel, teleport")])
    pair.wire.run(1)
    refused = pair.ada.one(Refused)
    assert refused.status == 420
    assert refused.response is not None
    assert refused.response.unsupported == ("teleport",)
    assert pair.bob.events == []


def test_a_caller_that_requires_100rel_of_one_without_it_is_refused():
    pair = Pair(bob=NO_100REL)
    pair.ada.agent.invite("sip:bob@10.0.0.2", body=OFFER, headers=[("Require", "100rel")])
    pair.wire.run(1)
    assert pair.ada.one(Refused).status == 420


def test_a_prack_for_nothing_is_answered_with_481(pair: Pair):
    caller, callee = pair.call()
    callee.provisional(183, body=ANSWER)
    pair.wire.run(1)
    dialog = caller.any_dialog()
    assert dialog is not None
    with pair.ada.agent.turn():
        prack = dialog.build("PRACK")
        prack.headers.add("RAck", "12345 1 INVITE")
        caller.send(prack, dialog, caller)
        wrong = dialog.build("PRACK")
        caller.send(wrong, dialog, caller)
    pair.wire.run(1)
    assert pair.wire.log("bob")[-2:] == ["481 PRACK", "400 PRACK"]


def test_a_prack_that_crosses_the_200_is_still_taken(pair: Pair):
    """RFC 3262 section 3: the answer may overtake a reliable 180 without SDP, whose PRACK must still be served."""
    pair.ada.agent.invite("sip:bob@10.0.0.2", body=OFFER, headers=[("Require", "100rel")])
    pair.wire.run(0.1)
    callee = pair.bob.one(IncomingInvite).session
    callee.provisional(180)
    callee.accept(ANSWER)
    pair.wire.run(5)
    assert pair.wire.log("bob") == ["180 INVITE", "200 INVITE", "200 PRACK"]
    assert callee.state is SessionState.CONFIRMED


def test_provisionals_that_overtake_each_other_are_not_acknowledged_out_of_order(pair: Pair):
    _, callee = pair.call()
    callee.provisional(183, body=ANSWER)
    pair.wire.run(0.1)
    first = pair.wire.messages("183 INVITE")[0]
    for rseq in (first.rseq + 2, first.rseq):
        odd = parse_again(first)
        odd.headers.set("RSeq", rseq)
        pair.wire.inject(pair.ada, bytes(odd), Hop("udp", pair.bob.address, pair.ada.address))
    pair.wire.run(1)
    assert pair.wire.log("ada").count("PRACK") == 1
    assert len(pair.ada.of(Provisional)) == 1


def test_a_phone_that_rings_long_says_so_every_minute(pair: Pair):
    _, callee = pair.call()
    callee.provisional(180)
    pair.wire.run(185)
    assert len(pair.wire.times("180 INVITE")) == 4
    assert len(pair.ada.of(Provisional)) == 1
    callee.accept(ANSWER)
    pair.wire.run(1)
    assert len(pair.ada.of(Answered)) == 1


# An INVITE without an offer (call-flow B11) ----------------------------------------


def test_our_offer_in_a_183_is_answered_in_the_prack(pair: Pair):
    source = Hop("udp", STRANGER, pair.bob.address)
    pair.wire.inject(pair.bob, by_hand("INVITE", 1, extra="Supported: 100rel\r\n"), source)
    callee = pair.bob.one(IncomingInvite).session
    assert pair.bob.one(IncomingInvite).body == b""
    callee.provisional(183, body=OFFER)
    pair.wire.run(0.1)
    response = pair.wire.messages("183 INVITE")[0]
    prack = by_hand("PRACK", 2, to=response.headers.get("To"), body=ANSWER, extra=f"RAck: {response.rseq} 1 INVITE\r\n")
    pair.wire.inject(pair.bob, prack, source)
    answered = pair.bob.one(OfferAnswered)
    assert (answered.body, answered.method, answered.status) == (ANSWER, "PRACK", 200)
    assert pair.wire.log("bob")[-1] == "200 PRACK"
    again = by_hand("UPDATE", 3, to=response.headers.get("To"), body=OFFER)
    pair.wire.inject(pair.bob, again, source)
    assert pair.bob.one(OfferReceived).method == "UPDATE"


def test_our_offer_in_the_200_is_answered_in_the_ack(pair: Pair):
    source = Hop("udp", STRANGER, pair.bob.address)
    pair.wire.inject(pair.bob, by_hand("INVITE", 1), source)
    callee = pair.bob.one(IncomingInvite).session
    callee.accept(OFFER)
    pair.wire.run(0.1)
    to = pair.wire.messages("200 INVITE")[0].headers.get("To")
    pair.wire.inject(pair.bob, by_hand("ACK", 1, to=to, body=ANSWER), source)
    assert pair.bob.one(AckReceived).body == ANSWER
    answered = pair.bob.one(OfferAnswered)
    assert (answered.body, answered.method) == (ANSWER, "ACK")


def test_a_new_offer_in_a_prack_is_answered_in_its_200(pair: Pair):
    source = Hop("udp", STRANGER, pair.bob.address)
    pair.wire.inject(pair.bob, by_hand("INVITE", 1, body=OFFER, extra="Supported: 100rel\r\n"), source)
    callee = pair.bob.one(IncomingInvite).session
    callee.provisional(183, body=ANSWER)
    pair.wire.run(0.1)
    response = pair.wire.messages("183 INVITE")[0]
    rack = f"RAck: {response.rseq} 1 INVITE\r\n"
    to = response.headers.get("To")
    pair.wire.inject(pair.bob, by_hand("PRACK", 2, to=to, body=b"v=0 next", extra=rack), source)
    assert pair.bob.one(OfferReceived).body == b"v=0 next"
    assert "200 PRACK" not in pair.wire.log()
    callee.answer_offer(b"v=0 next answer")
    pair.wire.run(0.1)
    assert pair.wire.messages("200 PRACK")[0].body == b"v=0 next answer"


def test_a_call_without_an_offer_of_ours_cannot_be_made(pair: Pair):
    with pytest.raises(SipError):
        pair.ada.agent.invite("sip:bob@10.0.0.2", body=b"")


def test_a_caller_of_the_old_kind_without_a_from_tag_is_served(pair: Pair):
    source = Hop("udp", STRANGER, pair.bob.address)
    pair.wire.inject(pair.bob, by_hand("INVITE", 1, body=OFFER).replace(b";tag=x", b""), source)
    pair.bob.one(IncomingInvite).session.accept(ANSWER)
    pair.wire.run(0.1)
    to = pair.wire.messages("200 INVITE")[0].headers.get("To")
    pair.wire.inject(pair.bob, by_hand("ACK", 1, to=to).replace(b";tag=x", b""), source)
    pair.wire.inject(pair.bob, by_hand("BYE", 2, to=to).replace(b";tag=x", b""), source)
    assert pair.bob.kinds() == ["IncomingInvite", "AckReceived", "Bye", "SessionClosed"]
