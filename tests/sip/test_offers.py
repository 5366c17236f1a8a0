"""Changing a running session: re-INVITE, UPDATE, glare (RFC 3261 section 14, RFC 3311)."""

from __future__ import annotations

from typing import Any

import pytest

from app.settings import HostPort
from app.sip.events import (
    AckReceived,
    IncomingInvite,
    OfferAnswered,
    OfferReceived,
    SessionTimedOut,
)
from app.sip.hops import Hop
from app.sip.message import response_to
from app.sip.sessions import SessionError, SessionState
from tests.sip.pair import ANSWER, OFFER, Pair, answering, lost_once, parse_again


@pytest.fixture
def pair() -> Pair:
    return Pair()


@pytest.mark.parametrize("role", ["caller", "callee"])
def test_reinvite_from_either_side(pair: Pair, role: str):
    caller, callee = pair.up()
    mine, my_node, other_node = (caller, pair.ada, pair.bob) if role == "caller" else (callee, pair.bob, pair.ada)
    answering(other_node, b"v=0 again")
    mine.reinvite(b"v=0 more")
    pair.wire.run(1)
    offer = other_node.one(OfferReceived)
    assert (offer.body, offer.method) == (b"v=0 more", "INVITE")
    answered = my_node.one(OfferAnswered)
    assert (answered.status, answered.body, answered.method) == (200, b"v=0 again", "INVITE")
    assert pair.wire.log()[-3:] == ["INVITE", "200 INVITE", "ACK"]
    assert len(pair.bob.of(AckReceived)) == 1


def test_a_lost_answer_or_ack_of_a_reinvite_is_made_good(pair: Pair):
    caller, _ = pair.up()
    answering(pair.bob)
    pair.wire.lose = lost_once("INVITE", "200 INVITE", "ACK")
    caller.reinvite(OFFER)
    pair.wire.run(10)
    assert pair.ada.one(OfferAnswered).status == 200
    assert len(pair.bob.of(OfferReceived)) == 1
    caller.bye()
    pair.settled()


def test_a_refused_reinvite_leaves_the_call_as_it_was(pair: Pair):
    caller, callee = pair.up()
    caller.reinvite(OFFER)
    pair.wire.run(0.1)
    callee.refuse_offer(488)
    pair.wire.run(1)
    assert pair.ada.one(OfferAnswered).status == 488
    assert caller.state is callee.state is SessionState.CONFIRMED
    answering(pair.bob)
    caller.reinvite(OFFER)
    pair.wire.run(1)
    assert pair.ada.of(OfferAnswered)[-1].status == 200


def test_glare_is_refused_with_491_and_both_offers_come_through_in_the_end(pair: Pair):
    caller, callee = pair.up()
    for node in (pair.ada, pair.bob):
        answering(node)
    before = pair.wire.now
    caller.reinvite(b"v=0 from ada")
    callee.reinvite(b"v=0 from bob")
    pair.wire.run(10)
    assert pair.wire.log().count("491 INVITE") == 2
    assert pair.ada.one(OfferAnswered).status == pair.bob.one(OfferAnswered).status == 200
    assert pair.ada.one(OfferReceived).body == b"v=0 from bob"
    again = [at - before for at in pair.wire.times("INVITE", "ada")][-1]
    assert 2.1 <= again <= 4.1  # whoever made the Call-ID waits longer
    assert [at - before for at in pair.wire.times("INVITE", "bob")][-1] <= 0.6


def test_glare_without_end_is_reported(pair: Pair):
    caller, _ = pair.up()

    def react(event: Any) -> None:
        if isinstance(event, OfferReceived):
            event.session.refuse_offer(491)

    pair.bob.react = react
    caller.reinvite(OFFER)
    pair.wire.run(40)
    assert pair.ada.one(OfferAnswered).status == 491


def test_a_second_offer_while_one_is_open(pair: Pair):
    caller, callee = pair.up()
    caller.reinvite(OFFER)
    pair.wire.run(0.1)
    caller.reinvite(b"v=0 newer")  # waits
    dialog = caller.dialog
    assert dialog is not None
    with pair.ada.agent.turn():
        extra = dialog.build("UPDATE")
        extra.body = OFFER
        extra.headers.add("Content-Type", "application/sdp")
        caller.send(extra, dialog, caller)
    pair.wire.run(0.1)
    assert pair.wire.log("bob")[-1] == "500 UPDATE"
    assert "Retry-After" in pair.wire.messages("500 UPDATE")[0].headers
    callee.answer_offer(ANSWER)
    pair.wire.run(0.1)
    assert pair.bob.of(OfferReceived)[-1].body == b"v=0 newer"


def test_a_reinvite_without_an_offer_asks_for_ours(pair: Pair):
    caller, callee = pair.up()
    dialog = caller.dialog
    assert dialog is not None
    with pair.ada.agent.turn():
        invite = dialog.build("INVITE")
        caller.send(invite, dialog, caller)
    pair.wire.run(0.1)
    offer = pair.bob.one(OfferReceived)
    assert (offer.body, offer.method) == (b"", "INVITE")
    callee.answer_offer(OFFER)
    pair.wire.run(0.1)
    to = pair.wire.messages("200 INVITE")[-1].headers.get("To")
    ack = dialog.build("ACK", cseq=invite.cseq.number)
    ack.headers.prepend("Via", "SIP/2.0/UDP 10.0.0.1;branch=z9hG4bKack")
    ack.headers.set("To", to)
    ack.headers.add("Content-Type", "application/sdp")
    ack.body = ANSWER
    pair.wire.inject(pair.bob, bytes(ack), Hop("udp", pair.ada.address, pair.bob.address))
    assert pair.bob.one(OfferAnswered).method == "ACK"
    assert pair.bob.one(OfferAnswered).body == ANSWER


def test_update_before_the_answer(pair: Pair):
    caller, callee = pair.call()
    answering(pair.bob, b"v=0 updated")
    with pytest.raises(SessionError):
        caller.update(OFFER)
    callee.provisional(183, body=ANSWER)
    pair.wire.run(0.1)
    caller.update(b"v=0 update")
    pair.wire.run(0.1)
    assert pair.bob.one(OfferReceived).method == "UPDATE"
    assert pair.ada.one(OfferAnswered).body == b"v=0 updated"
    callee.accept()
    pair.wire.run(1)
    assert caller.state is SessionState.CONFIRMED


def test_an_update_of_the_callee_waits_for_the_prack_of_its_answer(pair: Pair):
    """RFC 3311 section 5.1: before that the caller may not have the answer, nor the dialog."""
    _, callee = pair.call()
    answering(pair.ada, b"v=0 updated")
    pair.wire.lose = lost_once("183 INVITE", "PRACK")
    callee.provisional(183, body=ANSWER)
    callee.update(b"v=0 update")
    pair.wire.run(0.4)
    assert "UPDATE" not in pair.wire.log("bob")
    pair.wire.run(5)
    log = pair.wire.log()
    assert log.index("200 PRACK") < log.index("UPDATE")
    assert pair.bob.one(OfferAnswered).body == b"v=0 updated"


def test_a_call_that_rings_is_asked_for_again_from_a_new_address(pair: Pair):
    """The answer goes where the request came from: nobody else would tell the callee of another place."""
    caller, callee = pair.call()
    callee.provisional(180)
    pair.wire.run(1)
    pair.ada.agent.network_changed()
    pair.wire.run(0)
    again = pair.wire.messages("INVITE", "ada")
    assert len(again) == 2
    assert again[0].top_via.branch == again[1].top_via.branch
    moved = HostPort("10.0.0.3", 5060)
    pair.wire.nodes[moved] = pair.ada
    pair.wire.inject(pair.bob, bytes(again[1]), Hop("udp", moved, pair.bob.address))
    pair.wire.deaf.add(pair.ada.address)
    callee.accept(ANSWER)
    pair.wire.run(0.1)
    assert caller.state is SessionState.CONFIRMED
    assert len(pair.bob.of(IncomingInvite)) == 1


def test_update_while_the_first_offer_is_open_is_glare(pair: Pair):
    caller, callee = pair.call()
    callee.provisional(180)
    pair.wire.run(0.1)
    caller.update(b"v=0 later")  # waits for the answer
    pair.wire.run(1)
    assert "UPDATE" not in pair.wire.log()
    answering(pair.bob)
    callee.accept(ANSWER)
    pair.wire.run(1)
    assert pair.wire.log("ada")[-1] == "UPDATE"
    assert pair.ada.one(OfferAnswered).method == "UPDATE"


def test_an_update_without_an_offer_only_moves_the_target(pair: Pair):
    caller, callee = pair.up()
    dialog = caller.dialog
    assert dialog is not None
    with pair.ada.agent.turn():
        update = dialog.build("UPDATE")
        update.headers.add("Contact", "<sip:ada@10.0.0.9>")
        errand = caller.send(update, dialog, caller)
        errand.contact = None
    pair.wire.run(1)
    assert pair.wire.log("bob")[-1] == "200 UPDATE"
    assert pair.bob.of(OfferReceived) == []
    assert callee.dialog is not None


def test_an_offer_nobody_answers_is_reported_and_the_call_goes_on(pair: Pair):
    """Whether the far end is still there is for the path of the call to say: it may come back."""
    caller, callee = pair.up()
    pair.wire.deaf.add(HostPort("10.0.0.2", 5060))
    caller.reinvite(OFFER)
    pair.wire.run(33)
    assert pair.ada.one(OfferAnswered).status == 408
    assert caller.state is SessionState.CONFIRMED
    pair.wire.deaf.clear()
    answering(pair.bob)
    caller.reinvite(OFFER)
    pair.wire.run(1)
    assert pair.ada.of(OfferAnswered)[-1].status == 200
    assert pair.ada.of(SessionTimedOut) == pair.bob.of(SessionTimedOut) == []
    callee.bye()
    pair.settled()


def test_a_changed_call_that_is_never_confirmed_goes_on(pair: Pair):
    caller, callee = pair.up()
    answering(pair.bob)
    pair.wire.lose = lambda passed: passed.what == "ACK"
    caller.reinvite(OFFER)
    pair.wire.run(40)
    assert callee.state is SessionState.CONFIRMED
    pair.wire.lose = lambda passed: False
    answering(pair.ada)
    callee.reinvite(OFFER)
    pair.wire.run(1)
    assert pair.bob.one(OfferAnswered).status == 200


def test_a_far_end_that_does_not_know_the_call_ends_it(pair: Pair):
    caller, callee = pair.up()
    pair.bob.agent.forget(callee)
    caller.reinvite(OFFER)
    pair.wire.run(1)
    assert len(pair.ada.of(SessionTimedOut)) == 1
    pair.settled()


def test_an_update_of_an_early_dialog_that_is_gone_ends_nothing(pair: Pair):
    """A fork that was cancelled: of an early dialog the INVITE alone tells whether it lives."""
    caller, callee = pair.call()
    callee.provisional(183, body=ANSWER)
    pair.wire.run(0.1)
    callee.key, key = ("elsewhere", ""), callee.key
    pair.bob.agent._sessions.pop(key)  # it knows only the INVITE's transaction any more
    caller.update(OFFER)
    pair.wire.run(1)
    assert "481 UPDATE" in pair.wire.log("bob")
    assert pair.ada.one(OfferAnswered).status == 481
    assert pair.ada.of(SessionTimedOut) == []
    assert caller.state is SessionState.CALLING


@pytest.mark.parametrize("withdrawn", [False, True])
def test_an_answer_that_comes_too_late_is_confirmed_all_the_same(pair: Pair, withdrawn: bool):
    """A far end that hears no ACK of its 200 hangs up (RFC 3261 section 13.3.1.4)."""
    caller, callee = pair.up()
    if withdrawn:
        answering(pair.ada, b"v=0 for bob")
    pair.wire.lose = lambda passed: passed.what == "INVITE" and passed.sender == "ada"
    caller.reinvite(OFFER)
    pair.wire.run(0.1)
    if withdrawn:
        callee.reinvite(b"v=0 from bob")
    pair.wire.run(2 if withdrawn else 33)
    assert pair.ada.one(OfferAnswered).status == (491 if withdrawn else 408)
    late = response_to(pair.wire.messages("INVITE", "ada")[-1], 200)
    late.headers.set("Contact", "<sip:bob@10.0.0.2>")
    late.body = ANSWER
    late.headers.set("Content-Type", "application/sdp")
    before = pair.wire.log("ada").count("ACK")
    for times in (1, 2):
        pair.wire.inject(pair.ada, bytes(late))
        assert pair.wire.log("ada").count("ACK") == before + times
    ack = pair.wire.messages("ACK", "ada")[-1]
    assert ack.cseq.number == late.cseq.number
    assert len(pair.ada.of(OfferAnswered)) == 1
    stranger = parse_again(late)
    stranger.headers.set("CSeq", "4711 INVITE")
    pair.wire.inject(pair.ada, bytes(stranger))
    assert pair.wire.log("ada").count("ACK") == before + 2
    caller.bye()
    pair.settled()


def test_an_offer_that_is_taken_and_never_answered_is_withdrawn(pair: Pair):
    """A proxy or a phone said 100 and was not heard again: what waits behind it would wait for ever."""
    caller, callee = pair.up()
    caller.reinvite(OFFER)
    pair.wire.run(20)
    assert "100 INVITE" in pair.wire.log("bob")
    assert pair.ada.of(OfferAnswered) == []
    pair.wire.run(20)
    assert pair.ada.one(OfferAnswered).status == 408
    assert "CANCEL" in pair.wire.log("ada")
    assert "487 INVITE" in pair.wire.log("bob")
    answering(pair.bob)
    caller.reinvite(OFFER)
    pair.wire.run(1)
    assert pair.ada.of(OfferAnswered)[-1].status == 200
    callee.bye()
    pair.settled()


def test_an_offer_is_written_when_its_turn_has_come(pair: Pair):
    """After the answer to the one before was read; a writer that has nothing left to say sends nothing."""
    caller, callee = pair.up()
    answered: list[int] = []
    written: list[int] = []

    def write() -> bytes:
        written.append(len(answered))
        return b"v=0 newest" if len(written) == 1 else b""

    def react(event: Any) -> None:
        if isinstance(event, OfferAnswered):
            answered.append(event.status)

    pair.ada.react = react
    caller.reinvite(OFFER)
    pair.wire.run(0.1)
    caller.reinvite(write)
    pair.wire.run(0.1)
    assert written == []
    callee.answer_offer(ANSWER)
    pair.wire.run(0.1)
    assert written == [1]
    assert pair.bob.of(OfferReceived)[-1].body == b"v=0 newest"
    callee.answer_offer(ANSWER)
    pair.wire.run(0.1)
    caller.reinvite(write)
    pair.wire.run(0.1)
    assert len(written) == 2
    assert len(pair.bob.of(OfferReceived)) == 2


@pytest.mark.parametrize("proceeding", [False, True])
def test_an_offer_that_does_not_arrive_gives_way_to_theirs_when_it_comes_again(pair: Pair, proceeding: bool):
    """A proxy still holds ours, or nobody has it; theirs is refused once, as glare wants it."""
    caller, callee = pair.up()
    answering(pair.ada, b"v=0 for bob")
    pair.wire.lose = lambda passed: passed.what == "INVITE" and passed.sender == "ada"
    caller.reinvite(OFFER)
    pair.wire.run(1)
    if proceeding:
        trying = response_to(pair.wire.messages("INVITE", "ada")[-1], 100)
        pair.wire.inject(pair.ada, bytes(trying))
    callee.reinvite(b"v=0 from bob")
    pair.wire.run(2)
    assert pair.bob.one(OfferAnswered).body == b"v=0 for bob"
    assert pair.ada.one(OfferAnswered).status == 491
    assert pair.wire.log("ada").count("491 INVITE") == 1
    assert ("CANCEL" in pair.wire.log("ada")) == proceeding
    sent = pair.wire.log("ada").count("INVITE")
    pair.wire.lose = lambda passed: False
    pair.wire.run(40)
    assert pair.wire.log("ada").count("INVITE") == sent
    caller.bye()
    pair.settled()


def test_a_hurried_offer_does_not_wait_for_its_interval(pair: Pair):
    caller, _ = pair.up()
    answering(pair.bob)
    pair.wire.deaf.add(HostPort("10.0.0.2", 5060))
    caller.reinvite(OFFER)
    pair.wire.run(10)
    pair.wire.deaf.clear()
    pair.ada.agent.hurry()
    pair.wire.run(0.1)
    assert pair.ada.one(OfferAnswered).status == 200


def test_an_answer_that_was_not_confirmed_is_hurried_too(pair: Pair):
    caller, _ = pair.up()
    answering(pair.bob)
    pair.wire.lose = lambda passed: passed.what == "200 INVITE"
    caller.reinvite(OFFER)
    pair.wire.run(10)
    pair.wire.lose = lambda passed: False
    pair.bob.agent.hurry()
    pair.wire.run(0.1)
    assert pair.ada.one(OfferAnswered).status == 200


def test_whoever_is_heard_again_is_asked_again_at_once(pair: Pair):
    caller, callee = pair.up()
    answering(pair.bob)
    pair.wire.deaf.add(HostPort("10.0.0.2", 5060))
    caller.reinvite(OFFER)
    pair.wire.run(8.5)  # the next regular time is at 15.5 s
    pair.wire.deaf.clear()
    callee.info(b"hello", content_type="text/plain")
    pair.wire.run(0.1)
    assert pair.ada.one(OfferAnswered).status == 200


def test_hanging_up_during_a_reinvite(pair: Pair):
    caller, _ = pair.up()
    caller.reinvite(OFFER)
    pair.wire.run(0.1)
    caller.bye()
    pair.wire.run(1)
    assert "487 INVITE" in pair.wire.log("bob")
    pair.settled()


def test_an_offer_asked_for_while_an_answer_is_under_way_to_its_owner_waits_for_that(pair: Pair):
    """It would be written from what held before, and taken for the one that was answered."""
    caller, _ = pair.up()
    answering(pair.bob)
    caller.reinvite(OFFER)
    pair.wire.lose = lambda passed: passed.what == "200 INVITE"
    pair.wire.run(0.1)
    answer = bytes(pair.wire.messages("200 INVITE")[-1])
    pair.wire.lose = lambda passed: False
    pair.ada.agent.receive(answer, Hop("udp", pair.bob.address, pair.ada.address), pair.wire.now)
    order: list[str] = []

    def write() -> bytes:
        order.append("written")
        return OFFER

    pair.ada.react = lambda event: order.append("read") if isinstance(event, OfferAnswered) else None
    caller.reinvite(write)
    pair.wire.run(1)
    assert order == ["read", "written", "read"]
