"""Playing sound a little faster or slower without changing its pitch.

Pitch-synchronous overlap-add on 48 kHz mono int16: a period is cut out or repeated where the wave is most like itself.
Pure.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Sound = npt.NDArray[np.int16]

SHORTEST_PERIOD = 120  # samples at 48 kHz: 400 Hz
LONGEST_PERIOD = 720  # 67 Hz
_COARSE = 6  # the search runs on every sixth sample: 8 kHz
_WINDOW = 480


def find_period(sound: Sound, longest: int = LONGEST_PERIOD) -> int:
    """Give the lag, in samples, at which the end of `sound` is most like what came before it.

    `sound` needs at least _WINDOW + longest samples. Normalised correlation at 8 kHz; good to 6 samples.
    """
    coarse = sound[-(_WINDOW + longest) :: _COARSE].astype(np.float32)
    tail = coarse[-(_WINDOW // _COARSE) :]
    scores = np.correlate(coarse, tail, "valid")
    power = np.convolve(coarse * coarse, np.ones(len(tail), np.float32), "valid")
    lags = np.arange(len(scores) - 1, -1, -1)
    usable = lags >= SHORTEST_PERIOD // _COARSE
    normal = scores[usable] / np.sqrt(power[usable] + 1.0)
    return int(lags[usable][int(np.argmax(normal))]) * _COARSE


def shorten(sound: Sound) -> Sound:
    """Take one period (2.5 to 10 ms) out of at least 20 ms; the ends join without a click."""
    period = find_period(sound, min(480, len(sound) - _WINDOW))
    keep = len(sound) - 2 * period
    first, second = sound[keep : keep + period], sound[keep + period :]
    return np.concatenate((sound[:keep], _cross_fade(first, second)))


def lengthen(sound: Sound) -> Sound:
    """Repeat one period (2.5 to 10 ms) of at least 20 ms; the ends join without a click."""
    period = find_period(sound, min(480, len(sound) - _WINDOW))
    cut = len(sound) - period
    before, after = sound[cut - period : cut], sound[cut:]
    return np.concatenate((sound[:cut], _cross_fade(after, before), after))


def _cross_fade(out: Sound, into: Sound) -> Sound:
    """Go from `out` to `into`, both of one length, along a straight line."""
    weight = np.linspace(0.0, 1.0, len(out), dtype=np.float32)
    mixed: Sound = (out * (1.0 - weight) + into * weight).astype(np.int16)
    return mixed
