"""H.264 video: encoder and decoder through FFmpeg. How its frames go into packets is in h264_payload.py.

Constrained Baseline: no B-frames, no delay. A hardware encoder is used where FFmpeg offers one and it really works;
that is tried once a process, with pictures, in the thread that will encode.

One thread at a time per encoder or decoder; both release the interpreter lock while they work.
"""

from __future__ import annotations

import base64
import fractions
import functools
import logging
import sys

import av
import numpy as np
from av.video.frame import PictureType

from app.media.errors import MediaError, PacketError
from app.media.h264_payload import (
    LARGEST_PAYLOAD,
    MOST_PIXELS,
    START_CODE,
    has_parameters,
    is_key_frame,
    nal_units,
    picture_size,
)
from app.media.plan import CodecPlan

logger = logging.getLogger(__name__)

CLOCK_RATE = 90_000
X264 = "libx264"
# x264 goes down with a changed bitrate, and up to the one it was made with.
ROOM = 1.5  # above the asked bitrate, so that a rise needs no new encoder at once
LEAST_SHARE = 0.2  # below it a new one follows, since the rate control's buffer would be too long
BUFFER_S = 0.3
_PATIENCE = 30  # frames without a picture after which the decoder counts as stuck

_TIME_BASE = fractions.Fraction(1, CLOCK_RATE)
_HARDWARE = {
    "linux": ("h264_nvenc", "h264_qsv", "h264_vaapi"),
    "win32": ("h264_nvenc", "h264_qsv", "h264_amf", "h264_mf"),
    "darwin": ("h264_videotoolbox",),
}
_HARDWARE_OPTIONS = {
    "h264_nvenc": {"preset": "p2", "tune": "ull", "rc": "cbr", "zerolatency": "1", "forced-idr": "1", "delay": "0"},
    "h264_qsv": {"preset": "veryfast", "async_depth": "1", "forced_idr": "1", "look_ahead": "0"},
    "h264_amf": {"usage": "ultralowlatency", "rc": "cbr", "forced_idr": "1"},
    "h264_mf": {"rate_control": "cbr", "scenario": "video_conference", "hw_encoding": "1"},
    "h264_videotoolbox": {"realtime": "1", "allow_sw": "0"},
}
_TRIAL_SIZE = (320, 240)
_TRIAL_PICTURES = 4


class H264Encoder:
    """Encodes frames of any size in real time; `bitrate_bps` may be changed between frames.

    Another size, or a bitrate far from the one it was made with, begins with a key frame. `packet_bytes` bounds NAL
    units for a peer that cannot put fragments together (packetization mode 0).
    """

    def __init__(self, bitrate_bps: int, fps: int, *, packet_bytes: int | None = None, is_screen: bool = False) -> None:
        self.bitrate_bps = bitrate_bps
        self._fps = fps
        self._packet_bytes = packet_bytes
        self._is_screen = is_screen
        self._most_bps = 0
        self._is_short = False
        self._codec: av.VideoCodecContext | None = None
        self._last_pts = -1
        self.name = X264 if packet_bytes is not None else hardware_encoder() or X264

    def hurry(self, is_short: bool) -> None:
        """Spend less time on a picture, from the next key frame on."""
        self._is_short = is_short

    def encode(self, frame: av.VideoFrame, timestamp: int, *, key: bool) -> tuple[bytes, bool]:
        """Encode one yuv420p frame; `timestamp` (90 kHz, never wraps) must rise. Gives the bitstream and is-key."""
        codec = self._codec
        if codec is None or self._is_stale(codec, frame):
            codec = self._codec = self._create(frame.width, frame.height)
            self._last_pts = -1
        codec.bit_rate = self.bitrate_bps
        frame.pts = self._last_pts = max(timestamp, self._last_pts + 1)
        frame.time_base = _TIME_BASE
        frame.pict_type = PictureType.I if key else PictureType.NONE
        try:
            data = b"".join(map(bytes, codec.encode(frame)))
        except av.FFmpegError as error:
            self._codec = None
            if self.name == X264:
                raise MediaError(f"The H.264 encoder failed: {error}.") from error
            logger.info("the encoder %s failed, x264 goes on", self.name)
            self.name = X264
            return self.encode(frame, timestamp, key=key)
        return data, is_key_frame(data)

    def _is_stale(self, codec: av.VideoCodecContext, frame: av.VideoFrame) -> bool:
        if (frame.width, frame.height) != (codec.width, codec.height):
            return True
        return not LEAST_SHARE <= self.bitrate_bps / self._most_bps <= 1

    def _create(self, width: int, height: int) -> av.VideoCodecContext:
        self._most_bps = int(self.bitrate_bps * ROOM)
        codec = _context(self.name, width, height, self._fps, self._most_bps)
        if self.name == X264:
            options = {
                "preset": "ultrafast" if self._is_short else "superfast",
                "tune": "zerolatency",
                "profile": "baseline",
                "forced-idr": "1",
                "qmin": "16",  # below it nobody sees the difference
            }
            if self._packet_bytes is not None:
                options["x264-params"] = f"slice-max-size={self._packet_bytes}"
            if self._is_screen:
                options["aq-mode"] = "0"  # letters have no detail to spare
            codec.options = {**codec.options, **options}
        return codec


def _context(name: str, width: int, height: int, fps: int, most_bps: int) -> av.VideoCodecContext:
    codec = av.CodecContext.create(name, "w")
    assert isinstance(codec, av.VideoCodecContext)
    codec.width, codec.height, codec.pix_fmt = width, height, "yuv420p"
    codec.time_base = _TIME_BASE
    codec.framerate = fractions.Fraction(fps)
    codec.bit_rate = most_bps
    codec.gop_size = 3_000
    codec.max_b_frames = 0
    codec.thread_count = 1  # more would each hold a frame back, or cut it into slices
    codec.options = {
        "maxrate": str(most_bps),
        "bufsize": str(int(most_bps * BUFFER_S)),
        **({} if name == X264 else {"profile": "baseline", **_HARDWARE_OPTIONS.get(name, {})}),
    }
    return codec


@functools.cache
def hardware_encoder() -> str | None:
    """Give the encoder of this machine's hardware that proved itself; None when there is none."""
    for name in _HARDWARE.get(sys.platform, ()):
        if name in av.codecs_available and _proves_itself(name):
            logger.info("H.264 is encoded by %s", name)
            return name
    return None


def _proves_itself(name: str) -> bool:
    """Encode a few pictures: each must come out at once, in the right profile, with a key frame where asked."""
    width, height = _TRIAL_SIZE
    picture = np.full((height * 3 // 2, width), 128, np.uint8)
    decoder = H264Decoder()
    try:
        codec = _context(name, width, height, 30, 500_000)
        for number in range(_TRIAL_PICTURES):
            frame = av.VideoFrame.from_ndarray(picture, format="yuv420p")
            frame.pts, frame.time_base = number * 3_000, _TIME_BASE
            frame.pict_type = PictureType.I if number == 2 else PictureType.NONE
            data = b"".join(map(bytes, codec.encode(frame)))
            wants_key = number in (0, 2)
            if is_key_frame(data) != wants_key or has_parameters(data) != wants_key or len(decoder.decode(data)) != 1:
                return False
            if wants_key and not _is_baseline(data):
                return False
    except (av.FFmpegError, ValueError, PacketError):
        return False
    return True


def _is_baseline(data: bytes) -> bool:
    return all(unit[1] == 0x42 and unit[2] & 0x40 for unit in nal_units(data) if unit[0] & 0x1F == 7 and len(unit) > 3)


class H264Decoder:
    """Decodes whole frames; PacketError for one that is damaged. `parameters` stand before a key frame without any."""

    def __init__(self, parameters: bytes = b"") -> None:
        self._parameters = parameters
        self._codec = _decoder()
        self._in_vain = 0
        self._has_parameters = False

    def decode(self, data: bytes) -> list[av.VideoFrame]:
        """Decode one frame's bitstream; yuv420p pictures. One too large for any screen counts as damaged."""
        if has_parameters(data):
            picture_size(data)
            self._has_parameters = True
        elif not self._has_parameters and self._parameters and is_key_frame(data):
            picture_size(self._parameters)
            data = self._parameters + data
            self._has_parameters = True
        try:
            frames = [frame for frame in self._codec.decode(av.Packet(data)) if isinstance(frame, av.VideoFrame)]
        except av.FFmpegError as error:
            raise PacketError("An H.264 frame is damaged.") from error
        self._in_vain = 0 if frames else self._in_vain + 1
        if self._in_vain > _PATIENCE or any(frame.is_corrupt for frame in frames):
            self._in_vain = 0
            raise PacketError("An H.264 frame is damaged.")
        return [frame if frame.format.name == "yuv420p" else frame.reformat(format="yuv420p") for frame in frames]

    def reset(self) -> None:
        """Forget all references; a key frame must come next."""
        self._codec = _decoder()
        self._has_parameters = False
        self._in_vain = 0


def _decoder() -> av.VideoCodecContext:
    codec = av.CodecContext.create("h264", "r")
    assert isinstance(codec, av.VideoCodecContext)
    codec.thread_count = 1  # frame threads would add a frame of delay each
    codec.options = {"flags": "low_delay", "max_pixels": str(MOST_PIXELS)}
    return codec


def parameter_sets(codec: CodecPlan) -> bytes:
    """Give the peer's parameter sets of its SDP (sprop-parameter-sets, RFC 6184 section 8.1); empty without any."""
    units = []
    for text in (codec.parameter("sprop-parameter-sets") or "").split(",")[:8]:
        try:
            unit = base64.b64decode(text.strip(), validate=True)
        except ValueError:
            return b""
        if unit and len(unit) <= LARGEST_PAYLOAD:
            units.append(unit)
    return b"".join(START_CODE + unit for unit in units)
