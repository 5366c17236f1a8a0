"""The sound of a recording: both sides on one clock, gaps included, and the tone that tells of it. Pure.

Positions are samples (48 kHz) since the recording began.
"""

from __future__ import annotations

from collections import deque

import numpy as np
import numpy.typing as npt

from app.media.ports import FRAME_SAMPLES, SAMPLE_RATE_HZ, AudioFrame

SLACK = SAMPLE_RATE_HZ * 120 // 1000  # a frame that comes so much early or late still follows the one before
MOST_WAITING = 500  # frames of one side, ten seconds
BEEP_INTERVAL_S = 15.0
BEEP_HZ, BEEP_S = 1400.0, 0.2  # what telephone rules ask of a recorder: every 15 s a fifth of a second of 1400 Hz
BEEP_PEAK = 0.06

Samples = npt.NDArray[np.int16]


class SoundLane:
    """One side's frames, each put where it belongs: after the one before, or, after a gap, where the clock says.

    Frames come at the pace of a device whose clock is not ours and in small bursts, so only a difference of more than
    `SLACK` counts: late by more is a gap that stays silent, early by more is dropped.
    """

    def __init__(self) -> None:
        self._waiting: deque[tuple[int, AudioFrame]] = deque()
        self._next: int | None = None

    def add(self, frame: AudioFrame, position: int) -> None:
        """Take 20 ms that were heard at `position`."""
        expected = self._next
        if expected is not None and position < expected - SLACK:
            return
        start = position if expected is None or position > expected + SLACK else expected
        self._waiting.append((max(start, 0), frame))
        self._next = start + FRAME_SAMPLES
        if len(self._waiting) > MOST_WAITING:
            self._waiting.popleft()

    def read(self, position: int, count: int) -> Samples:
        """Give the samples from `position` on, silence where there are none; what lies before is forgotten."""
        out = np.zeros(count, np.int16)
        while self._waiting:
            start, frame = self._waiting[0]
            if start >= position + count:
                break
            begin, end = max(start, position), min(start + len(frame), position + count)
            if begin < end:
                out[begin - position : end - position] = frame[begin - start : end - start]
            if start + len(frame) > position + count:
                break  # the rest of it belongs to the next read
            self._waiting.popleft()
        return out


def mixed(one: Samples, other: Samples) -> Samples:
    """Both at full strength; what is too loud for the format is cut."""
    return np.asarray(np.clip(one.astype(np.int32) + other, -32_768, 32_767), np.int16)


class RecordingTone:
    """Mixes a short quiet beep into what is sent, at once and then every 15 s of it."""

    def __init__(self) -> None:
        length = round(BEEP_S * SAMPLE_RATE_HZ)
        edge = SAMPLE_RATE_HZ // 100
        shape = np.minimum(1.0, np.minimum(np.arange(length), np.arange(length)[::-1]) / edge)
        wave = np.sin(2 * np.pi * BEEP_HZ / SAMPLE_RATE_HZ * np.arange(length)) * shape
        self._beep = np.round(wave * BEEP_PEAK * 32_767).astype(np.int16)
        self._position = 0

    def mix_in(self, frame: AudioFrame) -> AudioFrame:
        """Give the frame with what of the beep falls into it."""
        part = self._beep[self._position : self._position + len(frame)]
        self._position = (self._position + len(frame)) % round(BEEP_INTERVAL_S * SAMPLE_RATE_HZ)
        if not len(part):
            return frame
        padded = np.zeros(len(frame), np.int16)
        padded[: len(part)] = part
        return mixed(frame, padded)
