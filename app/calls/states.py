"""The life of a call as one table: (state, input) -> (state, actions).

Everything that decides what a call does next stands here; call.py only feeds inputs and carries out actions.
The steps R1 to R12 of docs/call-flow.md are noted at their rows. Both roles share the table: the caller enters by
PLACED, the callee by INVITED, and their rows meet at CONNECTED. An input that a state does not hold is an error
with a name, except the late ones listed in IGNORED, which a race on the wire can always deliver.
"""

from __future__ import annotations

from enum import StrEnum

from app.events import CallState as S


class Input(StrEnum):
    """What can happen to a call."""

    GATHERED = "gathered"  # local candidates are there
    GATHERED_PLAIN = "gathered plain"  # callee: the offer has no ICE, so nothing can be checked before pick-up
    DESCRIBED = "described"  # caller: a provisional response carried the answer
    PATH_READY = "path ready"  # pair nominated and media keys agreed
    PATH_FAILED = "path failed"  # no pair worked, or the keys could not be agreed
    ALERTED = "alerted"  # caller: 180
    ANSWERED = "answered"  # caller: 200, the path is not ready yet
    ANSWERED_READY = "answered, path ready"  # caller: 200, the path is ready
    PICKED_UP = "picked up"  # callee: the person answered
    ACKNOWLEDGED = "acknowledged"  # callee: ACK came, the path is ready
    ACKNOWLEDGED_EARLY = "acknowledged, no path"  # callee: ACK came before the path was ready
    DECLINED = "declined"  # callee: the person declined, is busy, or does not answer
    HUNG_UP = "hung up"  # the person hung up (either role, any moment)
    REFUSED = "refused"  # caller: a final response other than 2xx
    CANCELLED = "cancelled"  # callee: CANCEL came
    BYE = "bye"  # the peer hung up
    SIGNALLING_FAILED = "signalling failed"  # no answer at all, no ACK, transport gone
    PATH_INTERRUPTED = "path interrupted"
    PATH_RECOVERED = "path recovered"
    PATH_LOST = "path lost"
    FINISHED = "finished"  # the last transaction of an ending call is done, or its time is up


class Action(StrEnum):
    """What the call does on the way."""

    SEND_INVITE = "send INVITE"  # R2
    SEND_PROGRESS = "send reliable 183"  # R4
    CONNECT = "start checks and agree on keys"  # R5
    ALERT = "send 180 and ring"  # R6
    SEND_ACCEPT = "send 200"  # R7
    OPEN_GATE = "let sound and picture out"  # R12
    ALIGN = "re-INVITE when the selected pair is not in m/c"  # R9
    SEND_CANCEL = "send CANCEL"
    SEND_BYE = "send BYE"
    SEND_REFUSAL = "send the refusal"
    FINISH = "free everything"


A = Action
I = Input  # noqa: E741

Row = tuple[S, tuple[Action, ...]]

_CALLER: dict[tuple[S, Input], Row] = {
    (S.GATHERING, I.GATHERED): (S.INVITING, (A.SEND_INVITE,)),  # R1, R2
    (S.GATHERING, I.HUNG_UP): (S.ENDED, (A.FINISH,)),
    (S.GATHERING, I.PATH_FAILED): (S.ENDED, (A.FINISH,)),
    (S.GATHERING, I.SIGNALLING_FAILED): (S.ENDED, (A.FINISH,)),
    (S.INVITING, I.DESCRIBED): (S.CONNECTING, (A.CONNECT,)),  # R4, R5
    (S.INVITING, I.ALERTED): (S.RINGING, ()),  # a peer that answers only in its 200
    (S.INVITING, I.ANSWERED): (S.ANSWERING, (A.CONNECT,)),
    (S.INVITING, I.ANSWERED_READY): (S.ANSWERING, (A.CONNECT,)),
    (S.INVITING, I.PATH_FAILED): (S.ENDING, (A.SEND_CANCEL,)),
    (S.INVITING, I.REFUSED): (S.ENDED, (A.FINISH,)),
    (S.INVITING, I.BYE): (S.ENDED, (A.FINISH,)),  # a far end that ends its early dialog
    (S.INVITING, I.FINISHED): (S.ENDED, (A.FINISH,)),
    (S.INVITING, I.HUNG_UP): (S.ENDING, (A.SEND_CANCEL,)),
    (S.INVITING, I.SIGNALLING_FAILED): (S.ENDED, (A.FINISH,)),
    (S.CONNECTING, I.DESCRIBED): (S.CONNECTING, (A.CONNECT,)),  # a further fork leg
    (S.CONNECTING, I.ALERTED): (S.RINGING, ()),  # R6 seen from the caller
    (S.CONNECTING, I.ANSWERED): (S.ANSWERING, (A.CONNECT,)),
    (S.CONNECTING, I.ANSWERED_READY): (S.CONNECTED, (A.OPEN_GATE, A.ALIGN)),
    (S.CONNECTING, I.REFUSED): (S.ENDED, (A.FINISH,)),
    (S.RINGING, I.DESCRIBED): (S.RINGING, (A.CONNECT,)),
    (S.RINGING, I.ALERTED): (S.RINGING, ()),
    (S.RINGING, I.PATH_READY): (S.RINGING, ()),
    (S.RINGING, I.ANSWERED): (S.ANSWERING, (A.CONNECT,)),
    (S.RINGING, I.ANSWERED_READY): (S.CONNECTED, (A.OPEN_GATE, A.ALIGN)),  # R7, R9, R12
    (S.RINGING, I.REFUSED): (S.ENDED, (A.FINISH,)),
}

_CALLEE: dict[tuple[S, Input], Row] = {
    (S.PREPARING, I.GATHERED): (S.CONNECTING, (A.SEND_PROGRESS, A.CONNECT)),  # R3, R4, R5
    (S.PREPARING, I.GATHERED_PLAIN): (S.RINGING, (A.ALERT,)),  # nothing to check: ring at once
    (S.PREPARING, I.PATH_FAILED): (S.ENDED, (A.SEND_REFUSAL, A.FINISH)),
    (S.PREPARING, I.DECLINED): (S.ENDED, (A.SEND_REFUSAL, A.FINISH)),
    (S.PREPARING, I.HUNG_UP): (S.ENDED, (A.SEND_REFUSAL, A.FINISH)),
    (S.PREPARING, I.CANCELLED): (S.ENDED, (A.FINISH,)),
    (S.PREPARING, I.SIGNALLING_FAILED): (S.ENDED, (A.FINISH,)),
    (S.PREPARING, I.FINISHED): (S.ENDED, (A.FINISH,)),
    (S.RINGING, I.PICKED_UP): (S.ANSWERING, (A.SEND_ACCEPT, A.CONNECT, A.OPEN_GATE)),  # R7, R12
    (S.RINGING, I.DECLINED): (S.ENDED, (A.SEND_REFUSAL, A.FINISH)),
    (S.RINGING, I.CANCELLED): (S.ENDED, (A.FINISH,)),
    (S.CONNECTING, I.DECLINED): (S.ENDED, (A.SEND_REFUSAL, A.FINISH)),
    (S.CONNECTING, I.CANCELLED): (S.ENDED, (A.FINISH,)),
    (S.ANSWERING, I.ACKNOWLEDGED): (S.CONNECTED, ()),  # R8
    (S.ANSWERING, I.ACKNOWLEDGED_EARLY): (S.ANSWERING, ()),
    (S.ANSWERING, I.CANCELLED): (S.ENDED, (A.FINISH,)),  # the 200 still waited for the PRACK of the 183
}

# Rows whose actions depend on who called: the refusal of a callee, the CANCEL of a caller.
_BY_ROLE: dict[tuple[bool, S, Input], Row] = {
    (True, S.CONNECTING, I.PATH_READY): (S.CONNECTING, ()),
    (False, S.CONNECTING, I.PATH_READY): (S.RINGING, (A.ALERT,)),  # R6: only after the checks
    (True, S.CONNECTING, I.PATH_FAILED): (S.ENDING, (A.SEND_CANCEL,)),
    (False, S.CONNECTING, I.PATH_FAILED): (S.ENDED, (A.SEND_REFUSAL, A.FINISH)),  # nobody rings
    (True, S.CONNECTING, I.PATH_LOST): (S.ENDING, (A.SEND_CANCEL,)),
    (False, S.CONNECTING, I.PATH_LOST): (S.ENDED, (A.SEND_REFUSAL, A.FINISH)),
    (True, S.CONNECTING, I.HUNG_UP): (S.ENDING, (A.SEND_CANCEL,)),
    (False, S.CONNECTING, I.HUNG_UP): (S.ENDED, (A.SEND_REFUSAL, A.FINISH)),
    (True, S.RINGING, I.PATH_FAILED): (S.ENDING, (A.SEND_CANCEL,)),
    (False, S.RINGING, I.PATH_FAILED): (S.ENDED, (A.SEND_REFUSAL, A.FINISH)),
    (True, S.RINGING, I.PATH_LOST): (S.ENDING, (A.SEND_CANCEL,)),
    (False, S.RINGING, I.PATH_LOST): (S.ENDED, (A.SEND_REFUSAL, A.FINISH)),
    (True, S.RINGING, I.HUNG_UP): (S.ENDING, (A.SEND_CANCEL,)),
    (False, S.RINGING, I.HUNG_UP): (S.ENDED, (A.SEND_REFUSAL, A.FINISH)),
    (True, S.ANSWERING, I.PATH_READY): (S.CONNECTED, (A.OPEN_GATE, A.ALIGN)),
    (False, S.ANSWERING, I.PATH_READY): (S.ANSWERING, ()),  # its ACK may still be on the way
}

# FINISHED in a living state: the session is closed although nobody said goodbye, as when the endpoint closes.
_BOTH: dict[tuple[S, Input], Row] = {
    (S.CONNECTING, I.SIGNALLING_FAILED): (S.ENDED, (A.FINISH,)),
    (S.CONNECTING, I.BYE): (S.ENDED, (A.FINISH,)),
    (S.CONNECTING, I.FINISHED): (S.ENDED, (A.FINISH,)),
    (S.RINGING, I.SIGNALLING_FAILED): (S.ENDED, (A.FINISH,)),
    (S.RINGING, I.BYE): (S.ENDED, (A.FINISH,)),
    (S.RINGING, I.FINISHED): (S.ENDED, (A.FINISH,)),
    (S.RINGING, I.PATH_INTERRUPTED): (S.RINGING, ()),
    (S.RINGING, I.PATH_RECOVERED): (S.RINGING, ()),
    (S.ANSWERING, I.PATH_FAILED): (S.ENDING, (A.SEND_BYE,)),
    (S.ANSWERING, I.PATH_LOST): (S.ENDING, (A.SEND_BYE,)),
    (S.ANSWERING, I.PATH_INTERRUPTED): (S.ANSWERING, ()),
    (S.ANSWERING, I.PATH_RECOVERED): (S.ANSWERING, ()),
    (S.ANSWERING, I.HUNG_UP): (S.ENDING, (A.SEND_BYE,)),
    (S.ANSWERING, I.BYE): (S.ENDED, (A.FINISH,)),
    (S.ANSWERING, I.SIGNALLING_FAILED): (S.ENDED, (A.FINISH,)),
    (S.ANSWERING, I.FINISHED): (S.ENDED, (A.FINISH,)),
    (S.CONNECTED, I.HUNG_UP): (S.ENDING, (A.SEND_BYE,)),
    (S.CONNECTED, I.BYE): (S.ENDED, (A.FINISH,)),
    (S.CONNECTED, I.PATH_READY): (S.CONNECTED, ()),
    (S.CONNECTED, I.PATH_INTERRUPTED): (S.INTERRUPTED, ()),
    (S.CONNECTED, I.PATH_LOST): (S.ENDING, (A.SEND_BYE,)),
    (S.CONNECTED, I.PATH_FAILED): (S.ENDING, (A.SEND_BYE,)),
    (S.CONNECTED, I.SIGNALLING_FAILED): (S.ENDED, (A.FINISH,)),
    (S.CONNECTED, I.FINISHED): (S.ENDED, (A.FINISH,)),
    (S.INTERRUPTED, I.PATH_RECOVERED): (S.CONNECTED, ()),
    (S.INTERRUPTED, I.PATH_INTERRUPTED): (S.INTERRUPTED, ()),
    (S.INTERRUPTED, I.HUNG_UP): (S.ENDING, (A.SEND_BYE,)),
    (S.INTERRUPTED, I.BYE): (S.ENDED, (A.FINISH,)),
    (S.INTERRUPTED, I.PATH_LOST): (S.ENDING, (A.SEND_BYE,)),
    (S.INTERRUPTED, I.PATH_FAILED): (S.ENDING, (A.SEND_BYE,)),
    (S.INTERRUPTED, I.SIGNALLING_FAILED): (S.ENDED, (A.FINISH,)),
    (S.INTERRUPTED, I.FINISHED): (S.ENDED, (A.FINISH,)),
    (S.ENDING, I.FINISHED): (S.ENDED, (A.FINISH,)),
    (S.ENDING, I.REFUSED): (S.ENDED, (A.FINISH,)),  # the 487 that ends a CANCEL
    (S.ENDING, I.BYE): (S.ENDED, (A.FINISH,)),
    (S.ENDING, I.SIGNALLING_FAILED): (S.ENDED, (A.FINISH,)),
    (S.ENDING, I.ANSWERED): (S.ENDING, (A.SEND_BYE,)),  # the 200 crossed the CANCEL: RFC 3261 section 9.1
    (S.ENDING, I.ANSWERED_READY): (S.ENDING, (A.SEND_BYE,)),
}

TABLE: dict[tuple[bool, S, Input], Row] = (
    {(True, state, given): row for (state, given), row in (_CALLER | _BOTH).items()}
    | {(False, state, given): row for (state, given), row in (_CALLEE | _BOTH).items()}
    | _BY_ROLE
)

# What a race on the wire, a timer or a late click can still deliver, without meaning anything any more.
_LATE_ANYWHERE = frozenset({I.PATH_READY, I.PATH_RECOVERED, I.ALERTED, I.ACKNOWLEDGED_EARLY})
IGNORED: dict[S, frozenset[Input]] = {
    S.ENDED: frozenset(Input),
    S.ENDING: frozenset(Input),
    S.GATHERING: frozenset({I.PATH_INTERRUPTED, I.PATH_RECOVERED}),
    S.INVITING: frozenset({I.PATH_INTERRUPTED, I.PATH_RECOVERED}),
    S.PREPARING: frozenset({I.PATH_INTERRUPTED, I.PATH_RECOVERED}),
    S.CONNECTING: frozenset({I.PATH_INTERRUPTED, I.PATH_RECOVERED}),
    S.RINGING: frozenset({I.PATH_READY, I.DESCRIBED}),
    S.ANSWERING: frozenset({I.DESCRIBED, I.ALERTED, I.ANSWERED, I.ANSWERED_READY}),
    S.CONNECTED: _LATE_ANYWHERE | {I.DESCRIBED, I.ANSWERED, I.ANSWERED_READY, I.ACKNOWLEDGED},
    S.INTERRUPTED: _LATE_ANYWHERE | {I.DESCRIBED, I.ANSWERED, I.ANSWERED_READY, I.ACKNOWLEDGED},
}


class UnexpectedInput(Exception):
    """The table has no row for this input in this state: a defect here, never a peer's doing."""


def next_step(is_caller: bool, state: S, given: Input) -> Row | None:
    """Look up what follows; None for a late input that means nothing any more; UnexpectedInput otherwise."""
    row = TABLE.get((is_caller, state, given))
    if row is not None:
        return row
    if given in IGNORED.get(state, frozenset()):
        return None
    role = "caller" if is_caller else "callee"
    raise UnexpectedInput(f"a {role} in state {state} has no row for {given}")
