"""VP8 encoding through the libvpx that lies inside the av wheel, by ctypes.

FFmpeg's wrapper of libvpx cannot change the bitrate of an encoder that runs: it must be made anew, which costs a key
frame. libvpx itself can (vpx_codec_enc_config_set). Only what stands in the library's public headers is used:
vpx_codec.h, vpx_encoder.h, vpx_image.h and vp8cx.h. Layouts of structures belong to an ABI version; libvpx refuses
another one than its own when an encoder is made, and `is_available` then says no.

Every call releases the interpreter lock. One thread at a time may use an encoder.
"""

from __future__ import annotations

import ctypes
import functools
import logging

import av

from app.media.bundled import library_paths
from app.media.errors import MediaError

logger = logging.getLogger(__name__)

_ABI_VERSIONS = (39, 25)  # VPX_ENCODER_ABI_VERSION of libvpx 1.16 and 1.12, whose layouts below were compared
_ABI_MISMATCH = 3

_CBR, _AUTO_KEY_FRAMES, _I420, _RESILIENT, _REALTIME = 1, 1, 0x102, 1, 1
_FORCE_KEY, _IS_KEY, _FRAME_PACKET = 1, 1, 0
# Frames are foreseen from the one before, and from the golden one where the encoder renews it, about once a second:
# 0.1 to 1.2 dB for 1 to 4 % of the time. A resilient encoder never does, so that looking there would be for nothing.
# The third one is an older golden one, and not looked at.
_NO_GOLDEN, _NO_ALTERNATE = 1 << 17, 1 << 21
# enum vp8e_enc_control_id
_SET_CPU_USED = 13
_SET_NOISE_SENSITIVITY = 15
_SET_STATIC_THRESHOLD = 17
_GET_LAST_QUANTIZER_64 = 20
_SET_MAX_INTRA_PERCENT = 26
_SET_SCREEN_CONTENT = 31

# Of a block's squared error, under which nothing of it is coded: two grey levels, which is what a camera's noise makes
# of a wall, and for text half of one. Measured at 1280x720 and 1.4 Mbit/s against half a level: a quarter less time
# where little moves (49 dB become 47), 15 % less and 0.15 dB more with noise of 1.5 levels, 16 % less in a calm film
# (46 dB become 45), and where all moves the same.
_STATIC_THRESHOLD, _STATIC_THRESHOLD_OF_TEXT = 1_000, 100
# A worse camera makes more of it. With noise of 3 levels all of the picture would be coded, coarsely: a threshold above
# it takes 40 % less time and gives 1.5 dB (beside the picture without noise, at 900 kbit/s).
_MOST_STATIC_THRESHOLD, _THRESHOLD_STEP = 7_000, 500
_ABOVE_NOISE = 2.2 * 16 * 16  # the picture before has its noise too
_CLOCK_RATE = 90_000
_LARGEST_KBPS = 100_000


class _Rational(ctypes.Structure):
    _fields_ = [("num", ctypes.c_int), ("den", ctypes.c_int)]


class _Buffer(ctypes.Structure):
    _fields_ = [("buf", ctypes.c_void_p), ("sz", ctypes.c_size_t)]


class _Config(ctypes.Structure):
    """vpx_codec_enc_cfg; what comes after the last field is filled by the library alone."""

    _fields_ = [
        ("g_usage", ctypes.c_uint),
        ("g_threads", ctypes.c_uint),
        ("g_profile", ctypes.c_uint),
        ("g_w", ctypes.c_uint),
        ("g_h", ctypes.c_uint),
        ("g_bit_depth", ctypes.c_int),
        ("g_input_bit_depth", ctypes.c_uint),
        ("g_timebase", _Rational),
        ("g_error_resilient", ctypes.c_uint32),
        ("g_pass", ctypes.c_int),
        ("g_lag_in_frames", ctypes.c_uint),
        ("rc_dropframe_thresh", ctypes.c_uint),
        ("rc_resize_allowed", ctypes.c_uint),
        ("rc_scaled_width", ctypes.c_uint),
        ("rc_scaled_height", ctypes.c_uint),
        ("rc_resize_up_thresh", ctypes.c_uint),
        ("rc_resize_down_thresh", ctypes.c_uint),
        ("rc_end_usage", ctypes.c_int),
        ("rc_twopass_stats_in", _Buffer),
        ("rc_firstpass_mb_stats_in", _Buffer),
        ("rc_target_bitrate", ctypes.c_uint),
        ("rc_min_quantizer", ctypes.c_uint),
        ("rc_max_quantizer", ctypes.c_uint),
        ("rc_undershoot_pct", ctypes.c_uint),
        ("rc_overshoot_pct", ctypes.c_uint),
        ("rc_buf_sz", ctypes.c_uint),
        ("rc_buf_initial_sz", ctypes.c_uint),
        ("rc_buf_optimal_sz", ctypes.c_uint),
        ("rc_2pass_vbr_bias_pct", ctypes.c_uint),
        ("rc_2pass_vbr_minsection_pct", ctypes.c_uint),
        ("rc_2pass_vbr_maxsection_pct", ctypes.c_uint),
        ("rc_2pass_vbr_corpus_complexity", ctypes.c_uint),
        ("kf_mode", ctypes.c_int),
        ("kf_min_dist", ctypes.c_uint),
        ("kf_max_dist", ctypes.c_uint),
        ("rest", ctypes.c_uint8 * 2_048),
    ]


class _Image(ctypes.Structure):
    """vpx_image."""

    _fields_ = [
        ("fmt", ctypes.c_int),
        ("cs", ctypes.c_int),
        ("range", ctypes.c_int),
        ("w", ctypes.c_uint),
        ("h", ctypes.c_uint),
        ("bit_depth", ctypes.c_uint),
        ("d_w", ctypes.c_uint),
        ("d_h", ctypes.c_uint),
        ("r_w", ctypes.c_uint),
        ("r_h", ctypes.c_uint),
        ("x_chroma_shift", ctypes.c_uint),
        ("y_chroma_shift", ctypes.c_uint),
        ("planes", ctypes.c_void_p * 4),
        ("stride", ctypes.c_int * 4),
        ("bps", ctypes.c_int),
        ("user_priv", ctypes.c_void_p),
        ("img_data", ctypes.c_void_p),
        ("img_data_owner", ctypes.c_int),
        ("self_allocd", ctypes.c_int),
        ("fb_priv", ctypes.c_void_p),
    ]


class _Packet(ctypes.Structure):
    """vpx_codec_cx_pkt with a frame in it."""

    _fields_ = [
        ("kind", ctypes.c_int),
        ("buf", ctypes.c_void_p),
        ("sz", ctypes.c_size_t),
        ("pts", ctypes.c_int64),
        ("duration", ctypes.c_ulong),
        ("flags", ctypes.c_uint32),
    ]


@functools.cache
def _library() -> ctypes.CDLL | None:
    """Load libvpx once; None when there is none."""
    for path in library_paths("vpx"):
        try:
            return _declare(ctypes.CDLL(path))
        except (OSError, AttributeError):
            continue
    return None


def _declare(library: ctypes.CDLL) -> ctypes.CDLL:
    pointer, number = ctypes.c_void_p, ctypes.c_int
    library.vpx_codec_vp8_cx.restype = pointer
    library.vpx_codec_vp8_cx.argtypes = []
    library.vpx_codec_enc_config_default.argtypes = [pointer, pointer, ctypes.c_uint]
    library.vpx_codec_enc_init_ver.argtypes = [pointer, pointer, pointer, ctypes.c_long, number]
    library.vpx_codec_enc_config_set.argtypes = [pointer, pointer]
    # Only the fixed arguments: what follows is variadic and some platforms pass it another way.
    library.vpx_codec_control_.argtypes = [pointer, number]
    library.vpx_codec_encode.argtypes = [
        pointer,
        pointer,
        ctypes.c_int64,
        ctypes.c_ulong,
        ctypes.c_long,
        ctypes.c_ulong,
    ]
    library.vpx_codec_get_cx_data.argtypes = [pointer, pointer]
    library.vpx_codec_get_cx_data.restype = ctypes.POINTER(_Packet)
    library.vpx_codec_destroy.argtypes = [pointer]
    library.vpx_codec_err_to_string.argtypes = [number]
    library.vpx_codec_err_to_string.restype = ctypes.c_char_p
    return library


@functools.cache
def is_available() -> bool:
    """Whether libvpx is here with structures that we know; found out once, by making a small encoder."""
    try:
        Vpx(32, 32, 100_000)
    except MediaError as error:
        logger.info("VP8 is encoded through FFmpeg: %s", error)
        return False
    return True


class Vpx:
    """One VP8 encoder. `configure` changes bitrate and size while it runs; MediaError where libvpx refuses.

    `is_screen` tunes for text instead of for motion. `is_resilient` makes each frame readable without what those before
    it said of probabilities, for who decodes past a gap; it takes more bits. A frame may come out empty: then bits were
    short and the encoder left it out.
    """

    def __init__(
        self,
        width: int,
        height: int,
        bitrate_bps: int,
        *,
        threads: int = 1,
        is_screen: bool = False,
        is_resilient: bool = True,
    ) -> None:
        library = _library()
        if library is None:
            raise MediaError("The video library libvpx was not found.")
        self._library = library
        self._context = ctypes.create_string_buffer(256)  # vpx_codec_ctx has 56 bytes
        self._is_made = False
        self._speed = 0
        self.size = self._most = (width, height)
        self._config = config = _Config()
        self._check(library.vpx_codec_enc_config_default(library.vpx_codec_vp8_cx(), ctypes.byref(config), 0))
        config.g_threads = threads
        config.g_timebase = _Rational(1, _CLOCK_RATE)
        config.g_error_resilient = _RESILIENT if is_resilient else 0
        self._flags = _NO_ALTERNATE | (_NO_GOLDEN if is_resilient else 0)
        config.g_lag_in_frames = 0
        config.rc_end_usage = _CBR
        # Below 12 nobody sees the difference, and it takes twice the bits.
        config.rc_min_quantizer, config.rc_max_quantizer = 4 if is_screen else 12, 56
        config.rc_undershoot_pct, config.rc_overshoot_pct = 100, 15
        config.rc_buf_sz, config.rc_buf_initial_sz, config.rc_buf_optimal_sz = 1_000, 500, 600
        config.rc_resize_allowed = 0
        config.rc_dropframe_thresh = 0 if is_screen else 30
        config.kf_mode, config.kf_min_dist, config.kf_max_dist = _AUTO_KEY_FRAMES, 0, 3_000
        self._fill(width, height, bitrate_bps)
        self._make()
        self._control(_SET_NOISE_SENSITIVITY, 0)
        self._threshold = _STATIC_THRESHOLD_OF_TEXT if is_screen else _STATIC_THRESHOLD
        self._control(_SET_STATIC_THRESHOLD, self._threshold)
        self._control(_SET_MAX_INTRA_PERCENT, 600)  # a key frame takes at most six frames' worth of bits
        self._control(_SET_SCREEN_CONTENT, 1 if is_screen else 0)
        self._image = _Image(fmt=_I420, bit_depth=8, x_chroma_shift=1, y_chroma_shift=1, bps=12)

    def __del__(self) -> None:
        if getattr(self, "_is_made", False):
            self._library.vpx_codec_destroy(self._context)

    def can_become(self, width: int, height: int) -> bool:
        """Whether `configure` can take this size: libvpx keeps the room of the first one."""
        return width <= self._most[0] and height <= self._most[1]

    def configure(self, width: int, height: int, bitrate_bps: int) -> None:
        """Go on at another size or bitrate; only another size begins with a key frame."""
        self._fill(width, height, bitrate_bps)
        self._check(self._library.vpx_codec_enc_config_set(self._context, ctypes.byref(self._config)))
        self.size = width, height

    def set_speed(self, speed: int) -> None:
        """Set how hard it tries: 1 (best) to 16 (quickest)."""
        if speed != self._speed:
            self._control(_SET_CPU_USED, -speed)
            self._speed = speed

    def leave_out_noise(self, levels: float) -> None:
        """Code nothing of a block that changes less than by a camera's noise of so many grey levels (rms)."""
        squares = min(_MOST_STATIC_THRESHOLD, levels * levels * _ABOVE_NOISE)
        threshold = max(_STATIC_THRESHOLD, round(squares / _THRESHOLD_STEP) * _THRESHOLD_STEP)
        if threshold != self._threshold:
            self._control(_SET_STATIC_THRESHOLD, threshold)
            self._threshold = threshold

    @property
    def quantizer(self) -> int:
        """How coarse the last picture is: 0 (finest) to 63."""
        found = ctypes.c_int()
        request = _GET_LAST_QUANTIZER_64
        self._check(self._library.vpx_codec_control_(self._context, request, ctypes.byref(found)))
        return found.value

    def encode(self, frame: av.VideoFrame, pts: int, duration: int, *, key: bool) -> tuple[bytes, bool]:
        """Encode a yuv420p frame of the configured size straight from its planes; times in 1/90000 s, `pts` rises.

        Gives the bitstream and whether it is a key frame. MediaError for another frame: libvpx would read beside it.
        """
        if frame.format.name != "yuv420p" or (frame.width, frame.height) != self.size:
            raise MediaError("A picture is not what the VP8 encoder was made for.")
        image = self._image
        image.w = image.d_w = frame.width
        image.h = image.d_h = frame.height
        for index, plane in enumerate(frame.planes):
            image.planes[index] = plane.buffer_ptr
            image.stride[index] = plane.line_size
        flags = self._flags | (_FORCE_KEY if key else 0)
        self._check(self._library.vpx_codec_encode(self._context, ctypes.byref(image), pts, duration, flags, _REALTIME))
        place = ctypes.c_void_p()
        data, is_key = b"", False
        while packet := self._library.vpx_codec_get_cx_data(self._context, ctypes.byref(place)):
            if packet.contents.kind == _FRAME_PACKET:
                data += ctypes.string_at(packet.contents.buf, packet.contents.sz)
                is_key = is_key or bool(packet.contents.flags & _IS_KEY)
        return data, is_key

    def _fill(self, width: int, height: int, bitrate_bps: int) -> None:
        self._config.g_w, self._config.g_h = width, height
        self._config.rc_target_bitrate = min(_LARGEST_KBPS, max(10, bitrate_bps // 1_000))

    def _make(self) -> None:
        library, config = self._library, ctypes.byref(self._config)
        for version in _ABI_VERSIONS:
            code = library.vpx_codec_enc_init_ver(self._context, library.vpx_codec_vp8_cx(), config, 0, version)
            if code != _ABI_MISMATCH:
                self._check(code)
                self._is_made = True
                return
        raise MediaError("This libvpx has another layout than the known ones.")

    def _control(self, request: int, value: int) -> None:
        self._check(self._library.vpx_codec_control_(self._context, request, ctypes.c_int(value)))

    def _check(self, code: int) -> None:
        if code != 0:
            reason: bytes = self._library.vpx_codec_err_to_string(code)
            raise MediaError(f"The VP8 encoder refused: {reason.decode()}.")
