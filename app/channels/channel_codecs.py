"""The codecs of channels: an encoder for a channel's number, and decoders for whatever its talkers send.

Opus goes by two rules. Nobody on a channel reports what was lost or sends it again, so in-band FEC is there from the
first packet. And what is sealed has one size for all packets of a burst, because sizes that follow the voice tell what
is said (RFC 6562). Measured with wide-band PESQ over recorded speech at 24 kb/s (libopus 1.6.1), without loss and with
5 %: packets of 20 ms 4.21 and 3.88, of one size 3.94 and 3.72, without FEC 4.38 and 2.70; of 60 ms 4.15 and 3.85, of
one size without FEC 4.39 and 2.74. FEC in longer packets of one size leaves the voice too little: 1.45 without loss.
Below 20 kb/s libopus has no room for FEC.

Opus and G.711 are those of calls. AMR-NB (both ways), GSM, Speex and G.729 (decoders only) come out of FFmpeg in the av
wheel. The decoders are what `app.media.jitter.Playout` takes:

    Playout(receivable(encoder), decoder_for=make_decoder)

All sound is 48 kHz mono int16.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Literal, Protocol

import av
import numpy as np
import numpy.typing as npt

from app.channels.codec_frames import amr_frames, g729_frames, gsm_frames, pack_amr, speex_frames
from app.channels.encoders import AMR, ENCODERS, G729, GSM, SPEEX, EncoderInfo, check_sending, encoder_info
from app.channels.errors import ChannelError
from app.media import speech
from app.media.audio_choice import AudioChoice
from app.media.concealment import Concealer
from app.media.errors import MediaError, PacketError
from app.media.g711 import G711Encoder
from app.media.opus import OpusEncoder
from app.media.plan import CodecPlan
from app.media.resample import Downsampler, Upsampler
from app.media.speech import AudioDecoder, Sound

SAMPLES_PER_MS = 48
EXPECTED_LOSS_PERCENT = 6  # from here on libopus prefers FEC to the last bit of clean sound
_FEC_WITH_ONE_SIZE_MS = 20
_RATIO = 6  # 48 kHz to 8 kHz
_NARROW_HZ = 8_000
_RTCP_TYPES = range(72, 77)  # RFC 5761 section 4: as payload types they would be taken for RTCP


class _Encoder(Protocol):
    def encode(self, sound: Sound) -> bytes: ...


class BurstEncoder:
    """Collects sound and gives a payload for each packet. One burst, one thread at a time."""

    def __init__(self, info: EncoderInfo, framing_ms: int, encoder: _Encoder) -> None:
        assert info.codec is not None
        self.info = info
        self.framing_ms = framing_ms
        self.timestamp_step = info.codec.clock_rate * framing_ms // 1_000  # of one packet
        self._encoder = encoder
        self._wanted = framing_ms * SAMPLES_PER_MS
        self._sound: Sound = np.zeros(0, np.int16)

    def add(self, sound: Sound) -> list[bytes]:
        """Take more sound, of any length; give what fills packets."""
        self._sound = np.concatenate((self._sound, sound))
        payloads = []
        while len(self._sound) >= self._wanted:
            payloads.append(self._encoder.encode(self._sound[: self._wanted]))
            self._sound = self._sound[self._wanted :]
        return payloads

    def finish(self) -> bytes | None:
        """Give what is left over, filled up with silence; None where nothing is."""
        missing = self._wanted - len(self._sound)
        if missing == self._wanted:
            return None
        return self.add(np.zeros(missing, np.int16))[0]


def make_encoder(encoder: int, framing_ms: int, *, is_sealed: bool) -> BurstEncoder:
    """Make an encoder for a burst; ChannelError with the reason where that codec or length cannot be sent."""
    info = check_sending(encoder, framing_ms)
    try:
        return BurstEncoder(info, framing_ms, _encoder_of(info, framing_ms, is_sealed))
    except MediaError as error:
        raise ChannelError(str(error)) from error


def _encoder_of(info: EncoderInfo, framing_ms: int, is_sealed: bool) -> _Encoder:
    assert info.codec is not None
    name = info.codec.name.lower()
    if name == "opus":
        opus = OpusEncoder(constant_rate=is_sealed)
        has_fec = not is_sealed or framing_ms <= _FEC_WITH_ONE_SIZE_MS
        loss = EXPECTED_LOSS_PERCENT if has_fec else 0
        opus.adapt(AudioChoice(info.bitrate_bps, info.band_hz, framing_ms, loss))
        return opus
    return _AmrEncoder(info.bitrate_bps) if name == "amr" else G711Encoder(name)


def receivable(encoder: int, custom_payload_type: int = -1) -> dict[int, CodecPlan]:
    """Give every codec that a talker may use, by payload type.

    `custom_payload_type`: what the channel puts in place of the usual number of its own encoder; -1: nothing.
    ChannelError for a number that cannot be one.
    """
    known = {info.codec.payload_type: info.codec for info in ENCODERS.values() if info.codec is not None}
    if custom_payload_type == -1:
        return known
    if not 0 <= custom_payload_type <= 127 or custom_payload_type in _RTCP_TYPES:
        raise ChannelError(f"The number {str(custom_payload_type)[:12]} cannot be a payload type.")
    codec = encoder_info(encoder).codec
    return known if codec is None else {**known, custom_payload_type: replace(codec, payload_type=custom_payload_type)}


_FRAMED: dict[str, tuple[tuple[str, ...], Callable[[bytes], list[bytes]], int]] = {
    # name: FFmpeg's decoders, best first; what cuts a payload into frames; samples of one at 48 kHz
    AMR.name.lower(): (("libopencore_amrnb", "amrnb"), amr_frames, 960),
    GSM.name.lower(): (("gsm",), gsm_frames, 960),
    G729.name.lower(): (("g729",), g729_frames, 480),
    SPEEX.name.lower(): (("speex", "libspeex"), speex_frames, 960),
}


def make_decoder(codec: CodecPlan) -> AudioDecoder:
    """Make a decoder; MediaError for a codec we do not know, or that this av wheel lacks."""
    framed = _FRAMED.get(codec.name.lower())
    if framed is None:
        return speech.make_decoder(codec)
    names, cut, samples = framed
    return FramedDecoder(_context(codec.name, names, "r"), cut, samples)


class FramedDecoder:
    """Decodes payloads of whole frames at 8 kHz and conceals missing ones."""

    is_paused = False

    def __init__(self, context: av.AudioCodecContext, cut: Callable[[bytes], list[bytes]], frame_samples: int) -> None:
        self._context = context
        self._cut = cut
        self._frame_samples = frame_samples
        self._filter = Upsampler(_RATIO)
        self._concealer = Concealer()

    def sample_count(self, payload: bytes) -> int:
        return len(self._cut(payload)) * self._frame_samples

    def decode(self, payload: bytes) -> Sound:
        narrow = np.concatenate([self._decoded(frame) for frame in self._cut(payload)])
        return self._concealer.heard(self._filter.take(narrow))

    def conceal(self, samples: int) -> Sound:
        return self._concealer.conceal(samples)

    def has_redundancy(self, payload: bytes) -> bool:
        return False

    def recover(self, following: bytes, samples: int) -> Sound | None:
        return None

    def _decoded(self, frame: bytes) -> npt.NDArray[np.float32]:
        """Give one frame's samples, as many as it must have: a decoder that gives fewer is filled up."""
        try:
            parts = [_samples(part) for part in self._context.decode(av.Packet(frame))]
        except av.FFmpegError as error:
            raise PacketError("A sound packet is damaged.") from error
        wanted = self._frame_samples // _RATIO
        narrow = np.concatenate([*parts, np.zeros(wanted, np.float32)])
        return narrow[:wanted]


class _AmrEncoder:
    """Encodes whole frames of 20 ms into one payload."""

    def __init__(self, bitrate_bps: int) -> None:
        self._context = _context("AMR", ("libopencore_amrnb",), "w")
        self._context.bit_rate = bitrate_bps
        self._filter = Downsampler(_RATIO)

    def encode(self, sound: Sound) -> bytes:
        narrow = self._filter.take(sound)
        frames = []
        for start in range(0, len(narrow), 160):
            piece = av.AudioFrame.from_ndarray(narrow[start : start + 160].reshape(1, -1), format="s16", layout="mono")
            piece.sample_rate = _NARROW_HZ
            frames += [bytes(packet) for packet in self._context.encode(piece)]
        return pack_amr(frames)


def _context(title: str, names: tuple[str, ...], mode: Literal["r", "w"]) -> av.AudioCodecContext:
    """Open the first of these codecs that this FFmpeg has."""
    for name in names:
        try:
            context = av.CodecContext.create(name, mode)
        except (ValueError, av.FFmpegError):
            continue
        assert isinstance(context, av.AudioCodecContext)
        context.sample_rate, context.layout = _NARROW_HZ, "mono"
        if mode == "w":
            context.format = "s16"
        return context
    raise MediaError(f"The {title} codec was not found: install the av package again.")


def _samples(frame: av.AudioFrame) -> npt.NDArray[np.float32]:
    """Give a decoded frame as samples of 16-bit size, whatever form the decoder gives them in."""
    samples = frame.to_ndarray().reshape(-1)
    if samples.dtype.kind == "f":
        return np.asarray(samples * 32_768.0, np.float32)
    return samples.astype(np.float32)
