"""Pictures that are to be shown turned: coordination of video orientation, 3GPP TS 26.114 section 7.4.5.

The byte of the header extension: bits 0 and 1 say by how many quarters of a turn clockwise the picture is to be turned
before it is shown, bit 2 that it is to be mirrored left to right after that.
"""

from __future__ import annotations

import av
import numpy as np
from numpy.typing import NDArray

from app.media.pictures import yuv_planes

_QUARTERS, _FLIP = 0x03, 0x04


def orientation_of(degrees: float) -> int:
    """Give the byte for a picture that is to be turned clockwise by so much, rounded to quarters."""
    return round(degrees / 90) % 4


def upright(frame: av.VideoFrame, orientation: int) -> av.VideoFrame:
    """Give a yuv420p picture as it is to be shown; the same frame where nothing is to be done.

    Of a picture that is to be turned and has an odd size, as scaled ones of telephones have, a row or column goes.
    """
    quarters, is_flipped = orientation & _QUARTERS, bool(orientation & _FLIP)
    if not quarters and not is_flipped:
        return frame
    width, height = max(2, frame.width & ~1), max(2, frame.height & ~1)
    if (width, height) != (frame.width, frame.height):
        frame = frame.reformat(width, height)
    picture = np.asarray(frame.to_ndarray(), np.uint8)
    turned = [_turned(plane, quarters, is_flipped) for plane in yuv_planes(picture, frame.height)]
    height, width = turned[0].shape
    packed = np.concatenate([plane.reshape(-1) for plane in turned]).reshape(height * 3 // 2, width)
    return av.VideoFrame.from_ndarray(packed, format="yuv420p")


def _turned(plane: NDArray[np.uint8], quarters: int, is_flipped: bool) -> NDArray[np.uint8]:
    plane = np.rot90(plane, -quarters)
    return np.ascontiguousarray(plane[:, ::-1] if is_flipped else plane)
