"""How much each stream of a transport may send: what streams ask for, and how an estimate is shared out among them.

All rates are bits per second on the wire, with RTP, SRTP, UDP and IP (`PACKET_OVERHEAD_BYTES` a packet), since that is
what a narrow path counts. Pure.
"""

from __future__ import annotations

from dataclasses import dataclass

# IPv4 20 (IPv6 20 more), UDP 8, RTP 12, header extensions with MID and transport sequence number 12, SRTP tag 10 to 16
PACKET_OVERHEAD_BYTES = 64

# The most that sound uses, with all that repairs its losses: loss alone takes nothing of it. It is so little that a
# path which does not carry it lets its packets wait, and is known by that.
SOUND_BPS = 160_000

PLENTY_BPS = 600_000  # for pictures: of what goes beyond it …
FINER_SHARE = 0.125  # … sound may take so much, for what is more than enough

SHORT_S = 1.5  # too little for so long: pictures pause; another call on the same wire makes it so for a moment …
FAR_SHORT = 0.4  # … at once when it is far too little
ENOUGH = 1.15  # of what all need at least …
ENOUGH_S = 1.0  # … for so long: they come back …
AGAIN_S = 20.0  # … twice as late each time they had to go again so soon after
MOST_ENOUGH_S = 30.0


@dataclass(frozen=True, slots=True)
class BitrateWish:
    """What a stream can use: below `least_bps` it is better silent, above `most_bps` nothing gets better.

    Sound may say from where on it gets but little better: more than `enough_bps` then takes nothing that pictures need.
    """

    least_bps: int
    most_bps: int
    enough_bps: int | None = None

    @property
    def first_bps(self) -> int:
        """What goes before pictures."""
        return self.most_bps if self.enough_bps is None else min(self.most_bps, self.enough_bps)


@dataclass(frozen=True, slots=True)
class Asker:
    """A stream that wants a share. `limit_bps`: the most that its peer asked for (TMMBR)."""

    name: str
    is_sound: bool
    wish: BitrateWish
    limit_bps: float | None = None


class Allocator:
    """Shares an estimate out: sound first, then pictures; pictures pause before sound suffers.

    A paused picture comes back when the estimate has held above what both need for a while.
    """

    def __init__(self) -> None:
        self.paused: frozenset[str] = frozenset()  # streams of pictures that may send nothing now
        self._short_since: float | None = None
        self._enough_since: float | None = None
        self._enough_s = ENOUGH_S
        self._back_at: float | None = None

    def share(self, askers: list[Asker], estimate_bps: float, now: float) -> dict[str, int]:
        """Give each stream its rate, 0 to a paused one."""
        shares: dict[str, int] = {}
        left = estimate_bps
        sounds = [asker for asker in askers if asker.is_sound]
        pictures = [asker for asker in askers if not asker.is_sound]
        least_sound = sum(asker.wish.least_bps for asker in sounds)
        least_pictures = sum(asker.wish.least_bps for asker in pictures)
        self._decide(pictures, least_sound + least_pictures, estimate_bps, now)
        paused = self.paused
        # Sound may have all it wants as long as pictures keep their least, or there are none.
        kept = 0 if paused else least_pictures
        finer = max(0.0, left - sum(asker.wish.first_bps for asker in sounds) - PLENTY_BPS) * FINER_SHARE
        for asker in sounds:
            most = asker.wish.most_bps if not pictures else min(asker.wish.most_bps, asker.wish.first_bps + finer)
            others = sum(other.wish.least_bps for other in sounds if other.name not in shares and other is not asker)
            rate = max(asker.wish.least_bps, min(most, left - kept - others))
            shares[asker.name] = int(_limited(rate, asker))
            left -= shares[asker.name]
        for index, asker in enumerate(pictures):
            if asker.name in paused:
                shares[asker.name] = 0
                continue
            rate = min(asker.wish.most_bps, max(asker.wish.least_bps, left / (len(pictures) - index)))
            shares[asker.name] = max(1, int(_limited(rate, asker)))
            left -= shares[asker.name]
        return shares

    def _decide(self, pictures: list[Asker], least_bps: float, estimate_bps: float, now: float) -> None:
        """Pause pictures that have not enough for a while, bring them back when there is clearly enough."""
        if not pictures:
            self.paused = frozenset()
            self._short_since = self._enough_since = None
            return
        names = frozenset(asker.name for asker in pictures)
        if not self.paused:
            self._enough_since = None
            if estimate_bps >= least_bps:
                self._short_since = None
                return
            self._short_since = now if self._short_since is None else self._short_since
            if now - self._short_since >= SHORT_S or estimate_bps < least_bps * FAR_SHORT:
                self.paused = names
                is_soon = self._back_at is not None and now - self._back_at < AGAIN_S
                self._enough_s = min(MOST_ENOUGH_S, self._enough_s * 2) if is_soon else ENOUGH_S
            return
        self.paused = names
        self._short_since = None
        if estimate_bps < least_bps * ENOUGH:
            self._enough_since = None
            return
        self._enough_since = now if self._enough_since is None else self._enough_since
        if now - self._enough_since >= self._enough_s:
            self.paused = frozenset()
            self._enough_since = None
            self._back_at = now


def _limited(rate: float, asker: Asker) -> float:
    return rate if asker.limit_bps is None else min(rate, max(asker.limit_bps, asker.wish.least_bps))
