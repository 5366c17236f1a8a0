"""A 2xx to an INVITE and its ACK, both end to end (RFC 3261 sections 13.2.2.4 and 13.3.1.4).

The 2xx is retransmitted end to end by the user agent itself, over any transport: after T1, doubling up to T2, for
64*T1.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from app.sip.dialogs import Dialog
from app.sip.hops import Hop
from app.sip.message import Request, Response
from app.sip.transactions import ServerTransaction

if TYPE_CHECKING:
    from app.sip.agent import UserAgent

log = logging.getLogger(__name__)


class AnswerKeeper:
    """One 2xx awaiting its ACK."""

    def __init__(
        self, agent: UserAgent, transaction: ServerTransaction, response: Response, on_timeout: Callable[[], None]
    ) -> None:
        self.transaction = transaction
        self._agent = agent
        self._response = response
        self._on_timeout = on_timeout
        self._interval_s = agent.timers.t1_s
        self._keys = ((id(self), "again"), (id(self), "over"))

    def start(self) -> None:
        self._agent.respond(self.transaction, self._response)
        self._agent.at(self._keys[1], self._agent.timers.timeout_s, self._over)
        self._agent.at(self._keys[0], self._interval_s, self._again)

    def stop(self) -> None:
        """The ACK has come, or the call is over."""
        for key in self._keys:
            self._agent.cancel_timer(key)

    def hurry(self) -> None:
        """Send it now, and from the shortest interval on: the far end may be reachable again."""
        self._interval_s = self._agent.timers.t1_s / 2
        self._again()

    def _again(self) -> None:
        self._agent.respond(self.transaction, self._response)
        self._interval_s = min(self._interval_s * 2, self._agent.timers.t2_s)
        self._agent.at(self._keys[0], self._interval_s, self._again)

    def _over(self) -> None:
        self.stop()
        self._on_timeout()


@dataclass(slots=True, eq=False)
class SentAck:
    """The ACK of a 2xx, sent again whenever the 2xx comes again (section 13.2.2.4)."""

    agent: UserAgent
    request: Request
    sent: Request | None = None
    hop: Hop | None = None

    @classmethod
    def of(cls, agent: UserAgent, dialog: Dialog, invite: Request) -> SentAck:
        """The ACK in `dialog` for the 2xx to `invite`, with the same credentials (section 22.1)."""
        request = dialog.build("ACK", cseq=invite.cseq.number)
        for name in ("Authorization", "Proxy-Authorization"):
            for value in invite.headers.rows(name):
                request.headers.add(name, value)
        ack = cls(agent, request)
        agent.resolve(dialog.next_hop, ack._resolved)
        return ack

    def again(self) -> None:
        if self.sent is not None and self.hop is not None:
            self.agent.layer.send_stateless(self.sent, self.hop)

    def _resolved(self, hops: Sequence[Hop], problem: str) -> None:
        if hops:
            self.hop = hops[0]
            self.sent = self.agent.send_ack(self.request, self.hop)
        else:
            log.info("No way to send an ACK: %s", problem)
