"""The checks of one generation as lanes of a chart: for each pair when checks left, were answered, and what came of it.

Plain data, knows nothing of Qt: the widget paints it, and the same words are read out.
"""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass, replace

from app.events import CandidateInfo, IceMoment, IceSnapshot, MomentKind, PairInfo, PairState
from ui import path_words, words

MOST_LANES = 40
_MARKS = {
    MomentKind.CHECK: "sent",
    MomentKind.ANSWER: "answered",
    MomentKind.NOMINATED: "nominated",
    MomentKind.FAILED_PAIR: "failed",
}


@dataclass(frozen=True, slots=True)
class Mark:
    """One moment on a lane; `kind` is "sent", "answered", "nominated" or "failed"."""

    at: float
    kind: str
    words: str


@dataclass(frozen=True, slots=True)
class Lane:
    """One pair. `tone` is "selected", "good", "bad" or "plain"; `ended` None while it is being tried."""

    name: str
    result: str
    tone: str
    begun: float
    ended: float | None
    marks: tuple[Mark, ...]
    story: str


@dataclass(frozen=True, slots=True)
class Chart:
    """All lanes between `start` and `start + step * steps` (seconds); `hidden` lanes did not fit."""

    start: float
    step: float
    steps: int
    lanes: tuple[Lane, ...]
    hidden: int = 0

    @property
    def span(self) -> float:
        return self.step * self.steps


def generations(ice: IceSnapshot | None) -> list[int]:
    """Give the generations of which something can be drawn, oldest first."""
    if ice is None:
        return []
    checked = {moment.generation for moment in ice.timeline if moment.kind is MomentKind.CHECK}
    checked |= {pair.generation for pair in ice.pairs if pair.started_at is not None}
    return sorted(checked)


def build_chart(ice: IceSnapshot | None, generation: int | None = None) -> Chart | None:
    """Give the chart of one generation, the newest by default; None while nothing was checked."""
    known = generations(ice)
    if ice is None or not known:
        return None
    shown = known[-1] if generation is None or generation not in known else generation
    marks = _marks(ice, shown)
    known_pairs = [pair for pair in ice.pairs if pair.generation == shown]
    lanes = _of_pairs(ice, known_pairs, marks) if known_pairs else _of_moments(marks)
    if not lanes:
        return None
    lanes.sort(key=lambda lane: (lane.tone != "selected", lane.begun))
    start = min(lane.begun for lane in lanes)
    ends = [lane.ended for lane in lanes if lane.ended is not None]
    ends += [mark.at for lane in lanes for mark in lane.marks]
    step, steps = scale(max(max(ends, default=start) - start, 0.02))
    return Chart(start, step, steps, tuple(lanes[:MOST_LANES]), max(0, len(lanes) - MOST_LANES))


def scale(span: float) -> tuple[float, int]:
    """Give a round step in seconds and how many of them hold `span`."""
    power = 10 ** math.floor(math.log10(span / 4))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power * 4 >= span)
    return step, max(1, math.ceil(span / step - 1e-9))


Key = tuple[str | None, str, str]
"""Flow, and the places of both ends."""


def _marks(ice: IceSnapshot, generation: int) -> dict[Key, list[IceMoment]]:
    found: dict[Key, list[IceMoment]] = defaultdict(list)
    for moment in ice.timeline:
        if moment.generation == generation and moment.kind in _MARKS and moment.local and moment.remote:
            found[moment.flow, _place(moment.local), _place(moment.remote)].append(moment)
    return found


def _place(end: str) -> str:
    return end.partition(" ")[2] or end


def _of_pairs(ice: IceSnapshot, pairs: list[PairInfo], marks: dict[Key, list[IceMoment]]) -> list[Lane]:
    lanes = []
    several = len({one.flow for one in ice.local}) > 1
    for pair in pairs:
        if pair.started_at is None and pair.state is not PairState.SUCCEEDED:
            continue  # never checked: there is nothing to draw
        if pair.local >= len(ice.local) or pair.remote >= len(ice.remote):
            continue
        local, remote = ice.local[pair.local], ice.remote[pair.remote]
        lane = _lane(pair, local, remote, marks)
        lanes.append(replace(lane, name=f"{lane.name} · {local.flow}") if several else lane)
    return lanes


def _lane(pair: PairInfo, local: CandidateInfo, remote: CandidateInfo, marks: dict[Key, list[IceMoment]]) -> Lane:
    moments = list(marks.get((local.flow, local.place, remote.place), ()))
    if local.base is not None and local.base != local.place:
        # A reflexive candidate's checks leave from its base: RFC 8445 section 7.2.5.3.2.
        moments += marks.get((local.flow, local.base, remote.place), ())
        moments.sort(key=lambda moment: moment.at)
    begun = pair.started_at if pair.started_at is not None else pair.finished_at or 0.0
    begun = moments[0].at if moments else begun  # the marks and the bar on one clock
    tone = {PairState.SUCCEEDED: "good", PairState.FAILED: "bad"}.get(pair.state, "plain")
    state = path_words.pair_state(pair)
    return Lane(
        name=f"{local.type}–{remote.type}",
        result="selected" if pair.selected else state,
        tone="selected" if pair.selected else tone,
        begun=begun,
        ended=pair.finished_at,
        marks=_drawn(moments, begun, pair.finished_at),
        story=path_words.why(pair, local, remote),
    )


def _drawn(moments: list[IceMoment], begun: float, ended: float | None) -> tuple[Mark, ...]:
    """Give the marks of the set-up; what is checked later, to see whether the path is alive, is not drawn."""
    until = math.inf if ended is None else ended + 1.0
    return tuple(
        Mark(moment.at, _MARKS[moment.kind], f"after {words.seconds(max(0.0, moment.at - begun))}: {moment.text}")
        for moment in moments
        if moment.at <= until
    )


def _of_moments(marks: dict[Key, list[IceMoment]]) -> list[Lane]:
    """Give the lanes of a generation whose pairs are gone: the time line alone remembers them."""
    lanes = []
    for moments in _with_their_bases(marks):
        kinds = {moment.kind for moment in moments}
        taken, answered = MomentKind.NOMINATED in kinds, MomentKind.ANSWER in kinds
        tone = "selected" if taken else "good" if answered else "bad" if MomentKind.FAILED_PAIR in kinds else "plain"
        result = {"selected": "selected", "good": "works", "bad": "no answer", "plain": "not needed"}[tone]
        first, last = moments[0], moments[-1]
        local, remote = last.local or "", last.remote or ""
        lanes.append(
            Lane(
                name=f"{local.partition(' ')[0]}–{remote.partition(' ')[0]}",
                result=result,
                tone=tone,
                begun=first.at,
                ended=last.at,
                marks=_drawn(moments, first.at, last.at),
                story=f"{local} to {remote}: {result}.",
            )
        )
    return lanes


def _with_their_bases(marks: dict[Key, list[IceMoment]]) -> list[list[IceMoment]]:
    """Put a pair that was taken without a check of its own to the one whose check found it."""
    rows = dict(marks)
    for key, moments in marks.items():
        if any(moment.kind is MomentKind.CHECK for moment in moments):
            continue
        for other, theirs in marks.items():
            answered = any(moment.kind is MomentKind.ANSWER and moment.at <= moments[0].at for moment in theirs)
            if other != key and other[0] == key[0] and other[2] == key[2] and answered:
                rows[key] = sorted((*rows.pop(other, ()), *moments), key=lambda moment: moment.at)
                break
    return list(rows.values())
