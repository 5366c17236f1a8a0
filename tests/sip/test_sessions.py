"""INVITE sessions over a virtual wire: answered, refused, given up, hung up, timed out."""

from __future__ import annotations

import pytest

from app.settings import HostPort
from app.sip.errors import SipError
from app.sip.events import (
    AckReceived,
    Answered,
    Bye,
    Cancelled,
    IncomingInvite,
    InfoReceived,
    Provisional,
    ProvisionalConfirmed,
    Refused,
    SessionClosed,
    SessionTimedOut,
    TransportFailed,
)
from app.sip.reasons import Reason
from app.sip.sessions import SessionError, SessionState
from tests.sip.pair import ANSWER, OFFER, Pair, lost_once, parse_again


@pytest.fixture
def pair() -> Pair:
    return Pair()


# A call ----------------------------------------


def test_a_call_with_a_reliable_183_from_end_to_end(pair: Pair):
    caller, callee = pair.call()
    callee.provisional(183, body=ANSWER)
    pair.wire.run(0.1)
    callee.provisional(180)
    pair.wire.run(1)
    callee.accept(ANSWER)
    pair.wire.run(1)
    caller.bye([Reason("SIP", 200, "done")])
    pair.wire.run(1)
    assert pair.wire.log() == [
        *("INVITE", "183 INVITE", "PRACK", "200 PRACK", "180 INVITE", "200 INVITE", "ACK", "BYE", "200 BYE"),
    ]
    assert pair.ada.kinds() == ["Provisional", "Provisional", "Answered", "SessionClosed"]
    assert pair.bob.kinds() == ["IncomingInvite", "ProvisionalConfirmed", "AckReceived", "Bye", "SessionClosed"]
    early = pair.ada.of(Provisional)[0]
    assert (early.status, early.body, early.reliable) == (183, ANSWER, True)
    assert early.dialog_tag == pair.ada.one(Answered).dialog_tag == callee.local.tag
    assert pair.bob.one(ProvisionalConfirmed).by == "prack"
    assert pair.bob.one(Bye).reasons == (Reason("SIP", 200, "done"),)
    pair.settled()


def test_what_each_side_knows_of_the_other(pair: Pair):
    caller = pair.ada.agent.invite("sip:bob@10.0.0.2", body=OFFER, display_name="Bob", headers=[("Subject", "tea")])
    pair.wire.run(0.1)
    incoming = pair.bob.one(IncomingInvite)
    callee = incoming.session
    assert (incoming.body, incoming.content_type) == (OFFER, "application/sdp")
    assert incoming.request.headers.get("Subject") == "tea"
    assert str(callee.remote.uri) == "sip:ada@10.0.0.1"
    assert callee.peer_supports("100rel")
    assert callee.peer_supports("ICE")
    assert not callee.peer_supports("timer")
    assert callee.peer_agent == "Parley"
    assert caller.remote.display_name == "Bob"
    assert (caller.transport, callee.transport) == ("udp", "udp")
    assert caller.call_id == callee.call_id
    callee.accept(ANSWER)
    pair.wire.run(0.1)
    assert caller.peer_supports("ice")
    assert caller.dialog_tag == callee.local.tag


def test_a_lost_message_of_any_kind_is_made_good(pair: Pair):
    pair.wire.lose = lost_once(
        "INVITE", "183 INVITE", "PRACK", "200 PRACK", "200 INVITE", "ACK", "BYE", "200 BYE", "180 INVITE"
    )
    caller, callee = pair.call(1)
    callee.provisional(183, body=ANSWER)
    pair.wire.run(5)
    callee.accept(ANSWER)
    pair.wire.run(5)
    assert caller.state is callee.state is SessionState.CONFIRMED
    callee.bye()
    pair.wire.run(5)
    assert pair.ada.kinds() == ["Provisional", "Answered", "Bye", "SessionClosed"]
    assert pair.bob.kinds() == ["IncomingInvite", "ProvisionalConfirmed", "AckReceived", "SessionClosed"]
    pair.settled()


@pytest.mark.parametrize("status", [486, 603, 404, 302])
def test_a_refusal_reaches_the_caller_with_its_reasons(pair: Pair, status: int):
    _, callee = pair.call()
    callee.reject(status, reasons=[Reason("SIP", 480, "the checks failed")])
    assert callee.state is SessionState.ENDING
    pair.wire.run(1)
    refused = pair.ada.one(Refused)
    assert refused.status == status
    assert refused.reasons == (Reason("SIP", 480, "the checks failed"),)
    assert pair.ada.kinds() == ["Refused", "SessionClosed"]
    assert pair.bob.kinds() == ["IncomingInvite", "SessionClosed"]
    pair.settled()


def test_a_refusal_nobody_acknowledges_closes_in_the_end(pair: Pair):
    _, callee = pair.call()
    pair.wire.lose = lambda passed: passed.what == "ACK"
    callee.reject(486)
    pair.wire.run(31)
    assert pair.bob.of(SessionClosed) == []
    pair.wire.run(2)
    assert len(pair.bob.of(SessionClosed)) == 1


def test_nobody_there(pair: Pair):
    pair.wire.deaf.add(HostPort("10.0.0.2", 5060))
    pair.ada.agent.invite("sip:bob@10.0.0.2", body=OFFER)
    pair.wire.run(31)
    assert pair.ada.events == []
    pair.wire.run(2)
    assert pair.ada.kinds() == ["SessionTimedOut", "SessionClosed"]
    assert "10.0.0.2:5060" in pair.ada.one(SessionTimedOut).sentence
    pair.settled()


def test_a_name_without_an_address(pair: Pair):
    pair.ada.agent.invite("sip:bob@nowhere.example", body=OFFER)
    pair.wire.run(0.1)
    assert pair.ada.kinds() == ["TransportFailed", "SessionClosed"]
    assert pair.ada.one(TransportFailed).sentence == "nowhere.example has no address"


def test_what_cannot_be_called_is_said_at_once(pair: Pair):
    for target in ("", "bob", "mailto:bob@example.org", "tel:+4930123", "sip:"):
        with pytest.raises(SipError):
            pair.ada.agent.invite(target, body=OFFER)
    assert pair.ada.agent.sessions == ()


# Giving up ----------------------------------------


def test_cancel_while_ringing(pair: Pair):
    caller, callee = pair.call()
    callee.provisional(180)
    pair.wire.run(1)
    caller.cancel([Reason("SIP", 200, "Call completed elsewhere")])
    assert caller.state is SessionState.CANCELLING
    pair.wire.run(1)
    assert pair.wire.log()[-4:] == ["CANCEL", "200 CANCEL", "487 INVITE", "ACK"]
    assert pair.bob.one(Cancelled).reasons == (Reason("SIP", 200, "Call completed elsewhere"),)
    assert pair.ada.one(Refused).status == 487
    assert pair.ada.kinds()[-1] == pair.bob.kinds()[-1] == "SessionClosed"
    pair.settled()


def test_no_cancel_goes_out_before_the_callee_has_said_anything(pair: Pair):
    pair.wire.lose = lambda passed: passed.sender == "bob" and pair.wire.now < 1002
    caller, _ = pair.call()
    caller.cancel()
    pair.wire.run(1)
    assert "CANCEL" not in pair.wire.log()
    pair.wire.run(10)
    assert pair.ada.one(Refused).status == 487
    assert len(pair.bob.of(Cancelled)) == 1
    pair.settled()


def test_cancel_toward_nobody_ends_with_the_invite(pair: Pair):
    pair.wire.deaf.add(HostPort("10.0.0.2", 5060))
    caller = pair.ada.agent.invite("sip:bob@10.0.0.2", body=OFFER)
    pair.wire.run(1)
    caller.cancel()
    pair.wire.run(40)
    assert pair.ada.kinds() == ["Refused", "SessionClosed"]
    pair.settled()


def test_cancel_at_once_sends_nothing(pair: Pair):
    caller = pair.ada.agent.invite("sip:bob@10.0.0.2", body=OFFER)
    caller.cancel()
    pair.wire.run(1)
    assert pair.wire.log() == []
    assert pair.ada.one(Refused).status == 487


def test_an_answer_that_crosses_the_cancel_is_acknowledged_and_hung_up(pair: Pair):
    caller, callee = pair.call()
    callee.provisional(180)
    pair.wire.run(1)
    callee.accept(ANSWER)
    caller.cancel()
    pair.wire.run(1)
    assert pair.ada.of(Answered) == []
    assert pair.ada.one(Refused).status == 487
    assert pair.bob.of(Cancelled) == []
    assert len(pair.bob.of(Bye)) == 1
    assert "200 CANCEL" in pair.wire.log("bob")
    pair.settled()


def test_a_cancel_whose_invite_never_ends_is_given_up(pair: Pair):
    caller, callee = pair.call()
    callee.provisional(180)
    pair.wire.run(1)
    pair.wire.lose = lambda passed: passed.what == "487 INVITE"
    caller.cancel()
    pair.wire.run(40)
    assert pair.ada.kinds()[-2:] == ["Refused", "SessionClosed"]
    pair.settled()


def test_a_cancel_for_nothing_is_answered_with_481(pair: Pair):
    pair.call()
    cancel = parse_again(pair.wire.messages("INVITE")[0])
    cancel.method = "CANCEL"
    cancel.headers.set("CSeq", "1 CANCEL")
    cancel.headers.set("Via", "SIP/2.0/UDP 10.0.0.1;branch=z9hG4bKunknown")
    pair.wire.inject(pair.bob, bytes(cancel))
    assert pair.wire.log("bob")[-1] == "481 CANCEL"
    assert pair.bob.of(Cancelled) == []


# Answering and hanging up ----------------------------------------


def test_a_2xx_is_repeated_up_to_t2_until_its_ack(pair: Pair):
    caller, callee = pair.call()
    pair.wire.lose = lambda passed: passed.what == "ACK"
    start = pair.wire.now
    callee.accept(ANSWER)
    pair.wire.run(12)
    assert [round(at - start, 3) for at in pair.wire.times("200 INVITE")] == [0, 0.5, 1.5, 3.5, 7.5, 11.5]
    assert len(pair.ada.of(Answered)) == 1
    assert len(pair.wire.times("ACK")) == 6
    assert len({bytes(ack) for ack in pair.wire.messages("ACK")}) == 1
    pair.wire.lose = lambda passed: False
    pair.wire.run(5)
    assert callee.state is SessionState.CONFIRMED
    assert caller.state is SessionState.CONFIRMED


def test_a_2xx_nobody_acknowledges_ends_in_a_bye(pair: Pair):
    _, callee = pair.call()
    pair.wire.lose = lambda passed: passed.what == "ACK"
    callee.accept(ANSWER)
    pair.wire.run(33)
    assert len(pair.bob.of(SessionTimedOut)) == 1
    assert pair.wire.log("bob")[-1] == "BYE"
    assert len(pair.ada.of(Bye)) == 1
    pair.settled()


def test_hanging_up_before_the_ack_waits_for_it(pair: Pair):
    _, callee = pair.call()
    pair.wire.lose = lost_once("ACK")
    callee.accept(ANSWER)
    callee.bye()
    pair.wire.run(0.3)
    assert "BYE" not in pair.wire.log()
    pair.wire.run(1)
    assert pair.wire.log("bob")[-1] == "BYE"
    assert pair.bob.of(AckReceived) == []
    pair.settled()


def test_hanging_up_before_answering_is_a_refusal(pair: Pair):
    _, callee = pair.call()
    callee.bye()
    pair.wire.run(1)
    assert pair.ada.one(Refused).status == 480
    pair.settled()


def test_both_hang_up_at_once(pair: Pair):
    caller, callee = pair.up()
    caller.bye()
    callee.bye()
    pair.wire.run(1)
    assert pair.wire.log()[-4:] == ["BYE", "BYE", "200 BYE", "200 BYE"]
    assert pair.ada.of(Bye) == pair.bob.of(Bye) == []
    pair.settled()


def test_a_bye_to_nobody_ends_all_the_same(pair: Pair):
    caller, _ = pair.up()
    pair.wire.deaf.add(HostPort("10.0.0.2", 5060))
    caller.bye()
    pair.wire.run(33)
    assert pair.ada.kinds()[-1] == "SessionClosed"


def test_ending_twice_is_harmless_and_other_orders_are_refused(pair: Pair):
    caller, callee = pair.up()
    with pytest.raises(SessionError):
        callee.accept(ANSWER)
    with pytest.raises(SessionError):
        callee.provisional(180)
    with pytest.raises(SessionError):
        caller.answer_offer(ANSWER)
    for _ in range(2):
        caller.bye()
        caller.cancel()
        pair.wire.run(1)
    with pytest.raises(SessionError):
        caller.reinvite(OFFER)
    with pytest.raises(SessionError):
        caller.info(b"", content_type="text/plain")
    assert pair.ada.kinds().count("SessionClosed") == 1


def test_a_bye_in_an_early_dialog_ends_the_invite_with_487(pair: Pair):
    caller, callee = pair.call()
    callee.provisional(183, body=ANSWER)
    pair.wire.run(1)
    dialog = caller.any_dialog()
    assert dialog is not None
    with pair.ada.agent.turn():
        caller.send(dialog.build("BYE"), dialog, caller)
    pair.wire.run(1)
    assert pair.wire.log("bob")[-2:] == ["200 BYE", "487 INVITE"]
    assert pair.bob.kinds()[-2:] == ["Bye", "SessionClosed"]
    pair.settled()


def test_requests_outside_any_call_get_481_and_old_ones_500(pair: Pair):
    caller, _ = pair.up()
    dialog = caller.dialog
    assert dialog is not None
    with pair.ada.agent.turn():
        old = dialog.build("INFO", cseq=1)
        caller.send(old, dialog, caller)
    pair.wire.run(1)
    assert pair.wire.log("bob")[-1] == "500 INFO"
    caller.bye()
    pair.wire.run(1)
    with pair.ada.agent.turn():
        caller.send(dialog.build("INFO"), dialog, caller)
        caller.send(dialog.build("BYE"), dialog, caller)
    pair.wire.run(1)
    assert pair.wire.log("bob")[-2:] == ["481 INFO", "481 BYE"]


def test_info_reaches_the_other_side(pair: Pair):
    caller, _ = pair.up()
    caller.info(b"<xml/>", content_type="application/media_control+xml")
    pair.wire.run(1)
    info = pair.bob.one(InfoReceived)
    assert (info.content_type, info.body) == ("application/media_control+xml", b"<xml/>")
    assert pair.wire.log("bob")[-1] == "200 INFO"


# UDP, TCP ----------------------------------------


def test_a_large_invite_goes_over_tcp(pair: Pair):
    caller = pair.ada.agent.invite("sip:bob@10.0.0.2", body=b"x" * 1300)
    pair.wire.run(0.1)
    assert pair.wire.passed[0].transport == "tcp"
    assert caller.transport == "tcp"
    assert pair.wire.messages("INVITE")[0].top_via.transport == "TCP"
    assert str(pair.wire.messages("INVITE")[0].contacts[0].uri) == "sip:ada@10.0.0.1"


def test_where_tcp_is_refused_udp_must_do_and_is_remembered(pair: Pair):
    pair.wire.no_tcp.add(HostPort("10.0.0.2", 5060))
    pair.ada.agent.invite("sip:bob@10.0.0.2", body=b"x" * 1300)
    pair.wire.run(0.1)
    pair.ada.agent.invite("sip:bob@10.0.0.2", body=b"x" * 1300)
    pair.wire.run(0.1)
    assert [item.transport for item in pair.wire.passed if item.what == "INVITE"] == ["tcp", "udp", "udp"]
    assert len(pair.bob.of(IncomingInvite)) == 2
    assert pair.ada.events == []


def test_ack_and_bye_follow_the_contact_and_the_route(pair: Pair):
    caller, callee = pair.up()
    assert str(pair.wire.messages("ACK")[0].uri) == "sip:bob@10.0.0.2"
    callee.bye()
    pair.wire.run(1)
    assert str(pair.wire.messages("BYE")[0].uri) == "sip:ada@10.0.0.1"
    assert caller.state is SessionState.ENDED
