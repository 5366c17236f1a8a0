"""Which candidates may be paired, and which of the pairs may be checked first.

RFC 8445 sections 6.1.2.2 to 6.1.2.6, RFC 6544 section 6.2 for TCP. Pure functions.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from typing import TYPE_CHECKING

from app.events import CandidateType, PairState
from app.ice.candidates import Candidate, TcpType, pair_priority
from app.ice.hiding import is_local_name

if TYPE_CHECKING:
    from app.ice.checklist import CheckList, LocalCandidate, Pair

_TCP_OPPOSITE = {TcpType.ACTIVE: TcpType.PASSIVE, TcpType.SO: TcpType.SO}
"""Whom we may connect to. A passive candidate waits: its pairs are learned from the checks that come (RFC 6544 6.2)."""


def priority_of(local: Candidate, remote: Candidate, controlling: bool) -> int:
    return pair_priority(*((local.priority, remote.priority) if controlling else (remote.priority, local.priority)))


def can_pair(local: LocalCandidate, remote: Candidate) -> bool:
    """Tell whether two candidates may be paired: same component, transport and family, loopback from loopback."""
    mine = local.candidate
    if mine.type is CandidateType.PRFLX or (mine.component, mine.protocol) != (remote.component, remote.protocol):
        return False
    if mine.protocol == "tcp" and (mine.tcptype is None or _TCP_OPPOSITE.get(mine.tcptype) is not remote.tcptype):
        return False
    here, there = ipaddress.ip_address(local.base_address[0]), ipaddress.ip_address(remote.address)
    if here.version != there.version or here.is_link_local != there.is_link_local:
        return False
    return here.is_loopback or not there.is_loopback


def usable_remote(candidate: Candidate) -> str | None:
    """Say in words why a candidate of the peer's is not used; None when it is, "" when that is nobody's concern."""
    if candidate.protocol not in ("udp", "tcp") or (candidate.protocol == "tcp" and candidate.tcptype is None):
        return ""
    if is_local_name(candidate.address):
        return ""  # it is looked up
    if not candidate.is_numeric:
        return f"The other side named its address as {candidate.address[:60]}, which is not looked up."
    ip = ipaddress.ip_address(candidate.address)
    if ip.version == 6 and (ip.ipv4_mapped or ip.is_site_local):
        return f"The other side offered {candidate.address}, an address that must not be used (RFC 8445 5.1.1.1)."
    if candidate.port == 0 or ip.is_multicast or ip.is_unspecified or str(ip) == "255.255.255.255":
        return f"The other side offered {candidate.address}:{candidate.port}, where nobody can be reached."
    return None


PUBLIC, UNLIKELY = 2, 3


def likelihood(pair: Pair) -> int:
    """Say what makes a pair likely to work between two networks: 0 two relays, 1 one, PUBLIC an address of the peer's
    that can be reached from anywhere.

    UNLIKELY with none of these: the two ends share a network, or it leads nowhere. Our relay reaches no private
    address of the peer's either.
    """
    remote = pair.remote
    relays = (pair.local.candidate.type, remote.type).count(CandidateType.RELAY)
    if relays < 2 and remote.type is CandidateType.HOST and ipaddress.ip_address(remote.address).is_private:
        return UNLIKELY
    return PUBLIC - relays


def set_initial_states(lists: Iterable[CheckList], new: Iterable[tuple[CheckList, Pair]]) -> None:
    """Let one pair of each foundation wait, over all lists; the rest stays frozen (RFC 8445 section 6.1.2.6).

    Of a foundation the lowest component comes first, then the highest priority. A pair that is formed later, when
    one of its foundation has succeeded, need not wait (section 7.2.5.3.3).
    """
    states: dict[tuple[str, str], set[PairState]] = {}
    for checklist in lists:
        for pair in () if checklist.is_given_up else checklist.pairs:
            states.setdefault(pair.foundation, set()).add(pair.state)
    for _, pair in sorted(new, key=lambda one: (one[0].component, -one[1].priority)):
        known = states[pair.foundation]
        busy = PairState.WAITING in known or PairState.IN_PROGRESS in known
        if pair.state is PairState.FROZEN and (PairState.SUCCEEDED in known or not busy):
            pair.state = PairState.WAITING
            known.add(PairState.WAITING)
