"""Reads the text of a QR picture (ISO/IEC 18004) out of a photo or a picture file, by OpenCV."""

from __future__ import annotations

from typing import Any

from app.media import opencv
from app.media.errors import MediaError

MOST_BYTES = 16 << 20
_MOST_SIDE = 2_400  # more detail than a code has costs time and finds nothing
_LEAST_SIDE = 600
_NO_OPENCV = "QR pictures cannot be read here: OpenCV is missing."
_STARTS = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"BM", b"GIF8")


def is_picture(data: bytes) -> bool:
    """Whether this is a picture file: PNG, JPEG, BMP, GIF or WebP."""
    return data.startswith(_STARTS) or (data.startswith(b"RIFF") and data[8:12] == b"WEBP")


def read_qr(data: bytes) -> str:
    """The text of the QR code in a picture; MediaError when none can be read. Takes tenths of a second: blocks."""
    if len(data) > MOST_BYTES:
        raise MediaError(f"The picture is larger than {MOST_BYTES >> 20} MiB.")
    cv2 = opencv.load()
    if cv2 is None:
        raise MediaError(_NO_OPENCV)
    try:
        grey = cv2.imdecode(_as_array(data), cv2.IMREAD_GRAYSCALE)
        if grey is None:
            raise MediaError("The picture is damaged, or too large.")
        # Of OpenCV's two readers this one reads all clean pictures of missions, the other three in four.
        detector = cv2.QRCodeDetectorAruco()
        for shape in _shapes(cv2, grey):
            text = detector.detectAndDecode(shape)[0]
            if text:
                return str(text)
    except (cv2.error, UnicodeDecodeError):
        raise MediaError("The picture cannot be read.") from None
    raise MediaError("No QR code can be read in the picture: it must be whole, sharp and large enough.")


def find_qr(grey: Any) -> str:
    """The text of a QR code in one picture of a camera, rows of 8-bit grey; "" when none is read. Blocks.

    MediaError when there is nothing to read it with.
    """
    cv2 = opencv.load()
    if cv2 is None:
        raise MediaError(_NO_OPENCV)
    try:
        return str(cv2.QRCodeDetectorAruco().detectAndDecode(grey)[0])
    except (cv2.error, UnicodeDecodeError):
        return ""


def _as_array(data: bytes) -> Any:
    import numpy as np  # as late as OpenCV

    return np.frombuffer(data, np.uint8)


def _shapes(cv2: Any, grey: Any) -> list[Any]:
    """The picture in a size that suits, and its negative: terminals draw light on dark."""
    side = max(grey.shape)
    if side > _MOST_SIDE:
        grey = cv2.resize(grey, None, fx=_MOST_SIDE / side, fy=_MOST_SIDE / side, interpolation=cv2.INTER_AREA)
    elif side < _LEAST_SIDE:
        grey = cv2.resize(grey, None, fx=3, fy=3, interpolation=cv2.INTER_NEAREST)
    return [grey, 255 - grey]
