"""What a STUN message from the network means for an agent: the peer's checks, and the answers to ours.

RFC 8445 sections 7.2.5 and 7.3. Pure. Nothing that is not authentic changes anything.
"""

from __future__ import annotations

import logging

from app.events import PairState
from app.ice.checklist import MAX_EARLY_CHECKS, CheckList, EarlyCheck, ListState, Pair
from app.ice.checks import Check, judge_request
from app.ice.events import BindingRequestSeen
from app.ice.learning import learn_pair
from app.ice.outcomes import Outcomes
from app.ice.pairing import PUBLIC
from app.ice.runner import CheckRunner
from app.ice.state import AgentState
from app.ice.stun import Address, Attribute, Message, MessageClass, StunError
from app.ice.watch import PathWatch

log = logging.getLogger(__name__)

_CONFLICT = "the roles were in conflict"
_ACTIVE = (ListState.RUNNING, ListState.COMPLETED)


class Incoming:
    """The ears of one agent."""

    def __init__(self, state: AgentState, runner: CheckRunner, watch: PathWatch, outcomes: Outcomes) -> None:
        self._state = state
        self._runner = runner
        self._watch = watch
        self._outcomes = outcomes

    def receive(self, base: int, message: Message, source: Address, now: float) -> None:
        """Take one STUN message that came in on a base."""
        entry = self._state.bases.get(base)
        if entry is None:
            self._state.counters["unexpected"] += 1
        elif message.message_class is MessageClass.REQUEST:
            self._request(entry[0], base, message, source, now)
        elif message.message_class is not MessageClass.INDICATION:
            self._response(entry[0], base, message, source, now)

    # Requests --------------------------------------------------------------------------------------------

    def _request(self, checklist: CheckList, base: int, message: Message, source: Address, now: float) -> None:
        state = self._state
        if checklist.state is ListState.FAILED:
            state.counters["after the end"] += 1  # an answer would be consent to more (RFC 7675 section 5.1)
            return
        verdict = judge_request(
            message, checklist, base, source, controlling=state.controlling, tiebreaker=state.tiebreaker
        )
        if verdict.reply is not None:
            state.packets.append((base, verdict.reply, source))
        if verdict.accepted is None:
            state.counters[verdict.why] += 1
            log.debug("%s: check from %s not accepted: %s", checklist.name, source, verdict.why)
            return
        if verdict.switch_role:
            self._outcomes.switch_role(controlling=not state.controlling, reason=_CONFLICT)
        if not checklist.request_seen:
            checklist.request_seen = True
            state.events.append(BindingRequestSeen(checklist.name))
        if checklist.state is ListState.IDLE:
            if len(checklist.early) < MAX_EARLY_CHECKS:
                checklist.early.append(verdict.accepted)
        elif checklist.state in _ACTIVE:
            self.take_check(checklist, verdict.accepted, now)

    def take_check(self, checklist: CheckList, check: EarlyCheck, now: float) -> None:
        """Follow up an accepted check with our own, RFC 8445 sections 7.3.1.3 to 7.3.1.5."""
        state = self._state
        pair = checklist.by_key.get((check.base, check.source)) or self._learn_pair(checklist, check)
        if pair is None:
            state.counters["beyond the limits"] += 1
            return
        pair.awaits_permission = False  # it came through the relay, so its sender is let in
        state.routes.setdefault(pair.key, pair).heard_at = now
        nominates = check.use_candidate and not state.controlling
        if pair.state is PairState.SUCCEEDED:
            if nominates and pair.valid is not None:
                self._outcomes.nominate(checklist, pair.valid, now)
            return
        pair.nominate_on_success = pair.nominate_on_success or nominates
        if checklist.state is ListState.COMPLETED and not nominates:
            return
        if checklist.remote is not None and checklist.remote.lite:
            return  # a lite agent checks nothing: whatever this is, ours are under way (RFC 8445 section 2.5)
        self._runner.cancel(now, pair=pair)
        checklist.trigger(pair)
        state.set_pair(checklist, pair, PairState.WAITING, now)

    def _learn_pair(self, checklist: CheckList, check: EarlyCheck) -> Pair | None:
        state = self._state
        full = sum(len(one.pairs) for one in state.lists.values()) >= state.timing.max_pairs
        if full and not checklist.evict(1, least=PUBLIC):
            return None  # what the peer checks from is worth more than what nobody has tried yet
        limit = state.timing.max_learned_candidates
        local = state.bases[check.base][1]
        return learn_pair(checklist, local, check, controlling=state.controlling, limit=limit)

    # Responses -------------------------------------------------------------------------------------------

    def _response(self, checklist: CheckList, base: int, message: Message, source: Address, now: float) -> None:
        check = self._runner.find(message.transaction_id)
        remote = checklist.remote
        authentic = remote is not None and message.check_integrity(remote.pwd.encode())
        success = message.message_class is MessageClass.SUCCESS
        if check is None:
            if authentic and success:
                confirmed = self._watch.answered(checklist, base, message.transaction_id, source, now)
                if confirmed is not None:
                    self._outcomes.nominate(checklist, confirmed, now)
            else:
                self._state.counters["unexpected"] += 1
        elif success and authentic:
            self._success(check, base, message, source, now)
        elif success:
            self._state.counters["not authenticated"] += 1
        else:
            self._error(check, message, now, authentic=authentic)

    def _success(self, check: Check, base: int, message: Message, source: Address, now: float) -> None:
        """Take an authentic success response, if it says where we were seen and came from where we asked."""
        try:
            mapped = message.address(Attribute.XOR_MAPPED_ADDRESS)
        except StunError:
            mapped = None
        if mapped is None:
            self._state.counters["malformed"] += 1
            return
        self._runner.finish(check)
        if (base, source) == check.pair.key:
            self._outcomes.succeeded(check, mapped, now)
        else:
            why = f"the answer came from {source[0]}:{source[1]} instead"
            self._outcomes.check_failed(check, now, why, refused=True)

    def _error(self, check: Check, message: Message, now: float, *, authentic: bool) -> None:
        try:
            code, words = message.error() or (0, "")
        except StunError:
            code, words = 0, ""
        if 500 <= code < 600:
            return  # may pass: the request goes on being sent (RFC 8489 section 6.3.4)
        refusal = f"refused with {code} {words[:60]}".strip()
        lite = check.checklist.remote is not None and check.checklist.remote.lite
        if not authentic:  # 400 and 401 are not signed, but whoever sees our checks can write them: to be told only
            self._state.counters["not authenticated"] += 1
            check.pair.trouble = refusal
        elif code == 487 and not lite:
            self._conflict(check, now)
        else:
            self._runner.finish(check)
            self._outcomes.check_failed(check, now, refusal, refused=True)

    def _conflict(self, check: Check, now: float) -> None:
        """Answer 487: switch, unless that has happened since, and check the pair again (RFC 8445 7.2.5.1)."""
        self._runner.finish(check)
        if check.controlling == self._state.controlling:
            self._outcomes.switch_role(controlling=not self._state.controlling, reason=_CONFLICT)
        if check.pair.state is not PairState.SUCCEEDED:
            check.checklist.trigger(check.pair)
            self._state.set_pair(check.checklist, check.pair, PairState.WAITING, now, _CONFLICT)
