"""One call between two houses of a street: how Parley connected it, and how aioice does in the same place."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from threading import Semaphore
from typing import Any

from tests.heard import RATE_HZ, first_sound_s, frequency_hz, part, read_wav
from tests.lab.aioice_peer import LONGEST_TRY_S
from tests.lab.nat import House, Kind
from tests.lab.parley import Fields, Outcome, Parley
from tests.lab.servers import SECRETS, STUN_PORT, TURN_PASSWORD, TURN_TLS_PORT, TURN_USER, Servers

TALK_S = 1.5
CALLER_HZ, CALLEE_HZ = 440, 880
RELAY = "relay"


@dataclass(frozen=True, slots=True)
class Way:
    """The way data went, or why there was none."""

    gathered_s: float | None
    connected_s: float | None
    types: tuple[str, str] | None  # of the selected pair: local, remote
    protocol: str = "udp"
    reason: str = ""

    @property
    def result(self) -> str:
        if self.types is None:
            return "no path"
        return RELAY if RELAY in self.types else "direct"


@dataclass(frozen=True, slots=True)
class Journey:
    """A call that is over; `folder` has what each side heard as a.wav and b.wav."""

    folder: Path
    caller: Outcome
    callee: Outcome

    @property
    def path(self) -> Way:
        """The caller's view."""
        ice = self.caller.report["ice"]
        chosen = [pair for pair in ice["pairs"] if pair["selected"]]
        if not chosen:
            return Way(ice["gathered_in"], None, None, reason=self.caller.report["ended"]["cause"] or "")
        local, remote = self.caller.selected()
        return Way(ice["gathered_in"], ice["connected_in"], (local["type"], remote["type"]), local["protocol"])

    def heard_hz(self, side: str) -> float:
        """The tone that reached a side, from where it begins; 0 when it is shorter than half a second."""
        everything = read_wav(self.folder / f"{side}.wav")
        begins_s = first_sound_s(everything)
        heard = part(everything, begins_s + 0.1, begins_s + 0.8) if begins_s is not None else everything[:0]
        return frequency_hz(heard) if heard.size > RATE_HZ // 2 else 0.0


@dataclass(frozen=True, slots=True)
class Ends:
    """Who calls whom: two houses, the line they take, and what each is told of servers."""

    caller: House
    callee: House
    line: int
    caller_flags: tuple[str, ...]
    callee_flags: tuple[str, ...]


class Travelling:
    """A call that is going on. Use as a context."""

    def __init__(self, servers: Servers, ends: Ends, folder: Path) -> None:
        self._servers, self._ends, self._folder = servers, ends, folder
        self._stack = ExitStack()

    def __enter__(self) -> Travelling:
        ends = self._ends
        try:
            bob = self._start("b", ends.callee, ["listen"], "--calls", "1", *ends.callee_flags)
            bob.wait_for("listening")
            target = self._servers.target(f"b{ends.line}")
            ada = self._start("a", ends.caller, ["call", target], "--for", str(TALK_S), *ends.caller_flags)
        except BaseException:
            self._stack.close()
            raise
        self.caller, self.callee = ada, bob
        return self

    def __exit__(self, *error: Any) -> None:
        self._stack.__exit__(*error)

    def _start(self, side: str, house: House, command: list[str], *flags: str) -> Parley:
        hz = CALLER_HZ if side == "a" else CALLEE_HZ
        sound = ("--audio-from", f"tone:{hz}", "--audio-to", str(self._folder / f"{side}.wav"), "--video-from", "none")
        account = self._servers.seen_from(house).account(f"{side}{self._ends.line}", house.kind)
        started = Parley(house.host, self._folder / side, [*command, *account, *sound, *flags], SECRETS)
        return self._stack.enter_context(started)

    def finish(self, limit_s: float = 90.0) -> Journey:
        caller = self.caller.finish(limit_s=limit_s)
        return Journey(self._folder, caller, self.callee.finish(limit_s=30))


def travel(servers: Servers, ends: Ends, folder: Path, starting: Semaphore | None = None) -> Journey:
    """Hold a whole call. `starting` is given back as soon as both are looking for a path."""
    with ExitStack() as held:
        if starting is not None:
            held.enter_context(starting)
        with Travelling(servers, ends, folder) as call:
            if starting is not None:
                call.caller.wait_for("call", state="connecting")
                held.close()
            return call.finish()


# aioice ------------------------------------------------------------------------------------------------------


def aioice_options(servers: Servers, kind: Kind, *, turn: bool, controlling: bool) -> Fields:
    """Give aioice the same servers; of TURN it takes one, so it gets the one that passes this NAT."""
    options: Fields = {"controlling": controlling, "components": 1}
    if not turn:
        return {**options, "stun_server": [servers.turn[0], STUN_PORT]}
    port = TURN_TLS_PORT if kind is Kind.TCP_443_ONLY else STUN_PORT
    if kind in (Kind.UDP_BLOCKED, Kind.TCP_443_ONLY):
        options |= {"turn_transport": "tcp", "turn_ssl": kind is Kind.TCP_443_ONLY}
    else:
        options |= {"stun_server": [servers.turn[0], STUN_PORT]}
    user = {"turn_username": TURN_USER, "turn_password": TURN_PASSWORD}
    return {**options, "turn_server": [servers.turn[0], port], **user}


def aioice_journey(servers: Servers, caller: House, callee: House, *, turn: bool) -> Way:
    """Let two agents of aioice exchange candidates, connect and exchange a datagram."""
    with ExitStack() as stack:
        both = [
            stack.enter_context(
                _Agent(
                    servers,
                    house,
                    aioice_options(servers.seen_from(house), house.kind, turn=turn, controlling=house is caller),
                )
            )
            for house in (caller, callee)
        ]
        told = [agent.read() for agent in both]
        for agent, other in zip(both, reversed(told), strict=True):
            agent.write(other)
        mine, theirs = (agent.read() for agent in both)
    if "failed" in mine or "failed" in theirs:
        return Way(told[0]["gathered_s"], None, None, reason=mine.get("failed") or theirs["failed"])
    return Way(told[0]["gathered_s"], mine["connected_s"], (mine["local"], mine["remote"]))


class _Agent:
    """One agent as a process in a house. Use as a context."""

    def __init__(self, servers: Servers, house: House, options: Fields) -> None:
        self._process = house.host.popen(
            *(sys.executable, "-m", "tests.lab.aioice_peer", json.dumps(options)),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "SSL_CERT_FILE": str(servers.ca_file), "PYTHONDONTWRITEBYTECODE": "1"},
        )

    def __enter__(self) -> _Agent:
        return self

    def __exit__(self, *error: object) -> None:
        self._process.terminate()
        self._process.wait(LONGEST_TRY_S)
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            pipe.close()

    def read(self) -> Fields:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        return json.loads(line) if line else {"failed": "it ended", "gathered_s": None}

    def write(self, facts: Fields) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(facts) + "\n")
        self._process.stdin.flush()
