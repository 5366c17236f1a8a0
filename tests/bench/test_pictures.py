"""Whole phones that hold a call with a picture: what each costs of the processor, and how many pictures come.

All show the same film of 1280x720 at 30 pictures a second in VP8; in a part of the picture something moves, as where a
person speaks before a wall. baresip cannot be told a bitrate: the film is one for which it sends 0.9 Mbit/s, and the
others are told that. Reading the file is part of what is measured, and so are sound devices (PulseAudio's virtual
ones). What each sends is counted on the wire: figures of phones that send something else cannot be compared.
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
from tests.bench.peers.traffic import Traffic, TrafficMeter
from tests.bench.pictures import FPS
from tests.bench.table import Table
from tests.lab.wire import Wire

SECTION = "Whole phones with a picture, 1280x720 VP8 at 30 a second both ways, each process"
BPS = 900_000  # of less Parley makes smaller pictures
MOVING = 0.31  # with more, baresip's pictures become so large that it leaves out every third
_SETTLE_S = 8.0
_WATCH_S = 60.0


@dataclass(frozen=True, slots=True)
class Used:
    """What both ends of a call used a second, what they sent, which pictures they showed a second and how wide."""

    cpu: list[float]
    sent: list[Traffic]
    shown: list[float]
    widths: list[int]


def watch(phone: type[PairCall], film: Film, folder: Path) -> Used:
    with stage(folder, Wire(delay_s=0.0)) as set_, phone(set_.a, set_.b, film) as call:
        time.sleep(_SETTLE_S)
        began, cpu, seen = time.monotonic(), [place.cpu_seconds() for place in call.places], call.seen()
        with TrafficMeter(set_.a.host, set_.b.host) as meter:
            time.sleep(_WATCH_S)
        took = time.monotonic() - began
        used = [(place.cpu_seconds() - before) / took for place, before in zip(call.places, cpu, strict=True)]
        shown = [
            (after.pictures - before.pictures) / took
            for before, after in zip(seen, call.seen(), strict=True)
            if before.pictures is not None and after.pictures is not None
        ]
        widths = [seen.width for seen in call.seen() if seen.width is not None]
    return Used(used, meter.traffic, shown, widths)


@pytest.mark.timeout(900)
def test_whole_phones(table: Table, tmp_path: Path) -> None:
    need_stage()
    film = make(tmp_path / "film.y4m", 1280, 720, bps=BPS, fps=FPS, moving=MOVING)
    found: dict[str, Used] = {}
    for phone in phones(is_long=True):
        found[phone.name] = watch(phone, film, tmp_path / phone.name)
    for words in lacking(is_long=True):
        print(words)
    ours = found[OURS.name]
    for name, used in found.items():
        sent = "pictures on the wire"
        table.add(
            SECTION, f"{name}: {sent}", "kbit/s", [one.picture_bps / 1_000 for one in used.sent], note=_said(used)
        )
    for name, theirs in found.items():
        if name != OURS.name:
            table.add(SECTION, f"{OURS.name} beside {name}", "s/s", ours.cpu, base=(name, theirs.cpu))
    assert min(one.pictures for one in ours.sent) > 0.97 * FPS
    assert min(ours.shown) > 0.97 * FPS
    assert set(ours.widths) == {1280}  # smaller ones cost less: no figure to set beside the others


def _said(used: Used) -> str:
    rates = [(one.pictures, "sent") for one in used.sent] + [(one, "shown") for one in used.shown]
    sizes = "".join(f", {width} wide" for width in dict.fromkeys(used.widths))
    return ", ".join(f"{rate:.1f}/s {what}" for rate, what in rates) + sizes
