"""The four transaction state machines of RFC 3261 section 17, with the corrections of RFC 6026, as tables.

Everything that decides stands in this file: (state, input) → (next state, actions). `app.sip.transactions` looks the
entries up and carries the actions out. An input that a state's row does not hold is absorbed: retransmissions,
late responses and timers that no longer matter have no effect.

RFC 6026 adds to the INVITE machines the state Accepted: after a 2xx the server transaction stays for timer L to absorb
retransmitted INVITEs, and the client transaction for timer M to hand every further 2xx (of other forks) to its user.
Timers A, E, G and the waits D, I, J, K are zero or absent over a reliable transport; that is the executor's business.
"""

from __future__ import annotations

from enum import StrEnum


class State(StrEnum):
    CALLING = "calling"  # INVITE client: sent, nothing heard
    TRYING = "trying"  # non-INVITE: sent or received, no response yet
    PROCEEDING = "proceeding"  # provisional responses only
    ACCEPTED = "accepted"  # INVITE: a 2xx has passed (RFC 6026)
    COMPLETED = "completed"  # a final response has passed; absorbing retransmissions
    CONFIRMED = "confirmed"  # INVITE server: the ACK for a 3xx–6xx has come
    TERMINATED = "terminated"


class Input(StrEnum):
    START = "start"
    # from the network
    REQUEST = "request"  # a retransmission of the request
    ACK = "ack"
    R1XX = "1xx"
    R2XX = "2xx"
    R3_6XX = "3xx-6xx"
    # from the user of a server transaction
    SEND_1XX = "send 1xx"
    SEND_2XX = "send 2xx"
    SEND_3_6XX = "send 3xx-6xx"
    # from elsewhere
    TRANSPORT_ERROR = "transport error"
    RETRANSMIT = "timer A/E/G"
    TIMEOUT = "timer B/F/H"
    LINGER_OVER = "timer D/I/J/K/L/M"
    TRYING_DUE = "200 ms without a response"


class Action(StrEnum):
    SEND = "send the request, or the newest response"
    SEND_TRYING = "send a 100 of our own"
    SEND_ACK = "acknowledge a 3xx–6xx"
    BACK_OFF = "double the retransmission interval and start it again"
    BACK_OFF_T2 = "as BACK_OFF, never above T2"
    WAIT_T2 = "retransmit every T2 from now on (timer E in Proceeding)"
    START_TRYING = "start the 200 ms before a 100"
    START_RETRANSMIT = "start retransmitting at T1"
    START_TIMEOUT = "start the 64*T1 limit"
    STOP_RETRANSMIT = "stop retransmitting"
    STOP_TIMEOUT = "stop the limit"
    STOP_TRYING = "no 100 any more"
    LINGER_D = "stay 32 s at least (unreliable) or not at all"
    LINGER_64T1 = "stay 64*T1, whatever the transport"
    LINGER_J = "stay 64*T1 (unreliable) or not at all"
    LINGER_T4 = "stay T4 (unreliable) or not at all"
    PASS = "hand the message to the user"
    REPORT_FINISHED = "tell the user that its refusal has been acknowledged"
    REPORT_TIMEOUT = "tell the user that nothing came"
    REPORT_TRANSPORT = "tell the user that it could not be sent"


Table = dict[tuple[State, Input], tuple[State, tuple[Action, ...]]]

_S, _I, _A = State, Input, Action

# Figure 5 of RFC 3261 with RFC 6026 figure 3. Timer B does not run in Proceeding: how long a phone may ring is the
# user's business (a proxy's timer C).
INVITE_CLIENT: Table = {
    (_S.CALLING, _I.START): (_S.CALLING, (_A.SEND, _A.START_RETRANSMIT, _A.START_TIMEOUT)),
    (_S.CALLING, _I.RETRANSMIT): (_S.CALLING, (_A.SEND, _A.BACK_OFF)),
    (_S.CALLING, _I.TIMEOUT): (_S.TERMINATED, (_A.REPORT_TIMEOUT,)),
    (_S.CALLING, _I.TRANSPORT_ERROR): (_S.TERMINATED, (_A.REPORT_TRANSPORT,)),
    (_S.CALLING, _I.R1XX): (_S.PROCEEDING, (_A.STOP_RETRANSMIT, _A.STOP_TIMEOUT, _A.PASS)),
    (_S.CALLING, _I.R2XX): (_S.ACCEPTED, (_A.STOP_RETRANSMIT, _A.STOP_TIMEOUT, _A.LINGER_64T1, _A.PASS)),
    (_S.CALLING, _I.R3_6XX): (
        _S.COMPLETED,
        (_A.STOP_RETRANSMIT, _A.STOP_TIMEOUT, _A.LINGER_D, _A.SEND_ACK, _A.PASS),
    ),
    (_S.PROCEEDING, _I.R1XX): (_S.PROCEEDING, (_A.PASS,)),
    (_S.PROCEEDING, _I.R2XX): (_S.ACCEPTED, (_A.STOP_TIMEOUT, _A.LINGER_64T1, _A.PASS)),
    (_S.PROCEEDING, _I.R3_6XX): (_S.COMPLETED, (_A.STOP_TIMEOUT, _A.LINGER_D, _A.SEND_ACK, _A.PASS)),
    # Not in the figure: the user of a transaction that it has cancelled, or a proxy's timer C, sets a limit here.
    (_S.PROCEEDING, _I.TIMEOUT): (_S.TERMINATED, (_A.REPORT_TIMEOUT,)),
    (_S.COMPLETED, _I.R3_6XX): (_S.COMPLETED, (_A.SEND_ACK,)),
    (_S.COMPLETED, _I.TRANSPORT_ERROR): (_S.TERMINATED, ()),
    (_S.COMPLETED, _I.LINGER_OVER): (_S.TERMINATED, ()),
    (_S.ACCEPTED, _I.R2XX): (_S.ACCEPTED, (_A.PASS,)),
    (_S.ACCEPTED, _I.LINGER_OVER): (_S.TERMINATED, ()),
}

# Figure 6.
NON_INVITE_CLIENT: Table = {
    (_S.TRYING, _I.START): (_S.TRYING, (_A.SEND, _A.START_RETRANSMIT, _A.START_TIMEOUT)),
    (_S.TRYING, _I.RETRANSMIT): (_S.TRYING, (_A.SEND, _A.BACK_OFF_T2)),
    (_S.TRYING, _I.TIMEOUT): (_S.TERMINATED, (_A.REPORT_TIMEOUT,)),
    (_S.TRYING, _I.TRANSPORT_ERROR): (_S.TERMINATED, (_A.REPORT_TRANSPORT,)),
    (_S.TRYING, _I.R1XX): (_S.PROCEEDING, (_A.WAIT_T2, _A.PASS)),
    (_S.TRYING, _I.R2XX): (_S.COMPLETED, (_A.STOP_RETRANSMIT, _A.STOP_TIMEOUT, _A.LINGER_T4, _A.PASS)),
    (_S.TRYING, _I.R3_6XX): (_S.COMPLETED, (_A.STOP_RETRANSMIT, _A.STOP_TIMEOUT, _A.LINGER_T4, _A.PASS)),
    (_S.PROCEEDING, _I.RETRANSMIT): (_S.PROCEEDING, (_A.SEND, _A.WAIT_T2)),
    (_S.PROCEEDING, _I.TIMEOUT): (_S.TERMINATED, (_A.REPORT_TIMEOUT,)),
    (_S.PROCEEDING, _I.TRANSPORT_ERROR): (_S.TERMINATED, (_A.REPORT_TRANSPORT,)),
    (_S.PROCEEDING, _I.R1XX): (_S.PROCEEDING, (_A.PASS,)),
    (_S.PROCEEDING, _I.R2XX): (_S.COMPLETED, (_A.STOP_RETRANSMIT, _A.STOP_TIMEOUT, _A.LINGER_T4, _A.PASS)),
    (_S.PROCEEDING, _I.R3_6XX): (_S.COMPLETED, (_A.STOP_RETRANSMIT, _A.STOP_TIMEOUT, _A.LINGER_T4, _A.PASS)),
    (_S.COMPLETED, _I.LINGER_OVER): (_S.TERMINATED, ()),
}

# Figure 7 with RFC 6026 figure 2. In Accepted the user retransmits its 2xx (section 13.3.1.4) through SEND_2XX.
INVITE_SERVER: Table = {
    (_S.PROCEEDING, _I.START): (_S.PROCEEDING, (_A.START_TRYING, _A.PASS)),
    (_S.PROCEEDING, _I.TRYING_DUE): (_S.PROCEEDING, (_A.SEND_TRYING,)),
    (_S.PROCEEDING, _I.REQUEST): (_S.PROCEEDING, (_A.SEND,)),
    (_S.PROCEEDING, _I.SEND_1XX): (_S.PROCEEDING, (_A.STOP_TRYING, _A.SEND)),
    (_S.PROCEEDING, _I.SEND_2XX): (_S.ACCEPTED, (_A.STOP_TRYING, _A.SEND, _A.LINGER_64T1)),
    (_S.PROCEEDING, _I.SEND_3_6XX): (
        _S.COMPLETED,
        (_A.STOP_TRYING, _A.SEND, _A.START_RETRANSMIT, _A.START_TIMEOUT),
    ),
    (_S.ACCEPTED, _I.SEND_2XX): (_S.ACCEPTED, (_A.SEND,)),
    (_S.ACCEPTED, _I.ACK): (_S.ACCEPTED, (_A.PASS,)),
    (_S.ACCEPTED, _I.LINGER_OVER): (_S.TERMINATED, ()),
    (_S.COMPLETED, _I.REQUEST): (_S.COMPLETED, (_A.SEND,)),
    (_S.COMPLETED, _I.RETRANSMIT): (_S.COMPLETED, (_A.SEND, _A.BACK_OFF_T2)),
    (_S.COMPLETED, _I.ACK): (
        _S.CONFIRMED,
        (_A.STOP_RETRANSMIT, _A.STOP_TIMEOUT, _A.LINGER_T4, _A.REPORT_FINISHED),
    ),
    (_S.COMPLETED, _I.TIMEOUT): (_S.TERMINATED, (_A.REPORT_TIMEOUT,)),
    (_S.COMPLETED, _I.TRANSPORT_ERROR): (_S.TERMINATED, (_A.REPORT_TRANSPORT,)),
    (_S.CONFIRMED, _I.LINGER_OVER): (_S.TERMINATED, ()),
}

# Figure 8.
NON_INVITE_SERVER: Table = {
    (_S.TRYING, _I.START): (_S.TRYING, (_A.PASS,)),
    (_S.TRYING, _I.SEND_1XX): (_S.PROCEEDING, (_A.SEND,)),
    (_S.TRYING, _I.SEND_2XX): (_S.COMPLETED, (_A.SEND, _A.LINGER_J)),
    (_S.TRYING, _I.SEND_3_6XX): (_S.COMPLETED, (_A.SEND, _A.LINGER_J)),
    (_S.PROCEEDING, _I.REQUEST): (_S.PROCEEDING, (_A.SEND,)),
    (_S.PROCEEDING, _I.SEND_1XX): (_S.PROCEEDING, (_A.SEND,)),
    (_S.PROCEEDING, _I.SEND_2XX): (_S.COMPLETED, (_A.SEND, _A.LINGER_J)),
    (_S.PROCEEDING, _I.SEND_3_6XX): (_S.COMPLETED, (_A.SEND, _A.LINGER_J)),
    (_S.PROCEEDING, _I.TRANSPORT_ERROR): (_S.TERMINATED, (_A.REPORT_TRANSPORT,)),
    (_S.COMPLETED, _I.REQUEST): (_S.COMPLETED, (_A.SEND,)),
    (_S.COMPLETED, _I.TRANSPORT_ERROR): (_S.TERMINATED, (_A.REPORT_TRANSPORT,)),
    (_S.COMPLETED, _I.LINGER_OVER): (_S.TERMINATED, ()),
}
