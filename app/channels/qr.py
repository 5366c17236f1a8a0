"""A packed mission as a QR picture (ISO/IEC 18004), by segno."""

from __future__ import annotations

import io
from enum import StrEnum

import segno

from app.channels.errors import MissionError
from app.channels.mission_file import fits_qr, too_large_for_qr

_QUIET_ZONE = 4  # light modules around the picture, which readers need
_SCALE = 6  # points a module


class QrForm(StrEnum):
    """What the picture is made of: PNG or SVG, or half blocks for a terminal, light on dark."""

    PNG = "png"
    SVG = "svg"
    TEXT = "text"


def qr_picture(text: str, form: QrForm) -> bytes:
    """Draw the picture, with as much error correction as its size has room for; MissionError above 2,953 bytes."""
    if not fits_qr(text):
        raise MissionError(too_large_for_qr(text))
    code = segno.make_qr(text.encode(), mode="byte", error="l", boost_error=True)
    drawn = io.BytesIO()
    match form:
        case QrForm.PNG:
            code.save(drawn, kind="png", scale=_SCALE, border=_QUIET_ZONE)
        case QrForm.SVG:
            code.save(drawn, kind="svg", scale=_SCALE, border=_QUIET_ZONE, light="white")
        case QrForm.TEXT:
            lines = io.StringIO()
            code.terminal(lines, border=_QUIET_ZONE, compact=True)
            drawn.write(lines.getvalue().encode())
    return drawn.getvalue()
