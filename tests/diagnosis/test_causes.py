"""Every ending and every answer of a registrar is one sentence that says what to do."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.diagnosis.causes import explain_end, explain_registration
from app.events import EndedBy, EndKind, RegistrationState

STATUSES = [None, 299, *range(300, 700)]


def assert_one_sentence(text: str) -> None:
    assert text == text.strip()
    assert text.endswith(".")
    assert text[0] == text[0].upper()
    assert text.isprintable()
    assert "{" not in text
    assert len(text) < 600


@pytest.mark.parametrize("kind", list(EndKind))
@pytest.mark.parametrize("by", [None, *EndedBy])
def test_every_kind_with_every_status_is_one_sentence(kind: EndKind, by: EndedBy | None) -> None:
    for status in STATUSES:
        text = explain_end(kind, status, by=by, name="Ada", server="example.org")
        assert_one_sentence(text)
        assert ". " not in text
        assert explain_end(kind, status)  # nobody's name is known


@pytest.mark.parametrize("kind", [kind for kind in EndKind if kind not in (EndKind.HUNG_UP, EndKind.CANCELLED)])
def test_a_call_that_failed_says_what_to_do(kind: EndKind) -> None:
    if kind is not EndKind.ANSWERED_ELSEWHERE:
        assert ": " in explain_end(kind)


@pytest.mark.parametrize(
    ("kind", "status", "detail", "said"),
    [
        (EndKind.BUSY, 486, None, "Ada is in another call: try again later."),
        (EndKind.NO_ANSWER, 480, None, "Ada did not answer"),
        (EndKind.NOT_FOUND, 404, None, "check how it is spelled"),
        (EndKind.NOT_FOUND, 484, None, "not complete"),
        (EndKind.UNAVAILABLE, 480, None, "cannot be reached now"),
        (EndKind.UNAVAILABLE, 408, None, "in time"),
        (EndKind.REFUSED, 403, "Forbidden", "does not allow this call"),
        (EndKind.REFUSED, 499, "Bad Hair Day", "with status 499 (“Bad Hair Day”)"),
        (EndKind.WRONG_PASSWORD, 407, None, "account dialog"),
        (EndKind.SERVER_UNREACHABLE, None, "[Errno -2] Name or service not known", "not known to the DNS"),
        (EndKind.SERVER_UNREACHABLE, None, "[Errno 111] Connection refused", "refused the connection"),
        (EndKind.SERVER_UNREACHABLE, 408, "no answer within 32 s", "did not answer"),
        (EndKind.SERVER_UNREACHABLE, None, "certificate verify failed: self-signed certificate", "CA file"),
        (EndKind.SERVER_UNREACHABLE, 503, "Service Unavailable", "overloaded"),
        (EndKind.CHECKS_FAILED, 480, "no valid pair after 39.5 s", "nobody's phone rang: set a TURN server"),
        (
            EndKind.CHECKS_FAILED,
            480,
            "No way to the other side was found in 39.5 s: 2 of 3 ways did not answer. A TURN server helps.",
            "phone rang (2 of 3 ways did not answer): set a TURN server",
        ),
        (
            EndKind.CHECKS_FAILED,
            480,
            "The TURN server 192.0.2.9:3478 did not answer.",
            "192.0.2.9:3478 did not answer”).",
        ),
        (EndKind.SECURITY_FAILED, 488, "the fingerprint does not match", "(“the fingerprint does not match”)"),
        (EndKind.BAD_DESCRIPTION, 400, "line 3 has no '='", "line 3 has no '='"),
    ],
)
def test_what_a_person_reads_of_a_call(kind: EndKind, status: int | None, detail: str | None, said: str) -> None:
    assert said in explain_end(kind, status, detail, name="Ada", server="example.org")


def test_who_ended_it_is_told_from_this_side() -> None:
    assert explain_end(EndKind.HUNG_UP, by=EndedBy.LOCAL, name="Ada") == "You hung up."
    assert explain_end(EndKind.HUNG_UP, by=EndedBy.REMOTE, name="Ada") == "Ada hung up."
    assert explain_end(EndKind.DECLINED, 603, by=EndedBy.LOCAL, name="Ada") == "You declined the call."
    assert explain_end(EndKind.DECLINED, 603, by=EndedBy.REMOTE, name="Ada").startswith("Ada declined")
    assert explain_end(EndKind.CANCELLED, by=EndedBy.REMOTE, name="Ada").startswith("Ada gave up")


def test_a_network_that_was_lost_here_is_told_apart_from_one_lost_on_the_way() -> None:
    said = explain_end(EndKind.NETWORK_LOST, None, "This machine has no network.", by=EndedBy.FAILURE, name="Bob")
    assert said is not None
    assert "this computer lost its network" in said.lower()


def test_a_phone_that_forgot_the_call_is_no_unreachable_server() -> None:
    said = explain_end(EndKind.NETWORK_LOST, 481, "The far end no longer knows this call", name="Bob")
    assert said == "Bob's phone no longer knows this call: it may have been started anew: call again."


def test_a_lost_network_does_not_read_like_a_hang_up() -> None:
    assert "lost" in explain_end(EndKind.NETWORK_LOST, name="Ada")
    assert "hung up" not in explain_end(EndKind.NETWORK_LOST, name="Ada")


@pytest.mark.parametrize(
    ("status", "reason", "said"),
    [
        (401, "Unauthorized", "did not accept the password of sip:ada@example.org: enter it again"),
        (403, "Forbidden", "check user name and password"),
        (404, "Not Found", "does not know sip:ada@example.org"),
        (408, "Request Timeout", "did not answer"),
        (503, "Service Unavailable", "tries again by itself"),
        (599, "Odd", "with status 599 (“Odd”)"),
        (None, "Temporary failure in name resolution", "not known to the DNS"),
        (503, "[Errno 111] Connection refused", "refused the connection"),
        (None, "certificate has expired", "TLS certificate of sip.example.org could not be verified"),
        (None, "[SSL: WRONG_VERSION_NUMBER]", "its port is the one for TLS"),
        (None, "[Errno 101] Network is unreachable", "check the network connection"),
        (None, None, "cannot be reached"),
    ],
)
def test_what_a_person_reads_of_a_failed_registration(status: int | None, reason: str | None, said: str) -> None:
    text = explain_registration(
        RegistrationState.FAILED, status, reason, account="sip:ada@example.org", server="sip.example.org"
    )
    assert said in text
    assert_one_sentence(text)


@pytest.mark.parametrize("state", list(RegistrationState))
def test_every_state_of_a_registration_is_one_sentence(state: RegistrationState) -> None:
    for status in STATUSES:
        assert_one_sentence(explain_registration(state, status, account="sip:ada@example.org"))


@given(detail=st.text(max_size=400), name=st.text(max_size=400), kind=st.sampled_from(EndKind))
def test_what_strangers_say_cannot_make_it_long_or_break_the_line(detail: str, name: str, kind: EndKind) -> None:
    text = explain_end(kind, 499, detail, name=name, server=name)
    assert text.isprintable()
    assert text.endswith(".")
    assert len(text) < 600
