"""How late packets come, and how much delay a playout should therefore keep.

Every packet's transit (arrival minus media time) is compared with the smallest of the last 5 to 10 seconds: the rest is
its lateness. The target is the lateness that all but about one packet in two hundred keep below; while packets get lost
that the one after them could bring back, it is at least the duration of a packet, and while lost packets come again it
is their lateness. Where for a while every packet comes later than any delay would cover, the smallest of that while
counts at once: the way has become longer, or the sender's sound card has left something out, and whoever goes on to
compare with what was before plays too fast, runs dry and invents sound until the 10 seconds are over. Pure: `now` comes
in.
"""

from __future__ import annotations

import heapq
from collections import deque

LEAST_S = 0.016
MOST_S = 0.160
MARGIN_S = 0.005
START_S = 0.020
WINDOW_S = 5.0
BEGINNING_S = 2.0  # both ends are busy with beginning a call: what is late in that time counts …
BEGINNING_WINDOW_S = 1.0  # … only for so long
MOST_IN_WINDOW = 600
IGNORED_SHARE = 0.004  # of the latest packets: each of them is heard
BASE_BUCKET_S = 5.0
JUMP_S = 2.0  # a transit so far from the others is an error, or with two more like it, a new time line
JUMPS_BELIEVED = 3
JUMPS_LAST_S = 0.030  # … over so long: after a stall any number of them come at once
STEP_STANDS_S = 0.4  # so long every packet comes later than any delay covers: after a single stall some come in time …
STEP_PACKETS = 10  # … and so many of them
FALL_A_SECOND = 0.025
FIRST_FALL_A_SECOND = 0.080  # … until the call has settled
SETTLED_S = 6.0
LOOK_EVERY_PACKETS = 10
ONE_STALL_S = 1.0  # packets that come after their time so close together are one matter
TOO_LATE_REMEMBERED_S = 20.0  # … where it happens again in this time it will once more: so long …
MOST_TOO_LATE_S = 0.036  # … the lateness is kept as delay, up to this
TOO_LATE_FALL_A_SECOND = 0.002
LOSS_REMEMBERED_S = 6.0
REPAIRS_REMEMBERED_S = 5.0
REPAIRS_WORTH = 3  # lost packets that came again in that time: fewer are not worth the delay
REPAIRED_SHARE = 0.95  # of those are waited for …
MOST_REPAIR_S = 0.200  # … but no longer
CHEAP_REPAIR_S = 0.045  # so much is worth it for a single one
STEADY_S = 0.040  # a little less delay is no reason to change it while packets are lost
REPAIR_FALL_A_SECOND = 0.090
DRIFT_BUCKETS = 24  # two minutes
LEAST_DRIFT_BUCKETS = 6
LOW_WATER_FRAMES = 12
LONG_QUARTERS = 16


class DelayTracker:
    """Lateness statistics of one stream; media times and `now` in seconds.

    `held_back_s` is added to what the packets ask for.
    """

    def __init__(self) -> None:
        self._lateness: deque[tuple[float, float]] = deque(maxlen=MOST_IN_WINDOW)  # until when it counts, how much
        self._began: float | None = None
        self._bucket_until = 0.0
        self._bucket_least = 0.0
        self._before_least = 0.0
        self._leasts: deque[tuple[float, float]] = deque(maxlen=DRIFT_BUCKETS)
        self._count = 0
        self._fell_at = 0.0
        self._looked_at = 0.0
        self._jumps = 0
        self._jumped_at = 0.0
        self._step_since: float | None = None  # from then on every packet has come later than any delay covers
        self._step_least = 0.0
        self._step_count = 0
        self._packet_target_s = START_S
        self._late_floor_s = 0.0
        self._late_at = -TOO_LATE_REMEMBERED_S
        self._late_until = 0.0
        self._loss_floor_s = 0.0
        self._loss_until = 0.0
        self._repairs: deque[tuple[float, float]] = deque(maxlen=MOST_IN_WINDOW)  # until when it counts, how late
        self._repair_floor_s = 0.0
        self.held_back_s = 0.0
        self.base: float | None = None

    @property
    def target_s(self) -> float:
        """How much delay to keep."""
        usual = min(MOST_S, max(self._packet_target_s, self._late_floor_s, self._loss_floor_s))
        return max(usual, self._repair_floor_s) + self.held_back_s

    @property
    def covers_losses(self) -> bool:
        """Whether some of the delay is kept for lost packets, which then come just in time."""
        return self._repair_floor_s > 0 or self._loss_floor_s > 0

    @property
    def drift_ppm(self) -> float | None:
        """How much faster than ours the sender's clock runs, in parts per million; None in the first half minute."""
        count = len(self._leasts)
        if count < LEAST_DRIFT_BUCKETS:
            return None
        mean_at = sum(at for at, _ in self._leasts) / count
        mean_least = sum(least for _, least in self._leasts) / count
        spread = sum((at - mean_at) ** 2 for at, _ in self._leasts)
        return -1e6 * sum((at - mean_at) * (least - mean_least) for at, least in self._leasts) / spread

    def arrived(self, media_s: float, now: float, *, is_repaired: bool = False) -> float:
        """Take one packet; gives its lateness in seconds. `is_repaired`: it was lost and came again."""
        transit = now - media_s
        if self.base is not None and abs(transit - self.base) > JUMP_S:
            self._jumped_at = now if not self._jumps else self._jumped_at
            self._jumps += 1
            if self._jumps < JUMPS_BELIEVED or now - self._jumped_at < JUMPS_LAST_S:
                return 0.0
            self.base = None
            self._leasts.clear()
        self._jumps = 0
        if self.base is None:
            self._bucket_least = self._before_least = transit
            self._bucket_until = now + BASE_BUCKET_S
        elif now >= self._bucket_until:
            self._leasts.append((self._bucket_until, self._bucket_least))
            self._before_least, self._bucket_least = self._bucket_least, transit
            self._bucket_until = now + BASE_BUCKET_S
        self._bucket_least = min(self._bucket_least, transit)
        self.base = min(self._bucket_least, self._before_least)
        if not is_repaired:
            self._follow_step(transit, now)
        lateness = transit - self.base
        if self._began is None:
            self._began = now
        age = now - self._began
        passed_s, self._fell_at = now - self._fell_at, now
        self._follow_repairs(lateness if is_repaired else None, passed_s, now)
        if is_repaired:
            return lateness
        self._follow_too_late(lateness if age >= BEGINNING_S else 0.0, passed_s, now)
        self._lateness.append((now + (BEGINNING_WINDOW_S if age < BEGINNING_S else WINDOW_S), lateness))
        self._count += 1
        if lateness + MARGIN_S > self._packet_target_s or self._count % LOOK_EVERY_PACKETS == 0:
            fall = FIRST_FALL_A_SECOND if age < SETTLED_S else FALL_A_SECOND
            fallen = self._packet_target_s - fall * (now - self._looked_at)
            self._packet_target_s = max(self._wanted(now), fallen)
            self._looked_at = now
        return lateness

    def _follow_step(self, transit: float, now: float) -> None:
        """Begin anew with the packets of the last while where all of them came later than any delay covers."""
        assert self.base is not None
        if transit - self.base <= max(MOST_S, self.target_s):
            self._step_since = None
            return
        if self._step_since is None:
            self._step_since, self._step_least, self._step_count = now, transit, 0
        self._step_least = min(self._step_least, transit)
        self._step_count += 1
        if now - self._step_since < STEP_STANDS_S or self._step_count < STEP_PACKETS:
            return
        step = self._step_least - self.base
        self._lateness = deque(((until, max(0.0, late - step)) for until, late in self._lateness), MOST_IN_WINDOW)
        self.base = self._bucket_least = self._before_least = self._step_least
        self._bucket_until = now + BASE_BUCKET_S
        self._step_since = None
        self._leasts.clear()

    def _follow_too_late(self, lateness: float, passed_s: float, now: float) -> None:
        """Keep some more delay for a while where packets come too late to be played again and again."""
        if lateness > self.target_s:
            since_s, self._late_at = now - self._late_at, now
            if ONE_STALL_S < since_s < TOO_LATE_REMEMBERED_S:
                self._late_floor_s = max(self._late_floor_s, min(MOST_TOO_LATE_S, lateness + MARGIN_S))
                self._late_until = now + TOO_LATE_REMEMBERED_S
        elif now >= self._late_until:
            self._late_floor_s = max(0.0, self._late_floor_s - TOO_LATE_FALL_A_SECOND * passed_s)

    def _follow_repairs(self, lateness: float | None, passed_s: float, now: float) -> None:
        """Keep the delay that lost packets need to come again, while they do."""
        if now >= self._loss_until:
            self._loss_floor_s = max(0.0, self._loss_floor_s - FALL_A_SECOND * passed_s)
        repairs = self._repairs
        if lateness is not None:
            repairs.append((now + REPAIRS_REMEMBERED_S, lateness))
        elif not repairs and not self._repair_floor_s:
            return
        while repairs and repairs[0][0] < now:
            repairs.popleft()
        wanted = 0.0
        if repairs:
            latest = sorted(late for _, late in repairs)
            most = MOST_REPAIR_S if len(repairs) >= REPAIRS_WORTH else CHEAP_REPAIR_S
            wanted = min(most, latest[int(REPAIRED_SHARE * (len(latest) - 1) + 0.5)] + MARGIN_S)
        if wanted > self._repair_floor_s or not repairs or self._repair_floor_s - wanted > STEADY_S:
            self._repair_floor_s = max(wanted, self._repair_floor_s - REPAIR_FALL_A_SECOND * passed_s)

    def lost(self, packet_s: float, now: float) -> None:
        """A packet was lost and the one after it, of `packet_s` seconds, could bring it back if it came in time."""
        self._loss_until = now + LOSS_REMEMBERED_S
        self._loss_floor_s = max(self._loss_floor_s, packet_s + MARGIN_S)

    def delay_of(self, media_s: float, now: float) -> float:
        """How much later than the earliest possible moment something of `media_s` would be if it were played now."""
        return 0.0 if self.base is None else now - media_s - self.base

    def _wanted(self, now: float) -> float:
        while self._lateness[0][0] < now:
            self._lateness.popleft()
        ignored = max(1, int(IGNORED_SHARE * len(self._lateness)))
        latest = heapq.nlargest(ignored + 1, (lateness for _, lateness in self._lateness))[-1]
        return min(MOST_S, max(LEAST_S, latest + MARGIN_S))


class LowWater:
    """The least delay of the last quarter second: what is left when the device asks and packets come unevenly."""

    def __init__(self) -> None:
        self._delays: deque[float] = deque(maxlen=LOW_WATER_FRAMES)
        self._leasts: deque[float] = deque(maxlen=LONG_QUARTERS)  # of each quarter second before
        self._count = 0
        self._shift = 0.0

    @property
    def least_for_long(self) -> float:
        """The least delay of the last 4 s; minus infinity while it is not known."""
        if len(self._leasts) < LONG_QUARTERS:
            return float("-inf")
        return min(min(self._leasts), min(self._delays)) + self._shift

    def add(self, delay_s: float) -> float:
        """Note the delay of a frame when it was asked for; give the least."""
        self._delays.append(delay_s - self._shift)
        least = min(self._delays)
        self._count += 1
        if self._count % LOW_WATER_FRAMES == 0:
            self._leasts.append(least)
        return least + self._shift

    def shift(self, seconds: float) -> None:
        """The delay was changed by so much on purpose."""
        self._shift += seconds

    def clear(self) -> None:
        self._delays.clear()
        self._leasts.clear()
        self._count = 0
