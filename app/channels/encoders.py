"""The encoders that a channel can name, by their numbers in mission files: what each is, and what we can do with it.

A codec that we cannot send is said to be so, with the reason, and never replaced by another one.
docs/channels-packets.md has the table in words. Pure.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum, IntEnum

from app.channels.errors import ChannelError
from app.media.audio_choice import FULL_HZ, NARROW_HZ, SUPERWIDE_HZ, WIDE_HZ
from app.media.codecs import OPUS, PCMA, PCMU
from app.media.plan import CodecPlan

FRAMINGS_MS = (20, 40, 60, 80, 100, 120)


class EncoderId(IntEnum):
    """The numbers that stand in a mission file under `txAudio.encoder`; the digits of a name are kb/s."""

    EXTERNAL = -1
    UNKNOWN = 0
    G711_ULAW = 1
    G711_ALAW = 2
    GSM_FULL_RATE = 3
    G729A = 4
    PCM = 5
    AMR_4_75 = 10
    AMR_5_15 = 11
    AMR_5_9 = 12
    AMR_6_7 = 13
    AMR_7_4 = 14
    AMR_7_95 = 15
    AMR_10_2 = 16
    AMR_12_2 = 17
    OPUS_6 = 20
    OPUS_8 = 21
    OPUS_10 = 22
    OPUS_12 = 23
    OPUS_14 = 24
    OPUS_16 = 25
    OPUS_18 = 26
    OPUS_20 = 27
    OPUS_22 = 28
    OPUS_24 = 29
    SPEEX_2_15 = 30
    SPEEX_3_95 = 31
    SPEEX_5_95 = 32
    SPEEX_8 = 33
    SPEEX_11 = 34
    SPEEX_15 = 35
    SPEEX_18_2 = 36
    SPEEX_24_6 = 37
    CODEC2_0_45 = 40
    CODEC2_0_7 = 41
    CODEC2_1_2 = 42
    CODEC2_1_3 = 43
    CODEC2_1_4 = 44
    CODEC2_1_6 = 45
    CODEC2_2_4 = 46
    CODEC2_3_2 = 47
    MELPE_0_6 = 50
    MELPE_1_2 = 51
    MELPE_2_4 = 52


class Support(Enum):
    """What we can do with a codec; the value is the word for a person."""

    FULL = "supported"
    RECEIVE_ONLY = "receive only"
    NONE = "not supported"


# Static payload types are those of RFC 3551 section 6; the others are our own choice, the same for every channel.
GSM = CodecPlan("GSM", 3, 8_000)
G729 = CodecPlan("G729", 18, 8_000)
AMR = CodecPlan("AMR", 112, 8_000)
SPEEX = CodecPlan("speex", 113, 8_000)


@dataclass(frozen=True, slots=True)
class EncoderInfo:
    """One encoder. `frame_bits` is what the codec makes of `frame_ms`, before its payload format adds anything.

    `codec` says how its packets go by RTP; None where we can do nothing with them. `why_not` is empty for what is
    supported in both directions. `band_hz`: the highest frequency that is sent.
    """

    id: int
    name: str
    bitrate_bps: int
    frame_ms: float
    frame_bits: int
    support: Support
    codec: CodecPlan | None = None
    why_not: str = ""
    band_hz: int = NARROW_HZ

    @property
    def is_supported(self) -> bool:
        """Whether a channel with this encoder can be talked on."""
        return self.support is Support.FULL

    @property
    def can_receive(self) -> bool:
        return self.support is not Support.NONE


_NO_ENCODER = "{} is heard, but not sent: none of Parley's libraries encodes it."
_NOT_THERE = "None of Parley's libraries has {}."

_AMR_BITS = (95, 103, 118, 134, 148, 159, 204, 244)  # of 20 ms, 3GPP TS 26.101 table 2
_AMR_KBPS = ("4.75", "5.15", "5.9", "6.7", "7.4", "7.95", "10.2", "12.2")
_SPEEX_BITS = (43, 79, 119, 160, 220, 300, 364, 492)  # of 20 ms, the Speex manual's table of narrow-band modes
_SPEEX_KBPS = ("2.15", "3.95", "5.95", "8", "11", "15", "18.2", "24.6")
_CODEC2 = (("0.45", 40, 18), ("0.7", 40, 28), ("1.2", 40, 48), ("1.3", 40, 52), ("1.4", 40, 56), ("1.6", 40, 64))
_CODEC2_SHORT = (("2.4", 20, 48), ("3.2", 20, 64))
_MELPE = (("0.6", 90.0, 54), ("1.2", 67.5, 81), ("2.4", 22.5, 54))
# The band of an Opus channel by its rate: as wide as the rate can fill.
_OPUS_BANDS = ((6, NARROW_HZ), (10, WIDE_HZ), (18, SUPERWIDE_HZ), (22, FULL_HZ))


def _single() -> Iterator[EncoderInfo]:
    none, hears = Support.NONE, Support.RECEIVE_ONLY
    yield EncoderInfo(
        *(EncoderId.EXTERNAL, "external codec", 0, 0, 0, none),
        why_not="An external codec is a program beside the phone, and Parley runs none.",
    )
    yield EncoderInfo(
        *(EncoderId.UNKNOWN, "unknown codec", 0, 0, 0, none), why_not="The channel does not say which codec it uses."
    )
    yield EncoderInfo(EncoderId.G711_ULAW, "G.711 μ-law", 64_000, 20, 1_280, Support.FULL, PCMU)
    yield EncoderInfo(EncoderId.G711_ALAW, "G.711 A-law", 64_000, 20, 1_280, Support.FULL, PCMA)
    yield EncoderInfo(
        EncoderId.GSM_FULL_RATE, "GSM full rate", 13_200, 20, 264, hears, GSM, _NO_ENCODER.format("GSM full rate")
    )
    yield EncoderInfo(EncoderId.G729A, "G.729a", 8_000, 10, 80, hears, G729, _NO_ENCODER.format("G.729a"))
    yield EncoderInfo(
        *(EncoderId.PCM, "PCM", 128_000, 20, 2_560, none),
        why_not="How plain samples lie in a packet of such a channel is not published.",
    )


def _families() -> Iterator[EncoderInfo]:
    for at, (kbps, bits) in enumerate(zip(_AMR_KBPS, _AMR_BITS, strict=True)):
        yield EncoderInfo(EncoderId.AMR_4_75 + at, f"AMR-NB {kbps} kb/s", _bps(kbps), 20, bits, Support.FULL, AMR)
    for at, rate in enumerate(range(6, 26, 2)):
        band = next(hz for least, hz in reversed(_OPUS_BANDS) if rate >= least)
        yield EncoderInfo(
            *(EncoderId.OPUS_6 + at, f"Opus {rate} kb/s", rate * 1_000, 20, rate * 20, Support.FULL, OPUS),
            band_hz=band,
        )
    for at, (kbps, bits) in enumerate(zip(_SPEEX_KBPS, _SPEEX_BITS, strict=True)):
        yield EncoderInfo(
            *(EncoderId.SPEEX_2_15 + at, f"Speex {kbps} kb/s", _bps(kbps), 20, bits, Support.RECEIVE_ONLY, SPEEX),
            why_not=_NO_ENCODER.format("Speex"),
        )
    for at, (kbps, ms, bits) in enumerate((*_CODEC2, *_CODEC2_SHORT)):
        yield EncoderInfo(
            *(EncoderId.CODEC2_0_45 + at, f"Codec 2 {kbps} kb/s", _bps(kbps), ms, bits, Support.NONE),
            why_not=_NOT_THERE.format("Codec 2"),
        )
    for at, (kbps, length, bits) in enumerate(_MELPE):
        yield EncoderInfo(
            *(EncoderId.MELPE_0_6 + at, f"MELPe {kbps} kb/s", _bps(kbps), length, bits, Support.NONE),
            why_not=_NOT_THERE.format("MELPe"),
        )


def _bps(kbps: str) -> int:
    return round(float(kbps) * 1_000)


ENCODERS: dict[int, EncoderInfo] = {info.id: info for info in (*_single(), *_families())}


def encoder_info(encoder: int) -> EncoderInfo:
    """Describe an encoder; a number that is in no list is described as not known."""
    info = ENCODERS.get(encoder)
    if info is not None:
        return info
    name = f"encoder {str(encoder)[:12]}"
    return EncoderInfo(encoder, name, 0, 0, 0, Support.NONE, why_not=f"There is no {name} in the list of codecs.")


def check_sending(encoder: int, framing_ms: int) -> EncoderInfo:
    """Give the encoder if packets of that length can be sent with it; ChannelError with the reason if not."""
    info = encoder_info(encoder)
    if not info.is_supported:
        raise ChannelError(f"This channel cannot be talked on. {info.why_not}")
    if framing_ms not in FRAMINGS_MS:
        raise ChannelError(f"Packets of {framing_ms} ms are not possible: 20, 40, 60, 80, 100 or 120 ms.")
    return info
