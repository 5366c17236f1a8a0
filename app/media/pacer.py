"""Spreads packets over time, so that no picture overruns the small queue of a router; sound never waits.

Pure: `put` and `take` are handed the time. Order: sound at once, then packets that were asked for again, then
pictures; padding only as part of a probe (probing.py). One pacer serves all streams of a transport.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import IntEnum

from app.media.sending import RtpSender

BATCH_S = 0.005  # packets leave in steps of this, so that a timer costs little
EASY_BATCH_S = 0.008  # where the path carries far more: fewer steps, each of which wakes both ends up; more of a
# picture at once would stand in the queue of a wire that is squeezed at that moment
EASY_EARLY_S = 0.001
MOST_WAIT_S = 0.4  # a picture that waited longer is of no use any more
MOST_QUEUED = 2_000
SPREAD_S = 0.04  # what waits leaves within this, if the rate allows; no faster than usual where that is enough


class Urgency(IntEnum):
    """What leaves first."""

    SOUND = 0
    REPEAT = 1
    PICTURE = 2
    PADDING = 3


@dataclass(slots=True, eq=False)
class Outgoing:
    """A packet on its way out, not protected yet. `on_left` is told its size and when it left."""

    data: bytes
    sender: RtpSender
    urgency: Urgency
    on_left: Callable[[int, float], None]
    is_new: bool = True  # False: a repetition
    is_verbatim: bool = False  # repeated without RTX: not one byte may be changed
    queued_at: float = 0.0
    probe: int | None = None


@dataclass(slots=True)
class Cluster:
    """A short burst at a rate of its own that shows what a path carries; so much of it is still to be sent at least."""

    number: int
    rate_bps: float
    bytes_left: int
    packet_bytes: int = 250  # of a packet of padding, about
    packets_left: int = 0
    has_begun: bool = False

    @property
    def is_over(self) -> bool:
        return self.bytes_left <= 0 and self.packets_left <= 0


class Pacer:
    """The queue of one transport."""

    def __init__(self, rate_bps: float) -> None:
        self.rate_bps = rate_bps
        self.usual_bps = rate_bps  # at which pictures of the usual size leave
        self._sound: deque[Outgoing] = deque()
        self._repeats: deque[Outgoing] = deque()
        self._pictures: deque[Outgoing] = deque()
        self.batch_s = BATCH_S  # what may leave at once lasts so long at the rate
        self._free_at = 0.0  # when what was sent last has left at the rate
        self.cluster: Cluster | None = None
        self._queued_bytes = 0

    def put(self, packets: Iterable[Outgoing], now: float) -> None:
        """Queue packets; beyond 2000 the oldest repetitions and pictures go."""
        for packet in packets:
            packet.queued_at = now
            if packet.urgency is Urgency.SOUND:
                self._sound.append(packet)
                continue
            queue = self._repeats if packet.urgency is Urgency.REPEAT else self._pictures
            if len(queue) >= MOST_QUEUED:
                self._queued_bytes -= len(queue.popleft().data)
            queue.append(packet)
            self._queued_bytes += len(packet.data)

    @property
    def queued_bytes(self) -> int:
        """What waits, without sound."""
        return self._queued_bytes

    def waits_s(self, now: float) -> float:
        """How long the oldest picture has waited."""
        return max(0.0, now - self._pictures[0].queued_at) if self._pictures else 0.0

    def backlog_s(self) -> float:
        """How long what waits takes to leave at the present rate."""
        return self._queued_bytes * 8 / max(1.0, self.rate_bps)

    def drop_old(self, now: float) -> set[RtpSender]:
        """Throw away pictures that waited too long, whole queues of them; gives whose. Their next must be a key frame.

        Repetitions of the same age go too.
        """
        while self._repeats and now - self._repeats[0].queued_at > MOST_WAIT_S:
            self._queued_bytes -= len(self._repeats.popleft().data)
        if not self._pictures or now - self._pictures[0].queued_at <= MOST_WAIT_S:
            return set()
        return self.drop_pictures()

    def drop_pictures(self) -> set[RtpSender]:
        """Throw away every picture that waits; gives whose."""
        owners = {packet.sender for packet in self._pictures}
        self._queued_bytes -= sum(len(packet.data) for packet in self._pictures)
        self._pictures.clear()
        return owners

    def next_at(self, now: float) -> float | None:
        """When `take` will have something next; None when nothing waits."""
        if self._sound:
            return now
        if self._repeats or self._pictures or self.cluster is not None:
            return max(now, self._free_at - (BATCH_S if self.batch_s == BATCH_S else EASY_EARLY_S))
        return None

    def take(
        self, now: float, room_bytes: float, pad: Callable[[int], list[Outgoing]], step_s: float = 0.0
    ) -> list[Outgoing]:
        """Give what leaves now. `room_bytes` is what may still be under way; sound does not ask for room.

        `step_s`: when the next time may be, where that is later than a batch lasts.

        `pad` makes up to so many bytes of padding for a probe that pictures do not fill; none where there is none.
        """
        taken: list[Outgoing] = []
        while self._sound:
            packet = self._sound.popleft()
            self._spend(packet, now, self.rate_bps)
            taken.append(packet)
        if self.cluster is not None:
            self._take_cluster(self.cluster, taken, now, pad)
        until = now + max(self.batch_s, step_s)
        while (self._repeats or self._pictures) and self._free_at <= until and room_bytes > 0:
            queue = self._repeats or self._pictures
            rate_bps = min(self.rate_bps, max(self.usual_bps, self._queued_bytes * 8 / SPREAD_S))
            packet = queue.popleft()
            size = len(packet.data)
            self._queued_bytes -= size
            room_bytes -= size
            self._spend(packet, now, rate_bps)
            taken.append(packet)
        return taken

    def _spend(self, packet: Outgoing, now: float, rate_bps: float) -> None:
        self._free_at = max(self._free_at, now) + len(packet.data) * 8 / rate_bps

    def _take_cluster(
        self, cluster: Cluster, taken: list[Outgoing], now: float, pad: Callable[[int], list[Outgoing]]
    ) -> None:
        """Send the part of a probe that is due: pictures that wait, else padding."""
        if not cluster.has_begun:
            cluster.has_begun = True
            self._free_at = now
        while not cluster.is_over and self._free_at <= now + BATCH_S:
            queue = self._repeats or self._pictures
            if queue:
                packets = [queue.popleft()]
                self._queued_bytes -= len(packets[0].data)
            else:
                packets = pad(cluster.packet_bytes)
                if not packets:
                    cluster.bytes_left = cluster.packets_left = 0  # nothing to probe with
                    break
            for packet in packets:
                packet.probe = cluster.number
                cluster.bytes_left -= len(packet.data)
                cluster.packets_left -= 1
                self._spend(packet, now, cluster.rate_bps)
                taken.append(packet)
        if cluster.is_over:
            self.cluster = None
