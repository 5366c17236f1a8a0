"""Programs whose start and whose use of the processor are measured from outside."""

from __future__ import annotations

import json
import os
import select
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
LIMIT_S = 30.0
# Compiled modules are kept, as they are at a person's second start; the first start of each program is not counted.
ENVIRONMENT = {**os.environ, "PYTHONDONTWRITEBYTECODE": "", "PYTHONUNBUFFERED": "1"}


@dataclass(frozen=True, slots=True)
class Start:
    """How long a program took to get somewhere, on the clock and of the processor."""

    wall_s: float
    cpu_s: float


def cpu_s(pid: int) -> float:
    """Processor time that a process has used, all its threads, in steps of 10 ms."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@contextmanager
def started(*command: str, output: int | None = subprocess.DEVNULL) -> Iterator[subprocess.Popen[str]]:
    """Run a program of this environment; it is killed at the end, which no Parley minds."""
    process = subprocess.Popen(
        [sys.executable, *command],
        cwd=ROOT,
        env=ENVIRONMENT,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.PIPE,  # a few lines at most: read only where the program failed
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait(10)
        for pipe in (process.stdout, process.stderr):
            if pipe is not None:
                pipe.close()


def python_start(code: str) -> Start:
    """Start an interpreter, run `code`, and stop the watch where it prints its first line."""
    began = time.monotonic()
    with started("-c", f"{code}\nprint(flush=True)\nimport time; time.sleep(60)", output=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "\n", code
        return Start(time.monotonic() - began, cpu_s(process.pid))


class Ear:
    """A SIP port that hears an INVITE over UDP or TCP and says nothing."""

    def __init__(self) -> None:
        self._tcp = socket.create_server(("127.0.0.1", 0))
        self.port = self._tcp.getsockname()[1]
        self._udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._udp.bind(("127.0.0.1", self.port))
        self._stop, self._stopped = socket.socketpair()
        self._heard_at: float | None = None
        self._heard = threading.Event()
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()

    def __enter__(self) -> Ear:
        return self

    def __exit__(self, *error: object) -> None:
        self._stop.close()
        self._thread.join(5)

    def wait(self, process: subprocess.Popen[str]) -> float:
        """Wait for the INVITE of a program; gives the monotonic time of its first bytes."""
        deadline = time.monotonic() + LIMIT_S
        while not self._heard.wait(0.2):
            if process.poll() is not None:
                assert process.stderr is not None
                raise AssertionError(f"ended with {process.returncode} and no INVITE: {process.stderr.read()[-2000:]}")
            assert time.monotonic() < deadline, "no INVITE came"
        assert self._heard_at is not None
        return self._heard_at

    def _listen(self) -> None:
        watched: list[socket.socket] = [self._tcp, self._udp, self._stopped]
        while True:
            ready, _, _ = select.select(watched, [], [])
            now = time.monotonic()
            if self._stopped in ready:
                break
            for one in ready:
                if one is self._tcp:
                    watched.append(one.accept()[0])
                    continue
                data = one.recv(65_536)
                if not data and one is not self._udp:
                    watched.remove(one)
                    one.close()
                if data.startswith(b"INVITE ") and self._heard_at is None:
                    self._heard_at = now
                    self._heard.set()
        for one in watched:
            one.close()


def invite_start(profile: Path) -> Start:
    """Start `parley call` with sound and picture, and stop the watch where its INVITE is on the wire."""
    media = ("--audio-from", "silence", "--audio-to", "null", "--video-from", "pattern", "--video-to", "null")
    with Ear() as ear:
        target = f"sip:nobody@127.0.0.1:{ear.port}"
        began = time.monotonic()
        with started(
            *("-m", "app", "call", target, "--profile", str(profile), "--interface", "127.0.0.1", *media)
        ) as process:
            heard_at = ear.wait(process)
            return Start(heard_at - began, cpu_s(process.pid))


def window_start(profile: Path, log: Path, *, idle_s: float = 0.0, settle_s: float = 0.0) -> tuple[float, float]:
    """Start the window; gives seconds until it was shown, and the share of a core it uses when nothing happens."""
    log.unlink(missing_ok=True)
    began = time.monotonic()
    with started(*("-m", "app", "--profile", str(profile), "--log-level", "info", "--log-to", str(log))) as process:
        while not (log.exists() and "window shown after" in log.read_text()):
            assert process.poll() is None, log.read_text() if log.exists() else "no log"
            assert time.monotonic() - began < LIMIT_S, "no window was shown"
            time.sleep(0.005)
        shown_s = time.monotonic() - began
        if not idle_s:
            return shown_s, 0.0
        time.sleep(settle_s)
        before, at = cpu_s(process.pid), time.monotonic()
        time.sleep(idle_s)
        return shown_s, (cpu_s(process.pid) - before) / (time.monotonic() - at)


def walls(starts: Sequence[Start]) -> list[float]:
    return [start.wall_s for start in starts]


def cpus(starts: Sequence[Start]) -> list[float]:
    return [start.cpu_s for start in starts]


def command_use(folder: Path, width: int, height: int, *, seconds: float) -> tuple[float, float]:
    """Hold a call between `parley call` and `parley listen`; gives what each uses per second of it."""
    media = ("--audio-from", "tone:440", "--audio-to", "null", "--video-from", "pattern", "--video-to", "null")
    always = (*media, "--size", f"{width}x{height}", "--interface", "127.0.0.1", "--json")
    listen = ("-m", "app", "listen", "--profile", str(folder / "b"), *always, "--answer-after", "0.5")
    with started(*listen, output=subprocess.PIPE) as callee:
        uri = _event(callee, "listening")["uri"]
        call = ("-m", "app", "call", uri, "--profile", str(folder / "a"), *always, "--for", "60")
        with started(*call, output=subprocess.PIPE) as caller:
            while _event(caller, "call")["state"] != "connected":
                continue
            time.sleep(2.0)
            before, at = (cpu_s(caller.pid), cpu_s(callee.pid)), time.monotonic()
            time.sleep(seconds)
            took = time.monotonic() - at
            return (cpu_s(caller.pid) - before[0]) / took, (cpu_s(callee.pid) - before[1]) / took


def _event(process: subprocess.Popen[str], name: str) -> dict[str, Any]:
    """Read what a command prints up to an event of this name."""
    assert process.stdout is not None
    for line in process.stdout:
        event = dict(json.loads(line))
        if event.get("event") == name:
            return event
    raise AssertionError(f"the command ended without {name}")
