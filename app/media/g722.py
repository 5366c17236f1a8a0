"""G.722 at 64 kb/s (ITU-T G.722) through FFmpeg's codec in the av wheel, between its 16 kHz and 48 kHz sound.

Its RTP clock runs at 8 kHz although it samples at 16 kHz, by an old mistake that RFC 3551 section 4.5.2 keeps: 20 ms
are 160 bytes and 160 timestamp units.
"""

from __future__ import annotations

from typing import Literal

import av
import numpy as np
import numpy.typing as npt

from app.media.audio_choice import AudioChoice
from app.media.concealment import Concealer
from app.media.errors import MediaError, PacketError
from app.media.resample import Downsampler, Upsampler

Sound = npt.NDArray[np.int16]

RATE_HZ = 16_000
RATIO = 3  # 48 kHz to 16 kHz
SAMPLES_PER_BYTE = 6  # at 48 kHz
LONGEST_BYTES = 960  # 120 ms


def _context(mode: Literal["r", "w"]) -> av.AudioCodecContext:
    try:
        context = av.CodecContext.create("g722", mode)
    except (ValueError, av.FFmpegError) as error:
        raise MediaError("The G.722 codec was not found: install the av package again.") from error
    assert isinstance(context, av.AudioCodecContext)
    context.sample_rate, context.layout, context.format = RATE_HZ, "mono", "s16"
    return context


class G722Encoder:
    """Encodes whole frames of 20 ms of 48 kHz sound, 160 bytes each."""

    timestamp_step = 160

    def __init__(self) -> None:
        self._context = _context("w")
        self._filter = Downsampler(RATIO)

    def encode(self, sound: Sound) -> bytes:
        packed = av.AudioFrame.from_ndarray(self._filter.take(sound).reshape(1, -1), format="s16", layout="mono")
        packed.sample_rate = RATE_HZ
        return b"".join(bytes(packet) for packet in self._context.encode(packed))

    def adapt(self, choice: AudioChoice) -> None:
        """G.722 has one rate and no redundancy."""


class G722Decoder:
    """Decodes payloads of up to 120 ms and conceals missing ones."""

    is_paused = False

    def __init__(self) -> None:
        self._context = _context("r")
        self._filter = Upsampler(RATIO)
        self._concealer = Concealer()

    def sample_count(self, payload: bytes) -> int:
        if not 0 < len(payload) <= LONGEST_BYTES:
            raise PacketError(f"A G.722 payload of {len(payload)} bytes is not understood.")
        return len(payload) * SAMPLES_PER_BYTE

    def decode(self, payload: bytes) -> Sound:
        self.sample_count(payload)
        try:
            frames = self._context.decode(av.Packet(payload))
        except av.FFmpegError as error:
            raise PacketError("A G.722 packet is damaged.") from error
        narrow = np.concatenate([frame.to_ndarray().reshape(-1) for frame in frames])
        return self._concealer.heard(self._filter.take(narrow))

    def conceal(self, samples: int) -> Sound:
        return self._concealer.conceal(samples)

    def has_redundancy(self, payload: bytes) -> bool:
        return False

    def recover(self, following: bytes, samples: int) -> Sound | None:
        return None
