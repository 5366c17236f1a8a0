"""The short sounds of a talk key: heard by whoever presses it, and never sent.

They are to be told apart with the eyes elsewhere: up means that one may talk, down that one has ended, a low buzz that
the key did nothing, two notes in turn that it is an emergency. Everything is 48 kHz mono int16.

Sending does not wait for the tone: what a burst begins with is a person drawing breath, and a microphone that hears the
permit tone from a speaker hears `TALK_PERMIT_S` of it at most. Whoever wants to be sure speaks when it is over.
"""

from __future__ import annotations

from enum import StrEnum
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from app.media.ports import SAMPLE_RATE_HZ
from app.media.tones import to_int16

Sound = NDArray[np.int16]


class ChannelTone(StrEnum):
    """What a tone says to the person at the key."""

    PERMIT = "permit"  # the burst has begun: talk
    END = "end"  # the burst has ended
    REFUSED = "refused"  # nothing is sent: somebody more important talks, or the channel is not connected
    LIMIT = "limit"  # the burst will soon be as long as the channel allows
    EMERGENCY = "emergency"  # an emergency burst begins, one's own or another's


_EDGE_S = 0.006
_Note = tuple[float, float, float]  # Hz (0: a pause), seconds, peak as a share of full scale
_SECOND_PARTIAL = 0.25  # of the buzz alone, which is meant to be less pleasant

_NOTES: dict[ChannelTone, tuple[_Note, ...]] = {
    ChannelTone.PERMIT: ((784.0, 0.045, 0.18), (1046.5, 0.055, 0.18)),
    ChannelTone.END: ((784.0, 0.045, 0.12), (523.3, 0.060, 0.12)),
    ChannelTone.REFUSED: ((233.1, 0.110, 0.28), (0.0, 0.050, 0.0), (233.1, 0.170, 0.28)),
    ChannelTone.LIMIT: ((1318.5, 0.060, 0.15), (0.0, 0.060, 0.0), (1318.5, 0.060, 0.15)),
    ChannelTone.EMERGENCY: ((1480.0, 0.110, 0.30), (1109.0, 0.110, 0.30)) * 3,
}
TALK_PERMIT_S = sum(seconds for _, seconds, _ in _NOTES[ChannelTone.PERMIT])


@lru_cache(maxsize=len(ChannelTone))
def channel_tone(kind: ChannelTone) -> Sound:
    """Give a tone's samples, to be played once; read-only, as all who play it share them."""
    notes = [_note(*note) for note in _NOTES[kind]]
    samples = to_int16(np.concatenate(notes))
    samples.flags.writeable = False
    return samples


def _note(hz: float, seconds: float, peak: float) -> NDArray[np.float64]:
    moments = np.arange(round(seconds * SAMPLE_RATE_HZ)) / SAMPLE_RATE_HZ
    wave = np.sin(2 * np.pi * hz * moments)
    if 0.0 < hz < 400.0:  # small speakers give little of so low a note: its partials carry it
        wave += _SECOND_PARTIAL * (np.sin(4 * np.pi * hz * moments) + np.sin(6 * np.pi * hz * moments))
    edge = round(_EDGE_S * SAMPLE_RATE_HZ)
    slope = 0.5 - 0.5 * np.cos(np.pi * np.arange(edge) / edge)
    wave[:edge] *= slope
    wave[wave.size - edge :] *= slope[::-1]
    return np.asarray(peak * wave)
