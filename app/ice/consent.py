"""Watch over one pair that was decided on: when to ask, when it counts as silent, interrupted, lost (RFC 7675).

Pure: counts and times only; watch.py makes and reads the Binding requests. The sooner it is known that a path has
died, the sooner a restart can mend it, and nobody should be alarmed for a lost packet. So suspicion is cheap (data
stops, an answer is late) and only makes us ask more often; belief needs both time without any sign of the peer and
several checks whose answers are overdue by twice the round trip.
"""

from __future__ import annotations

from enum import Enum

from app.ice.checklist import FLOWING_GAP_S, Pair
from app.ice.config import Timing
from app.ice.requests import RandomBits

MAX_OUTSTANDING = 64


class Change(Enum):
    """What the watch has found out."""

    SILENT = "silent"
    INTERRUPTED = "interrupted"
    RECOVERED = "recovered"
    EXPIRED = "expired"
    REACHABLE = "reachable"


class Consent:
    """The consent of one flow's peer: asked for every 4 to 6 seconds, more often while something is amiss."""

    def __init__(self, pair: Pair, timing: Timing, random_bits: RandomBits, now: float) -> None:
        self.pair = pair
        self.silent = self.interrupted = self.expired = False
        self._timing = timing
        self._random_bits = random_bits
        self._outstanding: dict[bytes, float] = {}  # when asked, since the last one that was answered; oldest first
        self._confirmed_at = self._heard_at = self._asked_at = now
        self._regular_at = now + self._interval()
        self._expired_at = 0.0

    def _interval(self) -> float:
        """Give the interval times 0.8 to 1.2, so that no two agents fall into step (RFC 7675 section 5.1)."""
        return self._timing.consent_interval_s * (0.8 + 0.4 * self._random_bits(16) / 65535)

    # What happens ------------------------------------------------------------------------------------------

    def asked(self, transaction_id: bytes, now: float) -> None:
        while len(self._outstanding) >= MAX_OUTSTANDING:
            self._outstanding.pop(next(iter(self._outstanding)))
        self._outstanding[transaction_id] = self._asked_at = now
        if now >= self._regular_at:
            self._regular_at = now + self._interval()

    def awaits(self, transaction_id: bytes) -> bool:
        return transaction_id in self._outstanding

    def answered(self, transaction_id: bytes, now: float) -> tuple[float, Change | None] | None:
        """Take an authenticated answer; gives its round trip in seconds and what it changes, None if not ours."""
        sent_at = self._outstanding.pop(transaction_id, None)
        if sent_at is None:
            return None
        self._heard_at = now
        self._outstanding = {asked: at for asked, at in self._outstanding.items() if at > sent_at}
        self._regular_at = max(self._regular_at, self._asked_at + self._timing.consent_interval_s * 0.8)
        if self.expired:
            return now - sent_at, Change.REACHABLE
        self._confirmed_at = now
        if now >= self._quiet_at:
            self.pair.data_gap_s = None  # the peer is well and sends nothing: that is its will
        change = Change.RECOVERED if self.silent else None
        self.silent = self.interrupted = False
        return now - sent_at, change

    def poll(self, now: float) -> list[Change]:
        """Give what has become true by now, in order."""
        if self.expired:
            return []
        if now >= self.expires_at:
            self.expired, self._expired_at = True, now
            return [Change.EXPIRED]
        changes = []
        if not self.silent and now >= self._believed_at(self._timing.silent_s):
            self.silent = True
            changes.append(Change.SILENT)
        if self.silent and not self.interrupted and now >= self._believed_at(self._timing.interrupted_s):
            self.interrupted = True
            changes.append(Change.INTERRUPTED)
        return changes

    def broken(self) -> list[Change]:
        """Take note that the way is gone for certain; gives what has become true by that."""
        told = [Change.SILENT] * (not self.silent) + [Change.INTERRUPTED] * (not self.interrupted)
        self.silent = self.interrupted = True
        return [] if self.expired else told

    # When ------------------------------------------------------------------------------------------------

    @property
    def expires_at(self) -> float:
        return self._confirmed_at + self._timing.consent_timeout_s

    @property
    def ask_at(self) -> float:
        """Say when to send the next check; infinity when none is to be sent any more."""
        timing = self._timing
        if self.expired:
            if not self._outstanding:
                return self._regular_at  # the last one was answered
            at = self._asked_at + timing.expired_probe_s
            return at if at < self._expired_at + timing.expired_probing_s else float("inf")
        suspected_at = min(self._quiet_at, self._late_at)
        if self.interrupted:
            pause_s = timing.probe_s
        elif self._heard_since(next(iter(self._outstanding.values()), None)):
            pause_s = timing.one_way_burst_s
        else:
            pause_s = timing.burst_s
        return min(self._regular_at, max(suspected_at, self._asked_at + pause_s))

    def next_timeout(self) -> float:
        if self.expired:
            return self.ask_at
        times = [self.ask_at, self.expires_at]
        if not self.silent:
            times.append(self._believed_at(self._timing.silent_s))
        elif not self.interrupted:
            times.append(self._believed_at(self._timing.interrupted_s))
        return min(times)

    @property
    def confirmed_at(self) -> float:
        """Say when a check was last answered, or when the watch began."""
        return self._confirmed_at

    @property
    def heard_at(self) -> float:
        return max(self._heard_at, self.pair.heard_at)

    @property
    def _answer_s(self) -> float:
        return max(self._timing.answer_wait_s, 2 * (self.pair.rtt_s or 0.0))

    @property
    def _quiet_at(self) -> float:
        """Say from when it is strange that no data comes; infinity when none has been flowing."""
        gap_s = self.pair.data_gap_s
        if gap_s is None:
            return float("inf")
        return self.pair.data_at + min(max(self._timing.quiet_s, 2 * gap_s), FLOWING_GAP_S)

    @property
    def _late_at(self) -> float:
        """Say from when the oldest unanswered check is overdue; infinity when none is out."""
        oldest = next(iter(self._outstanding.values()), None)
        return float("inf") if oldest is None else oldest + self._answer_s

    def _heard_since(self, at: float | None) -> bool:
        return at is not None and self.heard_at > at

    def _believed_at(self, silence_s: float) -> float:
        """Say when so much silence is to be believed, if nothing comes; infinity while too few checks are out."""
        timing, heard_at = self._timing, self.heard_at
        asked = list(self._outstanding.values())
        one_way = float("inf")
        if len(asked) >= timing.one_way_checks:
            one_way = max(asked[0] + timing.one_way_s, asked[timing.one_way_checks - 1] + self._answer_s)
        in_silence = [at for at in asked if at >= heard_at]
        if len(in_silence) < timing.burst_checks:
            return one_way
        since = in_silence[0] if self.pair.data_gap_s is None else heard_at
        silent = max(since + silence_s, in_silence[timing.burst_checks - 1] + self._answer_s)
        return min(one_way, silent)
