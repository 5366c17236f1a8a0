from __future__ import annotations

from app.events import CandidateType, MomentKind, PairState
from app.ice.candidates import Candidate
from app.ice.events import Completed, Failed, Nominated, PairChanged
from app.ice.timeline import MAX_DECISIONS, Timeline

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
