"""When a channel of a rallypoint falls over to multicast, and when it comes back. Pure: the time is passed in.

The rallypoint is lost: after `failover_s` the channel joins its multicast address and talks there. The rallypoint is
back: the channel talks on both and hears both, each datagram once, until the rallypoint has been up for `return_s` and
nobody was heard on multicast alone for as long. Only then does it leave multicast. So a word is said on at least one
way that the others hear while each of them comes back in its own time, and none is heard twice.
"""

from __future__ import annotations

import logging
from enum import Enum
from typing import Final

from app.channels.cluster import MOST_PAUSE_S
from app.channels.duplicates import Duplicates

log = logging.getLogger(__name__)

SETTLE_S = 5.0
# Longer than the longest pause of a cluster with an attempt behind it: whoever lost the same rallypoint, and only
# listens, has come back as well by then.
RETURN_S = MOST_PAUSE_S + 10.0
CONFIRM_S = 2.0  # what was said on both ways has come by both within this time
_MOST_UNCONFIRMED = 1024


class Way(Enum):
    """By which of the two links."""

    RALLYPOINT = "rallypoint"
    MULTICAST = "multicast"


class FailoverState(Enum):
    """Where a channel stands between its two links."""

    CONNECTED = "by the rallypoint, which has been up for a while"
    LOST = "the rallypoint is lost, and multicast is not joined yet"
    SHAKY = "the rallypoint is up again, not yet for long; multicast was not joined"
    MULTICAST = "by multicast, the rallypoint is lost"
    RETURNING = "by both, the rallypoint is up again, not yet for long"


class Change(Enum):
    """What happens to a channel."""

    UP = "the rallypoint is up"
    DOWN = "the rallypoint is lost"
    WAITED = "it has been lost for the configured time"
    SETTLED = "it has been up for a while, and nobody is on multicast alone"


class Step(Enum):
    """What is to be done."""

    JOIN = "join multicast"
    LEAVE = "leave multicast"


_S, _C = FailoverState, Change

# What is not here changes nothing.
TABLE: Final[dict[tuple[FailoverState, Change], tuple[FailoverState, Step | None]]] = {
    (_S.CONNECTED, _C.DOWN): (_S.LOST, None),
    (_S.LOST, _C.UP): (_S.SHAKY, None),
    (_S.LOST, _C.WAITED): (_S.MULTICAST, Step.JOIN),
    (_S.SHAKY, _C.DOWN): (_S.LOST, None),  # the outage goes on: its time is not counted anew
    (_S.SHAKY, _C.SETTLED): (_S.CONNECTED, None),
    (_S.MULTICAST, _C.UP): (_S.RETURNING, None),
    (_S.RETURNING, _C.DOWN): (_S.MULTICAST, None),
    (_S.RETURNING, _C.SETTLED): (_S.CONNECTED, Step.LEAVE),
}

SENDS_ON: Final[dict[FailoverState, frozenset[Way]]] = {
    _S.CONNECTED: frozenset({Way.RALLYPOINT}),
    _S.LOST: frozenset({Way.RALLYPOINT}),  # its queue keeps the last half second for a link that is back at once
    _S.SHAKY: frozenset({Way.RALLYPOINT}),
    _S.MULTICAST: frozenset({Way.MULTICAST}),
    _S.RETURNING: frozenset({Way.RALLYPOINT, Way.MULTICAST}),
}


class Failover:
    """One channel's place between rallypoint and multicast. Begins lost, as nothing is connected yet.

    `failover_s` is the mission's `multicastFailoverSecs`; None where the channel has no failover.
    """

    def __init__(self, failover_s: float | None, now: float, return_s: float = RETURN_S) -> None:
        self._failover_s = failover_s
        self._return_s = return_s
        self.state = FailoverState.LOST
        self._lost_since = now
        self._up_since = now
        self._alone_at = float("-inf")  # when somebody was last heard on multicast and not by the rallypoint
        self._unconfirmed: dict[bytes, float] = {}
        self._duplicates = Duplicates()
        self._steps: list[Step] = []

    @property
    def sends_on(self) -> frozenset[Way]:
        """By which links to send now."""
        return SENDS_ON[self.state]

    def rallypoint(self, is_up: bool, now: float) -> None:
        """Take note of whether the rallypoint's link is up; the same twice changes nothing."""
        if is_up and self.state in (FailoverState.LOST, FailoverState.MULTICAST):
            self._up_since = now
        elif not is_up and self.state is FailoverState.CONNECTED:
            self._lost_since = now
        self._apply(Change.UP if is_up else Change.DOWN, now)
        self.handle_timeout(now)

    def heard(self, way: Way, key: bytes, now: float) -> bool:
        """Take note of a datagram, known by its digest; False for one that has come before, which is to be dropped."""
        is_new = self._duplicates.is_new(key, now)
        if self.state is FailoverState.RETURNING:
            if way is Way.RALLYPOINT:
                self._unconfirmed.pop(key, None)
            elif is_new and len(self._unconfirmed) < _MOST_UNCONFIRMED:
                self._unconfirmed[key] = now
        return is_new

    def handle_timeout(self, now: float) -> None:
        """Do what has become due."""
        self._find_alone(now)
        due = self._due()
        if due is not None and now >= due and not self._is_open(due):
            self._apply(Change.WAITED if self.state is FailoverState.LOST else Change.SETTLED, now)

    def next_timeout(self) -> float | None:
        """When to call `handle_timeout`; None while nothing can become due."""
        due = self._due()
        if due is not None and self._is_open(due):
            return max(due, next(iter(self._unconfirmed.values())) + CONFIRM_S)
        return due

    def take_steps(self) -> list[Step]:
        """Take what is to be done, in order."""
        steps, self._steps = self._steps, []
        return steps

    def _due(self) -> float | None:
        if self.state is FailoverState.LOST:
            return None if self._failover_s is None else self._lost_since + self._failover_s
        if self.state is FailoverState.SHAKY:
            return self._up_since + SETTLE_S
        if self.state is FailoverState.RETURNING:
            return max(self._up_since, self._alone_at) + self._return_s
        return None

    def _is_open(self, due: float) -> bool:
        """Tell whether what was heard on multicast by then may still come by the rallypoint too."""
        return bool(self._unconfirmed) and next(iter(self._unconfirmed.values())) <= due

    def _find_alone(self, now: float) -> None:
        while self._unconfirmed:
            key, since = next(iter(self._unconfirmed.items()))
            if now - since < CONFIRM_S:
                return
            del self._unconfirmed[key]
            self._alone_at = since

    def _apply(self, change: Change, now: float) -> None:
        found = TABLE.get((self.state, change))
        if found is None:
            return
        before, (self.state, step) = self.state, found
        log.info("failover: %s: %s -> %s", change.value, before.name, self.state.name)
        if self.state is not FailoverState.RETURNING:
            self._unconfirmed.clear()
            self._alone_at = float("-inf")
        if step is not None:
            self._steps.append(step)
