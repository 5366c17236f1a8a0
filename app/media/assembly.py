"""From video packets to whole frames in order, and when to ask for a whole picture.

A frame is released as soon as it is complete: all packets from one that begins a frame to the one with the marker.
It goes on to the decoder when nothing between it and the frame before is missing, or when it is a key frame. While
packets may still come again (`nack`), later frames wait; after a while a key frame is asked for as well, and whichever
is there first ends the waiting. What is given up drops everything up to the next key frame. Pure: `now` comes in.
"""

from __future__ import annotations

from dataclasses import dataclass

from app.media.errors import PacketError
from app.media.nack import NackTracker
from app.media.payload import PayloadPart
from app.media.plan import CodecPlan
from app.media.video_codecs import READERS

MOST_PACKETS = 1_500
MOST_BYTES = 4_000_000  # more than twice as much as so many packets of an Ethernet hold
MOST_KEY_STARTS = 16  # each is looked through at every packet
ASK_AGAIN_S = 0.35
# A gap that old may outlive the patience of a person: a key frame is asked for beside what is missing.
LATE_S = 0.18
LATE_RTTS = 2.5


@dataclass(frozen=True, slots=True)
class EncodedFrame:
    """One frame's bitstream, its RTP timestamp and when its last packet came.

    `orientation` says how it is turned (rotation.py), None where it is as before.
    """

    data: bytes
    timestamp: int
    is_key: bool
    at: float
    codec: CodecPlan
    orientation: int | None = None


@dataclass(slots=True)
class _Part:
    timestamp: int
    ends: bool
    part: PayloadPart
    codec: CodecPlan
    orientation: int | None


class FrameAssembler:
    """Puts together the frames of one source; `reset` for another."""

    def __init__(self, *, with_nack: bool) -> None:
        self._with_nack = with_nack
        self.damaged = 0
        self._asked_at: float | None = None
        self.reset()

    def reset(self) -> None:
        """Begin anew with another source: a key frame must come first."""
        self._parts: dict[int, _Part] = {}
        self._bytes = 0  # of all parts
        self._key_starts: dict[int, float] = {}  # where key frames begin, and when that was seen
        self._nacks = NackTracker(asks=self._with_nack)
        self._highest = -1
        self._next: int | None = None  # first packet of the frame that follows the last released one
        self._wants_key = True

    @property
    def needs_ticks(self) -> bool:
        """Whether something waits for the clock."""
        return bool(self._parts) or self.wants_key

    @property
    def wants_key(self) -> bool:
        """Whether nothing can be shown before the next key frame."""
        return self._wants_key and self._highest >= 0

    @property
    def has_gaps(self) -> bool:
        """Whether packets are missing that may still come."""
        return self._nacks.is_waiting

    def is_missing(self, sequence: int) -> bool:
        """Tell whether this packet is waited for."""
        return self._nacks.is_missing(sequence)

    def was_asked(self, sequence: int) -> bool:
        """Tell whether this packet is waited for and was asked for."""
        return self._nacks.was_asked(sequence)

    def push(
        self,
        sequence: int,
        timestamp: int,
        marker: bool,
        payload: bytes,
        now: float,
        codec: CodecPlan,
        orientation: int | None = None,
    ) -> list[EncodedFrame]:
        """Take one packet (extended sequence number); gives the frames that it completed, in order."""
        if (self._next is not None and sequence < self._next) or sequence in self._parts:
            return []
        try:
            part = READERS[codec.name.lower()](payload)
        except PacketError:
            self.damaged += 1
            return []
        self._nacks.arrived(sequence, now)
        self._parts[sequence] = _Part(timestamp, marker, part, codec, orientation)
        self._bytes += len(part.data)
        self._highest = max(self._highest, sequence)
        if part.begins_key:
            self._note_key_start(sequence, now)
        while len(self._parts) > MOST_PACKETS or self._bytes > MOST_BYTES:
            self._drop_before(sorted(self._parts)[(len(self._parts) + 1) // 2])
            self._wants_key = True
        return self._release(now)

    def tick(self, now: float, rtt_s: float) -> tuple[list[int], bool, list[EncodedFrame]]:
        """Give (sequence numbers to ask for, whether to ask for a key frame, frames that need wait no more)."""
        nacks = self._nacks.due(now, rtt_s)
        frames = self._release(now)
        is_late = self._with_nack and self._nacks.oldest_s(now) > max(LATE_S, LATE_RTTS * rtt_s)
        ask = (self._wants_key or is_late) and self._highest >= 0 and not self._key_frame_is_coming(now)
        if ask and self._asked_at is not None and now - self._asked_at < max(ASK_AGAIN_S, 2 * rtt_s):
            ask = False
        if ask:
            self._asked_at = now
        return nacks, ask, frames

    def ask_key_frame(self) -> None:
        """Go on with a key frame only: the decoder lost its references."""
        self._wants_key = True

    def _note_key_start(self, sequence: int, now: float) -> None:
        """Remember where a key frame begins: one place for each frame, whatever a peer writes into its packets."""
        timestamp = self._parts[sequence].timestamp
        same = [number for number in self._key_starts if self._parts[number].timestamp == timestamp]
        if any(number < sequence for number in same):
            return
        for number in same:
            del self._key_starts[number]
        self._key_starts[sequence] = now
        if len(self._key_starts) > MOST_KEY_STARTS:
            del self._key_starts[min(self._key_starts)]

    def _key_frame_is_coming(self, now: float) -> bool:
        return any(now - seen < ASK_AGAIN_S for seen in self._key_starts.values())

    def _release(self, now: float) -> list[EncodedFrame]:
        frames: list[EncodedFrame] = []
        while self._parts:
            frame = self._next_in_order(now)
            if frame is None and self._key_starts:
                frame = self._next_key_frame(now)
            if frame is None:
                break
            frames.append(frame)
        return frames

    def _next_in_order(self, now: float) -> EncodedFrame | None:
        start = self._next
        if start is None or self._wants_key:
            return None
        end = self._end_of_frame(start)
        if end is None:
            return None
        if end < start:
            self._wants_key = True
            return None
        return self._take(start, end, now)

    def _next_key_frame(self, now: float) -> EncodedFrame | None:
        """Take the oldest complete key frame; an incomplete one before it has lost the race."""
        for start in sorted(self._key_starts):
            end = self._end_of_frame(start)
            if end is not None and end >= start:
                self._wants_key = False
                return self._take(start, end, now)
        return None

    def _end_of_frame(self, start: int) -> int | None:
        """Give the last packet of the frame that begins at `start`; None while it may still be whole, -1 if never."""
        sequence = start
        timestamp = None
        while True:
            part = self._parts.get(sequence)
            if part is None:
                given_up = sequence <= self._highest and not self._nacks.is_missing(sequence)
                return -1 if given_up else None
            if timestamp is None:
                if not part.part.begins:
                    return -1
                timestamp = part.timestamp
            elif part.timestamp != timestamp:
                return sequence - 1  # a sender that sets no marker
            if part.ends:
                return sequence
            sequence += 1

    def _take(self, start: int, end: int, now: float) -> EncodedFrame:
        parts = [self._parts[number] for number in range(start, end + 1)]
        data = b"".join([part.part.data for part in parts])
        is_key = any(part.part.begins_key for part in parts)
        self._drop_before(end + 1)
        self._next = end + 1
        return EncodedFrame(data, parts[0].timestamp, is_key, now, parts[0].codec, parts[-1].orientation)

    def _drop_before(self, sequence: int) -> None:
        for number in [number for number in self._parts if number < sequence]:
            self._bytes -= len(self._parts.pop(number).part.data)
        for number in [number for number in self._key_starts if number < sequence]:
            del self._key_starts[number]
        self._nacks.forget_before(sequence)
