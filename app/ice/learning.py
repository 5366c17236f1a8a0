"""Peer-reflexive candidates: what a check teaches about addresses that nobody signalled.

RFC 8445 sections 7.2.5.3 (ours, from an answer) and 7.3.1.3 (the peer's, from a request). Both are bounded, so
that a peer that changes its port with each check cannot fill the lists.
"""

from __future__ import annotations

from app.events import CandidateType
from app.ice.candidates import Candidate, TcpType
from app.ice.checklist import CheckList, EarlyCheck, LocalCandidate, Pair
from app.ice.checks import reflexive_priority
from app.ice.pairing import priority_of
from app.ice.stun import Address

_TCP_OTHER = {TcpType.ACTIVE: TcpType.PASSIVE, TcpType.PASSIVE: TcpType.ACTIVE, TcpType.SO: TcpType.SO}


def learn_pair(
    checklist: CheckList, local: LocalCandidate, check: EarlyCheck, *, controlling: bool, limit: int
) -> Pair | None:
    """Make and insert the pair of an accepted check that came on a way nobody signalled; None beyond the limit."""
    mine = local.candidate
    remote = checklist.find_remote(check.source, mine.protocol)
    if remote is None:
        if checklist.learned >= limit:
            return None
        checklist.learned += 1
        foundation = f"prflx{checklist.learned}"
        remote = Candidate(
            foundation,
            mine.component,
            mine.protocol,
            check.priority,
            *check.source,
            CandidateType.PRFLX,
            extensions=_tcptype(_TCP_OTHER[mine.tcptype]) if mine.tcptype is not None else (),
        )
        checklist.remotes.append(remote)
    pair = Pair(local, remote, priority_of(local.candidate, remote, controlling))
    checklist.insert(pair)
    return pair


def valid_pair(checklist: CheckList, pair: Pair, mapped: Address, *, controlling: bool, limit: int) -> Pair:
    """Find or make the valid pair of a successful check: its local candidate is the address that the peer saw."""
    if pair.valid is not None:
        return pair.valid
    pair.valid = pair
    mine = pair.local.candidate
    if mapped == mine.transport_address or (mine.tcptype is TcpType.ACTIVE and mapped[0] == mine.address):
        return pair  # an active candidate names no port: each connection has its own
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
    candidate = Candidate(
        foundation,
        mine.candidate.component,
        mine.protocol,
        priority,
        *mapped,
        CandidateType.PRFLX,
        *base,
        extensions=_tcptype(mine.candidate.tcptype),
    )
    return LocalCandidate(candidate, mine.base, base, mine.server, mine.interface)


def _tcptype(kind: TcpType | None) -> tuple[tuple[str, str], ...]:
    return () if kind is None else (("tcptype", kind.value),)
