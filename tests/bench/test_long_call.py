"""A long call: delay, memory, threads and the processor's share at the end as at the beginning.

Two hours pass on a virtual clock through what a voice goes through between two sound cards whose clocks differ: a
network that jitters and loses, Opus's decoder, the jitter buffer, the recording (what is sent is encoded once and said
again and again). A real call on PulseAudio's devices lasts PARLEY_BENCH_MINUTES (5 where that is not set).
"""

from __future__ import annotations

import contextlib
import gc
import os
import random
import statistics
import threading
import time
from collections import deque
from dataclasses import dataclass
from pathlib import Path

import pytest

from app.media.audio_choice import AudioChoice
from app.media.call_sound import SoundLane
from app.media.codecs import OPUS
from app.media.jitter import Playout
from app.media.packetizing import Packetizer
from app.media.speech import make_encoder
from tests.bench.peers.all import need_stage
from tests.bench.peers.base import Place
from tests.bench.peers.parley import ParleyCall
from tests.bench.peers.stage import Ear, play, stage
from tests.bench.sound import chirp_delays, chirps
from tests.bench.table import Table
from tests.heard import recorded_speech

SECTION = "A long call: the last part beside the first"
FRAME = 960
FRAME_S = 0.020
CLOCKS_APART = 100e-6  # two crystals of a cheap kind
MOST_GROWTH = 1.25
_SETTLE_S = 20.0


@dataclass(frozen=True, slots=True)
class Part:
    """What was seen in one part of a call."""

    delay_ms: float
    resident_mb: float
    cpu: float  # seconds for each second of the call
    threads: int


def resident_mb() -> float:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


class Core:
    """One direction of a call on a virtual clock."""

    def __init__(self) -> None:
        packetizer = Packetizer(OPUS, make_encoder(OPUS))
        speech = recorded_speech()[0]
        frames = speech[: speech.size // FRAME * FRAME].reshape(-1, FRAME)
        self._payloads = [packet.payload for frame in frames for packet in packetizer.add(frame, 0, AudioChoice())]
        self._playout = Playout({OPUS.payload_type: OPUS})
        self._lane = SoundLane()
        self._dice = random.Random(1)
        self._under_way: deque[tuple[float, int, int, bytes]] = deque()
        self._sent = self._played = 0

    def run(self, seconds: float) -> Part:
        """Let so much time of the receiver's sound card pass."""
        began, delays = time.process_time(), []
        for _ in range(round(seconds / FRAME_S)):
            now = self._played * FRAME_S
            self._send_until(now)
            while self._under_way and self._under_way[0][0] <= now:
                at, number, timestamp, payload = self._under_way.popleft()
                self._playout.push(number, timestamp, OPUS.payload_type, payload, at)
            sound = self._playout.next_frame(now)
            self._lane.add(sound, self._played * FRAME)
            self._lane.read(self._played * FRAME, FRAME)
            delays.append(self._playout.delay_s or 0.0)
            self._played += 1
        cpu = (time.process_time() - began) / seconds
        gc.collect()
        return Part(1000 * statistics.mean(delays), resident_mb(), cpu, 1)

    def _send_until(self, now: float) -> None:
        while (at := self._sent * FRAME_S * (1 + CLOCKS_APART)) <= now:
            if self._dice.random() >= 0.02:
                arrives = max(at + 0.02 + self._dice.expovariate(1 / 0.003), self._last_arrival)
                payload = self._payloads[self._sent % len(self._payloads)]
                timestamp = self._sent * FRAME & 0xFFFF_FFFF
                self._under_way.append((arrives, 70_000 + self._sent, timestamp, payload))
            self._sent += 1

    @property
    def _last_arrival(self) -> float:
        return self._under_way[-1][0] if self._under_way else 0.0


def add_parts(table: Table, what: str, first: Part, last: Part) -> None:
    for name, unit, before, after in (
        ("delay", "ms", first.delay_ms, last.delay_ms),
        ("memory", "MB", first.resident_mb, last.resident_mb),
        ("processor", "s/s", first.cpu, last.cpu),
        ("threads", "", first.threads, last.threads),
    ):
        table.add(SECTION, f"{what}: {name}", unit, [after], base=("its first part", [before]))


@pytest.mark.short
@pytest.mark.timeout(900)
def test_two_hours_of_a_virtual_clock(table: Table, is_long: bool) -> None:
    seconds = 7200.0 if is_long else 20.0
    core = Core()
    core.run(seconds / 24)  # what is made once is made
    first = core.run(seconds / 24)
    core.run(seconds * 21 / 24)
    last = core.run(seconds / 24)
    add_parts(table, "two hours of the core" if is_long else "20 s of the core", first, last)
    if not is_long:
        return
    assert abs(last.delay_ms - first.delay_ms) < 20
    assert last.resident_mb < first.resident_mb + 10
    assert last.cpu < first.cpu * MOST_GROWTH


def watch(places: tuple[Place, Place], seconds: float) -> tuple[Part, Part]:
    """What each place uses in a running call for so long, and how late it hears what is said at the other one."""
    said = chirps(seconds)
    used, began = [place.cpu_seconds() for place in places], time.monotonic()
    with contextlib.ExitStack() as stack:
        mouths = [stack.enter_context(Ear(place.pulse, "micfeed", 5)) for place in places]
        ears = [stack.enter_context(Ear(place.pulse, "spk", 5)) for place in places]
        speaking = [threading.Thread(target=play, args=(place.pulse, said)) for place in places]
        for thread in speaking:
            thread.start()
        for thread in speaking:
            thread.join()
        passed = time.monotonic() - began
        cpu = [(place.cpu_seconds() - before) / passed for place, before in zip(places, used, strict=True)]
        time.sleep(0.5)
    parts = []
    for place, share, mouth, ear in zip(places, cpu, reversed(mouths), ears, strict=True):
        delays = [late for _, late in chirp_delays(mouth.recording, ear.recording)]
        assert len(delays) > seconds / 2, "hardly anything came over"
        parts.append(Part(1000 * statistics.median(delays), place.resident_bytes() / 1e6, share, place.threads()))
    return parts[0], parts[1]


@pytest.mark.timeout(3600)
def test_a_real_call(table: Table, tmp_path: Path) -> None:
    need_stage()
    minutes = float(os.environ.get("PARLEY_BENCH_MINUTES", "5"))
    speech = recorded_speech()
    with stage(tmp_path) as set_, ParleyCall(set_.a, set_.b):
        places = set_.a, set_.b
        ends = time.monotonic() + minutes * 60
        time.sleep(_SETTLE_S)
        first = watch(places, 20.0)
        while time.monotonic() < ends - 25:
            for passage in speech:
                play(set_.a.pulse, passage)
                play(set_.b.pulse, passage)
        last = watch(places, 20.0)
    for place, before, after in zip("ab", first, last, strict=True):
        add_parts(table, f"{minutes:g} minutes of a call, at {place}", before, after)
    for before, after in zip(first, last, strict=True):
        assert after.delay_ms < before.delay_ms + 20
        assert after.resident_mb < before.resident_mb * 1.1 + 5
        assert after.cpu < before.cpu * MOST_GROWTH
        assert after.threads <= before.threads
