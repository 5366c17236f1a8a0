"""Two Parleys through a proxy that is not ours: Kamailio, with both digests, and a phone that forks."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.interop import ours
from tests.interop.baresip import Baresip, Line
from tests.interop.ours import assert_tone
from tests.interop.servers import PASSWORDS, coturn, kamailio
from tests.seen import stamps

pytestmark = pytest.mark.timeout(120)


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


@pytest.mark.parametrize("algorithm", ["MD5", "SHA-256"])
def test_two_parleys(tmp_path: Path, stack: ExitStack, algorithm: str) -> None:
    """The reliable 183, its PRACK and everything after them pass a proxy that records its route."""
    proxy = stack.enter_context(kamailio(tmp_path / "kamailio", algorithm=algorithm))
    relay = stack.enter_context(coturn(tmp_path / "coturn"))
    callee = stack.enter_context(
        ours.listen(tmp_path / "bob", *ours.account(proxy, relay, user="bob", transport="tcp"), tone_hz=880)
    )
    caller = stack.enter_context(ours.call(tmp_path / "ada", proxy.uri("bob"), *ours.account(proxy, relay)))
    for phone in (caller, callee):
        phone.wait_for_state("connected")
        phone.wait_for_media(frames=30)
    caller.stop()
    called, taken = caller.finish(), callee.finish()
    assert (called.code, taken.code) == (0, 0)
    assert f"algorithm={algorithm}" in caller.trace
    lines = [line.removeprefix("SIP/2.0 ").split()[0] for line in called.lines()]
    challenged = ["INVITE", "407", "ACK", "INVITE", "100"]
    assert lines[: len(challenged)] == challenged
    assert [line for line in lines[len(challenged) :] if line != "100"][:6] == [
        "183",
        "PRACK",
        "200",
        "180",
        "200",
        "ACK",
    ]
    assert "Record-Route" in caller.trace
    assert called.report["poorer"] == taken.report["poorer"] == []
    assert_tone(caller.heard(), 880)
    assert_tone(callee.heard(), 440)
    for phone in (caller, callee):
        assert len(set(stamps(phone.mkv))) >= 20


def test_candidates_follow_the_offer_through_it(tmp_path: Path, stack: ExitStack) -> None:
    """INFO in the early dialog, both ways: the offer and the answer leave before any relay is known (RFC 8840)."""
    proxy = stack.enter_context(kamailio(tmp_path / "kamailio"))
    relay = stack.enter_context(coturn(tmp_path / "coturn"))
    relayed = ("--ice-policy", "relay", "--trickle", "always")
    callee = stack.enter_context(
        ours.listen(tmp_path / "bob", *ours.account(proxy, relay, user="bob"), *relayed, tone_hz=880)
    )
    caller = stack.enter_context(ours.call(tmp_path / "ada", proxy.uri("bob"), *ours.account(proxy, relay), *relayed))
    for phone in (caller, callee):
        phone.wait_for_state("connected")
        phone.wait_for_media()
    caller.stop()
    called, taken = caller.finish(), callee.finish()
    assert (called.code, taken.code) == (0, 0)
    said = [(entry["direction"], entry["line"].split()[0]) for entry in called.report["sip"]]
    answered = next(at for at, entry in enumerate(called.report["sip"]) if "180" in entry["line"])
    for direction in ("out", "in"):
        assert (direction, "INFO") in said[:answered]
    assert "a=end-of-candidates" in caller.trace
    for ice in (called.report["ice"], taken.report["ice"]):
        pair = next(pair for pair in ice["pairs"] if pair["selected"])
        assert ice["local"][pair["local"]]["type"] == "relay"
    assert_tone(caller.heard(), 880)


def test_one_of_two_phones_answers(tmp_path: Path, stack: ExitStack) -> None:
    """Kamailio forks the INVITE: baresip rings without an answer of its own, a Parley takes the call."""
    proxy = stack.enter_context(kamailio(tmp_path / "kamailio"))
    relay = stack.enter_context(coturn(tmp_path / "coturn"))
    secure = {"nat": "ice", "turn": relay.address, "encryption": "dtls_srtp"}
    line = Line("bob", PASSWORDS["bob"], proxy.address, **secure, answers=False)
    other = stack.enter_context(Baresip(tmp_path / "baresip", line, tone_hz=300))
    other.wait_until_registered()
    account = ours.account(proxy, user="bob")
    callee = stack.enter_context(ours.listen(tmp_path / "bob", *account, "--answer-after", "1", tone_hz=880))
    caller = stack.enter_context(ours.call(tmp_path / "ada", proxy.uri("bob"), *ours.account(proxy)))
    other.wait_for("CALL_INCOMING")
    other.wait_for("CALL_CLOSED")
    caller.wait_for_state("connected")
    caller.wait_for_media(packets=75)
    caller.stop()
    assert (caller.finish().code, callee.finish().code) == (0, 0)
    assert_tone(caller.heard(), 880)


def test_a_wrong_password_is_one_sentence(tmp_path: Path, stack: ExitStack) -> None:
    proxy = stack.enter_context(kamailio(tmp_path / "kamailio"))
    account = ours.account(proxy, password_of="bob")
    outcome = stack.enter_context(ours.call(tmp_path / "ada", proxy.uri("bob"), *account)).finish()
    print(outcome.sentences)
    assert outcome.code == 1
    assert len(outcome.sentences) == 1
    assert "password" in outcome.sentences[0]


def test_nobody_there_is_one_sentence(tmp_path: Path, stack: ExitStack) -> None:
    proxy = stack.enter_context(kamailio(tmp_path / "kamailio"))
    outcome = stack.enter_context(ours.call(tmp_path / "ada", proxy.uri("bob"), *ours.account(proxy))).finish()
    print(outcome.sentences)
    assert outcome.code == 1
    assert outcome.report["ended"]["status"] == 404
    assert len(outcome.sentences) == 1
