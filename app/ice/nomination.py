"""Which valid pair the controlling side nominates, and when: our stopping criterion (RFC 8445 section 8.1.1).

A pair is nominated at once when nothing better can come any more. Otherwise better pairs get a bounded time: after
the first valid one, or, between direct pairs, after each was asked, as long as its answer may take. While the best so
far goes through a relay (or over TCP) and a direct pair may still get through (over UDP), that time is longer, because
a direct pair between two NATs may need one retransmission.
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
    first_valid_at = checklist.first_valid_at
    if best.relayed and (any(not pair.relayed for pair in better) or not (checklist.remote_done and locals_done)):
        return best, first_valid_at + timing.relay_wait_s
    if best.local.protocol == "tcp" and any(pair.local.protocol == "udp" and not pair.relayed for pair in better):
        return best, first_valid_at + timing.relay_wait_s
    if not (checklist.remote_done or best.direct_host):
        return best, first_valid_at + timing.direct_wait_s
    if better:
        return best, _answered_by(better, best, first_valid_at, timing)
    return best, first_valid_at


def _answered_by(better: list[Pair], best: Pair, first_valid_at: float, timing: Timing) -> float:
    """Say when better direct pairs would have answered by now if they lead anywhere.

    A way that is better is hardly slower than the one that has answered, so a few of its round trips are enough for
    those that were asked; one that has not been asked yet, for want of pacing, gets the whole time.
    """
    latest = first_valid_at + timing.direct_wait_s
    if best.rtt_s is None or any(pair.started_at is None for pair in better):
        return latest
    asked_at = max(pair.started_at or 0.0 for pair in better)
    return min(latest, max(first_valid_at, asked_at + timing.answers_s + timing.answers_rtts * best.rtt_s))
