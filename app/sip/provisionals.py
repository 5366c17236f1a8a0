"""Sending provisional responses so that they arrive: PRACK (RFC 3262) and the ICE form of it (RFC 8839 section 7.1.1).

A provisional with an SDP answer must not get lost, since connectivity checks start from it. Three things stop its
retransmission: a PRACK, a Binding request that matches a candidate of it, and the final answer. Toward a caller
without 100rel the same retransmission runs without RSeq, ends by the other two, and running out does no harm.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from app.sip.headers import RAck
from app.sip.message import Response
from app.sip.transactions import ServerTransaction

if TYPE_CHECKING:
    from app.sip.agent import UserAgent

MAX_QUEUED = 16
MAX_FIRST_RSEQ = 0x7FFFFFFF


class Mode(StrEnum):
    ONCE = "once"  # sent, and never again unless the INVITE is repeated
    PRACK = "prack"  # reliable: Require: 100rel and RSeq
    REPEAT = "repeat"  # retransmitted without RSeq


@dataclass(slots=True, eq=False)
class _Item:
    response: Response
    mode: Mode
    transmissions: int | None
    sent: int = 0
    interval_s: float = 0.0
    rseq: int = 0
    stopped: bool = False  # a Binding request was seen: not retransmitted any more
    has_body: bool = False


class ProvisionalSender:
    """The provisional responses of one INVITE server transaction, in order.

    `on_confirmed(by)` and `on_expired(prack_mode)` report; `on_free()` says that nothing holds back a 2xx any more.
    """

    def __init__(
        self,
        agent: UserAgent,
        transaction: ServerTransaction,
        *,
        on_confirmed: Callable[[str], None],
        on_expired: Callable[[bool], None],
        on_free: Callable[[], None],
    ) -> None:
        self._agent = agent
        self._transaction = transaction
        self._on_confirmed = on_confirmed
        self._on_expired = on_expired
        self._on_free = on_free
        self._queue: deque[_Item] = deque()
        self._current: _Item | None = None
        self._rseq = agent.rng.randrange(1, MAX_FIRST_RSEQ)
        self._closed = False
        self._overtaken: RAck | None = None  # what a PRACK may still acknowledge after the final answer

    @property
    def holds_back_answer(self) -> bool:
        """Whether an SDP-bearing reliable 1xx is unacknowledged or waits (RFC 3262 section 3: no 2xx yet)."""
        waiting = [self._current] if self._current is not None else []
        return any(item.mode is Mode.PRACK and item.has_body for item in (*waiting, *self._queue))

    def send(self, response: Response, mode: Mode, transmissions: int | None = None) -> None:
        """Send `response` now, or after the reliable ones before it are acknowledged."""
        if self._closed:
            return
        item = _Item(response, mode, transmissions, has_body=bool(response.body))
        if self._waits_for_prack:
            if len(self._queue) < MAX_QUEUED:
                self._queue.append(item)
        else:
            self._begin(item)

    def acknowledge(self, rack: RAck) -> bool:
        """A PRACK came; False when it acknowledges nothing of ours (481). `advance()` then sends what waits."""
        if rack == self._overtaken:
            return True
        item = self._current
        if item is None or rack != self._awaited():
            return False
        self._stop_timers()
        self._current = None
        if not item.stopped:
            self._on_confirmed("prack")
        return True

    def binding_seen(self) -> None:
        """A matching Binding request came: the far end has the answer. A PRACK is still awaited where one is due."""
        item = self._current
        if item is None or item.stopped:
            return
        item.stopped = True
        self._agent.cancel_timer(self._key("again"))
        self._on_confirmed("binding")
        if item.mode is Mode.REPEAT:
            self._stop_timers()
            self._current = None

    def close(self) -> None:
        """The final answer goes out: nothing is sent any more, but a PRACK that it overtook is served (section 3)."""
        item = self._current
        self.abandon()
        if item is not None and not item.stopped:
            self._on_confirmed("final")

    def abandon(self) -> None:
        """The call is over: stop without a word."""
        self._overtaken = self._awaited() or self._overtaken
        self._current, self._closed = None, True
        self._stop_timers()
        self._queue.clear()

    @property
    def _waits_for_prack(self) -> bool:
        return self._current is not None and self._current.mode is Mode.PRACK

    def _awaited(self) -> RAck | None:
        """What the PRACK that is awaited now must say; None when none is."""
        item, cseq = self._current, self._transaction.request.cseq
        if item is None or item.mode is not Mode.PRACK:
            return None
        return RAck(item.rseq, cseq.number, cseq.method)

    def _begin(self, item: _Item) -> None:
        if item.mode is Mode.ONCE:
            self._agent.respond(self._transaction, item.response)
            return
        self._stop_timers()
        self._current = item
        if item.mode is Mode.PRACK:
            item.rseq = self._rseq
            self._rseq += 1
            item.response.headers.set("Require", "100rel")
            item.response.headers.set("RSeq", str(item.rseq))
        item.interval_s = self._agent.timers.t1_s
        self._agent.at(self._key("over"), self._agent.timers.timeout_s, self._over)
        self._transmit(item)

    def _transmit(self, item: _Item) -> None:
        self._agent.respond(self._transaction, item.response)
        item.sent += 1
        if item.transmissions is None or item.sent < item.transmissions:
            self._agent.at(self._key("again"), item.interval_s, self._again)

    def _again(self) -> None:
        item = self._current
        if item is not None and not item.stopped:
            item.interval_s *= 2  # no T2 cap (RFC 3262 section 3)
            self._transmit(item)

    def _over(self) -> None:
        item, self._current = self._current, None
        self._stop_timers()
        if item is None:
            return
        if item.mode is Mode.PRACK and item.stopped:
            self.advance()  # the path shows that it arrived; a lost PRACK does not end the call
        else:
            self._on_expired(item.mode is Mode.PRACK)

    def advance(self) -> None:
        """Send what had to wait for an acknowledgement."""
        while self._queue and not self._waits_for_prack:
            self._begin(self._queue.popleft())
        if not self.holds_back_answer:
            self._on_free()

    def _key(self, name: str) -> tuple[int, str]:
        return (id(self), name)

    def _stop_timers(self) -> None:
        self._agent.cancel_timer(self._key("again"))
        self._agent.cancel_timer(self._key("over"))
