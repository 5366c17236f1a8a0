"""The film that every phone of the bench shows: numbered pictures, raw, so that reading it costs nobody anything."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from app.media.pictures import yuv_planes
from app.media.stamp import draw_stamp
from tests.bench.peers.base import Film
from tests.lab.film import Grey, drawn


def make(
    path: Path, width: int, height: int, *, bps: int, fps: int = 30, seconds: float = 4.0, moving: float = 1.0
) -> Film:
    """Write pictures of tests/lab/film.py, forwards and then backwards so that the end meets the beginning.

    `moving` is the share of width and of height, around the middle, in which anything moves.
    """
    forwards = list(_partly(round(seconds * fps / 2), width, height, moving))
    with path.open("wb") as file:
        file.write(f"YUV4MPEG2 W{width} H{height} F{fps}:1 Ip A1:1 C420jpeg\n".encode())
        for picture in (*forwards, *reversed(forwards)):
            file.write(b"FRAME\n" + picture.tobytes())
    return Film(path, width, height, fps, bps)


def _partly(count: int, width: int, height: int, moving: float) -> Iterator[Grey]:
    if moving == 1.0:
        yield from drawn(count, (width, height))
        return
    ground = next(drawn(1, (width, height)))
    across, down = (round(size * moving) & ~3 for size in (width, height))
    x, y = (width - across) // 2 & ~1, (height - down) // 2 & ~1
    for number, part in enumerate(drawn(count, (across, down))):
        picture = ground.copy()
        planes = zip(yuv_planes(picture, height), yuv_planes(part, down), (1, 2, 2), strict=True)
        for plane, piece, divisor in planes:
            plane[y // divisor : (y + down) // divisor, x // divisor : (x + across) // divisor] = piece
        draw_stamp(picture[:height], number)
        yield picture
