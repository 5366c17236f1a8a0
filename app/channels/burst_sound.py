"""A stored burst as sound again: each packet decoded once, what was lost on its way recovered or concealed. Not pure.

There is no jitter any more, so nothing is stretched: it lasts as long as it lasted. All sound is 48 kHz mono int16.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from app.channels.channel_codecs import make_decoder, receivable
from app.channels.finished_burst import MOST_KEPT_S, FinishedBurst
from app.media.errors import PacketError
from app.media.rtp import timestamp_difference
from app.media.speech import AudioDecoder, Sound

RATE = 48_000
PIECE = 960
MOST_CONCEALED = 5_760  # samples of one gap: 120 ms; the rest is silent
MOST_GAP = 2 * RATE
LEAST_GAP = 48  # samples: less is a timestamp that was rounded
MOST_SAMPLES = int(2 * MOST_KEPT_S * RATE)  # whatever a burst says of itself


def sound_of(burst: FinishedBurst) -> Iterator[Sound]:
    """Give the sound of a burst, piece by piece; what is not understood is passed over. Decodes as it goes."""
    left = MOST_SAMPLES
    for piece in _pieces(burst):
        yield piece[:left]
        left -= len(piece)
        if left <= 0:
            return


def _pieces(burst: FinishedBurst) -> Iterator[Sound]:
    codecs = receivable(burst.encoder, burst.custom_payload_type)
    decoders: dict[int, AudioDecoder] = {}
    clock_rate = 0
    expected = 0
    for packet in burst.packets:
        codec = codecs.get(packet.payload_type)
        if codec is None:
            continue
        decoder = decoders.get(packet.payload_type)
        if decoder is None:
            decoder = decoders[packet.payload_type] = make_decoder(codec)
        try:
            samples = decoder.sample_count(packet.payload)
        except PacketError:
            continue
        if codec.clock_rate == clock_rate:  # another codec has another time line, and follows at once
            gap = timestamp_difference(packet.timestamp, expected) * RATE // clock_rate
            if -MOST_GAP < gap <= -LEAST_GAP:
                continue  # that time has been heard
            if gap >= LEAST_GAP:
                yield from _filled(decoder, packet.payload, min(gap, MOST_GAP), samples)
        clock_rate = codec.clock_rate
        expected = (packet.timestamp + samples * clock_rate // RATE) & 0xFFFF_FFFF
        try:
            yield decoder.decode(packet.payload)
        except PacketError:
            yield decoder.conceal(samples)


def _filled(decoder: AudioDecoder, following: bytes, gap: int, samples: int) -> Iterator[Sound]:
    """Give what stands for a gap before a packet: its end out of redundancy in that packet, if there is any."""
    recoverable = min(gap, samples) if decoder.has_redundancy(following) else 0
    concealed = min(gap - recoverable, MOST_CONCEALED)
    for start in range(0, concealed, PIECE):
        piece = decoder.conceal(min(PIECE, concealed - start))
        is_last = start + PIECE >= concealed < gap - recoverable
        yield (piece * np.linspace(1.0, 0.0, len(piece))).astype(np.int16) if is_last else piece
    silent = gap - recoverable - concealed
    if silent > 0:
        yield np.zeros(silent, np.int16)
    if recoverable:
        try:
            recovered = decoder.recover(following, recoverable)
        except PacketError:
            recovered = None
        yield np.zeros(recoverable, np.int16) if recovered is None else recovered
