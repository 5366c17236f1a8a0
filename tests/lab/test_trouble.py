"""What goes wrong from outside leaves one clear sentence, and the next call works."""

from __future__ import annotations

import pytest

from tests.lab.network import Host
from tests.lab.parley import Fields, Outcome, Parley
from tests.lab.stranger import Phone, bad_callee, sdp
from tests.lab.village import SILENT, Village, only_sentence


def registrations(outcome: Outcome) -> list[str]:
    return [event["sentence"] for event in outcome.events if event["event"] == "registration"]


@pytest.mark.short
def test_wrong_password(village: Village) -> None:
    sentence = only_sentence(village.call(password="wrong"))
    assert "password" in sentence
    village.works()


def test_wrong_password_of_a_listener(village: Village) -> None:
    with village.start("listen", "--for", "30", password="wrong") as listener:
        outcome = listener.finish(limit_s=25)
    assert "password" in only_sentence(outcome)
    village.works()


def test_unknown_account(village: Village) -> None:
    """It cannot register; what it says about itself is not believed either."""
    outcome = village.call(user="eve")
    assert any("password" in sentence for sentence in registrations(outcome))
    assert "password" in only_sentence(outcome)
    village.works()


@pytest.mark.short
def test_unknown_user(village: Village) -> None:
    sentence = only_sentence(village.call(f"sip:nobody@{village.lab['s'].in_uri}"))
    assert "nobody" in sentence
    village.works()


def test_user_who_is_not_signed_in(village: Village) -> None:
    outcome = village.call(f"sip:ada@{village.lab['b'].in_uri}:5999", "--no-register")
    assert "refused" in only_sentence(outcome)
    village.works()


def test_dead_registrar_that_refuses(village: Village) -> None:
    where = f"{village.lab['s'].in_uri}:5999"
    outcome = village.call(f"sip:bob@{where}", "--registrar", where)
    assert "refused" in only_sentence(outcome)
    assert any("refused" in sentence for sentence in registrations(outcome))
    village.works()


def test_dead_registrar_that_is_silent(village: Village) -> None:
    outcome = village.call(f"sip:bob@{SILENT}", "--registrar", SILENT)
    sentence = only_sentence(outcome)
    assert SILENT in sentence
    assert outcome.report["states"][-1]["at"] < 45, "RFC 3261: 32 s, after a few for TCP"
    village.works()


def test_a_dead_registrar_does_not_hinder_a_direct_call(village: Village) -> None:
    outcome = village.call(f"sip:bob@{village.lab['b'].in_uri}", "--registrar", SILENT)
    assert outcome.code == 0
    assert outcome.report["milestones"]["answered"] - outcome.state_at("gathering") < 5


def test_a_listener_whose_registrar_is_dead_says_so(village: Village) -> None:
    where = f"{village.lab['s'].in_uri}:5999"
    with village.start("listen", "--for", "3", "--registrar", where) as listener:
        outcome = listener.finish(limit_s=30)
    assert outcome.code == 1
    assert any("refused the connection" in sentence for sentence in outcome.sentences)


def turn_flags(where: str) -> tuple[str, ...]:
    return "--turn", f"turn:{where}", "--turn-user", "ada", "--turn-password-from", "env:SIP_PASSWORD"


@pytest.mark.parametrize("place", [SILENT, "home, another port", "bob's phone"])
def test_dead_turn_server(village: Village, place: str) -> None:
    """A call needs none when there is a direct way; the report says what is wrong with it."""
    known = {SILENT: f"{SILENT}:3478", "home, another port": f"{village.lab['s'].v4}:3999"}
    where = known.get(place, f"{village.lab['b'].v4}:5060")
    outcome = village.call(None, *turn_flags(where))
    assert outcome.code == 0
    (problem,) = outcome.report["ice"]["problems"]
    print(problem)
    assert where in problem
    assert "TURN" in problem
    assert outcome.report["ice"]["gathered_in"] < 3
    village.works()


def test_dead_turn_server_when_nothing_else_may_be_used(village: Village) -> None:
    outcome = village.call(None, *turn_flags(f"{SILENT}:3478"), "--ice-policy", "relay")
    assert SILENT in only_sentence(outcome)
    village.works()


def test_wrong_turn_password(village: Village) -> None:
    flags = (*turn_flags(f"{village.lab['s'].v4}:3478")[:-1], "env:HOME")
    outcome = village.call(None, *flags)
    (problem,) = outcome.report["ice"]["problems"]
    assert "password" in problem
    assert outcome.code == 0
    village.works()


def test_dead_stun_server(village: Village) -> None:
    outcome = village.call(None, "--stun", SILENT)
    (problem,) = outcome.report["ice"]["problems"]
    assert SILENT in problem
    assert outcome.code == 0


def test_a_name_that_no_name_server_knows(village: Village) -> None:
    assert "nobody.example" in only_sentence(village.call("sip:bob@nobody.example", "--no-register"))
    village.works()


# Descriptions ------------------------------------------------------------------------------------------------


def spoilt(host: Host) -> dict[str, bytes]:
    """Descriptions that nobody can talk by, each with one fault."""
    good = sdp(host)
    return {
        "no description at all": b"hello",
        "not text": bytes(range(256)),
        "no origin": good.replace("o=", "x=").encode(),
        "no connection": good.replace("c=IN", "x=IN").encode(),
        "no port": good.replace("audio 40000", "audio").encode(),
        "a port out of range": good.replace("audio 40000", "audio 70000").encode(),
        "an address that is none": good.replace("IN IP4 ", "IN IP4 999.").replace("a=candidate", "a=x").encode(),
        "only unknown codecs": good.replace("opus/48000/2", "cassette/8000").encode(),
        "only an unknown transport": good.replace("UDP/TLS/RTP/SAVPF", "SMOKE/SIGNALS").encode(),
        "no media": good[: good.index("m=")].encode(),
        "too many media": (good + "m=audio 40000 RTP/AVP 0\r\n" * 900).encode(),
        "a line without an equals sign": good.replace("s=-", "s").encode(),
        "a fingerprint of nothing": good.replace("AB:" * 31 + "AB", "ZZ").encode(),
        "cut off": good[:60].encode(),
    }


FAULTS = sorted(spoilt(Host("x", "x", "192.0.2.1", None)))


def ended(listener: Parley) -> list[Fields]:
    return [event for event in listener.events if event["event"] == "call" and event["state"] == "ended"]


@pytest.mark.parametrize("fault", FAULTS)
def test_malformed_offer(village: Village, fault: str) -> None:
    before = len(ended(village.bob))
    with Phone(village.lab["x"]) as phone:
        status, phrase = phone.invite(village.lab["b"], 5060, spoilt(village.lab["x"])[fault])
    event = village.bob.wait_until(lambda event: event in ended(village.bob)[before:], what="the end of the call")
    print(f"{fault}: {status} {phrase}; {event['cause']}")
    assert 400 <= status < 500
    assert event["by"] == "failure"
    assert event["cause"].endswith(".")
    assert not any(word in event["cause"] for word in ("Error", "Traceback", "None"))


def test_after_malformed_offers_the_next_call_works(village: Village) -> None:
    village.works()


def test_an_offer_of_another_kind_is_refused(village: Village) -> None:
    with Phone(village.lab["x"]) as phone:
        assert phone.invite(village.lab["b"], 5060, b"<call/>", "application/xml")[0] == 415
    village.works()


@pytest.mark.parametrize("status", ["183 Session Progress", "200 OK"])
@pytest.mark.parametrize("fault", ["no description at all", "no port", "only unknown codecs", "no media"])
def test_malformed_answer(village: Village, status: str, fault: str) -> None:
    """The caller ends what cannot work, in the way of SIP: CANCEL before the 200, BYE after it."""
    with bad_callee(village.lab["x"], status, spoilt(village.lab["x"])[fault]) as seen:
        outcome = village.call(f"sip:x@{village.lab['x'].in_uri}", "--no-register")
    only_sentence(outcome)
    assert ("CANCEL" if status.startswith("183") else "BYE") in seen
    assert "ACK" in seen


def test_after_malformed_answers_the_next_call_works(village: Village) -> None:
    village.works()


def test_each_call_is_told_of_once(village: Village) -> None:
    calls = [event["call"] for event in ended(village.bob)]
    assert len(calls) == len(set(calls))
