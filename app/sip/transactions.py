"""The transaction layer (RFC 3261 section 17, RFC 6026): matches messages to transactions and runs their tables.

Used by the user agent and by a stateful proxy alike, so it knows neither dialogs nor sockets. Everything comes in as a
call with the time `now`; everything that must happen comes out of `take()` in order. The machines themselves stand in
app/sip/transaction_tables.py.
"""

from __future__ import annotations

import logging
import random
from collections import Counter, deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from app.settings import HostPort
from app.sip import transaction_tables as tables
from app.sip.editing import (
    ack_for_refusal,
    build_cancel,
    learn_source,
    merge_key,
    new_branch,
    push_via,
    reply_hop,
    response_key,
    same_sent_by,
    server_key,
)
from app.sip.hops import Hop
from app.sip.message import Request, Response, response_to
from app.sip.timers import TimerQueue, Timers
from app.sip.transaction_tables import Action, Input, State
from app.sip.transaction_types import (
    TIMED_OUT,
    TRANSPORT,
    AckArrived,
    ClientTransaction,
    Finished,
    Output,
    RequestArrived,
    ResponseArrived,
    Send,
    ServerTransaction,
    Transaction,
    TransactionEnded,
    TransactionFailed,
)

log = logging.getLogger(__name__)


@dataclass(slots=True)
class TransactionLayer:
    """All transactions of one element.

    `max_server` bounds what strangers can open. Beyond it the oldest transaction that only lingers is forgotten early,
    and where there is none, the new request gets a stateless 503.
    """

    timers: Timers = field(default_factory=Timers)
    rng: random.Random = field(default_factory=random.SystemRandom)
    max_server: int = 1000
    counters: Counter[str] = field(default_factory=Counter)
    _outputs: deque[Output] = field(default_factory=deque)
    _queue: TimerQueue = field(default_factory=TimerQueue)
    _clients: dict[tuple[str, ...], ClientTransaction] = field(default_factory=dict)
    _servers: dict[tuple[str, ...], ServerTransaction] = field(default_factory=dict)
    _by_number: dict[int, Transaction] = field(default_factory=dict)
    _merged: Counter[tuple[str, ...]] = field(default_factory=Counter)
    _answered: dict[int, ServerTransaction] = field(default_factory=dict)  # oldest first; only lingering
    _slow: dict[HostPort, dict[int, ClientTransaction]] = field(default_factory=dict)  # unanswered for a second or more
    _numbers: count[int] = field(default_factory=lambda: count(1))

    # In --------------------------------------------------------

    def receive(self, message: Request | Response, source: Hop, now: float) -> None:
        """Take a parsed message that came from `source`; its top Via learns received and rport (RFC 3581)."""
        if isinstance(message, Response):
            self._receive_response(message, source, now)
        else:
            learn_source(message, source)
            self._receive_request(message, source, now)
        if source.remote in self._slow:
            self.hurry(now, source.remote)  # it is heard again, so it may hear us again

    def handle_timeout(self, now: float) -> None:
        self._queue.run_due(now)

    def next_timeout(self) -> float | None:
        """When handle_timeout() wants to be called next; None: not before something arrives."""
        return self._queue.next()

    def hurry(self, now: float, toward: HostPort | None = None) -> None:
        """Send requests that nobody has answered again at once, and from the shortest interval on.

        For when a network is back: the next regular time may be 16 s away. With `toward` only those to that place that
        have been silent for a while.
        """
        slow = self._slow.get(toward, {}) if toward is not None else self._clients
        for transaction in tuple(slow.values()):
            if (transaction.number, "retransmit") in self._queue:
                transaction.interval_s = self.timers.t1_s / 2
                self._feed(transaction, Input.RETRANSMIT, now)

    def say_again(self) -> None:
        """Repeat INVITEs that ring, once: from our new address or over a new connection, so that the answer finds us.

        A response goes where its request came from (RFC 3261 section 18.2.2); a repeated one is absorbed (17.2.1).
        """
        for transaction in tuple(self._clients.values()):
            if transaction.is_invite and transaction.state is State.PROCEEDING:
                self._outputs.append(Send(transaction.request, transaction.hop, transaction.number))

    def send_failed(self, number: int, now: float, detail: str = "") -> None:
        """What transaction `number` sent could not be delivered to the next hop."""
        transaction = self._by_number.get(number)
        if transaction is not None:
            self._feed(transaction, Input.TRANSPORT_ERROR, now, detail=detail)

    def take(self) -> Iterable[Output]:
        """Drain the outputs; those caused while draining come too."""
        while self._outputs:
            yield self._outputs.popleft()

    # For the user --------------------------------------------------------

    def send_request(
        self, request: Request, hop: Hop, now: float, *, branch: str | None = None, user: Any = None
    ) -> ClientTransaction:
        """Send a copy of `request` with our Via on top. `hop.local` must be set: it becomes the sent-by."""
        return self._start_client(push_via(request, hop, branch or new_branch(self.rng)), hop, now, user)

    def send_stateless(self, message: Request | Response, hop: Hop) -> None:
        """Send a message that no transaction watches: the ACK of a 2xx, a stateless refusal, a forwarded response.

        A request must carry its Via already.
        """
        self._outputs.append(Send(message, hop, None))

    def cancel(
        self, transaction: ClientTransaction, now: float, headers: Iterable[tuple[str, str]] = ()
    ) -> ClientTransaction:
        """Send the CANCEL of an INVITE (section 9.1); the caller has seen to it that a 1xx came before.

        If nothing final arrives within 64*T1 the INVITE transaction fails with TIMED_OUT.
        """
        self.limit(transaction, now + self.timers.timeout_s)
        return self._start_client(build_cancel(transaction.request, headers), transaction.hop, now, transaction.user)

    def withdraw(self, transaction: ClientTransaction, now: float) -> None:
        """Ask no more: CANCEL where something was heard of it, silence where nothing was."""
        if transaction.state is State.PROCEEDING:
            self.cancel(transaction, now)
        elif transaction.state is State.CALLING:
            transaction.state = State.TERMINATED
            self._forget(transaction)

    def limit(self, transaction: ClientTransaction, at: float) -> None:
        """End an INVITE that is still ringing at `at` with TIMED_OUT (a proxy's timer C, or after a CANCEL)."""
        self._queue.set((transaction.number, "limit"), at, lambda now: self._feed(transaction, Input.TIMEOUT, now))

    def respond(self, transaction: ServerTransaction, response: Response, now: float) -> bool:
        """Send `response`; False when the transaction can no longer send it (a final one has gone out)."""
        allowed = (transaction.state, _SEND_INPUT[_status_class(response.status)]) in transaction.table
        if allowed:
            transaction.response = response
            self._feed(transaction, _SEND_INPUT[_status_class(response.status)], now)
        return allowed

    def invite_of(self, cancel: Request) -> ServerTransaction | None:
        """The INVITE server transaction that this CANCEL is about (section 9.2)."""
        return self._servers.get(server_key(cancel, method="INVITE"))

    def is_merged(self, transaction: ServerTransaction) -> bool:
        """Whether the same request has also come over another path (section 8.2.2.2)."""
        return self._merged[transaction.merge] > 1

    def __len__(self) -> int:
        return len(self._by_number)

    # Matching --------------------------------------------------------

    def _receive_response(self, response: Response, source: Hop, now: float) -> None:
        transaction = self._clients.get(response_key(response))
        if transaction is None:
            self.counters["responses_unmatched"] += 1
            self._outputs.append(ResponseArrived(None, response, source))
        elif not same_sent_by(response, transaction.request):
            self.counters["responses_not_ours"] += 1
            log.debug("%r: dropped a response whose Via is not ours", transaction)
        else:
            transaction.response = response
            self._feed(transaction, _RESPONSE_INPUT[_status_class(response.status)], now, response, source)

    def _receive_request(self, request: Request, source: Hop, now: float) -> None:
        key = server_key(request, method="INVITE" if request.method == "ACK" else request.method)
        transaction = self._servers.get(key)
        if request.method == "ACK":
            if transaction is None or not self._feed(transaction, Input.ACK, now, request, source):
                self._outputs.append(AckArrived(request, source, None))
        elif transaction is not None:
            self.counters["requests_repeated"] += 1
            transaction.hop = reply_hop(request, source)  # it may have moved to another network meanwhile
            self._feed(transaction, Input.REQUEST, now, request, source)
        elif len(self._servers) >= self.max_server and not self._make_room():
            self.counters["requests_over_limit"] += 1
            refusal = response_to(request, 503, to_tag=new_branch(self.rng)[-8:])
            refusal.headers.set("Retry-After", "10")
            self.send_stateless(refusal, reply_hop(request, source))
        else:
            self._start_server(key, request, source, now)

    def _start_client(self, request: Request, hop: Hop, now: float, user: Any) -> ClientTransaction:
        invite = request.method == "INVITE"
        transaction = ClientTransaction(
            next(self._numbers),
            (request.top_via.branch or "", request.method),
            request,
            hop,
            tables.INVITE_CLIENT if invite else tables.NON_INVITE_CLIENT,
            State.CALLING if invite else State.TRYING,
            user=user,
        )
        self._clients[transaction.key] = transaction
        self._by_number[transaction.number] = transaction
        self._feed(transaction, Input.START, now)
        return transaction

    def _start_server(self, key: tuple[str, ...], request: Request, source: Hop, now: float) -> None:
        invite = request.method == "INVITE"
        transaction = ServerTransaction(
            next(self._numbers),
            key,
            request,
            reply_hop(request, source),
            tables.INVITE_SERVER if invite else tables.NON_INVITE_SERVER,
            State.PROCEEDING if invite else State.TRYING,
            source=source,
            merge=merge_key(request),
        )
        self._servers[key] = transaction
        self._by_number[transaction.number] = transaction
        self._merged[transaction.merge] += 1
        self._feed(transaction, Input.START, now, request, source)

    def _make_room(self) -> bool:
        """Forget the oldest transaction whose final response is out; all it could still do is repeat it."""
        if not self._answered:
            return False
        transaction = next(iter(self._answered.values()))
        self.counters["transactions_cut_short"] += 1
        if transaction.is_invite and transaction.state is State.COMPLETED:
            self._outputs.append(TransactionFailed(transaction, TIMED_OUT))
        transaction.state = State.TERMINATED
        self._forget(transaction)
        return True

    def _forget(self, transaction: Transaction) -> None:
        for name in ("retransmit", "timeout", "limit", "linger", "trying"):
            self._queue.cancel((transaction.number, name))
        self._by_number.pop(transaction.number, None)
        if isinstance(transaction, ServerTransaction):
            self._servers.pop(transaction.key, None)
            self._answered.pop(transaction.number, None)
            self._merged[transaction.merge] -= 1
            if self._merged[transaction.merge] <= 0:
                del self._merged[transaction.merge]
        else:
            self._clients.pop(transaction.key, None)
            self._no_longer_slow(transaction)
        self._outputs.append(TransactionEnded(transaction))

    def _note_slow(self, transaction: Transaction) -> None:
        """Keep in mind whom to ask again as soon as anything is heard from there."""
        if isinstance(transaction, ClientTransaction):
            unanswered = transaction.state in (State.CALLING, State.TRYING)
            if unanswered and transaction.interval_s >= 2 * self.timers.t1_s:
                self._slow.setdefault(transaction.hop.remote, {})[transaction.number] = transaction
            else:
                self._no_longer_slow(transaction)

    def _no_longer_slow(self, transaction: Transaction) -> None:
        there = self._slow.get(transaction.hop.remote)
        if there is not None and there.pop(transaction.number, None) is not None and not there:
            del self._slow[transaction.hop.remote]

    # The executor --------------------------------------------------------

    def _feed(
        self,
        transaction: Transaction,
        what: Input,
        now: float,
        message: Request | Response | None = None,
        source: Hop | None = None,
        detail: str = "",
    ) -> bool:
        """Look (state, input) up and do what stands there; False when it is absorbed."""
        entry = transaction.table.get((transaction.state, what))
        if entry is None or transaction.over:
            return False
        following, actions = entry
        if following is not transaction.state:
            log.debug("%r --%s--> %s", transaction, what, following)
        transaction.state = following
        if following is State.COMPLETED and isinstance(transaction, ServerTransaction):
            self._answered.setdefault(transaction.number, transaction)
        for action in actions:
            if action is Action.PASS:
                self._pass(transaction, message, source)
            elif action is Action.REPORT_FINISHED and isinstance(transaction, ServerTransaction):
                self._outputs.append(Finished(transaction))
            elif action is Action.REPORT_TIMEOUT:
                self._outputs.append(TransactionFailed(transaction, TIMED_OUT))
            elif action is Action.REPORT_TRANSPORT:
                self._outputs.append(TransactionFailed(transaction, TRANSPORT, detail))
            else:
                _ACTIONS[action](self, transaction, now)
        if transaction.over:
            self._forget(transaction)
        return True

    def _pass(self, transaction: Transaction, message: Request | Response | None, source: Hop | None) -> None:
        hop = source or transaction.hop
        if isinstance(transaction, ClientTransaction) and isinstance(message, Response):
            self._outputs.append(ResponseArrived(transaction, message, hop))
        elif isinstance(transaction, ServerTransaction) and isinstance(message, Request):
            if message.method == "ACK":
                self._outputs.append(AckArrived(message, hop, transaction))
            else:
                self._outputs.append(RequestArrived(transaction, message, hop))

    def _send(self, transaction: Transaction, now: float) -> None:
        message: Request | Response | None = transaction.request
        if isinstance(transaction, ServerTransaction):
            message = transaction.response
        if message is not None:
            self._outputs.append(Send(message, transaction.hop, transaction.number))

    def _send_trying(self, transaction: Transaction, now: float) -> None:
        if isinstance(transaction, ServerTransaction) and transaction.response is None:
            transaction.response = response_to(transaction.request, 100)
            self._send(transaction, now)

    def _send_ack(self, transaction: Transaction, now: float) -> None:
        if isinstance(transaction, ClientTransaction) and transaction.response is not None:
            ack = ack_for_refusal(transaction.request, transaction.response)
            self._outputs.append(Send(ack, transaction.hop, transaction.number))

    def _start_retransmit(self, transaction: Transaction, now: float) -> None:
        """Timers A and E run over UDP only; timer G too (a reliable transport delivers the 3xx–6xx by itself)."""
        self._retransmit_after(transaction, self.timers.t1_s, now)

    def _retransmit_after(self, transaction: Transaction, interval_s: float, now: float) -> None:
        if transaction.hop.reliable:
            return
        transaction.interval_s = interval_s
        self._note_slow(transaction)
        self._set(transaction, "retransmit", now + interval_s, Input.RETRANSMIT)

    def _back_off(self, transaction: Transaction, now: float) -> None:
        self._retransmit_after(transaction, transaction.interval_s * 2, now)

    def _back_off_t2(self, transaction: Transaction, now: float) -> None:
        self._retransmit_after(transaction, min(transaction.interval_s * 2, self.timers.t2_s), now)

    def _wait_t2(self, transaction: Transaction, now: float) -> None:
        self._retransmit_after(transaction, self.timers.t2_s, now)

    def _start_timeout(self, transaction: Transaction, now: float) -> None:
        self._set(transaction, "timeout", now + self.timers.timeout_s, Input.TIMEOUT)

    def _start_trying(self, transaction: Transaction, now: float) -> None:
        self._set(transaction, "trying", now + self.timers.trying_s, Input.TRYING_DUE)

    def _stop_retransmit(self, transaction: Transaction, now: float) -> None:
        self._queue.cancel((transaction.number, "retransmit"))
        self._no_longer_slow(transaction)

    def _stop_timeout(self, transaction: Transaction, now: float) -> None:
        self._queue.cancel((transaction.number, "timeout"))
        self._queue.cancel((transaction.number, "limit"))

    def _stop_trying(self, transaction: Transaction, now: float) -> None:
        self._queue.cancel((transaction.number, "trying"))

    def _linger(self, transaction: Transaction, now: float, wait_s: float) -> None:
        self._set(transaction, "linger", now + wait_s, Input.LINGER_OVER)

    def _linger_64t1(self, transaction: Transaction, now: float) -> None:
        self._linger(transaction, now, self.timers.timeout_s)

    def _linger_d(self, transaction: Transaction, now: float) -> None:
        self._linger(transaction, now, 0.0 if transaction.hop.reliable else max(32.0, self.timers.timeout_s))

    def _linger_j(self, transaction: Transaction, now: float) -> None:
        self._linger(transaction, now, 0.0 if transaction.hop.reliable else self.timers.timeout_s)

    def _linger_t4(self, transaction: Transaction, now: float) -> None:
        self._linger(transaction, now, 0.0 if transaction.hop.reliable else self.timers.t4_s)

    def _set(self, transaction: Transaction, name: str, at: float, what: Input) -> None:
        self._queue.set((transaction.number, name), at, lambda now: self._feed(transaction, what, now))


_ACTIONS: dict[Action, Callable[[TransactionLayer, Transaction, float], None]] = {
    Action.SEND: TransactionLayer._send,
    Action.SEND_TRYING: TransactionLayer._send_trying,
    Action.SEND_ACK: TransactionLayer._send_ack,
    Action.BACK_OFF: TransactionLayer._back_off,
    Action.BACK_OFF_T2: TransactionLayer._back_off_t2,
    Action.WAIT_T2: TransactionLayer._wait_t2,
    Action.START_TRYING: TransactionLayer._start_trying,
    Action.START_RETRANSMIT: TransactionLayer._start_retransmit,
    Action.START_TIMEOUT: TransactionLayer._start_timeout,
    Action.STOP_RETRANSMIT: TransactionLayer._stop_retransmit,
    Action.STOP_TIMEOUT: TransactionLayer._stop_timeout,
    Action.STOP_TRYING: TransactionLayer._stop_trying,
    Action.LINGER_D: TransactionLayer._linger_d,
    Action.LINGER_64T1: TransactionLayer._linger_64t1,
    Action.LINGER_J: TransactionLayer._linger_j,
    Action.LINGER_T4: TransactionLayer._linger_t4,
}

_RESPONSE_INPUT = {1: Input.R1XX, 2: Input.R2XX, 3: Input.R3_6XX}
_SEND_INPUT = {1: Input.SEND_1XX, 2: Input.SEND_2XX, 3: Input.SEND_3_6XX}


def _status_class(status: int) -> int:
    """1, 2, or 3 for everything from 300 up."""
    return min(status // 100, 3)


__all__ = [
    "TIMED_OUT",
    "TRANSPORT",
    "AckArrived",
    "ClientTransaction",
    "Finished",
    "Output",
    "RequestArrived",
    "ResponseArrived",
    "Send",
    "ServerTransaction",
    "Transaction",
    "TransactionEnded",
    "TransactionFailed",
    "TransactionLayer",
]
