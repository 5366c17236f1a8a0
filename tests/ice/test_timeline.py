from __future__ import annotations

from dataclasses import replace
from typing import get_args

from app.events import CandidateType, MomentKind, PairState
from app.ice import timeline as timeline_module
from app.ice.candidates import Candidate
from app.ice.events import (
    CandidateGathered,
    CheckAnswered,
    CheckSent,
    Completed,
    Failed,
    IceEvent,
    Nominated,
    PairChanged,
    RelayLost,
    RestartBegun,
)
from app.ice.timeline import MAX_CHECKS, MAX_DECISIONS, Timeline

LOCAL = Candidate("1", 1, "udp", 100, "192.0.2.1", 4000, CandidateType.HOST)
REMOTE = Candidate("1", 1, "udp", 100, "2001:db8::1", 5000, CandidateType.SRFLX)


def test_a_decision_becomes_a_line_with_its_time_and_its_pair() -> None:
    timeline = Timeline(100.0)
    timeline.take(PairChanged("0", LOCAL, REMOTE, PairState.FAILED, "no answer"), 100.5)
    timeline.take(Nominated("0", LOCAL, REMOTE), 101.0)
    failed, nominated = timeline.moments
    assert (failed.at, failed.kind, failed.flow) == (0.5, MomentKind.FAILED_PAIR, "0")
    assert failed.text == "This way does not work: no answer"
    assert (nominated.local, nominated.remote) == ("host 192.0.2.1:4000", "srflx [2001:db8::1]:5000")


def test_what_is_said_of_a_failure_is_kept_as_it_is() -> None:
    timeline = Timeline(0.0)
    timeline.take(Failed("0", "No way was found."), 1.0)
    assert timeline.moments[0].text == "No way was found."


def test_it_is_bounded_and_tells_how_much_is_missing() -> None:
    timeline = Timeline(0.0)
    for number in range(MAX_DECISIONS + 7):
        timeline.take(Nominated("0", LOCAL, REMOTE), float(number))
    assert len(timeline.moments) == MAX_DECISIONS
    assert timeline.moments[0].at == 7.0
    assert timeline.dropped == 7


def test_nothing_new_is_the_same_tuple_again() -> None:
    timeline = Timeline(0.0)
    timeline.take(Completed(), 1.0)
    assert timeline.moments is timeline.moments


def test_a_later_generation_goes_on_with_the_earlier_ones_line() -> None:
    first, second = Timeline(0.0), Timeline(0.0, generation=1)
    first.take(Completed(), 1.0)
    second.take(Nominated("0", LOCAL, REMOTE), 2.0)
    first.take(Failed("0", "The network was lost."), 3.0)
    second.absorb(first)
    assert [(moment.at, moment.generation) for moment in second.moments] == [(1.0, 0), (2.0, 1), (3.0, 0)]
    assert second.dropped == 0


def test_checks_that_only_keep_watch_are_not_told() -> None:
    timeline = Timeline(0.0)
    timeline.take(CheckSent("0", LOCAL, REMOTE, nominating=False, attempt=1), 1.0)
    timeline.take(CheckSent("0", LOCAL, REMOTE, nominating=False, attempt=2), 1.5)
    timeline.take(CheckSent("0", LOCAL, REMOTE, nominating=False, attempt=1, consent=True), 6.0)
    timeline.take(CheckAnswered("0", LOCAL, REMOTE, 0.02, consent=True), 6.02)
    assert [moment.text for moment in timeline.moments] == ["A check left", "A check left again (2)"]


def test_a_pair_that_is_not_needed_says_just_that() -> None:
    timeline = Timeline(0.0)
    timeline.take(PairChanged("0", LOCAL, REMOTE, PairState.FROZEN, "not needed: another pair was selected"), 1.0)
    timeline.take(PairChanged("0", LOCAL, REMOTE, PairState.WAITING, "the roles were in conflict"), 1.0)
    assert [moment.text for moment in timeline.moments] == [
        "Not needed: another pair was selected",
        "This way is tried again: the roles were in conflict",
    ]


def test_candidates_over_tcp_are_told_apart() -> None:
    timeline = Timeline(0.0)
    timeline.take(CandidateGathered("0", replace(LOCAL, protocol="tcp", extensions=(("tcptype", "active"),))), 1.0)
    assert timeline.moments[0].text == "This machine can connect over TCP"
    assert timeline.moments[0].local == "host 192.0.2.1:4000/tcp"


def test_many_checks_do_not_push_the_decisions_out() -> None:
    timeline = Timeline(0.0)
    timeline.take(CandidateGathered("0", LOCAL), 0.0)
    for number in range(2 * MAX_CHECKS):
        timeline.take(CheckAnswered("0", LOCAL, REMOTE, 0.02), 1.0 + number)
    assert timeline.moments[0].text == "An address of this machine was found"
    assert timeline.moments[0].local == "host 192.0.2.1:4000"
    assert timeline.dropped == MAX_CHECKS


def test_every_event_of_the_agent_has_its_words_or_a_reason_to_have_none() -> None:
    assert set(timeline_module._WORDS) == set(get_args(IceEvent))


def test_a_restart_under_way_is_told_beside_what_carries_the_call() -> None:
    current, coming = Timeline(0.0), Timeline(0.0, generation=1)
    current.take(RestartBegun(), 5.0)
    coming.take(Nominated("0", LOCAL, REMOTE), 5.5)
    current.take(RelayLost("0", "turn.example.org:3478", "it does not answer", carries=True), 6.0)
    moments, dropped = current.with_next(coming)
    assert [moment.kind for moment in moments] == [MomentKind.RESTART, MomentKind.NOMINATED, MomentKind.RELAY_LOST]
    assert dropped == 0
