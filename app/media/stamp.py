"""The number of a frame, drawn into it so that a machine can read it back.

Large black and white blocks that survive a lossy codec and scaling: a receiver can say which picture it shows, how
many it missed and how old it is.

The stamp lies across the lower edge, in shares of the picture's size: two rows of eighteen blocks. Each row begins
with a white and a black block (the second row the other way round), which tell the reader both levels; the other
thirty-two are the number's lowest twenty bits and twelve check bits, highest first.
"""

from __future__ import annotations

import binascii

import av
import numpy as np
from numpy.typing import NDArray

from app.frames import VideoPicture

Plane = NDArray[np.uint8]

STAMP_BITS = 20
CHECK_BITS = 12
LEFT, TOP, RIGHT, BOTTOM = 0.05, 0.86, 0.95, 0.96
_ROWS, _COLUMNS = 2, 18
_BLACK, _WHITE = 16, 235
_LEAST_CONTRAST = 60.0
_UNSURE = 0.15  # a block this close to the middle, as a share of the contrast, is not readable
_BAR_LUMA = 24  # rows and columns darker than this at the picture's edge are a letterbox


def stamp_blocks(number: int) -> NDArray[np.bool_]:
    """Give the stamp of a frame number as blocks: shape (2, 18), True is white."""
    kept = number % (1 << STAMP_BITS)
    check = binascii.crc_hqx(kept.to_bytes(3, "big"), 0xFFFF) & ((1 << CHECK_BITS) - 1)
    word = kept << CHECK_BITS | check
    bits = [bool(word >> (31 - index) & 1) for index in range(32)]
    return np.array([[True, False, *bits[:16]], [False, True, *bits[16:]]])


def draw_stamp(picture: Plane, number: int) -> None:
    """Draw a frame number into a grey plane (height, width) or a colour picture (height, width, 3 or 4), in place."""
    height, width = picture.shape[:2]
    blocks = stamp_blocks(number)
    ys, xs = _edges(height, width)
    for row in range(_ROWS):
        for column in range(_COLUMNS):
            block = picture[ys[row] : ys[row + 1], xs[column] : xs[column + 1]]
            colours = block if block.ndim == 2 else block[:, :, :3]
            colours[:] = _WHITE if blocks[row, column] else _BLACK


def read_stamp(picture: Plane | VideoPicture | av.VideoFrame) -> int | None:
    """Read the frame number back from a grey, BGR or BGRA array, a VideoPicture or a frame; None where there is none.

    A picture with black bars around it (letterboxed) is tried again without them.
    """
    grey = _grey(picture)
    found = _read_grey(grey)
    if found is None:
        inner = _without_bars(grey)
        if inner is not None:
            found = _read_grey(inner)
    return found


def _edges(height: int, width: int) -> tuple[list[int], list[int]]:
    ys = [round(height * (TOP + (BOTTOM - TOP) * row / _ROWS)) for row in range(_ROWS + 1)]
    xs = [round(width * (LEFT + (RIGHT - LEFT) * column / _COLUMNS)) for column in range(_COLUMNS + 1)]
    return ys, xs


def _grey(picture: Plane | VideoPicture | av.VideoFrame) -> Plane:
    if isinstance(picture, av.VideoFrame):
        return np.asarray(picture.to_ndarray(format="gray"), np.uint8)
    if isinstance(picture, VideoPicture):
        rows = np.frombuffer(picture.data, np.uint8).reshape(picture.height, picture.stride_bytes)
        picture = rows[:, : picture.width * 4].reshape(picture.height, picture.width, 4)
    if picture.ndim == 2:
        return picture
    # The stamp and the bars are without colour: green alone is as good as a weighted sum.
    return picture[:, :, 1]


def _read_grey(grey: Plane) -> int | None:
    height, width = grey.shape
    if height < 4 * _ROWS or width < 2 * _COLUMNS:
        return None
    levels = _block_levels(grey)
    white = (levels[0, 0] + levels[1, 1]) / 2
    black = (levels[0, 1] + levels[1, 0]) / 2
    contrast = white - black
    if contrast < _LEAST_CONTRAST:
        return None
    shares = (levels - black) / contrast - 0.5
    if np.abs(shares).min() < _UNSURE:
        return None
    word = 0
    for bit in (shares[:, 2:] > 0).ravel():
        word = word << 1 | int(bit)
    number = word >> CHECK_BITS
    return number if np.array_equal(stamp_blocks(number), shares > 0) else None


def _block_levels(grey: Plane) -> NDArray[np.float64]:
    """Give the mean of the middle of each block: shape (2, 18)."""
    ys, xs = _edges(*grey.shape)
    levels = np.empty((_ROWS, _COLUMNS))
    for row in range(_ROWS):
        margin_y = (ys[row + 1] - ys[row]) // 4
        for column in range(_COLUMNS):
            margin_x = (xs[column + 1] - xs[column]) // 4
            block = grey[ys[row] + margin_y : ys[row + 1] - margin_y, xs[column] + margin_x : xs[column + 1] - margin_x]
            levels[row, column] = block.mean() if block.size else 0.0
    return levels


def _without_bars(grey: Plane) -> Plane | None:
    """Cut the black bars off; None when there are none, or nothing else."""
    height, width = grey.shape
    if height < 4 * _ROWS or width < 2 * _COLUMNS:
        return None
    rows = np.flatnonzero(grey[:, width * 3 // 8 : width * 5 // 8].mean(axis=1) > _BAR_LUMA)
    columns = np.flatnonzero(grey[height * 3 // 8 : height * 5 // 8].mean(axis=0) > _BAR_LUMA)
    if rows.size == 0 or columns.size == 0:
        return None
    inner = grey[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    return inner if inner.shape != grey.shape else None
