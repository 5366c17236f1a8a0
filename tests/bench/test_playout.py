"""What the way from packets to the speaker costs beside the decoding in it: jitter buffer, stretching, volume, mix."""

from __future__ import annotations

import random
import time

import numpy as np
import pytest

from app.media.audio_choice import AudioChoice
from app.media.codecs import OPUS
from app.media.jitter import Playout
from app.media.mixer import Limiter, Volume
from app.media.opus import OpusDecoder
from app.media.speech import make_encoder
from tests.bench.table import Table
from tests.heard import tone

SECTION = "Processor time of playing 20 ms of sound"
FRAMES = 1_500


def payloads() -> list[bytes]:
    encoder, rng = make_encoder(OPUS), np.random.default_rng(1)
    encoder.adapt(AudioChoice(loss_percent=10))
    voice = tone(180, 20, 0.2) + tone(900, 20, 0.05) + rng.normal(0, 300, 20 * 48_000)
    frames = voice.astype(np.int16).reshape(-1, 960)
    return [encoder.encode(frames[index % len(frames)]) for index in range(FRAMES)]


def plain(ready: list[bytes]) -> float:
    """Decode and nothing else; microseconds a frame."""
    decoder, began = OpusDecoder(), time.thread_time()
    for payload in ready:
        decoder.decode(payload)
    return (time.thread_time() - began) / FRAMES * 1e6


def played(ready: list[bytes], *, share: float, jitter_s: float) -> float:
    """The same through the jitter buffer, on a network that loses and delays."""
    rng = random.Random(1)
    arrivals = sorted(
        (index * 0.020 + rng.uniform(0, jitter_s), index) for index in range(FRAMES) if rng.random() >= share
    )
    playout, volume, position = Playout({OPUS.payload_type: OPUS}), Volume(), 0
    began = time.thread_time()
    for tick in range(FRAMES):
        now = tick * 0.020 + 0.007
        while position < len(arrivals) and arrivals[position][0] <= now:
            at, index = arrivals[position]
            playout.push(70_000 + index, index * 960, OPUS.payload_type, ready[index], at)
            position += 1
        volume.apply(playout.next_frame(now), 1.0)
    return (time.thread_time() - began) / FRAMES * 1e6


def mixed(count: int) -> float:
    """Add up the two blocks of a frame."""
    limiter, volumes = Limiter(), [Volume() for _ in range(count)]
    block = tone(440, 0.01, 0.2)
    began = time.thread_time()
    for _ in range(2 * FRAMES):
        together = np.zeros(480, np.float32)
        for volume in volumes:
            together += volume.shape(block, 1.0)
        limiter.apply(together)
    return (time.thread_time() - began) / FRAMES * 1e6


@pytest.mark.short
def test_playing_costs_little_beside_decoding(table: Table, is_long: bool) -> None:
    ready = payloads()
    rounds = range(5 if is_long else 2)
    base = "decoding alone", [plain(ready) for _ in rounds]
    row = table.add(
        SECTION, "an even network", "us", [played(ready, share=0.0, jitter_s=0.001) for _ in rounds], base=base
    )
    table.add(
        SECTION, "10 % lost, 40 ms uneven", "us", [played(ready, share=0.1, jitter_s=0.04) for _ in rounds], base=base
    )
    table.add(SECTION, "mixing a call with a tone", "us", [mixed(2) for _ in rounds], base=base)
    assert row.ratio is not None
    assert row.ratio < 3
