"""Registering an account: RFC 3261 sections 10.2 and 22, over a virtual wire with a small registrar."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest

from app.events import RegistrationState
from app.settings import Account, HostPort, SipTransport
from app.sip.config import SipConfig
from app.sip.errors import SipError
from app.sip.events import IncomingInvite, Refused, RegistrationChanged
from app.sip.hops import Hop
from app.sip.identity import Identity
from app.sip.message import Request, Response, response_to
from tests.sip.pair import OFFER
from tests.sip.registrar import ADDRESS, Registrar
from tests.sip.wire import Node, Wire

ACCOUNT = Account("sip:ada@example.org", display_name="Ada")
OURS = "sip:ada@10.0.0.1"


def set_up(registrar: Registrar, password: str | None = "secret", **config: Any) -> tuple[Wire, Node]:
    wire = Wire()
    registrar.on(wire)
    ada = wire.node("ada", "10.0.0.1", account=ACCOUNT, password=lambda: password, **config)
    return wire, ada


def states(node: Node) -> list[tuple[str, int | None]]:
    return [(event.state.value, event.status) for event in node.of(RegistrationChanged)]


def test_an_open_registrar_binds_at_once():
    registrar = Registrar()
    wire, ada = set_up(registrar)
    ada.agent.registration.start(600)
    wire.run(1)
    assert states(ada) == [("registering", None), ("registered", 200)]
    changed = ada.of(RegistrationChanged)[-1]
    assert (changed.expires_s, changed.contact, changed.transport) == (600, f"<{OURS}>", "udp")
    request = registrar.requests[0]
    assert str(request.uri) == "sip:example.org"
    assert (str(request.to), request.from_.display_name) == ("<sip:ada@example.org>", "Ada")
    assert registrar.bindings == {OURS: 600}


@pytest.mark.parametrize("status", [401, 407])
def test_a_challenge_is_answered_and_the_next_request_carries_credentials_at_once(status: int):
    registrar = Registrar("secret", status=status)
    wire, ada = set_up(registrar)
    ada.agent.registration.start(100)
    wire.run(1)
    assert states(ada)[-1] == ("registered", 200)
    assert [request.cseq.number for request in registrar.requests] == [1, 2]
    assert len({request.call_id for request in registrar.requests}) == 1
    wire.run(95)
    assert len(registrar.requests) == 3
    assert "nc=00000002" in str(registrar.requests[2].headers.items())


def test_a_stale_nonce_is_no_wrong_password():
    registrar = Registrar("secret")
    wire, ada = set_up(registrar)
    ada.agent.registration.start(300)
    wire.run(1)
    wire.run(280)  # the nonce lives for 100 s
    assert [state for state, _ in states(ada)] == ["registering", "registered", "registered"]
    assert len(registrar.requests) == 4


def test_a_wrong_password_is_said_and_not_tried_again():
    registrar = Registrar("secret")
    wire, ada = set_up(registrar, password="guess")
    ada.agent.registration.start(600)
    wire.run(1000)
    assert states(ada) == [("registering", None), ("failed", 401)]
    assert len(registrar.requests) == 2


def test_no_password_at_all():
    registrar = Registrar("secret")
    wire, ada = set_up(registrar, password=None)
    ada.agent.registration.start(600)
    wire.run(10)
    assert states(ada)[-1] == ("failed", 401)
    assert len(registrar.requests) == 1


def test_a_binding_is_refreshed_before_it_ends():
    registrar = Registrar()
    registrar.longest_s = 60
    wire, ada = set_up(registrar)
    ada.agent.registration.start(600)
    wire.run(1)
    assert ada.of(RegistrationChanged)[-1].expires_s == 60
    wire.run(300)
    gaps = [after - before for before, after in pairwise(wire.times("REGISTER"))]
    assert gaps
    assert all(40 < gap < 58 for gap in gaps)


def test_too_brief_an_interval_is_lengthened():
    registrar = Registrar()

    def policy(request: Request) -> Response | None:
        if (request.contacts[0].expires or 0) >= 1800:
            return None
        response = response_to(request, 423, to_tag="r")
        response.headers.add("Min-Expires", "1800")
        return response

    registrar.policy = policy
    wire, ada = set_up(registrar)
    ada.agent.registration.start(60)
    wire.run(1)
    assert states(ada)[-1] == ("registered", 200)
    assert registrar.bindings == {OURS: 1800}


def test_unregistering_removes_only_our_contact():
    registrar = Registrar("secret")
    wire, ada = set_up(registrar)
    ada.agent.registration.start(600)
    wire.run(1)
    ada.agent.registration.stop()
    wire.run(1)
    assert states(ada)[-1] == ("unregistered", 200)
    assert registrar.bindings == {}
    assert [contact.expires for contact in registrar.requests[-1].contacts] == [0]
    wire.run(4000)
    assert len(registrar.requests) == 3


def test_a_dead_registrar_is_said_and_tried_again_ever_more_slowly():
    registrar = Registrar()
    wire, ada = set_up(registrar)
    wire.deaf.add(ADDRESS)
    ada.agent.registration.start(600)
    wire.run(33)
    assert states(ada) == [("registering", None), ("failed", None)]
    assert "10.0.0.5:5060" in (ada.of(RegistrationChanged)[-1].reason or "")
    wire.run(3000)
    tries = len({message.cseq.number for message in wire.messages("REGISTER")})
    assert 6 <= tries <= 15
    wire.deaf.clear()
    wire.run(700)
    assert states(ada)[-1] == ("registered", 200)


def test_a_busy_registrar_is_given_the_time_it_asks_for():
    registrar = Registrar()
    wire, ada = set_up(registrar)

    def policy(request: Request) -> Response | None:
        if wire.now > 1100:
            return None
        response = response_to(request, 503, to_tag="r")
        response.headers.add("Retry-After", "150")
        return response

    registrar.policy = policy
    ada.agent.registration.start(600)
    wire.run(149)
    assert states(ada)[-1] == ("failed", 503)
    assert len(registrar.requests) == 1
    wire.run(10)
    assert states(ada)[-1] == ("registered", 200)


def test_an_address_seen_through_a_nat_is_registered_instead():
    registrar = Registrar()
    wire, ada = set_up(registrar)

    def translate(request: Request) -> None:
        request.headers.replace_first(
            "Via", request.top_via.with_param("received", "203.0.113.7").with_param("rport", "61000")
        )

    registrar.policy = lambda request: translate(request)
    ada.agent.registration.start(600)
    wire.run(1)
    assert states(ada) == [("registering", None), ("registered", 200)]
    assert registrar.bindings == {"sip:ada@203.0.113.7:61000": 600}
    caller = ada.agent.invite("sip:bob@example.org", body=OFFER)
    wire.run(0.1)
    assert str(caller.request.contacts[0].uri) == "sip:ada@203.0.113.7:61000"


def test_a_new_network_registers_at_once():
    registrar = Registrar()
    wire, ada = set_up(registrar)
    ada.agent.registration.start(600)
    wire.run(1)
    ada.agent.registration.refresh()
    wire.run(1)
    assert len(registrar.requests) == 2


def test_a_lost_connection_registers_again():
    registrar = Registrar()
    wire = Wire()
    registrar.on(wire)
    account = Account("sip:ada@example.org", transport=SipTransport.TCP)
    ada = wire.node("ada", "10.0.0.1", account=account)
    ada.agent.registration.start(600)
    wire.run(1)
    assert ada.of(RegistrationChanged)[-1].transport == "tcp"
    assert registrar.bindings == {"sip:ada@10.0.0.1;transport=tcp": 600}
    ada.agent.connection_lost(Hop("tcp", ADDRESS, ada.address, connection=4), wire.now)
    wire.run(3)
    assert len(registrar.requests) == 2


def test_keep_alives_flow_while_registered():
    registrar = Registrar()
    wire, ada = set_up(registrar)
    ada.agent.registration.start(3600)
    wire.run(101)
    assert ada.keep_alives == 4
    ada.agent.registration.stop()
    wire.run(100)
    assert ada.keep_alives == 4


def test_an_invite_answers_a_proxys_challenge_and_goes_on_as_one_session():
    registrar = Registrar("secret", status=407)
    wire, ada = set_up(registrar)
    session = ada.agent.invite("sip:nobody@example.org", body=OFFER)
    wire.run(1)
    assert ada.one(Refused).status == 404
    assert [request.cseq.number for request in registrar.requests] == [1, 2]
    assert [request.from_.tag for request in registrar.requests] == [session.key[1]] * 2
    assert len(wire.messages("ACK")) == 2


def test_a_cancel_waits_for_a_word_on_the_invite_that_carries_the_credentials():
    """The 100 of the first INVITE says nothing about the second one (RFC 3261 section 9.1)."""
    registrar = Registrar("secret", status=407)
    wire, ada = set_up(registrar)

    def try_first(request: Request) -> Response | None:
        if request.method == "INVITE":
            wire.inject(ada, bytes(response_to(request, 100)), Hop("udp", ADDRESS, ada.address))
        return None

    registrar.policy = try_first
    session = ada.agent.invite("sip:nobody@example.org", body=OFFER)
    wire.lose = lambda passed: passed.what == "INVITE" and bool(passed.message.headers.get("Proxy-Authorization"))
    wire.run(0.2)
    assert wire.log("ada").count("INVITE") == 2
    session.cancel()
    wire.run(0.2)
    assert "CANCEL" not in wire.log()


def test_a_wrong_password_refuses_the_call_with_407():
    registrar = Registrar("secret", status=407)
    wire, ada = set_up(registrar, password="guess")
    ada.agent.invite("sip:nobody@example.org", body=OFFER)
    wire.run(1)
    assert ada.one(Refused).status == 407


def test_the_password_is_shown_to_nobody_but_the_accounts_server():
    registrar = Registrar()
    wire, ada = set_up(registrar)
    bob = wire.node("bob", "10.0.0.2")

    def react(event: Any) -> None:
        if isinstance(event, IncomingInvite):
            event.session.reject(
                401, headers=[("WWW-Authenticate", 'Digest realm="example.org", nonce="n", qop="auth"')]
            )

    bob.react = react
    ada.agent.invite("sip:bob@10.0.0.2", body=OFFER)
    wire.run(1)
    assert ada.one(Refused).status == 401
    assert len(wire.messages("INVITE")) == 1


def test_a_bye_answers_a_challenge_too():
    registrar = Registrar()
    wire, ada = set_up(registrar)
    ada.agent.registration.start(600)
    wire.run(1)
    secured = Registrar("secret", status=407)
    secured.on(wire)

    def policy(request: Request) -> Response | None:
        if request.method != "INVITE":
            return secured._challenge(request) or response_to(request, 200)
        response = response_to(request, 200, to_tag="callee")
        response.headers.add("Contact", "<sip:bob@10.0.0.5>")
        response.headers.add("Record-Route", "<sip:10.0.0.5;lr>")
        return response

    secured.policy = policy
    session = ada.agent.invite("sip:bob@example.org", body=OFFER)
    wire.run(1)
    session.bye()
    wire.run(1)
    byes = [request for request in secured.requests if request.method == "BYE"]
    assert ["Proxy-Authorization" in bye.headers for bye in byes] == [False, True]
    assert [bye.cseq.number for bye in byes] == [2, 3]
    assert ada.kinds()[-1] == "SessionClosed"


# Who we are ---------------------------------------------------------------------------


def test_an_account_that_is_none_is_refused():
    for address in ("ada", "sip:example.org", "tel:+49", "sip:ada@example.org;transport=ws"):
        with pytest.raises(SipError):
            Identity(SipConfig(account=Account(address)))


def test_registering_without_an_account_is_refused():
    with pytest.raises(SipError):
        Wire().node("ada", "10.0.0.1").agent.registration.start(600)


@pytest.mark.parametrize(
    ("target", "next_hop"),
    [
        ("sip:bob@example.org", "sip:10.0.0.5:5080"),
        ("sip:bob@example.org:5060", "sip:10.0.0.5:5080"),
        ("sip:bob@example.org:7000", "sip:bob@example.org:7000"),
        ("sip:bob@elsewhere.example", "sip:10.0.0.5:5080"),
        ("sip:bob@192.0.2.7", "sip:bob@192.0.2.7"),
        ("tel:+49-30-123", "sip:10.0.0.5:5080"),
        ("  sip:bob@example.org?Subject=x ", "sip:10.0.0.5:5080"),
    ],
)
def test_where_a_call_goes_with_an_account_and_its_proxy(target: str, next_hop: str):
    account = Account("sip:ada@example.org", registrar=HostPort("10.0.0.5", 5080))
    identity = Identity(SipConfig(account=account))
    assert str(identity.next_hop(identity.target(target))) == next_hop


def test_a_telephone_number_is_called_at_the_provider():
    identity = Identity(SipConfig(account=ACCOUNT))
    assert str(identity.target("tel:+49-30-123")) == "sip:+4930123@example.org;user=phone"


def test_the_state_of_no_account_is_none():
    assert Wire().node("ada", "10.0.0.1").agent.registration.state is RegistrationState.NONE
