"""The tones of the phone, of our own making: ring, ringback, busy, call ended, and a plain test tone.

Everything is 48 kHz mono int16. Ringback and busy have the frequency and rhythm that ITU-T E.180 / ETSI use in
most of Europe (425 Hz); the ring is a soft marimba-like phrase: plucked notes with a few partials that die away.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from app.media.ports import SAMPLE_RATE_HZ

FULL_SCALE = 32767
EDGE_S = 0.008  # fade at each edge of a tone: no clicks
CALL_PROGRESS_HZ = 425.0
RING_PEAK = 0.5
PROGRESS_PEAK = 0.2

KEY_S, KEY_GAP_S = 0.16, 0.10
KEY_PEAK = 0.15  # of each of both tones
_KEY_ROWS = ("123A", "456B", "789C", "*0#D")
_ROW_HZ = (697.0, 770.0, 852.0, 941.0)
_COLUMN_HZ = (1209.0, 1336.0, 1477.0, 1633.0)

# Semitones above A4 and the beat on which each note is struck: a rising sixth, answered a fifth lower.
_RING_BEAT_S = 0.155
_RING_PHRASE: tuple[tuple[int, int], ...] = ((-5, 0), (-1, 1), (2, 2), (7, 3), (2, 5), (4, 6), (-1, 7))
_RING_PERIOD_S = 3.0
# Partial, share, and how fast it dies away (1/s): a bar of wood, roughly.
_MARIMBA: tuple[tuple[float, float, float], ...] = ((1.0, 1.0, 5.0), (3.93, 0.22, 14.0), (9.2, 0.05, 30.0))


def sine(hz: float, seconds: float, peak: float = 0.5) -> NDArray[np.int16]:
    """Give `seconds` of a sine of `hz`, with soft edges; `peak` is a share of full scale."""
    count = round(seconds * SAMPLE_RATE_HZ)
    wave = np.sin(2 * np.pi * hz * np.arange(count) / SAMPLE_RATE_HZ)
    return to_int16(peak * wave * _edges(count))


@lru_cache(maxsize=1)
def ring() -> NDArray[np.int16]:
    """One period of the ring of an incoming call, to be repeated until somebody answers."""
    wave = np.zeros(round(_RING_PERIOD_S * SAMPLE_RATE_HZ))
    for semitone, beat in _RING_PHRASE:
        start = round(beat * _RING_BEAT_S * SAMPLE_RATE_HZ)
        note = _plucked(440.0 * 2 ** (semitone / 12), 1.2)
        wave[start : start + note.size] += note
    return _finished(wave / np.abs(wave).max() * RING_PEAK)


@lru_cache(maxsize=1)
def ringback() -> NDArray[np.int16]:
    """One period of what the caller hears while the other phone rings: 1 s on, 4 s off."""
    return _finished(_rhythm((1.0, 4.0)))


@lru_cache(maxsize=1)
def busy() -> NDArray[np.int16]:
    """One period of the busy tone: 0.5 s on, 0.5 s off."""
    return _finished(_rhythm((0.5, 0.5)))


@lru_cache(maxsize=1)
def call_ended() -> NDArray[np.int16]:
    """The short falling pair of notes when a call ends; played once."""
    wave = np.zeros(round(0.6 * SAMPLE_RATE_HZ))
    for hz, start_s in ((659.3, 0.0), (493.9, 0.13)):
        note = _plucked(hz, 0.42)
        start = round(start_s * SAMPLE_RATE_HZ)
        wave[start : start + note.size] += note
    return _finished(wave / np.abs(wave).max() * 0.3)


def key_tones(keys: str) -> NDArray[np.int16]:
    """The two tones of each key of a telephone (ITU-T Q.23), one key after the other; a comma is only a gap."""
    pieces = []
    for key in keys:
        row = next((index for index, row in enumerate(_KEY_ROWS) if key in row), None)
        tone = np.zeros(round(KEY_S * SAMPLE_RATE_HZ))
        if row is not None:
            moments = np.arange(tone.size) / SAMPLE_RATE_HZ
            for hz in (_ROW_HZ[row], _COLUMN_HZ[_KEY_ROWS[row].index(key)]):
                tone += KEY_PEAK * np.sin(2 * np.pi * hz * moments)
        pieces += [tone * _edges(tone.size), np.zeros(round(KEY_GAP_S * SAMPLE_RATE_HZ))]
    return to_int16(np.concatenate(pieces)) if pieces else np.zeros(0, np.int16)


def _plucked(hz: float, seconds: float) -> NDArray[np.float64]:
    """A struck note that dies away and ends in silence."""
    time = np.arange(round(seconds * SAMPLE_RATE_HZ)) / SAMPLE_RATE_HZ
    wave = np.zeros(time.size)
    for partial, share, decay in _MARIMBA:
        wave += share * np.exp(-decay * time) * np.sin(2 * np.pi * hz * partial * time)
    return wave * _edges(time.size)


def _rhythm(on_off_s: tuple[float, float]) -> NDArray[np.float64]:
    on_s, off_s = on_off_s
    count = round(on_s * SAMPLE_RATE_HZ)
    tone = np.sin(2 * np.pi * CALL_PROGRESS_HZ * np.arange(count) / SAMPLE_RATE_HZ) * _edges(count)
    return np.concatenate([PROGRESS_PEAK * tone, np.zeros(round(off_s * SAMPLE_RATE_HZ))])


def _edges(count: int) -> NDArray[np.float64]:
    """A flat envelope with raised-cosine edges."""
    envelope = np.ones(count)
    edge = min(round(EDGE_S * SAMPLE_RATE_HZ), count // 2)
    slope = 0.5 - 0.5 * np.cos(np.pi * np.arange(edge) / max(edge, 1))
    envelope[:edge] = slope
    envelope[count - edge :] = slope[::-1]
    return envelope


def to_int16(wave: NDArray[np.floating]) -> NDArray[np.int16]:
    """Turn a wave from -1 to 1 into int16 samples, clipping what is louder."""
    return np.asarray(np.clip(wave, -1.0, 1.0) * FULL_SCALE, np.int16)


def _finished(wave: NDArray[np.float64]) -> NDArray[np.int16]:
    """Make it int16 and read-only: the result is shared by all who play it."""
    samples = to_int16(wave)
    samples.flags.writeable = False
    return samples
