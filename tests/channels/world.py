"""A talker and a listener at two sites that are all made up, on a virtual clock, with the pure parts of a channel.

The talker's machine stands still now and then, or loses sound before it is numbered; its clock wanders. The rallypoint
dies and comes back, at another moment for each of them; what is said goes by it, by multicast, or by both, each with a
delay of its own. What the listener's machine plays is told by the decoder, which knows the number of every packet.
"""

from __future__ import annotations

import heapq
import itertools
import random
import struct
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from app.channels.bursts import BurstPackets
from app.channels.failover import Failover, FailoverState, Way
from app.channels.heard_bursts import HeardBursts
from app.channels.packet import BurstHeader, ChannelPacket
from app.channels.receiving import Receiving
from app.channels.send_queue import SendQueue
from app.channels.talkers import BurstBegan, BurstEnded, Talkers
from app.media.codecs import OPUS
from app.media.jitter import Playout
from app.media.speech import Sound

PACKET_S = 0.02
SAMPLES = 960
FAILOVER_S = 1.0


@dataclass(frozen=True, slots=True)
class Span:
    """From one moment to another."""

    begins_s: float
    ends_s: float

    def has(self, at_s: float) -> bool:
        return self.begins_s <= at_s < self.ends_s


@dataclass(frozen=True)
class Plan:
    """What happens in one world; seconds.

    `stalls` of the talker's machine, which then says all at once; `left_out`: when its sound card loses how much.
    `outages` of the rallypoint as the talker and as the listener see it. `deaf`: the listener's machine stands still.
    """

    lasts_s: float = 30.0
    rallypoint_s: float = 0.02
    multicast_s: float = 0.001
    jitter_s: float = 0.004
    clock: float = 1.0
    return_s: float = 5.0
    stalls: tuple[Span, ...] = ()
    left_out: tuple[tuple[float, float], ...] = ()
    talker_outages: tuple[Span, ...] = ()
    listener_outages: tuple[Span, ...] = ()
    deaf: tuple[Span, ...] = ()
    seed: int = 0


@dataclass
class Outcome:
    """What came of it. `arrived`: when each packet came first, by its number; `played`: (when, which) packets."""

    arrived: dict[int, float] = field(default_factory=dict)
    played: list[tuple[float, int]] = field(default_factory=list)
    concealed_s: float = 0.0
    sent: int = 0
    bursts: int = 0

    @property
    def unplayed(self) -> list[int]:
        """What came and was not played."""
        played = {number for _, number in self.played}
        return [number for number in sorted(self.arrived) if number not in played]

    def longest_wait_s(self) -> float:
        """The longest time without a packet that was new."""
        return _longest(sorted(self.arrived.values()))

    def longest_silence_s(self) -> float:
        """The longest time in which nothing that was said is played."""
        return _longest([at for at, _ in self.played])

    def waits_s(self, least_s: float = 0.06) -> float:
        """How long in all nothing new came, where it was longer than packets are apart."""
        times = sorted(self.arrived.values())
        return sum(later - sooner for sooner, later in itertools.pairwise(times) if later - sooner > least_s)


def _longest(times: list[float]) -> float:
    return max((later - sooner for sooner, later in itertools.pairwise(times)), default=0.0)


class _Decoder:
    """Fulfils AudioDecoder; notes which packet is decoded."""

    is_paused = False

    def __init__(self, note: Callable[[int], None]) -> None:
        self._note = note

    def sample_count(self, payload: bytes) -> int:
        return SAMPLES

    def has_redundancy(self, payload: bytes) -> bool:
        return False

    def decode(self, payload: bytes) -> Sound:
        (number,) = struct.unpack("!I", payload)
        self._note(number)
        return _tone(number * SAMPLES, SAMPLES)

    def conceal(self, samples: int) -> Sound:
        return _tone(0, samples)

    def recover(self, following: bytes, samples: int) -> Sound | None:
        return None


def _tone(first: int, count: int) -> Sound:
    return (6_000 * np.sin(2 * np.pi * 200 / 48_000 * (first + np.arange(count)))).astype(np.int16)


class _Listener:
    """The receiving half: failover with its duplicates, talkers, bursts, jitter buffer."""

    def __init__(self, plan: Plan, outcome: Outcome) -> None:
        self._outcome = outcome
        self._now = 0.0
        self.failover = Failover(FAILOVER_S, 0.0, plan.return_s)
        self._talkers = Talkers(bytes(15) + b"\2", is_full_duplex=True)
        self._heard = HeardBursts(False)
        self._playouts: list[Playout] = []
        self._receiving = Receiving(self._make)

    def _make(self) -> Playout:
        decoder = _Decoder(lambda number: self._outcome.played.append((self._now, number)))
        playout = Playout({OPUS.payload_type: OPUS}, lambda _: decoder, starts_at_once=False)
        self._playouts.append(playout)
        return playout

    def hear(self, way: Way, number: int, packet: ChannelPacket, now: float) -> None:
        if not self.failover.heard(way, struct.pack("!I", number), now):
            return
        self._outcome.arrived.setdefault(number, now)
        talker = self._talkers.receive(packet, now)
        if talker is None:
            return
        burst = self._heard.of(talker, now, now)
        sequence = burst.take(packet, {OPUS.payload_type: OPUS}, now)
        if sequence is not None:
            self._receiving.push(talker.ssrc, sequence, packet.timestamp, packet.payload_type, packet.payload, now)
        self._look(now)

    def play(self, now: float) -> None:
        self._now = now
        self._look(now)
        self._receiving.frame(now)

    def _look(self, now: float) -> None:
        self._talkers.handle_timeout(now)
        for event in self._talkers.take_events():
            burst = self._heard.get(event.talker.ssrc)
            if isinstance(event, BurstBegan):
                self._outcome.bursts += 1
                if burst is not None:
                    burst.ended_at = None
                    self._receiving.begin(event.talker.ssrc)
                self._receiving.set_gain(event.talker.ssrc, 1.0)
            elif isinstance(event, BurstEnded) and burst is not None:
                burst.ended_at = now
                self._receiving.end(event.talker.ssrc, now)
        self._heard.take_finished(now)

    def finish(self) -> None:
        self._outcome.concealed_s = sum(one.concealed_samples for one in self._playouts) / 48_000


def run(plan: Plan) -> Outcome:
    """Let it happen."""
    rng = random.Random(plan.seed)
    outcome = Outcome()
    listener, talker = _Listener(plan, outcome), Failover(FAILOVER_S, 0.0, plan.return_s)
    queue = SendQueue()
    packets: dict[int, ChannelPacket] = {}
    order = itertools.count()
    events: list[tuple[float, int, Callable[[float], None]]] = []
    by_rallypoint_at = 0.0  # TCP: nothing overtakes

    def at(when: float, what: Callable[[float], None]) -> None:
        heapq.heappush(events, (when, next(order), what))

    def when_awake(when: float) -> float:
        return next((span.ends_s for span in plan.deaf if span.has(when)), when)

    def is_up(outages: tuple[Span, ...], now: float) -> bool:
        return not any(span.has(now) for span in outages)

    def arrive(way: Way, number: int, now: float) -> None:
        if way is Way.RALLYPOINT and not is_up(plan.listener_outages, now):
            return
        if way is Way.MULTICAST and listener.failover.state not in (FailoverState.MULTICAST, FailoverState.RETURNING):
            return
        at(when_awake(now), lambda late: listener.hear(way, number, packets[number], late))

    def by_rallypoint(number: int, now: float) -> None:
        nonlocal by_rallypoint_at
        by_rallypoint_at = max(by_rallypoint_at, now + plan.rallypoint_s + rng.uniform(0, plan.jitter_s))
        at(by_rallypoint_at, lambda then: arrive(Way.RALLYPOINT, number, then))

    def say(number: int, now: float) -> None:
        if Way.RALLYPOINT in talker.sends_on:
            if is_up(plan.talker_outages, now):
                by_rallypoint(number, now)
            else:
                queue.put(struct.pack("!I", number), now)
        if Way.MULTICAST in talker.sends_on:
            came = now + plan.multicast_s + rng.uniform(0, plan.jitter_s)
            at(came, lambda then: arrive(Way.MULTICAST, number, then))

    def turn(which: Failover, outages: tuple[Span, ...], now: float) -> None:
        which.rallypoint(is_up(outages, now), now)
        which.take_steps()
        if which is talker and is_up(outages, now):
            while (kept := queue.take(now)) is not None:
                by_rallypoint(struct.unpack("!I", kept)[0], now)

    burst = BurstPackets(OPUS.payload_type, SAMPLES, BurstHeader("anna", bytes(15) + b"\1"), rng)
    left_out = 0.0
    for number in itertools.count():
        spoken_at = 0.5 + number * PACKET_S / plan.clock + left_out
        if spoken_at > plan.lasts_s:
            break
        left_out += sum(much for when, much in plan.left_out if spoken_at <= when < spoken_at + PACKET_S)
        packets[number] = burst.next(struct.pack("!I", number))
        said_at = next((span.ends_s for span in plan.stalls if span.has(spoken_at)), spoken_at)
        at(said_at, lambda now, number=number: say(number, now))  # type: ignore[misc]
        outcome.sent = number + 1
    for which, outages in ((talker, plan.talker_outages), (listener.failover, plan.listener_outages)):
        moments = {0.0, *(moment for span in outages for moment in (span.begins_s, span.ends_s))}
        for moment in moments | {step * 0.05 for step in range(round(plan.lasts_s / 0.05))}:
            at(moment, lambda now, which=which, outages=outages: turn(which, outages, now))  # type: ignore[misc]
    for frame in range(round((plan.lasts_s + 1.0) / PACKET_S)):
        at(frame * PACKET_S + 0.007, listener.play)
    while events:
        now, _, what = heapq.heappop(events)
        what(now)
    listener.finish()
    return outcome
