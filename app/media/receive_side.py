"""What the receiver of one transport tells its peer about the path: transport-wide feedback, REMB, TMMBR.

Pure: the time comes in, RTCP packets go out; `congestion.py` keeps the timers. Rates are bits per second.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from app.media.delay_trend import DelayTrend, PathUse
from app.media.rtcp import BitrateRequest, Limit, Remb
from app.media.rtp import timestamp_difference
from app.media.send_side import WIRE_BYTES
from app.media.stats import RateMeter
from app.media.twcc import ArrivalLog, TransportFeedback

FEEDBACK_SHARE = 0.05  # of what comes in may go back as feedback
FEEDBACK_BITS = 1_000  # about one, with everything around it
LEAST_PAUSE_S = 0.020  # where packets come late, and from one feedback to that about the next picture
CALM_PAUSE_S = 0.050  # where none do; a picture that begins to arrive is told of at once
MOST_PAUSE_S = 0.25
FIRST_PAUSE_S = 0.05  # while the rate is not known yet: the sooner a sender hears of a narrow path the better
RATE_WINDOW_S = 0.5
LATE_S = 0.04  # a packet so much later than usual: a queue begins to grow, and the sender hears of it …
HURRIED_S = 0.3  # … as often as it may for so long
HURRIED_SHARE = 0.25  # of what comes in …
HURRIED_FROM_BPS = 50_000  # … where that is more than a voice on a path for little else
USUAL_SHARE = 0.05  # of a lateness goes into what is usual
LEAST_WINDOW_S = 5.0

REMB_S = 1.0
VOICE_BPS = 90_000  # of 64 kbit/s in packets of 20 ms: a REMB limits it with the pictures
REMB_FALL = 0.97  # a fall below this share is told at once
GROWTH = 1.08  # per second, once a queue has been seen
AHEAD = 1.5
DECREASE = 0.85
LEAST_BPS = 30_000
MOST_SOURCES = 4

REQUEST_S = 0.5
REQUEST_TRIES = 5
NO_LIMIT_BPS = 50_000_000
OVERHEAD_BYTES = 40  # RTP, UDP and IP, of an IPv4 path


@dataclass(slots=True)
class _Source:
    """The time line of one source, and how late its packets come."""

    last: int
    until: float  # when the next window begins
    least: float  # transit, of this window
    before: float  # of the window before
    media_time: int = 0
    usual: float = 0.0  # lateness


class Lateness:
    """Tells when packets suddenly come later than they used to, by their timestamps."""

    def __init__(self) -> None:
        self._sources: dict[int, _Source] = {}

    def arrived(self, ssrc: int, timestamp: int, clock_rate: int, now: float) -> bool:
        """Take one packet; tells whether it is late."""
        source = self._sources.get(ssrc)
        if source is None:
            if len(self._sources) >= MOST_SOURCES:
                self._sources.clear()
            self._sources[ssrc] = _Source(timestamp, now + LEAST_WINDOW_S, now, now)
            return False
        source.media_time += timestamp_difference(timestamp, source.last)
        source.last = timestamp
        transit = now - source.media_time / clock_rate
        if now > source.until:
            source.until, source.before, source.least = now + LEAST_WINDOW_S, source.least, transit
        source.least = min(source.least, transit)
        late = transit - min(source.least, source.before)
        is_late = late > source.usual + LATE_S
        source.usual += USUAL_SHARE * (late - source.usual)
        return is_late


class Feedback:
    """When transport-wide feedback is due: often at a high rate, seldom where it would cost much.

    While nothing is late it goes by pictures: who hears of each one's first packet knows a round trip later that the
    path still carries what is sent, as soon as by feedback at even distances that are half as long.
    """

    def __init__(self) -> None:
        self._log = ArrivalLog()
        self._rate = RateMeter(RATE_WINDOW_S)
        self.told_at = 0.0  # the last time
        self._media_ssrc = 0
        self._hurried_until = 0.0
        self._pictures: dict[int, int] = {}  # the last timestamp of each source of pictures
        self._has_begun = False  # a picture, since the last feedback

    def arrived(
        self, sequence: int, ssrc: int, size: int, now: float, *, is_late: bool = False, picture: int | None = None
    ) -> bool:
        """Note a packet with its transport-wide number; `picture`: the timestamp of the one that it is of, if any.

        Tells whether feedback may be due sooner than it was: the packet is late, or the first of a picture.
        """
        begins = picture is not None and self._pictures.get(ssrc) != picture
        if begins and picture is not None:
            if len(self._pictures) >= MOST_SOURCES:
                self._pictures.clear()
            self._pictures[ssrc] = picture
            self._has_begun = True
        if is_late:
            self._hurried_until = now + HURRIED_S
        self._log.arrived(sequence, now)
        self._rate.add(size + WIRE_BYTES, now)
        self._media_ssrc = ssrc
        return is_late or begins

    def due_at(self, now: float) -> float | None:
        """When to tell next; None when there is nothing to tell."""
        if not self._log.has_news:
            return None
        rate = self._rate.per_second(now)
        if rate is None:
            return self.told_at + FIRST_PAUSE_S
        is_hurried = now < self._hurried_until and rate * 8 > HURRIED_FROM_BPS
        share = HURRIED_SHARE if is_hurried else FEEDBACK_SHARE
        pause = FEEDBACK_BITS / (share * rate * 8) if rate > 0 else MOST_PAUSE_S
        least_s = LEAST_PAUSE_S if is_hurried or (self._has_begun and pause <= CALM_PAUSE_S) else CALM_PAUSE_S
        return self.told_at + min(MOST_PAUSE_S, max(least_s, pause))

    def take(self, ssrc: int, now: float) -> list[TransportFeedback]:
        """Make what there is to tell."""
        self.told_at = now
        self._has_begun = False
        return self._log.take(ssrc, self._media_ssrc, now)


@dataclass(slots=True)
class _Heard:
    """One source, for its own clock."""

    last: int
    media_time: int = 0
    trend: DelayTrend = field(default_factory=DelayTrend)


class ReceiveEstimator:
    """What the path carries to here, from timestamps and arrivals, for a peer that goes by REMB."""

    def __init__(self) -> None:
        self._rate = RateMeter(RATE_WINDOW_S)
        self._heard: dict[int, _Heard] = {}
        self._estimate: float | None = None
        self._has_met_queue = False
        self._moved_at = 0.0
        self._fell_at: float | None = None

    @property
    def bps(self) -> float | None:
        """The estimate; None before there is one."""
        return self._estimate

    def arrived(self, ssrc: int, timestamp: int, clock_rate: int, size: int, now: float) -> None:
        """Take one packet."""
        self._rate.add(size + WIRE_BYTES, now)
        heard = self._heard.get(ssrc)
        if heard is None:
            if len(self._heard) >= MOST_SOURCES:
                self._heard.clear()
            heard = self._heard[ssrc] = _Heard(timestamp)
        step = timestamp_difference(timestamp, heard.last)
        heard.last = timestamp
        heard.media_time += step
        use = heard.trend.add(heard.media_time / clock_rate, now)
        self._move(use, now)

    def _move(self, use: PathUse, now: float) -> None:
        rate = self._rate.per_second(now)
        if rate is None:
            return
        incoming = rate * 8
        if self._estimate is None:
            self._estimate, self._moved_at = incoming * AHEAD, now
        step_s, self._moved_at = min(1.0, now - self._moved_at), now
        if use is PathUse.OVER:
            self._has_met_queue = True
            if self._fell_at is None or now - self._fell_at > 0.3:
                self._fell_at = now
                self._estimate = max(LEAST_BPS, min(self._estimate, incoming * DECREASE))
        elif use is PathUse.NORMAL:
            most = incoming * AHEAD + 10_000
            if self._estimate < most:
                grown = self._estimate * GROWTH**step_s + 1_000 * step_s if self._has_met_queue else most
                self._estimate = min(grown, most)


class RembPart:
    """When to send REMB and what: the estimate, and what is wanted at most."""

    def __init__(self) -> None:
        self.estimator = ReceiveEstimator()
        self._told_bps: float | None = None
        self._told_at = 0.0
        self._lifted = 0  # how often it was said that there is no limit any more

    def take(self, ssrc: int, sources: tuple[int, ...], wanted_bps: int | None, now: float) -> Remb | None:
        """Give the packet that is due, or None. `wanted_bps` is what this side can use at most.

        A limit that is not wanted any more is lifted in so many words: libwebrtc keeps to the last one for ever.
        """
        estimate = self.estimator.bps
        rates = [rate for rate in (estimate, wanted_bps) if rate is not None]
        is_over = not rates and self._told_bps is not None and self._lifted < REQUEST_TRIES
        if not (rates or is_over) or not sources:
            return None
        bps = min(rates, default=NO_LIMIT_BPS)
        fell = self._told_bps is not None and bps < self._told_bps * REMB_FALL
        if now - self._told_at < (0.1 if fell else REMB_S):
            return None
        self._told_bps, self._told_at = bps, now
        self._lifted = 0 if rates else self._lifted + 1
        return Remb(ssrc, int(bps), sources)


class LimitPart:
    """Asks a peer by TMMBR to send no more than is wanted, until it says that it heard (TMMBN), or five times."""

    def __init__(self) -> None:
        self._asked: int | None = None
        self._tries = 0
        self._asked_at = 0.0
        self._is_heard = True

    def take(self, ssrc: int, media_ssrc: int, wanted_bps: int | None, now: float) -> BitrateRequest | None:
        """Give the request that is due, or None."""
        if wanted_bps != self._asked:
            self._asked, self._tries, self._is_heard, self._asked_at = wanted_bps, 0, False, 0.0
        if self._is_heard or self._tries >= REQUEST_TRIES or now - self._asked_at < REQUEST_S:
            return None
        self._tries, self._asked_at = self._tries + 1, now
        limit = Limit(media_ssrc, NO_LIMIT_BPS if wanted_bps is None else wanted_bps, OVERHEAD_BYTES)
        return BitrateRequest(ssrc, (limit,))

    def noticed(self) -> None:
        """The peer keeps to a limit of ours."""
        self._is_heard = True
