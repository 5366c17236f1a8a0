"""How good a call sounds, estimated from its figures: the E-model of ITU-T G.107.

A rating R starts at what a perfect connection of the codec's bandwidth has, and loses points for the codec, for lost
packets and for delay; Annex B turns it into a mean opinion score. Echo, noise and loudness are left at their defaults.

| band | model | best R | score from |
|---|---|---|---|
| narrow, to 3.4 kHz | G.107 | 93.2 | R |
| wide, to 7 kHz | G.107.1 | 129 | R / 1.29 |
| full, to 20 kHz | G.107.2 | 148 | R / 1.48 |

So each score is meant within its band (P.800.1 names them apart: MOS-CQEN, -W, -F): flawless G.711 has 4.41 as flawless
Opus has 4.40, although the latter sounds better. Nobody listened; it is an estimate. Pure.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

UNKNOWN_OPUS_BPS = 32_000.0


@dataclass(frozen=True, slots=True)
class Band:
    """One scale: the best rating, what complete loss takes away, and how many points are one of narrowband."""

    best: float
    all_lost: float
    scale: float


NARROW = Band(93.2, 95.0, 1.0)
WIDE = Band(129.0, 95.0, 1.29)
FULL = Band(148.0, 132.0, 1.48)


@dataclass(frozen=True, slots=True)
class Impairment:
    """What a codec costs without loss (Ie) and how well it bears random loss (Bpl), on the scale of its band."""

    band: Band
    equipment: float
    robustness: float


# G.113 appendix I: G.711 with concealment; appendix IV: G.722 at 64 kbit/s. For G.722 with concealment G.113 has no
# robustness; ours lies between AMR-WB's 4.9 and that of G.711.
_CODECS = {
    "pcmu": Impairment(NARROW, 0.0, 25.1),
    "pcma": Impairment(NARROW, 0.0, 25.1),
    "g722": Impairment(WIDE, 13.0, 10.0),
}
_UNKNOWN = Impairment(NARROW, 10.0, 10.0)

# Opus, super wideband, variable bitrate: measured by Al-Ahmadi, Pocta and Melvin, "Instrumental estimation of E-model
# equipment impairment factor parameters for super-wideband Opus codec" (ISSC 2019), on the scale of G.107.2.
# kbit/s, Ie, Bpl under random loss.
_OPUS = (
    (14.0, 38.1, 16.5),
    (16.0, 30.2, 11.8),
    (19.0, 23.8, 10.7),
    (25.0, 20.2, 11.3),
    (31.0, 16.8, 10.4),
    (37.0, 12.1, 10.4),
    (40.0, 10.7, 9.8),
)


def impairment_of(codec: str, bitrate_bps: float | None = None) -> Impairment:
    """Give a codec's impairment; Opus by its bitrate, a codec without known figures a careful guess."""
    name = codec.lower()
    if name == "opus":
        return _opus((bitrate_bps or UNKNOWN_OPUS_BPS) / 1000)
    return _CODECS.get(name, _UNKNOWN)


def _opus(kbps: float) -> Impairment:
    kbps = max(_OPUS[0][0], min(_OPUS[-1][0], kbps))
    for (low, ie, bpl), (high, next_ie, next_bpl) in pairwise(_OPUS):
        if kbps <= high:
            part = (kbps - low) / (high - low)
            return Impairment(FULL, ie + part * (next_ie - ie), bpl + part * (next_bpl - bpl))
    raise AssertionError("unreachable")


def delay_impairment(one_way_ms: float) -> float:
    """Give Idd, what absolute delay costs without any echo (G.107 section 7.4), in points of narrowband."""
    if one_way_ms <= 100.0:
        return 0.0
    x = math.log2(one_way_ms / 100.0)
    return 25.0 * (float((1 + x**6) ** (1 / 6)) - 3 * float((1 + (x / 3) ** 6) ** (1 / 6)) + 2)


def loss_impairment(codec: Impairment, loss_percent: float, burst_ratio: float = 1.0) -> float:
    """Give Ie,eff, what codec and loss cost together (G.107 section 7.5), on the codec's scale.

    `burst_ratio` is the mean length of the runs of lost packets over that of random loss: 1 is random.
    """
    if loss_percent <= 0:
        return codec.equipment
    share = loss_percent / (loss_percent / max(1.0, burst_ratio) + codec.robustness)
    return codec.equipment + (codec.band.all_lost - codec.equipment) * min(1.0, share)


def rating(codec: Impairment, one_way_ms: float, loss_percent: float, burst_ratio: float = 1.0) -> float:
    """Give the rating R, brought to the scale of narrowband: 0 to 100."""
    left = codec.band.best - loss_impairment(codec, loss_percent, burst_ratio)
    return max(0.0, min(100.0, left / codec.band.scale - delay_impairment(one_way_ms)))


def opinion_score(r: float) -> float:
    """Turn a rating from 0 to 100 into a mean opinion score from 1 to 4.5 (G.107 Annex B)."""
    r = max(0.0, min(100.0, r))
    return max(1.0, 1 + 0.035 * r + r * (r - 60) * (100 - r) * 7e-6)


def burst_ratio(lost: int, runs: int, expected: int) -> float:
    """Give the burst ratio of `lost` packets of `expected` that were missing in `runs` unbroken rows; at least 1.

    Random loss of share p has runs of 1 / (1 - p) on average (G.107 section 7.5).
    """
    if lost <= 0 or runs <= 0 or expected <= lost:
        return 1.0
    return max(1.0, lost / runs * (1 - lost / expected))
