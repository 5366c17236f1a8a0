"""INFO with a package (RFC 6086), in early dialogs too, as trickle ICE needs it (RFC 8840 section 10)."""

from __future__ import annotations

import pytest

from app.sip.events import IncomingInvite, InfoAnswered, InfoReceived, Provisional
from app.sip.info_packages import takes
from app.sip.message import parse_message
from app.sip.sessions import SessionError
from tests.sip.pair import ANSWER, OFFER, Pair, answering, lost_once

TRICKLE = "trickle-ice"
FRAGMENT = b"a=ice-ufrag:8hhY\r\n"
WITHOUT = {"supported": ("100rel", "ice")}


@pytest.fixture
def pair() -> Pair:
    return Pair()


def test_both_sides_of_an_early_dialog_may_send_it(pair: Pair) -> None:
    caller, callee = pair.call()
    callee.provisional(183, body=ANSWER)
    pair.wire.run(0.1)
    tag = pair.ada.one(Provisional).dialog_tag
    caller.package_info(TRICKLE, FRAGMENT, dialog_tag=tag)
    callee.package_info(TRICKLE, FRAGMENT + b"x")
    pair.wire.run(0.1)
    there, here = pair.bob.one(InfoReceived), pair.ada.one(InfoReceived)
    assert (there.package, there.content_type, there.body) == (TRICKLE, "application/trickle-ice-sdpfrag", FRAGMENT)
    assert (here.body, here.dialog_tag) == (FRAGMENT + b"x", tag)
    assert (pair.ada.one(InfoAnswered).status, pair.ada.one(InfoAnswered).dialog_tag) == (200, tag)
    info = next(passed.message for passed in pair.wire.passed if passed.what == "INFO")
    assert info.headers.get("Info-Package") == TRICKLE
    assert info.headers.get("Content-Disposition") == "Info-Package"
    callee.accept(ANSWER)
    pair.wire.run(0.1)
    caller.bye()
    pair.settled()


def test_a_lost_one_is_repeated_and_told_once(pair: Pair) -> None:
    caller, callee = pair.call()
    callee.provisional(183, body=ANSWER)
    pair.wire.run(0.1)
    pair.wire.lose = lost_once("200 INFO")
    caller.package_info(TRICKLE, FRAGMENT)
    pair.wire.run(2)
    assert pair.bob.one(InfoReceived).body == FRAGMENT
    assert pair.ada.one(InfoAnswered).status == 200


def test_an_info_overtakes_no_prack(pair: Pair) -> None:
    """Its number is higher: the PRACK would be refused as out of order when it is repeated."""
    caller = pair.ada.agent.invite("sip:bob@10.0.0.2", body=OFFER)
    pair.wire.lose = lost_once("PRACK")
    pair.wire.run(0.02)
    callee = pair.bob.of(IncomingInvite)[-1].session
    callee.provisional(183, body=ANSWER)
    pair.wire.run(0.05)
    for body in (b"first", b"second", FRAGMENT):
        caller.package_info(TRICKLE, body)
    callee.accept(ANSWER)
    pair.wire.run(3)
    assert pair.bob.one(InfoReceived).body == FRAGMENT
    assert pair.wire.log("ada").index("INFO") > [i for i, what in enumerate(pair.wire.log("ada")) if what == "PRACK"][1]
    assert not [what for what in pair.wire.log("bob") if what.startswith("500")]
    caller.bye()
    pair.settled()


def test_an_info_waits_for_an_offer_under_way(pair: Pair) -> None:
    caller, _ = pair.up()
    answering(pair.bob)
    pair.wire.lose = lost_once("INVITE")
    caller.reinvite(OFFER)
    caller.package_info(TRICKLE, FRAGMENT)
    pair.wire.run(3)
    assert pair.bob.one(InfoReceived).body == FRAGMENT
    assert not [what for what in pair.wire.log("bob") if what.startswith("500")]


def test_before_there_is_a_dialog_there_is_none(pair: Pair) -> None:
    caller, _ = pair.call()
    with pytest.raises(SessionError):
        caller.package_info(TRICKLE, FRAGMENT)
    with pytest.raises(SessionError):
        caller.package_info(TRICKLE, FRAGMENT, dialog_tag="nobody")


def test_who_takes_it_says_so_and_who_does_not_refuses_it() -> None:
    pair = Pair(bob=WITHOUT)
    caller, callee = pair.call()
    callee.provisional(183, body=ANSWER)
    pair.wire.run(0.1)
    assert takes(callee.request, TRICKLE)
    assert not takes(pair.ada.one(Provisional).response, TRICKLE)
    caller.package_info(TRICKLE, FRAGMENT)
    pair.wire.run(0.1)
    assert pair.ada.one(InfoAnswered).status == 469
    assert InfoReceived.__name__ not in pair.bob.kinds()
    refusal = next(passed.message for passed in pair.wire.passed if passed.what == "469 INFO")
    assert refusal.headers.get("Recv-Info") == ""


def test_an_unknown_package_and_a_wrong_body_are_refused_with_what_would_do(pair: Pair) -> None:
    caller, _ = pair.up()
    dialog = caller.dialog
    assert dialog is not None
    for package, kind in (("weather", "text/plain"), (TRICKLE, "text/plain")):
        with pair.ada.agent.turn():
            request = dialog.build("INFO")
            request.headers.add("Info-Package", package)
            request.headers.add("Content-Type", kind)
            request.body = b"rain"
            caller.infos.begin(request, dialog)
        pair.wire.run(0.1)
    assert [answer.status for answer in pair.ada.of(InfoAnswered)] == [469, 415]
    refusals = [passed.message for passed in pair.wire.passed if passed.what in ("469 INFO", "415 INFO")]
    assert refusals[0].headers.get("Recv-Info") == TRICKLE
    assert refusals[1].headers.get("Accept") == "application/trickle-ice-sdpfrag"


def test_an_info_to_nobody_is_told_as_unanswered(pair: Pair) -> None:
    caller, callee = pair.call()
    callee.provisional(183, body=ANSWER)
    pair.wire.run(0.1)
    pair.wire.lose = lambda passed: passed.what == "INFO"
    caller.package_info(TRICKLE, FRAGMENT)
    pair.wire.run(40)
    assert pair.ada.one(InfoAnswered).status == 408


def test_options_and_the_invite_name_the_package(pair: Pair) -> None:
    pair.ada.agent.invite("sip:bob@10.0.0.2", body=OFFER)
    pair.wire.run(0.1)
    invite = next(passed.message for passed in pair.wire.passed if passed.what == "INVITE")
    again = parse_message(bytes(invite))
    assert takes(again, TRICKLE)
    assert TRICKLE in again.supported
