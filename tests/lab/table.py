"""The table of the NAT lab: what became of each case, beside aioice. Printed at the end and kept in build/."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from tests.lab.journey import Journey, Way
from tests.lab.network import ROOT

Row = tuple[str, str, Journey, Way]
KEPT: pytest.StashKey[dict[str, list[str]]] = pytest.StashKey()
FILE = ROOT / "build" / "nat-lab.txt"
_HEAD = (
    f"{'case':28} {'at best':8} | {'Parley':8} {'gather':>7} {'ICE':>7} {'answer':>7} {'pair':22} | "
    f"{'aioice':8} {'gather':>7} {'ICE':>7} pair"
)


def line(case: str, expected: str, journey: Journey, aioice: Way) -> str:
    """Give one row; times in seconds: gathering, from the checks' begin to the path, from INVITE to answer."""
    ours, milestones = journey.path, journey.caller.report["milestones"]
    sent, answered = milestones["invite_sent"], milestones["answered"]
    waited = answered - sent if sent is not None and answered is not None else None
    mark = "" if ours.result == expected else "  <- not as expected"
    return (
        f"{case:28} {expected:8} | {ours.result:8} {_s(ours.gathered_s)} {_s(ours.connected_s)} {_s(waited)} "
        f"{_pair(ours):22} | {aioice.result:8} {_s(aioice.gathered_s)} {_s(aioice.connected_s)} {_pair(aioice)}{mark}"
    )


def keep(config: pytest.Config, title: str, rows: Iterable[Row]) -> None:
    """Have the rows printed when all tests are over, and write all tables so far to build/nat-lab.txt."""
    tables = config.stash.setdefault(KEPT, {})
    tables[title] = [_HEAD, *(line(*row) for row in rows)]
    FILE.parent.mkdir(exist_ok=True)
    FILE.write_text("\n".join(all_lines(tables)) + "\n", encoding="utf-8")


def all_lines(tables: dict[str, list[str]]) -> list[str]:
    return [text for title, lines in tables.items() for text in (f"== {title}", *lines)]


def _s(seconds: float | None) -> str:
    return f"{'-':>7}" if seconds is None else f"{seconds:7.3f}"


def _pair(way: Way) -> str:
    return "-" if way.types is None else f"{way.types[0]} - {way.types[1]} ({way.protocol})"
