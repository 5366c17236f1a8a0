"""A channel's link by a rallypoint that falls over to multicast while the rallypoint is lost.

`failover.py` decides; this owns the two links and the timer. Multicast is joined only while it is needed, each time
by a new link. Impure: a timer of the event loop.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from app.channels.duplicates import digest
from app.channels.failover import RETURN_S, Failover, FailoverState, Step, Way
from app.channels.links import Link, LinkKind, LinkState, OnDatagram, OnState
from app.owned_tasks import OwnedTasks

_WORDS = {
    FailoverState.CONNECTED: "",
    FailoverState.LOST: "Limited connectivity: ",
    FailoverState.SHAKY: "",
    FailoverState.MULTICAST: "Limited connectivity, by multicast: ",
    FailoverState.RETURNING: "By the rallypoint again, and by multicast for a while: ",
}


class FailoverLink:
    """One channel by two ways; app.channels.links.Link. `failover_s` None: never by multicast.

    `return_s`: for how long the rallypoint must be up again before multicast is left.
    """

    def __init__(
        self,
        rallypoint: Link,
        make_multicast: Callable[[], Link],
        failover_s: float | None,
        return_s: float = RETURN_S,
    ) -> None:
        self.on_datagram: OnDatagram = lambda datagram, source, now: None
        self.on_state: OnState = lambda state: None
        self._rallypoint = rallypoint
        self._make_multicast = make_multicast
        self._multicast: Link | None = None
        self._failover = Failover(failover_s, time.monotonic(), return_s)
        self._failover_s, self._return_s = failover_s, return_s
        self._tasks = OwnedTasks("failover")
        self._timer: asyncio.TimerHandle | None = None
        self._is_closed = False
        self._state = LinkState(LinkKind.FAILOVER, False, "Not connected yet.")

    @property
    def state(self) -> LinkState:
        """How the link is now: up while either way is, and it is the one to send on."""
        return self._state

    async def start(self) -> None:
        """Connect to the rallypoint; the time to multicast begins to count."""
        self._failover = Failover(self._failover_s, time.monotonic(), self._return_s)
        self._rallypoint.on_datagram = lambda *what: self._heard(Way.RALLYPOINT, *what)
        self._rallypoint.on_state = lambda state: self._turn()
        await self._rallypoint.start()
        self._turn()

    async def close(self) -> None:
        """Close both."""
        if self._is_closed:
            return
        self._is_closed = True
        if self._timer is not None:
            self._timer.cancel()
        await self._tasks.close()
        await self._rallypoint.close()
        if self._multicast is not None:
            await self._multicast.close()
        self._state = LinkState(LinkKind.FAILOVER, False, "The channel has been left.")
        self.on_state(self._state)

    def network_changed(self) -> None:
        """Tell both."""
        self._rallypoint.network_changed()
        if self._multicast is not None:
            self._multicast.network_changed()

    def send(self, datagram: bytes, now: float) -> None:
        """Send by the way that the others hear, or by both while it changes."""
        if Way.RALLYPOINT in self._failover.sends_on:
            self._rallypoint.send(datagram, now)
        if Way.MULTICAST in self._failover.sends_on and self._multicast is not None:
            self._multicast.send(datagram, now)

    def _heard(self, way: Way, datagram: bytes, source: str, now: float) -> None:
        if not self._is_closed and self._failover.heard(way, digest(datagram), now):
            self.on_datagram(datagram, source, now)

    def _turn(self) -> None:
        """Do what the rallypoint's state and the time ask for."""
        if self._is_closed:
            return
        now = time.monotonic()
        self._failover.rallypoint(self._rallypoint.state.is_up, now)
        for step in self._failover.take_steps():
            if step is Step.JOIN:
                self._join()
            else:
                self._leave()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        due = self._failover.next_timeout()
        if due is not None:
            self._timer = asyncio.get_running_loop().call_later(max(0.0, due - now), self._turn)
        self._tell()

    def _join(self) -> None:
        link = self._multicast = self._make_multicast()
        link.on_datagram = lambda *what: self._heard(Way.MULTICAST, *what)
        link.on_state = lambda state: self._tell()
        self._tasks.start(link.start(), "joining multicast")

    def _leave(self) -> None:
        link, self._multicast = self._multicast, None
        if link is not None:
            link.on_datagram = lambda datagram, source, now: None
            link.on_state = lambda state: None
            self._tasks.start(link.close(), "leaving multicast")

    def _tell(self) -> None:
        rallypoint, multicast = self._rallypoint.state, self._multicast
        is_up, words, by = rallypoint.is_up, rallypoint.words, rallypoint.kind
        if not is_up and multicast is not None:
            is_up, words = multicast.state.is_up, f"{multicast.state.words} {rallypoint.words}"
            by = multicast.state.kind
        is_lost = self._failover.state is FailoverState.LOST
        state = LinkState(
            *(LinkKind.FAILOVER, is_up, _WORDS[self._failover.state] + words, rallypoint.rtt_s),
            by=by if is_up else None,
            failover_at=self._failover.next_timeout() if is_lost else None,
        )
        if state != self._state and not self._is_closed:
            self._state = state
            self.on_state(state)
