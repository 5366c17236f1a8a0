"""How much to send: a simple loss-based controller between fixed bounds.

Above 10 % loss it falls by half the loss, below 2 % it rises by 8 % a report; between it holds. The peer's REMB is a
ceiling. Pure.
"""

from __future__ import annotations

LEAST_BPS = 100_000
RISE = 1.08
HIGH_LOSS = 0.10
LOW_LOSS = 0.02
REMB_HOLDS_S = 10.0


def most_bitrate(width: int, height: int, fps: int) -> int:
    """Give the most that a picture of that size is worth, in bits per second."""
    pixels = width * height * max(1, fps)
    return int(min(4_000_000, max(200_000, pixels * 0.11)))


class BitrateControl:
    """Follows receiver reports of one source."""

    def __init__(self, start_bps: int, most_bps: int) -> None:
        self._most = most_bps
        self._rate = float(min(start_bps, most_bps))
        self._ceiling: float | None = None
        self._ceiling_at = 0.0

    @property
    def target_bps(self) -> int:
        rate, ceiling = self._rate, self._ceiling  # read once: the loop may end a ceiling while the encoder asks
        return int(max(LEAST_BPS, rate if ceiling is None else min(rate, ceiling)))

    def report(self, fraction_lost: int, now: float) -> None:
        """Take the loss of one report interval, 0..255 for 0..100 %."""
        loss = fraction_lost / 256
        if loss > HIGH_LOSS:
            self._rate = max(LEAST_BPS, self._rate * (1 - loss / 2))
        elif loss < LOW_LOSS:
            self._rate = min(self._most, self._rate * RISE)
        if self._ceiling is not None and now - self._ceiling_at > REMB_HOLDS_S:
            self._ceiling = None

    def limit(self, bitrate_bps: int, now: float) -> None:
        """Take the peer's estimate of what the path carries."""
        self._ceiling, self._ceiling_at = float(max(LEAST_BPS, bitrate_bps)), now
