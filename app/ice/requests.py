"""When an unanswered STUN request is sent again, and when it is given up (RFC 8489 section 6.2.1).

Pure: the owner asks with the time in its hand.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

from app.ice.config import Timing

RandomBits = Callable[[int], int]
"""Gives a number of that many random bits: secrets.randbits, or a seeded Random's getrandbits in a test."""


def transaction_id(random_bits: RandomBits) -> bytes:
    return random_bits(96).to_bytes(12, "big")


class Due(Enum):
    NOTHING = "nothing"
    SEND = "send"
    TIMEOUT = "timeout"


@dataclass(slots=True)
class Schedule:
    """The retransmission times of one request: RTO, doubled each time, Rc sends, then Rm times the first RTO."""

    rto_s: float
    retransmissions: int
    last_wait: float
    next_at: float
    longest_s: float = float("inf")
    attempts: int = 0
    sent_at: float = 0.0

    @classmethod
    def start(cls, timing: Timing, now: float, rto_s: float | None = None) -> Schedule:
        return cls(rto_s or timing.rto_s, timing.retransmissions, timing.last_wait, now)

    @classmethod
    def start_on_live_path(cls, timing: Timing, now: float, rto_s: float) -> Schedule:
        """Retransmit steadily toward a peer that was heard there: only loss can be why it does not answer."""
        longest_s = max(rto_s, timing.live_interval_s)
        return cls(rto_s, timing.live_retransmissions, timing.last_wait, now, longest_s)

    @classmethod
    def once(cls, timing: Timing, now: float) -> Schedule:
        """Send once over a reliable transport, which repeats by itself, and wait as long for the answer."""
        return cls(timing.rto_s, 1, timing.last_wait, now)

    def poll(self, now: float) -> Due:
        """Say what to do now; after SEND the caller sends, and the next time is set."""
        if now < self.next_at:
            return Due.NOTHING
        if self.attempts >= self.retransmissions:
            return Due.TIMEOUT
        last = self.attempts == self.retransmissions - 1
        wait_s = self.rto_s * (self.last_wait if last else 2**self.attempts)
        self.next_at = now + (wait_s if last else min(wait_s, self.longest_s))
        self.attempts += 1
        self.sent_at = now
        return Due.SEND

    def rtt(self, now: float) -> float | None:
        """Give the round trip of an answer that came now; None after a retransmission, since it is ambiguous."""
        return now - self.sent_at if self.attempts == 1 else None
