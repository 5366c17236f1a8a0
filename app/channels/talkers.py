"""Who talks on one channel: where bursts begin and end, who is heard, who has to wait, and who talked last.

A burst is one SSRC. It begins with its first packet, whichever that is, and ends with its end flag, after SILENCE_S
without a packet, when the same node begins another, or when it is longer than anybody is heard. The rule of a
half-duplex channel, by rank (emergency above all, then priority):

- Who wants to talk waits for talkers of the same or a higher rank, and interrupts those below.
- Who sends and hears a higher rank begin, stops. Two of one rank who began at the same moment: the lower node id stays.
- Of those who talk only the highest rank is heard; several of that rank are heard together.

On a full-duplex channel everybody talks and everybody is heard. Pure: times are seconds of any clock that never goes
back, handed in.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, replace
from enum import Enum
from typing import TypeVar

from app.channels.packet import BurstFlags, BurstHeader, ChannelPacket
from app.media.rtp import MAX_JUMP, sequence_difference

SILENCE_S = 0.5
LATE_S = 0.5  # after an end flag: so long what it overtook on the way is still sound of the burst
MOST_TALKERS = 16
REMEMBER_ENDED_S = 30.0
MOST_ENDED = 64
MOST_NAMES = 256
MOST_OWN = 64
MOST_EVENTS = 256

Rank = tuple[bool, int]  # emergency, priority: greater goes first

_Key = TypeVar("_Key")
_Value = TypeVar("_Value")


class Ending(Enum):
    """Why a burst ended."""

    SAID = "its end came"
    SILENT = "nothing came any more"
    REPLACED = "the same talker began anew"
    DISPLACED = "somebody more urgent took its place"
    TOO_LONG = "it is longer than anybody is heard"


@dataclass(frozen=True, slots=True)
class Talker:
    """Who talks in one burst. `node_id` is None and `alias` empty where no header has come, or none is sent."""

    ssrc: int
    began_at: float
    node_id: bytes | None = None
    alias: str = ""
    priority: int = 0
    flags: BurstFlags = BurstFlags.NONE

    @property
    def is_emergency(self) -> bool:
        return BurstFlags.EMERGENCY in self.flags

    @property
    def rank(self) -> Rank:
        return self.is_emergency, self.priority


@dataclass(frozen=True, slots=True)
class BurstBegan:
    talker: Talker


@dataclass(frozen=True, slots=True)
class BurstChanged:
    """A header said more, or something else: a name, another priority, an emergency."""

    talker: Talker


@dataclass(frozen=True, slots=True)
class BurstEnded:
    """`at` is when the last packet of it came, but for an end by silence the end of that silence."""

    talker: Talker
    at: float
    ending: Ending


TalkerEvent = BurstBegan | BurstChanged | BurstEnded


class _Burst:
    __slots__ = ("heard_at", "sequence", "talker")

    def __init__(self, talker: Talker, sequence: int) -> None:
        self.talker = talker
        self.heard_at = talker.began_at
        self.sequence = sequence  # the highest


class Talkers:
    """The talkers of one channel. `longest_s`: so long a burst is heard, emergencies too; None: as long as it lasts.

    `last` is the burst that ended last. Counters of packets that are nobody's sound: `own` came back to us,
    `stray` belong to no burst any more or to another node's, `refused` had no place beside MOST_TALKERS others.
    """

    def __init__(self, node_id: bytes, *, is_full_duplex: bool = False, longest_s: float | None = None) -> None:
        self._node_id = node_id
        self._longest_s = longest_s
        self._overlong: dict[int, _Burst] = {}  # that go on, and are not heard any more
        self._is_full_duplex = is_full_duplex
        self._bursts: dict[int, _Burst] = {}
        self._ended: dict[int, tuple[BurstEnded, int]] = {}  # with the highest sequence number
        self._own_ssrcs: dict[int, None] = {}
        self._names: dict[bytes, str] = {}
        self._events: deque[TalkerEvent] = deque(maxlen=MOST_EVENTS)
        self._nothing_until = 0.0  # `handle_timeout` has nothing to do before: packets only postpone what it does
        self.last: BurstEnded | None = None
        self.own = self.stray = self.refused = 0

    @property
    def talking(self) -> tuple[Talker, ...]:
        """Everybody who talks: the highest rank first, then who began first."""
        talkers = [burst.talker for burst in self._bursts.values()]
        return tuple(sorted(talkers, key=lambda one: (not one.is_emergency, -one.priority, one.began_at)))

    @property
    def heard(self) -> tuple[Talker, ...]:
        """Those of them who are to be heard."""
        talking = self.talking
        return talking if self._is_full_duplex else tuple(one for one in talking if one.rank == talking[0].rank)

    @property
    def overlong(self) -> tuple[Talker, ...]:
        """Those whose bursts were too long and go on: heard no more, and in nobody's way."""
        return tuple(burst.talker for burst in self._overlong.values())

    def in_the_way(self, rank: Rank) -> Talker | None:
        """Give who has to be waited for before a burst of ours of this rank; None: it may begin."""
        first = next(iter(self.talking), None)
        return first if first is not None and not self._is_full_duplex and first.rank >= rank else None

    def interrupter(self, rank: Rank) -> Talker | None:
        """Give who makes a burst of ours of this rank stop; None: it goes on."""
        if self._is_full_duplex:
            return None
        return next((one for one in self.talking if one.rank > rank or self._stays(one, rank)), None)

    def _stays(self, other: Talker, rank: Rank) -> bool:
        return other.rank == rank and other.node_id is not None and other.node_id < self._node_id

    def sending(self, ssrc: int) -> None:
        """Learn that this SSRC is ours: what comes back of it is nobody's."""
        self._own_ssrcs[ssrc] = None
        _bound(self._own_ssrcs, MOST_OWN)

    def receive(self, packet: ChannelPacket, now: float) -> Talker | None:
        """Take one packet; gives whose sound it is, or None where it is nobody's.

        An end's packet belongs to its talker too, and may be empty.
        """
        self.handle_timeout(now)
        node = _node_of(packet.header)
        if node == self._node_id:
            self.sending(packet.ssrc)
        if packet.ssrc in self._own_ssrcs:
            self.own += 1
            return None
        too_long = self._overlong.get(packet.ssrc)
        if too_long is not None:
            too_long.heard_at = now
            if packet.is_end:
                del self._overlong[packet.ssrc]
            return None
        burst = self._bursts.get(packet.ssrc)
        if burst is None:
            late = self._late(packet, now)
            if late is not None:
                return late
            burst = self._begin(packet, node, now)
            if burst is None:
                return None
        elif node is not None and burst.talker.node_id not in (None, node):
            self.stray += 1
            return None
        burst.heard_at = now
        if sequence_difference(packet.sequence, burst.sequence) > 0:
            burst.sequence = packet.sequence
        if packet.header is not None:
            self._learn(burst, packet.header, node, now)
        if packet.is_end:
            self._end(burst, Ending.SAID, now)
        return burst.talker

    def handle_timeout(self, now: float) -> None:
        """End what has been silent, or has gone on, for too long."""
        if now < self._nothing_until:
            return
        for burst in [one for one in self._bursts.values() if now >= one.heard_at + SILENCE_S]:
            self._end(burst, Ending.SILENT, burst.heard_at + SILENCE_S)
        for ssrc in [ssrc for ssrc, burst in self._overlong.items() if now >= burst.heard_at + SILENCE_S]:
            del self._overlong[ssrc]
        if self._longest_s is not None:
            for burst in [one for one in self._bursts.values() if now >= one.talker.began_at + self._longest_s]:
                self._end(burst, Ending.TOO_LONG, burst.talker.began_at + self._longest_s)
                self._overlong[burst.talker.ssrc] = burst
                _bound(self._overlong, MOST_TALKERS)
        for ssrc in [ssrc for ssrc, (ended, _) in self._ended.items() if now - ended.at > REMEMBER_ENDED_S]:
            del self._ended[ssrc]
        forgotten = [ended.at + REMEMBER_ENDED_S for ended, _ in self._ended.values()]
        self._nothing_until = min((*forgotten, self.next_timeout() or math.inf))

    def next_timeout(self) -> float | None:
        """Tell when `handle_timeout` has something to do; None: when another packet has come."""
        due = [burst.heard_at + SILENCE_S for burst in (*self._bursts.values(), *self._overlong.values())]
        if self._longest_s is not None:
            due += [burst.talker.began_at + self._longest_s for burst in self._bursts.values()]
        return min(due, default=None)

    @property
    def has_events(self) -> bool:
        """Whether `take_events` has something to give."""
        return bool(self._events)

    def take_events(self) -> list[TalkerEvent]:
        """Give what happened since the last time, the latest MOST_EVENTS of it."""
        events = list(self._events)
        self._events.clear()
        return events

    def _late(self, packet: ChannelPacket, now: float) -> Talker | None:
        """Give whose sound this is if the end of its burst overtook it."""
        known = self._ended.get(packet.ssrc)
        if known is None or packet.is_end:
            return None
        ended, sequence = known
        is_before = sequence_difference(packet.sequence, sequence) < 0
        return ended.talker if is_before and ended.ending is Ending.SAID and now - ended.at <= LATE_S else None

    def _begin(self, packet: ChannelPacket, node: bytes | None, now: float) -> _Burst | None:
        known = self._ended.get(packet.ssrc)
        if packet.is_end or (known is not None and not _goes_on(packet, *known)):
            self.stray += 1
            return None
        talker = Talker(packet.ssrc, now)
        if packet.header is not None:
            talker = self._described(talker, packet.header, node)
        if len(self._bursts) >= MOST_TALKERS and not self._displace(talker.rank, now):
            self.refused += 1
            return None
        self._ended.pop(packet.ssrc, None)
        burst = self._bursts[packet.ssrc] = _Burst(talker, packet.sequence)
        self._nothing_until = 0.0
        self._replace_others(burst, now)
        self._events.append(BurstBegan(talker))
        return burst

    def _displace(self, rank: Rank, now: float) -> bool:
        """Make room for a talker of this rank, at the cost of a lower one."""
        lowest = self.talking[-1]
        if lowest.rank >= rank:
            return False
        self._end(self._bursts[lowest.ssrc], Ending.DISPLACED, now)
        return True

    def _learn(self, burst: _Burst, header: BurstHeader, node: bytes | None, now: float) -> None:
        before = burst.talker
        burst.talker = self._described(before, header, node)
        if burst.talker != before:
            self._events.append(BurstChanged(burst.talker))
            self._replace_others(burst, now)

    def _described(self, talker: Talker, header: BurstHeader, node: bytes | None) -> Talker:
        """Add what a header says; a name that was once told stays, though a later header leaves it out."""
        alias = header.alias
        if node is not None:
            alias = alias or self._names.get(node, "")
            self._names.pop(node, None)
            if alias:
                self._names[node] = alias
            _bound(self._names, MOST_NAMES)
        flags = header.flags & ~BurstFlags.TX_END
        return replace(
            talker,
            node_id=node or talker.node_id,
            alias=alias or talker.alias,
            priority=header.priority,
            flags=flags,
        )

    def _replace_others(self, burst: _Burst, now: float) -> None:
        """End what else the same node said: it talks once on a channel."""
        node = burst.talker.node_id
        if node is not None:
            for other in [one for one in self._bursts.values() if one is not burst and one.talker.node_id == node]:
                self._end(other, Ending.REPLACED, now)

    def _end(self, burst: _Burst, ending: Ending, at: float) -> None:
        ssrc = burst.talker.ssrc
        del self._bursts[ssrc]
        ended = BurstEnded(burst.talker, at, ending)
        self._ended.pop(ssrc, None)
        self._ended[ssrc] = ended, burst.sequence
        self._nothing_until = 0.0
        _bound(self._ended, MOST_ENDED)
        self.last = ended
        self._events.append(ended)


def _node_of(header: BurstHeader | None) -> bytes | None:
    return header.node_id if header is not None and any(header.node_id) else None


def _goes_on(packet: ChannelPacket, ended: BurstEnded, sequence: int) -> bool:
    """Tell whether a packet of an SSRC whose burst has ended begins another.

    After an end that was said, or made by another burst, only a marker further on does. After silence any does, but for
    a late copy of what was heard.
    """
    ahead = sequence_difference(packet.sequence, sequence)
    if ended.ending in (Ending.SAID, Ending.REPLACED):
        return packet.marker and ahead > 0
    return not -MAX_JUMP <= ahead <= 0


def _bound(kept: dict[_Key, _Value], most: int) -> None:
    if len(kept) > most:
        del kept[next(iter(kept))]
