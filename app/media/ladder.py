"""Which size and how many pictures a second a bitrate and a processor are worth: a ladder, climbed slowly. Pure.

`now` in monotonic seconds comes in. Rates are of the encoder: bits per second of payload.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

LEAST_BPS = 40_000  # below it a picture helps nobody
MOST_BPS = 4_000_000
UP_AFTER_S = 4.0  # of enough for the next rung …
BEGINNING_UP_S = 0.4  # … which is found soon while the path is still being learned
BEGINNING_S = 6.0
UP_SHARE, DOWN_SHARE = 1.15, 0.85  # of what a rung needs: between the two nothing changes
ROUNDING = 0.99  # a rate that was one on the wire comes back a few bits smaller
LEAST_SCREEN_FPS = 5.0

# Of the time between two pictures, what scaling and encoding may take: above the first the encoder is told to hurry,
# above the second pictures get smaller, and below the third it may try the next rung.
HURRY_SHARE, BUSY_SHARE, IDLE_SHARE = 0.5, 0.8, 0.45
CPU_DOWN_AFTER_S = 1.5
CPU_SETTLES_S = 3.0  # at the beginning of a call everything else begins too
CPU_UP_AFTER_S = 10.0
FAR_IDLE_SHARE = 0.3  # below this what was in the way has gone: the next rung is tried sooner, …
CPU_UP_SOON_S = 2.0  # … the less so the more often that was wrong
_COST_SMOOTHING = 0.1

REFUSED_S, REFUSED_SHARE = 15.0, 1.3  # a size that did not fit is tried again so late, or at so much more
LEAN_SHARE = 0.2  # of the last pictures, left out: what this size is usually worth is too little for what it shows
STARVED_SHARE = 0.6  # of the last pictures, left out by the encoder for want of bits: the size does not fit
_STARVED_SMOOTHING = 0.05

_CAMERA_STEPS = ((1.0, 1.0), (2 / 3, 1.0), (0.5, 1.0), (0.375, 1.0), (0.25, 1.0), (0.25, 0.5), (0.25, 0.27))
_SCREEN_STEPS = ((1.0, 1.0), (1.0, 0.5), (1.0, 0.0), (0.75, 0.0), (0.5, 0.0))  # 0.0: the least there is
_SMALLEST_SIDE = 90

Allows = Callable[[int, int, float], bool]


def most_bitrate(width: int, height: int, fps: float) -> int:
    """Give the most that pictures of that size are worth."""
    return int(min(MOST_BPS, max(200_000, width * height * max(1.0, fps) * 0.11)))


def least_bitrate(width: int, height: int, fps: float) -> int:
    """Give what they need to be worth it: 900 kbit/s for 1280x720 at 30 a second, 280 for a quarter of the area."""
    return int(900_000 * (width * height / 921_600) ** 0.84 * (max(1.0, fps) / 30) ** 0.7)


def wanted_bitrate(width: int, height: int) -> int | None:
    """Give the most that pictures are worth where they are shown at this size; None where it is large.

    In steps of a half, so that a window that is dragged larger does not ask anew at every pixel.
    """
    step = 200_000.0
    while step < most_bitrate(width, height, 30):
        step *= 1.5
    return int(step) if step < MOST_BPS * 0.6 else None


@dataclass(frozen=True, slots=True)
class Rung:
    """A size, and pictures a second."""

    width: int
    height: int
    fps: float
    needs_bps: int

    @property
    def load(self) -> float:
        """Pixels a second: what encoding it costs, up to a factor."""
        return self.width * self.height * self.fps


def rungs(width: int, height: int, fps: float, *, is_screen: bool = False, allows: Allows | None = None) -> list[Rung]:
    """Give the rungs for pictures of a source, the best first; at least one. `allows` is what the peer can take.

    A screen gets slower before it gets smaller: letters must stay readable.
    """
    found: list[Rung] = []
    for scale, share in _SCREEN_STEPS if is_screen else _CAMERA_STEPS:
        if scale < 1 and min(width, height) * scale < _SMALLEST_SIDE:
            continue
        rung = _rung(width, height, max(min(fps, LEAST_SCREEN_FPS), fps * share), scale, is_screen)
        if (allows is None or allows(rung.width, rung.height, rung.fps)) and rung not in found:
            found.append(rung)
    if found or allows is None:
        return found
    scale = 1.0
    while scale > 0.05:  # a small decoder: whatever fits
        scale *= 0.8
        for rate in (fps, fps / 2):
            rung = _rung(width, height, rate, scale, is_screen)
            if allows(rung.width, rung.height, rung.fps):
                return [rung]
    return [_rung(width, height, fps / 2, scale, is_screen)]


def _rung(width: int, height: int, fps: float, scale: float, is_screen: bool) -> Rung:
    size = (width, height) if scale == 1.0 else (round(width * scale / 2) * 2, round(height * scale / 2) * 2)
    needs = least_bitrate(*size, fps)
    return Rung(*size, fps, needs // 2 if is_screen else needs)


class Ladder:
    """Follows the bitrate and the time that pictures take: down at once, up after seconds of enough.

    `tries_out`: a larger size is not gone up to, but named as `trial` until `tried` says whether it fits. `most_bps` is
    the most that there will ever be: where a rung needs no more it is not asked for more.
    """

    def __init__(
        self, steps: list[Rung], bitrate_bps: int, *, tries_out: bool = False, most_bps: int | None = None
    ) -> None:
        self._tries_out = tries_out
        self._bound_bps = most_bps
        self._trial: int | None = None
        self._refused: dict[int, tuple[float, float]] = {}  # until when, or until which bitrate
        self._left_out = 0.0  # share of the last pictures
        self._is_lean = False
        self._rungs = steps
        self._at = self._by_bitrate(bitrate_bps)
        self._enough_since: float | None = None
        self._cpu_least = 0  # no better rung than this one is tried, since the processor could not keep up
        self._cost_s: float | None = None
        self._busy_since: float | None = None
        self._idle_since: float | None = None
        self._far_idle_since: float | None = None
        self._cpu_falls = 0
        self._first_at: float | None = None
        self._is_beginning = True

    @property
    def rung(self) -> Rung:
        return self._rungs[self._at]

    @property
    def trial(self) -> Rung | None:
        """A larger size that the bitrate seems to allow."""
        return self._rungs[self._trial] if self._trial is not None else None

    def tried(self, bitrate_bps: int, now: float, *, fits: bool) -> None:
        """Say whether pictures of the size of `trial` fit into that bitrate; else the next smaller one is the next."""
        trial, self._trial = self._trial, None
        if trial is None:
            return
        if fits:
            self._enough_since = None
            before, self._at = self.rung, trial
            self._scale_cost(before)
        else:
            self._refuse(trial, bitrate_bps, now)

    def encoded(self, bitrate_bps: int, now: float, *, left_out: bool) -> None:
        """Say what became of a picture; where most are left out the next smaller size follows."""
        self._left_out += _STARVED_SMOOTHING * (left_out - self._left_out)
        self._is_lean = self._is_lean or self._left_out > LEAN_SHARE
        if self._left_out > STARVED_SHARE and self._at + 1 < len(self._rungs):
            self._refuse(self._at, bitrate_bps, now)
            before, self._at = self.rung, self._at + 1
            self._enough_since = self._trial = None
            self._scale_cost(before)

    def _refuse(self, at: int, bitrate_bps: int, now: float) -> None:
        self._refused[at] = now + REFUSED_S, bitrate_bps * REFUSED_SHARE

    @property
    def most_bps(self) -> int:
        """The most that is of use: what the best rung that the processor carries is worth."""
        best = self._rungs[self._cpu_least]
        return most_bitrate(best.width, best.height, best.fps)

    @property
    def worth_bps(self) -> int:
        """The most to give to pictures of the rung: all there is for those that move or are grainy beyond the usual.

        Else a smaller size would leave out as many for want of bits as the larger one before it did.
        """
        rung = self.rung
        usual = most_bitrate(rung.width, rung.height, rung.fps)
        return max(usual, self.most_bps) if self._is_lean else usual

    @property
    def is_hurried(self) -> bool:
        """Whether the encoder should spend less time on a picture."""
        return self._cost_s is not None and self._cost_s * self.rung.fps > HURRY_SHARE

    @property
    def limited_by(self) -> str | None:
        """Why this is not the best rung: "network", "cpu" or None."""
        if self._at == 0:
            return None
        return "cpu" if self._at <= self._cpu_least else "network"

    @property
    def cost_s(self) -> float | None:
        """What a picture takes, smoothed."""
        return self._cost_s

    def follow(self, bitrate_bps: int, now: float) -> bool:
        """Take the bitrate of now; gives whether the rung changed."""
        before = self._at
        self._first_at = now if self._first_at is None else self._first_at
        up_after_s = BEGINNING_UP_S if self._is_beginning and now - self._first_at < BEGINNING_S else UP_AFTER_S
        if bitrate_bps < self.rung.needs_bps * DOWN_SHARE or self._at < self._cpu_least:
            self._at = max(self._at, self._by_bitrate(bitrate_bps), self._cpu_least)
            self._enough_since = self._trial = None
            self._is_beginning = False
        elif self._at > self._cpu_least and bitrate_bps >= self._enough_for(self._rungs[self._at - 1]):
            if self._enough_since is None:
                self._enough_since = now
            elif now - self._enough_since >= up_after_s:
                self._rise(bitrate_bps, now)
        else:
            self._enough_since = self._trial = None
        if self._at != before:
            self._scale_cost(self._rungs[before])
        return self._at != before

    def _rise(self, bitrate_bps: int, now: float) -> None:
        trial = self._trial
        if trial is not None and trial >= self._cpu_least and bitrate_bps >= self._rungs[trial].needs_bps * ROUNDING:
            return  # it goes on
        enough = (at for at, rung in enumerate(self._rungs) if bitrate_bps >= self._enough_for(rung))
        best = max(self._cpu_least, next(enough, len(self._rungs) - 1))
        better = next((at for at in range(best, self._at) if not self._is_refused(at, bitrate_bps, now)), self._at)
        above, here = self._rungs[better], self.rung
        if self._tries_out and (above.width, above.height) != (here.width, here.height):
            self._trial = better
            return
        self._at = better
        self._enough_since = self._trial = None

    def _enough_for(self, rung: Rung) -> float:
        """Give the bitrate with which to go up to a rung."""
        bound = self._bound_bps
        is_bound = bound is not None and rung.needs_bps <= bound < rung.needs_bps * UP_SHARE
        return rung.needs_bps * (ROUNDING if is_bound else UP_SHARE)

    def _is_refused(self, at: int, bitrate_bps: int, now: float) -> bool:
        until, enough_bps = self._refused.get(at, (now, 0.0))
        return now < until and bitrate_bps < enough_bps

    def spent(self, seconds: float, now: float) -> None:
        """Take what scaling and encoding one picture took."""
        cost = self._cost_s
        self._cost_s = seconds if cost is None else cost + _COST_SMOOTHING * (seconds - cost)
        self._first_at = now if self._first_at is None else self._first_at
        if self._cost_s * self.rung.fps > BUSY_SHARE:
            self._idle_since = self._far_idle_since = None
            if self._busy_since is None or now - self._first_at < CPU_SETTLES_S:
                self._busy_since = now
            elif now - self._busy_since >= CPU_DOWN_AFTER_S and self._at + 1 < len(self._rungs):
                self._cpu_least = self._at + 1
                self._cpu_falls += 1
                self._busy_since = None
            return
        self._busy_since = None
        if self._cpu_least == 0:
            return
        above = self._rungs[self._cpu_least - 1]
        share = self._cost_s * self.rung.fps * above.load / self.rung.load
        self._idle_since = (self._idle_since or now) if share <= IDLE_SHARE else None
        self._far_idle_since = (self._far_idle_since or now) if share <= FAR_IDLE_SHARE else None
        soon_s = min(CPU_UP_AFTER_S, CPU_UP_SOON_S * 2 ** (self._cpu_falls - 1))
        if _has_lasted(self._idle_since, CPU_UP_AFTER_S, now) or _has_lasted(self._far_idle_since, soon_s, now):
            self._cpu_least -= 1
            self._idle_since = self._far_idle_since = None

    def _by_bitrate(self, bitrate_bps: int) -> int:
        fitting = (index for index, rung in enumerate(self._rungs) if rung.needs_bps <= bitrate_bps)
        return next(fitting, len(self._rungs) - 1)

    def _scale_cost(self, before: Rung) -> None:
        """What was measured on another rung is guessed for this one by the number of pixels, or begins anew."""
        self._busy_since = self._idle_since = self._far_idle_since = None
        self._left_out, self._is_lean = 0.0, False
        if self._cost_s is not None:
            self._cost_s *= (self.rung.width * self.rung.height) / (before.width * before.height)


def _has_lasted(since: float | None, seconds: float, now: float) -> bool:
    return since is not None and now - since >= seconds


class Thinning:
    """Picks the pictures that keep a frame rate below the source's, evenly spread."""

    def __init__(self) -> None:
        self._due: float | None = None

    def wants(self, at: float, fps: float) -> bool:
        """Tell whether the picture captured at this time is one to send."""
        interval = 1.0 / max(fps, 0.1)
        if self._due is None or at - self._due > interval:
            self._due = at
        if at < self._due - interval * 0.25:
            return False
        self._due += interval
        return True
