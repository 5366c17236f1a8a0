"""What transactions are, and what the transaction layer gives out: plain data for its users.

app/sip/transactions.py makes and runs them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from app.sip import transaction_tables as tables
from app.sip.hops import Hop
from app.sip.message import Request, Response
from app.sip.transaction_tables import State

TIMED_OUT = "timeout"
TRANSPORT = "transport"


@dataclass(slots=True, eq=False)
class Transaction:
    """What both sides have in common. `user` is a place for the owner to hang what it wants."""

    number: int
    key: tuple[str, ...]
    request: Request
    hop: Hop
    table: tables.Table
    state: State
    interval_s: float = 0.0
    user: Any = None

    @property
    def method(self) -> str:
        return self.request.method

    @property
    def is_invite(self) -> bool:
        return self.request.method == "INVITE"

    @property
    def over(self) -> bool:
        return self.state is State.TERMINATED


@dataclass(slots=True, eq=False)
class ClientTransaction(Transaction):
    """A request of ours under way; `request` carries our Via, `hop` is where it went."""

    response: Response | None = None  # the newest one

    def __repr__(self) -> str:
        return f"Client#{self.number} {self.method} {self.state} {self.hop}"


@dataclass(slots=True, eq=False)
class ServerTransaction(Transaction):
    """A request of the far end's under way; `hop` is where responses go, `source` where it came from."""

    source: Hop | None = None
    response: Response | None = None  # the newest one sent
    merge: tuple[str, ...] = ()

    @property
    def answered(self) -> bool:
        """Whether a final response has been sent."""
        return self.response is not None and self.response.status >= 200

    def __repr__(self) -> str:
        return f"Server#{self.number} {self.method} {self.state} {self.source}"


@dataclass(frozen=True, slots=True)
class Send:
    """Put `message` on the wire toward `hop`; report failure with `send_failed(transaction, …)`."""

    message: Request | Response
    hop: Hop
    transaction: int | None


@dataclass(frozen=True, slots=True)
class RequestArrived:
    """A new request with its own transaction (never an ACK); it wants `respond()`."""

    transaction: ServerTransaction
    request: Request
    source: Hop


@dataclass(frozen=True, slots=True)
class AckArrived:
    """An ACK for a 2xx, or for nothing we know. ACKs for refusals are absorbed here."""

    request: Request
    source: Hop
    transaction: ServerTransaction | None


@dataclass(frozen=True, slots=True)
class ResponseArrived:
    """A response for the user; `transaction` None when it matches none (a proxy forwards such a 2xx)."""

    transaction: ClientTransaction | None
    response: Response
    source: Hop


@dataclass(frozen=True, slots=True)
class Finished:
    """The 3xx–6xx of an INVITE server transaction has been acknowledged."""

    transaction: ServerTransaction


@dataclass(frozen=True, slots=True)
class TransactionFailed:
    """`cause` is TIMED_OUT or TRANSPORT; `detail` says more in words where there is more."""

    transaction: Transaction
    cause: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class TransactionEnded:
    """The transaction is forgotten; the last word about it."""

    transaction: Transaction


Output = Send | RequestArrived | AckArrived | ResponseArrived | Finished | TransactionFailed | TransactionEnded
