"""Runs a target over as many inputs as asked for, and holds it to its bounds and to the memory it began with."""

from __future__ import annotations

import gc
import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from tests.fuzz.mutation import Mutator
from tests.fuzz.targets import Target

_LOOK_EVERY = 256
_MAX_GROWTH_BYTES = 48 << 20
_WARM_UP = 50_000  # inputs until what is kept at all (corpus, tables of limits) is there


class Crash(AssertionError):
    """An input that must not do what it did; the seed and the number make it happen again."""


@dataclass(slots=True)
class Figures:
    """What one run found."""

    name: str
    inputs: int
    seconds: float = 0.0
    outcomes: int = 0
    most: dict[str, int] = field(default_factory=dict)
    grown_bytes: int = 0

    def __str__(self) -> str:
        rate = self.inputs / self.seconds if self.seconds else 0.0
        most = ", ".join(f"{name} {count}" for name, count in self.most.items())
        return (
            f"{self.name}: {self.inputs} inputs in {self.seconds:.1f} s ({rate:.0f}/s), {self.outcomes} outcomes, "
            f"memory {self.grown_bytes / 1e6:+.1f} MB{', at most ' + most if most else ''}"
        )


def fuzz(make: Callable[[random.Random], Target], inputs: int, seed: int) -> Figures:
    """Run `inputs` inputs; Crash names the one that raised, or the bound that was passed."""
    rng = random.Random(seed)
    target = make(rng)
    mutator = Mutator(rng, target.seeds, target.tokens, stun=target.stun)
    figures = Figures(type(target).__name__.removesuffix("Target"), inputs)
    begun = time.perf_counter()
    before: int | None = None
    for number in range(inputs):
        data = mutator.next()
        try:
            mutator.learn(data, target.run(data))
        except Exception as error:
            raise Crash(f"{figures.name}, seed {seed}, input {number}: {data[:1000].hex()}") from error
        if number % _LOOK_EVERY == 0:
            _hold(target, figures, seed, number)
        if number == _WARM_UP:
            before = _resident_bytes()
    figures.seconds = time.perf_counter() - begun
    figures.outcomes = mutator.outcomes
    if before is not None:
        figures.grown_bytes = _resident_bytes() - before
        if figures.grown_bytes > _MAX_GROWTH_BYTES:
            raise Crash(f"{figures.name}, seed {seed}: memory grew by {figures.grown_bytes >> 20} MiB")
    return figures


def _hold(target: Target, figures: Figures, seed: int, number: int) -> None:
    for name, size in target.sizes().items():
        figures.most[name] = max(figures.most.get(name, 0), size)
        if size > target.bounds[name]:
            raise Crash(f"{figures.name}, seed {seed}, input {number}: {size} {name}, at most {target.bounds[name]}")


def _resident_bytes() -> int:
    """Give how much memory this process holds now (Linux)."""
    gc.collect()
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * 4096
