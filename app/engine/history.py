"""A call as one line of history, while it runs and after it ended."""

from __future__ import annotations

from app.engine.people import is_missed
from app.events import (
    CallEnd,
    CallFigures,
    CallInfo,
    CandidateType,
    Direction,
    EndedBy,
    EndKind,
    HistoryEntry,
    IceState,
)

UNFINISHED = CallEnd(EndedBy.FAILURE, EndKind.INTERNAL, None, "Parley was stopped during this call.")


def history_entry(info: CallInfo, figures: CallFigures | None, now: float) -> HistoryEntry:
    """What to keep of a call; of one that is still going on, what would be true if nothing more came."""
    end = info.end or UNFINISHED
    duration = None if info.connected_at is None else max(0.0, now - info.connected_at)
    return HistoryEntry(
        entry_id=0,
        call_id=info.call_id,
        direction=info.direction,
        remote_uri=info.remote_uri,
        remote_name=info.remote_name,
        started_wall=info.started_wall,
        duration_s=duration,
        outcome=end.kind,
        sentence=end.sentence or "",
        with_video=info.has_video,
        steps=info.steps,
        path=path_taken(figures),
        score=figures.quality.score_average if figures is not None and figures.quality is not None else None,
        seen=not (is_missed(info.direction, end.kind) and info.direction is Direction.INCOMING),
    )


def path_taken(figures: CallFigures | None) -> str | None:
    """ "direct", "relayed" or "plain"; None when no path was found."""
    if figures is None or figures.ice is None:
        return None
    if figures.ice.state is IceState.DISABLED:
        return "plain"
    pair = figures.ice.selected_pair()
    if pair is None:
        return None
    ends = (figures.ice.local[pair.local], figures.ice.remote[pair.remote])
    return "relayed" if any(end.type is CandidateType.RELAY for end in ends) else "direct"
