"""The checks under way: pacing new ones over all lists, sending again, giving up. RFC 8445 sections 6.1.4 and 14.

Pure. The agent decides what an outcome means; this part knows when what is sent.
"""

from __future__ import annotations

from collections.abc import Iterator

from app.events import PairState
from app.ice.checklist import CheckList, ListState, Pair
from app.ice.checks import Check, request
from app.ice.events import CheckSent
from app.ice.requests import Due, Schedule, transaction_id
from app.ice.state import AgentState

_BUSY = (PairState.WAITING, PairState.IN_PROGRESS)


IN_VAIN = 3  # sends of one check without an answer: 1.5 s


class CheckRunner:
    """Sends the checks of all lists of one agent, one each Ta at most."""

    def __init__(self, state: AgentState) -> None:
        self.pacing_s = state.timing.pacing_s
        self._state = state
        self._lists = state.lists
        self._timing = state.timing
        self._checks: dict[bytes, Check] = {}
        self._next_at: float | None = None
        self._turn = 0

    def start(self, now: float) -> None:
        self._next_at = now

    # Checks that are out -----------------------------------------------------------------------------------

    def find(self, tid: bytes) -> Check | None:
        return self._checks.get(tid)

    def finish(self, check: Check) -> None:
        self._checks.pop(check.transaction_id, None)

    def drop_list(self, checklist: CheckList) -> None:
        """Forget all checks of a list; their answers will be strangers'."""
        self._checks = {tid: check for tid, check in self._checks.items() if check.checklist is not checklist}

    def cancel(self, now: float, *, pair: Pair | None = None, checklist: CheckList | None = None) -> None:
        """Send these no more and do not miss their answers, but take one that comes (RFC 8445 section 7.3.1.4)."""
        for check in self._checks.values():
            if (check.pair is pair or check.checklist is checklist) and not check.cancelled:
                check.cancelled = True
                check.schedule.attempts = check.schedule.retransmissions
                check.schedule.next_at = now + check.schedule.rto_s * check.schedule.last_wait

    def retransmit(self, now: float) -> list[Check]:
        """Send again what is due; gives the checks that were given up now."""
        lost = []
        for check in list(self._checks.values()):
            if self._advance(check, now) is Due.TIMEOUT:
                self.finish(check)
                if not check.cancelled:
                    lost.append(check)
        return lost

    def _advance(self, check: Check, now: float) -> Due:
        due = check.schedule.poll(now)
        if due is Due.SEND:
            pair = check.pair
            pair.checks_sent += 1
            self._state.packets.append((pair.local.base, check.data, pair.remote.transport_address))
            self._state.events.append(
                CheckSent(
                    check.checklist.name,
                    pair.local.candidate,
                    pair.remote,
                    check.use_candidate,
                    check.schedule.attempts,
                )
            )
        return due

    # New checks --------------------------------------------------------------------------------------------

    def run(self, now: float) -> None:
        """Send the next check if Ta has passed since the last one, and there is one to send."""
        if self._next_at is not None and self._next_at <= now and self._check_one(now):
            self._next_at = now + self.pacing_s

    def next_timeout(self) -> float | None:
        times = [check.schedule.next_at for check in self._checks.values()]
        if self._next_at is not None and self._has_check():
            times.append(self._next_at)
        return min(times, default=None)

    def _has_check(self) -> bool:
        lists = [one for one in self._lists.values() if one.triggered or one.state is ListState.RUNNING]
        if not lists:
            return False  # nothing to look through, however many pairs there are
        busy = self._busy_foundations()
        return any(one.has_check(busy) for one in lists)

    def _busy_foundations(self) -> set[tuple[str, str]]:
        """Give those whose frozen pairs wait: one that has been asked for in vain a few times holds no other back.

        RFC 8445 section 6.1.4.2 would have them wait until its check is given up, which is when patience ends too.
        """
        return {
            pair.foundation
            for pair in self._busy_pairs()
            if pair.state is PairState.WAITING or pair.checks_sent < IN_VAIN
        }

    def _busy_pairs(self) -> Iterator[Pair]:
        lists = (one for one in self._lists.values() if not one.is_given_up)
        return (pair for one in lists for pair in one.pairs if pair.state in _BUSY)

    def _check_one(self, now: float) -> bool:
        """Send a check of the list whose turn it is, or of the next that has one; False when none has."""
        lists = list(self._lists.values())
        busy = self._busy_foundations()
        for step in range(len(lists)):
            checklist = lists[(self._turn + step) % len(lists)]
            pair = checklist.next_check(busy)
            if pair is not None:
                self._turn = (self._turn + step + 1) % len(lists)
                self._send(checklist, pair, now)
                return True
        return False

    def _send(self, checklist: CheckList, pair: Pair, now: float) -> None:
        use_candidate = self._state.controlling and checklist.nominating is pair
        tid, data = self.request(checklist, pair, use_candidate=use_candidate)
        rto_s = max(self._timing.rto_s, self.pacing_s * sum(1 for _ in self._busy_pairs()))
        if pair.local.protocol == "tcp":
            schedule = Schedule.once(self._timing, now)
        elif pair.key in self._state.routes:  # the peer has been heard there
            schedule = Schedule.start_on_live_path(self._timing, now, rto_s)
        else:
            schedule = Schedule.start(self._timing, now, rto_s)
        check = Check(checklist, pair, tid, data, schedule, self._state.controlling, use_candidate)
        self._checks[tid] = check
        if pair.started_at is None:
            pair.started_at = now
        if pair.state is not PairState.SUCCEEDED:  # a pair that is being nominated goes on carrying data
            self._state.set_pair(checklist, pair, PairState.IN_PROGRESS, now)
        self._advance(check, now)

    def request(self, checklist: CheckList, pair: Pair, *, use_candidate: bool = False) -> tuple[bytes, bytes]:
        """Make a Binding request for a pair; gives its transaction id and its bytes."""
        tid = transaction_id(self._state.random_bits)
        data = request(
            checklist,
            pair,
            tid,
            controlling=self._state.controlling,
            tiebreaker=self._state.tiebreaker,
            use_candidate=use_candidate,
        )
        return tid, data
