"""The codecs an offer may list and how each is written in rtpmap and fmtp lines.

Payload types above 95 are this side's choice for its own offers; an answer takes the numbers of the offer, as
RFC 3264 section 6.1 asks. Sources: RFC 7587 (Opus), RFC 7741 (VP8), RFC 3551 (G.711, G.722).
"""

from __future__ import annotations

from app.calls.errors import DescriptionError
from app.calls.sdp import MediaDescription
from app.media.plan import CodecPlan

_CATALOGUE: dict[str, tuple[str, CodecPlan]] = {
    "opus": ("audio", CodecPlan("opus", 96, 48_000, 2, (("minptime", "10"), ("useinbandfec", "1")))),
    "g722": ("audio", CodecPlan("G722", 9, 8_000, 1)),
    "pcmu": ("audio", CodecPlan("PCMU", 0, 8_000, 1)),
    "pcma": ("audio", CodecPlan("PCMA", 8, 8_000, 1)),
    "vp8": ("video", CodecPlan("VP8", 97, 90_000, 1)),
}
_STATIC = {"0": "PCMU/8000", "8": "PCMA/8000", "9": "G722/8000"}

RTX_PAYLOAD_TYPE = 98  # of this side's own offers: repairs of the first video codec, RFC 4588


def codecs_for(kind: str, names: tuple[str, ...]) -> tuple[CodecPlan, ...]:
    """The codecs of one kind in the order of the person's wish; unknown names were refused where they came in."""
    chosen = (_CATALOGUE[name.lower()] for name in names if name.lower() in _CATALOGUE)
    return tuple(codec for of_kind, codec in chosen if of_kind == kind)


def codec_attributes(codecs: tuple[CodecPlan, ...], *, rtx: int | None = None) -> list[tuple[str, str | None]]:
    """The rtpmap and fmtp lines of one m-line; `rtx` repairs the first codec."""
    lines: list[tuple[str, str | None]] = []
    for codec in codecs:
        channels = f"/{codec.channels}" if codec.channels > 1 else ""
        lines.append(("rtpmap", f"{codec.payload_type} {codec.name}/{codec.clock_rate}{channels}"))
        if codec.fmtp:
            parameters = ";".join(f"{key}={value}" if value else key for key, value in codec.fmtp)
            lines.append(("fmtp", f"{codec.payload_type} {parameters}"))
    if rtx is not None:
        lines += [("rtpmap", f"{rtx} rtx/{codecs[0].clock_rate}"), ("fmtp", f"{rtx} apt={codecs[0].payload_type}")]
    return lines


def rtx_of(media: MediaDescription, payload_type: int) -> int | None:
    """The payload type under which an m-line repairs `payload_type`; None when it does not."""
    for codec in codecs_of(media):
        if codec.name.lower() == "rtx" and codec.parameter("apt") == str(payload_type):
            return codec.payload_type
    return None


def codecs_of(media: MediaDescription) -> tuple[CodecPlan, ...]:
    """What an m-line lists, in its order; formats without a usable rtpmap are left out."""
    maps = dict(_STATIC)
    for text in media.all_attributes("rtpmap"):
        number, _, encoding = text.partition(" ")
        maps[number] = encoding.strip()
    parameters: dict[str, tuple[tuple[str, str], ...]] = {}
    for text in media.all_attributes("fmtp"):
        number, _, rest = text.partition(" ")
        parameters[number] = _parameters(rest)
    found: list[CodecPlan] = []
    for number in media.formats[:64]:
        encoding = maps.get(number, "")
        parts = encoding.split("/")
        if not (number.isascii() and number.isdigit() and int(number) < 128) or len(parts) < 2:
            continue
        if not all(part.isascii() and part.isdigit() for part in parts[1:]):
            raise DescriptionError(f"{encoding[:40]!r} is not a valid encoding")
        channels = int(parts[2]) if len(parts) > 2 else 1
        found.append(CodecPlan(parts[0], int(number), int(parts[1]), channels, parameters.get(number, ())))
    return tuple(found)


def _parameters(text: str) -> tuple[tuple[str, str], ...]:
    pairs = (part.strip().partition("=") for part in text.split(";")[:32] if part.strip())
    return tuple((key.strip().lower(), value.strip()) for key, _, value in pairs)


def in_common(theirs: tuple[CodecPlan, ...], ours: tuple[CodecPlan, ...]) -> tuple[CodecPlan, ...]:
    """What both know, in their order and with their payload numbers and parameters."""
    known = {(codec.name.lower(), codec.clock_rate, codec.channels) for codec in ours}
    # One entry a codec: a second payload type of the same codec (another packetisation) is not answered.
    seen: set[tuple[str, int, int]] = set()
    common: list[CodecPlan] = []
    for codec in theirs:
        key = (codec.name.lower(), codec.clock_rate, codec.channels)
        if key in known and key not in seen:
            seen.add(key)
            common.append(codec)
    return tuple(common)
