"""One proxied request: its branches, and which of their answers goes back. RFC 3261 sections 16.5 to 16.7.

Pure data and decisions; `proxy` sends and receives.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field

from app.sip.hops import Hop
from app.sip.message import Headers, Request, Response
from app.sip.transactions import ClientTransaction, ServerTransaction
from app.sip.uri import Uri


@dataclass(frozen=True, slots=True)
class Target:
    """One place to send to: the Request-URI to write, and the hops to try, the next when one cannot be reached."""

    uri: Uri
    hops: tuple[Hop, ...]


@dataclass(frozen=True, slots=True)
class Forward:
    """What routing decided: the request as it goes on, and its targets in groups, most preferred first.

    `record`: this server stays in the path of the dialog to come. `back` is where the sender is reached again.
    """

    request: Request
    groups: tuple[tuple[Target, ...], ...]
    record: bool
    back: Hop


@dataclass(slots=True, eq=False)
class Branch:
    """The request on its way to one target."""

    fork: Fork
    target: Target
    hops: deque[Hop]
    breadth: int  # its share of what may still fork (RFC 5393)
    transaction: ClientTransaction | None = None
    provisional: bool = False  # a 1xx came, so it may be cancelled (section 9.1)
    cancelling: bool = False
    rung_out: bool = False  # timer C cancelled it
    final: Response | None = None

    @property
    def pending(self) -> bool:
        return self.final is None


@dataclass(slots=True, eq=False)
class Fork:
    """The response context of one request (section 16.7)."""

    server: ServerTransaction
    plan: Forward
    waiting: deque[tuple[Target, ...]]
    breadth: int
    branches: list[Branch] = field(default_factory=list)
    cancel_headers: tuple[tuple[str, str], ...] = ()
    closing: bool = False  # answered, declined for all, or cancelled: no further group is tried
    cancelled: bool = False
    answered: bool = False

    @property
    def pending(self) -> list[Branch]:
        return [branch for branch in self.branches if branch.pending]

    def best(self) -> Response:
        """Choose the answer for the caller once all branches have ended, section 16.7 step 6."""
        finals = [branch.final for branch in self.branches if branch.final is not None]
        if self.cancelled:
            terminated = [each for each in finals if each.status == 487]
            finals = terminated or finals
        best = min(finals, key=_badness)
        return _with_challenges(best, finals) if best.status in (401, 407) else best


_PREFERRED_4XX = (401, 407, 415, 420, 484)  # they tell the caller what to do about it
_LEAST_4XX = (408, 480, 487)  # they tell only that this contact was not there


def _badness(response: Response) -> tuple[int, int]:
    """Order finals: 6xx first, then the lowest class; a person's word (486) before an absent phone's (408)."""
    status = response.status
    group = 0 if status >= 600 else status // 100
    within = 0 if status in _PREFERRED_4XX else 2 if status in _LEAST_4XX else 1
    return group, within


def _with_challenges(best: Response, finals: Iterable[Response]) -> Response:
    """Collect the challenges of all branches in the one answer, section 16.7 step 7."""
    headers = best.headers.copy()
    for other in finals:
        if other is not best and other.status in (401, 407):
            _copy(other.headers, headers)
    return Response(best.status, best.reason, headers, best.body)


def _copy(source: Headers, to: Headers) -> None:
    for name in ("WWW-Authenticate", "Proxy-Authenticate"):
        for value in source.rows(name):
            to.add(name, value)
