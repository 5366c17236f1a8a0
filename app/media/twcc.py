"""Transport-wide feedback: which packets of a transport arrived, and when, whatever stream they are of.

draft-holmer-rmcat-transport-wide-cc-extensions-01 section 3. Pure: `TransportFeedback` is the RTCP packet,
`ArrivalLog` what a receiver keeps to make them. Times on the wire count in ticks of 250 µs.
"""

from __future__ import annotations

import struct
from collections import OrderedDict
from dataclasses import dataclass

from app.media.errors import PacketError

TICK_S = 0.000_25
TICKS_OF_REFERENCE = 256  # 64 ms
FEEDBACK_FORMAT = 15

MOST_STATUSES = 8_192  # of one feedback that is read: more is a stranger's joke
STATUSES_PER_PACKET = 512  # of one that is written
LARGE = 0x7FFF
KEPT_S = 0.5  # a packet that comes late is told together with its neighbours that were told before
KEPT_PACKETS = 4_000
MAX_STEP = 3_000  # sequence numbers further ahead begin anew

_HEAD = struct.Struct("!BBHLLHH")
_WORD = struct.Struct("!L")
_NOT, _SMALL, _WIDE = 0, 1, 2


@dataclass(frozen=True, slots=True)
class TransportFeedback:
    """What became of the packets numbered from `base` (16 bits) on.

    `reference` counts 64 ms (24 bits), `count` the feedbacks (8 bits). `deltas`: for each packet None when it has not
    arrived, else the ticks since the one before that has, the first since the reference; -32768 to 32767.
    """

    ssrc: int
    media_ssrc: int
    base: int
    reference: int
    count: int
    deltas: tuple[int | None, ...]

    def __bytes__(self) -> bytes:
        symbols = [_NOT if delta is None else _SMALL if 0 <= delta <= 255 else _WIDE for delta in self.deltas]
        chunks = _chunks(symbols)
        body = bytearray(b"".join(chunk.to_bytes(2) for chunk in chunks))
        for delta, symbol in zip(self.deltas, symbols, strict=True):
            if delta is not None:
                body += delta.to_bytes(1) if symbol == _SMALL else delta.to_bytes(2, signed=True)
        body += bytes(-len(body) % 4)
        words = (_HEAD.size + 4 + len(body)) // 4 - 1
        head = _HEAD.pack(0x80 | FEEDBACK_FORMAT, 205, words, self.ssrc, self.media_ssrc, self.base, len(self.deltas))
        return head + _WORD.pack((self.reference & 0xFF_FFFF) << 8 | self.count & 0xFF) + bytes(body)

    def arrivals(self) -> list[tuple[int, int | None]]:
        """Give each packet's sequence number (16 bits) and its time of arrival in ticks since the reference's zero."""
        time = self.reference * TICKS_OF_REFERENCE
        found: list[tuple[int, int | None]] = []
        for index, delta in enumerate(self.deltas):
            if delta is None:
                found.append(((self.base + index) & 0xFFFF, None))
            else:
                time += delta
                found.append(((self.base + index) & 0xFFFF, time))
        return found


def read_feedback(body: bytes) -> TransportFeedback:
    """Read what follows the RTCP header, without padding; PacketError when it is cut short or says too much."""
    if len(body) < 16:
        raise PacketError("The content of a transport feedback is cut short.")
    ssrc, media_ssrc, numbers, clock = struct.unpack_from("!LLLL", body)
    base, count = numbers >> 16, numbers & 0xFFFF
    if count > MOST_STATUSES:
        raise PacketError("A transport feedback speaks of too many packets.")
    runs: list[tuple[int, int]] = []  # a status, and how often it follows
    left, position = count, 16
    while left > 0:
        if position + 2 > len(body):
            raise PacketError("The statuses of a transport feedback are cut short.")
        chunk = body[position] << 8 | body[position + 1]
        position += 2
        if not chunk & 0x8000:
            if not chunk & 0x1FFF:
                raise PacketError("A run in a transport feedback has no length.")
            runs.append((chunk >> 13 & 3, min(chunk & 0x1FFF, left)))
            left -= chunk & 0x1FFF
            continue
        width, places, mask = (2, 7, 3) if chunk & 0x4000 else (1, 14, 1)
        runs += [(chunk >> (14 - width * place) & mask, 1) for place in range(1, min(places, left) + 1)]
        left -= places
    deltas: list[int | None] = []
    for symbol, often in runs:
        if symbol == _NOT:
            deltas += [None] * often
            continue
        size = 1 if symbol == _SMALL else 2
        if symbol not in (_SMALL, _WIDE) or position + size * often > len(body):
            raise PacketError("The times of a transport feedback are cut short.")
        for _ in range(often):
            deltas.append(int.from_bytes(body[position : position + size], signed=symbol == _WIDE))
            position += size
    return TransportFeedback(ssrc, media_ssrc, base, clock >> 8, clock & 0xFF, tuple(deltas))


def _chunks(symbols: list[int]) -> list[int]:
    """Pack statuses: runs where they are long, else fourteen of one bit or seven of two bits each."""
    chunks: list[int] = []
    position, end = 0, len(symbols)
    while position < end:
        symbol, run = symbols[position], 1
        while position + run < end and symbols[position + run] == symbol and run < 0x1FFF:
            run += 1
        has_wide = _WIDE in symbols[position : position + 14]
        if run >= (8 if has_wide else 15) or position + run == end:
            chunks.append(symbol << 13 | run)
            position += run
            continue
        width, places = (2, 7) if has_wide else (1, 14)
        chunk = 0x8000 | (0x4000 if has_wide else 0)
        for place, value in enumerate(symbols[position : position + places]):
            chunk |= value << (14 - width * (place + 1))
        chunks.append(chunk)
        position += places
    return chunks


class ArrivalLog:
    """The arrivals on one transport that are still to be told; at most 4000 are kept."""

    def __init__(self) -> None:
        self._highest: int | None = None  # extended
        self._next = 0  # the first extended number that was not told yet
        self._times: OrderedDict[int, int] = OrderedDict()  # extended number -> ticks, told ones of late too
        self._news = 0
        self._earliest_news: int | None = None
        self._count = 0

    @property
    def has_news(self) -> bool:
        return self._news > 0

    def arrived(self, sequence: int, now: float) -> None:
        """Note a packet by its transport-wide number (16 bits); one that came twice counts once."""
        highest = self._highest
        if highest is None:
            extended = self._next = sequence + 0x1_0000
            self._highest = extended
        else:
            step = ((sequence - highest + 0x8000) & 0xFFFF) - 0x8000
            extended = highest + step
            if abs(step) > MAX_STEP:
                extended = self._start_over(highest + (step & 0xFFFF))
            self._highest = max(self._highest or 0, extended)
        if extended in self._times:
            return
        self._times[extended] = int(now / TICK_S)
        if len(self._times) > KEPT_PACKETS:
            self._times.popitem(last=False)
        self._news += 1
        self._earliest_news = extended if self._earliest_news is None else min(self._earliest_news, extended)

    def take(self, ssrc: int, media_ssrc: int, now: float) -> list[TransportFeedback]:
        """Make the feedbacks that tell what is new, each small enough for one datagram; none when nothing is."""
        if self._earliest_news is None or self._highest is None:
            return []
        feedbacks: list[TransportFeedback] = []
        first = min(self._earliest_news, self._next)
        numbers, taken = sorted(number for number in self._times if number >= first), 0
        while taken < len(numbers):
            if numbers[taken] - first >= STATUSES_PER_PACKET:
                first = numbers[taken]
            deltas, reference = self._one(first, numbers, taken)
            taken += len(deltas) - deltas.count(None)
            count, self._count = self._count, (self._count + 1) & 0xFF
            feedbacks.append(
                TransportFeedback(ssrc, media_ssrc, first & 0xFFFF, reference & 0xFF_FFFF, count, tuple(deltas))
            )
            first += len(deltas)
        self._next, self._news, self._earliest_news = self._highest + 1, 0, None
        oldest = int((now - KEPT_S) / TICK_S)
        while self._times and next(iter(self._times.values())) < oldest:
            self._times.popitem(last=False)
        return feedbacks

    def _one(self, first: int, numbers: list[int], taken: int) -> tuple[list[int | None], int]:
        """Give the deltas of one feedback from `first` to the last arrival that fits into it, and its reference."""
        reference = self._times[numbers[taken]] // TICKS_OF_REFERENCE
        last = reference * TICKS_OF_REFERENCE
        deltas: list[int | None] = []
        for number in numbers[taken : taken + STATUSES_PER_PACKET]:
            time = self._times[number]
            if number - first >= STATUSES_PER_PACKET or not -LARGE <= time - last <= LARGE:
                break  # too many, or too far apart for one packet
            deltas += [None] * (number - first - len(deltas))
            deltas.append(time - last)
            last = time
        return deltas, reference

    def _start_over(self, extended: int) -> int:
        """Forget the numbers before a jump; what was not told of them stays untold."""
        self._times.clear()
        self._news, self._earliest_news, self._next = 0, None, extended
        return extended
