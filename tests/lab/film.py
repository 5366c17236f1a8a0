"""A film to show in a call, and how well it came over: every picture is numbered, so each is compared with itself.

The pictures are a zoom into the Mandelbrot set as FFmpeg draws it: fine detail and movement everywhere, nothing like a
test pattern that any codec keeps.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import cast

import av
import av.filter
import numpy as np
from numpy.typing import NDArray

from app.media.stamp import draw_stamp, read_stamp

Grey = NDArray[np.uint8]

SIZE = (640, 480)
FPS = 30


def make_film(path: Path, seconds: float) -> Path:
    """Make the film as H.264 in MP4; give its path."""
    with av.open(str(path), "w") as container:
        stream = cast(av.VideoStream, container.add_stream("libx264", rate=FPS))
        stream.width, stream.height, stream.pix_fmt, stream.bit_rate = *SIZE, "yuv420p", 3_000_000
        stream.codec_context.options = {"preset": "ultrafast"}
        for number, picture in enumerate(drawn(round(seconds * FPS))):
            frame = av.VideoFrame.from_ndarray(picture, format="yuv420p")
            frame.pts, frame.time_base = number, Fraction(1, FPS)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def drawn(count: int, size: tuple[int, int] = SIZE) -> Iterator[Grey]:
    """Draw pictures as yuv420p arrays of shape (height · 3/2, width)."""
    width, height = size
    graph = av.filter.Graph()
    source = graph.add("mandelbrot", f"size={width}x{height}:rate={FPS}:maxiter=300:end_pts=400")
    convert = graph.add("format", "yuv420p")
    sink = graph.add("buffersink")
    source.link_to(convert)
    convert.link_to(sink)
    graph.configure()
    for number in range(count):
        picture = cast(av.VideoFrame, graph.vpull()).to_ndarray(format="yuv420p")
        draw_stamp(picture[:height], number)
        yield picture


@dataclass(frozen=True, slots=True)
class Seen:
    """How a film came over: the numbers in the order they were shown, and the likeness of each in dB."""

    numbers: tuple[int, ...]
    psnr_db: tuple[float, ...]
    unreadable: int

    @property
    def distinct(self) -> int:
        return len(set(self.numbers))

    @property
    def in_order(self) -> bool:
        return all(earlier <= later for earlier, later in zip(self.numbers, self.numbers[1:], strict=False))


def compare(original: Path, seen: Path) -> Seen:
    """Compare every picture of a received film with the original one of its number."""
    sent = {number: grey for number, grey in _numbered(original) if number is not None}
    shown = list(_numbered(seen))
    known = [(number, grey) for number, grey in shown if number is not None]
    return Seen(
        tuple(number for number, _ in known),
        tuple(psnr_db(sent[number], grey) for number, grey in known),
        len(shown) - len(known),
    )


def _numbered(path: Path) -> Iterator[tuple[int | None, Grey]]:
    with av.open(str(path)) as container:
        for frame in container.decode(video=0):
            picture = frame.reformat(*SIZE, format="gray")  # a poor path is sent smaller pictures
            yield read_stamp(frame), np.asarray(picture.to_ndarray(), np.uint8)


def psnr_db(one: Grey, other: Grey) -> float:
    """Give the peak signal-to-noise ratio of two pictures of one size; inf when they are the same."""
    error = float(((one.astype(np.float32) - other.astype(np.float32)) ** 2).mean())
    return math.inf if error == 0 else 10 * math.log10(255**2 / error)
