"""The codecs an offer may list and how each is written in rtpmap and fmtp lines.

Payload types above 95 are this side's choice for its own offers; an answer takes the numbers of the offer, as
RFC 3264 section 6.1 asks. Sources: RFC 7587 (Opus), RFC 7741 (VP8), RFC 3551 (G.711, G.722); beside a voice RFC 2198
(red), RFC 4733 (telephone-event), RFC 3389 (CN).
"""

from __future__ import annotations

import re
from dataclasses import replace

from app.calls.sdp import MediaDescription
from app.media.codecs import EVENT, NOISE, RED, is_beside, is_known
from app.media.h264_profile import H264_NAME, OWN_PARAMETERS, own_parameters, rank_of
from app.media.plan import CodecPlan, RtxTypes

_CATALOGUE: dict[str, tuple[str, CodecPlan]] = {
    "opus": ("audio", CodecPlan("opus", 96, 48_000, 2, (("minptime", "10"), ("useinbandfec", "1")))),
    "g722": ("audio", CodecPlan("G722", 9, 8_000, 1)),
    "pcmu": ("audio", CodecPlan("PCMU", 0, 8_000, 1)),
    "pcma": ("audio", CodecPlan("PCMA", 8, 8_000, 1)),
    "vp8": ("video", CodecPlan("VP8", 97, 90_000, 1)),
    "h264": ("video", CodecPlan("H264", 99, 90_000, 1, OWN_PARAMETERS)),
}
_STATIC = {"0": "PCMU/8000", "8": "PCMA/8000", "9": "G722/8000", "13": "CN/8000"}
_NUMBER = re.compile(r"[0-9]{1,9}")
_KEYS = (("0-15", ""),)
# Offered beside the voices of their clock.
_BESIDE_OPUS = (CodecPlan(RED, 63, 48_000, 2), CodecPlan(EVENT, 110, 48_000, 1, _KEYS))
_BESIDE_8000 = (CodecPlan("CN", 13, 8_000),)
_EVENT_8000 = CodecPlan(EVENT, 101, 8_000, 1, _KEYS)  # beside Opus too: many phones know no other
LONGEST_PACKET_MS = 120  # of sound, that is received

_RTX_OF = {97: 98, 99: 100}  # of this side's own offers: what repairs each video codec, RFC 4588


def codecs_for(kind: str, names: tuple[str, ...], *, dtx: bool = False) -> tuple[CodecPlan, ...]:
    """The codecs of one kind in the order of the person's wish, then what goes beside them.

    Unknown names were refused where they came in. `dtx`: the peer is asked to send little while nobody speaks.
    """
    chosen = (_CATALOGUE[name.lower()] for name in names if name.lower() in _CATALOGUE)
    codecs = tuple(codec for of_kind, codec in chosen if of_kind == kind)
    if kind != "audio" or not codecs:
        return codecs
    if dtx:
        codecs = tuple(
            replace(codec, fmtp=(*codec.fmtp, ("usedtx", "1"))) if codec.name == "opus" else codec for codec in codecs
        )
    beside: tuple[CodecPlan, ...] = ()
    if any(codec.clock_rate == 48_000 for codec in codecs):
        beside += _BESIDE_OPUS
    if any(codec.clock_rate == 8_000 for codec in codecs):
        beside += _BESIDE_8000
    return with_own_parameters((*codecs, *beside, _EVENT_8000), codecs)


def with_own_parameters(codecs: tuple[CodecPlan, ...], own: tuple[CodecPlan, ...]) -> tuple[CodecPlan, ...]:
    """Agreed codecs as this side describes them: parameters are about its own receiving, so they are no echo."""
    voice = next((codec.payload_type for codec in codecs if codec.name.lower() == "opus"), None)
    parameters = {codec.name.lower(): codec.fmtp for codec in own} | {EVENT: _KEYS}
    if voice is not None:
        parameters[RED] = ((f"{voice}/{voice}", ""),)  # RFC 2198 section 5: the formats of the blocks
    return tuple(
        replace(codec, fmtp=own_parameters(codec) if name == H264_NAME else parameters.get(name, ()))
        for codec, name in ((codec, codec.name.lower()) for codec in codecs)
    )


def codec_attributes(codecs: tuple[CodecPlan, ...], rtx: RtxTypes = ()) -> list[tuple[str, str | None]]:
    """The rtpmap and fmtp lines of one m-line; `rtx` repairs its codecs."""
    lines: list[tuple[str, str | None]] = []
    for codec in codecs:
        channels = f"/{codec.channels}" if codec.channels > 1 else ""
        lines.append(("rtpmap", f"{codec.payload_type} {codec.name}/{codec.clock_rate}{channels}"))
        if codec.fmtp:
            parameters = ";".join(f"{key}={value}" if value else key for key, value in codec.fmtp)
            lines.append(("fmtp", f"{codec.payload_type} {parameters}"))
    if any(is_known("audio", codec) for codec in codecs):
        lines.append(("maxptime", str(LONGEST_PACKET_MS)))
    for repair, repaired in rtx:
        clock_rate = next(codec.clock_rate for codec in codecs if codec.payload_type == repaired)
        lines += [("rtpmap", f"{repair} rtx/{clock_rate}"), ("fmtp", f"{repair} apt={repaired}")]
    return lines


def own_rtx(codecs: tuple[CodecPlan, ...]) -> RtxTypes:
    """The repairs that a first offer names: one payload type for each video codec."""
    numbers = (codec.payload_type for codec in codecs)
    return tuple((_RTX_OF[number], number) for number in numbers if number in _RTX_OF)


def rtx_of(media: MediaDescription, codecs: tuple[CodecPlan, ...]) -> RtxTypes:
    """The payload types under which an m-line repairs these of its codecs."""
    found: dict[int, int] = {}
    for codec in codecs_of(media):
        apt = codec.parameter("apt") or ""
        if codec.name.lower() == "rtx" and apt in [str(known.payload_type) for known in codecs]:
            found.setdefault(int(apt), codec.payload_type)
    return tuple((repair, repaired) for repaired, repair in found.items())


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
    found = (_codec(number, maps.get(number, ""), parameters.get(number, ())) for number in media.formats[:64])
    return tuple(codec for codec in found if codec is not None)


def _codec(number: str, encoding: str, fmtp: tuple[tuple[str, str], ...]) -> CodecPlan | None:
    """One format of an m-line; None where its number or its rtpmap is none that RTP knows."""
    name, *numbers = encoding.split("/")
    if not (1 <= len(numbers) <= 2 and all(_NUMBER.fullmatch(text) for text in (number, *numbers))):
        return None
    if int(number) > 127:
        return None
    return CodecPlan(name, int(number), int(numbers[0]), int(numbers[1]) if len(numbers) > 1 else 1, fmtp)


def _parameters(text: str) -> tuple[tuple[str, str], ...]:
    pairs = (part.strip().partition("=") for part in text.split(";")[:32] if part.strip())
    return tuple((key.strip().lower(), value.strip()) for key, _, value in pairs)


def in_common(theirs: tuple[CodecPlan, ...], ours: tuple[CodecPlan, ...]) -> tuple[CodecPlan, ...]:
    """What both know, in their order, with their payload numbers and parameters; empty without a codec among it."""
    known = {_key(codec) for codec in ours}
    # One entry a codec: a second payload type of the same codec (another packetisation) is not answered.
    common: dict[tuple[str, int, int], CodecPlan] = {}
    for codec in theirs:
        key = _key(codec)
        if key in known and _is_better(codec, common.get(key)):
            common[key] = codec
    voices = [codec for codec in common.values() if not is_beside(codec)]
    return tuple(codec for codec in common.values() if codec in voices or _fits(codec, voices))


def as_offered(offered: tuple[CodecPlan, ...], agreed: tuple[CodecPlan, ...], rtx: RtxTypes) -> tuple[CodecPlan, ...]:
    """Agreed codecs under the numbers of this side's offer, where the answer has others.

    Each side says what it wants to receive (RFC 3264 section 5.1), so the peer sends with ours. A number that the
    answer gives to something else stays that.
    """
    taken = {codec.payload_type for codec in agreed} | {repair for repair, _ in rtx}
    ours = {_key(codec): codec.payload_type for codec in reversed(offered)}
    numbered = ((codec, ours.get(_key(codec))) for codec in agreed)
    return tuple(
        replace(codec, payload_type=number) for codec, number in numbered if number is not None and number not in taken
    )


def _key(codec: CodecPlan) -> tuple[str, int, int]:
    return codec.name.lower(), codec.clock_rate, codec.channels


def _is_better(codec: CodecPlan, than: CodecPlan | None) -> bool:
    """Whether to take this one of two payload types of a codec: the first, or of H.264 what is nearest to ours."""
    if codec.name.lower() != H264_NAME:
        return than is None
    rank, other = rank_of(codec), None if than is None else rank_of(than)
    return rank is not None and (other is None or rank < other)


def _fits(codec: CodecPlan, voices: list[CodecPlan]) -> bool:
    """Whether this goes beside one of the voices."""
    name = codec.name.lower()
    if name == RED:
        opus = [str(voice.payload_type) for voice in voices if voice.name.lower() == "opus"]
        blocks = codec.fmtp[0][0].split("/") if codec.fmtp else opus
        return bool(opus) and set(blocks) == set(opus)
    if name == NOISE:
        return any(voice.clock_rate == codec.clock_rate for voice in voices)
    return bool(voices)


def packet_ms(media: MediaDescription, name: str) -> int | None:
    """Read `a=ptime` or `a=maxptime`; None where it is not said or makes no sense."""
    text = (media.attribute(name) or "").strip().partition(".")[0]
    return int(text) if text.isascii() and text.isdigit() and 0 < len(text) < 5 and int(text) > 0 else None
