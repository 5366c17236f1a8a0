"""Registrations by RFC 3261 section 10.3, signed by RFC 7616 and 8760, on a virtual clock."""

from __future__ import annotations

import pytest

from app.home.location import MAX_CONTACTS_PER_USER
from app.sip.message import Response
from tests.home.sip_driver import REALM, SERVER, Phone, World


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def ada(world: World) -> Phone:
    return Phone(world, "ada", "203.0.113.5")


def contacts(response: Response) -> list[str]:
    return [str(contact.uri) for contact in response.contacts]


def test_first_register_is_challenged_strongest_first(ada: Phone) -> None:
    challenge = ada.ask(ada.request("REGISTER", f"sip:{REALM}", to=f"<sip:ada@{REALM}>"))
    assert challenge.status == 401
    assert [each.algorithm for each in challenge.challenges] == ["SHA-256", "MD5"]
    assert {each.realm for each in challenge.challenges} == {REALM}


@pytest.mark.parametrize("algorithm", ["SHA-256", "MD5"])
def test_either_digest_registers(ada: Phone, algorithm: str) -> None:
    request = ada.request("REGISTER", f"sip:{REALM}", to=f"<sip:ada@{REALM}>")
    answer = ada.ask(ada.signed(request, ada.ask(request), algorithm=algorithm))
    assert answer.status == 200
    assert contacts(answer) == ["sip:ada@203.0.113.5:5060"]


def test_the_address_of_the_server_is_a_domain_too(ada: Phone) -> None:
    request = ada.request("REGISTER", f"sip:{SERVER}", to=f"<sip:ada@{SERVER}>")
    assert ada.ask(ada.signed(request, ada.ask(request))).status == 200


def test_wrong_password_is_challenged_again_and_changes_nothing(world: World, ada: Phone) -> None:
    request = ada.request("REGISTER", f"sip:{REALM}", to=f"<sip:ada@{REALM}>")
    answer = ada.ask(ada.signed(request, ada.ask(request), password="guess"))
    assert answer.status == 401
    assert not answer.challenges[0].stale
    assert len(world.core.location) == 0
    assert world.core.counters["wrong_password"] == 1


def test_guessing_is_slowed_down(world: World, ada: Phone) -> None:
    answers = []
    for _ in range(30):
        world.advance(0.1)
        request = ada.request("REGISTER", f"sip:{REALM}", to=f"<sip:ada@{REALM}>")
        answers.append(ada.ask(ada.signed(request, ada.ask(request), password="guess")).status)
    assert answers[0] == 401
    assert answers[-1] == 503


def test_nobody_registers_for_another(ada: Phone) -> None:
    request = ada.request("REGISTER", f"sip:{REALM}", to=f"<sip:bob@{REALM}>")
    assert ada.ask(ada.signed(request, ada.ask(request))).status == 403


def test_another_domain_is_404(ada: Phone) -> None:
    request = ada.request("REGISTER", f"sip:{REALM}", to="<sip:ada@example.org>")
    assert ada.ask(ada.signed(request, ada.ask(request))).status == 404


def test_expiry_comes_from_the_contact_before_the_header(ada: Phone) -> None:
    answer = ada.register(600, ["<sip:a@203.0.113.5>;expires=120", "<sip:b@203.0.113.5>"])
    assert {str(each.uri): each.expires for each in answer.contacts} == {
        "sip:a@203.0.113.5": 120,
        "sip:b@203.0.113.5": 600,
    }


def test_too_long_is_cut_and_missing_is_filled_in(ada: Phone) -> None:
    assert ada.register(10**9).contacts[0].expires == 3600
    assert ada.register(None).contacts[0].expires == 600


def test_too_brief_is_423_and_nothing_of_the_request_counts(world: World, ada: Phone) -> None:
    answer = ada.register(None, ["<sip:a@203.0.113.5>;expires=600", "<sip:b@203.0.113.5>;expires=5"])
    assert answer.status == 423
    assert answer.min_expires == 60
    assert len(world.core.location) == 0


def test_contacts_are_listed_by_preference(ada: Phone) -> None:
    answer = ada.register(600, ["<sip:low@203.0.113.5>;q=0.2", "<sip:high@203.0.113.5>;q=0.9"])
    assert contacts(answer) == ["sip:high@203.0.113.5", "sip:low@203.0.113.5"]
    assert answer.contacts[0].q == 0.9


def test_without_contacts_the_present_ones_are_told(ada: Phone) -> None:
    ada.register()
    request = ada.request("REGISTER", f"sip:{REALM}", to=f"<sip:ada@{REALM}>")
    request.headers.remove("Contact")
    assert contacts(ada.ask(ada.signed(request, ada.ask(request)))) == ["sip:ada@203.0.113.5:5060"]


def test_refresh_keeps_one_contact(world: World, ada: Phone) -> None:
    ada.register()
    world.advance(500)
    assert ada.register().contacts[0].expires == 600
    world.advance(500)
    assert len(world.core.location) == 1


def test_registration_runs_out(world: World, ada: Phone) -> None:
    ada.register(60)
    world.advance(61)
    assert len(world.core.location) == 0
    assert [event.contacts for event in world.events] == [("sip:ada@203.0.113.5:5060",), ()]


def test_one_contact_is_removed_with_expires_zero(ada: Phone) -> None:
    ada.register(600, ["<sip:a@203.0.113.5>", "<sip:b@203.0.113.5>"])
    assert contacts(ada.register(None, ["<sip:a@203.0.113.5>;expires=0"])) == ["sip:b@203.0.113.5"]


def test_star_removes_all(world: World, ada: Phone) -> None:
    ada.register(600, ["<sip:a@203.0.113.5>", "<sip:b@203.0.113.5>"])
    assert contacts(ada.register(0, ["*"])) == []
    assert world.events[-1].contacts == ()


def test_star_without_expires_zero_is_400(world: World, ada: Phone) -> None:
    ada.register()
    assert ada.register(600, ["*"]).status == 400
    assert len(world.core.location) == 1


def test_an_older_register_cannot_undo_a_newer_one(world: World, ada: Phone) -> None:
    ada.register(cseq=50)
    assert ada.register(0, cseq=40).status == 500
    assert len(world.core.location) == 1
    assert ada.register(0, cseq=40, call_id="after-a-restart").status == 200
    assert len(world.core.location) == 0


def test_the_same_phone_with_a_new_address_replaces_the_old_one(ada: Phone) -> None:
    ada.register(600, ['<sip:ada@203.0.113.5:1000>;+sip.instance="<urn:uuid:1>"'])
    answer = ada.register(600, ['<sip:ada@203.0.113.5:2000>;+sip.instance="<urn:uuid:1>"'])
    assert contacts(answer) == ["sip:ada@203.0.113.5:2000"]


def test_too_many_contacts_push_out_the_oldest(world: World, ada: Phone) -> None:
    for port in range(1000, 1000 + MAX_CONTACTS_PER_USER + 3):
        world.advance(1)
        answer = ada.register(600, [f"<sip:ada@203.0.113.5:{port}>"])
    assert len(answer.contacts) == MAX_CONTACTS_PER_USER
    assert "sip:ada@203.0.113.5:1000" not in contacts(answer)
    assert "sip:ada@203.0.113.5:1012" in contacts(answer)


def test_retransmitted_register_is_answered_alike(ada: Phone) -> None:
    request = ada.request("REGISTER", f"sip:{REALM}", to=f"<sip:ada@{REALM}>")
    signed = ada.signed(request, ada.ask(request))
    assert bytes(ada.ask(signed)) == bytes(ada.ask(signed))


def test_replayed_credentials_are_stale(ada: Phone) -> None:
    request = ada.request("REGISTER", f"sip:{REALM}", to=f"<sip:ada@{REALM}>")
    signed = ada.signed(request, ada.ask(request))
    ada.ask(signed)
    signed.headers.set("Via", str(signed.top_via.with_param("branch", "z9hG4bKreplay")))
    answer = ada.ask(signed)
    assert answer.status == 401
    assert answer.challenges[0].stale


@pytest.mark.parametrize(
    ("contact", "status"),
    [
        (f"<sip:ada@{SERVER}>", 403),
        ("<sip:ada@127.0.0.1>", 403),
        ("<tel:+123>", 400),
        ("<sip:ada@203.0.113.5?Subject=x>", 400),
        (f"<sip:{'a' * 600}@203.0.113.5>", 400),
    ],
)
def test_contacts_that_lead_nowhere_or_back(world: World, ada: Phone, contact: str, status: int) -> None:
    assert ada.register(600, [contact]).status == status
    assert len(world.core.location) == 0


def test_required_extensions_are_named(ada: Phone) -> None:
    request = ada.request("REGISTER", f"sip:{REALM}", [("Require", "outbound")], to=f"<sip:ada@{REALM}>")
    answer = ada.ask(ada.signed(request, ada.ask(request)))
    assert (answer.status, answer.unsupported) == (420, ("outbound",))


def test_dropped_user_is_gone(world: World, ada: Phone) -> None:
    ada.register()
    world.core.drop_user("ada", world.now)
    assert len(world.core.location) == 0
    assert world.events[-1].contacts == ()
