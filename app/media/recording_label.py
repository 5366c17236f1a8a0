"""The word REC in a corner of the picture that is sent: whoever sees it knows that the call is recorded."""

from __future__ import annotations

import av
import numpy as np

from app.media.lettering import text_mask
from app.media.pictures import yuv_planes

_WORD = "REC"
_HEIGHT_SHARE, _LEAST_PX = 18, 8  # of the picture's height, for the letters
_DARK, _WHITE = 16, 235
_RED_U, _RED_V = 100, 212


def with_label(frame: av.VideoFrame) -> av.VideoFrame:
    """Give a copy of a yuv420p frame with the label in its upper left corner; one too small for it comes back."""
    letters = max(_LEAST_PX, frame.height // _HEIGHT_SHARE)
    mask = text_mask(_WORD, letters)
    pad = letters // 2 & ~1 or 2
    height, width = mask.shape[0] + pad, mask.shape[1] + 2 * pad
    if height + pad > frame.height or width + pad > frame.width:
        return frame
    picture = np.array(frame.to_ndarray(), np.uint8)
    luma, u, v = yuv_planes(picture, frame.height)
    box = slice(pad, pad + height), slice(pad, pad + width)
    half = slice(pad // 2, (pad + height) // 2), slice(pad // 2, (pad + width) // 2)
    luma[box] = luma[box] // 4 + _DARK
    u[half], v[half] = _RED_U, _RED_V
    place = luma[pad + pad // 2 : pad + pad // 2 + mask.shape[0], 2 * pad : 2 * pad + mask.shape[1]]
    place[:] = np.maximum(place, (mask * _WHITE).astype(np.uint8))
    return av.VideoFrame.from_ndarray(picture, format="yuv420p")
