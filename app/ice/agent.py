"""The ICE agent: runs the check lists of one session until each stream has a selected pair, then keeps it alive.

RFC 8445 sections 6 to 8 and 11, RFC 7675. Pure: `receive` and `handle_timeout` are handed the time; what is to
be sent gathers in `packets`, what happened in `events`. Knows numbered bases (sockets and allocations), not
how they came to be.
"""

from __future__ import annotations

import logging
from collections import Counter, deque

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
from app.ice.checklist import (
    MAX_EARLY_CHECKS,
    CheckList,
    EarlyCheck,
    ListState,
    LocalCandidate,
    Pair,
    set_initial_states,
)
from app.ice.checks import Check, judge_request
from app.ice.config import Timing
from app.ice.consent import Consent
from app.ice.events import BindingRequestSeen, Completed, Failed, IceEvent, Interrupted, Nominated, PairChanged
from app.ice.events import Recovered as RecoveredEvent
from app.ice.learning import learn_pair, valid_pair
from app.ice.nomination import pick
from app.ice.requests import RandomBits
from app.ice.runner import CheckRunner, Role, set_state
from app.ice.stun import Address, Attribute, Message, MessageClass, StunError

log = logging.getLogger(__name__)

MAX_PROBLEMS = 16
NOT_NEEDED = "not needed: another pair was selected"


class IceAgent:
    """All check lists of one session, with one role and one tiebreaker."""

    def __init__(self, controlling: bool, timing: Timing, random_bits: RandomBits) -> None:
        self.timing = timing
        self.lists: dict[str, CheckList] = {}
        self.routes: dict[tuple[int, Address], Pair] = {}
        """From base and authenticated remote address to the pair whose data comes from there."""
        self.packets: deque[tuple[int, bytes, Address]] = deque()
        self.events: deque[IceEvent] = deque()
        self.permissions_wanted: deque[tuple[int, Address]] = deque()
        self.problems: list[str] = []
        self.gathering_problem: str | None = None  # what to say when there is no candidate at all
        self.counters: Counter[str] = Counter()
        self.started_at: float | None = None
        self.completed_at: float | None = None
        self._random_bits = random_bits
        self._role = Role(controlling, random_bits(64))
        self._bases: dict[int, tuple[CheckList, LocalCandidate]] = {}
        self._granted: set[tuple[int, str]] = set()
        self._consents: dict[str, Consent] = {}
        self._runner = CheckRunner(
            self.lists, self._role, timing, random_bits, self.packets, self.events, lambda pair: pair.key in self.routes
        )

    @property
    def controlling(self) -> bool:
        return self._role.controlling

    # What the owner tells --------------------------------------------------------------------------------

    def add_stream(self, name: str) -> CheckList:
        ufrag = make_credential(UFRAG_LENGTH, self._random_bits(6 * UFRAG_LENGTH))
        checklist = CheckList(name, ufrag, make_credential(PWD_LENGTH, self._random_bits(6 * PWD_LENGTH)))
        self.lists[name] = checklist
        return checklist

    def remove_stream(self, name: str, now: float) -> None:
        checklist = self.lists.pop(name, None)
        if checklist is None:
            return
        self._runner.drop_list(checklist)
        self._bases = {base: entry for base, entry in self._bases.items() if entry[0] is not checklist}
        self.routes = {key: pair for key, pair in self.routes.items() if key[0] in self._bases}
        self._consents.pop(name, None)
        self._note_completion(now)

    def add_local(self, stream: str, local: LocalCandidate) -> None:
        """Add a candidate of ours; the first one of a base (host or relay) is what that base sends for."""
        checklist = self.lists[stream]
        checklist.locals.append(local)
        self._bases.setdefault(local.base, (checklist, local))

    def set_remote(self, stream: str, description: IceDescription, now: float) -> None:
        """Take the peer's description; the same credentials again only add candidates, others are refused."""
        checklist = self.lists[stream]
        known = checklist.remote
        if known is not None and (known.ufrag, known.pwd) != (description.ufrag, description.pwd):
            raise IceError(f"The other side asks to restart ICE for stream {stream}, which is not done within a call.")
        checklist.remote = description
        self._take_candidates(checklist, description.candidates)
        self._runner.pacing_s = max(self._runner.pacing_s, (description.pacing_ms or 50) / 1000)
        if description.lite and not self.controlling:
            self._switch_role(controlling=True)  # a full agent controls a lite one, RFC 8445 section 6.1.1
        if self.started_at is not None and checklist.state in (ListState.IDLE, ListState.RUNNING):
            self._begin(checklist, now)

    def _take_candidates(self, checklist: CheckList, candidates: tuple[Candidate, ...]) -> None:
        for problem in checklist.take_candidates(candidates, self.timing.max_remote_candidates):
            if problem not in self.problems and len(self.problems) < MAX_PROBLEMS:
                self.problems.append(problem)

    def do_without(self, stream: str, now: float) -> None:
        """Leave a stream out: the peer has no ICE for it."""
        checklist = self.lists[stream]
        checklist.state = ListState.PLAIN
        checklist.early.clear()
        self._runner.drop_list(checklist)
        self._note_completion(now)

    def start(self, now: float) -> None:
        """Begin the checks of every stream whose peer is described; later ones begin when they are."""
        if self.started_at is None:
            self.started_at = now
            self._runner.start(now)
        for checklist in self.lists.values():
            if checklist.remote is not None and checklist.state is ListState.IDLE:
                self._begin(checklist, now)

    def _begin(self, checklist: CheckList, now: float) -> None:
        checklist.state = ListState.RUNNING
        if not checklist.locals:
            self._fail(checklist, failures.no_address(self.gathering_problem))
            return
        share = self.timing.max_pairs // len(self.lists)
        new = checklist.form(self.controlling, share - len(checklist.pairs))
        for pair in new:
            self._ask_permission(pair)
        set_initial_states(self.lists.values(), new)
        for pair in new:
            self.events.append(PairChanged(checklist.name, pair.local.candidate, pair.remote, pair.state))
        theirs = None if checklist.remote is None else checklist.remote.ufrag
        early = [check for check in checklist.early if check.ufrag == theirs]
        checklist.early = [check for check in checklist.early if check.ufrag != theirs]  # of other forks
        for check in early:
            self._take_check(checklist, check, now)

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
        entry = self._bases.get(base)
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
                    self._set(entry[0], pair, PairState.FAILED, now, refused)

    # Datagrams -------------------------------------------------------------------------------------------

    def receive(self, base: int, message: Message, source: Address, now: float) -> None:
        """Take one STUN message that came in on a base."""
        entry = self._bases.get(base)
        if entry is None:
            self.counters["unexpected"] += 1
        elif message.message_class is MessageClass.REQUEST:
            self._receive_request(entry[0], base, message, source, now)
        elif message.message_class is not MessageClass.INDICATION:
            self._receive_response(entry[0], base, message, source, now)

    def awaits(self, tid: bytes) -> bool:
        """Tell whether this transaction is one of ours."""
        return self._runner.find(tid) is not None or any(consent.awaits(tid) for consent in self._consents.values())

    def fork(self) -> IceAgent:
        """Make an agent for a further far end of the same offer: our side is the same, the peer's unknown."""
        other = IceAgent(self.controlling, self.timing, self._random_bits)
        for checklist in self.lists.values():
            copy = CheckList(checklist.name, checklist.ufrag, checklist.pwd, early=list(checklist.early))
            other.lists[checklist.name] = copy
            for local in checklist.locals:
                if local.candidate.type is not CandidateType.PRFLX:
                    other.add_local(checklist.name, local)
        return other

    def _receive_request(self, checklist: CheckList, base: int, message: Message, source: Address, now: float) -> None:
        verdict = judge_request(
            message, checklist, base, source, controlling=self.controlling, tiebreaker=self._role.tiebreaker
        )
        if verdict.reply is not None:
            self.packets.append((base, verdict.reply, source))
        if verdict.accepted is None:
            self.counters[verdict.why] += 1
            log.debug("%s: check from %s not accepted: %s", checklist.name, source, verdict.why)
            return
        if verdict.switch_role:
            self._switch_role(controlling=not self.controlling)
        if not checklist.request_seen:
            checklist.request_seen = True
            self.events.append(BindingRequestSeen(checklist.name))
        if checklist.state is ListState.IDLE:
            if len(checklist.early) < MAX_EARLY_CHECKS:
                checklist.early.append(verdict.accepted)
        elif checklist.state not in (ListState.FAILED, ListState.PLAIN):
            self._take_check(checklist, verdict.accepted, now)

    def _take_check(self, checklist: CheckList, check: EarlyCheck, now: float) -> None:
        """Follow up an accepted check with our own, RFC 8445 sections 7.3.1.3 to 7.3.1.5."""
        pair = checklist.by_key.get((check.base, check.source)) or self._learn_pair(checklist, check)
        if pair is None:
            self.counters["beyond the limits"] += 1
            return
        pair.awaits_permission = False  # it came through the relay, so its sender is let in
        self.routes.setdefault(pair.key, pair).heard_at = now
        nominates = check.use_candidate and not self.controlling
        if pair.state is PairState.SUCCEEDED:
            if nominates and pair.valid is not None:
                self._nominate(checklist, pair.valid, now)
            return
        pair.nominate_on_success = pair.nominate_on_success or nominates
        if checklist.state is ListState.COMPLETED and not nominates:
            return
        self._runner.cancel(now, pair=pair)
        checklist.trigger(pair)
        self._set(checklist, pair, PairState.WAITING, now)

    def _learn_pair(self, checklist: CheckList, check: EarlyCheck) -> Pair | None:
        if sum(len(one.pairs) for one in self.lists.values()) >= self.timing.max_pairs:
            return None
        limit = self.timing.max_learned_candidates
        local = self._bases[check.base][1]
        return learn_pair(checklist, local, check, controlling=self.controlling, limit=limit)

    def _receive_response(self, checklist: CheckList, base: int, message: Message, source: Address, now: float) -> None:
        check = self._runner.find(message.transaction_id)
        remote = checklist.remote
        authentic = remote is not None and message.check_integrity(remote.pwd.encode())
        if check is None:
            if authentic and message.message_class is MessageClass.SUCCESS:
                self._consent_answered(checklist, base, message.transaction_id, source, now)
            else:
                self.counters["unexpected"] += 1
            return
        if message.message_class is MessageClass.SUCCESS:
            if not authentic:
                self.counters["not authenticated"] += 1
                return
            self._succeeded(check, base, message, source, now)
            return
        try:
            code, words = message.error() or (0, "")
        except StunError:
            code, words = 0, ""
        if 500 <= code < 600:
            return  # may pass: the request goes on being sent (RFC 8489 section 6.3.4)
        if code == 487 and authentic:
            self._conflict(check, now)
        else:
            self._runner.finish(check)
            self._check_failed(check, now, f"refused with {code} {words[:60]}".strip())

    def _conflict(self, check: Check, now: float) -> None:
        """Answer 487: switch, unless that has happened since, and check the pair again (RFC 8445 7.2.5.1)."""
        self._runner.finish(check)
        if check.controlling == self.controlling:
            self._switch_role(controlling=not self.controlling)
        if check.pair.state is not PairState.SUCCEEDED:
            check.checklist.trigger(check.pair)
            self._set(check.checklist, check.pair, PairState.WAITING, now, "the roles were in conflict")

    def _switch_role(self, *, controlling: bool) -> None:
        log.info("role is now %s", "controlling" if controlling else "controlled")
        self._role.controlling, self._role.tiebreaker = controlling, self._random_bits(64)
        for checklist in self.lists.values():
            checklist.nominating = None
            checklist.reprioritise(controlling)

    def _succeeded(self, check: Check, base: int, message: Message, source: Address, now: float) -> None:
        """Take an authentic success response, RFC 8445 section 7.2.5.3."""
        checklist, pair = check.checklist, check.pair
        try:
            mapped = message.address(Attribute.XOR_MAPPED_ADDRESS)
        except StunError:
            mapped = None
        if mapped is None:
            self.counters["malformed"] += 1
            return
        self._runner.finish(check)
        if (base, source) != pair.key:
            self._check_failed(check, now, f"the answer came from {source[0]}:{source[1]} instead")
            return
        pair.rtt_s = check.schedule.rtt(now) or pair.rtt_s
        limit = self.timing.max_learned_candidates
        valid = valid_pair(checklist, pair, mapped, controlling=self.controlling, limit=limit)
        valid.rtt_s = pair.rtt_s
        self._set(checklist, pair, PairState.SUCCEEDED, now)
        if valid is not pair:
            self._set(checklist, valid, PairState.SUCCEEDED, now)
        self.routes[pair.key] = valid
        if pair in checklist.triggered and checklist.nominating is not pair:
            checklist.triggered.remove(pair)  # an earlier check has told what this one would tell
        if checklist.first_valid_at is None:
            checklist.first_valid_at = now
        self._unfreeze(pair)
        if check.use_candidate or pair.nominate_on_success:
            pair.nominate_on_success = False
            self._nominate(checklist, valid, now)

    def _unfreeze(self, succeeded: Pair) -> None:
        """Let the pairs of the same foundation be checked, in every list (RFC 8445 section 7.2.5.3.3)."""
        for checklist in self.lists.values():
            for pair in checklist.pairs:
                if pair.state is PairState.FROZEN and pair.foundation == succeeded.foundation and not pair.reason:
                    pair.state = PairState.WAITING

    # Outcomes --------------------------------------------------------------------------------------------

    def _set(self, checklist: CheckList, pair: Pair, state: PairState, now: float, reason: str | None = None) -> None:
        set_state(self.events, checklist, pair, state, now, reason)

    def _check_failed(self, check: Check, now: float, reason: str) -> None:
        checklist, pair = check.checklist, check.pair
        if pair.state is PairState.SUCCEEDED and not check.use_candidate:
            return  # an older check of a pair that has since succeeded
        nominated = check.use_candidate or pair.nominate_on_success
        self._set(checklist, pair, PairState.FAILED, now, reason)
        if pair.valid is not None and pair.valid is not pair:
            self._set(checklist, pair.valid, PairState.FAILED, now, reason)
        pair.valid = None
        if nominated and checklist.state is ListState.RUNNING:
            self._fail(checklist, failures.nomination_failed(str(pair), reason))

    def _fail(self, checklist: CheckList, reason: str) -> None:
        if checklist.state is ListState.FAILED:
            return
        log.info("%s: failed: %s", checklist.name, reason)
        checklist.state, checklist.failure = ListState.FAILED, reason
        checklist.triggered.clear()
        self._consents.pop(checklist.name, None)
        self._runner.drop_list(checklist)
        self.events.append(Failed(checklist.name, reason))

    def _nominate(self, checklist: CheckList, pair: Pair, now: float) -> None:
        """Take a pair as nominated; of several (an old aggressive peer) the best one is selected."""
        pair.nominated = True
        checklist.nominating = None
        if checklist.selected is not None and checklist.selected.priority >= pair.priority:
            return
        log.info("%s: selected %s", checklist.name, pair)
        checklist.selected = pair
        self._consents[checklist.name] = Consent(self.timing, self._random_bits, now)
        self.events.append(Nominated(checklist.name, pair.local.candidate, pair.remote))
        if checklist.state is ListState.RUNNING:
            checklist.state, checklist.completed_at = ListState.COMPLETED, now
            checklist.triggered.clear()
            self._runner.cancel(now, checklist=checklist)
            for other in checklist.pairs:
                if other.unresolved:
                    self._set(checklist, other, PairState.FROZEN, now, NOT_NEEDED)
        self._note_completion(now)

    def _note_completion(self, now: float) -> None:
        lists = [one for one in self.lists.values() if one.state is not ListState.PLAIN]
        if self.completed_at is None and lists and all(one.state is ListState.COMPLETED for one in lists):
            self.completed_at = now
            self.events.append(Completed())

    def path(self, stream: str) -> Pair | None:
        """Give the pair to send data over: the selected one, or before that the best valid one."""
        checklist = self.lists.get(stream)
        if checklist is None or checklist.state is ListState.FAILED:
            return None
        return checklist.selected or checklist.best_valid()

    # Time ------------------------------------------------------------------------------------------------

    def handle_timeout(self, now: float) -> None:
        """Do everything that is due."""
        for check in self._runner.retransmit(now):
            self._check_failed(check, now, "no answer")
        for checklist in self.lists.values():
            if checklist.state is ListState.RUNNING:
                self._consider(checklist, now)
        self._runner.run(now)
        for name, consent in list(self._consents.items()):
            self._keep_consent(self.lists[name], consent, now)

    def next_timeout(self) -> float | None:
        """Say when handle_timeout has something to do next; None when only a datagram can change anything."""
        times = [self._runner.next_timeout(), *(consent.next_timeout() for consent in self._consents.values())]
        for checklist in self.lists.values():
            if checklist.state is ListState.RUNNING:
                times.append(self._gives_up_at(checklist))
                picked = pick(checklist, self.timing) if self.controlling and not checklist.nominating else None
                times.append(None if picked is None else picked[1])
        return min((at for at in times if at is not None), default=None)

    def _consider(self, checklist: CheckList, now: float) -> None:
        """Nominate if it is time to, or give up if it is."""
        if self.controlling and checklist.nominating is None:
            picked = pick(checklist, self.timing)
            if picked is not None and picked[1] <= now:
                checklist.nominating = picked[0].via or picked[0]
                checklist.triggered.appendleft(checklist.nominating)
        if now >= self._gives_up_at(checklist):
            self._fail(checklist, failures.no_path(checklist, self.timing.patience_s))

    def _gives_up_at(self, checklist: CheckList) -> float:
        """Say when a list without a nominated pair has failed: after the PAC timer of RFC 8863.

        A list with a valid pair waits on for the nomination to go through, or for the peer to nominate.
        """
        start = self.started_at or 0.0
        return start + self.timing.patience_s * (1 if checklist.first_valid_at is None else 2)

    # Consent ---------------------------------------------------------------------------------------------

    def _keep_consent(self, checklist: CheckList, consent: Consent, now: float) -> None:
        pair = checklist.selected
        if pair is None:
            return
        if now >= consent.expires_at:
            self._fail(checklist, failures.path_lost(self.timing.consent_timeout_s))
            return
        if now >= consent.ask_at:
            tid, data = self._runner.request(checklist, pair.via or pair)
            consent.asked(tid, now)
            pair.checks_sent += 1
            self.packets.append((pair.local.base, data, pair.remote.transport_address))
        consent.heard(pair.heard_at)
        if not consent.interrupted and consent.interrupted_at is not None and now >= consent.interrupted_at:
            consent.interrupted = True
            self.events.append(Interrupted(checklist.name))

    def _consent_answered(self, checklist: CheckList, base: int, tid: bytes, source: Address, now: float) -> None:
        consent, pair = self._consents.get(checklist.name), checklist.selected
        if consent is None or pair is None or pair.key != (base, source):
            self.counters["unexpected"] += 1
            return
        rtt_s = consent.answered(tid, now)
        if rtt_s is None:
            self.counters["unexpected"] += 1
            return
        pair.rtt_s = rtt_s
        if consent.interrupted:
            consent.interrupted = False
            self.events.append(RecoveredEvent(checklist.name))

    @property
    def interrupted(self) -> bool:
        return any(consent.interrupted for consent in self._consents.values())
