"""What the parts of one agent share: its lists, its role, and the queues of what is to be sent and told.

Pure data with the few steps that every part takes alike.
"""

from __future__ import annotations

import logging
from collections import Counter, deque
from dataclasses import dataclass, field

from app.events import PairState
from app.ice.checklist import CheckList, LocalCandidate, Pair
from app.ice.config import Timing
from app.ice.events import IceEvent, PairChanged, RoleChanged
from app.ice.requests import RandomBits
from app.ice.stun import Address

log = logging.getLogger(__name__)


@dataclass(slots=True)
class AgentState:
    """All check lists of one agent with one role and one tiebreaker (RFC 8445 section 5.2)."""

    timing: Timing
    random_bits: RandomBits
    controlling: bool
    tiebreaker: int
    lists: dict[str, CheckList] = field(default_factory=dict)
    """By the flow's name."""
    bases: dict[int, tuple[CheckList, LocalCandidate]] = field(default_factory=dict)
    routes: dict[tuple[int, Address], Pair] = field(default_factory=dict)
    """From base and authenticated remote address to the pair whose data comes from there."""
    packets: deque[tuple[int, bytes, Address]] = field(default_factory=deque)
    events: deque[IceEvent] = field(default_factory=deque)
    permissions_wanted: deque[tuple[int, Address]] = field(default_factory=deque)
    counters: Counter[str] = field(default_factory=Counter)
    started_at: float | None = None
    connected_at: float | None = None
    completed_at: float | None = None

    def set_pair(
        self, checklist: CheckList, pair: Pair, state: PairState, now: float, reason: str | None = None
    ) -> None:
        """Set, log and tell a pair's state: the one place where it happens while checks run."""
        if state in (PairState.SUCCEEDED, PairState.FAILED) and pair.finished_at is None:
            pair.finished_at = now
        if pair.state is state and pair.reason == reason:
            return
        log.debug("%s: %s: %s -> %s%s", checklist.name, pair, pair.state, state, f" ({reason})" if reason else "")
        pair.state, pair.reason = state, reason
        self.events.append(PairChanged(checklist.name, pair.local.candidate, pair.remote, state, reason))

    def switch_role(self, *, controlling: bool, reason: str) -> None:
        """Take the other role with a new tiebreaker; what was being nominated is not any more."""
        log.info("role is now %s: %s", "controlling" if controlling else "controlled", reason)
        self.controlling, self.tiebreaker = controlling, self.random_bits(64)
        self.events.append(RoleChanged(controlling, reason))
        for checklist in self.lists.values():
            checklist.nominating = None
            checklist.chosen = checklist.selected
            for pair in checklist.pairs:
                pair.nominate_on_success = False
            checklist.reprioritise(controlling)
