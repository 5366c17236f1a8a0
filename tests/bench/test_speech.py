"""How well speech comes over a bad wire, beside other phones: each calls itself on the same wire with the same words.

A person's reading is played into one end's microphone and recorded at the other end's speaker, both virtual devices of
PulseAudio. PESQ (ITU-T P.862.2) says how far what was heard is from what was said, 1.0 to 4.64.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from tests.bench.peers.all import each, lacking, need_stage, phones
from tests.bench.peers.base import PairCall
from tests.bench.peers.stage import GOOD, Ear, Recording, play, stage
from tests.bench.sound import Programme, Quality, qualities, speech
from tests.bench.table import Table

SECTION = "Speech over a bad wire, 20 ms each way: PESQ wide band, median of 3 passages"
GAPS = "The longest gap in that speech"
LATE = "From mouth to ear in that speech"
WIRES = {
    "no loss": GOOD,
    "5 % lost": replace(GOOD, loss=0.05),
    "10 % lost": replace(GOOD, loss=0.10),
    "20 % lost": replace(GOOD, loss=0.20),
    "5 % lost, five in a row": replace(GOOD, loss=0.05, burst=5),
    "10 % lost, five in a row": replace(GOOD, loss=0.10, burst=5),
    "20 % lost, five in a row": replace(GOOD, loss=0.20, burst=5),
}
RIVALS = ("baresip", "Chromium")
# Which packets are lost is chance: two runs of one phone differ by as much.
CHANCE = 0.25
MOST_GAP_MS = 60.0
_TAIL_S = 1.0


def measure(
    phone: type[PairCall], folder: Path, wires: Sequence[str], programme: Programme, settle_s: float = 8.0
) -> dict[str, list[Quality]]:
    """Hold one call, and say the programme over each wire in turn."""
    heard: dict[str, tuple[Recording, Recording]] = {}
    with stage(folder) as set_, phone(set_.a, set_.b):
        time.sleep(settle_s)
        for name in wires:
            set_.change_wire(WIRES[name])
            with Ear(set_.a.pulse, "micfeed") as mouth, Ear(set_.b.pulse, "spk") as ear:
                play(set_.a.pulse, programme.samples)
                time.sleep(_TAIL_S)
            heard[name] = mouth.recording, ear.recording
    # Only now: it would take the machine from the phones.
    found = {name: qualities(programme, *both) for name, both in heard.items()}
    for name, passages in found.items():
        print(f"{phone.name}: {name}: {passages}")
    return found


@pytest.mark.short
@pytest.mark.timeout(900)
def test_speech_over_a_bad_wire(table: Table, is_long: bool, tmp_path: Path) -> None:
    need_stage()
    wires = list(WIRES) if is_long else ["10 % lost"]
    programme = speech(3, warm_up=True) if is_long else speech(1)
    found = each(
        phones(is_long),
        lambda phone, folder: measure(phone, folder, wires, programme, 8.0 if is_long else 1.0),
        tmp_path,
        at_once=2,
    )
    for words in lacking(is_long):
        print(words)
    for wire in wires:
        ours = [quality.pesq for quality in found["parley"][wire]]
        note = ", ".join(
            f"{name} {statistics.median(quality.pesq for quality in found[name][wire]):.2f}"
            for name in found
            if name != "parley"
        )
        best = max(
            ((name, [quality.pesq for quality in found[name][wire]]) for name in found if name in RIVALS),
            key=lambda one: statistics.median(one[1]),
            default=None,
        )
        table.add(SECTION, wire, "PESQ", ours, base=best, note=note, by_median=True)
    for wire in wires:
        gaps = {name: max(quality.gap_ms for quality in found[name][wire]) for name in found}
        note = ", ".join(f"{name} {gap:.0f}" for name, gap in gaps.items() if name != "parley")
        table.add(GAPS, wire, "ms", [gaps["parley"]], note=note)
    for name in found:
        late = [1000 * quality.delay_s for wire in wires for quality in found[name][wire]]
        table.add(LATE, name, "ms", late)
    if not is_long:
        return
    for wire in wires:
        rivals = [statistics.median(q.pesq for q in found[name][wire]) for name in RIVALS if name in found]
        ours_now = statistics.median(quality.pesq for quality in found["parley"][wire])
        assert ours_now >= max(rivals, default=0.0) - CHANCE, f"{wire}: {ours_now:.2f} against {rivals}"
    assert max(quality.gap_ms for quality in found["parley"]["10 % lost"]) <= MOST_GAP_MS
