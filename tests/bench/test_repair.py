"""How well speech comes over a bad wire by codec, repeats and jitter buffer alone: no machine, no device, no clock.

Everything runs on a virtual clock with the dice of the lab's wire, so that the figures are the same on every machine.
What a whole phone makes of it is in test_speech.py.
"""

from __future__ import annotations

import numpy as np
import pytest

from app.media.audio_choice import AudioChooser, PeerLimits
from app.media.codecs import OPUS
from app.media.jitter import Playout
from app.media.packetizing import Packetizer
from app.media.red import Block, unpack
from app.media.speech import make_encoder
from tests.bench.sound import longest_gap_ms
from tests.bench.table import Table
from tests.bench.test_speech import WIRES
from tests.heard import Samples, recorded_speech, speech_score
from tests.lab.wire import Direction

SECTION = "Speech by codec, repeats and jitter buffer alone, on a virtual clock: PESQ wide band"
RED_PAYLOAD_TYPE = 63
FRAME_S = 0.020
SEEDS = range(1, 4)
SHORT = (("no loss", True), ("10 % lost", True), ("20 % lost", True), ("10 % lost", False))
# What the best of the other phones reached beside us at these points, and what in-band FEC can do at most, less chance.
LEAST = {("no loss", True): 4.3, ("10 % lost", True): 4.0, ("20 % lost", True): 3.6, ("10 % lost", False): 3.2}
MOST_GAP_MS = 60.0


def heard(speech: Samples, wire_name: str, seed: int, *, repeats: bool) -> Samples:
    """Give what comes out at the far end once the sender knows what the wire loses."""
    wire = WIRES[wire_name]
    chooser = AudioChooser(PeerLimits.of(OPUS, repeats=repeats))
    for _ in range(20):
        chooser.reported(100 * wire.loss)
    packetizer = Packetizer(OPUS, make_encoder(OPUS), RED_PAYLOAD_TYPE if repeats else None)
    direction, playout = Direction(wire, seed), Playout({OPUS.payload_type: OPUS})
    sent: list[tuple[int, int, bytes]] = []  # payload type, media time, payload
    known: set[int] = set()
    out = []
    for index in range(len(speech) // 960):
        now = index * FRAME_S
        for made in packetizer.add(speech[index * 960 : index * 960 + 960], index * 960, chooser.choice):
            sent.append((made.payload_type, made.media_time, made.payload))
            direction.take((len(sent) - 1).to_bytes(4), now)
        for frame in direction.give(now):
            number = int.from_bytes(frame)
            payload_type, media_time, payload = sent[number]
            own = Block(payload_type, 0, payload)
            blocks = unpack(payload) if payload_type == RED_PAYLOAD_TYPE else (own,)
            for back, block in zip(range(len(blocks) - 1, -1, -1), blocks, strict=True):
                if number - back in known or number < back:
                    continue
                known.add(number - back)
                if back:
                    playout.bring_back(blocks[0].offset / 48_000, now)
                playout.push(70_000 + number - back, media_time - block.offset, block.payload_type, block.payload, now)
        out.append(playout.next_frame(now + 0.004))
    return np.concatenate(out)


@pytest.mark.short
def test_what_a_bad_wire_leaves_of_speech(table: Table, is_long: bool) -> None:
    passage = recorded_speech()[0]
    speech = np.concatenate((np.zeros(48_000, np.int16), passage))
    rows = [(name, repeats) for repeats in (True, False) for name in WIRES] if is_long else list(SHORT)
    for name, repeats in rows:
        got = [heard(speech, name, seed, repeats=repeats) for seed in (SEEDS if is_long else [1])]
        scores = [speech_score(speech, one) for one in got]
        gap_ms = max(longest_gap_ms(speech, one[: len(speech)]) for one in got)
        with_what = "repeats" if repeats else "FEC only"
        table.add(SECTION, f"{name}, {with_what}", "PESQ", scores, note=f"longest gap {gap_ms:.0f} ms", by_median=True)
        if (name, repeats) in LEAST:
            assert np.median(scores) > LEAST[name, repeats], f"{name}, {with_what}: {scores}"
            assert gap_ms <= MOST_GAP_MS, f"{name}, {with_what}: silent for {gap_ms:.0f} ms"
