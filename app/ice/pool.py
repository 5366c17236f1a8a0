"""One gathering ahead of its call: who dials, or has just hung up, is likely to call, and finds gathering done then.

Not pure. At most one is kept, for one configuration; it is given back when nobody calls within two minutes, when the
network or the settings change, and when it loses a relay. Until it is taken it costs what any open session costs: a
keep-alive every 15 s to each server.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass, field

from app.ice.config import IceConfig
from app.ice.events import IceEvent, RelayLost
from app.ice.hub import Hub
from app.owned_tasks import OwnedTasks

log = logging.getLogger(__name__)

KEEP_S = 120.0  # after it was last asked for
MAX_HEARD = 256


@dataclass(slots=True, eq=False)
class Ahead:
    """A hub that gathers for nobody yet, and what it told meanwhile."""

    config: IceConfig
    flows: tuple[str, ...]
    hub: Hub
    heard: list[IceEvent] = field(default_factory=list)

    def serves(self, config: IceConfig, flows: Sequence[str]) -> bool:
        return self.config == config and set(flows) <= set(self.flows)


class IcePool:
    """Keeps one gathering ahead. Used on one event loop only; close it always."""

    def __init__(self, keep_s: float = KEEP_S) -> None:
        self._keep_s = keep_s
        self._ahead: Ahead | None = None
        self._last: tuple[IceConfig, tuple[str, ...]] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._tasks = OwnedTasks("ICE pool")
        self._closed = False

    @property
    def holds_one(self) -> bool:
        return self._ahead is not None

    def prepare(self, config: IceConfig, flows: Sequence[str]) -> None:
        """Gather for a call that is likely; the same again keeps what is there for longer.

        Without servers there is nothing to wait for, and nothing is kept.
        """
        if self._closed or not (config.stun_servers or config.turn_servers):
            return
        if self._ahead is None or not self._ahead.serves(config, flows):
            self.drop()
            hub = Hub(config, True, flows)
            self._ahead = ahead = Ahead(config, tuple(flows), hub)
            hub.attach(hub.first_leg, lambda event: self._heard(ahead, event), lambda flow, data: None)
            self._tasks.start(hub.gather_hosts(), "gather ahead")
        self._last = config, self._ahead.flows
        self._set_timer()

    def refill(self) -> None:
        """Gather anew for a call like the last one."""
        if self._last is not None:
            self.prepare(*self._last)

    def take(self, config: IceConfig, controlling: bool, flows: Sequence[str]) -> Ahead | None:
        """Hand over what was gathered for such a call; None when there is nothing that serves it."""
        if self._last is None or self._last[0] != config or not set(flows) <= set(self._last[1]):
            self._last = config, tuple(flows)  # a restart within a call may need fewer flows than the next call
        ahead = self._ahead
        if ahead is None or not ahead.serves(config, flows):
            self.drop()  # its relays may be all that this person is allowed
            return None
        self._ahead = None
        self._set_timer()
        ahead.hub.adopt(controlling, flows)
        log.info("a call begins with gathering %s", "done" if ahead.hub.gathered else "begun")
        return ahead

    def drop(self) -> None:
        """Give back what was gathered: it is of no use any more."""
        ahead, self._ahead = self._ahead, None
        if ahead is not None:
            self._tasks.start(ahead.hub.close(ahead.hub.first_leg), "give back")
        self._set_timer()

    async def close(self) -> None:
        self._closed = True
        self.drop()
        await self._tasks.finish()

    def _heard(self, ahead: Ahead, event: IceEvent) -> None:
        if len(ahead.heard) < MAX_HEARD:
            ahead.heard.append(event)
        if isinstance(event, RelayLost) and self._ahead is ahead:
            self.drop()

    def _set_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._ahead is not None:
            self._timer = asyncio.get_running_loop().call_later(self._keep_s, self.drop)
