"""QR codes in pictures: small, large, negative; and pictures without one."""

from __future__ import annotations

import io
import struct
import zlib

import pytest
import segno

from app.media.errors import MediaError
from app.media.qr_reading import MOST_BYTES, is_picture, read_qr

TEXT = "af)AAAAAXLxtdXY]9)ai<_XI{vPcT@Lb}5twOg/nfGS$%W{y" * 8


def drawn(scale: int, **colours: str) -> bytes:
    picture = io.BytesIO()
    segno.make_qr(TEXT.encode(), mode="byte", error="l").save(picture, kind="png", scale=scale, border=4, **colours)
    return picture.getvalue()


@pytest.mark.parametrize("scale", [2, 6, 40])
def test_in_any_size(scale: int) -> None:
    picture = drawn(scale)
    assert is_picture(picture)
    assert read_qr(picture) == TEXT


def test_light_on_dark() -> None:
    assert read_qr(drawn(6, dark="white", light="black")) == TEXT


def _png_of(width: int, height: int) -> bytes:
    """A PNG that claims this size, with nothing in it."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    "picture",
    [
        drawn(6)[:300],
        b"\x89PNG\r\n\x1a\n",
        b"BM",
        _png_of(60_000, 60_000),
        _png_of(200, 200),
        bytes(MOST_BYTES + 1),
    ],
)
def test_what_has_none(picture: bytes) -> None:
    with pytest.raises(MediaError, match=r"^(The|No) .*picture.*\.$"):
        read_qr(picture)


def test_text_is_no_picture() -> None:
    assert not is_picture(b"af)AAAA")
    assert not is_picture(b"RIFF\0\0\0\0WAVE")
