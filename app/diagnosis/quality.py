"""Judges a call while it runs: delays put together, scores now and over the call, and what limits it. Pure.

Where one direction alone cannot be known, halves and likenesses stand for it: the network's delay is half the round
trip, and the far end's microphone is taken to be as slow as ours.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, fields, replace
from itertools import pairwise
from typing import TypeVar

from app.diagnosis import mos
from app.diagnosis.limits import Lately, LimitWatch
from app.events import (
    AudioStats,
    CallFigures,
    CandidateType,
    LimitedFor,
    QualityInfo,
    QualityLimit,
    TransportStats,
    VideoStats,
)

EVERY_S = 0.25  # between two sets of figures, on a computer that has time
WINDOW_S = 5.0
FREEZE_WINDOW_S = 15.0
LEAST_PACKETS = 20  # before a share of them says anything
OTHER_MICROPHONE_MS = 40.0  # of a peer, where ours is no device: a packet and a sound card
MEMORY_S = 20.0
# The bitrate of Opus is taken from speech: silence takes next to none, and sounds no worse for it.
HEARD_DBFS = -50.0
HEARD_FIGURES = round(MEMORY_S / EVERY_S)

Stats = TypeVar("Stats", AudioStats, VideoStats, TransportStats)


@dataclass(frozen=True, slots=True)
class _Count:
    """The running sums that shares are taken from."""

    at: float
    lost: int
    received: int
    lost_for_good: int
    late: int
    runs: int
    concealed_ms: float
    video_lost: int
    video_received: int
    freezes: int
    sent_loss: float | None


class QualityMonitor:
    """One call. `take` is called with each set of figures, in order."""

    def __init__(self) -> None:
        self._counts: deque[_Count] = deque()
        self._heard_bps: deque[float] = deque(maxlen=HEARD_FIGURES)
        self._limits = LimitWatch()
        self._started: float | None = None
        self._judged_at: float | None = None
        self._sum = 0.0  # of scores times seconds
        self._seconds = 0.0
        self._worst: float | None = None
        self._quality: QualityInfo | None = None
        self._last: CallFigures | None = None
        self._limited: dict[tuple[str, str, bool], LimitedFor] = {}

    def take(self, figures: CallFigures, now: float) -> CallFigures:
        """Give the figures with delays summed up and `quality` filled; `now` in monotonic seconds."""
        audio = figures.audio
        if audio is None:
            return figures
        audio = with_delays(figures, audio)
        figures = replace(figures, audio=audio)
        self._count(figures, audio, now)
        lately, burst = self._lately(audio, now)
        score = self._score(audio, lately, burst)
        limits = self._limits.take(figures, lately, now, relayed=_is_relayed(figures))
        self._remember(score, limits, now)
        self._quality = QualityInfo(
            score=score,
            score_average=self._sum / self._seconds if self._seconds else score,
            score_worst=self._worst if self._worst is not None else score,
            score_sent=self._score_sent(audio, lately),
            loss_percent=lately.loss_percent,
            loss_after_percent=lately.loss_after_percent,
            concealed_percent=lately.concealed_percent,
            limits=limits,
            limited=tuple(self._limited.values()),
        )
        self._last = replace(figures, quality=self._quality)
        return self._last

    def dress(self, figures: CallFigures, *, is_over: bool = False) -> CallFigures:
        """Give the figures with what `take` found out last.

        A call that is over is judged no more, and where its devices and encoders are gone, so that they tell nothing
        any more, what they told last stands.
        """
        if figures.audio is None:
            return figures
        figures = replace(figures, audio=with_delays(figures, figures.audio), quality=self._quality)
        last = self._last
        if not is_over or last is None:
            return figures
        return replace(
            figures,
            audio=_kept(figures.audio, last.audio),
            video=_kept(figures.video, last.video),
            transport=_kept(figures.transport, last.transport),
        )

    def _count(self, figures: CallFigures, audio: AudioStats, now: float) -> None:
        video = figures.video
        self._counts.append(
            _Count(
                now,
                audio.lost,
                audio.packets_received,
                audio.lost_for_good,
                audio.dropped_late,
                audio.loss_runs,
                audio.concealed_ms,
                video.lost if video is not None else 0,
                video.packets_received if video is not None else 0,
                video.freezes if video is not None else 0,
                audio.remote_loss_percent,
            )
        )
        if audio.bitrate_in_bps is not None and (audio.output_level_dbfs or -100.0) > HEARD_DBFS:
            self._heard_bps.append(audio.bitrate_in_bps)
        while now - self._counts[0].at > MEMORY_S:
            self._counts.popleft()
        if self._started is None and audio.packets_received:
            self._started = now

    def _lately(self, audio: AudioStats, now: float) -> tuple[Lately, float]:
        """Give the shares of the last seconds, and the burst ratio of the losses among them."""
        new = self._counts[-1]
        old = next(count for count in self._counts if now - count.at <= WINDOW_S)
        long_ago = next(count for count in self._counts if now - count.at <= FREEZE_WINDOW_S)
        lost, received = max(0, new.lost - old.lost), max(0, new.received - old.received)
        expected = lost + received
        said = [count.sent_loss for count in self._counts if now - count.at <= WINDOW_S and count.sent_loss is not None]
        sent_loss = sum(said) / len(said) if said else None
        concealed_ms = max(0.0, new.concealed_ms - old.concealed_ms)
        lately = Lately(
            loss_percent=_percent(lost, expected),
            loss_after_percent=_percent(max(0, new.lost_for_good - old.lost_for_good), expected),
            late_percent=_percent(max(0, new.late - old.late), expected),
            concealed_percent=min(100.0, concealed_ms / (now - old.at) / 10) if received and now > old.at else None,
            sent_loss_percent=sent_loss,
            sent_loss_after_percent=None if sent_loss is None else _hardly_recovered(sent_loss, audio),
            video_loss_percent=_percent(
                max(0, new.video_lost - old.video_lost),
                max(0, new.video_lost - old.video_lost) + max(0, new.video_received - old.video_received),
            ),
            freezes=new.freezes - long_ago.freezes,
            stalled_s=max((b.at - a.at for a, b in pairwise(self._counts) if now - b.at <= WINDOW_S), default=0.0)
            - EVERY_S,
        )
        return lately, mos.burst_ratio(lost, new.runs - old.runs, expected)

    def _score(self, audio: AudioStats, lately: Lately, burst: float) -> float | None:
        if self._started is None or audio.codec is None:
            return None
        # Sound that runs dry is concealed although nothing was lost; to the ear it is the same.
        loss = max(lately.loss_after_percent or 0.0, lately.concealed_percent or 0.0)
        codec = mos.impairment_of(audio.codec, max(self._heard_bps, default=None))
        return mos.opinion_score(mos.rating(codec, audio.total_delay_ms or 0.0, loss, burst if loss else 1.0))

    @staticmethod
    def _score_sent(audio: AudioStats, lately: Lately) -> float | None:
        """Judge what the other side hears: by what it reports, and the delay that we have ourselves."""
        if lately.sent_loss_after_percent is None or audio.codec is None:
            return None
        codec = mos.impairment_of(audio.codec, audio.encoder_bitrate_bps or audio.bitrate_out_bps)
        return mos.opinion_score(mos.rating(codec, audio.total_delay_ms or 0.0, lately.sent_loss_after_percent))

    def _remember(self, score: float | None, limits: tuple[QualityLimit, ...], now: float) -> None:
        passed = 0.0 if self._judged_at is None else min(1.0, now - self._judged_at)
        self._judged_at = now
        for key, limit in {(one.about, one.cause, one.is_theirs): one for one in reversed(limits)}.items():
            before = self._limited.get(key)
            self._limited[key] = LimitedFor(limit, (before.seconds if before is not None else 0.0) + passed)
        if score is None:
            return
        if self._started is None or now - self._started < WINDOW_S:
            return  # a beginning is uneven and short, and would weigh as much as the rest
        self._sum += score * passed
        self._seconds += passed
        self._worst = score if self._worst is None else min(self._worst, score)


def _hardly_recovered(loss_percent: float, audio: AudioStats) -> float:
    """Give what stays lost of our packets: all of it, or where redundancy is sent, only what is lost in rows.

    Of random losses, a share as large as the loss itself follows upon another; twice that is taken, since networks
    lose in rows.
    """
    if audio.expected_loss_percent is None or audio.expected_loss_percent < loss_percent / 3:
        return loss_percent
    return loss_percent * min(1.0, loss_percent / 50)


def with_delays(figures: CallFigures, audio: AudioStats) -> AudioStats:
    """Fill in the network's one-way delay and the whole way from mouth to ear, where they can be known."""
    trip = round_trip_ms(figures)
    network = None if trip is None else trip / 2
    total = None
    if network is not None and audio.delay_ms is not None:
        there = audio.device_in_delay_ms if audio.device_in_delay_ms is not None else OTHER_MICROPHONE_MS
        total = there + network + audio.delay_ms + (audio.device_out_delay_ms or 0.0)
    return replace(audio, network_delay_ms=network, total_delay_ms=total)


def round_trip_ms(figures: CallFigures) -> float | None:
    """Give the round trip by RTCP, or else by the checks of the selected pair."""
    if figures.audio is not None and figures.audio.rtt_ms is not None:
        return figures.audio.rtt_ms
    pair = figures.ice.selected_pair() if figures.ice is not None else None
    return None if pair is None or pair.rtt_s is None else pair.rtt_s * 1000


def _kept(now: Stats | None, last: Stats | None) -> Stats | None:
    """Fill in from the last figures what is not known any more."""
    if now is None or last is None:
        return now if last is None else last
    gone = {field.name: getattr(last, field.name) for field in fields(now) if getattr(now, field.name) is None}
    return replace(now, **gone)


def _is_relayed(figures: CallFigures) -> bool:
    ice = figures.ice
    pair = ice.selected_pair() if ice is not None else None
    if ice is None or pair is None:
        return False
    return any(end.type is CandidateType.RELAY for end in (ice.local[pair.local], ice.remote[pair.remote]))


def _percent(part: float, whole: float) -> float | None:
    return 100.0 * min(part, whole) / whole if whole >= LEAST_PACKETS else None
