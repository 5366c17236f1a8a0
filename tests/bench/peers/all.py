"""All phones that are held beside Parley, and calls of several of them at a time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import pytest

from tests.bench.peers import stage
from tests.bench.peers.aiortc import AiortcCall
from tests.bench.peers.baresip import BaresipCall
from tests.bench.peers.base import PairCall
from tests.bench.peers.chromium import ChromiumCall
from tests.bench.peers.parley import ParleyCall

OURS = ParleyCall
OTHERS: tuple[type[PairCall], ...] = (ChromiumCall, BaresipCall, AiortcCall)
QUICK: tuple[type[PairCall], ...] = (BaresipCall,)
Measured = TypeVar("Measured")


def need_stage() -> None:
    """Skip the test where there can be no stage."""
    lacking = stage.missing()
    if lacking is not None:
        pytest.skip(lacking)


def phones(is_long: bool) -> list[type[PairCall]]:
    """Parley first, then those of the others that are installed; the short form has baresip alone."""
    return [OURS, *(phone for phone in (OTHERS if is_long else QUICK) if phone.missing() is None)]


def lacking(is_long: bool) -> list[str]:
    """What to tell of the phones that are not installed."""
    return [words for phone in (OTHERS if is_long else QUICK) if (words := phone.missing()) is not None]


def each(
    wanted: Sequence[type[PairCall]],
    measure: Callable[[type[PairCall], Path], Measured],
    folder: Path,
    *,
    at_once: int,
) -> dict[str, Measured]:
    """Measure every phone, some of them at once, each in a folder of its own; gives what was measured by name."""
    with ThreadPoolExecutor(at_once) as threads:
        running = {phone.name: threads.submit(measure, phone, folder / phone.name) for phone in wanted}
        return {name: result.result() for name, result in running.items()}
