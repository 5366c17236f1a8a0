"""One picture as a PNG file."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from app.frames import VideoPicture


def write_png(picture: VideoPicture, path: Path) -> None:
    """Write the picture, in its own size, over what is there. Blocks; OSError where the disk does not take it."""
    rows = np.frombuffer(picture.data, np.uint8).reshape(picture.height, picture.stride_bytes)
    pixels = np.ascontiguousarray(rows[:, : picture.width * 4].reshape(picture.height, picture.width, 4)[:, :, 2::-1])
    encoder = av.CodecContext.create("png", "w")
    assert isinstance(encoder, av.VideoCodecContext)
    encoder.width, encoder.height, encoder.pix_fmt = picture.width, picture.height, "rgb24"
    encoder.time_base = Fraction(1, 1)
    frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
    frame.pts = 0
    data = b"".join(bytes(packet) for packet in (*encoder.encode(frame), *encoder.encode(None)))
    path.write_bytes(data)
