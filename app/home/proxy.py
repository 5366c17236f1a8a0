"""The stateful proxy: sends a request to its targets, and their answers back. RFC 3261 section 16.

Pure; stands on the transaction layer. Where a request goes has been decided by `routing`; this carries it out, in
parallel within a group and group after group by q value, and cancels what an answer has made needless.
"""

from __future__ import annotations

import hashlib
import hmac
import logging
import random
from collections import Counter, deque

from app.home.flows import FlowTokens
from app.home.fork import Branch, Fork, Forward, Target
from app.home.names import OwnNames
from app.sip.editing import new_token
from app.sip.headers import BRANCH_COOKIE, Via
from app.sip.hops import Hop
from app.sip.message import Headers, Request, Response, response_to
from app.sip.timers import TimerQueue
from app.sip.transactions import (
    TIMED_OUT,
    AckArrived,
    ClientTransaction,
    ResponseArrived,
    ServerTransaction,
    TransactionFailed,
    TransactionLayer,
)
from app.sip.uri import SipUri

log = logging.getLogger(__name__)

TIMER_C_S = 185.0  # how long a phone may ring without another 1xx (section 16.6 step 11)
MAX_BREADTH = 60  # RFC 5393 section 5.3.3
_ELSEWHERE = (("Reason", 'SIP;cause=200;text="Call completed elsewhere"'),)


class Proxy:
    """See the module. `secret` marks branches, so that a request that comes round again is known."""

    def __init__(
        self, layer: TransactionLayer, tokens: FlowTokens, names: OwnNames, *, secret: bytes, rng: random.Random
    ) -> None:
        self.counters: Counter[str] = Counter()
        self._layer = layer
        self._tokens = tokens
        self._names = names
        self._secret = secret
        self._rng = rng
        self._timers = TimerQueue()

    # In ---------------------------------------------------------------------------------------------------

    def is_loop(self, request: Request) -> bool:
        """Say whether this very request, with nothing changed, has been here before (section 16.3 step 4)."""
        mark = self._loop_mark(request)
        return any(
            (via.branch or "").endswith(mark) and self._names.is_own(SipUri("sip", None, None, via.host, via.port))
            for via in request.vias
        )

    def start(self, server: ServerTransaction, plan: Forward, now: float) -> None:
        """Proxy a request whose transaction has just begun."""
        fork = Fork(server, plan, deque(plan.groups), _breadth(plan.request))
        server.user = fork
        self._next_group(fork, now)

    def cancel(self, server: ServerTransaction, cancel: Request, now: float) -> None:
        """The caller gave up: cancel every branch; their 487 becomes the caller's (section 16.10)."""
        fork = server.user
        if not isinstance(fork, Fork) or fork.closing:
            return
        fork.cancelled = True
        headers = tuple(("Reason", value) for value in cancel.headers.rows("Reason"))
        self._close(fork, headers, now)
        self._finish_if_done(fork, now)

    def response(self, arrived: ResponseArrived, now: float) -> None:
        """Take a response of one branch (section 16.7). One that fits no branch goes nowhere, RFC 6026 section 7."""
        transaction = arrived.transaction
        if transaction is None or not isinstance(transaction.user, Branch):
            self.counters["stray_responses"] += 1
            return
        branch = transaction.user
        if transaction is not branch.transaction:
            return  # the answer to a CANCEL of ours, or of a hop given up
        status = arrived.response.status
        if status < 200:
            self._provisional(branch, arrived.response, now)
        elif status < 300:
            self._success(branch, arrived.response, now)
        elif branch.pending:
            branch.final = _upward(branch.fork, arrived.response)
            if branch.rung_out and status == 487:
                branch.final = response_to(branch.fork.server.request, 408, to_tag=new_token(self._rng))
            if status >= 600:
                self._close(branch.fork, (), now)
            self._finish_if_done(branch.fork, now)

    def failed(self, failure: TransactionFailed, now: float) -> None:
        """A branch heard nothing, or could not be sent: try its next hop, or count it as dead."""
        transaction = failure.transaction
        branch = transaction.user
        if not isinstance(branch, Branch) or transaction is not branch.transaction or not branch.pending:
            return
        if failure.cause != TIMED_OUT and branch.hops and not branch.fork.closing:
            self._send(branch, now)
            return
        # Section 16.9 would count an unreachable contact as a 503; 480 tells the caller what it means.
        status = 408 if failure.cause == TIMED_OUT else 480
        self.counters[f"branch_{status}"] += 1
        if branch.fork.cancelled:
            status = 487
        branch.final = response_to(branch.fork.server.request, status, to_tag=new_token(self._rng))
        self._finish_if_done(branch.fork, now)

    def acknowledge(self, arrived: AckArrived, plan: Forward) -> None:
        """Pass on the ACK of a 2xx, which has no transaction (section 16.11)."""
        target = plan.groups[0][0]
        hop = target.hops[0]
        request = self._onward(plan, target)
        via = request.top_via
        # The same branch for each retransmission of the ACK, as section 16.11 asks.
        digest = hmac.digest(self._secret, f"{via.branch} {via.host} {via.port}".encode(), "sha256").hex()[:16]
        request.headers.prepend("Via", _via(hop, BRANCH_COOKIE + digest))
        self._layer.send_stateless(request, hop)

    def next_timeout(self) -> float | None:
        return self._timers.next()

    def handle_timeout(self, now: float) -> None:
        self._timers.run_due(now)

    # Responses --------------------------------------------------------------------------------------------

    def _provisional(self, branch: Branch, response: Response, now: float) -> None:
        branch.provisional = True
        if branch.cancelling:
            self._cancel_branch(branch, now)
            return
        if response.status == 100:
            return
        self._start_timer_c(branch, now)
        self._respond(branch.fork, _upward(branch.fork, response), now)

    def _success(self, branch: Branch, response: Response, now: float) -> None:
        """Each 2xx goes up at once, the second too; the rest is called off (section 16.7 steps 5 and 10)."""
        fork = branch.fork
        upward = _upward(fork, response)
        branch.final = upward
        fork.answered = True
        self._respond(fork, upward, now)
        self._close(fork, _ELSEWHERE, now)

    def _respond(self, fork: Fork, response: Response, now: float) -> None:
        if not self._layer.respond(fork.server, response, now):
            self.counters["late_responses"] += 1

    def _finish_if_done(self, fork: Fork, now: float) -> None:
        if fork.pending or fork.answered:
            return
        if fork.waiting and not fork.closing:
            self._next_group(fork, now)
            return
        best = fork.best()
        if best.status == 503:  # it speaks of one phone, not of this server (section 16.7 step 6)
            best = Response.of(500, best.headers, None, best.body)
        self._respond(fork, best, now)

    # Requests ---------------------------------------------------------------------------------------------

    def _next_group(self, fork: Fork, now: float) -> None:
        targets = fork.waiting.popleft()
        if len(targets) > fork.breadth:
            self._respond(fork, response_to(fork.server.request, 440, to_tag=new_token(self._rng)), now)
            return
        share = fork.breadth // len(targets)
        new = [Branch(fork, target, deque(target.hops), share) for target in targets]
        fork.branches += new
        for branch in new:
            self._send(branch, now)

    def _send(self, branch: Branch, now: float) -> None:
        fork, hop = branch.fork, branch.hops.popleft()
        request = self._onward(fork.plan, branch.target)
        headers = request.headers
        headers.set("Max-Breadth", branch.breadth)
        if fork.plan.record:
            back = fork.plan.back
            # Two values, one for each side, since the two may know this server by different addresses (RFC 5658).
            headers.prepend("Record-Route", self._tokens.route(hop, back, request.call_id))
            headers.prepend("Record-Route", self._tokens.route(back, hop, request.call_id))
        branch.provisional = False
        branch.transaction = self._layer.send_request(
            request, hop, now, branch=self._new_branch(fork.server.request), user=branch
        )
        self._start_timer_c(branch, now)

    def _onward(self, plan: Forward, target: Target) -> Request:
        """Copy the request as it goes on to one target (section 16.6 steps 1 to 3)."""
        headers = plan.request.headers.copy()
        left = plan.request.max_forwards
        headers.set("Max-Forwards", str(70 if left is None else left - 1))
        return Request(plan.request.method, target.uri, headers, plan.request.body)

    def _close(self, fork: Fork, headers: tuple[tuple[str, str], ...], now: float) -> None:
        """Try no further target, and cancel those under way."""
        fork.closing = True
        fork.cancel_headers = headers
        if fork.server.method != "INVITE":
            return
        for branch in fork.pending:
            if not branch.cancelling:
                branch.cancelling = True
                if branch.provisional:
                    self._cancel_branch(branch, now)

    def _cancel_branch(self, branch: Branch, now: float) -> None:
        transaction = branch.transaction
        if transaction is None or transaction.over or not branch.pending:
            return
        self._timers.cancel(branch)
        self._layer.cancel(transaction, now, branch.fork.cancel_headers)
        branch.provisional = False  # cancelled once is enough

    def _start_timer_c(self, branch: Branch, now: float) -> None:
        if branch.fork.server.method == "INVITE" and not branch.cancelling:
            self._timers.set(branch, now + TIMER_C_S, lambda later: self._rung_out(branch, later))

    def _rung_out(self, branch: Branch, now: float) -> None:
        """Timer C: nobody picks up and no 1xx comes any more (section 16.8)."""
        if branch.pending:
            branch.cancelling = branch.rung_out = True
            self._cancel_branch(branch, now)

    def ended(self, transaction: ClientTransaction) -> None:
        """A transaction is forgotten: so are its timers."""
        if isinstance(transaction.user, Branch) and transaction is transaction.user.transaction:
            self._timers.cancel(transaction.user)

    def _new_branch(self, request: Request) -> str:
        return BRANCH_COOKIE + new_token(self._rng, 12) + self._loop_mark(request)

    def _loop_mark(self, request: Request) -> str:
        """Digest what must have changed if a request legitimately comes here again (section 16.6 step 8)."""
        parts = (
            str(request.uri),
            request.from_.tag or "",
            request.to.tag or "",
            request.call_id,
            str(request.cseq.number),
            request.method if request.method not in ("ACK", "CANCEL") else "INVITE",
            *request.headers.rows("Route"),
        )
        text = "\n".join(parts).encode("utf-8", "surrogateescape")
        return "." + hmac.digest(self._secret, text, hashlib.sha256).hex()[:12]


def _upward(fork: Fork, response: Response) -> Response:
    """Give the response as it goes to the caller: with the Via of the caller's request (section 16.7 step 3).

    Taking this server's Via off the top would come to the same, had the far end not lost or changed what is below.
    """
    headers = Headers(("Via", value) for value in fork.server.request.headers.rows("Via"))
    for name, value in response.headers.items():
        if name != "Via":
            headers.add(name, value)
    return Response(response.status, response.reason, headers, response.body)


def _via(hop: Hop, branch: str) -> Via:
    local = hop.local or hop.remote
    return Via(hop.transport.upper(), local.host, local.port, (("rport", None), ("branch", branch)))


def _breadth(request: Request) -> int:
    text = request.headers.get("Max-Breadth") or ""
    return min(int(text), MAX_BREADTH) if text.isascii() and text.isdigit() and len(text) < 6 else MAX_BREADTH
