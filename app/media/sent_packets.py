"""What was sent on a transport and not yet spoken of: matches transport-wide feedback to packets. Pure."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

from app.media.twcc import TICK_S, TransportFeedback

MOST_KEPT = 8_000
FORGOTTEN_S = 2.0  # no word for so long: neither under way nor of use
_WRAP_TICKS = 1 << 32  # of a reference of 24 bits that counts 64 ms


@dataclass(frozen=True, slots=True)
class PacketResult:
    """One packet of ours that feedback speaks of. `arrived_at` on the peer's clock; None: it has not arrived."""

    sent_at: float
    arrived_at: float | None
    size: int  # on the wire, bytes
    probe: int | None = None


@dataclass(slots=True)
class _Sent:
    sent_at: float
    size: int
    probe: int | None
    is_missing: bool = False  # a feedback spoke of it and it had not arrived
    is_repeated: bool = False  # under the same number: what arrives now was lost on its way before


class SentPackets:
    """Numbers packets and remembers them until feedback comes; at most 8000."""

    def __init__(self) -> None:
        self._kept: OrderedDict[int, _Sent] = OrderedDict()  # by extended number, in the order of sending
        self._next = 1
        self._reference: int | None = None  # ticks, extended
        self.in_flight_bytes = 0

    def number(self, size: int, now: float, probe: int | None = None) -> int:
        """Give the next packet's transport-wide number (16 bits) and remember it."""
        number, self._next = self._next, self._next + 1
        self._kept[number] = _Sent(now, size, probe)
        self.in_flight_bytes += size
        if len(self._kept) > MOST_KEPT:
            self._forget(next(iter(self._kept)))
        return number & 0xFFFF

    def repeated(self, number: int) -> None:
        """The packet of this number (16 bits) leaves once more as it is: whenever it arrives now, it was lost first."""
        sent = self._kept.get(self._extend(number))
        if sent is not None:
            sent.is_repeated = sent.is_missing = True

    def feedback(self, feedback: TransportFeedback, now: float) -> list[PacketResult]:
        """Match a feedback: what arrived or was lost since the last one, in the order of sending.

        A packet that is said to be missing may have been overtaken: it counts as lost when the next feedback does not
        know of it either. One of which none spoke before others did is forgotten: the feedback about it was lost.
        """
        if not feedback.deltas:
            return []
        base = self._extend(feedback.base)
        time = self._reference_time(feedback.reference)
        results: list[PacketResult] = []
        while self._kept and (number := next(iter(self._kept))) < base:
            self._give_up(number, results)
        # A feedback of a few bytes may speak of thousands: only those that are kept are looked at one by one.
        deltas = feedback.deltas
        begin = next(iter(self._kept)) - base if self._kept else len(deltas)
        time += sum(filter(None, deltas[:begin]))
        for index in range(begin, min(len(deltas), self._next - base)):
            number, delta = base + index, deltas[index]
            sent = self._kept.get(number)
            if delta is not None:
                time += delta
            if sent is None:
                continue
            if delta is not None and not sent.is_repeated:
                results.append(PacketResult(sent.sent_at, time * TICK_S, sent.size, sent.probe))
                self._forget(number)
            elif sent.is_missing:
                self._give_up(number, results)
            else:
                sent.is_missing = True
        self.drop_old(now)
        return results

    def _give_up(self, number: int, results: list[PacketResult]) -> None:
        sent = self._kept[number]
        if sent.is_missing:
            results.append(PacketResult(sent.sent_at, None, sent.size, sent.probe))
        self._forget(number)

    def drop_old(self, now: float) -> None:
        """Forget packets of which no word came in two seconds."""
        while self._kept:
            number, sent = next(iter(self._kept.items()))
            if now - sent.sent_at <= FORGOTTEN_S:
                return
            self._forget(number)

    @property
    def unheard_since(self) -> float | None:
        """When the oldest packet left of which no feedback has spoken; None when all were spoken of."""
        return next((sent.sent_at for sent in self._kept.values() if not sent.is_missing), None)

    def reset_flight(self) -> None:
        """Take everything for gone: another path carries the transport now."""
        self._kept.clear()
        self.in_flight_bytes = 0

    def _forget(self, number: int) -> None:
        sent = self._kept.pop(number, None)
        if sent is not None:
            self.in_flight_bytes -= sent.size

    def _extend(self, number: int) -> int:
        newest = self._next - 1
        return newest + ((number - newest + 0x8000) & 0xFFFF) - 0x8000

    def _reference_time(self, reference: int) -> int:
        """Give the reference's time in ticks without its wraps (every twelve days)."""
        ticks = reference << 8
        if self._reference is None:
            self._reference = ticks
        else:
            half = _WRAP_TICKS >> 1
            self._reference += ((ticks - self._reference + half) % _WRAP_TICKS) - half
        return self._reference
