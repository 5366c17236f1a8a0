"""Opus (RFC 6716, RFC 7587) through the libopus that lies inside the av wheel, by ctypes.

av's own binding offers neither in-band FEC nor concealment. Every call releases the interpreter lock. One thread at a
time may use an encoder or a decoder.
"""

from __future__ import annotations

import ctypes
import functools

import numpy as np
import numpy.typing as npt

from app.media.bundled import library_paths
from app.media.errors import MediaError, PacketError

SAMPLE_RATE_HZ = 48_000
FRAME_SAMPLES = 960
LONGEST_SAMPLES = 5_760  # 120 ms
LARGEST_PAYLOAD_BYTES = 1_275

# include/opus_defines.h
_APPLICATION_VOIP = 2048
_SET_BITRATE = 4002
_SET_COMPLEXITY = 4010
_SET_INBAND_FEC = 4012
_SET_PACKET_LOSS_PERC = 4014
_SET_DTX = 4016


@functools.cache
def _library() -> ctypes.CDLL:
    """Load libopus once; MediaError when there is none."""
    for path in library_paths("opus"):
        try:
            library = ctypes.CDLL(path)
        except OSError:
            continue
        return _declare(library)
    raise MediaError("The Opus library was not found: install the av package again.")


def _declare(library: ctypes.CDLL) -> ctypes.CDLL:
    pointer, number = ctypes.c_void_p, ctypes.c_int
    library.opus_encoder_create.restype = pointer
    library.opus_encoder_create.argtypes = [ctypes.c_int32, number, number, ctypes.POINTER(number)]
    library.opus_encoder_destroy.argtypes = [pointer]
    library.opus_encoder_destroy.restype = None
    # Only the fixed arguments: what follows is variadic and some platforms pass it another way.
    library.opus_encoder_ctl.argtypes = [pointer, number]
    library.opus_encode.argtypes = [pointer, pointer, number, pointer, ctypes.c_int32]
    library.opus_encode.restype = ctypes.c_int32
    library.opus_decoder_create.restype = pointer
    library.opus_decoder_create.argtypes = [ctypes.c_int32, number, ctypes.POINTER(number)]
    library.opus_decoder_destroy.argtypes = [pointer]
    library.opus_decoder_destroy.restype = None
    library.opus_decode.argtypes = [pointer, ctypes.c_char_p, ctypes.c_int32, pointer, number, number]
    library.opus_packet_get_nb_samples.argtypes = [ctypes.c_char_p, ctypes.c_int32, ctypes.c_int32]
    library.opus_packet_has_lbrr.argtypes = [ctypes.c_char_p, ctypes.c_int32]
    library.opus_strerror.argtypes = [number]
    library.opus_strerror.restype = ctypes.c_char_p
    return library


def _reason(code: int) -> str:
    text: bytes = _library().opus_strerror(code)
    return text.decode()


class OpusEncoder:
    """Mono speech encoder; in-band FEC follows the told loss."""

    timestamp_step = FRAME_SAMPLES

    def __init__(self, *, bitrate_bps: int = 40_000, fec: bool = True, dtx: bool = False, complexity: int = 9) -> None:
        self._library = _library()
        error = ctypes.c_int()
        self._state = self._library.opus_encoder_create(SAMPLE_RATE_HZ, 1, _APPLICATION_VOIP, ctypes.byref(error))
        if error.value != 0:
            raise MediaError(f"The Opus encoder could not be made: {_reason(error.value)}.")
        self._out = ctypes.create_string_buffer(LARGEST_PAYLOAD_BYTES)
        self._dtx = dtx
        self._set(_SET_BITRATE, bitrate_bps)
        self._set(_SET_COMPLEXITY, complexity)
        self._set(_SET_INBAND_FEC, int(fec))
        self._set(_SET_DTX, int(dtx))
        self.expect_loss(3)

    def __del__(self) -> None:
        if getattr(self, "_state", None):
            self._library.opus_encoder_destroy(self._state)

    def _set(self, request: int, value: int) -> None:
        code = self._library.opus_encoder_ctl(self._state, request, ctypes.c_int(value))
        if code != 0:
            raise MediaError(f"The Opus encoder refused a setting: {_reason(code)}.")

    def encode(self, frame: npt.NDArray[np.int16]) -> bytes:
        """Encode 20 ms; with DTX on, empty for a frame that need not be sent."""
        if frame.shape != (FRAME_SAMPLES,) or frame.dtype != np.int16 or not frame.flags.c_contiguous:
            frame = np.ascontiguousarray(frame, dtype=np.int16).reshape(FRAME_SAMPLES)
        size = self._library.opus_encode(
            self._state, frame.ctypes.data, FRAME_SAMPLES, self._out, LARGEST_PAYLOAD_BYTES
        )
        if size < 0:
            raise MediaError(f"Opus could not encode: {_reason(size)}.")
        return b"" if self._dtx and size <= 2 else self._out.raw[:size]

    def expect_loss(self, percent: int) -> None:
        """Spend bits on redundancy for this share of lost packets, 0..100; 0 sends none."""
        self._set(_SET_PACKET_LOSS_PERC, max(0, min(100, percent)))


class OpusDecoder:
    """Decodes mono and stereo packets to mono, conceals, and recovers lost packets from in-band FEC."""

    def __init__(self) -> None:
        self._library = _library()
        error = ctypes.c_int()
        self._state = self._library.opus_decoder_create(SAMPLE_RATE_HZ, 1, ctypes.byref(error))
        if error.value != 0:
            raise MediaError(f"The Opus decoder could not be made: {_reason(error.value)}.")
        self._pcm = np.zeros(LONGEST_SAMPLES, dtype=np.int16)
        self._address = self._pcm.ctypes.data

    def __del__(self) -> None:
        if getattr(self, "_state", None):
            self._library.opus_decoder_destroy(self._state)

    def sample_count(self, payload: bytes) -> int:
        count: int = self._library.opus_packet_get_nb_samples(payload, len(payload), SAMPLE_RATE_HZ)
        if not 0 < count <= LONGEST_SAMPLES:
            raise PacketError("An Opus packet is malformed.")
        return count

    def has_redundancy(self, payload: bytes) -> bool:
        return int(self._library.opus_packet_has_lbrr(payload, len(payload))) == 1

    def decode(self, payload: bytes) -> npt.NDArray[np.int16]:
        return self._decode(payload, LONGEST_SAMPLES, fec=False)

    def conceal(self, samples: int) -> npt.NDArray[np.int16]:
        return self._decode(None, max(120, samples // 120 * 120), fec=False)  # steps of 2.5 ms

    def recover(self, following: bytes, samples: int) -> npt.NDArray[np.int16] | None:
        if not self.has_redundancy(following):
            return None
        return self._decode(following, max(120, samples // 120 * 120), fec=True)

    def _decode(self, payload: bytes | None, samples: int, *, fec: bool) -> npt.NDArray[np.int16]:
        size = 0 if payload is None else len(payload)
        count = self._library.opus_decode(self._state, payload, size, self._address, min(samples, LONGEST_SAMPLES), fec)
        if count < 0:
            raise PacketError(f"Opus could not decode a packet: {_reason(count)}.")
        return self._pcm[:count].copy()
