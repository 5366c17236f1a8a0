"""When to send a short burst faster than the estimate, and what it showed.

A probe is a cluster of packets at a chosen rate, of pictures that wait or of padding. If they arrive as fast as they
were sent, the path carries at least that. Pure.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from app.media.pacer import Cluster
from app.media.sent_packets import PacketResult

FIRST_FACTORS = (3.0, 6.0)
CLUSTER_S = 0.030
CLUSTER_PACKETS = 5
LEAST_PACKETS, LEAST_ARRIVED = 4, 3  # that a probe is judged by
LEAST_PACKET_BYTES = 200
MOST_PACKET_BYTES = 1_200
GOOD_SHARE = 0.7  # of the probe's rate: then an even faster one follows
SATURATED = 0.9  # arriving so much slower than sent: that is what the path carries
RECEIVED_SHARE = 0.8
LEAST_RECEIVED_SHARE = 0.5  # where packets are lost anyway
WAIT_S = 0.5  # for a cluster's feedback
INTERVAL_S = 5.0
EAGER_INTERVAL_S = 2.0  # soon after the beginning or a fall
EAGER_S = 20.0
MOST_INTERVAL_S = 10.0


@dataclass(slots=True)
class _Open:
    rate_bps: float
    asked_at: float
    sent: list[tuple[float, int]] = field(default_factory=list)
    arrived: list[tuple[float, int]] = field(default_factory=list)
    total: int = 0


class Prober:
    """Plans clusters one after another and reads their results."""

    def __init__(self) -> None:
        self._open: _Open | None = None
        self._number = 0
        self._plan: list[float] = []  # rates to probe next
        self._next_at: float | None = None
        self._interval_s = INTERVAL_S
        self._began = False
        self._fell_at: float | None = None
        self._estimate_before = 0.0

    def begin(self, estimate_bps: float) -> None:
        """The first media leaves: find out within a second how fast the path is."""
        if not self._began:
            self._began = True
            self._plan = [estimate_bps * factor for factor in FIRST_FACTORS]

    def fell(self, now: float) -> None:
        """The estimate fell far: look again soon, the trouble may be short."""
        self._plan.clear()
        if self._fell_at is None or now - self._fell_at > EAGER_S:
            self._fell_at = now
            self._interval_s = EAGER_INTERVAL_S
        self._next_at = now + self._interval_s

    def next_cluster(self, now: float, estimate_bps: float, wanted_bps: float, *, is_calm: bool) -> Cluster | None:
        """Give a cluster to send now, or None. `wanted_bps` is the most that anybody can use.

        `is_calm`: no queue stands or grows, and nothing was lost.
        """
        if not self._began or (self._open is not None and now - self._open.asked_at < WAIT_S):
            return None
        self._open = None
        if self._next_at is None:
            self._fell_at, self._interval_s = now, EAGER_INTERVAL_S  # the beginning is as unsure as a fall
            self._next_at = now + self._interval_s
        if not is_calm or estimate_bps >= wanted_bps:
            self._plan.clear()
            return None
        if not self._plan and now >= self._next_at:
            self._plan = [estimate_bps * 2]
            self._next_at = now + self._interval_s
        rate = min(self._plan.pop(0), wanted_bps * 1.1) if self._plan else 0.0
        if rate < estimate_bps * 1.1:
            return None
        self._number += 1
        self._estimate_before = estimate_bps
        self._open = _Open(rate, now)
        size = max(CLUSTER_PACKETS * LEAST_PACKET_BYTES, int(rate * CLUSTER_S / 8))
        packet_bytes = min(MOST_PACKET_BYTES, size // CLUSTER_PACKETS)
        return Cluster(self._number, rate, size, packet_bytes, packets_left=CLUSTER_PACKETS)

    def sent(self, number: int, size: int) -> None:
        """Note a packet of a cluster that leaves, with its size on the wire."""
        if self._open is not None and number == self._number:
            self._open.total += size

    def results(self, results: list[PacketResult], now: float, *, is_sent: bool, loss: float = 0.0) -> float | None:
        """Take feedback; gives what the cluster showed once all of it was spoken of, in bits per second.

        `is_sent`: nothing of the cluster is still to be sent. `loss` of 0 to 1 is there without it too.
        """
        probe = self._open
        if probe is None:
            return None
        for result in results:
            if result.probe != self._number:
                continue
            probe.sent.append((result.sent_at, result.size))
            if result.arrived_at is not None:
                probe.arrived.append((result.arrived_at, result.size))
        told = sum(size for _, size in probe.sent)
        if not is_sent or not probe.sent or told < probe.total:
            return None
        if len(probe.sent) < LEAST_PACKETS:
            self._open = None  # there was too little to send
            return None
        return self._judge(probe, loss, now)

    def _judge(self, probe: _Open, loss: float, now: float) -> float | None:
        self._open = None
        came = sum(size for _, size in probe.arrived)
        expected = max(LEAST_RECEIVED_SHARE, RECEIVED_SHARE - 2 * loss)
        if came < probe.total * expected or len(probe.arrived) < LEAST_ARRIVED:
            self._failed(now)
            return None
        sent_bps, received_bps = _rate(probe.sent, ends=True), _rate(probe.arrived, ends=False)
        if sent_bps is None or received_bps is None:
            return None
        found = min(sent_bps, received_bps)
        is_full = received_bps < SATURATED * min(sent_bps, probe.rate_bps)
        if is_full:
            found = received_bps * 0.95
            self._plan.clear()
        if found > probe.rate_bps * GOOD_SHARE:
            self._interval_s = self._usual_interval(now)
            if not self._plan and not is_full:
                self._plan = [found * 2]
        else:
            self._plan.clear()
            if found < self._estimate_before * 1.1:
                self._failed(now)
        return found

    def _failed(self, now: float) -> None:
        self._plan.clear()
        self._interval_s = min(MOST_INTERVAL_S, max(self._usual_interval(now), self._interval_s * 1.5))
        self._next_at = now + self._interval_s

    def _usual_interval(self, now: float) -> float:
        return EAGER_INTERVAL_S if self._fell_at is not None and now - self._fell_at < EAGER_S else INTERVAL_S


def _rate(packets: list[tuple[float, int]], *, ends: bool) -> float | None:
    """Bits per second of a row of packets: between sendings the last, between arrivals the first does not count."""
    packets = sorted(packets)
    span = packets[-1][0] - packets[0][0]
    if span <= 0.000_5:
        return None
    counted = packets[:-1] if ends else packets[1:]
    return sum(size for _, size in counted) * 8 / span
