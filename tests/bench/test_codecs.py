"""What the codecs of a voice cost: 20 ms of speech encoded and decoded, filters and concealment included.

The base is the same second of sound through the Opus of FFmpeg as stock WebRTC in Python uses it, in the same process.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import av
import numpy as np
import pytest

from app.media.audio_choice import AudioChoice
from app.media.codecs import G722, OPUS, PCMA, PCMU
from app.media.packetizing import Packetizer
from app.media.plan import CodecPlan
from app.media.speech import Sound, make_decoder, make_encoder
from tests.bench.table import Table
from tests.heard import recorded_speech

SECTION = "Processor time of a voice: 20 ms both ways"
FRAMES = 150
BASE = "Opus of FFmpeg"


def milliseconds(work: Callable[[], object]) -> list[float]:
    """Give what one frame costs, three times over."""
    found = []
    for _ in range(3):
        begun = time.thread_time()
        work()
        found.append((time.thread_time() - begun) / FRAMES * 1_000)
    return found


def stock(frames: list[Sound]) -> None:
    """Encode and decode as aiortc does: 96 kb/s, stereo."""
    encoder, decoder = av.CodecContext.create("libopus", "w"), av.CodecContext.create("libopus", "r")
    assert isinstance(encoder, av.AudioCodecContext)
    assert isinstance(decoder, av.AudioCodecContext)
    encoder.sample_rate, encoder.layout, encoder.format, encoder.bit_rate = 48_000, "stereo", "s16", 96_000
    encoder.options = {"application": "voip"}
    for index, frame in enumerate(frames):
        packed = av.AudioFrame.from_ndarray(np.repeat(frame, 2).reshape(1, -1), format="s16", layout="stereo")
        packed.sample_rate, packed.pts = 48_000, index * 960
        for packet in encoder.encode(packed):
            for heard in decoder.decode(av.Packet(bytes(packet))):
                heard.to_ndarray()


@pytest.mark.short
def test_processor_time_of_the_codecs(table: Table) -> None:
    speech = recorded_speech()[0][: FRAMES * 960]
    frames = [speech[start : start + 960] for start in range(0, FRAMES * 960, 960)]
    base = milliseconds(lambda: stock(frames))

    def ours(codec: CodecPlan, choice: AudioChoice) -> Callable[[], None]:
        def work() -> None:
            encoder, decoder = make_encoder(codec), make_decoder(codec)
            packetizer = Packetizer(codec, encoder)
            for index, frame in enumerate(frames):
                for packet in packetizer.add(frame, index * encoder.timestamp_step, choice):
                    decoder.decode(packet.payload)

        return work

    for codec, choice, name in (
        (OPUS, AudioChoice(), "Opus as on a good path"),
        (OPUS, AudioChoice(bitrate_bps=16_000, bandwidth_hz=8_000, packet_ms=60), "Opus as on a narrow path"),
        (G722, AudioChoice(), "G.722"),
        (PCMU, AudioChoice(), "G.711 μ-law"),
        (PCMA, AudioChoice(), "G.711 A-law"),
    ):
        table.add(SECTION, name, "ms", milliseconds(ours(codec, choice)), base=(BASE, base))

    def conceal() -> None:
        decoder, encoder = make_decoder(PCMU), make_encoder(PCMU)
        payloads = [encoder.encode(frame) for frame in frames]
        for index, payload in enumerate(payloads):
            decoder.decode(payload) if index % 5 else decoder.conceal(960)

    table.add(SECTION, "G.711 with every fifth packet concealed", "ms", milliseconds(conceal), base=(BASE, base))
