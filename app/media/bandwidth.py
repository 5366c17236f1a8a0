"""What a path carries, as its sender sees it by transport-wide feedback.

A delay-based and a loss-based part after draft-ietf-rmcat-gcc-02, with the queue's length measured beside its growth,
and with probes (probing.py) that tell of a better path at once. Pure: times are handed in. Rates are bits per second
on the wire.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from app.media.allocation import SOUND_BPS
from app.media.delay_trend import DelayTrend, PathUse
from app.media.sent_packets import PacketResult

LEAST_BPS = 20_000
START_BPS = 300_000
DECREASE = 0.85  # of what arrives, when a queue grows
SLOW_DECREASE = 0.8  # of the estimate, where less was sent than it allows
BUSY_SHARE = 0.8  # of the estimate: who sends less learns little
SHORT_QUEUE_DECREASE = 0.95  # where something is lost and a queue stands: it may be full, however short
LEAST_QUEUE_S = 0.015  # below this nothing is done about a queue that grows
KEEPS_UP = 0.9  # arriving at less than this of the rate of sending: the path is full, however little it is
GROWTH = 1.08  # per second, far from what the path was last seen to carry
AHEAD = 1.5  # the estimate goes no further above what arrives
RESPONSE_S = 0.1  # of the far end, beyond the round trip
RATE_WINDOW_S = 0.5
SHORT_WINDOW_S = 0.15
BASE_WINDOW_S = 10.0  # of the smallest delay; a queue is what is above it
STANDING_S = 0.08  # a queue that stays longer than this is worked off although it does not grow
STANDS_S = 0.3
FIRST_QUEUE_S = 0.1  # the first one, where so much less arrives than was sent: the path is narrower than thought …
FIRST_SHARE = 0.75  # … whether or not the trend has seen enough packets yet
HIGH_LOSS = 0.10
LOW_LOSS = 0.02
LOSS_PACKETS = 20  # that a loss is judged by, at least …
LOSS_S = 0.4  # … and over at least so long
FORGET = 0.2  # of a loss that is borne, each time there is less: few packets say little
SAME_LOSS = 0.75  # of the loss before it was answered: it is not of our making


class AckedRate:
    """What arrives at the peer, in bits per second by the peer's clock, and how fast the same packets were sent."""

    def __init__(self) -> None:
        self._arrivals: deque[tuple[float, float, int]] = deque()  # arrived, sent, bytes
        self._bytes = 0  # of all of them

    def add(self, arrived_at: float, sent_at: float, size: int) -> None:
        self._arrivals.append((arrived_at, sent_at, size))
        self._bytes += size
        while self._arrivals[0][0] < arrived_at - RATE_WINDOW_S:
            self._bytes -= self._arrivals.popleft()[2]

    def bps(self, window_s: float = RATE_WINDOW_S) -> tuple[float, float] | None:
        """Give the rates of arriving and of sending of the last so many seconds; None while too little has come."""
        if len(self._arrivals) < 3:
            return None
        first, (end, last_sent_at, _) = self._arrivals[0], self._arrivals[-1]
        count, size = len(self._arrivals), self._bytes
        if window_s < RATE_WINDOW_S:
            recent = [packet for packet in self._arrivals if packet[0] > end - window_s]
            first, count, size = recent[0], len(recent), sum(packet[2] for packet in recent)
        took_s, sent_s = end - first[0], last_sent_at - first[1]
        if count < 3 or took_s < 0.02:
            return None
        # The first packet of the span took its time on the wire before the span began.
        bits = (size - first[2]) * 8
        return bits / took_s, bits / max(sent_s, 0.001)


class LossPart:
    """Lowers the rate for loss that the rate itself makes; loss that stays when less is sent is borne."""

    def __init__(self) -> None:
        self._lost = 0
        self._total = 0
        self._since: float | None = None
        self._answered: float | None = None  # the loss that the last decreases answered
        self._lowered = 1.0  # by how much they lowered the rate
        self.borne = 0.0
        self.loss = 0.0

    def add(self, results: Sequence[PacketResult], now: float) -> float | None:
        """Take a feedback; gives the factor for the rate when enough has come to judge, 1.0 for "hold", else None."""
        self._since = now if self._since is None else self._since
        self._total += len(results)
        self._lost += sum(1 for result in results if result.arrived_at is None)
        if self._total < LOSS_PACKETS or now - self._since < LOSS_S:
            return None
        loss = self.loss = self._lost / self._total
        self._lost = self._total = 0
        self._since = now
        if loss < self.borne * SAME_LOSS:
            self.borne += FORGET * (loss - self.borne)
        if loss <= max(HIGH_LOSS, self.borne * 1.3 + 0.03):
            if loss < LOW_LOSS:
                self._answered, self._lowered = None, 1.0
            return 1.0
        if self._answered is None:
            self._answered, self._lowered = loss, 1.0
        elif self._lowered < 0.7:
            if loss > self._answered * SAME_LOSS:
                self.borne = loss
                self._answered, self._lowered = None, 1.0
                return 1.0
            self._answered, self._lowered = loss, 1.0
        factor = 1 - loss / 2
        self._lowered *= factor
        return factor


class SendEstimator:
    """The estimate of one transport. `ceiling_bps` keeps it from growing to what nobody wants."""

    def __init__(self, start_bps: float = START_BPS) -> None:
        self.ceiling_bps = 5_000_000.0
        self.trend = DelayTrend()
        self.acked = AckedRate()
        self.loss = LossPart()
        self.rtt_s: float | None = None
        self.queue_s = 0.0
        self.newest_queue_s = 0.0  # of the packet that was sent last of those that have arrived
        self.acked_bps: float | None = None  # over the last half second
        self._rate = float(start_bps)
        self._rtts: deque[tuple[float, float]] = deque()
        self._delays: deque[tuple[float, float]] = deque()
        self._stands_since: float | None = None
        self._decreased_at: float | None = None
        self._moved_at: float | None = None
        self._capacity: float | None = None  # mean of what arrived when a queue grew
        self._deviation = 0.0
        self.overused_at: float | None = None  # when a queue was last seen to grow or stand

    @property
    def rate_bps(self) -> float:
        return self._rate

    @property
    def base_rtt_s(self) -> float:
        """The smallest round trip of the last seconds, with the wait for feedback; 0.1 s before one is known."""
        return self._rtts[0][1] if self._rtts else 0.1

    def feedback(
        self,
        results: Sequence[PacketResult],
        now: float,
        *,
        app_limited: bool,
        unproven_bps: float = 0.0,
    ) -> None:
        """Take what one feedback says. `app_limited`: clearly less was sent lately than the estimate allows.

        It grows no further then than `unproven_bps`.
        """
        arrived = [result for result in results if result.arrived_at is not None]
        use = self.trend.use
        for result in sorted(arrived, key=lambda result: result.arrived_at or 0.0):
            at = result.arrived_at or 0.0
            self.acked.add(at, result.sent_at, result.size)
            self._note_delay(at - result.sent_at, now)
            use = self.trend.add(result.sent_at, at)
        rates = self.acked.bps()
        self.acked_bps = rates[0] if rates is not None else None
        if arrived:
            newest = max(arrived, key=lambda result: result.sent_at)
            delay = (newest.arrived_at or 0.0) - newest.sent_at
            self._note_rtt(now - newest.sent_at, delay, now)
            self.newest_queue_s = delay - self._delays[0][1]
        factor = self.loss.add(results, now)
        if factor == 1 and self.loss.loss > LOW_LOSS and self.queue_s > LEAST_QUEUE_S:
            factor = SHORT_QUEUE_DECREASE
        if self._stands(now) or self._is_far_too_high():
            use = PathUse.OVER
        elif use is PathUse.OVER and self.queue_s < LEAST_QUEUE_S:
            use = PathUse.NORMAL  # a hiccup of a processor or a radio
        if use is PathUse.OVER:
            self.overused_at = now
            self._decrease(now)
        elif use is PathUse.NORMAL and (factor is None or factor >= 1) and self.loss.loss <= self._bearable:
            self._increase(now, unproven_bps if app_limited else None)
        if factor is not None and factor < 1:
            least = SOUND_BPS if self.queue_s < LEAST_QUEUE_S else LEAST_BPS
            self._set(max(self._rate * factor, min(self._rate, least)))
            self.overused_at = now
        self._moved_at = now

    def probed(self, bps: float) -> None:
        """Take what a probe found; only a better path is believed."""
        if self.trend.use is not PathUse.OVER:
            self._set(max(self._rate, bps))
            if self._capacity is not None and bps > self._capacity + 3 * self._deviation:
                self._capacity = None

    def silent(self, now: float) -> None:
        """No feedback came for long although packets were sent: halve, at most once a second."""
        if self._decreased_at is None or now - self._decreased_at > 1.0:
            self._decreased_at = self.overused_at = now
            self._set(self._rate * 0.5)

    @property
    def _bearable(self) -> float:
        return max(LOW_LOSS, self.loss.borne * 1.3 + 0.03 if self.loss.borne else 0.0)

    def _set(self, bps: float) -> None:
        self._rate = max(LEAST_BPS, min(bps, max(self.ceiling_bps, LEAST_BPS)))

    def _decrease(self, now: float) -> None:
        pause = min(1.0, self.base_rtt_s + RESPONSE_S)
        if self._decreased_at is not None and now - self._decreased_at < pause:
            return
        rates = self.acked.bps(SHORT_WINDOW_S) or self.acked.bps()
        if rates is None:
            return
        carried, sent = rates
        target = carried * DECREASE
        if carried > sent * KEEPS_UP and sent < self._rate * BUSY_SHARE:
            target = max(target, self._rate * SLOW_DECREASE)  # little was sent, and all of it came: that says little
        else:
            self._learn(carried)
        if target < self._rate:
            self._set(target)
        self._decreased_at = now

    def _learn(self, carried: float) -> None:
        """Remember what the path carried when it was full; far from that, growth is fast again."""
        if self._capacity is None or abs(carried - self._capacity) > max(3 * self._deviation, 0.3 * self._capacity):
            self._capacity, self._deviation = carried, carried * 0.1
            return
        off = carried - self._capacity
        self._capacity += 0.1 * off
        self._deviation += 0.1 * (abs(off) - self._deviation)

    def _increase(self, now: float, unproven_bps: float | None) -> None:
        """Grow up to a little above what arrives, or, when that tells nothing, to `unproven_bps`."""
        if self._moved_at is None:
            return
        step_s = min(1.0, now - self._moved_at)
        acked = self.acked_bps
        most = (acked if acked is not None else self._rate) * AHEAD + 10_000
        if unproven_bps is not None:
            most = unproven_bps
        if self._rate >= most:
            return
        capacity = self._capacity
        if capacity is not None and self._rate > capacity + 3 * self._deviation + 20_000:
            capacity = self._capacity = None
        if capacity is not None and self._rate > capacity - 3 * self._deviation - 20_000:
            grown = self._rate + max(8_000, 9_600 / (self.base_rtt_s + RESPONSE_S)) * step_s
        else:
            grown = self._rate * GROWTH**step_s + 1_000 * step_s
        self._set(min(grown, most))

    # The queue ----------------------------------------------------------------------------------------------

    def _note_delay(self, delay: float, now: float) -> None:
        base = _keep_least(self._delays, now, delay, BASE_WINDOW_S)
        self.queue_s += 0.3 * (delay - base - self.queue_s)

    def _note_rtt(self, rtt: float, delay: float, now: float) -> None:
        if rtt >= 0:
            # A queue that was there from the first packets on is no part of the path.
            queued = max(0.0, delay - self._delays[0][1]) if self._delays else 0.0
            _keep_least(self._rtts, now, max(0.0, rtt - queued), BASE_WINDOW_S)
            self.rtt_s = rtt if self.rtt_s is None else self.rtt_s + 0.2 * (rtt - self.rtt_s)

    def _is_far_too_high(self) -> bool:
        """Whether far more is sent than the path carries, be it since it has become narrow or since it always was."""
        if self.newest_queue_s < FIRST_QUEUE_S:
            return False
        rates = self.acked.bps(SHORT_WINDOW_S)
        return rates is not None and rates[0] < FIRST_SHARE * min(self._rate, rates[1])

    def _stands(self, now: float) -> bool:
        """Whether a queue has stood for a while: it is worked off although it does not grow."""
        if self.queue_s < STANDING_S:
            self._stands_since = None
            return False
        self._stands_since = now if self._stands_since is None else self._stands_since
        return now - self._stands_since > STANDS_S


def _keep_least(values: deque[tuple[float, float]], now: float, value: float, window_s: float) -> float:
    """Add to a window of ascending values and give its least."""
    while values and values[-1][1] >= value:
        values.pop()
    values.append((now, value))
    while values[0][0] < now - window_s:
        values.popleft()
    return values[0][1]
