"""Letters drawn as rounded strokes, at any size, without a font file: what the test picture writes with.

Capitals, digits and a little punctuation; small letters are written as capitals, accents are dropped. A text becomes
a mask of coverage from 0 to 1 that `app.media.pattern` blends into its planes.
"""

from __future__ import annotations

import unicodedata
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.float32]

# Each glyph: strokes divided by blanks, each a run of points "xy" on a grid 4 wide and 6 high, y downwards.
_GLYPHS: dict[str, str] = {
    " ": "",
    "A": "0602204246 0444",
    "B": "06003041423303 3344453606",
    "C": "4130100105163645",
    "D": "00304145360600",
    "E": "40000646 0333",
    "F": "400006 0333",
    "G": "41301001051636454323",
    "H": "0006 4046 0343",
    "I": "1030 2026 1636",
    "J": "404536160504",
    "K": "0006 4004 1346",
    "L": "000646",
    "M": "0600234046",
    "N": "06004640",
    "O": "103041453616050110",
    "P": "06003041423303",
    "Q": "103041453616050110 2446",
    "R": "06003041423303 2346",
    "S": "413010010213334445361605",
    "T": "0040 2026",
    "U": "000516364540",
    "V": "0003264340",
    "W": "0006244640",
    "X": "0046 4006",
    "Y": "002340 2326",
    "Z": "00400646",
    "0": "103041453616050110",
    "1": "122026 1636",
    "2": "01103041420646",
    "3": "0110304142334445361605 1333",
    "4": "300444 3036",
    "5": "400003334445361605",
    "6": "4130100105163645443303",
    "7": "004016",
    "8": "13020110304142331304051636454433",
    "9": "4313020110304145361605",
    ":": "2222 2525",
    ".": "2626",
    ",": "2617",
    "-": "1333",
    "+": "0343 2125",
    "/": "0640",
    "_": "0646",
    "'": "2021",
    "(": "30121436",
    ")": "10323416",
    "!": "2024 2626",
    "?": "01103041422324 2626",
}
_MISSING = "0040460600"
_STROKE = 0.42  # half the width of a stroke, in grid units
_ADVANCE = 6.0  # from one letter to the next, in grid units
_NARROW = frozenset(":.,'!")
_NARROW_BY = 1.5  # cut off at each side of a narrow one, in grid units
_GRID_HEIGHT = 7.0  # a capital with its strokes


def text_mask(text: str, height_px: int) -> Mask:
    """Give the coverage of one line of text whose capitals are `height_px` high; shape (height + descent, width)."""
    plain = unicodedata.normalize("NFKD", text).upper()
    letters = [letter for letter in plain if not unicodedata.combining(letter)]
    masks = [_letter_mask(letter, height_px) for letter in letters]
    return np.concatenate(masks, axis=1) if masks else np.zeros((height_px, 0), np.float32)


@lru_cache(maxsize=512)
def _letter_mask(letter: str, height_px: int) -> Mask:
    scale = height_px / _GRID_HEIGHT
    cut = _NARROW_BY if letter in _NARROW else 0.0
    width = max(1, round((_ADVANCE - 2 * cut) * scale))
    height = round(height_px * 8 / _GRID_HEIGHT)
    # The grid's origin lies one stroke inside the letter's cell, so that no stroke is cut off.
    ys, xs = np.mgrid[0:height, 0:width].astype(np.float32)
    xs, ys = (xs + 0.5) / scale - 1.0 + cut, (ys + 0.5) / scale - 0.5
    distance = np.full((height, width), 99.0, np.float32)
    for stroke in _GLYPHS.get(letter, _MISSING).split():
        points = [(float(stroke[i]), float(stroke[i + 1])) for i in range(0, len(stroke), 2)]
        for start, end in zip(points, points[1:] if len(points) > 1 else points, strict=False):
            distance = np.minimum(distance, _distance_to_segment(xs, ys, start, end))
    mask = np.asarray(np.clip((_STROKE - distance) * scale + 0.5, 0.0, 1.0), np.float32)
    mask.flags.writeable = False
    return mask


def _distance_to_segment(xs: Mask, ys: Mask, start: tuple[float, float], end: tuple[float, float]) -> Mask:
    dx, dy = end[0] - start[0], end[1] - start[1]
    length_squared = dx * dx + dy * dy
    if length_squared == 0.0:
        return np.asarray(np.hypot(xs - start[0], ys - start[1]), np.float32)
    along = np.clip(((xs - start[0]) * dx + (ys - start[1]) * dy) / length_squared, 0.0, 1.0)
    return np.asarray(np.hypot(xs - start[0] - along * dx, ys - start[1] - along * dy), np.float32)
