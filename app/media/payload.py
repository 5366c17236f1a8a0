"""What one RTP payload of a picture says, whatever its codec."""

from __future__ import annotations

from typing import NamedTuple


class PayloadPart(NamedTuple):
    """A piece of a frame's bitstream. `begins`: a frame may start with it; `begins_key`: one that needs no other."""

    begins: bool
    begins_key: bool
    data: bytes
