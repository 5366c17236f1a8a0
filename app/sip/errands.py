"""One request of ours until its final response: finding the server, failing over, answering challenges.

RFC 3261 sections 8.1.2, 18.1.1 (TCP above 1300 bytes) and 22; RFC 3263 section 4.3 (the next server when one fails).
Each attempt is a transaction of its own. What the final response means is the owner's business.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Protocol

from app.sip.hops import Hop
from app.sip.message import Request, Response
from app.sip.transactions import TRANSPORT, ClientTransaction
from app.sip.uri import Uri

if TYPE_CHECKING:
    from app.sip.agent import UserAgent

log = logging.getLogger(__name__)

MAX_CHALLENGES = 4  # a proxy's, the server's, and a stale nonce of each
NO_TCP_FOR_S = 600.0


class ErrandOwner(Protocol):
    """Who sent a request."""

    def on_response(self, errand: Errand, response: Response, source: Hop) -> None:
        """A response came; for an INVITE more 2xx may follow the first."""

    def on_failure(self, errand: Errand, cause: str, sentence: str) -> None:
        """There will be none: `cause` is transactions.TIMED_OUT or TRANSPORT."""


@dataclass(slots=True, eq=False)
class Errand:
    """`request` is the message without Via and Contact; the newest one sent is `transaction.request`.

    `next_cseq` gives the number for a repetition with credentials. `contact` writes our Contact for the hop taken;
    None for requests without one. `via_account`: it goes to the account's own server, which may know our password.
    """

    agent: UserAgent
    request: Request
    next_hop: Uri
    owner: ErrandOwner
    next_cseq: Callable[[], int]
    contact: Callable[[Hop], str] | None = None
    via_account: bool = False
    transaction: ClientTransaction | None = None
    nominal: Hop | None = None  # the hop chosen, before the size decided between UDP and TCP
    _hops: list[Hop] = field(default_factory=list)
    _challenges: int = 0
    _answered: set[tuple[str, str]] = field(default_factory=set)
    _over: bool = False

    def start(self, hops: Sequence[Hop] = ()) -> None:
        if hops:
            self._resolved(hops, "")
        else:
            self.agent.resolve(self.next_hop, self._resolved)

    def abandon(self) -> None:
        """Answer no more challenges and try no other server; the transaction under way runs on."""
        self._over = True

    @property
    def sent_request(self) -> Request:
        """The request as it was sent last."""
        return self.request if self.transaction is None else self.transaction.request

    # From the agent --------------------------------------------------------

    def received(self, transaction: ClientTransaction, response: Response, source: Hop) -> None:
        if transaction is not self.transaction:
            return
        self.agent.learn_address(response, transaction)
        if not self._over and self._try_again(response):
            return
        self.owner.on_response(self, response, source)

    def failed(self, transaction: ClientTransaction, cause: str, detail: str) -> None:
        if transaction is not self.transaction:
            return
        failed_hop = transaction.hop
        if failed_hop.transport == "tcp" and self.nominal is not None and self.nominal.transport == "udp":
            if cause == TRANSPORT:
                self.agent.tcp_refused(failed_hop.remote, NO_TCP_FOR_S)
        elif cause == TRANSPORT:
            log.info("Could not send %s to %s: %s", self.request.method, failed_hop, detail)
        if cause != TRANSPORT:
            self._hops = [hop for hop in self._hops if hop.remote != failed_hop.remote]
        if self._hops and not self._over:
            self._attempt()
        else:
            self.owner.on_failure(self, cause, detail or f"{failed_hop.remote} does not answer")

    def _resolved(self, hops: Sequence[Hop], problem: str) -> None:
        self._hops = list(hops)
        if self._over:
            return
        if self._hops:
            self._attempt()
        else:
            self.owner.on_failure(self, TRANSPORT, problem or f"No address was found for {self.next_hop}")

    # Attempts --------------------------------------------------------

    def _attempt(self) -> None:
        hop = self._hops.pop(0)
        self.nominal = hop
        request = self._prepare(hop)
        if hop.transport == "udp" and self.agent.too_big_for_udp(request, hop):
            self._hops.insert(0, hop)  # where TCP is refused the same hop is tried over UDP after all
            hop = replace(hop, transport="tcp", connection=None)
        self.transaction = self.agent.open_transaction(request, hop, self)

    def _prepare(self, hop: Hop) -> Request:
        headers = self.request.headers.copy()
        request = Request(self.request.method, self.request.uri, headers, self.request.body)
        if self.contact is not None:
            headers.set("Contact", self.contact(hop))
        headers.set("User-Agent", self.agent.config.user_agent)
        if self.via_account:
            self.agent.note_account_server(hop)
        if self.agent.is_account_server(hop):
            self.agent.credentials.add_to(request)
        return request

    def _try_again(self, response: Response) -> bool:
        """Repeat the request with credentials, or at another server; False when the response stands."""
        transaction = self.transaction
        if transaction is None or response.status not in (401, 407, 503):
            return False
        if response.status == 503:
            elsewhere = [hop for hop in self._hops if hop.remote != transaction.hop.remote]
            if elsewhere:
                self._hops = elsewhere
                self._attempt()
            return bool(elsewhere)
        self._challenges += 1
        if (
            self._challenges > MAX_CHALLENGES
            or not self.agent.is_account_server(transaction.hop)
            or not self.agent.credentials.learn(response, self._answered)
        ):
            return False
        self.request.headers.set("CSeq", f"{self.next_cseq()} {self.request.method}")
        request = self._prepare(self.nominal or transaction.hop)
        self.transaction = self.agent.open_transaction(request, transaction.hop, self)
        return True


class Nobody:
    """Owner of a request whose answer matters to nobody."""

    def on_response(self, errand: Errand, response: Response, source: Hop) -> None:
        log.debug("%s: %s", errand.request.method, response.status)

    def on_failure(self, errand: Errand, cause: str, sentence: str) -> None:
        log.debug("%s: %s", errand.request.method, sentence)
