"""Foreign programs that a test runs beside Parley: started, listened to line by line, and always taken away again."""

from __future__ import annotations

import os
import random
import re
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

import pytest

HERE = "127.0.0.1"
LIMIT_S = 30.0  # for a step that takes moments on an idle machine

# Below the range the kernel gives to sockets that name no port: nobody takes one between the search and its use.
_PORTS = range(20_000, 32_000, 4)
_given: set[int] = set()
_KINDS = (socket.SOCK_DGRAM, socket.SOCK_STREAM)


def need(*programs: str) -> None:
    """Skip the test where a program is not installed."""
    lacking = [program for program in programs if shutil.which(program) is None]
    if lacking:
        pytest.skip(f"not installed: {', '.join(lacking)}")


def free_port() -> int:
    """Give a port that is free on loopback for UDP and TCP, with the three above it (media takes more than one)."""
    while True:
        port = random.choice(_PORTS)
        if port in _given:
            continue
        try:
            for number in range(port, port + _PORTS.step):
                for kind in _KINDS:
                    with socket.socket(socket.AF_INET, kind) as probe:
                        probe.bind((HERE, number))
        except OSError:
            continue
        _given.add(port)
        return port


def wait_until(fits: Callable[[], bool], what: str, limit_s: float = LIMIT_S) -> None:
    """Look again and again until something holds that tells nobody when it begins to."""
    deadline = time.monotonic() + limit_s
    while not fits():
        assert time.monotonic() < deadline, f"{what} did not come within {limit_s} s"
        time.sleep(0.02)


def answers(port: int, question: bytes) -> bool:
    """Ask a server over UDP; False when nothing came back within a moment."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        asking.settimeout(0.2)
        try:
            asking.connect((HERE, port))
            asking.send(question)
            return bool(asking.recv(4096))
        except OSError:
            return False


def is_bound(port: int) -> bool:
    """Say whether somebody on this machine receives UDP at a port of loopback."""
    listed = Path("/proc/net/udp").read_text(encoding="ascii").splitlines()[1:]
    return any(line.split()[1] == f"0100007F:{port:04X}" for line in listed)


class Program:
    """A running program. Use as a context: it and its children are ended in any case.

    What it prints goes to `NAME.log` in its folder, and to whoever waits for a line.
    """

    def __init__(self, name: str, folder: Path, *command: str) -> None:
        self.name = name
        self.folder = folder
        self.lines: list[str] = []
        self._news = threading.Condition()
        self._silent = False
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            cwd=folder,
            env={**os.environ, "HOME": str(folder), "LC_ALL": "C"},
            start_new_session=True,  # so that its children can be ended with it
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def __enter__(self) -> Program:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        if error is not None:
            print(f"--- {self.name}:\n{self.story()}")

    @property
    def running(self) -> bool:
        return self._process.poll() is None

    def wait_for(self, pattern: str, limit_s: float = LIMIT_S) -> re.Match[str]:
        """Wait until it has printed a line that matches, and give the match."""
        deadline = time.monotonic() + limit_s
        seen = 0
        with self._news:
            while True:
                for line in self.lines[seen:]:
                    if (match := re.search(pattern, line)) is not None:
                        return match
                seen = len(self.lines)
                left_s = deadline - time.monotonic()
                assert not self._silent, f"{self.name} ended before it printed {pattern!r}:\n{self.story()}"
                assert left_s > 0, f"{self.name} did not print {pattern!r} within {limit_s} s:\n{self.story()}"
                self._news.wait(left_s)

    def wait_until_ready(self, fits: Callable[[], bool]) -> None:
        """Wait until it serves; fails at once when it ended instead."""
        wait_until(lambda: not self.running or fits(), f"{self.name} being ready")
        assert self.running, f"{self.name} ended at its start:\n{self.story()}"

    def wait_for_end(self, limit_s: float) -> int:
        """Wait until it ends by itself, and give its exit code."""
        try:
            code = self._process.wait(limit_s)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"{self.name} still runs after {limit_s} s:\n{self.story()}") from None
        self._reader.join(5)
        return code

    def stop(self) -> None:
        """Ask it and its children to end, and make them end when they do not."""
        for ending in (signal.SIGTERM, signal.SIGKILL):
            if not self.running:
                break
            os.killpg(self._process.pid, ending)
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(5)
        self._reader.join(5)

    def story(self) -> str:
        """The end of what it printed."""
        return "\n".join(self.lines[-80:])

    def _read(self) -> None:
        assert self._process.stdout is not None
        with (self.folder / f"{self.name}.log").open("w", encoding="utf-8") as log:
            for line in self._process.stdout:
                log.write(line)
                log.flush()
                with self._news:
                    self.lines.append(line.rstrip("\n"))
                    self._news.notify_all()
        with self._news:
            self._silent = True
            self._news.notify_all()


@dataclass(frozen=True, slots=True)
class ThisMachine:
    """Where Parley runs in these tests, in the shape of a host of the lab: no namespace, everything on loopback."""

    address: str = HERE
    in_uri: str = HERE

    def command(self, *command: str) -> list[str]:
        return list(command)

    def run(self, *command: str) -> str:
        return subprocess.run(command, capture_output=True, text=True, timeout=30, check=True).stdout

    def popen(self, *command: str, **options: object) -> subprocess.Popen[str]:
        root = Path(__file__).resolve().parents[2]
        return subprocess.Popen(command, text=True, cwd=root, **options)  # type: ignore[call-overload, no-any-return]
