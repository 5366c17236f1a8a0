"""Consent freshness on a selected pair: when to ask, when the path counts as interrupted, when as lost (RFC 7675).

Pure: counts and times only; the agent makes and reads the Binding requests.
"""

from __future__ import annotations

from app.ice.config import Timing
from app.ice.requests import RandomBits

ANSWER_WITHIN_S = 0.5


class Consent:
    """The consent of one stream's peer, asked for every 4 to 6 seconds without retransmissions."""

    def __init__(self, timing: Timing, random_bits: RandomBits, now: float) -> None:
        self._timing = timing
        self._random_bits = random_bits
        self._outstanding: dict[bytes, float] = {}
        self.confirmed_at = self.heard_at = now
        self.interrupted = False
        self.ask_at = now + self._interval()

    def _interval(self) -> float:
        """Give the interval times 0.8 to 1.2, so that no two agents fall into step (RFC 7675 section 5.1)."""
        return self._timing.consent_interval_s * (0.8 + 0.4 * self._random_bits(16) / 65535)

    @property
    def expires_at(self) -> float:
        return self.confirmed_at + self._timing.consent_timeout_s

    def asked(self, transaction_id: bytes, now: float) -> None:
        self._outstanding[transaction_id] = now
        self.ask_at = now + self._interval()

    def awaits(self, transaction_id: bytes) -> bool:
        return transaction_id in self._outstanding

    def answered(self, transaction_id: bytes, now: float) -> float | None:
        """Take an authenticated answer; gives its round trip in seconds, None when it answers nothing of ours."""
        sent_at = self._outstanding.pop(transaction_id, None)
        if sent_at is None:
            return None
        self.confirmed_at = self.heard_at = now
        self._outstanding = {asked: at for asked, at in self._outstanding.items() if at > sent_at}
        return now - sent_at

    def heard(self, at: float) -> None:
        """Take note that something else came from the peer on the selected pair."""
        self.heard_at = max(self.heard_at, at)

    @property
    def interrupted_at(self) -> float | None:
        """Say from when the path counts as interrupted if nothing comes; None while too few checks are out.

        While anything else is still heard from the peer, more checks must go missing: some loss is no silence.
        """
        asked = sorted(self._outstanding.values())
        few, many = self._timing.missed_until_interrupted, 2 * self._timing.missed_until_interrupted - 1
        if len(asked) < few:
            return None
        silent_from = max(asked[few - 1] + ANSWER_WITHIN_S, self.heard_at + self._timing.consent_interval_s)
        return silent_from if len(asked) < many else min(silent_from, asked[many - 1] + ANSWER_WITHIN_S)

    def next_timeout(self) -> float:
        times = [self.ask_at, self.expires_at]
        if not self.interrupted and self.interrupted_at is not None:
            times.append(self.interrupted_at)
        return min(times)
