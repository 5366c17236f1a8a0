"""Tells whether somebody speaks into the microphone, by how its level stands out of what is always there."""

from __future__ import annotations

from collections import deque

_STANDS_OUT_DB = 12.0
_LEAST_DBFS = -50.0
_NOISE_RISES_DB = 0.05  # a frame of 20 ms: noise that has grown is learned in some seconds
_SPAN = 25  # frames: half a second,
_OF_THEM = 12  # … and how many of them must be loud: a knock or a key is none


class VoiceDetector:
    """Takes the level of each frame of 20 ms."""

    def __init__(self) -> None:
        self._noise_dbfs = _LEAST_DBFS
        self._loud: deque[bool] = deque(maxlen=_SPAN)

    @property
    def speaking(self) -> bool:
        """True while about half of the last half second was as loud as speech."""
        return sum(self._loud) >= _OF_THEM

    def add(self, level_dbfs: float | None) -> None:
        """Take a frame's level; None is digital silence."""
        level = -100.0 if level_dbfs is None else level_dbfs
        self._noise_dbfs = max(-90.0, min(level, self._noise_dbfs + _NOISE_RISES_DB))
        self._loud.append(level > max(_LEAST_DBFS, self._noise_dbfs + _STANDS_OUT_DB))


class MutedHint:
    """Says when to tell somebody that they speak into a muted microphone: at once, then less and less often.

    Who goes on speaking knows it: they talk to somebody beside them.
    """

    AGAIN_AFTER_S = 8.0  # the first time, then twice as long each time

    def __init__(self) -> None:
        self._next = 0.0
        self._pause_s = self.AGAIN_AFTER_S

    def due(self, *, muted: bool, speaking: bool, now: float) -> bool:
        """Whether it is to be said now, in monotonic seconds."""
        if not muted:
            self._next = min(self._next, now + 1.0)  # another muting deserves another hint
            self._pause_s = self.AGAIN_AFTER_S
            return False
        if not speaking or now < self._next:
            return False
        self._next = now + self._pause_s
        self._pause_s *= 2
        return True
