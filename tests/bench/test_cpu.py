"""What a call with picture costs of the processor, beside two plain RTCPeerConnections that hold the same call.

Both send the same pictures and the same tone, made before, both ways at 30 pictures a second, and show them nowhere:
what is left is paths, keys, packets, codecs and loops. Each end is a process of its own; the two take turns, so that
both meet the same other work on the machine. The whole command draws its test picture and writes nothing.
"""

from __future__ import annotations

import statistics
from pathlib import Path

import pytest

from tests.bench.ends import Used, hold_call
from tests.bench.programs import command_use
from tests.bench.table import Table

SECTION = "Processor seconds per second of a call, each process, 30 pictures a second both ways"
SIZES = [pytest.param(640, 480, marks=pytest.mark.short), pytest.param(1280, 720)]


def add(table: Table, size: str, ours: list[Used], theirs: list[Used]) -> None:
    table.add(
        SECTION,
        f"{size}: parley's path and media",
        "s/s",
        [one.cpu for one in ours],
        base=("RTCPeerConnection", [one.cpu for one in theirs]),
        note="pictures/s "
        + " against ".join(f"{statistics.median(o.pictures for o in w):.1f}" for w in (ours, theirs)),
    )


@pytest.mark.timeout(300)
@pytest.mark.parametrize(("width", "height"), SIZES)
def test_cpu_of_a_call(table: Table, is_long: bool, width: int, height: int) -> None:
    ours: list[Used] = []
    theirs: list[Used] = []
    for _ in range(3 if is_long else 1):
        seconds = 8.0 if is_long else 2.0
        ours += hold_call("tests.bench.our_end", width, height, seconds)
        theirs += hold_call("tests.bench.aiortc_end", width, height, seconds)
    assert all(one.pictures > 0 and one.sounds > 0 for one in (*ours, *theirs))
    add(table, f"{width}x{height}", ours, theirs)


@pytest.mark.parametrize(("width", "height"), [(640, 480), (1280, 720)])
def test_cpu_of_the_whole_command(table: Table, width: int, height: int, tmp_path: Path) -> None:
    caller, callee = command_use(tmp_path, width, height, seconds=8.0)
    table.add(SECTION, f"{width}x{height}: parley call and listen, whole", "s/s", [caller, callee])
