"""Dialogs: RFC 3261 section 12."""

from __future__ import annotations

from app.sip.dialogs import Dialog
from app.sip.message import Request, Response, parse_message, response_to


def invite(record_routes: str = "", contact: str = "<sip:ada@10.0.0.1:5070>") -> Request:
    message = parse_message(
        (
            "INVITE sip:bob@example.org SIP/2.0\r\n"
            "Via: SIP/2.0/UDP 10.0.0.1:5060;branch=z9hG4bKabc\r\n"
            f"{record_routes}"
            "Max-Forwards: 70\r\n"
            'From: "Ada" <sip:ada@example.org>;tag=a\r\n'
            "To: <sip:bob@example.org>\r\n"
            "Call-ID: call-1\r\n"
            "CSeq: 7 INVITE\r\n"
            f"Contact: {contact}\r\n"
            "Content-Length: 0\r\n\r\n"
        ).encode()
    )
    assert isinstance(message, Request)
    return message


def answer(request: Request, *record_routes: str, contact: str = "<sip:bob@10.0.0.2>", tag: str = "b") -> Response:
    response = response_to(request, 200, to_tag=tag)
    response.headers.remove("Record-Route")
    for route in record_routes:
        response.headers.add("Record-Route", route)
    response.headers.add("Contact", contact)
    return response


def test_the_caller_reverses_the_route_and_sends_to_the_first_proxy():
    request = invite()
    dialog = Dialog.as_caller(request, answer(request, "<sip:p2;lr>", "<sip:p1;lr>"))
    bye = dialog.build("BYE")
    assert str(bye.uri) == "sip:bob@10.0.0.2"
    assert [str(route) for route in bye.routes] == ["<sip:p1;lr>", "<sip:p2;lr>"]
    assert str(dialog.next_hop) == "sip:p1;lr"
    assert (bye.from_.tag, bye.to.tag, bye.call_id, str(bye.cseq)) == ("a", "b", "call-1", "8 BYE")


def test_the_callee_keeps_the_order_of_the_route():
    request = invite("Record-Route: <sip:p2;lr>, <sip:p1;lr>\r\n")
    dialog = Dialog.as_callee(request, "b")
    bye = dialog.build("BYE")
    assert str(bye.uri) == "sip:ada@10.0.0.1:5070"
    assert [str(route) for route in bye.routes] == ["<sip:p2;lr>", "<sip:p1;lr>"]
    assert (bye.from_.tag, bye.to.tag, bye.to.display_name, str(bye.cseq)) == ("b", "a", "Ada", "1 BYE")


def test_a_strict_router_gets_itself_in_the_request_uri():
    request = invite()
    dialog = Dialog.as_caller(request, answer(request, "<sip:p2;lr>", "<sip:strict>"))
    bye = dialog.build("BYE")
    assert str(bye.uri) == "sip:strict"
    assert [str(route) for route in bye.routes] == ["<sip:p2;lr>", "<sip:bob@10.0.0.2>"]
    assert str(dialog.next_hop) == "sip:strict"


def test_an_ack_repeats_the_number_of_its_invite():
    request = invite()
    dialog = Dialog.as_caller(request, answer(request))
    dialog.build("PRACK")
    assert str(dialog.build("ACK", cseq=7).cseq) == "7 ACK"
    assert str(dialog.build("BYE").cseq) == "9 BYE"


def test_requests_out_of_order_are_noticed():
    dialog = Dialog.as_callee(invite(), "b")
    assert not dialog.take_cseq(7)
    assert dialog.take_cseq(8)
    assert not dialog.take_cseq(8)
    assert dialog.take_cseq(20)
    assert not dialog.take_cseq(19)


def test_the_answer_may_move_the_target_and_the_route_of_an_early_dialog():
    request = invite()
    dialog = Dialog.as_caller(request, answer(request, "<sip:p1;lr>"))
    dialog.confirm(answer(request, "<sip:p9;lr>", contact="<sip:bob@10.0.0.3>"))
    assert str(dialog.next_hop) == "sip:p9;lr"
    assert str(dialog.remote_target) == "sip:bob@10.0.0.3"


def test_a_message_without_a_contact_leaves_the_target_as_it_was():
    request = invite()
    response = answer(request)
    dialog = Dialog.as_caller(request, response)
    response.headers.remove("Contact")
    dialog.refresh_target(response)
    assert str(dialog.remote_target) == "sip:bob@10.0.0.2"
