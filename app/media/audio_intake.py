"""What comes of one source of sound, packet by packet: its own sound, repeats of older sound, and what is asked again.

Lost sound comes back in two ways: with the packets that follow (RFC 2198), or, where the round trip is short, by asking
for the packet itself (RFC 4585 section 6.2.1). Pure: `now` in monotonic seconds comes in; sequence numbers are the
extended ones.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass

from app.media.codecs import EVENT, RED
from app.media.nack import NackTracker
from app.media.plan import CodecPlan
from app.media.red import Block, unpack
from app.media.rtp import RtpPacket, timestamp_difference

MOST_LATE_S = 0.200  # behind its time: sound that comes later is not asked for
MOST_ROUND_TRIP_S = 0.150  # what is asked for over a longer way would keep people waiting for each other
KNOWN_SEQUENCES = 64  # of packets whose sound is there, so that repeats of it are passed over
USUAL_PACKET_S, LEAST_PACKET_S, MOST_PACKET_S = 0.020, 0.005, 0.120


@dataclass(frozen=True, slots=True)
class Unit:
    """What one packet held, whether it came by itself or in another.

    `sequence` counts packets of sound only; `is_repaired`: it was lost and came again; `is_key`: no sound but a key.
    """

    sequence: int
    timestamp: int
    payload_type: int
    payload: bytes
    is_repaired: bool = False
    is_key: bool = False


class AudioIntake:
    """One stream's. `asks`: the peer repeats packets that are asked for. `codecs` are followed as they change."""

    def __init__(self, codecs: Mapping[int, CodecPlan], *, asks: bool) -> None:
        self._codecs = codecs
        self.asks = asks
        self.reset()

    def reset(self) -> None:
        """Another source begins."""
        self._nacks = NackTracker(give_up_s=MOST_LATE_S)
        self._asked: deque[int] = deque(maxlen=KNOWN_SEQUENCES)  # also those that are asked for no more
        self._known: deque[int] = deque(maxlen=KNOWN_SEQUENCES)
        self._highest: int | None = None
        self._last: tuple[int, int] | None = None  # sequence and timestamp of the newest packet
        self._packet_s = USUAL_PACKET_S
        self._without_sound = 0  # packets that were none: keys

    def was_asked(self, sequence: int) -> bool:
        """Tell whether this packet, which has just come, was asked for, be it long ago or answered before."""
        return sequence in self._asked

    @property
    def has_gaps(self) -> bool:
        """Whether packets are missing that may still come."""
        return self.asks and self._nacks.is_waiting

    def take(self, packet: RtpPacket, sequence: int, now: float) -> list[Unit]:
        """Give what is new in a packet, oldest first; PacketError for redundancy that is damaged."""
        is_red = self._name_of(packet.payload_type) == RED
        blocks = unpack(packet.payload) if is_red else (Block(packet.payload_type, 0, packet.payload),)
        self._measure(packet, sequence)
        units = []
        for back, block in zip(range(len(blocks) - 1, -1, -1), blocks, strict=True):
            name, number = self._name_of(block.payload_type), sequence - back
            if name is None or name == RED or not block.payload:
                continue
            is_known = number in self._known
            if is_known and name != EVENT:
                continue
            is_late = self._highest is not None and number < self._highest
            is_repaired = back > 0 or self.was_asked(number)
            if not is_known:
                self._note(number, now)
                # A key that comes late was numbered as sound that is missing.
                self._without_sound += name == EVENT and not is_late
            timestamp = (packet.timestamp - block.offset) & 0xFFFF_FFFF
            order = number - self._without_sound
            units.append(Unit(order, timestamp, block.payload_type, block.payload, is_repaired, name == EVENT))
        return units

    def due(self, now: float, rtt_s: float) -> list[int]:
        """Give what to ask for now, ascending: what may still come in time."""
        if not self.asks or not self._nacks.is_waiting or self._highest is None or rtt_s > MOST_ROUND_TRIP_S:
            return []
        self._nacks.forget_before(self._highest - int((MOST_LATE_S - rtt_s) / self._packet_s))
        asked = self._nacks.due(now, rtt_s)
        self._asked.extend(number for number in asked if number not in self._asked)
        return asked

    def _name_of(self, payload_type: int) -> str | None:
        codec = self._codecs.get(payload_type)
        return codec.name.lower() if codec is not None else None

    def _note(self, number: int, now: float) -> None:
        self._known.append(number)
        self._nacks.arrived(number, now)
        self._highest = number if self._highest is None else max(self._highest, number)

    def _measure(self, packet: RtpPacket, sequence: int) -> None:
        """Learn how much time a packet stands for."""
        codec = self._codecs.get(packet.payload_type)
        if self._last is not None and codec is not None and sequence > self._last[0]:
            units = timestamp_difference(packet.timestamp, self._last[1])
            seconds = units / codec.clock_rate / (sequence - self._last[0])
            if LEAST_PACKET_S <= seconds <= MOST_PACKET_S:
                self._packet_s = seconds
        if self._last is None or sequence > self._last[0]:
            self._last = sequence, packet.timestamp
