"""VP8 video: encoder, decoder, and how its frames go into RTP payloads (RFC 7741).

One thread at a time per encoder or decoder; both release the interpreter lock while they work.
"""

from __future__ import annotations

import fractions
import secrets

import av
from av.video.frame import PictureType

from app.media.errors import PacketError

CLOCK_RATE = 90_000
LARGEST_PAYLOAD = 1_180  # with RTP, SRTP, UDP and IPv6 headers under 1280
LARGEST_SIDE = 4_096
KEEP_FROM, KEEP_TO = 0.85, 1.3  # of the bitrate so far: not worth the key frame that a change begins with

_TIME_BASE = fractions.Fraction(1, CLOCK_RATE)


class Vp8Encoder:
    """Encodes frames of any size in real time; a change of size or of bitrate begins with a key frame."""

    def __init__(self, bitrate_bps: int, fps: int) -> None:
        self.bitrate_bps = bitrate_bps
        self._fps = fps
        self._codec: av.VideoCodecContext | None = None
        self._last_pts = -1

    def encode(self, frame: av.VideoFrame, timestamp: int, *, key: bool) -> tuple[bytes, bool]:
        """Encode one yuv420p frame; `timestamp` (90 kHz, never wraps) must rise. Gives the bitstream and is-key.

        The bitstream is empty when the encoder chose to drop the frame.
        """
        codec = self._codec
        if codec is None or self._is_stale(codec, frame):
            codec = self._codec = self._create(frame.width, frame.height)
            self._last_pts = -1
        frame.pts = self._last_pts = max(timestamp, self._last_pts + 1)
        frame.time_base = _TIME_BASE
        frame.pict_type = PictureType.I if key else PictureType.NONE
        packets = codec.encode(frame)
        return b"".join(map(bytes, packets)), any(packet.is_keyframe for packet in packets)

    def _is_stale(self, codec: av.VideoCodecContext, frame: av.VideoFrame) -> bool:
        if (frame.width, frame.height) != (codec.width, codec.height):
            return True
        return not KEEP_FROM <= self.bitrate_bps / (codec.bit_rate or 1) <= KEEP_TO

    def _create(self, width: int, height: int) -> av.VideoCodecContext:
        codec = av.CodecContext.create("libvpx", "w")
        assert isinstance(codec, av.VideoCodecContext)
        codec.width, codec.height, codec.pix_fmt = width, height, "yuv420p"
        codec.time_base = _TIME_BASE
        codec.framerate = fractions.Fraction(self._fps)
        codec.bit_rate = self.bitrate_bps
        codec.gop_size = 3_000
        codec.qmin, codec.qmax = 2, 56
        rate = str(self.bitrate_bps)
        codec.options = {
            "deadline": "realtime",
            "cpu-used": "-8",
            "lag-in-frames": "0",
            "minrate": rate,  # with maxrate: constant bitrate
            "maxrate": rate,
            "bufsize": rate,
            "overshoot-pct": "15",
            "undershoot-pct": "100",
            "static-thresh": "1",
            "max-intra-rate": "600",  # a key frame takes at most six frames' worth of bits
        }
        codec.thread_count = 1  # libvpx spins in more: seven times the CPU for one 720p stream
        return codec


class Vp8Decoder:
    """Decodes whole frames; PacketError for one that is damaged."""

    def __init__(self) -> None:
        self._codec = _decoder()

    def decode(self, data: bytes) -> list[av.VideoFrame]:
        """Decode one frame's bitstream; yuv420p pictures. One too large for any screen counts as damaged."""
        if is_key_frame(data) and max(key_frame_size(data)) > LARGEST_SIDE:
            raise PacketError("A VP8 picture is larger than any screen.")
        try:
            return [frame for frame in self._codec.decode(av.Packet(data)) if isinstance(frame, av.VideoFrame)]
        except av.FFmpegError as error:
            raise PacketError("A VP8 frame is damaged.") from error

    def reset(self) -> None:
        """Forget all references; a key frame must come next."""
        self._codec = _decoder()


def _decoder() -> av.VideoCodecContext:
    codec = av.CodecContext.create("vp8", "r")
    assert isinstance(codec, av.VideoCodecContext)
    codec.thread_count = 1  # frame threads would add a frame of delay each
    return codec


class Vp8Packetizer:
    """Cuts frames into payloads with a 15-bit picture ID that rises by one a frame (RFC 7741 section 4.2)."""

    def __init__(self) -> None:
        self._picture_id = secrets.randbelow(1 << 15)

    def packetize(self, data: bytes) -> list[bytes]:
        """Give the payloads of one frame, of nearly equal size."""
        self._picture_id = (self._picture_id + 1) & 0x7FFF
        picture_id = (0x8000 | self._picture_id).to_bytes(2)
        count = -(-len(data) // (LARGEST_PAYLOAD - 4))
        size = -(-len(data) // count) if count else 0
        first, other = b"\x90\x80" + picture_id, b"\x80\x80" + picture_id
        return [(other if start else first) + data[start : start + size] for start in range(0, len(data), size or 1)]


def read_payload(payload: bytes) -> tuple[bool, bytes]:
    """Give (begins a frame, bitstream part) of one payload; PacketError when it is malformed."""
    try:
        first, start = payload[0], 1
        if first & 0x80:
            extensions, start = payload[1], 2
            if extensions & 0x80:  # picture ID, of one or two bytes
                start += 2 if payload[2] & 0x80 else 1
            if extensions & 0x40:  # TL0PICIDX
                start += 1
            if extensions & 0x30:  # TID or KEYIDX share a byte
                start += 1
        if start >= len(payload):
            raise PacketError("A VP8 payload is empty.")
    except IndexError as error:
        raise PacketError("A VP8 payload descriptor is cut short.") from error
    return first & 0x17 == 0x10, payload[start:]  # S is set and PID is 0


def is_key_frame(bitstream: bytes) -> bool:
    """Tell a key frame by its first byte and start code (RFC 6386 section 9.1)."""
    return len(bitstream) >= 10 and not bitstream[0] & 1 and bitstream[3:6] == b"\x9d\x01\x2a"


def key_frame_size(bitstream: bytes) -> tuple[int, int]:
    """Give width and height of a key frame (RFC 6386 section 9.1)."""
    return (
        int.from_bytes(bitstream[6:8], "little") & 0x3FFF,
        int.from_bytes(bitstream[8:10], "little") & 0x3FFF,
    )
