"""Which bursts are kept for replay, for how long, and in which file each of them lies.

Bursts of one channel are appended to a *segment*, a file that takes no more after some size or an hour. What is
too old, or too much, goes by whole segments, the oldest ones of the channel with most first: a deleted burst is nowhere
on the disk any more, and no file has to be rewritten. Pure: what is on the disk, and the time, are handed in.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

from app.channel_events import BurstInfo, ChannelId
from app.channels.finished_burst import MOST_KEPT_S, FinishedBurst, KeptPacket

MOST_LEVELS = 64
SEGMENT_BYTES = 1 << 20
SEGMENT_S = 3_600.0
_TIMESTAMPS = 1 << 32


@dataclass(frozen=True, slots=True)
class Bounds:
    """How much is kept, of all channels together. `most_bytes` is that of the files."""

    most_bytes: int = 200_000_000
    most_age_s: float = 7 * 24 * 3_600.0
    most_bursts: int = 5_000

    @property
    def segment_bytes(self) -> int:
        """From this size on a file takes no more, so that little goes at once."""
        return min(SEGMENT_BYTES, self.most_bytes // 16)


@dataclass(frozen=True, slots=True)
class StoredBurst:
    """A burst and where it lies. `offset` is that of its record in the segment."""

    info: BurstInfo
    segment: str
    offset: int


@dataclass(slots=True)
class Segment:
    """A file of bursts of one channel; `channel` is None where nothing in it can be read.

    `began_wall` and `newest_wall`: of the first and last burst, or what the file system says. `is_ours`: this run made
    it and may add to it.
    """

    name: str
    channel: ChannelId | None
    size: int
    began_wall: float
    newest_wall: float
    is_ours: bool = False
    bursts: list[StoredBurst] = field(default_factory=list)


class Timeline:
    """The index of everything that is kept."""

    def __init__(self, bounds: Bounds) -> None:
        self._bounds = bounds
        self._segments: dict[str, Segment] = {}
        self._by_id: dict[str, StoredBurst] = {}

    def __len__(self) -> int:
        return len(self._by_id)

    @property
    def size(self) -> int:
        """How many bytes the files have together."""
        return sum(segment.size for segment in self._segments.values())

    def add_segment(self, segment: Segment) -> None:
        """Learn of a file and the bursts in it."""
        self._segments[segment.name] = segment
        self._by_id |= {stored.info.burst_id: stored for stored in segment.bursts}

    def add(self, stored: StoredBurst, size: int) -> None:
        """Learn of a burst that was appended to a segment, which has `size` bytes now."""
        segment = self._segments[stored.segment]
        segment.size = size
        segment.newest_wall = max(segment.newest_wall, stored.info.began_wall)
        segment.bursts.append(stored)
        self._by_id[stored.info.burst_id] = stored

    def segment_for(self, channel: ChannelId, began_wall: float) -> Segment | None:
        """Give the file that takes a burst that began then; None: a new one has to be made."""
        for segment in reversed(self._segments.values()):
            is_open = segment.is_ours and segment.size < self._bounds.segment_bytes
            if is_open and segment.channel == channel and abs(began_wall - segment.began_wall) < SEGMENT_S:
                return segment
        return None

    def find(self, burst_id: str, now: float) -> StoredBurst | None:
        """Give a burst that is kept, and not too old by now."""
        stored = self._by_id.get(burst_id)
        return stored if stored is not None and not self._is_old(stored.info, now) else None

    def bursts(self, channel: ChannelId | None, most: int, now: float) -> tuple[BurstInfo, ...]:
        """Give the last bursts of a channel, or of all, the newest first."""
        infos = [
            stored.info
            for stored in self._by_id.values()
            if (channel is None or stored.info.channel == channel) and not self._is_old(stored.info, now)
        ]
        infos.sort(key=lambda info: info.began_wall, reverse=True)
        return tuple(infos[: max(0, most)])

    def mark_damaged(self, burst_id: str) -> None:
        """Remember that its sound cannot be read."""
        stored = self._by_id.get(burst_id)
        if stored is not None:
            self._by_id[burst_id] = replace(stored, info=replace(stored.info, damaged=True))

    def surplus(self, now: float) -> list[str]:
        """Give the segments that have to go: too old, then of what is too much the oldest of the channel that has most.

        So whoever talks without end on one channel pushes out what was said there, and nothing of the others.
        """
        gone: list[Segment] = []
        kept: list[Segment] = []
        for segment in sorted(self._segments.values(), key=lambda segment: segment.newest_wall):
            (gone if now - segment.newest_wall > self._bounds.most_age_s else kept).append(segment)
        while kept and (excess := self._excess(kept)):
            gone.append(excess)
            kept.remove(excess)
        return [segment.name for segment in gone]

    def _excess(self, kept: Sequence[Segment]) -> Segment | None:
        """Give one that has to go, of those that are kept, oldest first; None: all of them may stay."""
        bounds = self._bounds
        sizes: Counter[ChannelId | None] = Counter()
        counts: Counter[ChannelId | None] = Counter()
        for segment in kept:
            sizes[segment.channel] += segment.size
            counts[segment.channel] += len(segment.bursts)
        for shares, most in ((sizes, bounds.most_bytes), (counts, bounds.most_bursts)):
            if shares.total() > most:
                channel = max(shares, key=lambda each: shares[each])
                return next(segment for segment in kept if segment.channel == channel)
        return None

    @property
    def oldest_wall(self) -> float | None:
        """When the first of the bursts began; None without any that can be read."""
        return min((stored.info.began_wall for stored in self._by_id.values()), default=None)

    def forget(self, name: str) -> None:
        """Learn that a segment is gone."""
        segment = self._segments.pop(name, None)
        for stored in segment.bursts if segment is not None else ():
            self._by_id.pop(stored.info.burst_id, None)

    def _is_old(self, info: BurstInfo, now: float) -> bool:
        return now - info.began_wall > self._bounds.most_age_s


def fold_levels(levels: Sequence[int]) -> tuple[int, ...]:
    """Make at most MOST_LEVELS of them, each the loudest of those it stands for, from 0 to 255."""
    count = min(MOST_LEVELS, len(levels))
    edges = [at * len(levels) // count for at in range(count + 1)] if count else [0]
    return tuple(min(255, max(0, *levels[begin:end])) for begin, end in itertools.pairwise(edges))


def pieces(burst: FinishedBurst, most_s: float) -> Iterator[FinishedBurst]:
    """Cut a burst where packets begin into pieces of at most `most_s` (0: MOST_KEPT_S); a short one is one piece."""
    longest = min(most_s, MOST_KEPT_S) if most_s > 0 else MOST_KEPT_S
    count = max(1, -int(-burst.seconds // longest))
    if count == 1:
        yield burst
        return
    step = burst.seconds / count
    places = _places(burst.packets)
    for number in range(count):
        begin, end = number / count, (number + 1) / count
        packets = tuple(packet for packet, place in zip(burst.packets, places, strict=True) if begin <= place < end)
        levels = burst.levels[int(begin * len(burst.levels)) : int(end * len(burst.levels))]
        began = burst.began_wall + number * step
        yield replace(burst, began_wall=began, seconds=step, packets=packets, levels=levels)


def _places(packets: Sequence[KeptPacket]) -> list[float]:
    """Tell where in the burst each packet lies, from 0 up to below 1, by their timestamps."""
    if not packets:
        return []
    first = packets[0].timestamp
    passed = [(packet.timestamp - first) % _TIMESTAMPS for packet in packets]
    if any(after < before for before, after in itertools.pairwise(passed)) or not passed[-1]:
        return [at / len(packets) for at in range(len(packets))]  # a clock that jumped says nothing
    whole = passed[-1] * len(passed) / max(1, len(passed) - 1)
    return [min(at / whole, 0.999999) for at in passed]
