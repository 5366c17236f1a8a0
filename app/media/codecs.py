"""The codecs we know, with the payload types usual for them, and which of a peer's we can take."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from app.media.h264_profile import OWN_PARAMETERS
from app.media.plan import CodecPlan

OPUS = CodecPlan("opus", 111, 48_000, 2, (("minptime", "10"), ("useinbandfec", "1")))
G722 = CodecPlan("G722", 9, 8_000)  # the clock of RTP, not of its sound
PCMU = CodecPlan("PCMU", 0, 8_000)
PCMA = CodecPlan("PCMA", 8, 8_000)
COMFORT_NOISE = CodecPlan("CN", 13, 8_000)
VP8 = CodecPlan("VP8", 96, 90_000)
H264 = CodecPlan("H264", 98, 90_000, 1, OWN_PARAMETERS)

KNOWN: dict[str, tuple[Literal["audio", "video"], CodecPlan]] = {
    "opus": ("audio", OPUS),
    "g722": ("audio", G722),
    "pcmu": ("audio", PCMU),
    "pcma": ("audio", PCMA),
    "vp8": ("video", VP8),
    "h264": ("video", H264),
}


# What goes beside a codec on its stream: repeats of its packets, keys of a telephone, silence described.
RED, EVENT, NOISE = "red", "telephone-event", "cn"
_BESIDE = {RED: (48_000,), EVENT: (8_000, 16_000, 48_000), NOISE: (8_000,)}


def is_known(kind: Literal["audio", "video"], codec: CodecPlan) -> bool:
    """Tell whether we can send and receive this codec, or what goes beside one.

    RFC 7587, 3551, 7741; RFC 2198, 4733, 3389.
    """
    if is_beside(codec):
        return kind == "audio" and codec.clock_rate in _BESIDE[codec.name.lower()]
    entry = KNOWN.get(codec.name.lower())
    if entry is None or entry[0] != kind:
        return False
    return codec.clock_rate == entry[1].clock_rate and codec.channels == entry[1].channels


def is_beside(codec: CodecPlan) -> bool:
    """Tell whether this is no codec of its own, but goes beside one."""
    return codec.name.lower() in _BESIDE


def first_known(kind: Literal["audio", "video"], codecs: Iterable[CodecPlan]) -> CodecPlan | None:
    """Give the first codec of a list that we know, or None."""
    return next((codec for codec in codecs if is_known(kind, codec) and not is_beside(codec)), None)


def beside(name: str, codec: CodecPlan, codecs: Iterable[CodecPlan]) -> CodecPlan | None:
    """Give what goes by this name beside `codec`: of its clock where there is one, else (keys only) of any."""
    found = [one for one in codecs if one.name.lower() == name and is_known("audio", one)]
    same = next((one for one in found if one.clock_rate == codec.clock_rate), None)
    return same if same is not None or name != EVENT else next(iter(found), None)
