"""What an audio codec does for the streams, whichever it is, and the one place that makes one by its name.

All sound is 48 kHz mono int16. An encoder takes one to three frames of 20 ms; a decoder gives as many samples as a
packet holds.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
import numpy.typing as npt

from app.media.audio_choice import AudioChoice
from app.media.comfort_noise import NoiseDecoder
from app.media.errors import MediaError
from app.media.g711 import G711Decoder, G711Encoder
from app.media.g722 import G722Decoder, G722Encoder
from app.media.opus import OpusDecoder, OpusEncoder
from app.media.plan import CodecPlan

Sound = npt.NDArray[np.int16]


class AudioEncoder(Protocol):
    timestamp_step: int  # timestamp units of one frame of 20 ms

    def encode(self, sound: Sound) -> bytes:
        """Encode the sound of one packet; an empty result is not to be sent (DTX)."""

    def adapt(self, choice: AudioChoice) -> None:
        """Go on at this rate and with this redundancy, where the codec has a choice."""


class AudioDecoder(Protocol):
    @property
    def is_paused(self) -> bool:
        """Whether the sender has said that it pauses: what `conceal` gives now is its background, not an invention."""

    def sample_count(self, payload: bytes) -> int:
        """How many samples at 48 kHz this payload holds; PacketError when it is none of ours."""

    def decode(self, payload: bytes) -> Sound:
        """Decode one payload; PacketError when it is damaged."""

    def conceal(self, samples: int) -> Sound:
        """Invent that much sound in place of what is missing."""

    def has_redundancy(self, payload: bytes) -> bool:
        """Tell whether `recover` finds something in this payload."""

    def recover(self, following: bytes, samples: int) -> Sound | None:
        """Give the sound before `following` out of redundancy in it, or None where there is none."""


def make_encoder(codec: CodecPlan, *, dtx: bool = False) -> AudioEncoder:
    """Make the encoder for what the peer can receive; MediaError for a codec we do not know.

    `dtx`: send little while nobody speaks, although the peer may not have asked for it.
    """
    name = codec.name.lower()
    if name == "opus":
        return OpusEncoder(dtx=dtx or codec.parameter("usedtx") == "1", constant_rate=codec.parameter("cbr") == "1")
    if name in ("pcmu", "pcma"):
        return G711Encoder(name)
    if name == "g722":
        return G722Encoder()
    raise MediaError(f"The sound format {codec.name[:40]!r} is not known here.")


def make_decoder(codec: CodecPlan) -> AudioDecoder:
    """Make a decoder; MediaError for a codec we do not know."""
    name = codec.name.lower()
    if name == "opus":
        return OpusDecoder()
    if name in ("pcmu", "pcma"):
        return G711Decoder(name)
    if name == "g722":
        return G722Decoder()
    if name == "cn":
        return NoiseDecoder()
    raise MediaError(f"The sound format {codec.name[:40]!r} is not known here.")
