"""The table of a call: what the rows promise, walked as two people would."""

from __future__ import annotations

import pytest

from app.calls.states import IGNORED, TABLE, Action, Input, UnexpectedInput, next_step
from app.events import CallState


def walk(is_caller: bool, state: CallState, *inputs: Input) -> tuple[list[CallState], list[Action]]:
    states, actions = [state], []
    for given in inputs:
        row = next_step(is_caller, states[-1], given)
        assert row is not None, f"{given} is ignored in {states[-1]}"
        states.append(row[0])
        actions += row[1]
    return states, actions


def test_caller_from_click_to_voice() -> None:
    states, actions = walk(
        True,
        CallState.GATHERING,
        Input.GATHERED,
        Input.DESCRIBED,
        Input.PATH_READY,
        Input.ALERTED,
        Input.ANSWERED_READY,
        Input.HUNG_UP,
        Input.FINISHED,
    )
    assert states[-3:] == [CallState.CONNECTED, CallState.ENDING, CallState.ENDED]
    assert actions == [
        Action.SEND_INVITE,
        Action.CONNECT,
        Action.OPEN_GATE,
        Action.ALIGN,
        Action.SEND_BYE,
        Action.FINISH,
    ]


def test_callee_rings_only_after_the_path_is_ready() -> None:
    states, actions = walk(False, CallState.PREPARING, Input.GATHERED, Input.PATH_READY)
    assert states == [CallState.PREPARING, CallState.CONNECTING, CallState.RINGING]
    assert actions == [Action.SEND_PROGRESS, Action.CONNECT, Action.ALERT]


def test_failed_checks_ring_nobody() -> None:
    states, actions = walk(False, CallState.PREPARING, Input.GATHERED, Input.PATH_FAILED)
    assert CallState.RINGING not in states
    assert actions[-2:] == [Action.SEND_REFUSAL, Action.FINISH]


def test_nothing_leaves_before_pick_up() -> None:
    """The gate is opened only on the way out of ringing, answering or connecting with an answer."""
    openers = {key for key, (_, actions) in TABLE.items() if Action.OPEN_GATE in actions}
    assert all(given in (Input.PICKED_UP, Input.ANSWERED_READY, Input.PATH_READY) for _, _, given in openers)
    assert (True, CallState.CONNECTING, Input.PATH_READY) not in openers
    assert (False, CallState.CONNECTING, Input.PATH_READY) not in openers


@pytest.mark.parametrize("is_caller", [True, False])
def test_every_living_state_can_be_hung_up_and_ends(is_caller: bool) -> None:
    reachable = {state for caller, state, _ in TABLE if caller is is_caller} - {CallState.ENDING}
    for state in reachable:
        row = next_step(is_caller, state, Input.HUNG_UP)
        assert row is not None, state
        if row[0] is CallState.ENDING:
            row = next_step(is_caller, CallState.ENDING, Input.FINISHED)
        assert row is not None
        assert row[0] is CallState.ENDED
        assert Action.FINISH in row[1]


def test_every_row_into_ended_frees_everything() -> None:
    assert all(Action.FINISH in actions for state, actions in TABLE.values() if state is CallState.ENDED)


def test_a_200_that_crosses_the_cancel_is_hung_up() -> None:
    assert next_step(True, CallState.ENDING, Input.ANSWERED) == (CallState.ENDING, (Action.SEND_BYE,))


def test_what_the_table_does_not_hold_is_an_error_with_a_name() -> None:
    with pytest.raises(UnexpectedInput, match="callee in state preparing has no row for answered"):
        next_step(False, CallState.PREPARING, Input.ANSWERED)


def test_an_ended_call_takes_anything_and_does_nothing() -> None:
    assert all(next_step(True, CallState.ENDED, given) is None for given in Input)
    assert IGNORED[CallState.ENDED] == frozenset(Input)
