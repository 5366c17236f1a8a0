"""Playing sound a little faster or slower without changing its pitch, and joining sound that does not follow on.

Pitch-synchronous overlap-add (WSOLA) on 48 kHz mono int16. A cut goes from where the sound is to where it looks the
same, one period later or earlier: the likeness is measured with what was played before as well, so that neither end of
a frame is a seam. Every seam is a cross-fade. Pure.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Sound = npt.NDArray[np.int16]
_Floats = npt.NDArray[np.float32]

SHORTEST_PERIOD = 120  # samples at 48 kHz: 400 Hz
LONGEST_PERIOD = 600  # 80 Hz
HISTORY = 960  # samples of what was played, which `lengthen` and `join` look back on
LEAST_SOUND = 960  # what `shorten` needs
_LOOK_BACK = 240
_LOOK_AHEAD = 360
_COARSE = 6  # the first search runs at 8 kHz
_QUIET = 16.0 * 16.0  # mean square below which any cut is as good as another
_JOIN = 240  # samples of cross-fade where sound comes again
_MOST_SKIPPED = 480  # while looking for where it fits


def shorten(before: Sound, sound: Sound, least_likeness: float, longest: int = LONGEST_PERIOD) -> Sound | None:
    """Take one period (2.5 to 12.5 ms, at most `longest`) out of the start of `sound`; None where none is alike.

    `before` is what is played before it (at least HISTORY samples), `sound` has at least LEAST_SOUND.
    `least_likeness` is a normalised correlation, from 1 (only a perfect period) to -1 (cut in any case).
    """
    longest = min(longest, LONGEST_PERIOD)
    whole = np.concatenate((before[-_LOOK_BACK:], sound[: longest + _LOOK_AHEAD])).astype(np.float32)
    here = whole[: _LOOK_BACK + _LOOK_AHEAD]
    lag, likeness = _best_lag(here, whole[SHORTEST_PERIOD:])
    if likeness < least_likeness:
        return None
    lag += SHORTEST_PERIOD
    overlap = min(lag, len(sound) - lag)
    return np.concatenate((_cross_fade(sound[:overlap], sound[lag : lag + overlap]), sound[lag + overlap :]))


def lengthen(before: Sound, sound: Sound, least_likeness: float) -> Sound | None:
    """Repeat one period (2.5 to 12.5 ms) ahead of `sound`; None where it has none that is alike.

    Parameters as for `shorten`; `sound` has at least 480 samples.
    """
    before = before[-(LONGEST_PERIOD + _LOOK_BACK) :]
    ahead = min(_LOOK_AHEAD, len(sound))
    whole = np.concatenate((before, sound[:ahead])).astype(np.float32)
    here = whole[-(_LOOK_BACK + ahead) :]
    back, likeness = _best_lag(here, whole[:-SHORTEST_PERIOD])
    if likeness < least_likeness:
        return None
    lag = LONGEST_PERIOD - back
    overlap = min(lag, len(sound))
    again = np.concatenate((before[-lag:], sound))
    return np.concatenate((_cross_fade(sound[:overlap], again[:overlap]), again[overlap:]))


def join(before: Sound, sound: Sound) -> Sound:
    """Let `sound` (at least 480 samples) follow on `before`, which it does not continue: late sound after an invention.

    `before` is carried on by its last period; up to 10 ms of `sound` are left out so that both are in step.
    """
    past = before[-HISTORY:].astype(np.float32)
    tail = past[-_LOOK_AHEAD:]
    if float(np.dot(tail, tail)) < _QUIET * len(tail):
        return np.concatenate((_cross_fade(np.zeros(_JOIN, np.int16), sound[:_JOIN]), sound[_JOIN:]))
    back, _ = _best_lag(tail, past[:-SHORTEST_PERIOD])
    period = len(past) - _LOOK_AHEAD - back
    continued = np.resize(past[-period:], _JOIN).astype(np.float32)
    most = min(_MOST_SKIPPED, len(sound) - _JOIN)
    skipped, _ = _best_lag(continued, sound[: most + _JOIN].astype(np.float32))
    fitting = sound[skipped:]
    return np.concatenate((_cross_fade(continued, fitting[:_JOIN]), fitting[_JOIN:]))


def _best_lag(part: _Floats, whole: _Floats) -> tuple[int, float]:
    """Give where in `whole` it looks most like `part`, and how much (-1 to 1); silence is like everything."""
    energy = float(np.dot(part, part))
    if energy < _QUIET * len(part):
        return len(whole) - len(part), 1.0
    smooth = whole[: len(whole) // _COARSE * _COARSE].reshape(-1, _COARSE).sum(axis=1)
    wanted = part[: len(part) // _COARSE * _COARSE].reshape(-1, _COARSE).sum(axis=1)
    rough = int(np.argmax(_likeness(smooth, wanted))) * _COARSE
    first = max(0, rough - _COARSE)
    scores = _likeness(whole[first : rough + _COARSE + len(part)], part)
    best = int(np.argmax(scores))
    return first + best, float(scores[best])


def _likeness(whole: _Floats, part: _Floats) -> npt.NDArray[np.float64]:
    """Give the normalised correlation of `part` with each place of `whole`."""
    sums = np.empty(len(whole) + 1)
    sums[0] = 0.0
    np.cumsum(whole * whole, dtype=np.float64, out=sums[1:])
    power = sums[len(part) :] - sums[: -len(part)]
    scores: npt.NDArray[np.float64] = np.correlate(whole, part, "valid") / np.sqrt(
        (power + 1.0) * (float(np.dot(part, part)) + 1.0)
    )
    return scores


def _cross_fade(out: npt.NDArray[np.int16] | _Floats, into: Sound) -> Sound:
    """Go from `out` to `into`, both of one length, along a straight line."""
    weight = np.linspace(0.0, 1.0, len(out), endpoint=False, dtype=np.float32)
    mixed: Sound = np.rint(out * (1.0 - weight) + into * weight).astype(np.int16)
    return mixed
