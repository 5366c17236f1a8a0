"""One far end of an offer: its agent, and what of it does without ICE. Pure."""

from __future__ import annotations

from collections.abc import Callable

from app.events import IceState
from app.ice.agent import IceAgent
from app.ice.checklist import ListState
from app.ice.plain import PlainPath


class IceLeg:
    """One far end: its agent, and its streams that do without ICE."""

    def __init__(self, agent: IceAgent) -> None:
        self.agent = agent
        self.plain: dict[str, PlainPath] = {}
        self.take_if_authentic: Callable[[str, bytes, bool], bool] = lambda flow, data, named: False
        """Asked about data of a plain flow that comes from elsewhere: whether it was the peer's, and was used."""
        self.closed = False

    def settled(self, linger_s: float, now: float) -> bool:
        """Tell whether this leg needs no other candidates any more (RFC 8445 section 8.3)."""
        done = self.agent.completed_at
        return self.closed or (done is not None and now >= done + linger_s)

    def bases_in_use(self) -> set[int]:
        lists = () if self.closed else self.agent.lists.values()
        used = {one.chosen.local.base for one in lists if one.chosen is not None}
        return used | {path.base for path in self.plain.values()}

    @property
    def state(self) -> IceState | None:
        """Sum up how far this leg is; None before its checks have begun."""
        states = [one.state for one in self.agent.lists.values() if one.name not in self.plain]
        if self.closed:
            return IceState.CLOSED
        if self.plain and not states:
            return IceState.DISABLED
        if self.agent.lost or ListState.FAILED in states:
            return IceState.FAILED
        if self.agent.interrupted:
            return IceState.INTERRUPTED
        if self.agent.completed_at is not None:
            return IceState.COMPLETED
        return None if self.agent.started_at is None else IceState.CHECKING
