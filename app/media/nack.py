"""Which packets are missing, when to ask for them again, and when to give them up (RFC 4585 section 6.2.1).

Pure: `now` in monotonic seconds comes in; sequence numbers are extended ones.
"""

from __future__ import annotations

from dataclasses import dataclass

REORDER_S = 0.008  # a packet that late may just have been overtaken
REORDER_PACKETS = 3  # … or so many after it came
MOST_TRIES = 10
MOST_MISSING = 300
GIVE_UP_S = 0.35  # at least; more on a long path
PATIENCE_S = 0.060  # where nothing can be asked for
LEAST_INTERVAL_S = 0.020


@dataclass(slots=True)
class _Missing:
    since: float
    next_ask: float
    tries: int = 0


class NackTracker:
    """Follows the gaps in one source's packets; with `asks` off it only waits for overtaken ones."""

    def __init__(self, *, asks: bool = True) -> None:
        self._asks = asks
        self._missing: dict[int, _Missing] = {}
        self._highest: int | None = None
        self.given_up = 0

    @property
    def is_waiting(self) -> bool:
        return bool(self._missing)

    def is_missing(self, sequence: int) -> bool:
        """Tell whether this packet may still come."""
        return sequence in self._missing

    def arrived(self, sequence: int, now: float) -> bool:
        """Take a packet; gives whether it fills a gap."""
        highest = self._highest
        if highest is None:
            self._highest = sequence
            return False
        if sequence <= highest:
            return self._missing.pop(sequence, None) is not None
        gap = sequence - highest - 1
        if gap > MOST_MISSING:
            self.given_up += gap
            self._missing.clear()
        else:
            for number in range(highest + 1, sequence):
                self._missing[number] = _Missing(now, now + REORDER_S)
        self._highest = sequence
        while len(self._missing) > MOST_MISSING:
            del self._missing[next(iter(self._missing))]
            self.given_up += 1
        return False

    def due(self, now: float, rtt_s: float) -> list[int]:
        """Give what to ask for now, ascending; forgets what is hopeless (`is_missing` then says False)."""
        if not self._missing or self._highest is None:
            return []
        lifetime = max(GIVE_UP_S, 3 * rtt_s) if self._asks else PATIENCE_S
        asked: list[int] = []
        for sequence, missing in list(self._missing.items()):
            if missing.tries >= MOST_TRIES or now - missing.since > lifetime:
                del self._missing[sequence]
                self.given_up += 1
            elif self._asks and (
                now >= missing.next_ask or (not missing.tries and self._highest - sequence >= REORDER_PACKETS)
            ):
                missing.tries += 1
                missing.next_ask = now + max(LEAST_INTERVAL_S, rtt_s * 1.25) * (1 + 0.25 * missing.tries)
                asked.append(sequence)
        return asked

    def forget_before(self, sequence: int) -> None:
        """Stop wanting what comes before `sequence`."""
        for number in [number for number in self._missing if number < sequence]:
            del self._missing[number]

    def reset(self) -> None:
        self._missing.clear()
        self._highest = None
