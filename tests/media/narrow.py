"""Calls over a simulated wire on a virtual clock: the sending side with sound and a picture that obey, a wire with a
rate, a queue, loss and other traffic, and a far end that gives transport-wide feedback."""

from __future__ import annotations

import heapq
import itertools
import random
from collections.abc import Callable
from dataclasses import dataclass, field

from app.media.allocation import BitrateWish
from app.media.header_extensions import ExtensionBlock, ExtensionIds
from app.media.pacer import Outgoing, Urgency
from app.media.receive_side import Feedback, Lateness
from app.media.send_side import WIRE_BYTES, SendSide
from app.media.sending import RtpSender, RtxSender
from app.media.twcc import read_feedback

IDS = ExtensionIds(1, 2)
FAR_CLOCK_S = 77.0  # the far end's clock is ahead by this


class Clock:
    """Runs what is due in order."""

    def __init__(self) -> None:
        self.now = 0.0
        self._due: list[tuple[float, int, Callable[[], None]]] = []
        self._count = itertools.count()

    def at(self, when: float, what: Callable[[], None]) -> None:
        heapq.heappush(self._due, (max(when, self.now), next(self._count), what))

    def every(self, step: float, what: Callable[[], None], first: float = 0.0) -> None:
        def again() -> None:
            what()
            self.at(self.now + step, again)

        self.at(self.now + first, again)

    def run(self, until: float) -> None:
        while self._due and self._due[0][0] <= until:
            self.now, _, what = heapq.heappop(self._due)
            what()
        self.now = until


class Wire:
    """One direction: `rate_bps` may be changed under way; what would wait longer than `queue_s` is lost."""

    def __init__(
        self,
        clock: Clock,
        rate_bps: float,
        *,
        delay_s: float = 0.02,
        queue_s: float = 2.0,
        queue_bytes: int | None = None,
        loss: float = 0.0,
        burst: int = 1,
        jitter_s: float = 0.0,
        seed: int = 1,
    ) -> None:
        self.clock, self._rate_bps, self.delay_s, self.queue_s = clock, rate_bps, delay_s, queue_s
        self.queue_bytes, self.jitter_s = queue_bytes, jitter_s
        # Of packets outside of a burst, so that `loss` of all are lost, `burst` in a row.
        self._burst, self._loss_begins = burst, loss / (burst * (1 - loss) + loss)
        self._still_lost = 0
        self._dice = random.Random(seed)
        self._backlog_bits = 0.0
        self._seen = 0.0
        self._last_due = 0.0
        self.lost = 0
        self.waits: list[tuple[float, float]] = []

    @property
    def rate_bps(self) -> float:
        return self._rate_bps

    @rate_bps.setter
    def rate_bps(self, rate_bps: float) -> None:
        self.wait_s()  # until now what stood in the queue left at the rate of before
        self._rate_bps = rate_bps

    def wait_s(self) -> float:
        """How long a packet that comes now stands in the queue."""
        passed, self._seen = self.clock.now - self._seen, self.clock.now
        self._backlog_bits = max(0.0, self._backlog_bits - passed * self.rate_bps)
        return self._backlog_bits / self.rate_bps

    def carry(self, size: int, arrive: Callable[[], None]) -> None:
        wait = self.wait_s()
        self.waits.append((self.clock.now, wait))
        is_full = self.queue_bytes is not None and self._backlog_bits / 8 + size > self.queue_bytes
        if not self._still_lost and self._dice.random() < self._loss_begins:
            self._still_lost = self._burst
        is_lost, self._still_lost = self._still_lost > 0, max(0, self._still_lost - 1)
        if wait > self.queue_s or is_full or is_lost:
            self.lost += 1
            return
        self._backlog_bits += size * 8
        due = self.clock.now + self._backlog_bits / self.rate_bps + self.delay_s
        due += abs(self._dice.gauss(0, self.jitter_s)) if self.jitter_s else 0.0
        self._last_due = max(due, self._last_due)
        self.clock.at(self._last_due, arrive)

    def longest_wait(self, since: float, until: float) -> float:
        return max((wait for at, wait in self.waits if since <= at < until), default=0.0)


@dataclass
class Source:
    """A stream that sends what it is told; a picture is a frame at a time, sound a packet every 20 ms."""

    call: Call
    is_sound: bool
    least: int
    most: int
    fps: int = 30
    with_rtx: bool = True
    bps: int = 0
    told: list[tuple[float, int]] = field(default_factory=list)
    key_frames: int = 0
    skipped: int = 0
    backlog_s: float = 0.0
    held_by_peer: bool = False
    sender: RtpSender = field(init=False)

    def __post_init__(self) -> None:
        self.sender = RtpSender(90_000, extensions=ExtensionBlock(IDS, "0" if self.is_sound else "1"))
        self._rtx = RtxSender()
        self._key = True

    def wish(self) -> BitrateWish:
        return BitrateWish(self.least, self.most)

    def allot(self, bps: int, now: float) -> None:
        self._key = self._key or (self.bps == 0 and bps > 0)
        self.bps = bps
        self.told.append((now, bps))

    def pictures_dropped(self) -> None:
        self._key = True

    def set_backlog(self, waits_s: float) -> None:
        self.backlog_s = waits_s

    @property
    def can_pad(self) -> bool:
        return self.with_rtx and not self.is_sound

    def pad(self, size: int) -> list[Outgoing]:
        if not self.can_pad:
            return []
        block = self.sender.extensions.plain
        sizes = [255] * (size // 255) or [max(1, size)]
        return [
            Outgoing(
                self._rtx.padding(97, each, int(self.call.clock.now * 90_000), block),
                self.sender,
                Urgency.PADDING,
                self._left,
                is_new=False,
            )
            for each in sizes
        ]

    def _left(self, size: int, now: float) -> None:
        pass

    def work(self) -> None:
        """Send the next frame."""
        if not self.bps:
            return
        if not self.is_sound and self.backlog_s > 0.1:
            self.skipped += 1
            return
        rate = 50 if self.is_sound else self.fps
        size = self.bps / 8 / rate
        if not self.is_sound:
            size *= self.call.dice.uniform(0.7, 1.3)
            if self._key:
                size, self._key = size * 5, False
                self.key_frames += 1
        packets = max(1, -(-int(size) // 1_150))
        payload = max(10, int(size / packets) - WIRE_BYTES - 24)
        urgency = Urgency.SOUND if self.is_sound else Urgency.PICTURE
        built = [
            self.sender.packet(
                96, index == packets - 1, int(self.call.clock.now * 90_000), bytes(payload), self.call.clock.now
            )
            for index in range(packets)
        ]
        self.call.side.put([Outgoing(data, self.sender, urgency, self._left) for data in built], self.call.clock.now)


class Call:
    """One direction of a call over `wire`; feedback comes back over `back`."""

    def __init__(
        self,
        clock: Clock,
        wire: Wire,
        back: Wire,
        *,
        picture_bps: int = 1_700_000,
        begin: float = 0.0,
        seed: int = 1,
        with_rtx: bool = True,
        with_picture: bool = True,
        sound_bps: int = 64_000,
    ) -> None:
        self.clock, self.wire, self.back = clock, wire, back
        self.dice = random.Random(seed)
        self.side = SendSide(self._send)
        self.sound = Source(self, True, 24_000, sound_bps)
        self.picture = Source(self, False, 90_000, picture_bps, with_rtx=with_rtx)
        self.sound_delays: list[tuple[float, float]] = []
        self.sound_sent = 0
        self.received: list[tuple[float, int, bool]] = []
        self.estimates: list[tuple[float, float]] = []
        self.feedback_works = True
        self.told = 0  # feedbacks
        self._feedback = Feedback()
        self._lateness = Lateness()
        self._tells_at: float | None = None
        self._wake: float | None = None
        streams = {"0": self.sound, "1": self.picture} if with_picture else {"0": self.sound}
        self.side.set_streams(streams, transport_cc=True)
        clock.at(begin, self._begin)

    def _begin(self) -> None:
        self.side.share(self.clock.now)
        self.clock.every(0.02, self.sound.work)
        self.clock.every(1 / self.picture.fps, self.picture.work, first=0.003)
        self.clock.every(0.02, self._tick, first=0.007)

    def _tick(self) -> None:
        self.side.tick(self.clock.now)
        self.estimates.append((self.clock.now, self.side.estimate_bps))
        self._arm()

    def _arm(self) -> None:
        due = self.side.next_at(self.clock.now)
        if due is not None and (self._wake is None or due < self._wake):
            self._wake = max(due, self.clock.now + 0.001)
            self.clock.at(self._wake, self._flush)

    def _flush(self) -> None:
        self._wake = None
        self.side.flush(self.clock.now)
        self._arm()

    def _send(self, data: bytes) -> bool:
        is_sound = data[8:12] == self.sound.sender.ssrc.to_bytes(4)
        sent, size, slot = self.clock.now, len(data) + WIRE_BYTES, self.sound.sender.extensions.slot
        assert slot is not None
        number = int.from_bytes(data[slot : slot + 2])
        self.sound_sent += is_sound

        def arrive() -> None:
            now = self.clock.now
            ssrc, timestamp = int.from_bytes(data[8:12]), int.from_bytes(data[4:8])
            clock_rate = self.sound.sender.clock_rate if is_sound else 90_000
            is_late = self._lateness.arrived(ssrc, timestamp, clock_rate, now + FAR_CLOCK_S)
            picture = None if is_sound else timestamp
            self._feedback.arrived(number, ssrc, size - WIRE_BYTES, now + FAR_CLOCK_S, is_late=is_late, picture=picture)
            due = self._feedback.due_at(now + FAR_CLOCK_S)
            if due is not None and (self._tells_at is None or due < self._tells_at):
                self._tells_at = max(due, now + FAR_CLOCK_S)
                self.clock.at(self._tells_at - FAR_CLOCK_S, self._tell)
            self.received.append((now, size, is_sound))
            if is_sound:
                self.sound_delays.append((now, now - sent))
            self.carried(data, is_sound, now)

        self.wire.carry(size, arrive)
        return True

    def carried(self, data: bytes, is_sound: bool, now: float) -> None:
        """A packet has arrived."""

    def _tell(self) -> None:
        if self._tells_at is None or self.clock.now + FAR_CLOCK_S < self._tells_at - 1e-9:
            return  # it was told sooner
        self._tells_at = None
        for feedback in self._feedback.take(1, self.clock.now + FAR_CLOCK_S):
            data = bytes(feedback)
            self.told += 1
            if self.feedback_works:
                self.back.carry(len(data) + 80, lambda data=data: self._hear(data))

    def _hear(self, data: bytes) -> None:
        self.side.feedback(read_feedback(data[4:]), self.clock.now)
        self._arm()

    # Figures ------------------------------------------------------------------------------------------------

    def rate(self, since: float, until: float, *, pictures: bool | None = None) -> float:
        """Bits per second that arrived."""
        total = 0
        for at, size, is_sound in reversed(self.received):
            if at < since:
                break
            if at < until and (pictures is None or pictures is not is_sound):
                total += size
        return total * 8 / max(0.001, until - since)

    def estimate(self, at: float) -> float:
        return max((value for value in self.estimates if value[0] <= at), default=(0.0, 0.0))[1]

    def worst_sound(self, since: float, until: float) -> float:
        return max((delay for at, delay in self.sound_delays if since <= at < until), default=0.0)


def pair(rate_bps: float, **wire: float) -> tuple[Clock, Wire, Wire]:
    """A clock, the wire there and the wire back."""
    clock = Clock()
    return clock, Wire(clock, rate_bps, **wire), Wire(clock, rate_bps, seed=2)  # type: ignore[arg-type]
