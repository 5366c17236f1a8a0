"""The video codecs behind one face: which encoder, decoder and packets belong to a negotiated format."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Protocol

import av

from app.media import h264_payload, h264_profile, vp8
from app.media.h264 import H264Decoder, H264Encoder, parameter_sets
from app.media.h264_profile import H264_NAME, PictureLimits
from app.media.payload import PayloadPart
from app.media.plan import CodecPlan
from app.media.vp8 import Vp8Decoder, Vp8Encoder, Vp8Packetizer

Reader = Callable[[bytes], PayloadPart]
READERS: Mapping[str, Reader] = MappingProxyType({"vp8": vp8.read_payload, H264_NAME: h264_payload.read_payload})


class VideoEncoder(Protocol):
    """Makes bitstreams of pictures in real time; any thread, one at a time."""

    bitrate_bps: int
    name: str

    def hurry(self, is_short: bool) -> None:
        """Say whether the processor is short of time."""

    def encode(self, frame: av.VideoFrame, timestamp: int, *, key: bool) -> tuple[bytes, bool]:
        """Give the bitstream of a yuv420p frame, empty where it is left out, and whether it is a key frame."""


class VideoDecoder(Protocol):
    """Makes pictures of bitstreams; PacketError for a damaged one."""

    def decode(self, data: bytes) -> list[av.VideoFrame]: ...

    def reset(self) -> None:
        """Forget all references; a key frame must come next."""


class Packetizer(Protocol):
    """Cuts a frame's bitstream into RTP payloads."""

    def packetize(self, data: bytes) -> list[bytes]: ...


def _is_h264(codec: CodecPlan) -> bool:
    return codec.name.lower() == H264_NAME


def _mode(codec: CodecPlan) -> int:
    return 1 if codec.parameter("packetization-mode") == "1" else 0


def limits_of(codec: CodecPlan) -> PictureLimits | None:
    """Give the most that the peer takes of a format; None where it set no limit."""
    return h264_profile.limits_of(codec) if _is_h264(codec) else vp8.limits_of(codec)


def make_encoder(
    codec: CodecPlan, bitrate_bps: int, fps: int, *, is_screen: bool = False, is_repaired: bool = False
) -> VideoEncoder:
    """Make the encoder of what a peer takes, who asks again for what is lost where `is_repaired`.

    MediaError where there is none.
    """
    if _is_h264(codec):
        packet_bytes = None if _mode(codec) else h264_payload.LARGEST_PAYLOAD
        return H264Encoder(bitrate_bps, fps, packet_bytes=packet_bytes, is_screen=is_screen)
    return Vp8Encoder(bitrate_bps, fps, is_screen=is_screen, is_repaired=is_repaired)


def make_packetizer(codec: CodecPlan) -> Packetizer:
    return h264_payload.H264Packetizer(_mode(codec)) if _is_h264(codec) else Vp8Packetizer()


def make_decoder(codec: CodecPlan) -> VideoDecoder:
    return H264Decoder(parameter_sets(codec)) if _is_h264(codec) else Vp8Decoder()
