"""The calls the window knows of: which one is on the stage, which ones ask to be answered, and their figures."""

from __future__ import annotations

import time
from collections import OrderedDict, deque

from PySide6.QtCore import QObject, Signal

from app.events import (
    CallFigures,
    CallInfo,
    CallState,
    CandidateType,
    Direction,
    IceSnapshot,
    MomentKind,
    SipTrace,
)
from ui.quality import Series

_KEPT_CALLS = 12
_KEPT_TRACES = 600

ASKING = frozenset({CallState.RINGING})
OVER = frozenset({CallState.ENDED})
_BEFORE_RINGING = frozenset({CallState.PREPARING, CallState.CONNECTING, CallState.GATHERING})


class CallRecord:
    """One call with everything that was told of it."""

    def __init__(self, info: CallInfo) -> None:
        self.info = info
        self.figures: CallFigures | None = None
        self.series = Series()
        self.traces: deque[SipTrace] = deque(maxlen=_KEPT_TRACES)
        self.alerted = info.direction is Direction.OUTGOING
        self.picked_up = info.direction is Direction.OUTGOING
        self.addresses: set[str] = set()  # of this machine, when its path was made

    @property
    def over(self) -> bool:
        return self.info.state in OVER

    @property
    def asking(self) -> bool:
        """Tell whether the call rings here and waits for an answer."""
        return self.info.direction is Direction.INCOMING and self.info.state in ASKING and not self.picked_up


class CallBook(QObject):
    """Follows CallChanged, FiguresChanged and SipSeen; tells panels what to show."""

    stage_changed = Signal()  # another call, or the same in another state, is on the stage
    asking_changed = Signal()  # the calls that wait for an answer changed
    subject_changed = Signal()  # what diagnostics is about
    figures_changed = Signal(str)
    path_renewed = Signal(str, float, bool)  # call, when, whether from another address of this machine
    traced = Signal(object)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._records: OrderedDict[str, CallRecord] = OrderedDict()
        self.other_traces: deque[SipTrace] = deque(maxlen=_KEPT_TRACES)
        self._early_traces: dict[str, list[SipTrace]] = {}
        self._stage: str | None = None
        self._clock_offset: float | None = None

    # What there is -------------------------------------------------------------------------------------------

    @property
    def stage(self) -> CallRecord | None:
        """The call that is shown large: a live one, or one that just ended and was not put away yet."""
        return self._records.get(self._stage) if self._stage else None

    @property
    def asking(self) -> list[CallRecord]:
        return [record for record in self._records.values() if record.asking]

    @property
    def live(self) -> list[CallRecord]:
        return [record for record in self._records.values() if not record.over and record.picked_up]

    @property
    def subject(self) -> CallRecord | None:
        """The call that diagnostics is about: the one on the stage, else one being set up, else the last."""
        if self.stage is not None:
            return self.stage
        going = [record for record in self._records.values() if not record.over]
        if going:
            return going[-1]
        return next(reversed(self._records.values()), None)

    def record(self, call_id: str) -> CallRecord | None:
        return self._records.get(call_id)

    def observe_clock(self, at: float) -> None:
        """Learn the engine's clock from any event that was just published with its time."""
        offset = time.monotonic() - at
        if self._clock_offset is None or offset < self._clock_offset:
            self._clock_offset = offset

    def engine_now(self) -> float | None:
        return None if self._clock_offset is None else time.monotonic() - self._clock_offset

    def time_of_day(self, at: float) -> str:
        """Give a moment of the engine's clock as people read it; "" before the clock is known."""
        now = self.engine_now()
        return "" if now is None else time.strftime("%H:%M:%S", time.localtime(time.time() - (now - at)))

    def talked_for(self, call: CallInfo) -> float | None:
        """Give the seconds since the call connected, or how long it lasted; None when it never did."""
        if call.connected_at is None:
            return None
        if call.state in OVER:
            return call.steps[-1].at - call.connected_at if call.steps else 0.0
        now = self.engine_now()
        return None if now is None else max(0.0, now - call.connected_at)

    def recorded_for(self, call: CallInfo) -> float | None:
        """Give how long the recording of a call is by now, in seconds; None where there is none."""
        recording, now = call.recording, self.engine_now()
        if recording is None:
            return None
        return recording.seconds + (0.0 if recording.paused or now is None else max(0.0, now - recording.at))

    def interrupted_for(self, call: CallInfo) -> float | None:
        """Give the seconds since an interrupted call fell silent."""
        now = self.engine_now()
        if call.state is not CallState.INTERRUPTED or now is None or not call.steps:
            return None
        return max(0.0, now - call.steps[-1].at)

    # What is told --------------------------------------------------------------------------------------------

    def take_call(self, info: CallInfo) -> None:
        record = self._records.get(info.call_id)
        fresh = record is None
        if record is None:
            record = self._records[info.call_id] = CallRecord(info)
            record.traces.extend(self._early_traces.pop(info.call_id, ()))
        record.info = info
        if info.steps:
            self.observe_clock(info.steps[-1].at)
        if info.direction is Direction.INCOMING and info.state not in _BEFORE_RINGING:
            record.alerted = True
            record.picked_up = record.picked_up or info.state in (
                CallState.ANSWERING,
                CallState.CONNECTED,
                CallState.INTERRUPTED,
            )
        self._choose_stage(record, fresh=fresh)
        self._forget_old()
        self.asking_changed.emit()
        if self._stage == info.call_id:
            self.stage_changed.emit()
        self.subject_changed.emit()

    def take_figures(self, figures: CallFigures) -> None:
        record = self._records.get(figures.call_id)
        if record is None:
            return
        before, record.figures = record.figures, figures
        self._watch_path(record, before.ice if before is not None else None, figures.ice)
        record.series.add(figures, time.monotonic())
        self.figures_changed.emit(figures.call_id)

    def _watch_path(self, record: CallRecord, before: IceSnapshot | None, ice: IceSnapshot | None) -> None:
        """Tell of a restart that took over, and whether this machine's address is another one since."""
        if ice is None or ice.selected_pair() is None:
            return
        here = {one.address for one in ice.local if one.type is CandidateType.HOST}
        renewed = before is not None and ice.restarts > before.restarts
        moved = bool(record.addresses) and not record.addresses & here
        if renewed or not record.addresses:
            record.addresses = here  # while a restart is under way the snapshot has those of both generations
        if renewed:
            done = [moment.at for moment in ice.timeline if moment.kind is MomentKind.RESTARTED]
            self.path_renewed.emit(record.info.call_id, done[-1] if done else self.engine_now() or 0.0, moved)

    def take_trace(self, trace: SipTrace) -> None:
        self.observe_clock(trace.at)
        record = self._records.get(trace.call_id) if trace.call_id else None
        if record is not None:
            record.traces.append(trace)
        elif trace.call_id is not None:
            self._keep_early(trace.call_id, trace)
        else:
            self.other_traces.append(trace)
        self.traced.emit(trace)

    def bring(self, call_id: str) -> None:
        """Put another live call on the stage."""
        record = self._records.get(call_id)
        if record is not None and not record.over and self._stage != call_id:
            self._stage = call_id
            self.stage_changed.emit()
            self.subject_changed.emit()

    def put_away(self) -> None:
        """Clear the stage of a call that has ended."""
        if self.stage is not None and self.stage.over:
            self._stage = None
            live = self.live
            if live:
                self._stage = live[-1].info.call_id
            self.stage_changed.emit()
            self.subject_changed.emit()

    # -----------------------------------------------------------------------------------------------------------

    def _choose_stage(self, record: CallRecord, *, fresh: bool) -> None:
        """Bring what was dialled or picked up; a call that is over only when it failed before anything was shown."""
        current = self.stage
        if not record.picked_up or record is current or (record.over and not fresh):
            return
        if fresh or current is None or current.over or record.info.direction is Direction.INCOMING:
            self._stage = record.info.call_id

    def _keep_early(self, call_id: str, trace: SipTrace) -> None:
        """Hold messages that came before the call itself was told; bounded, since some calls never are."""
        self._early_traces.setdefault(call_id, []).append(trace)
        if len(self._early_traces) > _KEPT_CALLS:
            self._early_traces.pop(next(iter(self._early_traces)))
        del self._early_traces[call_id][:-_KEPT_TRACES]

    def _forget_old(self) -> None:
        while len(self._records) > _KEPT_CALLS:
            old = next((key for key, record in self._records.items() if record.over and key != self._stage), None)
            if old is None:
                return
            del self._records[old]
