"""Peer-reflexive candidates: what a check teaches about addresses that nobody signalled.

RFC 8445 sections 7.2.5.3 (ours, from an answer) and 7.3.1.3 (the peer's, from a request). Both are bounded, so
that a peer that changes its port with each check cannot fill the lists.
"""

from __future__ import annotations

from app.events import CandidateType
from app.ice.candidates import Candidate
from app.ice.checklist import CheckList, EarlyCheck, LocalCandidate, Pair, priority_of
from app.ice.checks import reflexive_priority
from app.ice.stun import Address


def learn_pair(
    checklist: CheckList, local: LocalCandidate, check: EarlyCheck, *, controlling: bool, limit: int
) -> Pair | None:
    """Make and insert the pair of an accepted check that came on a way nobody signalled; None beyond the limit."""
    remote = checklist.find_remote(check.source)
    if remote is None:
        if checklist.learned >= limit:
            return None
        checklist.learned += 1
        foundation = f"prflx{checklist.learned}"
        remote = Candidate(foundation, 1, "udp", check.priority, *check.source, CandidateType.PRFLX)
        checklist.remotes.append(remote)
    pair = Pair(local, remote, priority_of(local.candidate, remote, controlling))
    checklist.insert(pair)
    return pair


def valid_pair(checklist: CheckList, pair: Pair, mapped: Address, *, controlling: bool, limit: int) -> Pair:
    """Find or make the valid pair of a successful check: its local candidate is the address that the peer saw."""
    if pair.valid is not None:
        return pair.valid
    pair.valid = pair
    if mapped == pair.local.candidate.transport_address:
        return pair
    local = checklist.find_local(mapped, pair.local.base)
    if local is None:
        learned = [one for one in checklist.locals if one.candidate.type is CandidateType.PRFLX]
        if len(learned) >= limit:
            return pair
        local = _learn_local(pair, mapped)
        checklist.locals.append(local)
    made = Pair(local, pair.remote, priority_of(local.candidate, pair.remote, controlling), via=pair)
    made.valid = pair.valid = made
    made.started_at = pair.started_at
    checklist.insert(made)
    return made


def _learn_local(pair: Pair, mapped: Address) -> LocalCandidate:
    mine, base = pair.local, pair.local.base_address
    foundation = f"prflx{mine.candidate.foundation}"
    priority = reflexive_priority(pair)
    candidate = Candidate(foundation, 1, "udp", priority, *mapped, CandidateType.PRFLX, *base)
    return LocalCandidate(candidate, mine.base, base, mine.server, mine.interface)
