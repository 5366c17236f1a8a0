"""How long a word takes from one end's microphone to the other end's speaker, beside other phones.

Chirps are played into the one virtual device and found again in the other; the wire takes 20 ms, everything else is the
phone's (and PulseAudio's): capture, packets, jitter buffer, playing. Then the wire loses 30 % for two seconds.
"""

from __future__ import annotations

import statistics
import time
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from tests.bench.peers.all import each, lacking, need_stage, phones
from tests.bench.peers.base import PairCall
from tests.bench.peers.stage import GOOD, Ear, play, stage
from tests.bench.sound import chirp_delays, chirps
from tests.bench.table import Table

SECTION = "Mouth to ear, PulseAudio's virtual devices, 20 ms each way"
BURST = replace(GOOD, loss=0.3)
BURST_S = 2.0
AGAIN_WITHIN_S = 10.0
MOST_MS = 140.0
AS_BEFORE_MS = 20.0
_SETTLE_S = 6.0


@dataclass(frozen=True, slots=True)
class Delays:
    """Milliseconds from mouth to ear: before a burst of loss, and in the last seconds of the time to recover."""

    before: float
    worst: float
    after: float


def measure(phone: type[PairCall], folder: Path, watch_s: float = 6.0) -> Delays:
    with stage(folder) as set_, phone(set_.a, set_.b):
        time.sleep(_SETTLE_S)
        with Ear(set_.a.pulse, "micfeed", 5) as mouth, Ear(set_.b.pulse, "spk", 5) as ear:
            play(set_.a.pulse, chirps(watch_s))
            broken_at = time.monotonic()
            set_.change_wire(BURST)
            play(set_.a.pulse, chirps(BURST_S))
            set_.change_wire(GOOD)
            play(set_.a.pulse, chirps(AGAIN_WITHIN_S + 2.0))
            time.sleep(0.5)
    found = chirp_delays(mouth.recording, ear.recording)
    print(f"{phone.name}: {[(round(at - broken_at, 1), round(1000 * late)) for at, late in found]}")
    before = [late for at, late in found if at < broken_at]
    after = [late for at, late in found if at > broken_at + BURST_S + AGAIN_WITHIN_S - 1.0]
    assert before, f"nothing that {phone.name} was told came out at its other end"
    assert after, f"nothing came out at {phone.name}'s other end after the loss"
    worst = max(late for _, late in found)
    return Delays(1000 * statistics.median(before), 1000 * worst, 1000 * statistics.median(after))


@pytest.mark.timeout(900)
def test_mouth_to_ear(table: Table, tmp_path: Path) -> None:
    need_stage()
    found: dict[str, list[Delays]] = {}
    for number in range(3):
        once = each(phones(True), measure, tmp_path / str(number), at_once=2)
        for name, delays in once.items():
            found.setdefault(name, []).append(delays)
    for words in lacking(True):
        print(words)
    for name, delays in found.items():
        table.add(SECTION, name, "ms", [one.before for one in delays])
    for name, delays in found.items():
        note = f"most in between {max(one.worst for one in delays):.0f} ms"
        changed = [abs(one.after - one.before) for one in delays]
        table.add(SECTION, f"{name}: changed 10 s after 2 s of 30 % loss", "ms", changed, note=note)
    assert statistics.median(one.before for one in found["parley"]) < MOST_MS
    assert statistics.median(abs(one.after - one.before) for one in found["parley"]) < AS_BEFORE_MS
