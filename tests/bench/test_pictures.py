"""Whole phones that hold a call with a picture: what each costs of the processor, and how many pictures come.

All show the same film of 1280x720 at 30 pictures a second in VP8 and are told 1.5 Mbit/s; reading the file is part of
what is measured, and so are sound devices (PulseAudio's virtual ones).
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.bench.peers.all import OURS, lacking, need_stage, phones
from tests.bench.peers.base import Film, PairCall
from tests.bench.peers.film import make
from tests.bench.peers.stage import stage
from tests.bench.pictures import FPS
from tests.bench.table import Table
from tests.lab.wire import Wire

SECTION = "Whole phones with a picture, 1280x720 VP8 at 30 a second and 1.5 Mbit/s both ways, each process"
BPS = 1_500_000
_SETTLE_S = 8.0
_WATCH_S = 20.0


@dataclass(frozen=True, slots=True)
class Used:
    """What both ends of a call used a second; where they tell, which pictures came a second and how wide."""

    cpu: list[float]
    pictures: list[float]
    widths: list[int]


def watch(phone: type[PairCall], film: Film, folder: Path) -> Used:
    with stage(folder, Wire(delay_s=0.0)) as set_, phone(set_.a, set_.b, film) as call:
        time.sleep(_SETTLE_S)
        began, cpu, seen = time.monotonic(), [place.cpu_seconds() for place in call.places], call.seen()
        time.sleep(_WATCH_S)
        took = time.monotonic() - began
        used = [(place.cpu_seconds() - before) / took for place, before in zip(call.places, cpu, strict=True)]
        shown = [
            (after.pictures - before.pictures) / took
            for before, after in zip(seen, call.seen(), strict=True)
            if before.pictures is not None and after.pictures is not None
        ]
        widths = [seen.width for seen in call.seen() if seen.width is not None]
    return Used(used, shown, widths)


@pytest.mark.timeout(600)
def test_whole_phones(table: Table, tmp_path: Path) -> None:
    need_stage()
    film = make(tmp_path / "film.y4m", 1280, 720, bps=BPS, fps=FPS)
    found: dict[str, Used] = {}
    for phone in phones(is_long=True):
        found[phone.name] = watch(phone, film, tmp_path / phone.name)
    for words in lacking(is_long=True):
        print(words)
    ours = found.pop(OURS.name)
    for name, theirs in found.items():
        note = f"pictures/s {_said(ours)} against {_said(theirs)}"
        table.add(SECTION, f"{OURS.name} beside {name}", "s/s", ours.cpu, base=(name, theirs.cpu), note=note)


def _said(used: Used) -> str:
    sizes = "".join(f", {width} wide" for width in dict.fromkeys(used.widths))
    return (", ".join(f"{rate:.1f}" for rate in used.pictures) or "not told") + sizes
