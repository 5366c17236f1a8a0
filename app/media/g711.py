"""G.711 μ-law and A-law (ITU-T G.711, RFC 3551 section 4.5.14) between 8 kHz payloads and 48 kHz sound."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from app.media.audio_choice import AudioChoice
from app.media.concealment import Concealer
from app.media.errors import PacketError
from app.media.resample import Downsampler, Upsampler

Sound = npt.NDArray[np.int16]

RATIO = 6  # 48 kHz to 8 kHz
LONGEST_BYTES = 960  # 120 ms


def _ulaw_values() -> Sound:
    code = ~np.arange(256, dtype=np.int32) & 0xFF
    magnitude = (((code & 0x0F) << 3) + 0x84 << (code >> 4 & 7)) - 0x84
    return np.where(code & 0x80, -magnitude, magnitude).astype(np.int16)


def _alaw_values() -> Sound:
    code = np.arange(256, dtype=np.int32) ^ 0x55
    segment = code >> 4 & 7
    mantissa = (code & 0x0F) << 4
    magnitude = np.where(segment == 0, mantissa + 8, (mantissa + 0x108) << np.maximum(segment - 1, 0))
    return np.where(code & 0x80, magnitude, -magnitude).astype(np.int16)


def _nearest_codes(values: Sound) -> npt.NDArray[np.uint8]:
    """Make the table that turns a sample, as an unsigned 16-bit index, into the code of the nearest value."""
    order = np.argsort(values, kind="stable")
    ordered = values[order].astype(np.int32)
    bounds = (ordered[1:] + ordered[:-1] + 1) // 2
    samples = np.arange(65_536, dtype=np.uint16).view(np.int16).astype(np.int32)
    return order[np.searchsorted(bounds, samples, side="right")].astype(np.uint8)


_VALUES: dict[str, Sound] = {"pcmu": _ulaw_values(), "pcma": _alaw_values()}


class G711Encoder:
    """Encodes 48 kHz sound, 160 bytes for 20 ms."""

    timestamp_step = 160

    def __init__(self, law: str) -> None:
        self._codes = _nearest_codes(_VALUES[law])
        self._filter = Downsampler(RATIO)

    def encode(self, sound: Sound) -> bytes:
        return self._codes[self._filter.take(sound).view(np.uint16)].tobytes()

    def adapt(self, choice: AudioChoice) -> None:
        """G.711 has one rate and no redundancy."""


class G711Decoder:
    """Decodes payloads of up to 120 ms and conceals missing ones."""

    is_paused = False

    def __init__(self, law: str) -> None:
        self._values = _VALUES[law].astype(np.float32)
        self._filter = Upsampler(RATIO)
        self._concealer = Concealer()

    def sample_count(self, payload: bytes) -> int:
        if not 0 < len(payload) <= LONGEST_BYTES:
            raise PacketError(f"A G.711 payload of {len(payload)} bytes is not understood.")
        return len(payload) * RATIO

    def decode(self, payload: bytes) -> Sound:
        self.sample_count(payload)
        return self._concealer.heard(self._filter.take(self._values[np.frombuffer(payload, dtype=np.uint8)]))

    def conceal(self, samples: int) -> Sound:
        return self._concealer.conceal(samples)

    def has_redundancy(self, payload: bytes) -> bool:
        return False

    def recover(self, following: bytes, samples: int) -> Sound | None:
        return None
