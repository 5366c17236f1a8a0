"""Which rallypoint of a cluster carries a channel: the first connection, the next after a loss, and the way back.

A mission's `rallypointCluster` says in which way: round robin begins anywhere, so that a thousand phones spread over
the nodes, and goes on in order; fail back begins at the top, and returns to a higher place when it answers again.
A lost rallypoint is followed by the next at once. One that falls silent without an end is asked soon while anybody
talks, and when it does not answer within a second the next is connected beside it and carries if that comes to stand
first. When all have been tried in vain a pause follows, 1.5 s longer each time, to 30 s. Pure: no socket, no clock, and
chance is passed in.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum

log = logging.getLogger(__name__)

PAUSE_STEP_S = 1.5
MOST_PAUSE_S = 30.0
STAGGER_S = 0.3  # without an answer the next one is tried beside it, as RFC 8305 does with addresses
SPREAD_S = 0.1  # after a loss: everybody who was on that rallypoint has lost it at the same moment
PING_S = 5.0
# While datagrams come or go: silence is found out within this and SUSPECT_S. 12 bytes each way, in TLS and TCP about
# 150: a twentieth of what a talker at 24 kb/s costs.
BUSY_PING_S = 0.5
SUSPECT_S = 1.0  # a lost answer is sent again by TCP within it, twice; nothing is given up, so it may be too early
MOVED_TIMEOUT_S = 2.0  # for the answer of a rallypoint after the network has changed
MOST_RALLYPOINTS = 64


class Strategy(IntEnum):
    """The mission's `connectionStrategy`."""

    ROUND_ROBIN = 0
    FAIL_BACK = 1


@dataclass(frozen=True, slots=True)
class ClusterPlan:
    """How to use `count` rallypoints. Seconds, from the mission's fields of the same names.

    rollover_s: how long a connection must have lasted to count as steady, how long one that was in trouble goes last,
    and how often a better place is looked for. connection_timeout_s: for one attempt. transaction_timeout_s: for the
    answer to a ping.
    """

    count: int
    strategy: Strategy = Strategy.ROUND_ROBIN
    rollover_s: float = 10.0
    connection_timeout_s: float = 5.0
    transaction_timeout_s: float = 10.0

    def __post_init__(self) -> None:
        if not 0 < self.count <= MOST_RALLYPOINTS:
            raise ValueError(f"a cluster has between 1 and {MOST_RALLYPOINTS} rallypoints, not {self.count}")


@dataclass(frozen=True, slots=True)
class Open:
    """Connect to a rallypoint, by its place in the cluster's list; then call `connected` or `failed`."""

    attempt: int
    rallypoint: int


@dataclass(frozen=True, slots=True)
class Close:
    """End this connection or attempt. Nothing more is to be told of it."""

    attempt: int


@dataclass(frozen=True, slots=True)
class Ping:
    """Ask for an answer on this connection; then call `answered`."""

    attempt: int


@dataclass(frozen=True, slots=True)
class Carries:
    """Send by this connection from now on; None: there is none."""

    attempt: int | None
    rallypoint: int | None


Output = Open | Close | Ping | Carries


@dataclass(slots=True)
class _Attempt:
    rallypoint: int
    deadline: float


@dataclass(slots=True)
class _Carrier:
    attempt: int
    rallypoint: int
    since: float
    next_ping: float
    pinged_at: float | None = None
    answer_by: float = 0.0
    busy_at: float = float("-inf")  # when it last carried something
    suspect_at: float | None = None  # the next is connected beside it then, if it has not answered
    is_suspect: bool = False


class Cluster:
    """Decides for one channel. `chance` gives numbers from 0 to 1 (random.random, or what a test wants)."""

    def __init__(self, plan: ClusterPlan, chance: Callable[[], float]) -> None:
        self._plan = plan
        self._chance = chance
        first = 0 if plan.strategy is Strategy.FAIL_BACK else int(chance() * plan.count) % plan.count
        self._after = first - 1  # round robin goes on behind this place
        self._attempts: dict[int, _Attempt] = {}
        self._carrier: _Carrier | None = None
        self._round: list[int] = []  # places that are still to be tried, in order
        self._next_try: float | None = None
        self._better_at: float | None = None
        self._failed_rounds = 0
        self._troubled: dict[int, float] = {}
        self._opened = 0
        self._outputs: list[Output] = []
        self.rtt_s: float | None = None  # of the last ping of the connection that carries

    @property
    def pause_until(self) -> float | None:
        """When the next attempt begins, while a pause lasts; None otherwise."""
        return self._next_try if self._carrier is None and not self._attempts else None

    def start(self, now: float) -> None:
        """Begin to connect."""
        self._round, self._next_try = self._order(now), now
        self.handle_timeout(now)

    def stop(self) -> None:
        """Close everything; nothing begins after this."""
        self._outputs += [Close(attempt) for attempt in self._attempts]
        if self._carrier is not None:
            self._outputs += [Close(self._carrier.attempt), Carries(None, None)]
        self._attempts.clear()
        self._carrier = self._next_try = self._better_at = self.rtt_s = None
        self._round = []

    def connected(self, attempt: int, now: float) -> None:
        """Take note that an attempt has come to stand."""
        tried = self._attempts.pop(attempt, None)
        carrier = self._carrier
        if tried is None or not self._is_wanted(tried):
            self._outputs.append(Close(attempt))
            return
        if carrier is not None and carrier.is_suspect:
            log.info("cluster: rallypoint %d does not answer", carrier.rallypoint)
            self._troubled[carrier.rallypoint] = now
        for other, pending in list(self._attempts.items()):
            if not self._is_better(pending.rallypoint, tried.rallypoint):
                del self._attempts[other]
                self._outputs.append(Close(other))
        log.info("cluster: rallypoint %d carries", tried.rallypoint)
        self._carrier = _Carrier(attempt, tried.rallypoint, now, now + PING_S)
        self._after = tried.rallypoint
        self._round, self._next_try = [], None
        self.rtt_s = None
        self._look_later(now)
        self._outputs.append(Carries(attempt, tried.rallypoint))
        if carrier is not None:
            self._outputs.append(Close(carrier.attempt))

    def failed(self, attempt: int, now: float) -> None:
        """Take note that an attempt came to nothing."""
        tried = self._attempts.pop(attempt, None)
        if tried is None:
            return
        self._troubled[tried.rallypoint] = now
        if self._round:
            self._next_try = now
        elif not self._attempts:
            if self._carrier is None:
                self._pause(now)
            else:
                self._look_later(now)
        self.handle_timeout(now)

    def lost(self, attempt: int, now: float) -> None:
        """Take note that a connection has ended which the cluster did not close."""
        if self._carrier is None or self._carrier.attempt != attempt:
            self.failed(attempt, now)
            return
        self._drop_carrier(now)
        self.handle_timeout(now)

    def answered(self, attempt: int, now: float) -> None:
        """Take note of the answer to a ping."""
        carrier = self._carrier
        if carrier is not None and carrier.attempt == attempt and carrier.pinged_at is not None:
            self.rtt_s = now - carrier.pinged_at
            carrier.pinged_at = carrier.suspect_at = None
            if carrier.is_suspect:
                carrier.is_suspect = False
                self._round, self._next_try = [], None
                self._outputs += [Close(other) for other in self._attempts]
                self._attempts.clear()
                self._look_later(now)

    def carried(self, now: float) -> bool:
        """Take note that something was sent or has come; True where `next_timeout` is sooner because of it."""
        carrier = self._carrier
        if carrier is None:
            return False
        carrier.busy_at = now
        if carrier.pinged_at is not None or carrier.next_ping <= now + BUSY_PING_S:
            return False
        carrier.next_ping = now + BUSY_PING_S
        return True

    def network_changed(self, now: float) -> None:
        """Try at once what waits, and see whether the connection still stands."""
        self._failed_rounds = 0
        if self._carrier is not None:
            self._ping(self._carrier, now, min(MOVED_TIMEOUT_S, self._plan.transaction_timeout_s))
        elif self._next_try is not None:
            self._next_try = now
            self.handle_timeout(now)

    def handle_timeout(self, now: float) -> None:
        """Do what has become due."""
        for attempt, tried in list(self._attempts.items()):
            if now >= tried.deadline and attempt in self._attempts:
                self._outputs.append(Close(attempt))
                self.failed(attempt, now)
        carrier = self._carrier
        if carrier is not None:
            if carrier.pinged_at is not None and now >= carrier.answer_by:
                log.info("cluster: rallypoint %d does not answer", carrier.rallypoint)
                self._outputs.append(Close(carrier.attempt))
                self._drop_carrier(now)
            elif carrier.pinged_at is None and now >= carrier.next_ping:
                self._ping(carrier, now, self._plan.transaction_timeout_s)
            elif carrier.suspect_at is not None and now >= carrier.suspect_at:
                self._suspect(carrier, now)
        if self._better_at is not None and now >= self._better_at and self._carrier is not None:
            self._better_at = None
            self._round = list(range(self._carrier.rallypoint))
            self._next_try = now
        while self._next_try is not None and now >= self._next_try:
            self._try_next(now)

    def next_timeout(self) -> float | None:
        """When to call `handle_timeout`; None while nothing can become due."""
        times = [tried.deadline for tried in self._attempts.values()]
        times += [at for at in (self._next_try, self._better_at) if at is not None]
        if self._carrier is not None:
            waits = self._carrier.pinged_at is not None
            times.append(self._carrier.answer_by if waits else self._carrier.next_ping)
            if self._carrier.suspect_at is not None:
                times.append(self._carrier.suspect_at)
        return min(times, default=None)

    def take_outputs(self) -> list[Output]:
        """Take what is to be done, in order."""
        outputs, self._outputs = self._outputs, []
        return outputs

    def _is_wanted(self, tried: _Attempt) -> bool:
        carrier = self._carrier
        return carrier is None or carrier.is_suspect or self._is_better(tried.rallypoint, carrier.rallypoint)

    def _is_better(self, place: int, than: int) -> bool:
        return self._plan.strategy is Strategy.FAIL_BACK and place < than

    def _order(self, now: float) -> list[int]:
        """Give all places in the order in which to try them: those that were in trouble just now last."""
        begin = 0 if self._plan.strategy is Strategy.FAIL_BACK else self._after + 1
        places = [(begin + step) % self._plan.count for step in range(self._plan.count)]
        return sorted(places, key=lambda place: self._was_troubled(place, now))

    def _was_troubled(self, place: int, now: float) -> bool:
        return now - self._troubled.get(place, float("-inf")) < self._plan.rollover_s

    def _try_next(self, now: float) -> None:
        if not self._round:
            self._next_try = None
            return
        place = self._round.pop(0)
        self._next_try = now + STAGGER_S if self._round else None
        self._opened += 1
        self._attempts[self._opened] = _Attempt(place, now + self._plan.connection_timeout_s)
        self._outputs.append(Open(self._opened, place))

    def _drop_carrier(self, now: float) -> None:
        assert self._carrier is not None
        lost, self._carrier = self._carrier, None
        self._outputs.append(Carries(None, None))
        self._better_at = self.rtt_s = None
        self._troubled[lost.rallypoint] = now
        if now - lost.since >= self._plan.rollover_s:
            self._failed_rounds = 0
            self._round = self._order(now)
        else:  # it let us in and threw us out: those that do so may not keep us turning in a circle
            self._round = [place for place in self._order(now) if not self._was_troubled(place, now)]
        under_way = {tried.rallypoint for tried in self._attempts.values()}
        self._round = [place for place in self._round if place not in under_way]
        if self._round:
            self._next_try = now + self._chance() * SPREAD_S
        elif not self._attempts:
            self._pause(now)

    def _pause(self, now: float) -> None:
        self._failed_rounds += 1
        longest_s = min(MOST_PAUSE_S, PAUSE_STEP_S * self._failed_rounds)
        self._round = self._order(now)
        self._next_try = now + longest_s * (1.0 - 0.5 * self._chance())

    def _look_later(self, now: float) -> None:
        carrier = self._carrier
        if carrier is not None and self._plan.strategy is Strategy.FAIL_BACK and carrier.rallypoint > 0:
            self._better_at = now + self._plan.rollover_s
        else:
            self._better_at = None

    def _suspect(self, carrier: _Carrier, now: float) -> None:
        """Connect to the others beside a rallypoint that has not answered yet."""
        carrier.suspect_at = None
        carrier.is_suspect = True
        under_way = {tried.rallypoint for tried in self._attempts.values()} | {carrier.rallypoint}
        self._round = [place for place in self._order(now) if place not in under_way]
        if self._round:
            self._better_at = None
            self._next_try = now + self._chance() * SPREAD_S

    def _ping(self, carrier: _Carrier, now: float, timeout_s: float) -> None:
        carrier.next_ping = now + (BUSY_PING_S if now - carrier.busy_at < 2 * BUSY_PING_S else PING_S)
        if carrier.pinged_at is None:
            carrier.pinged_at, carrier.answer_by = now, now + timeout_s
            carrier.suspect_at = now + max(SUSPECT_S, 3 * (self.rtt_s or 0.0))
            self._outputs.append(Ping(carrier.attempt))
        else:
            carrier.answer_by = min(carrier.answer_by, now + timeout_s)
