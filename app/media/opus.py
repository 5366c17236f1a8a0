"""Opus (RFC 6716, RFC 7587) through the libopus that lies inside the av wheel, by ctypes.

av's own binding offers neither in-band FEC nor concealment. A call keeps Python's lock: it takes 0.1 to 0.2 ms
for 20 ms of sound and half a millisecond for the 60 ms of a narrow path, and a thread that lets go of the lock has to
queue for it behind all others. One thread at a time may use an encoder or a decoder.
"""

from __future__ import annotations

import ctypes
import functools

import numpy as np
import numpy.typing as npt

from app.media.audio_choice import FULL_HZ, NARROW_HZ, SUPERWIDE_HZ, WIDE_HZ, AudioChoice
from app.media.bundled import library_paths
from app.media.errors import MediaError, PacketError

SAMPLE_RATE_HZ = 48_000
PACKET_SAMPLES = (480, 960, 1_920, 2_880, 3_840, 4_800, 5_760)  # 10 to 120 ms
LONGEST_SAMPLES = 5_760  # 120 ms
LARGEST_PAYLOAD_BYTES = 1_275

# include/opus_defines.h
_APPLICATION_AUDIO = 2049  # for speech alone it sounds worse at every rate (see audio_choice)
_SET_BITRATE = 4002
_SET_MAX_BANDWIDTH = 4004
_SET_VBR = 4006
_SET_COMPLEXITY = 4010
_SET_INBAND_FEC = 4012
_SET_PACKET_LOSS_PERC = 4014
_SET_DTX = 4016
_BANDWIDTHS = {NARROW_HZ: 1101, WIDE_HZ: 1103, SUPERWIDE_HZ: 1104, FULL_HZ: 1105}
_COMPLEXITY = 8  # 10 costs half as much again and sounds no better (see audio_choice)
_LARGEST_PAUSE_BYTES = 2  # a packet that says only that the pause goes on


@functools.cache
def _library() -> ctypes.CDLL:
    """Load libopus once; MediaError when there is none."""
    for path in library_paths("opus"):
        try:
            library = ctypes.PyDLL(path)
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
    """Mono encoder for packets of 10 ms, or of 20 to 120 ms in steps of 20; `adapt` sets how."""

    timestamp_step = 960  # of 20 ms

    def __init__(self, *, dtx: bool = False, constant_rate: bool = False) -> None:
        self._library = _library()
        error = ctypes.c_int()
        self._state = self._library.opus_encoder_create(SAMPLE_RATE_HZ, 1, _APPLICATION_AUDIO, ctypes.byref(error))
        if error.value != 0:
            raise MediaError(f"The Opus encoder could not be made: {_reason(error.value)}.")
        self._out = ctypes.create_string_buffer(LARGEST_PAYLOAD_BYTES)
        self._dtx = dtx
        self._pauses = False
        self._set(_SET_COMPLEXITY, _COMPLEXITY)
        self._set(_SET_DTX, int(dtx))
        self._set(_SET_VBR, int(not constant_rate))
        self.adapt(AudioChoice())

    def __del__(self) -> None:
        if getattr(self, "_state", None):
            self._library.opus_encoder_destroy(self._state)

    def _set(self, request: int, value: int) -> None:
        code = self._library.opus_encoder_ctl(self._state, request, ctypes.c_int(value))
        if code != 0:
            raise MediaError(f"The Opus encoder refused a setting: {_reason(code)}.")

    def encode(self, sound: npt.NDArray[np.int16]) -> bytes:
        """Encode one packet; with DTX on, empty for one that need not be sent.

        The first packet of a pause is sent although it is all but empty: it tells the receiver that a pause begins.
        """
        if len(sound) not in PACKET_SAMPLES:
            raise MediaError(f"An Opus packet of {len(sound)} samples cannot be made.")
        sound = np.ascontiguousarray(sound, dtype=np.int16)
        size = self._library.opus_encode(self._state, sound.ctypes.data, len(sound), self._out, LARGEST_PAYLOAD_BYTES)
        if size < 0:
            raise MediaError(f"Opus could not encode: {_reason(size)}.")
        paused, self._pauses = self._pauses, self._dtx and size <= _LARGEST_PAUSE_BYTES
        return b"" if paused and self._pauses else ctypes.string_at(self._out, size)

    def adapt(self, choice: AudioChoice) -> None:
        """Go on like this; nothing is heard of the change."""
        self._set(_SET_BITRATE, choice.bitrate_bps)
        self._set(_SET_MAX_BANDWIDTH, _BANDWIDTHS[choice.bandwidth_hz])
        self._set(_SET_INBAND_FEC, int(choice.loss_percent > 0))
        self._set(_SET_PACKET_LOSS_PERC, choice.loss_percent)


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
        self.is_paused = False

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
        self.is_paused = len(payload) <= _LARGEST_PAUSE_BYTES
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
