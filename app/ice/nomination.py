"""Which valid pair the controlling side nominates, and when: our stopping criterion (RFC 8445 section 8.1.1).

A pair is nominated at once when nothing better can come any more. Otherwise better pairs get a bounded time
after the first valid one; while the best so far goes through a relay and a direct pair may still get through,
that time is longer, because a direct pair between two NATs may need one retransmission.
"""

from __future__ import annotations

from app.ice.checklist import CheckList, Pair
from app.ice.config import Timing


def pick(checklist: CheckList, timing: Timing, *, locals_done: bool) -> tuple[Pair, float] | None:
    """Give the best valid pair and the time from which it may be nominated; None when there is no valid pair.

    `locals_done` says whether our own gathering is over: before, or before the peer's candidates are complete
    (RFC 8838), a better pair may come that is not in the list yet. Between two hosts' own addresses none can; a
    reflexive pair may only be bettered by an address of the peer's.
    """
    best = checklist.best_valid()
    if best is None or checklist.first_valid_at is None:
        return None
    better = [pair for pair in checklist.pairs if pair.unresolved and pair.priority > best.priority]
    if best.relayed and (any(not pair.relayed for pair in better) or not (checklist.remote_done and locals_done)):
        return best, checklist.first_valid_at + timing.relay_wait_s
    if better or not (checklist.remote_done or best.direct_host):
        return best, checklist.first_valid_at + timing.direct_wait_s
    return best, checklist.first_valid_at
