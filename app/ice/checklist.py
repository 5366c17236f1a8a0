"""Candidate pairs and the check list of one flow: forming, pruning, ordering, picking the next check.

RFC 8445 section 6.1.2 and 6.1.4. A plain structure that the agent works on; it sends nothing and waits for
nothing.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum

from app.events import CandidateType, PairState
from app.ice.candidates import Candidate, IceDescription
from app.ice.flows import split_flow
from app.ice.pairing import UNLIKELY, can_pair, likelihood, priority_of, usable_remote
from app.ice.stun import Address


@dataclass(slots=True, eq=False)
class LocalCandidate:
    """A candidate of ours with what the peer is not told.

    `base` is the number of the socket (or of the allocation) that sends for it; `base_address` its address.
    """

    candidate: Candidate
    base: int
    base_address: Address
    server: str | None = None
    interface: str | None = None

    @property
    def protocol(self) -> str:
        return self.candidate.protocol


FLOWING_GAP_S = 1.0  # datagrams closer together than this are a flow, whose end means something
_GAP_DECAY = 0.95


@dataclass(slots=True, eq=False)
class Pair:
    """One local and one remote candidate, with everything that was learned about the way between them."""

    local: LocalCandidate
    remote: Candidate
    priority: int
    state: PairState = PairState.FROZEN
    nominated: bool = False
    nominate_on_success: bool = False  # controlled: USE-CANDIDATE came before our own check succeeded
    awaits_permission: bool = False  # relayed: the TURN server has not yet let this peer in
    valid: Pair | None = None  # the valid pair that this pair's check made (RFC 8445 section 7.2.5.3.2)
    via: Pair | None = None  # the other direction: the pair whose check made this one valid
    rtt_s: float | None = None
    sent_bytes: int = 0
    received_bytes: int = 0
    heard_at: float = 0.0  # when data or an authentic check last came
    data_at: float = 0.0  # when data last came
    data_gap_s: float | None = None  # while data flows: the longest recent time between two datagrams
    trouble: str | None = None  # what the network said of the way, while its check is not given up
    checks_sent: int = 0
    reason: str | None = None
    started_at: float | None = None
    finished_at: float | None = None

    @property
    def key(self) -> tuple[int, Address]:
        return self.local.base, self.remote.transport_address

    @property
    def foundation(self) -> tuple[str, str]:
        return self.local.candidate.foundation, self.remote.foundation

    @property
    def relayed(self) -> bool:
        """Tell whether a relay of ours or of the peer's stands in the way."""
        return CandidateType.RELAY in (self.local.candidate.type, self.remote.type) or (
            self.via is not None and self.via.relayed
        )

    @property
    def unresolved(self) -> bool:
        return self.state in (PairState.FROZEN, PairState.WAITING, PairState.IN_PROGRESS)

    @property
    def direct_host(self) -> bool:
        """Tell whether nothing translates between the two ends, as far as is known."""
        return self.local.candidate.type is self.remote.type is CandidateType.HOST

    def take_data(self, size: int, now: float) -> bool:
        """Count a datagram of the peer's data that came on this way; tells whether data begins to flow."""
        self.received_bytes += size
        gap_s, flowed = now - self.data_at, self.data_gap_s is not None
        self.data_gap_s = max(gap_s, _GAP_DECAY * (self.data_gap_s or 0.0)) if gap_s < FLOWING_GAP_S else None
        self.data_at = self.heard_at = now
        return not flowed and self.data_gap_s is not None

    def __str__(self) -> str:
        local, remote = self.local.candidate, self.remote
        return f"{local.type} {local.address}:{local.port} to {remote.type} {remote.address}:{remote.port}"


class ListState(StrEnum):
    """RFC 8445 section 6.1.2.1, with a word for a list that has nothing to check yet."""

    IDLE = "idle"  # no remote description, or checks not started
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    PLAIN = "plain"  # the peer has no ICE for this stream


@dataclass(slots=True)
class EarlyCheck:
    """An authenticated check that came before the peer's description did."""

    base: int
    source: Address
    ufrag: str
    priority: int
    use_candidate: bool


MAX_EARLY_CHECKS = 32
LIKELY_PART = 8  # of the pairs that a list may have, one in so many is kept for each sort that is likely to work


@dataclass(slots=True, eq=False)
class CheckList:
    """Everything about one flow, by whose name it goes. `pairs` is kept in falling priority."""

    name: str
    ufrag: str
    pwd: str
    state: ListState = ListState.IDLE
    remote: IceDescription | None = None
    locals: list[LocalCandidate] = field(default_factory=list)
    remotes: list[Candidate] = field(default_factory=list)
    pairs: list[Pair] = field(default_factory=list)
    by_key: dict[tuple[int, Address], Pair] = field(default_factory=dict)
    triggered: deque[Pair] = field(default_factory=deque)
    early: list[EarlyCheck] = field(default_factory=list)
    chosen: Pair | None = None  # the valid pair that was decided on; selected as soon as that is confirmed
    selected: Pair | None = None
    nominating: Pair | None = None  # the pair whose check tells the peer of the choice
    remote_done: bool = False  # the peer has said that no more candidates come
    begun_at: float | None = None
    first_valid_at: float | None = None
    completed_at: float | None = None
    learned: int = 0
    request_seen: bool = False
    failure: str | None = None

    @property
    def stream(self) -> str:
        return split_flow(self.name)[0]

    @property
    def component(self) -> int:
        return split_flow(self.name)[1]

    @property
    def is_given_up(self) -> bool:
        """Tell whether its pairs are checked no more, in whatever state that found them."""
        return self.state in (ListState.FAILED, ListState.PLAIN)

    def valid_pairs(self) -> Iterator[Pair]:
        """Give the valid list in falling priority."""
        return (pair for pair in self.pairs if pair.state is PairState.SUCCEEDED and pair.valid is pair)

    def best_valid(self) -> Pair | None:
        return next(self.valid_pairs(), None)

    def find_remote(self, address: Address, protocol: str = "udp") -> Candidate | None:
        return next(
            (one for one in self.remotes if one.transport_address == address and one.protocol == protocol), None
        )

    def find_local(self, address: Address, base: int) -> LocalCandidate | None:
        return next(
            (mine for mine in self.locals if mine.candidate.transport_address == address and mine.base == base), None
        )

    def insert(self, pair: Pair) -> None:
        """Put a pair in its place; the pair that is checked for its base and remote is found by its key."""
        self.pairs.append(pair)
        self.sort()
        self.by_key.setdefault(pair.key, pair)

    def sort(self) -> None:
        self.pairs.sort(key=_falling)

    def take_candidates(self, candidates: Iterable[Candidate], limit: int, *, controlling: bool) -> list[str]:
        """Add the peer's candidates that can be used, at most `limit`; gives a sentence for each refusal."""
        problems = []
        for candidate in sorted(candidates, key=lambda one: one.priority, reverse=True):
            if candidate.component != self.component:
                continue
            problem = usable_remote(candidate)
            known = next((one for one in self.remotes if _same_place(one, candidate)), None)
            learned = known is not None and known.type is CandidateType.PRFLX is not candidate.type
            if problem is None and (known is None or learned):
                if len(self.remotes) - self.learned >= limit:
                    problem = f"The other side offered more than {limit} addresses; the rest is not tried."
                elif known is None:
                    self.remotes.append(candidate)
                else:
                    self._call(known, candidate, controlling)
            if problem:
                problems.append(problem)
        return problems

    def _call(self, learned: Candidate, signalled: Candidate, controlling: bool) -> None:
        """Take an address that a check has taught us for what the peer now calls it.

        The pairs keep their place: the peer's check has already said what it thinks of the way. Whether a relay
        stands in it, only the signalled candidate tells; then they take the place of relays, or a direct pair that
        is worse than any reflexive one (over TCP, RFC 6544) would lose against them.
        """
        self.learned -= 1
        self.remotes[self.remotes.index(learned)] = signalled
        for pair in self.pairs:
            if pair.remote is learned:
                pair.remote = signalled
                if signalled.type is CandidateType.RELAY:
                    pair.priority = priority_of(pair.local.candidate, signalled, controlling)
        self.sort()

    def form(self, controlling: bool, limit: int) -> list[Pair]:
        """Add the pairs of all candidates that are not paired yet, up to `limit` in all; gives the new ones.

        A reflexive candidate stands for its base, so of pairs with one base and one remote only the best is
        kept (RFC 8445 section 6.1.2.4).
        """
        best: dict[tuple[int, Address], Pair] = {}
        for local in self.locals:
            for remote in self.remotes:
                if (local.base, remote.transport_address) not in self.by_key and can_pair(local, remote):
                    pair = Pair(local, remote, priority_of(local.candidate, remote, controlling))
                    best[pair.key] = max(best.get(pair.key, pair), pair, key=lambda one: one.priority)
        new = self._fit(list(best.values()), limit)
        new.sort(key=_falling)
        self.pairs += new
        self.by_key.update((pair.key, pair) for pair in new)
        self.sort()
        return new

    def _fit(self, new: list[Pair], limit: int) -> list[Pair]:
        """Keep the best of the new pairs within the limit, and a part of it for those that most likely work.

        Many interfaces on both sides would push them out: the pairs of their own addresses come first, though most of
        those lead nowhere. Pairs that were not tried yet make room.
        """
        room = max(0, limit - len(self.pairs))
        if len(new) <= room:
            return new
        likely: list[Pair] = []
        for sort in range(UNLIKELY):
            of_sort = sorted((pair for pair in new if likelihood(pair) == sort), key=_falling)
            known = sum(likelihood(pair) == sort for pair in self.pairs)
            likely += of_sort[: max(0, limit // LIKELY_PART - known)]
        room += self.evict(len(likely) - room)
        kept = likely[:room]
        others = sorted((pair for pair in new if pair not in kept), key=_falling)
        return kept + others[: room - len(kept)]

    def evict(self, count: int, *, least: int = UNLIKELY) -> int:
        """Forget up to so many untried pairs of this likelihood or less, the worst first; gives how many."""
        idle = (PairState.FROZEN, PairState.WAITING)
        gone = [
            pair
            for pair in reversed(self.pairs)
            if not (pair.checks_sent or pair.heard_at)
            and pair.state in idle
            and pair not in self.triggered
            and likelihood(pair) >= least
        ][: max(0, count)]
        for pair in gone:
            self.pairs.remove(pair)
            self.by_key.pop(pair.key, None)
        return len(gone)

    def reprioritise(self, controlling: bool) -> None:
        """Compute all priorities anew after a role switch (RFC 8445 section 7.2.5.1)."""
        for pair in self.pairs:
            pair.priority = priority_of(pair.local.candidate, pair.remote, controlling)
        self.sort()

    def trigger(self, pair: Pair) -> None:
        if pair not in self.triggered:
            self.triggered.append(pair)

    def has_check(self, busy_foundations: set[tuple[str, str]]) -> bool:
        """Tell whether next_check would give a pair."""
        return (
            any(not pair.awaits_permission for pair in self.triggered) or self._ordinary(busy_foundations) is not None
        )

    def next_check(self, busy_foundations: set[tuple[str, str]]) -> Pair | None:
        """Take the pair to check now, RFC 8445 section 6.1.4.2; None when this list has nothing to do.

        `busy_foundations` are those with a Waiting or In-Progress pair in any list.
        """
        while self.triggered:
            pair = self.triggered.popleft()
            if not pair.awaits_permission:
                return pair
        return self._ordinary(busy_foundations)

    def _ordinary(self, busy_foundations: set[tuple[str, str]]) -> Pair | None:
        if self.state is not ListState.RUNNING:
            return None
        waiting = next(self._ready(PairState.WAITING), None)
        if waiting is not None:
            return waiting
        return next((pair for pair in self._ready(PairState.FROZEN) if pair.foundation not in busy_foundations), None)

    def _ready(self, state: PairState) -> Iterator[Pair]:
        return (pair for pair in self.pairs if pair.state is state and not pair.awaits_permission)


def _falling(pair: Pair) -> int:
    return -pair.priority


def _same_place(one: Candidate, other: Candidate) -> bool:
    return (one.transport_address, one.protocol, one.tcptype) == (
        other.transport_address,
        other.protocol,
        other.tcptype,
    )
