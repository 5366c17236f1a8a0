"""What carries a channel's datagrams: the one interface of multicast, rallypoints, and both together.

A link knows nothing of what it carries. It never raises into the event loop: what is wrong with it stands in its
state, one sentence for a person. Pure; the links themselves are `multicast.py`, `rallypoint.py`, `failing_over.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

MOST_BYTES = 4096  # of one datagram, either way: longer ones are no channel's
STREAM_SUBJECTS = "parley.stream."  # what the subject of a channel begins with, on a rallypoint


class LinkKind(Enum):
    """What a link is made of."""

    MULTICAST = "multicast"
    RALLYPOINT = "rallypoint"
    FAILOVER = "rallypoint, or multicast while it is lost"


@dataclass(frozen=True, slots=True)
class LinkState:
    """How a link is now. `words` is one sentence; `rtt_s` the round trip to its server, where it has one.

    Where there are two ways, `by` is the one that carries now, and `failover_at` when multicast takes over if the
    rallypoint stays away, by the monotonic clock.
    """

    kind: LinkKind
    is_up: bool
    words: str
    rtt_s: float | None = None
    by: LinkKind | None = None
    failover_at: float | None = None


OnDatagram = Callable[[bytes, str, float], None]
OnState = Callable[[LinkState], None]


class Link(Protocol):
    """One way for a channel's datagrams.

    `on_datagram` is called with (datagram, source, now): the source in words for a trace, now by the monotonic clock
    in seconds. A datagram may come twice and out of order, and one's own may come back: who opens it tells by its
    sender and number. `on_state` is called when the state has changed. Both are set before `start` and called on the
    event loop.
    """

    on_datagram: OnDatagram
    on_state: OnState

    @property
    def state(self) -> LinkState:
        """How the link is now."""
        ...

    async def start(self) -> None:
        """Begin. Returns at once or soon, whether or not the link is up; never raises for what the network does."""
        ...

    async def close(self) -> None:
        """End, and leave nothing behind. A second time does nothing."""
        ...

    def network_changed(self) -> None:
        """Take note that addresses of this machine have come or gone."""
        ...

    def send(self, datagram: bytes, now: float) -> None:
        """Send soon or not at all: sound that cannot leave now is worth nothing later."""
        ...
