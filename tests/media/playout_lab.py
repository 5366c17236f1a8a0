"""A jitter buffer between a sender, a network and a sound card that are all made up, on a virtual clock.

The codec is made up too: a packet names the media time and length of a steady 200 Hz tone, a decoder draws it. What is
heard must be that tone, whatever was cut out, repeated or invented: its steepest step tells every click, its level
every gap. 20 minutes take seconds.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import numpy as np

from app.media.codecs import OPUS
from app.media.jitter import Playout
from app.media.plan import CodecPlan
from app.media.speech import Sound

HZ = 200
PEAK = 9_000
STEEPEST = PEAK * 2 * np.pi * HZ / 48_000
PAYLOAD_TYPE = OPUS.payload_type


def wave(first: int, count: int) -> Sound:
    """Give the tone from one sample of media time on."""
    return np.rint(PEAK * np.sin(2 * np.pi * HZ * (first + np.arange(count)) / 48_000)).astype(np.int16)


class DrawingDecoder:
    """Fulfils AudioDecoder. `made` is what it was asked for: ("decode" | "recover" | "conceal", samples)."""

    def __init__(self, *, redundancy: bool = True, draw: Callable[[int, int], Sound] = wave) -> None:
        self._draw = draw
        self.made: list[tuple[str, int]] = []
        self.is_paused = False
        self._redundancy = redundancy
        self._at = 0

    def sample_count(self, payload: bytes) -> int:
        return int(struct.unpack("!qi", payload)[1])

    def has_redundancy(self, payload: bytes) -> bool:
        return self._redundancy

    def decode(self, payload: bytes) -> Sound:
        first, count = struct.unpack("!qi", payload)
        self.made.append(("decode", count))
        self._at = first + count
        return self._draw(first, count)

    def conceal(self, samples: int) -> Sound:
        self.made.append(("conceal", samples))
        self._at += samples
        return self._draw(self._at - samples, samples)

    def recover(self, following: bytes, samples: int) -> Sound | None:
        if not self._redundancy:
            return None
        self.made.append(("recover", samples))
        first, _ = struct.unpack("!qi", following)
        self._at = first
        return self._draw(first - samples, samples)


@dataclass(frozen=True, slots=True)
class Sent:
    """One packet: when it leaves, its number, its RTP timestamp, what is in it."""

    at: float
    number: int
    timestamp: int
    payload: bytes


@dataclass
class Heard:
    """What came of one run."""

    playout: Playout
    decoder: DrawingDecoder
    sound: Sound
    delays: list[float] = field(default_factory=list)  # at each frame, in seconds
    behind: list[float] = field(default_factory=list)  # the newest that had come then, in seconds; 0 where invented

    def delay_ms(self, from_s: float, to_s: float) -> float:
        """The mean between two moments."""
        return float(np.mean(self.delays[int(from_s * 50) : int(to_s * 50)])) * 1000

    def steepest(self, from_s: float = 0.5, to_s: float | None = None) -> float:
        """The steepest step, in those of the tone itself: well over 1 is a click."""
        return float(np.abs(np.diff(self._part(from_s, to_s).astype(np.int32))).max() / STEEPEST)

    def quiet_ms(self, from_s: float = 0.5, to_s: float | None = None) -> float:
        """The longest time below half of the level, in steps of 5 ms (a period)."""
        part = self._part(from_s, to_s)
        peaks = np.abs(part[: len(part) // 240 * 240].astype(np.int32)).reshape(-1, 240).max(axis=1)
        longest = now = 0
        for peak in peaks:
            now = now + 1 if peak < PEAK / 2 else 0
            longest = max(longest, now)
        return longest * 5.0

    def _part(self, from_s: float, to_s: float | None) -> Sound:
        return self.sound[int(from_s * 48_000) : None if to_s is None else int(to_s * 48_000)]


def packets(seconds: float, packet_ms: int = 20, *, clock: float = 1.0, timestamp: int = 0xFFFF_0000) -> list[Sent]:
    """Give a stream without pauses from a sender whose clock runs `clock` times as fast as the network's."""
    samples = packet_ms * 48
    return [
        Sent(
            (index + 1) * packet_ms / 1000 / clock,
            70_000 + index,
            (timestamp + index * samples) & 0xFFFF_FFFF,
            struct.pack("!qi", index * samples, samples),
        )
        for index in range(round(seconds * 1000 / packet_ms))
    ]


def listen(
    sent: Iterable[Sent],
    network: Callable[[Sent], Iterable[float]],
    *,
    seconds: float,
    card: float = 1.0,
    at_once: int = 1,
    redundancy: bool = True,
    codec: CodecPlan = OPUS,
    draw: Callable[[int, int], Sound] = wave,
) -> Heard:
    """Let a sound card whose clock runs `card` times as fast play what comes, so many frames `at_once`.

    `network` tells when a packet arrives: never, once, or more often. `draw` gives the sound of some media time.
    """
    arrivals = sorted(((at, packet) for packet in sent for at in network(packet)), key=lambda pair: pair[0])
    decoder = DrawingDecoder(redundancy=redundancy, draw=draw)
    playout = Playout({codec.payload_type: codec}, lambda _: decoder)
    frames, delays, behind, position = [], [], [], 0
    pushed = newest = 0  # timestamps, counted from the first packet's
    for frame in range(round(seconds * 50 * card)):
        now = 0.0071 + frame // at_once * at_once * 0.020 / card
        while position < len(arrivals) and arrivals[position][0] <= now:
            came_at, packet = arrivals[position]
            playout.push(packet.number, packet.timestamp, codec.payload_type, packet.payload, came_at)
            position += 1
            pushed = (packet.timestamp - arrivals[0][1].timestamp + (1 << 31)) % (1 << 32) - (1 << 31)
            newest = max(newest, pushed)
        made = len(decoder.made)
        frames.append(playout.next_frame(now))
        delays.append(playout.delay_s or 0.0)
        played, is_invented = playout.played_at(), decoder.made[made:][-1:] and decoder.made[-1][0] == "conceal"
        behind.append(played[1] - now + (newest - pushed) / codec.clock_rate if played and not is_invented else 0.0)
    return Heard(playout, decoder, np.concatenate(frames), delays, behind)
