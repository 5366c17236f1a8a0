"""Puts what an ICE leg knows at one moment into the frozen form that crosses to the window and to reports."""

from __future__ import annotations

from dataclasses import replace

from app.events import CandidateInfo, ConsentInfo, IceSnapshot, PairInfo
from app.ice.candidates import Candidate
from app.ice.checklist import CheckList, LocalCandidate, Pair
from app.ice.consent import Consent
from app.ice.core import IceCore
from app.ice.leg import IceLeg
from app.ice.timeline import Timeline
from app.settings import HostPort


def take_snapshot(core: IceCore, leg: IceLeg, timeline: Timeline | None = None) -> IceSnapshot:
    """Describe every candidate and pair; times count from the configuration's clock_zero."""
    zero = core.config.clock_zero
    agent = leg.agent
    generation = timeline.generation if timeline is not None else 0
    local: list[CandidateInfo] = []
    remote: list[CandidateInfo] = []
    pairs: list[PairInfo] = []
    for checklist in agent.lists.values():
        mine = {id(one): len(local) + at for at, one in enumerate(checklist.locals)}
        theirs = {id(one): len(remote) + at for at, one in enumerate(checklist.remotes)}
        local += [_local_info(one, checklist) for one in checklist.locals]
        remote += [_info(one, checklist.name) for one in checklist.remotes]
        for pair in checklist.pairs:
            at = mine[id(pair.local)], theirs[id(pair.remote)]
            pairs.append(_pair_info(pair, *at, selected=pair is checklist.chosen, zero=zero, generation=generation))
    gathered_in_s = connected_in_s = None
    if core.gathering_since is not None and core.gathered_at is not None:
        gathered_in_s = core.gathered_at - core.gathering_since
    if agent.started_at is not None and agent.connected_at is not None:
        connected_in_s = agent.connected_at - agent.started_at
    return IceSnapshot(
        role="controlling" if agent.controlling else "controlled",
        state=core.state(leg),
        local=tuple(local),
        remote=tuple(remote),
        pairs=tuple(pairs),
        gathered_in_s=gathered_in_s,
        connected_in_s=connected_in_s,
        problems=(*core.gatherer.problems, *agent.problems),
        servers=core.gatherer.server_infos(),
        nat=core.gatherer.implied_nat(),
        generation=generation,
        timeline=timeline.moments if timeline is not None else (),
        timeline_dropped=timeline.dropped if timeline is not None else 0,
        consent=tuple(_consent_info(flow, consent, zero) for flow, consent in agent.consents.items()),
    )


def _info(candidate: Candidate, stream: str) -> CandidateInfo:
    return CandidateInfo(
        type=candidate.type,
        address=candidate.address,
        port=candidate.port,
        protocol=candidate.protocol,
        priority=candidate.priority,
        foundation=candidate.foundation,
        component=candidate.component,
        stream=stream,
    )


def _local_info(local: LocalCandidate, checklist: CheckList) -> CandidateInfo:
    return replace(
        _info(local.candidate, checklist.name),
        base=str(HostPort(*local.base_address)),
        server=local.server,
        interface=local.interface,
    )


def _pair_info(pair: Pair, local: int, remote: int, *, selected: bool, zero: float, generation: int) -> PairInfo:
    return PairInfo(
        local=local,
        remote=remote,
        state=pair.state,
        nominated=pair.nominated,
        selected=selected,
        priority=pair.priority,
        rtt_s=pair.rtt_s,
        sent_bytes=pair.sent_bytes,
        received_bytes=pair.received_bytes,
        checks_sent=pair.checks_sent,
        reason=pair.reason,
        started_at=None if pair.started_at is None else pair.started_at - zero,
        finished_at=None if pair.finished_at is None else pair.finished_at - zero,
        generation=generation,
    )


def _consent_info(flow: str, consent: Consent, zero: float) -> ConsentInfo:
    worst = (("expired", consent.expired), ("interrupted", consent.interrupted), ("silent", consent.silent))
    return ConsentInfo(
        flow,
        next((state for state, holds in worst if holds), "fresh"),
        heard_at=consent.heard_at - zero,
        answered_at=consent.confirmed_at - zero,
        expires_at=consent.expires_at - zero,
    )
