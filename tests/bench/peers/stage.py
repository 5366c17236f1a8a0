"""The stage of the bench: hosts a and b with a bad wire between them, a sound server each, and who listens there."""

from __future__ import annotations

import contextlib
import os
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np

from tests.bench.peers.base import Place
from tests.heard import RATE_HZ, Samples, part, write_wav
from tests.lab import network
from tests.lab.network import Lab
from tests.lab.wire import Wire
from tests.media.pulse import Pulse, missing_program, running_pulse

DELAY_S = 0.02
# What stands for hardware keeps its time before everything else, and the phones theirs before the other work of this
# machine: it is not what is compared.
_LIKE_HARDWARE = ("chrt", "--fifo", "10")
# Not a real-time priority for these: while one of them starts, the other ones would stand still for 100 ms at a time.
_PHONES_NICENESS = -15
GOOD = Wire(delay_s=DELAY_S)
_CLIENT_TIMEOUT_S = 10.0


def missing() -> str | None:
    """Say why there can be no stage here; None where there can."""
    lacking = missing_program()
    return network.missing() or (f"{lacking} is not installed" if lacking else None)


@dataclass(frozen=True, slots=True)
class Stage:
    """Two places with a wire between them."""

    lab: Lab
    a: Place
    b: Place

    def change_wire(self, wire: Wire) -> None:
        self.lab.change_wire("a", wire)


@contextlib.contextmanager
def _before_others() -> Iterator[None]:
    """Let what this thread starts meanwhile run before the usual work of the machine, where that is allowed."""
    before = os.getpriority(os.PRIO_PROCESS, 0)
    with contextlib.suppress(PermissionError):
        os.setpriority(os.PRIO_PROCESS, 0, min(before, _PHONES_NICENESS))
    try:
        yield
    finally:
        os.setpriority(os.PRIO_PROCESS, 0, before)


@contextlib.contextmanager
def stage(folder: Path, wire: Wire = GOOD) -> Iterator[Stage]:
    """Make the stage; everything that still runs on it at the end is ended."""
    with contextlib.ExitStack() as stack:
        lab = stack.enter_context(Lab(("a", "b"), wires={"a": wire}))
        places = []
        for name in "ab":
            (folder / name / "pulse").mkdir(parents=True)
            pulse = stack.enter_context(running_pulse(folder / name / "pulse", RATE_HZ))
            # Not at its start: it gives the priority that it is started with back.
            subprocess.run(
                [*_LIKE_HARDWARE[:2], "--all-tasks", "--pid", _LIKE_HARDWARE[2], str(pulse.server.pid)], check=True
            )
            places.append(Place(lab[name], pulse, folder / name))
        stack.enter_context(_before_others())
        yield Stage(lab, *places)


@dataclass(frozen=True, slots=True)
class Recording:
    """What was heard, and when (monotonic clock) its first sample was."""

    samples: Samples
    began: float

    def between(self, from_: float, to: float) -> Samples:
        """Give what was heard between two times of the monotonic clock."""
        return part(self.samples, max(0.0, from_ - self.began), max(0.0, to - self.began))


class Ear:
    """Records what a sink plays. Use as a context; `recording` is there afterwards.

    Each piece is stamped when it comes: a piece can be late but never early, so the earliest of them say when the
    recording began, to a millisecond or two, and ears at different servers can be compared.
    """

    recording: Recording

    def __init__(self, pulse: Pulse, sink: str = "spk", latency_ms: int = 10) -> None:
        command = ["parec", "-d", f"{sink}.monitor", f"--rate={RATE_HZ}", "--channels=1", "--format=s16le", "--raw"]
        self._process = subprocess.Popen(
            [*_LIKE_HARDWARE, *command, f"--latency-msec={latency_ms}"],
            stdout=subprocess.PIPE,
            env={**os.environ, **pulse.env},
        )
        assert self._process.stdout is not None
        self._began = float("inf")
        self._pieces: list[bytes] = []
        self._first = threading.Event()
        self._thread = threading.Thread(target=self._listen, args=(self._process.stdout,), daemon=True)
        self._thread.start()

    def __enter__(self) -> Ear:
        assert self._first.wait(_CLIENT_TIMEOUT_S), "nothing was heard, not even silence"
        return self

    def __exit__(self, *error: object) -> None:
        self._process.terminate()
        self._process.wait(5)
        self._thread.join(5)
        data = b"".join(self._pieces)
        self.recording = Recording(np.frombuffer(data[: len(data) // 2 * 2], np.int16), self._began)

    def _listen(self, out: IO[bytes]) -> None:
        count = 0
        while piece := os.read(out.fileno(), 65_536):
            now = time.monotonic()
            count += len(piece)
            self._began = min(self._began, now - count / 2 / RATE_HZ)
            self._pieces.append(piece)
            self._first.set()
        out.close()


def play(pulse: Pulse, samples: Samples, sink: str = "micfeed") -> None:
    """Play samples into a sink, and return when they have been played."""
    wav = write_wav(pulse.folder / "play.wav", samples)
    subprocess.run(
        [*_LIKE_HARDWARE, "paplay", "-d", sink, "--latency-msec=50", str(wav)],
        env={**os.environ, **pulse.env},
        check=True,
        timeout=samples.size / RATE_HZ + _CLIENT_TIMEOUT_S,
    )
