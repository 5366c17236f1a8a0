"""A channel's link by rallypoints: the cluster decides which, this connects, sends and waits. Impure: asyncio tasks."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Callable, Sequence

from app.channels.cluster import Carries, Close, Cluster, ClusterPlan, Open, Ping
from app.channels.duplicates import Duplicates, digest
from app.channels.links import LinkKind, LinkState, OnDatagram, OnState
from app.channels.nats_link import NatsConnection, RallypointTarget, reason
from app.channels.send_queue import MOST_AGE_S, SendQueue
from app.owned_tasks import OwnedTasks

log = logging.getLogger(__name__)


class RallypointLink:
    """One channel by a cluster of rallypoints, in the mission's order; app.channels.links.Link.

    `subject` is what `nats_link.subject_of` gives for the channel. `chance`: numbers from 0 to 1.
    `most_age_s`: what has waited longer is not sent.
    """

    def __init__(
        self,
        targets: Sequence[RallypointTarget],
        subject: str,
        plan: ClusterPlan,
        chance: Callable[[], float] = random.random,
        most_age_s: float = MOST_AGE_S,
    ) -> None:
        self.on_datagram: OnDatagram = lambda datagram, source, now: None
        self.on_state: OnState = lambda state: None
        self._targets = tuple(targets)
        self._subject = subject
        self._plan = plan
        self._cluster = Cluster(plan, chance)
        self._queue = SendQueue(most_age_s=most_age_s)
        self._duplicates = Duplicates()
        self._connections: dict[int, NatsConnection] = {}
        self._opening: dict[int, asyncio.Task[None]] = {}
        self._carrier: NatsConnection | None = None
        self._troubles: dict[int, str] = {}  # by place in the list
        self._tasks = OwnedTasks("rallypoint link")
        self._endings = OwnedTasks("rallypoint link's end")  # short, and never cut off: they leave nothing behind
        self._timer: asyncio.TimerHandle | None = None
        self._waiting = asyncio.Event()
        self._place: int | None = None
        self._is_closed = False
        self._state = LinkState(LinkKind.RALLYPOINT, False, "Not connected to a rallypoint yet.")

    @property
    def state(self) -> LinkState:
        """How the link is now."""
        return self._state

    @property
    def dropped(self) -> int:
        """How many datagrams were too old to be worth sending."""
        return self._queue.dropped

    async def start(self) -> None:
        """Begin to connect."""
        self._tasks.start(self._pump(), "sending")
        self._cluster.start(time.monotonic())
        self._turn()

    async def close(self) -> None:
        """Close all connections."""
        if self._is_closed:
            return
        self._is_closed = True
        if self._timer is not None:
            self._timer.cancel()
        self._cluster.stop()
        await self._tasks.close()
        connections, self._connections = list(self._connections.values()), {}
        self._carrier = None
        for one in connections:
            self._endings.start(one.close(), "closing")
        await self._endings.finish()
        self._set_state(LinkState(LinkKind.RALLYPOINT, False, "The rallypoint has been left."))

    def network_changed(self) -> None:
        """Try at once what waits, and see soon whether the connection still stands."""
        if not self._is_closed:
            self._cluster.network_changed(time.monotonic())
            self._turn()

    def send(self, datagram: bytes, now: float) -> None:
        """Send soon, or not at all."""
        if not self._is_closed:
            self._queue.put(datagram, now)
            self._waiting.set()

    async def _pump(self) -> None:
        """Send what waits, while there is a connection that takes it."""
        while True:
            await self._waiting.wait()
            carrier = self._carrier
            if carrier is None:
                self._waiting.clear()  # set again by the next connection, which sends what is not too old
                continue
            await carrier.may_send.wait()
            datagram = self._queue.take(time.monotonic()) if carrier is self._carrier else None
            if datagram is not None:
                await carrier.send(datagram)
                self._carried()
            elif not len(self._queue):
                self._waiting.clear()

    def _turn(self) -> None:
        """Do what the cluster asks for, and wake it when it wants to be woken."""
        if self._is_closed:
            return
        for output in self._cluster.take_outputs():
            match output:
                case Open(attempt, place):
                    self._opening[attempt] = self._tasks.start(self._open(attempt, place), f"connecting {place}")
                case Close(attempt):
                    self._end(attempt)
                case Ping(attempt):
                    self._tasks.start(self._ping(attempt), "ping")
                case Carries(attempt, place):
                    self._carry(attempt, place)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        due = self._cluster.next_timeout()
        if due is not None:
            wait_s = max(0.0, due - time.monotonic())
            self._timer = asyncio.get_running_loop().call_later(wait_s, self._woken)
        self._tell()

    def _woken(self) -> None:
        self._cluster.handle_timeout(time.monotonic())
        self._turn()

    async def _open(self, attempt: int, place: int) -> None:
        target = self._targets[place]
        connection = self._connections[attempt] = NatsConnection(
            target,
            self._subject,
            lambda datagram: self._heard(attempt, str(target), datagram),
            lambda why: self._lost(attempt, place, why),
        )
        try:
            await connection.open(self._plan.connection_timeout_s)
        except Exception as error:  # a library of others speaks with a stranger: whatever it is, the next one is tried
            log.info("rallypoint %s: %s", target, reason(error))
            self._troubles[place] = reason(error)
            self._end(attempt)
            self._cluster.failed(attempt, time.monotonic())
        else:
            self._troubles.pop(place, None)
            self._opening.pop(attempt, None)
            self._cluster.connected(attempt, time.monotonic())
        self._turn()

    def _heard(self, attempt: int, source: str, datagram: bytes) -> None:
        now = time.monotonic()
        if attempt not in self._connections:
            return
        self._carried()
        # While one connection takes over from another, both bring the same.
        if len(self._connections) < 2 or self._duplicates.is_new(digest(datagram), now):
            self.on_datagram(datagram, source, now)

    def _carried(self) -> None:
        if self._cluster.carried(time.monotonic()):
            self._turn()

    def _lost(self, attempt: int, place: int, why: str) -> None:
        self._troubles[place] = why
        self._end(attempt)
        self._cluster.lost(attempt, time.monotonic())
        self._turn()

    async def _ping(self, attempt: int) -> None:
        connection = self._connections.get(attempt)
        took_s = None if connection is None else await connection.ping(self._plan.transaction_timeout_s)
        if took_s is not None:
            self._cluster.answered(attempt, time.monotonic())
            self._turn()

    def _carry(self, attempt: int | None, place: int | None) -> None:
        before, self._carrier = self._carrier, None if attempt is None else self._connections.get(attempt)
        self._place = place
        if before is not None:
            before.may_send.set()  # whoever waits for it looks again
        self._waiting.set()

    def _end(self, attempt: int) -> None:
        opening = self._opening.pop(attempt, None)
        if opening is not None and opening is not asyncio.current_task():
            opening.cancel()
        connection = self._connections.pop(attempt, None)
        if connection is not None:
            self._endings.start(connection.close(), "closing")

    def _tell(self) -> None:
        if self._carrier is not None and self._place is not None:
            target = self._targets[self._place]
            unverified = "" if target.is_verified else ", whose certificate is not checked"
            words = f"Connected to rallypoint {target}{unverified}."
            self._set_state(LinkState(LinkKind.RALLYPOINT, True, words, self._cluster.rtt_s))
            return
        troubles = "; ".join(f"{self._targets[place]}: {why}" for place, why in sorted(self._troubles.items()))
        words = f"No rallypoint is reached ({troubles})." if troubles else "Connecting to a rallypoint."
        self._set_state(LinkState(LinkKind.RALLYPOINT, False, words))

    def _set_state(self, state: LinkState) -> None:
        if state != self._state:
            self._state = state
            self.on_state(state)
