"""The ICE agent: runs the check lists of one session until each flow has its pair, then keeps watch over it.

RFC 8445 sections 6 to 8 and 11, RFC 7675, RFC 8838. Pure: `receive` and `handle_timeout` are handed the time; what
is to be sent gathers in `packets`, what happened in `events`. Knows numbered bases (sockets and allocations), not
how they came to be.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping

from app.events import CandidateType, PairState
from app.ice import failures
from app.ice.candidates import (
    PWD_LENGTH,
    UFRAG_LENGTH,
    Candidate,
    IceDescription,
    IceError,
    make_credential,
)
from app.ice.checklist import CheckList, ListState, LocalCandidate, Pair
from app.ice.config import Timing
from app.ice.consent import Consent
from app.ice.events import PairFormed
from app.ice.flows import flows_of, split_flow
from app.ice.incoming import Incoming
from app.ice.outcomes import NO_ANSWER, NOT_NEEDED, Outcomes
from app.ice.pairing import set_initial_states
from app.ice.requests import RandomBits
from app.ice.runner import CheckRunner
from app.ice.state import AgentState
from app.ice.stun import Address
from app.ice.watch import PathWatch

log = logging.getLogger(__name__)

MAX_PROBLEMS = 16


class IceAgent:
    """All check lists of one session, with one role and one tiebreaker."""

    def __init__(self, controlling: bool, timing: Timing, random_bits: RandomBits) -> None:
        self.state = state = AgentState(timing, random_bits, controlling, random_bits(64))
        self.timing = timing
        self.lists = state.lists
        self.routes = state.routes
        self.packets = state.packets
        self.events = state.events
        self.permissions_wanted = state.permissions_wanted
        self.counters = state.counters
        self.problems: list[str] = []
        self._gathered = False
        self._gathering_problem: str | None = None  # what to say when there is no candidate at all
        self._granted: set[tuple[int, str]] = set()
        self._runner = CheckRunner(state)
        self._watch = PathWatch(state, self._runner)
        self._outcomes = Outcomes(state, self._runner, self._watch)
        self._incoming = Incoming(state, self._runner, self._watch, self._outcomes)
        self.receive = self._incoming.receive

    @property
    def controlling(self) -> bool:
        return self.state.controlling

    @property
    def started_at(self) -> float | None:
        return self.state.started_at

    @property
    def connected_at(self) -> float | None:
        """When every flow had its pair decided."""
        return self.state.connected_at

    @property
    def completed_at(self) -> float | None:
        """When the nomination of every flow was confirmed."""
        return self.state.completed_at

    @property
    def interrupted(self) -> bool:
        return self._watch.interrupted

    @property
    def lost(self) -> bool:
        """Tell whether consent has expired on a flow."""
        return self._watch.any_expired

    @property
    def consents(self) -> Mapping[str, Consent]:
        """The consent of each flow that has a pair, to be looked at."""
        return self._watch.consents

    # What the owner tells --------------------------------------------------------------------------------

    def add_flow(self, name: str) -> CheckList:
        """Add a flow; those of one stream share their credentials (RFC 8839 section 5.4)."""
        alike = next((self.lists[one] for one in flows_of(split_flow(name)[0], self.lists)), None)
        if alike is not None:
            checklist = CheckList(name, alike.ufrag, alike.pwd)
        else:
            ufrag = make_credential(UFRAG_LENGTH, self.state.random_bits(6 * UFRAG_LENGTH))
            checklist = CheckList(name, ufrag, make_credential(PWD_LENGTH, self.state.random_bits(6 * PWD_LENGTH)))
        self.lists[name] = checklist
        return checklist

    def remove_flow(self, name: str, now: float) -> None:
        checklist = self.lists.pop(name, None)
        if checklist is None:
            return
        self._runner.drop_list(checklist)
        self._watch.drop(name)
        for base in [base for base, entry in self.state.bases.items() if entry[0] is checklist]:
            del self.state.bases[base]
            for key in [key for key in self.routes if key[0] == base]:
                del self.routes[key]
        self._outcomes.note_progress(now)

    def add_local(self, flow: str, local: LocalCandidate) -> None:
        """Add a candidate of ours; the first one of a base (host or relay) is what that base sends for.

        While checks run it is paired at once (RFC 8838 section 10).
        """
        checklist = self.lists[flow]
        checklist.locals.append(local)
        self.state.bases.setdefault(local.base, (checklist, local))
        if checklist.state is ListState.RUNNING:
            self._form([checklist])

    def gathering_ended(self, problem: str | None) -> None:
        """Say that no more local candidates come; `problem` is the first thing that went wrong, if any."""
        self._gathered, self._gathering_problem = True, problem
        for checklist in list(self.lists.values()):
            if checklist.state is ListState.RUNNING and not checklist.locals:
                self._outcomes.fail(checklist, failures.no_address(problem))

    def set_remote(self, stream: str, description: IceDescription, now: float) -> None:
        """Take the peer's description of a stream, each component's candidates for its flow.

        The same credentials again only add candidates, others are refused.
        """
        lists = [self.lists[name] for name in flows_of(stream, self.lists)]
        if not lists:
            raise IceError(f"There is no stream {stream[:40]!r} in this session.")
        for checklist in lists:
            known = checklist.remote
            if known is not None and (known.ufrag, known.pwd) != (description.ufrag, description.pwd):
                raise IceError(f"The other side asks to restart ICE for stream {stream}, which needs a new session.")
        self._runner.pacing_s = max(self._runner.pacing_s, (description.pacing_ms or 50) / 1000)
        for checklist in lists:
            checklist.remote = description
            checklist.remote_done = checklist.remote_done or not description.may_grow
            self._take_candidates(checklist, description.candidates)
        if description.lite and not self.controlling:  # a full agent controls a lite one, RFC 8445 section 6.1.1
            self._outcomes.switch_role(controlling=True, reason="the other side is a lite agent")
        if self.started_at is not None:
            self._begin([one for one in lists if one.state in (ListState.IDLE, ListState.RUNNING)], now)

    def add_remote_candidate(self, stream: str, candidate: Candidate, now: float) -> None:
        """Take a candidate that the peer signals later (RFC 8838 section 11); before its description it is refused."""
        for name in flows_of(stream, self.lists):
            checklist = self.lists[name]
            if checklist.remote is None:
                raise IceError(f"A candidate for stream {stream[:40]!r} came before its description.")
            self._take_candidates(checklist, (candidate,))
            if checklist.state is ListState.RUNNING:
                self._begin([checklist], now)

    def end_of_remote_candidates(self, stream: str) -> None:
        """Take note that the peer signals no more candidates for a stream."""
        for name in flows_of(stream, self.lists):
            self.lists[name].remote_done = True

    def _take_candidates(self, checklist: CheckList, candidates: tuple[Candidate, ...]) -> None:
        limit = self.timing.max_remote_candidates
        for problem in checklist.take_candidates(candidates, limit, controlling=self.controlling):
            if problem not in self.problems and len(self.problems) < MAX_PROBLEMS:
                self.problems.append(problem)

    def do_without(self, flow: str, now: float) -> None:
        """Leave a flow out: the peer has no ICE for it."""
        checklist = self.lists[flow]
        checklist.state = ListState.PLAIN
        checklist.early.clear()
        self._runner.drop_list(checklist)
        self._watch.drop(flow)
        self._outcomes.note_progress(now)

    def fork(self) -> IceAgent:
        """Make an agent for a further far end of the same offer: our side is the same, the peer's unknown."""
        other = IceAgent(self.controlling, self.timing, self.state.random_bits)
        for checklist in self.lists.values():
            copy = CheckList(checklist.name, checklist.ufrag, checklist.pwd, early=list(checklist.early))
            other.lists[checklist.name] = copy
            for local in checklist.locals:
                if local.candidate.type is not CandidateType.PRFLX:
                    other.add_local(checklist.name, local)
        if self._gathered:
            other.gathering_ended(self._gathering_problem)
        return other

    # Checks ----------------------------------------------------------------------------------------------

    def start(self, now: float) -> None:
        """Begin the checks of every flow whose peer is described; later ones begin when they are."""
        if self.started_at is None:
            self.state.started_at = now
            self._runner.start(now)
        ready = (one for one in self.lists.values() if one.remote is not None and one.state is ListState.IDLE)
        self._begin(list(ready), now)

    def peer_has_begun(self, now: float) -> None:
        """Ask again what was asked before the peer could answer: its NAT lets us in only now that it checks, too.

        The repeated checks are paced like any others, so this is no flood if it is said too early.
        """
        for checklist in self.lists.values():
            if checklist.state is not ListState.RUNNING:
                continue
            for pair in checklist.pairs:
                if pair.state is PairState.IN_PROGRESS and pair.local.protocol == "udp":
                    self._runner.cancel(now, pair=pair)
                    checklist.trigger(pair)
                    self.state.set_pair(checklist, pair, PairState.WAITING, now)

    def _begin(self, lists: list[CheckList], now: float) -> None:
        """Run these lists, or go on with what is new in them."""
        for checklist in lists:
            checklist.begun_at = now if checklist.begun_at is None else checklist.begun_at
            checklist.state = ListState.RUNNING
            if not checklist.locals and self._gathered:
                self._outcomes.fail(checklist, failures.no_address(self._gathering_problem))
        running = [one for one in lists if one.state is ListState.RUNNING]
        self._form(running)
        for checklist in running:
            theirs = None if checklist.remote is None else checklist.remote.ufrag
            early = [check for check in checklist.early if check.ufrag == theirs]
            checklist.early = [check for check in checklist.early if check.ufrag != theirs]  # of other forks
            for check in early:
                self._incoming.take_check(checklist, check, now)

    def _form(self, lists: list[CheckList]) -> None:
        share = self.timing.max_pairs // len(self.lists)
        new = [(checklist, pair) for checklist in lists for pair in checklist.form(self.controlling, share)]
        for _, pair in new:
            self._ask_permission(pair)
        set_initial_states(self.lists.values(), new)
        for checklist, pair in new:
            self.events.append(PairFormed(checklist.name, pair.local.candidate, pair.remote, pair.state))

    def _ask_permission(self, pair: Pair) -> None:
        """Hold a relayed pair back until the TURN server lets its peer in (RFC 8445 section 7.2.1)."""
        base, peer = pair.key
        if pair.local.candidate.type is CandidateType.RELAY and (base, peer[0]) not in self._granted:
            pair.awaits_permission = True
            self.permissions_wanted.append((base, peer))

    def permission_settled(self, base: int, peer: Address, refused: str | None, now: float) -> None:
        """Take the TURN server's answer for one peer; `refused` says in words why it was not let in.

        A permission is for all ports of an address; a refusal may be for the one port only.
        """
        entry = self.state.bases.get(base)
        if entry is None:
            return
        if refused is None:
            self._granted.add((base, peer[0]))
        for pair in list(entry[0].pairs):
            if pair.awaits_permission and pair.local.base == base:
                if refused is None and pair.remote.address == peer[0]:
                    pair.awaits_permission = False
                elif refused is not None and pair.remote.transport_address == peer:
                    pair.awaits_permission = False
                    self.state.set_pair(entry[0], pair, PairState.FAILED, now, refused)

    def unreachable(self, base: int, remote: Address, why: str, now: float, *, final: bool) -> None:
        """Take what the network said of a way: an ICMP error, a refused connection; `why` is in words.

        An ICMP error may be forged or pass, so the checks go on and only the verdict will name it; with `final`
        (no connection can be made, or it has ended) the pair has failed, and one that carries data is silent.
        """
        entry = self.state.bases.get(base)
        pair = None if entry is None else entry[0].by_key.get((base, remote))
        if entry is None or pair is None:
            return
        if final and not pair.unresolved:
            self._watch.broken(entry[0].name, pair)
        if not pair.unresolved or pair.reason == NOT_NEEDED:
            return  # of a way that nobody needs the other side takes leave; it has not failed
        pair.trouble = why
        if final:
            self._runner.cancel(now, pair=pair)
            self.state.set_pair(entry[0], pair, PairState.FAILED, now, why)

    def awaits(self, tid: bytes) -> bool:
        """Tell whether this transaction is one of ours."""
        return self._runner.find(tid) is not None or self._watch.awaits(tid)

    def path(self, flow: str) -> Pair | None:
        """Give the pair to send data over: the one decided on, or before that the best valid one.

        None when there is none, when the flow has failed, and when the peer's consent has expired.
        """
        checklist = self.lists.get(flow)
        if checklist is None or checklist.state is ListState.FAILED or self._watch.expired(flow):
            return None
        return checklist.chosen or checklist.best_valid()

    def progress(self, now: float) -> dict[str, str]:
        """Say of each flow that has no path yet why not, in one sentence each."""
        return {
            name: failures.so_far(one, now - (one.begun_at or now), gathered=self._gathered)
            for name, one in self.lists.items()
            if one.state in (ListState.IDLE, ListState.RUNNING) and one.chosen is None
        }

    # Time ------------------------------------------------------------------------------------------------

    def handle_timeout(self, now: float) -> None:
        """Do everything that is due."""
        for check in self._runner.retransmit(now):
            self._outcomes.check_failed(check, now, check.pair.trouble or NO_ANSWER)
        for checklist in self.lists.values():
            if checklist.state is ListState.RUNNING:
                self._outcomes.consider(checklist, now, locals_done=self._gathered)
        self._runner.run(now)
        self._watch.handle_timeout(now)

    def next_timeout(self) -> float | None:
        """Say when handle_timeout has something to do next; None when only a datagram can change anything."""
        times = [self._runner.next_timeout(), self._watch.next_timeout()]
        times += [
            self._outcomes.due_at(checklist, locals_done=self._gathered)
            for checklist in self.lists.values()
            if checklist.state is ListState.RUNNING
        ]
        at = min((at for at in times if at is not None), default=float("inf"))
        return None if at == float("inf") else at
