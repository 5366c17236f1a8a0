"""Keeps watch over the pairs that were decided on: sends the consent checks of all flows, tells what they show.

RFC 7675. Pure. While a nomination is not confirmed the checks go on saying USE-CANDIDATE, so that a path which was
silent just then is agreed on as soon as it answers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from app.ice import failures
from app.ice.checklist import CheckList, Pair
from app.ice.consent import Change, Consent
from app.ice.events import (
    CheckAnswered,
    CheckSent,
    ConsentExpired,
    IceEvent,
    Interrupted,
    Reachable,
    Recovered,
    Silent,
)
from app.ice.runner import CheckRunner
from app.ice.state import AgentState
from app.ice.stun import Address

_EVENTS: dict[Change, Callable[[str], IceEvent]] = {
    Change.SILENT: Silent,
    Change.INTERRUPTED: Interrupted,
    Change.RECOVERED: Recovered,
    Change.REACHABLE: Reachable,
}


class PathWatch:
    """The consents of one agent's flows."""

    def __init__(self, state: AgentState, runner: CheckRunner) -> None:
        self._state = state
        self._runner = runner
        self._consents: dict[str, Consent] = {}
        self._left_silent: set[str] = set()  # flows whose last pair was told to be silent, and is watched no more

    def begin(self, checklist: CheckList, pair: Pair, now: float) -> None:
        """Watch over a pair from now on, unless that is done already; it ends the silence of another one."""
        flow = checklist.name
        known = self._consents.get(flow)
        if known is not None and known.pair is pair:
            return
        self.drop(flow)
        self._consents[flow] = Consent(pair, self._state.timing, self._state.random_bits, now)
        if flow in self._left_silent:
            self._left_silent.discard(flow)
            self._tell(flow, Change.RECOVERED)

    @property
    def consents(self) -> Mapping[str, Consent]:
        """The consent of each flow that has a pair, to be looked at."""
        return self._consents

    def drop(self, flow: str) -> None:
        """Watch over this flow's pair no more: another will take its place, or none."""
        consent = self._consents.pop(flow, None)
        if consent is not None and consent.silent:
            self._left_silent.add(flow)

    def awaits(self, tid: bytes) -> bool:
        return any(consent.awaits(tid) for consent in self._consents.values())

    def expired(self, flow: str) -> bool:
        """Tell whether no data may be sent on this flow any more."""
        consent = self._consents.get(flow)
        return consent is not None and consent.expired

    @property
    def interrupted(self) -> bool:
        return any(consent.interrupted for consent in self._consents.values())

    @property
    def any_expired(self) -> bool:
        return any(consent.expired for consent in self._consents.values())

    def handle_timeout(self, now: float) -> None:
        for flow, consent in self._consents.items():
            checklist = self._state.lists[flow]
            if now >= consent.ask_at:
                self._ask(checklist, consent, now)
            for change in consent.poll(now):
                self._tell(flow, change)

    def broken(self, flow: str, pair: Pair) -> None:
        """Take note that a pair's connection has ended: nothing comes or goes on it any more, which needs no proof."""
        consent = self._consents.get(flow)
        if consent is not None and consent.pair.key == pair.key:
            for change in consent.broken():
                self._tell(flow, change)

    def refused(self, flow: str) -> None:
        """Take note that the other side does not take this flow's pair, and that there is no other one."""
        consent = self._consents.get(flow)
        if consent is not None:
            for change in consent.broken():
                self._tell(flow, change)

    def next_timeout(self) -> float | None:
        return min((consent.next_timeout() for consent in self._consents.values()), default=None)

    def _ask(self, checklist: CheckList, consent: Consent, now: float) -> None:
        pair = consent.pair
        nominating = self._state.controlling and not pair.nominated and not consent.expired
        tid, data = self._runner.request(checklist, pair.via or pair, use_candidate=nominating)
        consent.asked(tid, now)
        pair.checks_sent += 1
        self._state.packets.append((pair.local.base, data, pair.remote.transport_address))
        self._state.events.append(
            CheckSent(checklist.name, pair.local.candidate, pair.remote, nominating, 1, consent=True)
        )

    def answered(self, checklist: CheckList, base: int, tid: bytes, source: Address, now: float) -> Pair | None:
        """Take an authentic answer; gives the pair whose nomination it confirms, if it does."""
        consent = self._consents.get(checklist.name)
        if consent is None or consent.pair.key != (base, source) or (got := consent.answered(tid, now)) is None:
            self._state.counters["unexpected"] += 1
            return None
        pair = consent.pair
        pair.rtt_s, change = got
        self._state.events.append(
            CheckAnswered(checklist.name, pair.local.candidate, pair.remote, pair.rtt_s, consent=True)
        )
        if change is not None:
            self._tell(checklist.name, change)
        confirms = self._state.controlling and not pair.nominated and not consent.expired
        return pair if confirms else None

    def _tell(self, flow: str, change: Change) -> None:
        if change is Change.EXPIRED:
            reason = failures.path_lost(self._state.timing.consent_timeout_s)
            self._state.events.append(ConsentExpired(flow, reason))
        else:
            self._state.events.append(_EVENTS[change](flow))
