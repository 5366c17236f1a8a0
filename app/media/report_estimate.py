"""What a path carries, as a sender guesses it from receiver reports, for a peer without transport-wide feedback.

Loss and growing round trips lower the rate, their absence raises it: fast until the first trouble, then slowly. The
peer's REMB (draft-alvestrand-rmcat-remb-03) is a ceiling while it is fresh. Pure; rates in bits per second on the wire.
"""

from __future__ import annotations

from collections import deque

from app.media.allocation import SOUND_BPS

LEAST_BPS = 20_000
START_BPS = 600_000
FIRST_RISE = 1.5  # a report, until something is lost or late
RISE = 1.08  # a second …
MOST_RISE = 1.25  # … and no more in one report
HIGH_LOSS = 0.10
LOW_LOSS = 0.02
GROWN_RTT_S = 0.10  # above the least of the last half minute: a queue stands
LATE_FACTOR = 0.80  # where what was sent tells nothing, else …
DECREASE = 0.85  # … of what came through …
DRAIN_A_SECOND = 0.25  # … and so much less of it for each second of queue …
MOST_DRAIN = 0.45  # … at most
LATE_PAUSE_S = 1.5  # a queue needs time to empty before it is judged again
BASE_WINDOW_S = 30.0
LEAST_INTERVAL_S = 0.5  # between reports, for what was sent in it to tell anything
REMB_HOLDS_S = 10.0


class ReportEstimator:
    """Follows the receiver reports about the streams of one transport."""

    def __init__(self, start_bps: float = START_BPS) -> None:
        self.ceiling_bps = 5_000_000.0
        self.rtt_s: float | None = None
        self.queue_s = 0.0  # what the round trip is above its least
        self._rate = float(start_bps)
        self._first = True
        self._rtts: deque[tuple[float, float]] = deque()
        self._late_at: float | None = None
        self._after_bps: float | None = None  # the rate for when the queue has gone
        self._reported: tuple[float, float | None] | None = None  # when the last report came, and its round trip
        self._interval_s = 1.0  # between the last two reports
        self._risen_at: float | None = None
        self._remb: tuple[float, float] | None = None

    @property
    def rate_bps(self) -> float:
        """The estimate: what reports allow, and no more than the peer's REMB."""
        return self._rate if self._remb is None else max(LEAST_BPS, min(self._rate, self._remb[0]))

    @property
    def remb_bps(self) -> float | None:
        """The peer's own estimate, or what it wants at most."""
        return self._remb[0] if self._remb is not None else None

    @property
    def has_remb(self) -> bool:
        """Whether the peer tells its own estimate."""
        return self._remb is not None

    def report(
        self,
        fraction_lost: float,
        rtt_s: float | None,
        now: float,
        *,
        app_limited: bool,
        sent_bps: float | None = None,
    ) -> None:
        """Take one report about the stream that sends most: its loss of 0 to 1, the round trip where it is known.

        `app_limited`: clearly less was sent than the estimate allows, so that nothing speaks for more. `sent_bps`: what
        left since the last report.
        """
        carried = self._carried(fraction_lost, rtt_s, sent_bps, now)
        if self._remb is not None and now - self._remb[1] > REMB_HOLDS_S:
            self._remb = None
        if rtt_s is not None:
            self._note_rtt(rtt_s, now)
        if carried is not None and self.queue_s > GROWN_RTT_S:
            self._work_off(carried, now)
        elif self._after_bps is not None and self.queue_s <= GROWN_RTT_S:
            self._set(self._after_bps)
            self._after_bps = None
        elif fraction_lost > HIGH_LOSS:
            least = SOUND_BPS if self.queue_s <= GROWN_RTT_S else LEAST_BPS
            self._set(max(self._rate * (1 - fraction_lost / 2), min(self._rate, least)))
        elif self.queue_s > GROWN_RTT_S:
            if self._late_at is None or now - self._late_at > LATE_PAUSE_S:
                self._late_at = now
                self._set(self._rate * LATE_FACTOR)
        elif fraction_lost < LOW_LOSS and not app_limited:
            self._rise(now)
            return
        if fraction_lost > LOW_LOSS or self.queue_s > GROWN_RTT_S:
            self._first = False

    def remb(self, bitrate_bps: int, now: float) -> None:
        """Take the peer's own estimate."""
        self._remb = float(bitrate_bps), now

    def _carried(self, fraction_lost: float, rtt_s: float | None, sent_bps: float | None, now: float) -> float | None:
        """Tell what came through since the last report: what was sent less what was lost and what waits since."""
        before, self._reported = self._reported, (now, rtt_s)
        self._interval_s = max(1.0, now - before[0]) if before is not None else 1.0
        if before is None or sent_bps is None or rtt_s is None or now - before[0] < LEAST_INTERVAL_S:
            return None
        longer_s = max(0.0, rtt_s - before[1]) if before[1] is not None else 0.0
        took_s = now - before[0]
        return sent_bps * (1 - fraction_lost) * took_s / (took_s + longer_s)

    def _work_off(self, carried: float, now: float) -> None:
        """Send clearly less than came through until the queue has gone."""
        if self._after_bps is None:
            self._after_bps = carried * DECREASE
        if self._late_at is None or now - self._late_at > LATE_PAUSE_S:
            self._late_at = now
            drain = min(MOST_DRAIN, self.queue_s * DRAIN_A_SECOND)
            self._set(min(self._rate, max(carried * (DECREASE - drain), self._after_bps * (DECREASE - MOST_DRAIN))))
        self._first = False

    def _rise(self, now: float) -> None:
        if self._risen_at is not None and now - self._risen_at < 0.5:
            return  # reports come in one compound for several streams
        self._risen_at = now
        self._set(self._rate * (FIRST_RISE if self._first else min(MOST_RISE, RISE**self._interval_s)))

    def _set(self, bps: float) -> None:
        self._rate = max(LEAST_BPS, min(bps, max(LEAST_BPS, self.ceiling_bps)))

    def _note_rtt(self, rtt: float, now: float) -> None:
        rtts = self._rtts
        while rtts and rtts[-1][1] >= rtt:
            rtts.pop()
        rtts.append((now, rtt))
        while rtts[0][0] < now - BASE_WINDOW_S:
            rtts.popleft()
        self.rtt_s = rtt
        self.queue_s = rtt - rtts[0][1]
