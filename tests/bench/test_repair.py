"""How well speech comes over a bad wire by codec, repair and jitter buffer alone: no machine, no device, no clock.

Everything runs on a virtual clock with the dice of the lab's wire, so that the figures are the same on every machine.
What a whole phone makes of it is in test_speech.py.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
import pytest

from app.media.audio_choice import AudioChooser, PeerLimits
from app.media.audio_intake import AudioIntake
from app.media.codecs import OPUS
from app.media.jitter import Playout
from app.media.packetizing import Packetizer
from app.media.plan import CodecPlan
from app.media.repeats import Repeats
from app.media.rtp import ReceptionCounter, RtpPacket
from app.media.sending import RtpSender
from app.media.speech import make_encoder
from tests.bench.sound import longest_gap_ms
from tests.bench.table import Table
from tests.bench.test_speech import WIRES
from tests.heard import Samples, recorded_speech, speech_score
from tests.lab.wire import Direction

SECTION = "Speech by codec, repair and jitter buffer alone, on a virtual clock: PESQ wide band"
RED = CodecPlan("red", 63, 48_000, 2)
FRAME_S = 0.020
TICK_S = 0.002
PLAYED_AFTER_S = 0.004  # a frame is asked for so long after the tick that packets come at
SETTLE_S = 4.0  # of silence before the words: the wire has been like that for a while
ROOM_BPS = 300_000
ROUND_TRIP_S = 0.042
SEEDS = range(1, 4)
# The best of the other phones reached beside us 4.61 | 4.19 4.01 2.93 | 2.95 2.32 1.43.
LEAST = {
    "no loss": 4.59,
    "5 % lost": 4.4,
    "10 % lost": 4.3,
    "20 % lost": 4.3,
    "5 % lost, five in a row": 3.7,
    "10 % lost, five in a row": 4.0,
    "20 % lost, five in a row": 3.5,
}
LEAST_BY_REPEATS = {"5 % lost": 4.3, "10 % lost": 4.3, "20 % lost": 4.3}  # where nobody can be asked
SHORT = ("no loss", "10 % lost", "10 % lost, five in a row")
MOST_GAP_MS = 60.0


@dataclass(frozen=True, slots=True)
class Means:
    """What two phones have agreed on against losses."""

    name: str
    repeats: bool  # RFC 2198
    asks: bool  # RFC 4585


EVERYTHING = Means("everything", repeats=True, asks=True)
REPEATS = Means("repeats", repeats=True, asks=False)
OTHERS = (REPEATS, Means("FEC only", repeats=False, asks=False))


class Call:
    """One direction of a call over a wire, and the way back for what is asked."""

    def __init__(self, wire_name: str, seed: int, means: Means) -> None:
        wire = WIRES[wire_name]
        self._chooser = AudioChooser(PeerLimits.of(OPUS, repeats=means.repeats, may_ask=means.asks))
        self._chooser.allot(ROOM_BPS)
        for _ in range(20):  # the sender knows what the wire loses
            self._chooser.reported(100 * wire.loss, is_asked=means.asks and wire.loss > 0)
        self._packetizer = Packetizer(OPUS, make_encoder(OPUS), RED.payload_type if means.repeats else None)
        self._sender, self._repeats = RtpSender(OPUS.clock_rate, keep_history=True), Repeats()
        self._there, self._back = Direction(wire, seed), Direction(wire, seed + 100)
        codecs = {codec.payload_type: codec for codec in (OPUS, RED)}
        self._counter, self._intake = ReceptionCounter(OPUS.clock_rate), AudioIntake(codecs, asks=means.asks)
        self.playout = Playout(codecs)

    def say(self, frame: Samples, media_time: int, now: float) -> None:
        for made in self._packetizer.add(frame, media_time, self._chooser.choice):
            packet = self._sender.packet(made.payload_type, made.marker, made.media_time, made.payload, now)
            self._sender.left(packet, now, is_new=True)
            self._there.take(packet, now)
        self._back.take(b"", now)  # the other person's sound

    def tick(self, now: float) -> None:
        for asked in self._back.give(now):
            numbers = tuple(int.from_bytes(asked[at : at + 2]) for at in range(0, len(asked), 2))
            packets = self._sender.repeat(numbers, now, ROUND_TRIP_S)
            self._repeats.asked(packets, 1 / FRAME_S, now)
            self._send_again(packets, now)
        self._send_again(self._repeats.due(now), now)
        for data in self._there.give(now):
            packet = RtpPacket.parse(data)
            sequence = self._counter.count(packet.sequence, packet.timestamp, now)
            assert sequence is not None
            for unit in self._intake.take(packet, sequence, now):
                self.playout.push(
                    unit.sequence, unit.timestamp, unit.payload_type, unit.payload, now, is_repaired=unit.is_repaired
                )
            self.ask(now)

    def ask(self, now: float) -> None:
        lost = self._intake.due(now, ROUND_TRIP_S)
        if lost:
            self._back.take(b"".join((number & 0xFFFF).to_bytes(2) for number in lost), now)

    def _send_again(self, packets: list[bytes], now: float) -> None:
        for packet in packets:
            self._there.take(packet, now)


def heard(speech: Samples, wire_name: str, seed: int, means: Means) -> Samples:
    """Give what comes out at the far end."""
    call, out = Call(wire_name, seed, means), []
    for index in range(len(speech) // 960):
        now = index * FRAME_S
        call.say(speech[index * 960 : index * 960 + 960], index * 960, now)
        call.tick(now)
        call.ask(now)
        out.append(call.playout.next_frame(now + PLAYED_AFTER_S))
        for step in range(1, round(FRAME_S / TICK_S)):
            call.tick(now + step * TICK_S)
    return np.concatenate(out)


@pytest.mark.short
@pytest.mark.timeout(900)
def test_what_a_bad_wire_leaves_of_speech(table: Table, is_long: bool) -> None:
    passage = recorded_speech()[0]
    speech = np.concatenate((np.zeros(round(SETTLE_S * 48_000), np.int16), passage, np.zeros(24_000, np.int16)))
    all_means = (EVERYTHING, *OTHERS) if is_long else (EVERYTHING,)
    for means, name in itertools.product(all_means, WIRES if is_long else SHORT):
        got = [heard(speech, name, seed, means) for seed in (SEEDS if is_long else [1])]
        scores = [speech_score(speech, one) for one in got]
        gap_ms = max(longest_gap_ms(speech, one[: len(speech)]) for one in got)
        note = f"longest gap {gap_ms:.0f} ms"
        table.add(SECTION, f"{name}, {means.name}", "PESQ", scores, note=note, by_median=True)
        least = LEAST if means is EVERYTHING else LEAST_BY_REPEATS if means is REPEATS else {}
        if name in least:
            assert np.median(scores) > least[name], f"{name}, {means.name}: {scores}"
            assert gap_ms <= MOST_GAP_MS, f"{name}, {means.name}: silent for {gap_ms:.0f} ms"
