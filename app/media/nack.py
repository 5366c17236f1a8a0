"""Which packets are missing, when to ask for them again, and when to give them up (RFC 4585 section 6.2.1).

Pure: `now` in monotonic seconds comes in; sequence numbers are extended ones.
"""

from __future__ import annotations

from dataclasses import dataclass

MOST_REORDER_S = 0.030  # a packet that late may just have been overtaken, where that was seen before
REORDER_FADES = 0.98  # … by each packet that came in order
MOST_TRIES = 10
QUICK_TRIES = 3  # then the path is in trouble, and asking takes its time
MARGIN_S = 0.010  # above a round trip, before asking again
MOST_MISSING = 300
GIVE_UP_S = 0.35  # at least; more on a long path
PATIENCE_S = 0.060  # where nothing can be asked for
LEAST_INTERVAL_S = 0.020
LOSSY_SHARE = 0.015  # of packets: what was asked may be lost as well, so it is asked twice; as after the first time
TWICE_AFTER_S = 0.008
_LOSS_SMOOTHING = 0.01


@dataclass(slots=True)
class _Missing:
    since: float
    next_ask: float
    tries: int = 0
    again_at: float | None = None  # the same once more
    asked_at: float = 0.0


class NackTracker:
    """Follows the gaps in one source's packets; with `asks` off it only waits for overtaken ones.

    `give_up_s`: for how long a packet is of use once it is missing; None: as long as a picture can wait for it.
    """

    def __init__(self, *, asks: bool = True, give_up_s: float | None = None) -> None:
        self._asks = asks
        self._give_up_s = give_up_s
        self._missing: dict[int, _Missing] = {}
        self._highest: int | None = None
        self._reorder_s = 0.0
        self._loss = 0.0  # share of packets that did not come in their turn, smoothed
        self._rtt_s = 0.0
        self.given_up = 0

    @property
    def is_waiting(self) -> bool:
        return bool(self._missing)

    def is_missing(self, sequence: int) -> bool:
        """Tell whether this packet may still come."""
        return sequence in self._missing

    def was_asked(self, sequence: int) -> bool:
        """Tell whether this packet is missing and was asked for."""
        missing = self._missing.get(sequence)
        return missing is not None and missing.tries > 0

    def arrived(self, sequence: int, now: float) -> bool:
        """Take a packet; gives whether it fills a gap."""
        highest = self._highest
        if highest is None:
            self._highest = sequence
            return False
        if sequence <= highest:
            return self._filled(self._missing.pop(sequence, None), now)
        gap = sequence - highest - 1
        if gap > MOST_MISSING:
            self.given_up += gap
            self._missing.clear()
        else:
            for number in range(highest + 1, sequence):
                self._missing[number] = _Missing(now, now + self._reorder_s)
        self._loss += ((1.0 if gap else 0.0) - self._loss) * _LOSS_SMOOTHING
        self._reorder_s *= REORDER_FADES
        self._highest = sequence
        while len(self._missing) > MOST_MISSING:
            del self._missing[next(iter(self._missing))]
            self.given_up += 1
        return False

    def _filled(self, missing: _Missing | None, now: float) -> bool:
        """Note what a gap that was filled says: sooner than an answer can come it was only overtaken."""
        if missing is None:
            return False
        if not missing.tries or now - missing.asked_at < self._rtt_s / 2:
            self._reorder_s = max(self._reorder_s, min(MOST_REORDER_S, (now - missing.since) * 1.5))
        return True

    def oldest_s(self, now: float) -> float:
        """For how long the oldest gap has been waited for; 0 without one."""
        return max((now - missing.since for missing in self._missing.values()), default=0.0)

    def due(self, now: float, rtt_s: float) -> list[int]:
        """Give what to ask for now, ascending; forgets what is hopeless (`is_missing` then says False)."""
        if not self._missing or self._highest is None:
            return []
        lifetime = self._lifetime_s(rtt_s)
        self._rtt_s = rtt_s
        asked: list[int] = []
        for sequence, missing in list(self._missing.items()):
            if missing.tries >= MOST_TRIES or now - missing.since > lifetime:
                del self._missing[sequence]
                self.given_up += 1
            elif self._asks and now >= missing.next_ask:
                missing.tries += 1
                patience = 1.0 if missing.tries < QUICK_TRIES else 1.5
                missing.next_ask = now + max(LEAST_INTERVAL_S, rtt_s + MARGIN_S) * patience
                is_doubtful = self._loss > LOSSY_SHARE or missing.tries > 1
                missing.again_at = now + TWICE_AFTER_S if is_doubtful else None
                missing.asked_at = now
                asked.append(sequence)
            elif missing.again_at is not None and now >= missing.again_at:
                missing.again_at = None
                asked.append(sequence)
        return asked

    def _lifetime_s(self, rtt_s: float) -> float:
        if not self._asks:
            return PATIENCE_S
        return max(GIVE_UP_S, 3 * rtt_s) if self._give_up_s is None else self._give_up_s

    def forget_before(self, sequence: int) -> None:
        """Stop wanting what comes before `sequence`."""
        for number in [number for number in self._missing if number < sequence]:
            del self._missing[number]

    def reset(self) -> None:
        self._missing.clear()
        self._highest = None
