"""Parley as its users run it: the command line as a process on a host of the lab, its events and its report."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

from tests.lab.network import Host

Fields = dict[str, Any]
START_LIMIT_S = 60.0  # of a command on a busy machine
REALM = "lab.example"
PASSWORDS = {"ada": "engine no. 1", "bob": "bob's secret"}


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a command ended."""

    code: int
    report: Fields
    events: tuple[Fields, ...]
    stderr: str
    log: str

    @property
    def sentences(self) -> list[str]:
        """The lines of stderr: what a person at a terminal was told."""
        return [line for line in self.stderr.splitlines() if line.strip()]

    def lines(self, direction: str | None = None) -> list[str]:
        """The first lines of the call's SIP messages."""
        return [entry["line"] for entry in self.report["sip"] if direction in (None, entry["direction"])]

    def selected(self) -> tuple[Fields, Fields]:
        """The selected pair as (local, remote) candidates."""
        ice = self.report["ice"]
        (pair,) = (pair for pair in ice["pairs"] if pair["selected"])
        return ice["local"][pair["local"]], ice["remote"][pair["remote"]]

    def state_at(self, state: str) -> float:
        """When a call's state was first reached."""
        return float(next(step["at"] for step in self.report["states"] if step["state"] == state))


@dataclass
class Parley:
    """A running command. Use as a context: it is ended in any case.

    When a test ends well its log must be free of errors; `finish` looks.
    """

    host: Host
    folder: Path
    arguments: list[str]
    environment: dict[str, str] = field(default_factory=dict)
    program: tuple[str, ...] = ("-m", "app")

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self.log_path = self.folder / "log.txt"
        self.events: list[Fields] = []
        self.report: Fields | None = None
        self._news = threading.Condition()
        self._ended = False
        self._stderr: list[str] = []
        self._process = self.host.popen(
            *(sys.executable, *self.program, *self.arguments, "--json", "--profile", str(self.folder / "profile")),
            *("--log-level", "info", "--log-to", str(self.log_path), "--sip-trace", str(self.folder / "sip.txt")),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1", "PYTHONUNBUFFERED": "1", **self.environment},
        )
        self._readers = [threading.Thread(target=read, daemon=True) for read in (self._read_out, self._read_err)]
        for reader in self._readers:
            reader.start()

    def __enter__(self) -> Parley:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(15)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait(5)
        if error is not None:
            print(self._story())

    def _read_out(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            value = json.loads(line)
            with self._news:
                if "report" in value:
                    self.report = value["report"]
                else:
                    self.events.append(value)
                self._news.notify_all()
        with self._news:
            self._ended = True
            self._news.notify_all()

    def _read_err(self) -> None:
        assert self._process.stderr is not None
        self._stderr.extend(self._process.stderr)

    def wait_for(self, name: str, *, limit_s: float = START_LIMIT_S, **facts: object) -> Fields:
        """Wait until an event of this name with these facts has come, and give it."""
        return self.wait_until(
            lambda event: event["event"] == name and all(event.get(key) == value for key, value in facts.items()),
            limit_s=limit_s,
            what=f"{name} {facts}",
        )

    def wait_until(self, fits: Callable[[Fields], bool], *, limit_s: float = START_LIMIT_S, what: str = "it") -> Fields:
        deadline = time.monotonic() + limit_s
        seen = 0
        with self._news:
            while True:
                for event in self.events[seen:]:
                    if fits(event):
                        return event
                seen = len(self.events)
                left_s = deadline - time.monotonic()
                assert not self._ended, f"the command ended before {what} came:\n{self._story()}"
                assert left_s > 0, f"{what} did not come within {limit_s} s:\n{self._story()}"
                self._news.wait(left_s)

    @property
    def running(self) -> bool:
        return self._process.poll() is None

    @property
    def pid(self) -> int:
        return self._process.pid

    def ports(self, kind: str) -> list[int]:
        """The "udp" or "tcp" ports at which others can reach this process now."""
        listed = self.host.run("ss", "-H", "-n", "-l", "-p", f"--{kind}").splitlines()
        places = [line.split()[3].rpartition(":") for line in listed if f"pid={self.pid}," in line]
        return sorted({int(port) for address, _, port in places if not address.startswith(("127.", "[::1]"))})

    @property
    def resident_bytes(self) -> int:
        """How much memory the process holds."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        return int(next(line for line in status.splitlines() if line.startswith("VmRSS")).split()[1]) * 1024

    def stop(self) -> None:
        """Ask it to stop, as Ctrl-C does."""
        self._process.send_signal(signal.SIGINT)

    def finish(self, *, limit_s: float = 60.0) -> Outcome:
        """Wait for its end and give how it went; no log line may be an error."""
        try:
            code = self._process.wait(limit_s)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"still running after {limit_s} s:\n{self._story()}") from None
        for reader in self._readers:
            reader.join(5)
        outcome = Outcome(code, self.report or {}, tuple(self.events), "".join(self._stderr), self.log())
        told = f"{outcome.stderr}\n{outcome.log}"
        assert not re.search(r"Traceback| ERROR | CRITICAL |never awaited|never retrieved", told), self._story()
        return outcome

    def log(self) -> str:
        """What it has logged so far."""
        return self.log_path.read_text(errors="replace") if self.log_path.exists() else ""

    def _story(self) -> str:
        events = [event for event in self.events if event["event"] != "figures"]
        told = "\n".join(json.dumps(event) for event in events[-30:])
        return f"{self.arguments}\n{told}\n{''.join(self._stderr)}\n{self.log()[-6000:]}"


def home(host: Host, folder: Path, *arguments: str, port: int = 5060) -> Parley:
    """Start `parley home` for ada and bob and wait until it serves."""
    users = [word for name, password in PASSWORDS.items() for word in ("--user", f"{name}:{password}")]
    listen = host.address
    server = Parley(
        host, folder, ["home", "--listen", listen, "--sip-port", str(port), "--realm", REALM, *users, *arguments]
    )
    try:
        server.wait_for("serving")
    except BaseException:
        server.__exit__(None, None, None)
        raise
    return server


def member(user: str, server: Host, *, password: str | None = None, turn: bool = True) -> tuple[list[str], Fields]:
    """Give the flags and the environment of one of home's users."""
    flags = ["--account", f"sip:{user}@{server.in_uri}", "--password-from", "env:SIP_PASSWORD"]
    if turn:
        flags += ["--turn", f"turn:{server.in_uri}:3478", "--turn-user", user]
        flags += ["--turn-password-from", "env:TURN_PASSWORD"]
    right = PASSWORDS.get(user, "none")
    return flags, {"SIP_PASSWORD": right if password is None else password, "TURN_PASSWORD": right}


def listen(host: Host, folder: Path, user: str, server: Host, *arguments: str, turn: bool = True) -> Parley:
    """Start `parley listen` as a user of home and wait until it can be called."""
    flags, environment = member(user, server, turn=turn)
    listener = Parley(host, folder, ["listen", *flags, *arguments], environment)
    try:
        listener.wait_for("listening")
    except BaseException:
        listener.__exit__(None, None, None)
        raise
    return listener


def call(
    host: Host,
    folder: Path,
    user: str,
    server: Host,
    target: str,
    *arguments: str,
    turn: bool = True,
    password: str | None = None,
) -> Parley:
    """Start `parley call` as a user of home."""
    flags, environment = member(user, server, turn=turn, password=password)
    return Parley(host, folder, ["call", target, *flags, *arguments], environment)
