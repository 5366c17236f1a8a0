"""What one transport sends, when, and how much of it: numbering, pacing, estimating, sharing out.

Pure but for the callbacks it is given: the time comes in, `congestion.py` keeps the timers. The estimate comes from
transport-wide feedback where the peer gives any, else from its receiver reports and its REMB.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Protocol

from app.media.allocation import Allocator, Asker, BitrateWish
from app.media.bandwidth import SHORT_WINDOW_S, SendEstimator
from app.media.pacer import BATCH_S, EASY_BATCH_S, MOST_WAIT_S, Outgoing, Pacer, Urgency
from app.media.probing import Prober
from app.media.report_estimate import ReportEstimator
from app.media.sending import RtpSender
from app.media.sent_packets import SentPackets
from app.media.stats import RateMeter
from app.media.twcc import TransportFeedback
from app.media.word import Word

WIRE_BYTES = 42  # of SRTP's tag, UDP and IPv4 beside an RTP packet
PACE = 2.0  # times the estimate, at most …
USUAL_PACE = 1.4  # … and times what streams are given, while that is enough
EASY = 1.3  # times what streams are given: with so much a picture need not be spread so far
BUSY_SHARE = 0.65  # of the estimate: who sends less tells little about the path
RATE_WINDOW_S = 0.5
SHARE_S = 0.1  # shares change no more often, unless they fall
SHARE_STEP = 0.03
ROOM_S = 0.015  # of sending that may be under way beyond a round trip and the wait for feedback
ROOM_RISE = 1.05  # of the rate at which packets arrive …
ROOM_FADES = 0.97  # … lately, each feedback, where no queue stands: a moment in which less was sent shows nothing …
ROOM_BPS = 100_000  # … and so much more may be sent
FIRST_BYTES = 6_000  # under way before feedback tells how fast they arrive
SIGN_BYTES = 1_500  # sent although nothing may, where feedback that should have come has not: two packets
JAMMED_S, JAMMED_BYTES = 0.05, 6_000  # word so late, and so much under way: sound does without its repeats …
LEAN_BPS = 60_000  # … and has this, with which it still goes in packets of 20 ms
LEAST_ROOM_BYTES = 1_200
NO_QUEUE_S = 0.02
DEAF_S = 1.5  # no feedback for so long although packets went out: the peer gives none
SILENT_S = 0.8
DRAIN_FROM_S = 0.04  # a queue longer than this is worked off by sending less …
SOUND_DRAIN_FROM_S = 0.15  # … sound only where that is not enough
DRAIN_OVER_S = 0.25
LEAST_DRAIN, LEAST_SOUND_DRAIN = 0.6, 0.3
HEADROOM = 1.5  # the estimate may grow to so much of what streams wish
QUIET_S = 0.3  # without overuse before the path is probed
FALL = 0.7
TRY_AGAIN_S = 8.0  # pictures are paused: then the estimate may grow to what they need
DEEP_FALL = 0.5  # from here on pictures that wait are of no use
MOVED_BPS = 600_000  # on a path of which nothing is known yet, at most

Source = Literal["transport-cc", "remb", "loss"]


class Stream(Protocol):
    """What a stream offers to whoever shares a rate out (RtpStream does)."""

    held_by_peer: bool

    @property
    def sender(self) -> RtpSender: ...
    @property
    def is_sound(self) -> bool: ...
    def wish(self) -> BitrateWish | None: ...
    def allot(self, bps: int, now: float) -> None: ...
    @property
    def can_pad(self) -> bool: ...
    def pad(self, size: int) -> list[Outgoing]: ...
    def pictures_dropped(self) -> None: ...
    def set_backlog(self, waits_s: float) -> None: ...


@dataclass(slots=True)
class _Share:
    stream: Stream
    bps: int | None = None
    limit_bps: float | None = None  # asked by the peer (TMMBR)


@dataclass(frozen=True, slots=True)
class SendFigures:
    """For a person. `paused`: pictures are paused because there is too little for them."""

    estimate_bps: float
    source: Source
    queue_delay_s: float
    pacer_s: float
    pacer_bytes: int
    rtt_s: float | None
    loss: float | None
    paused: bool


class SendSide:
    """The sending half of congestion control of one transport."""

    def __init__(self, send: Callable[[bytes], bool]) -> None:
        self._send = send
        self.step_s = 0.0  # from one moment of sending to the next, at most, where moments are not exact
        self._shares: dict[str, _Share] = {}
        self.transport_cc = False
        self.estimator = SendEstimator()
        self.reports = ReportEstimator()
        self._sent = SentPackets()
        self._pacer = Pacer(self.estimator.rate_bps * PACE)
        self._prober = Prober()
        self._allocator = Allocator()
        self._sent_rate = RateMeter(RATE_WINDOW_S)
        self._repeated_rate = RateMeter()
        self._sent_bytes = 0  # since the last report
        self._counted_at: float | None = None
        self._paused_at = 0.0
        self._shared_at = 0.0
        self._fed_at: float | None = None
        self._left_at = 0.0  # when a packet with a number left last
        self._carried_bps = 0.0  # the most that arrived lately
        self._word = Word()
        self._picture: tuple[RtpSender, bytes] | None = None  # that leaves: whose, and its timestamp
        self._unanswered_since: float | None = None  # packets went out and no feedback came
        self._is_deaf = False
        self._held_back_at = -1.0  # by the room, or by pictures that pause
        self._silent_at = 0.0
        self._highest_bps = 0.0
        self._has_plenty = False  # the estimate is far above what is given

    # What streams do ----------------------------------------------------------------------------------------

    def set_streams(self, streams: dict[str, Stream], *, transport_cc: bool) -> None:
        """Say which streams send here, by name, and whether both sides do transport-wide feedback."""
        self.transport_cc = transport_cc
        self._shares = {
            name: known if (known := self._shares.get(name)) is not None and known.stream is stream else _Share(stream)
            for name, stream in streams.items()
        }

    def put(self, packets: list[Outgoing], now: float) -> None:
        """Take packets, and send what may leave now."""
        self._pacer.put(packets, now)
        self.flush(now)

    def flush(self, now: float) -> None:
        """Send what may leave now."""
        if self._pacer.next_at(now) is None:
            return  # as after most feedbacks and ticks
        if self._pacer.cluster is not None and self._late_s(now):
            self._pacer.cluster = None
        step_s = self.step_s if self.is_easy else 0.0
        for packet in self._pacer.take(now, self._room(now), self._pad, step_s):
            self._leave(packet, now)

    @property
    def is_easy(self) -> bool:
        """Whether the path carries far more than is sent, so that the pacer's moments are not exact."""
        return self._pacer.batch_s == EASY_BATCH_S

    def next_at(self, now: float) -> float | None:
        """When `flush` has something to do next."""
        return self._pacer.next_at(now)

    def moved(self, now: float) -> None:
        """The transport has another path: what was learned of the old one is of little use."""
        self._sent.reset_flight()
        self._carried_bps = 0.0
        self._word = Word()
        self.estimator = SendEstimator(min(self.estimator.rate_bps, MOVED_BPS))
        self._prober = Prober()

    # What the peer says -------------------------------------------------------------------------------------

    def feedback(self, feedback: TransportFeedback, now: float) -> None:
        """Take transport-wide feedback."""
        if not self.transport_cc:
            return
        results = self._sent.feedback(feedback, now)
        if not results:
            return
        fed_at, self._fed_at = self._fed_at, now
        self._unanswered_since, self._is_deaf = None, False
        before = self.estimator.rate_bps
        app_limited = self._is_app_limited(now)
        unproven_bps = self._unproven_bps(now) if app_limited else 0.0
        self.estimator.feedback(results, now, app_limited=app_limited, unproven_bps=unproven_bps)
        acked = self.estimator.acked_bps or 0.0
        fades = ROOM_FADES if self.estimator.queue_s < DRAIN_FROM_S else 0.0
        self._carried_bps = max(acked, self._carried_bps * fades)
        self._word.heard(
            results,
            fed_at,
            now,
            base_rtt_s=self.estimator.base_rtt_s,
            queue_s=self.estimator.newest_queue_s,
            standing_s=self.estimator.queue_s,
            unheard_since=self._sent.unheard_since,
        )
        loss = self.estimator.loss.loss
        found = self._prober.results(results, now, is_sent=self._pacer.cluster is None, loss=loss)
        if found is not None:
            self.estimator.probed(found)
        self._note_change(before, self.estimator.rate_bps, now)
        self.share(now)
        self.flush(now)

    def report(self, name: str, fraction_lost: float, rtt_s: float | None, now: float) -> None:
        """Take a receiver report about a stream of this transport."""
        main = max(self._shares.values(), key=lambda share: share.stream.sender.octets_sent, default=None)
        share = self._shares.get(name)
        if share is None or share is not main:
            return
        app_limited = self._is_app_limited(now) and self.reports.rate_bps > self._unproven_bps(now)
        before = self.reports.rate_bps
        sent_at, self._counted_at = self._counted_at, now
        sent_bps = self._sent_bytes * 8 / (now - sent_at) if sent_at is not None and now > sent_at else None
        self._sent_bytes = 0
        self.reports.report(fraction_lost, rtt_s, now, app_limited=app_limited, sent_bps=sent_bps)
        self._note_change(before, self.reports.rate_bps, now)
        self.share(now)

    def remb(self, bitrate_bps: int, now: float) -> None:
        """Take the peer's own estimate."""
        self.reports.remb(bitrate_bps, now)
        self.share(now)

    def limit(self, name: str, bitrate_bps: float | None, now: float) -> None:
        """The peer wants no more than this of a stream (TMMBR); None: as much as there is."""
        share = self._shares.get(name)
        if share is not None:
            share.limit_bps = bitrate_bps
            self.share(now, at_once=True)

    # Time ---------------------------------------------------------------------------------------------------

    def tick(self, now: float) -> None:
        """Do what is due; called every 20 ms or so, where all `is_calm` half as often."""
        self._sent.drop_old(now)
        self._ask_key_frames(self._pacer.drop_old(now))
        waits = max(self._pacer.waits_s(now), self._pacer.backlog_s() / 2)
        if self._late_s(now):
            waits = max(waits, MOST_WAIT_S)
        for share in self._shares.values():
            share.stream.set_backlog(0.0 if share.stream.is_sound else waits)
        self._listen_for_silence(now)
        self._probe(now)
        self.share(now)
        self.flush(now)

    def is_calm(self, now: float) -> bool:
        """Whether nothing waits to be sent, is paused or probes the path, and no queue stands on it."""
        if self._pacer.queued_bytes or self._pacer.cluster is not None or self._allocator.paused:
            return False
        return self.estimator.queue_s < DRAIN_FROM_S and not self._overdue_s(now)

    @property
    def uses_feedback(self) -> bool:
        """Whether the estimate comes from transport-wide feedback now."""
        return self.transport_cc and not self._is_deaf

    @property
    def estimate_bps(self) -> float:
        if not self.uses_feedback:
            return self.reports.rate_bps
        # A peer that gives transport-wide feedback may still say by REMB how much it wants at most.
        limit = self.reports.remb_bps
        return self.estimator.rate_bps if limit is None else min(self.estimator.rate_bps, limit)

    def figures(self, now: float) -> SendFigures:
        """Give the figures of now."""
        told = self.uses_feedback
        source: Source = "transport-cc" if told else "remb" if self.reports.has_remb else "loss"
        estimator = self.estimator if told else self.reports
        return SendFigures(
            self.estimate_bps,
            source,
            estimator.queue_s,
            self._pacer.waits_s(now),
            self._pacer.queued_bytes,
            estimator.rtt_s,
            self.estimator.loss.loss if told else None,
            bool(self._allocator.paused),
        )

    def share(self, now: float, *, at_once: bool = False) -> None:
        """Give each stream its part of the estimate, where that changed."""
        askers = []
        for name, share in self._shares.items():
            wish = share.stream.wish()
            if wish is not None:
                askers.append(Asker(name, share.stream.is_sound, wish, share.limit_bps))
        wanted = sum(asker.wish.most_bps for asker in askers)
        for estimator in (self.estimator, self.reports):
            estimator.ceiling_bps = max(300_000.0, wanted * HEADROOM)
        estimate = self.estimate_bps
        self._pacer.rate_bps = max(50_000.0, estimate * PACE)
        if not askers:
            return
        was_paused = self._allocator.paused
        shares = self._allocator.share(askers, estimate, now)
        given = sum(shares.values())
        self._has_plenty = self.uses_feedback and estimate >= given * EASY
        is_easy = self._has_plenty and self.estimator.newest_queue_s < NO_QUEUE_S
        self._pacer.usual_bps = given * USUAL_PACE
        self._pacer.batch_s = EASY_BATCH_S if is_easy else BATCH_S
        if self._allocator.paused and not was_paused:
            self._pacer.drop_pictures()
            self._paused_at = now
        if self._allocator.paused:
            self._held_back_at = now
        repeated = (self._repeated_rate.per_second(now) or 0.0) * 8
        late = now - self._shared_at >= SHARE_S
        is_jammed = self._late_s(now) > JAMMED_S and self._sent.in_flight_bytes > JAMMED_BYTES
        is_jammed = is_jammed and any(shares[asker.name] for asker in askers if not asker.is_sound)
        for asker in askers:
            bps, share = shares[asker.name], self._shares[asker.name]
            # A large window asks for a limit as well: it is no reason where the path carries less than that.
            share.stream.held_by_peer = asker.limit_bps is not None and bps >= int(asker.limit_bps)
            if asker.is_sound:
                bps = max(min(bps, asker.wish.least_bps), int(bps * self._drain(SOUND_DRAIN_FROM_S, LEAST_SOUND_DRAIN)))
                bps = min(bps, max(asker.wish.least_bps, LEAN_BPS)) if is_jammed else bps
            elif bps:
                most = (bps - min(repeated, bps / 2)) * self._drain(DRAIN_FROM_S, LEAST_DRAIN)
                bps = int(max(asker.wish.least_bps, most))
            before = share.bps
            if before is None or (bps == 0) != (before == 0) or at_once:
                is_due = True
            else:
                step = abs(bps - before) > SHARE_STEP * before
                is_due = step and (late or bps < before)
            if is_due and bps != before:
                share.bps = bps
                share.stream.allot(bps, now)
                self._shared_at = now

    # Inside -------------------------------------------------------------------------------------------------

    def _leave(self, packet: Outgoing, now: float) -> None:
        data, sender = packet.data, packet.sender
        size = len(data) + WIRE_BYTES
        slot = sender.extensions.slot
        if packet.is_verbatim and slot is not None:
            self._sent.repeated(int.from_bytes(data[slot : slot + 2]))
        elif slot is not None:
            data = sender.extensions.numbered(data, self._sent.number(size, now, packet.probe))
            self._left_at = now
            if packet.urgency is Urgency.PICTURE and (sender, data[4:8]) != self._picture:
                self._picture = sender, data[4:8]
                self._word.picture_leaves(now)
            if self._unanswered_since is None:
                self._unanswered_since = now
            if packet.probe is not None:
                self._prober.sent(packet.probe, size)
        if not self._send(data):
            return
        self._sent_rate.add(size, now)
        self._sent_bytes += size
        if packet.urgency is Urgency.REPEAT:
            self._repeated_rate.add(size, now)
        elif packet.urgency is Urgency.PICTURE:
            self._prober.begin(self.estimator.rate_bps)
        sender.left(data, now, is_new=packet.is_new)
        packet.on_left(len(data), now)

    def _room(self, now: float) -> float:
        """How many bytes may still go under way: what the path holds, and what it carries until word of it comes."""
        if not self.uses_feedback:
            return float("inf")
        estimator = self.estimator
        if estimator.acked_bps is None:
            room = float(FIRST_BYTES - self._sent.in_flight_bytes)
        elif self._late_s(now) or self._is_picture_overdue(now):
            room = 0.0
        else:
            rate = min(estimator.rate_bps, self._carried_bps * ROOM_RISE + ROOM_BPS)
            room = rate * self._window_s / 8 + 2_400 - self._sent.in_flight_bytes
        if room > 0 or not self._pacer.queued_bytes:
            return room
        self._held_back_at = now
        return SIGN_BYTES if self._is_silent(now) else room

    @property
    def _window_s(self) -> float:
        """For how long what is sent is under way until word of it comes."""
        return self.estimator.base_rtt_s + self._word.gap_s + ROOM_S

    def _is_silent(self, now: float) -> bool:
        """Whether the last packets, or the feedback about them, must be lost.

        Nothing would arrive any more that the peer could tell of, and what stood in a queue has had time to leave it.
        """
        return now - max(self._left_at, self._fed_at or 0.0) > self._window_s

    def _ask_key_frames(self, senders: set[RtpSender]) -> None:
        for share in self._shares.values():
            if share.stream.sender in senders:
                share.stream.pictures_dropped()

    def _late_s(self, now: float) -> float:
        """By how much word is overdue; where it is, the path holds us back."""
        late_s = self._overdue_s(now)
        if late_s:
            self._held_back_at = now
        return late_s

    def _overdue_s(self, now: float) -> float:
        """By how much word of what was sent is overdue, so that a queue must have begun to grow; 0 when it is not."""
        since = self._sent.unheard_since
        if since is None or not self.uses_feedback or self._is_silent(now):
            return 0.0
        late_s = self._word.overdue_s(since, self.estimator.base_rtt_s, now)
        return late_s if late_s and self._can_queue else 0.0

    def _is_picture_overdue(self, now: float) -> bool:
        """Whether the next packets of pictures wait since there is no word of those before yet.

        What a feedback leaves out counts where the path carries far more than is sent: one that is full has queues of
        our own making, which the estimate keeps short, and pauses at each would cost rate.
        """
        is_overdue = self._word.is_picture_overdue(now) or (self._has_plenty and self._word.is_behind)
        return is_overdue and not self._is_silent(now) and self._can_queue

    @property
    def _can_queue(self) -> bool:
        """Whether so much is under way that a queue can stand.

        Where it is not, feedback became rarer, since there was less to tell of.
        """
        estimator = self.estimator
        carried, _ = estimator.acked.bps(SHORT_WINDOW_S) or (0.0, 0.0)
        return self._sent.in_flight_bytes >= carried * estimator.base_rtt_s / 8 + LEAST_ROOM_BYTES

    def _is_app_limited(self, now: float) -> bool:
        """Whether clearly less was sent than the estimate allows, and not because the path held us back."""
        if self._pacer.queued_bytes or now - self._held_back_at < RATE_WINDOW_S:
            return not self._pacer.queued_bytes and bool(self._allocator.paused)
        rate = self._sent_rate.per_second(now)
        return rate is None or rate * 8 < BUSY_SHARE * self.estimate_bps

    def _unproven_bps(self, now: float) -> float:
        """How far the estimate may grow although less is sent: to what streams need at least, so that they can begin.

        Where the path can be probed only sound needs that; probes find no room on one that another call fills, so that
        pictures which have long been paused are tried without proof too.
        """
        can_probe = self.uses_feedback and any(share.stream.can_pad for share in self._shares.values())
        can_probe = can_probe and not (self._allocator.paused and now - self._paused_at > TRY_AGAIN_S)
        total = 0.0
        for share in self._shares.values():
            wish = share.stream.wish()
            if wish is not None:
                total += wish.most_bps if share.stream.is_sound else 0 if can_probe else wish.least_bps
        return total * 1.25

    def _pad(self, size: int) -> list[Outgoing]:
        for share in self._shares.values():
            packets = share.stream.pad(size)
            if packets:
                return packets
        return []

    def _drain(self, from_s: float, least: float) -> float:
        """What part of its share a stream may use while a queue above `from_s` is worked off."""
        queue = self.estimator.queue_s if self.uses_feedback else 0.0
        return max(least, min(1.0, 1 - (queue - from_s) / DRAIN_OVER_S))

    def _note_change(self, before: float, after: float, now: float) -> None:
        """After a deep fall the path is looked at again soon: it may have been short."""
        self._highest_bps = max(after, before, self._highest_bps * 0.999)
        if after < before and after < self._highest_bps * FALL:
            self._highest_bps = after
            self._prober.fell(now)
        if after < before * DEEP_FALL:
            # What waits is of a size that no longer fits; the next picture will be smaller and whole.
            self._ask_key_frames(self._pacer.drop_pictures())

    def _listen_for_silence(self, now: float) -> None:
        since = self._unanswered_since
        if not self.transport_cc or since is None:
            return
        if self._fed_at is None:
            self._is_deaf = now - since > DEAF_S
        elif now - max(since, self._fed_at) > SILENT_S:
            before = self.estimator.rate_bps
            self.estimator.silent(now)
            self._note_change(before, self.estimator.rate_bps, now)

    def _probe(self, now: float) -> None:
        if not self.uses_feedback or self._pacer.cluster is not None or self.estimator.acked_bps is None:
            return
        estimator = self.estimator
        over = estimator.overused_at
        calm = (over is None or now - over > QUIET_S) and estimator.queue_s < DRAIN_FROM_S
        calm = calm and not self._late_s(now)
        self._pacer.cluster = self._prober.next_cluster(
            now, estimator.rate_bps, estimator.ceiling_bps / HEADROOM * 1.2, is_calm=calm
        )
