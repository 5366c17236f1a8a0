"""Parley against scripted phones: reliable provisional responses both ways, late offers, re-INVITEs, and endings.

sipp does neither ICE nor encryption: the calls are plain RTP with PCMU, and sipp sends back what it hears, so Parley
must hear its own tone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.interop import ours
from tests.interop.ours import OurPhone, assert_tone
from tests.interop.programs import wait_until
from tests.interop.sipp import Sipp, answer, expect, expect_invite, expect_reliable, request, sdp
from tests.lab.parley import Outcome

PLAIN = ("--encryption", "none", "--video-from", "none")
RELIABLY = "Supported: 100rel"
PRACKED = "RAck: [$rseq] 1 INVITE"
TRYING = expect(100, optional=True)
HANGS_UP = (expect("BYE"), answer("200 OK"))

pytestmark = pytest.mark.timeout(120)

Caller = Callable[..., tuple[Sipp, OurPhone]]


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


@pytest.fixture
def sipp_calls(tmp_path: Path, stack: ExitStack) -> Caller:
    """Let Parley listen, and sipp call it with these steps."""

    def start(*steps: str, flags: tuple[str, ...] = PLAIN) -> tuple[Sipp, OurPhone]:
        phone = stack.enter_context(ours.listen(tmp_path / "parley", *flags))
        uri = str(phone.wait_for("listening")["uri"])
        user, _, place = uri.removeprefix("sip:").partition("@")
        caller = Sipp(tmp_path / "sipp", *steps, remote=place, user=user)
        stack.enter_context(caller)
        return caller, phone

    return start


@pytest.fixture
def parley_calls(tmp_path: Path, stack: ExitStack) -> Caller:
    """Let sipp wait with these steps, and Parley call it."""

    def start(*steps: str, flags: tuple[str, ...] = PLAIN) -> tuple[Sipp, OurPhone]:
        callee = Sipp(tmp_path / "sipp", *steps)
        stack.enter_context(callee)
        return callee, stack.enter_context(ours.call(tmp_path / "parley", callee.uri, *flags))

    return start


def finish_talk(sipp: Sipp, phone: OurPhone) -> Outcome:
    """Let Parley hear its own tone for a while, hang up, and look at how both sides ended."""
    phone.wait_for_state("connected")
    phone.wait_for_media(packets=75)
    phone.stop()
    outcome = phone.finish()
    sipp.finish()
    assert outcome.code == 0
    assert outcome.report["audio"]["codec"] == "pcmu"
    assert outcome.report["security"]["media"] == "none"
    assert_tone(phone.heard(), 440, from_s=0.7)
    return outcome


def methods(outcome: Outcome, direction: str) -> list[str]:
    """What went one way: methods and statuses, without 100."""
    words = (line.removeprefix("SIP/2.0 ").split()[0] for line in outcome.lines(direction))
    return [word for word in words if word != "100"]


# sipp calls -------------------------------------------------------------------------------------------------------


@pytest.mark.short
def test_a_caller_that_requires_100rel(sipp_calls: Caller) -> None:
    sipp, phone = sipp_calls(
        request("INVITE", 1, "Require: 100rel", body=sdp()),
        TRYING,
        expect_reliable(180),
        request("PRACK", 2, PRACKED),
        expect(200),  # this and the next are those of PRACK and INVITE, in either order: Parley answers at once
        expect(200),
        request("ACK", 1),
        *HANGS_UP,
    )
    outcome = finish_talk(sipp, phone)
    assert methods(outcome, "in") == ["INVITE", "PRACK", "ACK", "200"]
    assert methods(outcome, "out") == ["180", "200", "200", "BYE"]
    assert {"CSeq: 2 PRACK", "CSeq: 1 INVITE"} <= set(sipp.messages.replace("\r", "").splitlines())


@pytest.mark.short
def test_a_late_offer_is_answered_in_the_prack(sipp_calls: Caller) -> None:
    """RFC 3262 section 5: the offer stands in the reliable 183, its answer in the PRACK, and only then it rings."""
    sipp, phone = sipp_calls(
        request("INVITE", 1, RELIABLY),
        TRYING,
        expect_reliable(183, body="m=audio [0-9]+ RTP/AVP"),
        request("PRACK", 2, PRACKED, body=sdp(lines=("audio", "video"))),
        expect(200, header=("CSeq", "PRACK")),
        expect(180),
        expect(200, header=("CSeq", "INVITE")),
        request("ACK", 1),
        *HANGS_UP,
    )
    outcome = finish_talk(sipp, phone)
    assert methods(outcome, "out") == ["183", "200", "180", "200", "BYE"]


def test_a_late_offer_without_100rel_is_answered_in_the_ack(sipp_calls: Caller) -> None:
    sipp, phone = sipp_calls(
        request("INVITE", 1),
        TRYING,
        expect(180),
        expect(200, body="m=audio [0-9]+ RTP/AVP"),
        request("ACK", 1, body=sdp(lines=("audio", "video"))),
        *HANGS_UP,
    )
    finish_talk(sipp, phone)


def test_reinvites_hold_and_go_on(sipp_calls: Caller) -> None:
    """An offer to hold, one to go on, one without a description, and an UPDATE."""
    sipp, phone = sipp_calls(
        request("INVITE", 1, body=sdp()),
        TRYING,
        expect(180),
        expect(200, body="a=sendrecv"),
        request("ACK", 1),
        request("INVITE", 2, body=sdp("sendonly", version=2)),
        TRYING,
        expect(200, body="a=recvonly"),
        request("ACK", 2),
        request("INVITE", 3, body=sdp("inactive", version=3)),
        TRYING,
        expect(200, body="a=inactive"),
        request("ACK", 3),
        request("UPDATE", 4, body=sdp(version=4)),
        expect(200, body="a=sendrecv"),
        request("INVITE", 5),
        TRYING,
        expect(200, body="m=audio [0-9]+ RTP/AVP 0"),
        request("ACK", 5, body=sdp(version=5)),
        *HANGS_UP,
    )
    wait_until(lambda: phone.trace.count("\nCSeq: 5 ACK") == 1, "the last ACK")
    outcome = finish_talk(sipp, phone)
    assert outcome.report["ended"]["by"] == "local"


@pytest.mark.short
def test_a_caller_that_gives_up(sipp_calls: Caller) -> None:
    sipp, phone = sipp_calls(
        request("INVITE", 1, body=sdp()),
        TRYING,
        expect(180),
        request("CANCEL", 1, same_branch_as=3),
        expect(200, header=("CSeq", "CANCEL")),
        expect(487),
        request("ACK", 1, same_branch_as=6),
        flags=(*PLAIN, "--answer-after", "60"),
    )
    outcome = phone.finish()
    sipp.finish()
    assert outcome.report["ended"]["by"] == "remote"
    assert outcome.report["states"][-2]["state"] == "ringing"


def test_parley_declines(sipp_calls: Caller) -> None:
    sipp, phone = sipp_calls(
        request("INVITE", 1, body=sdp()),
        TRYING,
        expect(180),
        expect(603),
        request("ACK", 1, same_branch_as=4),
        flags=(*PLAIN, "--decline"),
    )
    assert phone.finish().report["ended"]["status"] == 603
    sipp.finish()


def test_a_caller_without_encryption_is_refused_where_a_person_wants_it(sipp_calls: Caller) -> None:
    sipp, phone = sipp_calls(
        request("INVITE", 1, body=sdp()),
        TRYING,
        expect(488),
        request("ACK", 1, same_branch_as=3),
        flags=("--encryption", "dtls"),
    )
    outcome = phone.finish()
    sipp.finish()
    assert outcome.code == 1
    assert [step["state"] for step in outcome.report["states"]] == ["preparing", "ended"]


def test_a_caller_that_hangs_up_at_once(sipp_calls: Caller) -> None:
    """ACK and BYE come together, maybe before Parley's path stood."""
    sipp, phone = sipp_calls(
        request("INVITE", 1, body=sdp()),
        TRYING,
        expect(180),
        expect(200),
        request("ACK", 1),
        request("BYE", 2),
        expect(200),
    )
    outcome = phone.finish()
    sipp.finish()
    assert outcome.report["ended"] | {"cause": ""} == {"by": "remote", "cause": "", "status": 200}


# Parley calls -----------------------------------------------------------------------------------------------------


@pytest.mark.short
def test_a_reliable_183_is_confirmed(parley_calls: Caller) -> None:
    reliable = ("Require: 100rel", "RSeq: 7301")
    sipp, phone = parley_calls(
        expect_invite(),
        answer("183 Session Progress", *reliable, body=sdp(lines=("audio", "video")), to_invite=True),
        expect("PRACK", header=("RAck", "7301 1 INVITE")),
        answer("200 OK"),
        answer("180 Ringing", "Require: 100rel", "RSeq: 7302", to_invite=True),
        expect("PRACK", header=("RAck", "7302 1 INVITE")),
        answer("200 OK"),
        answer("200 OK", body=sdp(lines=("audio", "video")), to_invite=True),
        expect("ACK"),
        *HANGS_UP,
    )
    outcome = finish_talk(sipp, phone)
    assert methods(outcome, "out") == ["INVITE", "PRACK", "PRACK", "ACK", "BYE"]
    assert methods(outcome, "in") == ["183", "200", "180", "200", "200", "200"]


def test_a_phone_that_knows_neither_100rel_nor_early_answers(parley_calls: Caller) -> None:
    sipp, phone = parley_calls(
        expect_invite(),
        answer("180 Ringing", to_invite=True),
        answer("200 OK", body=sdp(lines=("audio", "video")), to_invite=True),
        expect("ACK"),
        *HANGS_UP,
    )
    finish_talk(sipp, phone)


@pytest.mark.parametrize(
    ("status", "words"),
    [
        ("486 Busy Here", "in another call"),
        ("404 Not Found", ""),
        ("603 Decline", "declined"),
        ("503 Service Unavailable", ""),
        ("500 Server Internal Error", ""),
    ],
)
def test_a_refusal_is_one_sentence(parley_calls: Caller, status: str, words: str) -> None:
    sipp, phone = parley_calls(expect_invite(), answer(status, to_invite=True), expect("ACK"))
    outcome = phone.finish()
    sipp.finish()
    assert outcome.code == 1
    assert outcome.report["ended"]["status"] == int(status[:3])
    print(outcome.sentences)
    assert len(outcome.sentences) == 1
    assert words in outcome.sentences[0]


def test_parley_gives_up(parley_calls: Caller) -> None:
    sipp, phone = parley_calls(
        expect_invite(),
        answer("180 Ringing", to_invite=True),
        expect("CANCEL"),
        answer("200 OK"),
        answer("487 Request Terminated", to_invite=True),
        expect("ACK"),
    )
    phone.wait_for_state("ringing")
    phone.stop()
    outcome = phone.finish()
    sipp.finish()
    assert methods(outcome, "out") == ["INVITE", "CANCEL", "ACK"]


def test_the_far_end_answers_a_cancelled_call(parley_calls: Caller) -> None:
    """The 200 crossed the CANCEL: it is acknowledged and hung up (RFC 3261 section 9.1)."""
    sipp, phone = parley_calls(
        expect_invite(),
        answer("180 Ringing", to_invite=True),
        expect("CANCEL"),
        answer("200 OK"),
        answer("200 OK", body=sdp(lines=("audio", "video")), to_invite=True),
        expect("ACK"),
        *HANGS_UP,
    )
    phone.wait_for_state("ringing")
    phone.stop()
    outcome = phone.finish()
    sipp.finish()
    assert methods(outcome, "out") == ["INVITE", "CANCEL", "ACK", "BYE"]
