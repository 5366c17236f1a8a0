"""The stateful proxy by RFC 3261 section 16, on a virtual clock, between phones that do as they are told."""

from __future__ import annotations

import pytest

from app.home.sip_core import SipLimits
from app.sip.message import Request, Response
from tests.home.sip_driver import REALM, SERVER, Phone, World


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def ada(world: World) -> Phone:
    return Phone(world, "ada", "203.0.113.5")


@pytest.fixture
def bob(world: World) -> Phone:
    bob = Phone(world, "bob", "203.0.113.6")
    bob.register()
    return bob


@pytest.fixture
def eve(world: World) -> Phone:
    """Somebody from outside, unknown to this server."""
    return Phone(world, "eve", "192.0.2.66")


def call(caller: Phone, name: str = "bob", *headers: tuple[str, str]) -> Request:
    """Send an INVITE from outside to a local user."""
    invite = caller.request("INVITE", f"sip:{name}@{REALM}", headers)
    caller.say(invite)
    return invite


def register_two(world: World, q1: float = 1.0, q2: float = 1.0) -> tuple[Phone, Phone]:
    """Register two phones for bob."""
    first, second = Phone(world, "bob", "203.0.113.61"), Phone(world, "bob", "203.0.113.62")
    first.register(600, [f"<sip:bob@203.0.113.61:5060>;q={q1}"], call_id="1")
    second.register(600, [f"<sip:bob@203.0.113.62:5060>;q={q2}"], call_id="2")
    return first, second


# One target ----------------------------------------------------------------------------------------------


def test_call_from_outside_and_back(world: World, eve: Phone, bob: Phone) -> None:
    call(eve)
    invite = bob.heard("INVITE")
    assert str(invite.uri) == "sip:bob@203.0.113.6:5060"
    assert invite.max_forwards == 69
    assert len(invite.vias) == 2
    assert invite.vias[1].received == "192.0.2.66"
    assert len(invite.record_routes) == 2

    bob.respond(invite, 180)
    bob.respond(invite, 200)
    assert eve.inbox[-1].top_via.branch == invite.vias[1].branch
    ok = eve.inbox[-1]
    assert isinstance(ok, Response)
    assert eve.statuses() == [180, 200]

    eve.say(eve.in_dialog("ACK", ok))
    ack = bob.heard("ACK")
    assert ack.routes == ()
    assert str(ack.uri) == "sip:bob@203.0.113.6:5060"

    bye = eve.in_dialog("BYE", ok)
    eve.say(bye)
    bob.respond(bob.heard("BYE"), 200)
    assert eve.statuses() == [200]


def test_callee_hangs_up_through_the_server(eve: Phone, bob: Phone) -> None:
    call(eve)
    invite = bob.heard("INVITE")
    bob.respond(invite, 200)
    eve.inbox.clear()
    bob.say(bob.in_dialog("BYE", invite))
    bye = eve.heard("BYE")
    assert str(bye.uri) == "sip:eve@192.0.2.66:5060"
    eve.respond(bye, 200)
    assert bob.statuses() == [200]


@pytest.mark.parametrize("method", ["PRACK", "UPDATE", "INFO", "INVITE"])
def test_requests_inside_the_dialog_pass_both_ways(eve: Phone, bob: Phone, method: str) -> None:
    call(eve)
    invite = bob.heard("INVITE")
    bob.respond(invite, 183, [("Require", "100rel"), ("RSeq", "7")])
    early = eve.inbox[-1]
    assert isinstance(early, Response)
    assert early.rseq == 7
    eve.say(eve.in_dialog(method, early, [("RAck", "7 1 INVITE")]))
    inside = bob.heard(method)
    assert inside.headers.get("RAck") == "7 1 INVITE"
    assert inside.record_routes == ()
    bob.respond(inside, 200)
    assert eve.statuses()[-1] == 200
    bob.say(bob.in_dialog("UPDATE", invite))
    eve.respond(eve.heard("UPDATE"), 200)
    assert bob.statuses() == [200]


def test_trying_is_said_at_once_enough(world: World, eve: Phone, bob: Phone) -> None:
    call(eve)
    world.advance(0.3)
    assert [each.status for each in eve.inbox if isinstance(each, Response)] == [100]


def test_unknown_user_is_404_and_absent_user_480(eve: Phone) -> None:
    assert eve.ask(eve.request("INVITE", f"sip:nobody@{REALM}")).status == 404
    assert eve.ask(eve.request("INVITE", f"sip:ada@{REALM}")).status == 480


def test_dead_contact_is_408(world: World, eve: Phone, bob: Phone) -> None:
    bob.alive = False
    call(eve)
    world.advance(33)
    assert eve.answer().status == 408
    eve.world.advance(40)
    assert world.core.transactions == 0


def test_refused_call_reaches_the_caller_once(world: World, eve: Phone, bob: Phone) -> None:
    invite = call(eve)
    bob.respond(bob.heard("INVITE"), 486)
    answer = eve.answer()
    assert answer.status == 486
    assert bob.heard("ACK").to.tag == "bob-tag"
    ack = eve.request("ACK", str(invite.uri), call_id=invite.call_id, cseq=invite.cseq.number)
    ack.headers.set("Via", str(invite.top_via))
    ack.headers.set("To", str(answer.to))
    eve.say(ack)
    world.advance(40)
    assert bob.inbox == eve.inbox == []
    assert world.core.transactions == 0


def test_retransmitted_invite_rings_once(world: World, eve: Phone, bob: Phone) -> None:
    invite = call(eve)
    bob.respond(bob.heard("INVITE"), 180)
    eve.say(invite)
    eve.say(invite)
    assert bob.requests("INVITE") == []
    assert eve.statuses() == [180, 180, 180]


def test_options_for_the_server_and_for_a_user(eve: Phone, bob: Phone) -> None:
    assert eve.ask(eve.request("OPTIONS", f"sip:{SERVER}")).status == 200
    eve.say(eve.request("OPTIONS", f"sip:bob@{REALM}"))
    bob.respond(bob.heard("OPTIONS"), 200)
    assert eve.answer().status == 200
    assert eve.ask(eve.request("MESSAGE", f"sip:{SERVER}")).status == 405


# Who may -------------------------------------------------------------------------------------------------


def test_who_claims_to_be_a_user_proves_it(ada: Phone, bob: Phone) -> None:
    invite = ada.request("INVITE", f"sip:bob@{REALM}", sender=f"sip:ada@{REALM}")
    challenge = ada.ask(invite)
    assert challenge.status == 407
    assert bob.inbox == []
    ada.say(ada.signed(invite, challenge))
    arrived = bob.heard("INVITE")
    assert "Proxy-Authorization" not in arrived.headers


def test_user_cannot_call_in_anothers_name(ada: Phone, bob: Phone) -> None:
    invite = ada.request("INVITE", f"sip:bob@{REALM}", sender=f"sip:carl@{REALM}")
    assert ada.ask(ada.signed(invite, ada.ask(invite))).status == 403
    assert bob.inbox == []


def test_nobody_calls_in_the_name_of_this_server_who_is_no_user_of_it(eve: Phone, ada: Phone, bob: Phone) -> None:
    invite = eve.request("INVITE", f"sip:bob@{REALM}", sender=f"sip:support@{REALM}")
    assert eve.ask(invite).status == 407
    invite = ada.request("INVITE", f"sip:bob@{REALM}", sender=f"sip:support@{REALM}")
    assert ada.ask(ada.signed(invite, ada.ask(invite))).status == 403
    assert bob.inbox == []


def test_challenges_keep_nothing(world: World, ada: Phone) -> None:
    for _ in range(90):
        invite = ada.request("INVITE", f"sip:bob@{REALM}", sender=f"sip:ada@{REALM}")
        challenge = ada.ask(invite)
        assert challenge.status == 407
        ack = ada.request("ACK", str(invite.uri), call_id=invite.call_id, cseq=invite.cseq.number)
        ack.headers.set("Via", str(invite.top_via))
        ack.headers.set("To", str(challenge.to))
        assert ada.say(ack) == []
        world.advance(0.05)
    assert world.core.transactions == 0
    assert world.core.counters["stray_acks"] == 0


def test_strangers_are_not_carried_elsewhere(world: World, eve: Phone) -> None:
    assert eve.ask(eve.request("INVITE", "sip:victim@192.0.2.1")).status == 407
    assert eve.ask(eve.request("INVITE", f"sip:bob@{REALM}", [("Route", "<sip:192.0.2.1;lr>")])).status == 407
    assert world.lost == []


def test_users_are_carried_to_numeric_addresses(ada: Phone, eve: Phone) -> None:
    for uri, status in (("sip:eve@192.0.2.66", 0), ("sip:eve@example.org", 404), (f"sip:x@{SERVER}", 404)):
        invite = ada.request("INVITE", uri, sender=f"sip:ada@{REALM}")
        answers = ada.say(ada.signed(invite, ada.ask(invite)))
        assert [each.status for each in answers if isinstance(each, Response)] == ([status] if status else [])
    assert str(eve.heard("INVITE").uri) == "sip:eve@192.0.2.66"


def test_forged_and_borrowed_routes_lead_nowhere(world: World, eve: Phone, bob: Phone) -> None:
    call(eve)
    invite = bob.heard("INVITE")
    bob.respond(invite, 200)
    ok = eve.answer()
    good = eve.in_dialog("BYE", ok)
    borrowed = eve.in_dialog("BYE", ok)
    borrowed.headers.set("Call-ID", "another-call")
    forged = eve.in_dialog("BYE", ok)
    forged.headers.set("Route", f"<sip:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA@{SERVER};lr>")
    assert eve.ask(borrowed).status == 407
    assert eve.ask(forged).status == 407
    assert bob.requests("BYE") == []
    eve.say(good)
    assert bob.heard("BYE")


# Forking -------------------------------------------------------------------------------------------------


def test_all_phones_ring_and_one_answers(world: World, eve: Phone) -> None:
    first, second = register_two(world)
    call(eve)
    one, two = first.heard("INVITE"), second.heard("INVITE")
    assert one.top_via.branch != two.top_via.branch
    first.respond(one, 180, tag="t1")
    second.respond(two, 180, tag="t2")
    first.respond(one, 200, tag="t1")
    cancel = second.heard("CANCEL")
    assert "Call completed elsewhere" in (cancel.headers.get("Reason") or "")
    second.respond(cancel, 200)
    second.respond(two, 487, tag="t2")
    assert second.heard("ACK")
    assert eve.statuses() == [180, 180, 200]
    world.advance(200)
    assert eve.statuses() == []
    assert world.core.transactions == 0


def test_two_answers_both_reach_the_caller(world: World, eve: Phone) -> None:
    first, second = register_two(world)
    call(eve)
    first.respond(first.heard("INVITE"), 200, tag="t1")
    second.respond(second.heard("INVITE"), 200, tag="t2")
    assert eve.statuses() == [200, 200]


@pytest.mark.parametrize(
    ("one", "two", "best"),
    [
        (486, 404, 486),
        (480, 486, 486),
        (500, 486, 486),
        (503, 500, 500),
        (302, 486, 302),
        (415, 404, 415),
        (486, 603, 603),
    ],
)
def test_the_best_refusal_is_passed_on(world: World, eve: Phone, one: int, two: int, best: int) -> None:
    first, second = register_two(world)
    call(eve)
    first.respond(first.heard("INVITE"), one)
    second.respond(second.heard("INVITE"), two)
    assert eve.answer().status == best


def test_503_of_a_phone_is_not_the_servers(eve: Phone, bob: Phone) -> None:
    call(eve)
    bob.respond(bob.heard("INVITE"), 503)
    assert eve.answer().status == 500


def test_a_busy_phone_counts_more_than_a_dead_one(world: World, eve: Phone) -> None:
    first, second = register_two(world)
    second.alive = False
    call(eve)
    first.respond(first.heard("INVITE"), 486)
    world.advance(33)
    assert eve.answer().status == 486


def test_declined_everywhere_stops_the_others(world: World, eve: Phone) -> None:
    first, second = register_two(world)
    call(eve)
    one, two = first.heard("INVITE"), second.heard("INVITE")
    second.respond(two, 180)
    first.respond(one, 603)
    second.respond(second.heard("CANCEL"), 200)
    second.respond(two, 487)
    assert eve.statuses() == [180, 603]


def test_challenges_of_all_branches_are_collected(world: World, eve: Phone) -> None:
    first, second = register_two(world)
    call(eve)
    first.respond(first.heard("INVITE"), 401, [("WWW-Authenticate", 'Digest realm="one", nonce="1"')])
    second.respond(second.heard("INVITE"), 407, [("Proxy-Authenticate", 'Digest realm="two", nonce="2"')])
    answer = eve.answer()
    assert answer.status == 401
    assert len(answer.headers.rows("Proxy-Authenticate")) == len(answer.headers.rows("WWW-Authenticate")) == 1


def test_lower_q_is_tried_after_the_higher_has_refused(world: World, eve: Phone) -> None:
    first, second = register_two(world, 0.5, 0.9)
    call(eve)
    assert first.requests("INVITE") == []
    second.respond(second.heard("INVITE"), 486)
    assert eve.statuses() == []
    first.respond(first.heard("INVITE"), 200)
    assert eve.statuses() == [200]


def test_breadth_limits_forking(world: World, eve: Phone) -> None:
    first, second = register_two(world)
    call(eve, "bob", ("Max-Breadth", "1"))
    assert eve.answer().status == 440
    call(eve, "bob", ("Max-Breadth", "5"))
    assert first.heard("INVITE").headers.get("Max-Breadth") == second.heard("INVITE").headers.get("Max-Breadth") == "2"


# Giving up -----------------------------------------------------------------------------------------------


def cancel_of(invite: Request, phone: Phone) -> Request:
    cancel = phone.request("CANCEL", str(invite.uri), call_id=invite.call_id, cseq=invite.cseq.number)
    cancel.headers.set("Via", str(invite.top_via))
    cancel.headers.add("Reason", 'SIP;cause=487;text="gave up"')
    return cancel


def test_cancel_reaches_every_phone(world: World, eve: Phone) -> None:
    first, second = register_two(world)
    invite = call(eve)
    arrived = [(phone, phone.heard("INVITE")) for phone in (first, second)]
    for phone, request in arrived:
        phone.respond(request, 180)
    assert eve.statuses() == [180, 180]
    assert eve.ask(cancel_of(invite, eve)).status == 200
    for phone, request in arrived:
        cancel = phone.heard("CANCEL")
        assert cancel.top_via == request.top_via
        assert "gave up" in (cancel.headers.get("Reason") or "")
        phone.respond(cancel, 200)
        phone.respond(request, 487)
    assert eve.answer().status == 487
    world.advance(200)
    assert world.core.transactions == 0


def test_cancel_waits_for_a_sign_of_life(eve: Phone, bob: Phone) -> None:
    invite = call(eve)
    arrived = bob.heard("INVITE")
    eve.ask(cancel_of(invite, eve))
    assert bob.requests("CANCEL") == []
    bob.respond(arrived, 180)
    bob.respond(bob.heard("CANCEL"), 200)
    bob.respond(arrived, 487)
    assert eve.answer().status == 487


def test_answer_that_crosses_the_cancel_wins(eve: Phone, bob: Phone) -> None:
    invite = call(eve)
    arrived = bob.heard("INVITE")
    bob.respond(arrived, 180)
    eve.statuses()
    eve.ask(cancel_of(invite, eve))
    bob.respond(arrived, 200)
    assert eve.statuses() == [200]


def test_cancelled_call_to_a_dead_phone_ends_as_cancelled(world: World, eve: Phone, bob: Phone) -> None:
    bob.alive = False
    invite = call(eve)
    eve.ask(cancel_of(invite, eve))
    world.advance(33)
    assert eve.answer().status == 487


def test_cancel_of_nothing_is_481(eve: Phone) -> None:
    invite = eve.request("INVITE", f"sip:bob@{REALM}")
    assert eve.ask(cancel_of(invite, eve)).status == 481


def test_nobody_picks_up_for_three_minutes(world: World, eve: Phone, bob: Phone) -> None:
    call(eve)
    arrived = bob.heard("INVITE")
    bob.respond(arrived, 180)
    world.advance(184)
    assert bob.requests("CANCEL") == []
    world.advance(2)
    bob.respond(bob.heard("CANCEL"), 200)
    bob.respond(arrived, 487)
    assert eve.statuses() == [180, 408]


# Networks ------------------------------------------------------------------------------------------------


def test_phone_behind_a_nat_is_reached_where_it_registered_from(world: World, eve: Phone) -> None:
    bob = Phone(world, "bob", "203.0.113.99", 40000, contact="<sip:bob@192.168.1.10:5060>")
    bob.register()
    call(eve)
    invite = bob.heard("INVITE")
    assert str(invite.uri) == "sip:bob@192.168.1.10:5060"
    bob.respond(invite, 200)
    ok = eve.answer()
    eve.say(eve.in_dialog("ACK", ok))
    assert bob.heard("ACK")


def test_phone_without_rport_is_reached_at_its_contact(world: World, eve: Phone) -> None:
    bob = Phone(world, "bob", "203.0.113.6", 5070)
    asking = Phone(world, "bob", "203.0.113.6", 5060, contact="<sip:bob@203.0.113.6:5070>", rport=False)
    asking.register()
    call(eve)
    assert bob.heard("INVITE")


def test_phone_on_tcp_is_reached_on_its_connection(world: World, eve: Phone) -> None:
    bob = Phone(
        world, "bob", "203.0.113.6", 51000, transport="tcp", contact="<sip:bob@10.0.0.2;transport=tcp>", connection=7
    )
    bob.register()
    call(eve)
    invite = bob.heard("INVITE")
    assert invite.top_via.transport == "TCP"
    bob.respond(invite, 200)
    ok = eve.answer()
    assert "transport=tcp" not in str(ok.record_routes[-1])  # eve's side
    assert "transport=tcp" in str(ok.record_routes[0])  # bob's side
    bob.say(bob.in_dialog("BYE", invite))
    assert eve.heard("BYE")


@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_a_phone_that_registered_anew_is_reached_there_inside_its_call(
    world: World, eve: Phone, transport: str
) -> None:
    """Its NAT gave it another port, or its connection broke: the path of the call's beginning leads nowhere."""
    contact = f"<sip:bob@192.168.1.10:5060;transport={transport}>"
    first, second = (
        Phone(world, "bob", "203.0.113.6", port, transport=transport, contact=contact, connection=connection)
        for port, connection in ((51000, 7 if transport == "tcp" else None), (52000, 8 if transport == "tcp" else None))
    )
    first.register(cseq=1)
    call(eve)
    first.respond(first.heard("INVITE"), 200)
    ok = eve.answer()
    world.open.discard(7)
    first.alive = False
    second.register(cseq=3)
    eve.say(eve.in_dialog("BYE", ok))
    assert second.heard("BYE")


def test_a_phone_is_followed_into_another_network_in_the_middle_of_a_call(world: World, eve: Phone) -> None:
    """It has told this server of its new address, and its far end may not know that yet."""
    first = Phone(world, "bob", "203.0.113.6", 51000, contact="<sip:bob@203.0.113.6:51000>")
    first.register(cseq=1)
    call(eve)
    first.respond(first.heard("INVITE"), 200)
    ok = eve.answer()
    first.alive = False
    second = Phone(world, "bob", "198.51.100.20", 52000, contact="<sip:bob@198.51.100.20:52000>")
    second.register(contacts=[second.contact, f"{first.contact};expires=0"], cseq=3)
    eve.say(eve.in_dialog("BYE", ok))
    assert second.heard("BYE")


def test_a_neighbours_registration_takes_nobodys_calls(world: World, eve: Phone, bob: Phone) -> None:
    """The same private address in another house is another phone."""
    contact = "<sip:bob@192.168.1.10:5060>"
    first = Phone(world, "bob", "203.0.113.7", 51000, contact=contact)
    first.register(cseq=1)
    call(eve)
    bob.requests("INVITE")
    first.respond(first.heard("INVITE"), 200)
    ok = eve.answer()
    first.register(0, cseq=3)
    carl = Phone(world, "carl", "203.0.113.8", 51000, contact=contact)
    carl.register()
    eve.say(eve.in_dialog("BYE", ok))
    assert first.heard("BYE")
    assert carl.requests("BYE") == []


def test_closed_connection_leads_to_the_contact(world: World, eve: Phone) -> None:
    listening = Phone(world, "bob", "203.0.113.6", 5060, transport="tcp")
    bob = Phone(world, "bob", "203.0.113.6", 51000, transport="tcp", contact=listening.contact, connection=7)
    bob.register()
    world.open.clear()
    call(eve)
    assert listening.heard("INVITE")
    assert bob.requests("INVITE") == []


def test_unreachable_phone_on_tcp_is_480_at_once(world: World, eve: Phone) -> None:
    bob = Phone(world, "bob", "203.0.113.6", 5060, transport="tcp", connection=7)
    bob.register()
    world.open.clear()
    bob.alive = False
    call(eve)
    assert eve.answer().status == 480


def test_large_requests_prefer_tcp_and_fall_back_to_udp(world: World, eve: Phone, bob: Phone) -> None:
    bob_tcp = Phone(world, "bob", "203.0.113.6", transport="tcp")
    eve.say(eve.request("INVITE", f"sip:bob@{REALM}", body=bytes(2000)))
    assert bob_tcp.heard("INVITE")
    assert bob.requests("INVITE") == []
    bob_tcp.alive = False
    eve.say(eve.request("INVITE", f"sip:bob@{REALM}", body=bytes(2000)))
    invite = bob.heard("INVITE")
    assert invite.top_via.transport == "UDP"


def test_large_requests_knock_once_at_a_firewall(world: World, eve: Phone, bob: Phone) -> None:
    bob_tcp = Phone(world, "bob", "203.0.113.6", transport="tcp")
    world.silent.add(bob_tcp.hop.remote)
    eve.say(eve.request("INVITE", f"sip:bob@{REALM}", body=bytes(2000)))
    assert bob.heard("INVITE").top_via.transport == "UDP"
    assert bob_tcp.requests("INVITE") == []


def test_large_requests_do_not_knock_at_a_nat_over_tcp(world: World, eve: Phone) -> None:
    """Bob has learned his public address and registers it; his Via still tells that a NAT stands before him."""
    bob = Phone(world, "bob", "203.0.113.7", via="192.168.1.10:5060")
    bob.register()
    bob_tcp = Phone(world, "bob", "203.0.113.7", transport="tcp")
    eve.say(eve.request("INVITE", f"sip:bob@{REALM}", body=bytes(2000)))
    assert bob.heard("INVITE").top_via.transport == "UDP"
    assert bob_tcp.requests("INVITE") == []


# Limits --------------------------------------------------------------------------------------------------


def test_request_that_comes_round_again_is_482(eve: Phone, bob: Phone) -> None:
    call(eve)
    invite = bob.heard("INVITE")
    invite.uri = f"sip:bob@{REALM}"  # type: ignore[assignment]  # as eve's request had it
    invite.headers.prepend("Via", "SIP/2.0/UDP 192.0.2.66;branch=z9hG4bKround;rport")
    assert eve.ask(invite).status == 482


def test_spiral_is_no_loop(ada: Phone, eve: Phone, bob: Phone) -> None:
    call(eve)
    invite = bob.heard("INVITE")
    invite.uri = f"sip:ada@{REALM}"  # type: ignore[assignment]  # bob's phone redirects to ada
    invite.headers.prepend("Via", "SIP/2.0/UDP 203.0.113.6;branch=z9hG4bKspiral;rport")
    ada.register()
    bob.say(invite)
    assert ada.heard("INVITE")


@pytest.mark.parametrize(
    ("uri", "header", "status"),
    [
        (f"sip:bob@{REALM}", ("Max-Forwards", "0"), 483),
        (f"sip:bob@{REALM}", ("Proxy-Require", "magic"), 420),
        ("tel:+4912345", ("Subject", "x"), 416),
        (f"sip:{REALM}", ("Subject", "x"), 405),
    ],
)
def test_what_cannot_be_carried(eve: Phone, uri: str, header: tuple[str, str], status: int) -> None:
    assert eve.ask(eve.request("INVITE", uri, [header])).status == status


def test_strangers_are_limited_and_users_are_not(world: World, eve: Phone, bob: Phone) -> None:
    answered = sum(len(eve.say(eve.request("OPTIONS", f"sip:{REALM}"))) for _ in range(500))
    assert answered <= 101
    for _ in range(150):
        assert bob.ask(bob.request("OPTIONS", f"sip:{REALM}")).status == 200


def test_a_flood_of_calls_holds_a_bounded_number(eve: Phone) -> None:
    world = World(limits=SipLimits(requests_per_s=10_000, requests_total_per_s=10_000, transactions=20))
    bob = Phone(world, "bob", "203.0.113.6")
    bob.register()
    eve = Phone(world, "eve", "192.0.2.66")
    for _ in range(100):
        call(eve)
    assert world.core.transactions <= 40  # each call has one toward eve and one toward bob
    assert 503 in eve.statuses()
    world.advance(80)
    assert world.core.transactions == 0
    assert eve.ask(eve.request("OPTIONS", f"sip:{REALM}")).status == 200


def test_answer_that_lost_the_callers_via_still_reaches_the_caller(world: World, eve: Phone, bob: Phone) -> None:
    call(eve)
    invite = bob.heard("INVITE")
    invite.headers.set("Via", str(invite.top_via))
    bob.respond(invite, 486)
    assert eve.answer().status == 486
    world.advance(80)
    assert world.core.transactions == 0
