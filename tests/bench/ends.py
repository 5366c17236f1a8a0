"""Two processes that hold one call, introduced to each other by lines of JSON, and what each of them used."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tests.bench.programs import ENVIRONMENT, ROOT

WARM_UP_S = 2.0  # bitrates rise, buffers settle
LIMIT_S = 60.0


@dataclass(frozen=True, slots=True)
class Asked:
    """What one end is told on its command line."""

    calls: bool
    width: int
    height: int
    seconds: float

    @classmethod
    def parse(cls, words: list[str]) -> Asked:
        role, width, height, seconds = words
        return cls(role == "caller", int(width), int(height), float(seconds))

    def words(self) -> list[str]:
        return ["caller" if self.calls else "callee", str(self.width), str(self.height), str(self.seconds)]


@dataclass(frozen=True, slots=True)
class Used:
    """What one process used and did per second of the call."""

    cpu: float  # seconds
    pictures: float  # received and decoded
    sounds: float


# Inside an end ------------------------------------------------------------------------------------------------


def say(value: dict[str, Any]) -> None:
    """Give the other end, or the bench, one line."""
    print(json.dumps(value), flush=True)


async def read_line() -> dict[str, Any]:
    line = await asyncio.to_thread(sys.stdin.readline)
    return dict(json.loads(line))


async def measure(asked: Asked, count: Callable[[], dict[str, Any]]) -> None:
    """Wait for the first picture and a little longer, then watch what the process uses, and say it."""
    deadline = time.monotonic() + LIMIT_S
    while not count()["received"]:
        assert time.monotonic() < deadline, "no picture came"
        await asyncio.sleep(0.05)
    await asyncio.sleep(WARM_UP_S)
    cpu, began, before = time.process_time(), time.monotonic(), count()
    await asyncio.sleep(asked.seconds)
    used, took, after = time.process_time() - cpu, time.monotonic() - began, count()
    pictures, sounds = ((after[kind] - before[kind]) / took for kind in ("received", "audio"))
    say({"cpu": used / took, "pictures": pictures, "sounds": sounds})


# Around two ends ----------------------------------------------------------------------------------------------


def hold_call(module: str, width: int, height: int, seconds: float) -> list[Used]:
    """Run two ends of this module with each other; gives what each used."""
    ends = [
        subprocess.Popen(
            [sys.executable, "-m", module, *Asked(calls, width, height, seconds).words()],
            cwd=ROOT,
            env=ENVIRONMENT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for calls in (True, False)
    ]
    try:
        for source, sink in (ends, ends[::-1]):
            assert source.stdout is not None
            assert sink.stdin is not None
            line = source.stdout.readline()
            assert line, f"{module} ended before it said what it can do"
            sink.stdin.write(line)
            sink.stdin.flush()
        told = [json.loads(end.stdout.readline()) for end in ends if end.stdout is not None]
        for end in ends:
            end.communicate(timeout=LIMIT_S)
        return [Used(**one) for one in told]
    finally:
        for end in ends:
            end.kill()
            end.wait(10)
