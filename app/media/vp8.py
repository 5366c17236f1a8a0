"""VP8 video: encoder, decoder, and how its frames go into RTP payloads (RFC 7741).

One thread at a time per encoder or decoder; both release the interpreter lock while they work.
"""

from __future__ import annotations

import fractions
import os
import secrets

import av
from av.video.frame import PictureType

from app.media.effort import Effort
from app.media.errors import PacketError
from app.media.h264_profile import PictureLimits, number_of
from app.media.movement import Movement
from app.media.payload import PayloadPart
from app.media.plan import CodecPlan
from app.media.vpx import Vpx, is_available

CLOCK_RATE = 90_000
LARGEST_PAYLOAD = 1_180  # with RTP, SRTP, UDP and IPv6 headers under 1280
LARGEST_SIDE = 4_096
KEEP_FROM, KEEP_TO = 0.85, 1.3  # of the bitrate so far: not worth the key frame that FFmpeg makes of a change
# Of libvpx. The quick one takes 10 to 15 % less time of the encoder and a quarter less of the decoder, by a simpler
# filter; it costs 0.1 to 0.3 dB where bits are plenty and 0.8 dB where not. 12 and 13 cost as much and save less.
SPEED, QUICK_SPEED = 10, 14
LARGE_PIXELS = 1_280 * 720

_USUAL_FPS = 60  # of a peer that says a size only
_ANY_BPS = 1_000_000_000

_TIME_BASE = fractions.Fraction(1, CLOCK_RATE)


def limits_of(codec: CodecPlan) -> PictureLimits | None:
    """Give the most that the peer's decoder takes (RFC 7741 section 6.1); None where it did not say."""
    blocks = number_of(codec, "max-fs")
    if not blocks:
        return None
    return PictureLimits(blocks, blocks * (number_of(codec, "max-fr") or _USUAL_FPS), _ANY_BPS)


class Vp8Encoder:
    """Encodes frames of any size in real time; `bitrate_bps` may be changed between frames at no cost.

    Another size begins with a key frame. `is_screen` tunes for text: sharp and late rather than smeared. `is_repaired`:
    the peer asks for what is lost instead of decoding past it, so that pictures may build on all that came before.
    """

    def __init__(self, bitrate_bps: int, fps: int, *, is_screen: bool = False, is_repaired: bool = False) -> None:
        self.bitrate_bps = bitrate_bps
        self.name = "libvpx"
        self._fps = fps
        self._is_screen = is_screen
        self._is_repaired = is_repaired
        self._is_hurried = False
        self._effort = Effort()
        self._movement = Movement()
        self._vpx: Vpx | None = None
        self._configured_bps = 0
        self._ffmpeg = None if is_available() else _FfmpegVp8(fps)
        self._last_pts = -1

    def hurry(self, is_short: bool) -> None:
        """Look less hard for what is alike while the processor is short of time."""
        self._is_hurried = is_short

    def encode(self, frame: av.VideoFrame, timestamp: int, *, key: bool) -> tuple[bytes, bool]:
        """Encode one yuv420p frame; `timestamp` (90 kHz, never wraps) must rise. Gives the bitstream and is-key.

        The bitstream is empty when the encoder chose to drop the frame.
        """
        if self._ffmpeg is not None:
            return self._ffmpeg.encode(frame, timestamp, self.bitrate_bps, key=key)
        if self._vpx is None or not self._vpx.can_become(frame.width, frame.height):
            self._vpx = Vpx(
                frame.width,
                frame.height,
                self.bitrate_bps,
                threads=_threads(frame.width, frame.height),
                is_screen=self._is_screen,
                is_resilient=not self._is_repaired,
            )
            self._last_pts = -1
            self._movement = Movement()
        elif self._vpx.size != (frame.width, frame.height) or self._configured_bps != self.bitrate_bps:
            self._vpx.configure(frame.width, frame.height, self.bitrate_bps)
        self._configured_bps = self.bitrate_bps
        is_quick = self._is_hurried or self._effort.is_easy
        self._vpx.set_speed(QUICK_SPEED if is_quick else SPEED)
        self._last_pts = max(timestamp, self._last_pts + 1)
        data, is_key = self._vpx.encode(frame, self._last_pts, CLOCK_RATE // self._fps, key=key)
        if not self._is_screen:
            self._movement.see(frame, self._last_pts)
            is_calm = self._movement.is_calm
            # Where all moves, what changes little is a part of the movement more often than noise: 1 to 1.6 dB worse.
            self._vpx.leave_out_noise(self._movement.noise if is_calm else 0.0)
            self._effort.follow(self._vpx.quantizer, is_calm=is_calm)
        return data, is_key


def _threads(width: int, height: int) -> int:
    """Waiting threads of libvpx spin: more than one only where one cannot keep up and cores are idle."""
    return 2 if width * height > LARGE_PIXELS and (os.cpu_count() or 1) >= 4 else 1


class _FfmpegVp8:
    """The same through FFmpeg, where libvpx itself cannot be used: a change of bitrate begins with a key frame."""

    def __init__(self, fps: int) -> None:
        self._fps = fps
        self._codec: av.VideoCodecContext | None = None
        self._last_pts = -1

    def encode(self, frame: av.VideoFrame, timestamp: int, bitrate_bps: int, *, key: bool) -> tuple[bytes, bool]:
        codec = self._codec
        if codec is None or _is_stale(codec, frame, bitrate_bps):
            codec = self._codec = self._create(frame.width, frame.height, bitrate_bps)
            self._last_pts = -1
        frame.pts = self._last_pts = max(timestamp, self._last_pts + 1)
        frame.time_base = _TIME_BASE
        frame.pict_type = PictureType.I if key else PictureType.NONE
        packets = codec.encode(frame)
        return b"".join(map(bytes, packets)), any(packet.is_keyframe for packet in packets)

    def _create(self, width: int, height: int, bitrate_bps: int) -> av.VideoCodecContext:
        codec = av.CodecContext.create("libvpx", "w")
        assert isinstance(codec, av.VideoCodecContext)
        codec.width, codec.height, codec.pix_fmt = width, height, "yuv420p"
        codec.time_base = _TIME_BASE
        codec.framerate = fractions.Fraction(self._fps)
        codec.bit_rate = bitrate_bps
        codec.gop_size = 3_000
        codec.qmin, codec.qmax = 12, 56
        rate = str(bitrate_bps)
        codec.options = {
            "deadline": "realtime",
            "cpu-used": "-8",
            "lag-in-frames": "0",
            "minrate": rate,  # with maxrate: constant bitrate
            "maxrate": rate,
            "bufsize": rate,
            "overshoot-pct": "15",
            "undershoot-pct": "100",
            "static-thresh": "100",
            "max-intra-rate": "600",  # a key frame takes at most six frames' worth of bits
        }
        codec.thread_count = 1  # libvpx spins in more: seven times the CPU for one 720p stream
        return codec


def _is_stale(codec: av.VideoCodecContext, frame: av.VideoFrame, bitrate_bps: int) -> bool:
    if (frame.width, frame.height) != (codec.width, codec.height):
        return True
    return not KEEP_FROM <= bitrate_bps / (codec.bit_rate or 1) <= KEEP_TO


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


def read_payload(payload: bytes) -> PayloadPart:
    """Read one payload; PacketError when it is malformed."""
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
    begins, data = first & 0x17 == 0x10, payload[start:]  # S is set and PID is 0
    return PayloadPart(begins, begins and is_key_frame(data), data)


def is_key_frame(bitstream: bytes) -> bool:
    """Tell a key frame by its first byte and start code (RFC 6386 section 9.1)."""
    return len(bitstream) >= 10 and not bitstream[0] & 1 and bitstream[3:6] == b"\x9d\x01\x2a"


def key_frame_size(bitstream: bytes) -> tuple[int, int]:
    """Give width and height of a key frame (RFC 6386 section 9.1)."""
    return (
        int.from_bytes(bitstream[6:8], "little") & 0x3FFF,
        int.from_bytes(bitstream[8:10], "little") & 0x3FFF,
    )
