"""Which valid pair the controlling side nominates, and when: our stopping criterion (RFC 8445 section 8.1.1).

A pair is nominated at once when nothing better can come any more. Otherwise better pairs get a bounded time
after the first valid one; while the best so far goes through a relay and a direct pair is still being tried,
that time is longer, because a direct pair between two NATs may need one retransmission to get through.
"""

from __future__ import annotations

from app.ice.checklist import CheckList, Pair
from app.ice.config import Timing


def pick(checklist: CheckList, timing: Timing) -> tuple[Pair, float] | None:
    """Give the best valid pair and the time from which it may be nominated; None when there is no valid pair."""
    best = checklist.best_valid()
    if best is None or checklist.first_valid_at is None:
        return None
    better = [pair for pair in checklist.pairs if pair.unresolved and pair.priority > best.priority]
    if not better:
        return best, checklist.first_valid_at
    direct_possible = best.relayed and any(not pair.relayed for pair in better)
    return best, checklist.first_valid_at + (timing.relay_wait_s if direct_possible else timing.direct_wait_s)
