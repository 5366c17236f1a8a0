"""What follows from a check's success or failure: pairs decided on, nominated, given up; flows completed or failed.

RFC 8445 sections 7.2.5 and 8.1. Pure.
"""

from __future__ import annotations

import logging

from app.events import PairState
from app.ice import failures
from app.ice.checklist import CheckList, ListState, Pair
from app.ice.checks import Check
from app.ice.events import (
    BetterFound,
    CheckAnswered,
    Completed,
    Connected,
    ConsentExpired,
    Failed,
    Nominated,
    Nominating,
)
from app.ice.learning import valid_pair
from app.ice.nomination import pick
from app.ice.runner import CheckRunner
from app.ice.state import AgentState
from app.ice.stun import Address
from app.ice.watch import PathWatch

log = logging.getLogger(__name__)

NOT_NEEDED = "not needed: another pair was selected"
NO_ANSWER = "no answer"


class Outcomes:
    """The decisions of one agent about its pairs and flows."""

    def __init__(self, state: AgentState, runner: CheckRunner, watch: PathWatch) -> None:
        self._state = state
        self._runner = runner
        self._watch = watch

    # Of a check ------------------------------------------------------------------------------------------

    def succeeded(self, check: Check, mapped: Address, now: float) -> None:
        """Take a success: the valid pair it makes, what it unfreezes, what it nominates (RFC 8445 7.2.5.3)."""
        state, checklist, pair = self._state, check.checklist, check.pair
        rtt_s = check.schedule.rtt(now)
        pair.rtt_s = rtt_s or pair.rtt_s
        state.events.append(CheckAnswered(checklist.name, pair.local.candidate, pair.remote, rtt_s))
        limit = state.timing.max_learned_candidates
        valid = valid_pair(checklist, pair, mapped, controlling=state.controlling, limit=limit)
        valid.rtt_s = pair.rtt_s
        state.set_pair(checklist, pair, PairState.SUCCEEDED, now)
        if valid is not pair:
            state.set_pair(checklist, valid, PairState.SUCCEEDED, now)
        state.routes[pair.key] = valid
        if pair in checklist.triggered and checklist.nominating is not pair:
            checklist.triggered.remove(pair)  # an earlier check has told what this one would tell
        if checklist.first_valid_at is None:
            checklist.first_valid_at = now
        self._unfreeze(pair)
        if state.controlling and checklist.selected is not None and checklist.selected.relayed and not valid.relayed:
            state.events.append(BetterFound(checklist.name, valid.local.candidate, valid.remote))
        if check.use_candidate or pair.nominate_on_success:
            pair.nominate_on_success = False
            self.nominate(checklist, valid, now)

    def _unfreeze(self, succeeded: Pair) -> None:
        """Let the pairs of the same foundation be checked, in every list (RFC 8445 section 7.2.5.3.3)."""
        for checklist in self._state.lists.values():
            for pair in checklist.pairs:
                if pair.state is PairState.FROZEN and pair.foundation == succeeded.foundation and not pair.reason:
                    pair.state = PairState.WAITING

    def check_failed(self, check: Check, now: float, reason: str, *, refused: bool = False) -> None:
        """Take a failure. One of a nomination that was merely not answered is the watch's: the path is silent.

        A pair that the peer has nominated and that did not answer us keeps its nomination: RFC 8863 says not to give
        up yet, and the peer's next check on it has it tried again.
        """
        checklist, pair = check.checklist, check.pair
        nomination_refused = refused and check.use_candidate and checklist.nominating is pair
        if pair.state is PairState.SUCCEEDED and not nomination_refused:
            return  # an older check of a pair that has since succeeded, or a nomination that the watch repeats
        self._state.set_pair(checklist, pair, PairState.FAILED, now, reason)
        if pair.valid is not None and pair.valid is not pair:
            self._state.set_pair(checklist, pair.valid, PairState.FAILED, now, reason)
        pair.valid = None
        if checklist.nominating is pair:
            checklist.nominating, checklist.chosen = None, checklist.selected
            if self._state.connected_at is not None and checklist.best_valid() is None:
                self._watch.refused(checklist.name)
            self._watch.drop(checklist.name)

    # Of a flow -------------------------------------------------------------------------------------------

    def consider(self, checklist: CheckList, now: float, *, locals_done: bool) -> None:
        """Decide on a pair if it is time to, or give up if it is."""
        decided = self._decision(checklist, locals_done=locals_done)
        if decided is not None and decided[1] <= now:
            (self._choose if self._state.controlling else self._expect)(checklist, decided[0], now)
        if now >= self.gives_up_at(checklist):
            self.fail(checklist, failures.no_path(checklist, self._state.timing.patience_s))

    def due_at(self, checklist: CheckList, *, locals_done: bool) -> float:
        """Say when `consider` has something to do."""
        decided = self._decision(checklist, locals_done=locals_done)
        at = self.gives_up_at(checklist)
        return at if decided is None else min(at, decided[1])

    def _decision(self, checklist: CheckList, *, locals_done: bool) -> tuple[Pair, float] | None:
        """Give the pair to decide on and when; None while there is none to decide on by ourselves.

        The controlled side decides only on what the other must decide too, and once that has begun to check: before,
        it would not know our data from a stranger's.
        """
        if checklist.chosen is not None:
            return None
        picked = pick(checklist, self._state.timing, locals_done=locals_done)
        if picked is None or self._state.controlling:
            return picked
        return picked if checklist.request_seen and picked[1] == checklist.first_valid_at else None

    def gives_up_at(self, checklist: CheckList) -> float:
        """Say when a list without a decision has failed: after the PAC timer of RFC 8863.

        A list with a valid pair waits as long again for the peer to nominate. What was decided on is the watch's.
        """
        if checklist.selected is not None or (self._state.controlling and checklist.chosen is not None):
            return float("inf")
        patience_s = self._state.timing.patience_s
        return (checklist.begun_at or 0.0) + patience_s * (1 if checklist.first_valid_at is None else 2)

    def _choose(self, checklist: CheckList, pair: Pair, now: float) -> None:
        """Pick a valid pair and tell the peer by a check with USE-CANDIDATE; data may go over it at once."""
        checklist.chosen, checklist.nominating = pair, pair.via or pair
        if checklist.nominating in checklist.triggered:
            checklist.triggered.remove(checklist.nominating)
        checklist.triggered.appendleft(checklist.nominating)
        self._watch.begin(checklist, pair, now)
        self._state.events.append(Nominating(checklist.name, pair.local.candidate, pair.remote))
        self.note_progress(now)

    def _expect(self, checklist: CheckList, pair: Pair, now: float) -> None:
        """Use the valid pair that nothing can better: data may go over it before the nomination, which saves the half
        round trip until that arrives (RFC 8445 section 12.1.1). Should the peer nominate another, that one counts.
        """
        checklist.chosen = pair
        self._watch.begin(checklist, pair, now)
        self.note_progress(now)

    def nominate(self, checklist: CheckList, pair: Pair, now: float) -> None:
        """Take a pair as nominated; of several (an old aggressive peer) the best one is selected."""
        pair.nominated = True
        checklist.nominating = None
        if checklist.selected is not None and checklist.selected.priority >= pair.priority:
            return
        log.info("%s: selected %s", checklist.name, pair)
        checklist.selected = checklist.chosen = pair
        self._watch.begin(checklist, pair, now)
        self._state.events.append(Nominated(checklist.name, pair.local.candidate, pair.remote))
        if checklist.state is ListState.RUNNING:
            checklist.state, checklist.completed_at = ListState.COMPLETED, now
            checklist.triggered.clear()
            self._runner.cancel(now, checklist=checklist)
            for other in checklist.pairs:
                if other.unresolved:
                    self._state.set_pair(checklist, other, PairState.FROZEN, now, NOT_NEEDED)
        self.note_progress(now)

    def fail(self, checklist: CheckList, reason: str) -> None:
        if checklist.state is ListState.FAILED:
            return
        log.info("%s: failed: %s", checklist.name, reason)
        checklist.state, checklist.failure = ListState.FAILED, reason
        checklist.triggered.clear()
        self._watch.drop(checklist.name)
        self._runner.drop_list(checklist)
        lost = self._state.connected_at is not None
        self._state.events.append((ConsentExpired if lost else Failed)(checklist.name, reason))

    def switch_role(self, *, controlling: bool, reason: str) -> None:
        self._state.switch_role(controlling=controlling, reason=reason)
        for checklist in self._state.lists.values():
            if checklist.chosen is None:
                self._watch.drop(checklist.name)

    def note_progress(self, now: float) -> None:
        """Tell when every flow has its pair, and when every nomination is confirmed."""
        state = self._state
        lists = [one for one in state.lists.values() if one.state is not ListState.PLAIN]
        if not lists:
            return
        if state.connected_at is None and all(_is_decided(one) for one in lists):
            state.connected_at = now
            state.events.append(Connected())
        if state.completed_at is None and all(one.state is ListState.COMPLETED for one in lists):
            state.completed_at = now
            state.events.append(Completed())


def _is_decided(checklist: CheckList) -> bool:
    return checklist.chosen is not None and checklist.state in (ListState.RUNNING, ListState.COMPLETED)
