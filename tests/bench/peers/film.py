"""The film that every phone of the bench shows: numbered pictures, raw, so that reading it costs nobody anything."""

from __future__ import annotations

from pathlib import Path

from tests.bench.peers.base import Film
from tests.lab.film import drawn


def make(path: Path, width: int, height: int, *, bps: int, fps: int = 30, seconds: float = 4.0) -> Film:
    """Write pictures of tests/lab/film.py, forwards and then backwards so that the end meets the beginning."""
    forwards = list(drawn(round(seconds * fps / 2), (width, height)))
    with path.open("wb") as file:
        file.write(f"YUV4MPEG2 W{width} H{height} F{fps}:1 Ip A1:1 C420jpeg\n".encode())
        for picture in (*forwards, *reversed(forwards)):
            file.write(b"FRAME\n" + picture.tobytes())
    return Film(path, width, height, fps, bps)
