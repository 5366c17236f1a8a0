"""When a path is looked for anew, on a virtual clock."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field

import pytest

from app.calls.restarts import (
    CHECKS_S,
    LONGEST_RETRY_S,
    PEER_RESTARTS,
    PEER_WINDOW_S,
    SPACING_S,
    TABLE,
    TURN_S,
    Action,
    Attempt,
    Input,
    NetworkChange,
    Restarts,
)

HERE, THERE = "192.168.1.7", "10.1.2.3"
USED = frozenset({HERE})
REPLACED = NetworkChange(frozenset({THERE}), gone=USED, new=frozenset({THERE}))


@dataclass
class Case:
    """A policy and what it wanted when."""

    is_caller: bool = True
    patience_s: float = 60.0
    now: float = 100.0
    done: list[tuple[float, Action]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.policy = Restarts(is_caller=self.is_caller, patience_s=self.patience_s)

    def tell(self, what: str, *arguments: object, **named: object) -> list[Action]:
        before = len(self.done)
        getattr(self.policy, what)(*arguments, self.now, **named)
        self._note()
        return [action for _, action in self.done[before:]]

    def run(self, seconds: float) -> list[Action]:
        before, end = len(self.done), self.now + seconds
        while (due := self.policy.next_timeout()) is not None and due <= end:
            self.now = max(self.now, due)
            self.policy.handle_timeout(self.now)
            self._note()
        self.now = end
        return [action for _, action in self.done[before:]]

    def _note(self) -> None:
        self.done += [(self.now, action) for action in self.policy.take()]

    def times(self, action: Action) -> list[float]:
        return [at - 100.0 for at, what in self.done if what is action]


def test_the_caller_begins_at_once_the_callee_a_second_later() -> None:
    assert Case(is_caller=True).tell("silent") == [Action.BEGIN]
    callee = Case(is_caller=False)
    assert callee.tell("silent") == []
    assert callee.run(10) == [Action.BEGIN]
    assert callee.times(Action.BEGIN) == [TURN_S]


def test_the_callee_leaves_it_to_a_caller_that_begins_or_a_path_that_comes_back() -> None:
    callee = Case(is_caller=False)
    callee.tell("silent")
    callee.tell("peer_begins")
    callee.tell("done")
    assert Action.BEGIN not in callee.run(30)
    callee.tell("silent")
    callee.run(0.5)
    callee.tell("recovered")
    assert Action.BEGIN not in callee.run(30)


@pytest.mark.parametrize("is_caller", [True, False])
def test_an_address_that_is_gone_needs_no_silence(is_caller: bool) -> None:
    case = Case(is_caller)
    assert case.tell("network", REPLACED, USED, relayed=False) == [Action.BEGIN]


def test_an_address_that_was_not_in_use_or_a_further_one_changes_nothing() -> None:
    case = Case()
    other = NetworkChange(USED, gone=frozenset({THERE}))
    further = NetworkChange(USED | {THERE}, new=frozenset({THERE}))
    assert case.tell("network", other, USED, relayed=False) == []
    assert case.tell("network", further, USED, relayed=False) == []


def test_a_further_address_helps_a_relayed_path_and_a_silent_one() -> None:
    further = NetworkChange(USED | {THERE}, new=frozenset({THERE}))
    assert Case().tell("network", further, USED, relayed=True) == [Action.BEGIN]
    silent = Case(is_caller=False)
    silent.tell("silent")
    assert silent.tell("network", further, USED, relayed=False) == [Action.BEGIN]


def test_waking_and_a_lost_relay_begin_at_once() -> None:
    assert Case(is_caller=False).tell("relay_lost") == [Action.BEGIN]
    woken = NetworkChange(USED, woke=True)
    assert Case(is_caller=False).tell("network", woken, USED, relayed=False) == [Action.BEGIN]


def test_a_machine_that_has_no_address_for_a_while_begins_when_it_has_one() -> None:
    case = Case()
    case.tell("network", NetworkChange(frozenset(), gone=USED), USED, relayed=False)
    case.now += SPACING_S
    case.tell("offer_failed")
    back = NetworkChange(frozenset({THERE}), new=frozenset({THERE}))
    assert case.tell("network", back, USED, relayed=False) == [Action.BEGIN]


def test_a_failed_offer_is_tried_again_ever_more_slowly_as_long_as_it_is_needed() -> None:
    case = Case()
    case.tell("silent")
    for _ in range(6):
        case.tell("offer_failed")
        case.run(LONGEST_RETRY_S)
    begun = case.times(Action.BEGIN)
    assert [round(later - earlier, 1) for earlier, later in itertools.pairwise(begun)] == [1, 5, 6, 4, 4, 4]
    case.tell("offer_failed")
    case.tell("recovered")
    assert Action.BEGIN not in case.run(100)
    assert case.policy.attempt is Attempt.IDLE


def test_what_was_heard_after_consent_ran_out_begins_at_once_or_hurries() -> None:
    case = Case()
    case.tell("silent")
    assert case.tell("reachable") == [Action.HURRY]
    case.run(20)
    case.tell("offer_failed")
    assert case.tell("reachable") == [Action.HURRY, Action.BEGIN]


def test_restarts_begin_no_closer_together_than_they_may() -> None:
    case = Case()
    case.tell("silent")
    for _ in range(5):
        case.tell("offer_failed")
        case.tell("reachable")
    assert case.times(Action.BEGIN) == [0.0]
    case.run(SPACING_S)
    assert case.times(Action.BEGIN) == [0.0, SPACING_S]


def test_an_address_lost_during_an_offer_makes_another_one_afterwards() -> None:
    case = Case()
    case.tell("silent")
    case.now += 1
    assert case.tell("network", REPLACED, USED, relayed=False) == [Action.HURRY]
    assert case.tell("agreed") == [Action.BEGIN]
    case.tell("agreed")
    case.tell("done")
    assert Action.BEGIN not in case.run(100)


def test_an_address_lost_during_the_checks_replaces_the_restart() -> None:
    case = Case()
    case.tell("silent")
    case.tell("agreed")
    case.now += 1
    assert case.tell("network", REPLACED, USED, relayed=False) == [Action.BEGIN]


def test_a_nat_that_forgot_does_not_make_the_same_restart_twice() -> None:
    """Our addresses are new, so the registrar sees us elsewhere a moment later: that is no further news."""
    for agreed in (False, True):
        case = Case()
        case.tell("network", REPLACED, USED, relayed=False)
        case.now += 1
        if agreed:
            case.tell("agreed")
        assert case.tell("remapped") == [Action.HURRY]
        case.tell("agreed")
        case.tell("done")
        case.run(100)
        assert case.times(Action.BEGIN) == [0.0]
        assert case.tell("remapped") == [Action.BEGIN]


def test_a_restart_that_only_might_help_is_asked_for_ever_more_seldom() -> None:
    """A relayed path works: a peer that always has an error is not asked every few seconds for an hour."""
    case = Case()
    new = NetworkChange(USED | {THERE}, new=frozenset({THERE}))
    case.tell("network", new, USED, relayed=True)
    while case.now < 100 + 600:
        case.tell("offer_failed")
        case.run(1)
    assert len(case.times(Action.BEGIN)) < 20
    case.tell("offer_failed")
    assert case.tell("silent") == []
    assert case.run(LONGEST_RETRY_S) == [Action.BEGIN]


def test_a_peer_that_restarts_without_end_has_to_wait() -> None:
    case = Case()
    served = 0
    for _ in range(1000):
        served += case.policy.may_peer_begin(case.now)
        case.now += 0.01
    assert PEER_RESTARTS <= served <= 3 * PEER_RESTARTS
    case.now += PEER_WINDOW_S
    assert case.policy.may_peer_begin(case.now)


def test_a_peer_that_does_not_restart_is_asked_again_only_for_a_reason_of_ours() -> None:
    case = Case()
    case.tell("silent")
    case.tell("refused")
    case.tell("recovered")
    assert case.tell("silent") == []
    assert Action.BEGIN not in case.run(30)
    assert case.tell("network", REPLACED, USED, relayed=False) == [Action.BEGIN]


def test_checks_that_find_nothing_are_begun_again_only_while_the_path_is_bad() -> None:
    case = Case()
    case.tell("silent")
    case.tell("agreed")
    assert case.run(CHECKS_S) == [Action.BEGIN]
    case.tell("agreed")
    case.tell("recovered")
    assert Action.BEGIN not in case.run(CHECKS_S)
    assert case.policy.attempt is Attempt.IDLE


def test_a_call_is_kept_as_long_as_patience_lasts() -> None:
    case = Case(patience_s=20.0)
    case.tell("silent")
    case.now += 1.3
    case.tell("interrupted")
    case.run(100)
    assert case.times(Action.END) == [pytest.approx(21.3)]
    assert case.tell("reachable") == []


@pytest.mark.parametrize("how", ["recovered", "done"])
def test_patience_begins_anew_with_each_interruption(how: str) -> None:
    case = Case(patience_s=20.0)
    case.tell("interrupted")
    case.run(15)
    case.tell("agreed")
    case.tell(how)
    case.run(100)
    case.tell("interrupted")
    case.run(15)
    assert case.times(Action.END) == []


def test_a_machine_with_loopback_alone_is_offline() -> None:
    assert NetworkChange(frozenset({"127.0.0.1", "::1"})).offline
    assert NetworkChange(frozenset()).offline
    assert not NetworkChange(frozenset({"127.0.0.1", HERE})).offline


def test_every_attempt_can_be_left_and_every_input_means_something() -> None:
    assert {state for state, _ in TABLE} == set(Attempt)
    assert {given for _, given in TABLE} == set(Input)
    for state in Attempt:
        assert any(after is not state for (before, _), (after, _) in TABLE.items() if before is state)


def test_a_call_changes_over_from_a_relay_to_a_direct_way_once() -> None:
    case = Case()
    assert case.tell("better") == [Action.BEGIN]
    case.tell("agreed")
    case.tell("done")
    case.run(60.0)
    assert case.tell("better") == []


def test_a_direct_way_that_the_peer_does_not_change_over_to_is_left_at_that() -> None:
    case = Case()
    case.tell("better")
    case.tell("offer_failed")
    assert case.run(60.0) == []
    assert case.policy.attempt is Attempt.IDLE
