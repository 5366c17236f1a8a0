"""Lips and voice together: which of sound and picture of one moment reaches the person later, and for how long the
other waits.

Sender reports say which moment of the sender's clock an RTP timestamp stands for (RFC 3550 section 6.4.1); that clock
is the same for both streams of a call. How late sound is at the ear and a picture in the window, both by that clock,
gives the offset between them, whatever the two clocks show.

People notice sound that comes 45 ms before its picture, or 125 ms after it, and put up with 90 and 185 ms (ITU-R
BT.1359). So a picture is held back when it is about to be noticed, and sound, whose waiting makes talking harder, only
where it could not be put up with, and by little. Pure: `now` in monotonic seconds comes in.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from statistics import median
from typing import Protocol

from app.media.rtp import timestamp_difference

STEP_S = 0.25
MEASUREMENTS = 8  # two seconds: a key frame or a burst of loss moves nothing
LEAST_MEASUREMENTS = 4
NONSENSE_S = 3.0  # no path does that to one of two streams: the reports are of different clocks


@dataclass(frozen=True, slots=True)
class Rule:
    """When and for how long what comes too early waits; seconds."""

    starts: float  # too early by so much, it begins to wait
    stops: float  # … and by less than that it waits no more
    leaves: float  # so much earlier it still comes then
    most: float  # it waits no longer than that
    hopeless: float  # too early by so much, waiting that long would not be noticed


PICTURE = Rule(0.100, 0.075, 0.060, 0.300, 0.600)
SOUND = Rule(0.100, 0.080, 0.060, 0.100, 0.300)

RISE_S = 0.020  # at most, of what waits, in a step
FALL_S = 0.040
TOO_LITTLE_S = 0.008  # a wait that is off by less stays as it is

_NTP_SECOND = 1 << 32


class SourceClock:
    """From a source's RTP timestamps to its wall clock, by its newest sender report."""

    def __init__(self, clock_rate: int) -> None:
        self._clock_rate = clock_rate
        self._report: tuple[int, int] | None = None

    def report(self, ntp: int, timestamp: int) -> None:
        """Take a sender report; NTP time as 32.32 fixed point. A time of 0 says that the sender has no clock."""
        if ntp:
            self._report = ntp, timestamp

    def captured_at(self, timestamp: int) -> float | None:
        """Give the sender's time of an RTP timestamp in seconds; None before a report."""
        if self._report is None:
            return None
        ntp, reported = self._report
        return ntp / _NTP_SECOND + timestamp_difference(timestamp, reported) / self._clock_rate


class Stream(Protocol):
    """What a stream of the call tells and does."""

    @property
    def kind(self) -> str:
        """ "audio" or "video"."""

    def lateness(self, now: float) -> float | None:
        """Tell by how much what reaches the person now is later than its capture; None while that is not known.

        The seconds from the sender's clock to ours are in it, the same for all streams of a sender.
        """

    def hold_back(self, seconds: float) -> None:
        """Let what comes wait so much longer than it has to."""


class LipSync:
    """One call. `offset_s`: how much later than its sound a picture is seen, with what waits; None: not known."""

    def __init__(self) -> None:
        self.picture_waits_s = 0.0
        self.sound_waits_s = 0.0
        self.offset_s: float | None = None
        self._measured: deque[float] = deque(maxlen=MEASUREMENTS)  # offsets as they would be if nothing waited
        self._picture_target_s = 0.0
        self._sound_target_s = 0.0
        self._next_at = 0.0

    def step(self, streams: Iterable[Stream], now: float) -> None:
        """Measure, and tell the streams how long to wait; does something four times a second."""
        if now < self._next_at:
            return
        self._next_at = now + STEP_S
        sound = picture = None
        for stream in streams:
            if stream.kind == "audio":
                sound = sound or stream
            else:
                picture = picture or stream
        if sound is None or picture is None:
            self._forget()
        else:
            self._measure(sound.lateness(now), picture.lateness(now))
        self._move()
        if picture is not None:
            picture.hold_back(self.picture_waits_s)
        if sound is not None:
            sound.hold_back(self.sound_waits_s)

    def _measure(self, sound_s: float | None, picture_s: float | None) -> None:
        if sound_s is None or picture_s is None or abs(picture_s - sound_s) > NONSENSE_S:
            self._forget()
            return
        self._measured.append((picture_s - self.picture_waits_s) - (sound_s - self.sound_waits_s))
        if len(self._measured) < LEAST_MEASUREMENTS:
            return
        offset = median(self._measured)
        self.offset_s = offset + self.picture_waits_s - self.sound_waits_s
        self._picture_target_s = _target(PICTURE, -offset, self._picture_target_s)
        self._sound_target_s = _target(SOUND, offset, self._sound_target_s)

    def _forget(self) -> None:
        """There is nothing to be in step with: nothing waits."""
        self._measured.clear()
        self.offset_s = None
        self._picture_target_s = self._sound_target_s = 0.0

    def _move(self) -> None:
        self.picture_waits_s = _moved(self.picture_waits_s, self._picture_target_s)
        self.sound_waits_s = _moved(self.sound_waits_s, self._sound_target_s)


def _target(rule: Rule, early_s: float, before_s: float) -> float:
    """Give how long something should wait that comes `early_s` too early, and waited `before_s` so far."""
    if early_s < rule.stops or early_s > rule.hopeless or (early_s < rule.starts and not before_s):
        return 0.0
    return min(rule.most, early_s - rule.leaves)


def _moved(waits_s: float, target_s: float) -> float:
    if abs(target_s - waits_s) < TOO_LITTLE_S and target_s:
        return waits_s
    return max(waits_s - FALL_S, min(waits_s + RISE_S, target_s))
