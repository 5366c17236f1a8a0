"""A talker and a thousand listeners at one rallypoint, beside a plain UDP reflector under the same load.

The rallypoint is `parley rallypoint` with TLS and its limits; listeners are real connections in a few processes. On two
cores they take as much of the machine as the server does: delays are those of all of it together.
"""

from __future__ import annotations

import collections
import contextlib
import json
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.bench.channel_ears import HERE, PACKET, SUBJECT, connect
from tests.bench.programs import ENVIRONMENT, ROOT, cpu_s
from tests.bench.table import Table
from tests.channels.rallypoints import MISSING, SERVER, free_ports

FRAME_S = 0.02
REFLECTOR = "UDP reflector"


@dataclass(frozen=True, slots=True)
class Carried:
    """What listeners got: the share of all, of the worst listener, delays in ms, the server's processor time."""

    share: float
    worst: float
    p50_ms: float
    p95_ms: float
    cpu_s: float


@contextlib.contextmanager
def program(*command: str) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-m", *command],
        cwd=ROOT,
        env=ENVIRONMENT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    text = process.stdout.readline()
    assert text, "it ended"
    return text


def carry(
    server: int, ears: list[tuple[str, ...]], listeners: int, seconds: float, send: Callable[[bytes], object]
) -> Carried:
    """Let everybody listen and one talk."""
    with contextlib.ExitStack() as stack:
        running = [stack.enter_context(program("tests.bench.channel_ears", *each)) for each in ears]
        for each in running:
            assert line(each) == "ready\n"
        before, packets = cpu_s(server), round(seconds / FRAME_S)
        due = time.monotonic()
        for _ in range(packets):
            send(struct.pack("!Q", time.monotonic_ns()).ljust(PACKET, b"."))
            due += FRAME_S
            time.sleep(max(0.0, due - time.monotonic()))
        used = _until_idle(server) - before
        for each in running:
            assert each.stdin is not None
            each.stdin.write("\n")
            each.stdin.flush()
        reports = [json.loads(line(each)) for each in running]
    delays: collections.Counter[int] = collections.Counter()
    for report in reports:
        delays.update({int(step): count for step, count in report["delays"].items()})
    came, fewest = sum(report["came"] for report in reports), min(report["fewest"] for report in reports)
    return Carried(
        100 * came / (packets * listeners), 100 * fewest / packets, _at(delays, 0.5), _at(delays, 0.95), used
    )


def _until_idle(server: int) -> float:
    """Wait until the server has nothing more to pass on; gives its processor time."""
    before = cpu_s(server)
    for _ in range(40):
        time.sleep(0.25)
        now = cpu_s(server)
        if now - before < 0.02:
            break
        before = now
    return now


def _at(delays: collections.Counter[int], share: float) -> float:
    """Give the delay in ms under which this share of all packets came."""
    left = share * delays.total()
    for step in sorted(delays):
        left -= delays[step]
        if left <= 0:
            return (step + 1) / 10
    raise AssertionError("nothing came")


def by_rallypoint(folder: Path, processes: int, each: int, seconds: float) -> Carried:
    (port,) = free_ports(1)
    flags = ("--listen", HERE, "--port", str(port), "--profile", str(folder), "--json")
    with program("app", "rallypoint", *flags) as process:
        told = {}
        while "serving" not in told:
            event = json.loads(line(process))
            told[event["event"]] = event
        authority = told["mission-line"]["authority"]
        with connect(port, authority) as talker:

            def say(packet: bytes) -> None:
                talker.sendall(b"PUB %s %d\r\n%s\r\n" % (SUBJECT.encode(), len(packet), packet))

            ears = [("nats", str(port), str(each), authority)] * processes
            return carry(told["serving"]["pid"], ears, processes * each, seconds, say)


def by_reflector(processes: int, each: int, seconds: float) -> Carried:
    with program("tests.bench.udp_reflector") as process, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as talker:
        port = int(line(process))
        talker.connect((HERE, port))
        return carry(process.pid, [("udp", str(port), str(each))] * processes, processes * each, seconds, talker.send)


@pytest.mark.skipif(SERVER is None, reason=MISSING)
@pytest.mark.short
def test_a_thousand_listeners_at_one_rallypoint(table: Table, is_long: bool, tmp_path: Path) -> None:
    processes, each, seconds, runs = (4, 250, 20.0, 3) if is_long else (2, 50, 1.0, 1)
    listeners = processes * each
    ours: list[Carried] = []
    plain: list[Carried] = []
    for run in range(runs):
        ours.append(by_rallypoint(tmp_path / str(run), processes, each, seconds))
        plain.append(by_reflector(processes, each, seconds))
    section = f"Channels: a talker of 50 packets a second and {listeners} listeners on one machine"
    for name, unit, figure in (
        ("delivered", "%", lambda one: one.share),
        ("delivered to the worst listener", "%", lambda one: one.worst),
        ("delay, median", "ms", lambda one: one.p50_ms),
        ("delay, 95 of 100", "ms", lambda one: one.p95_ms),
        ("the server's processor time for a listener", "ms/s", lambda one: 1_000 * one.cpu_s / seconds / listeners),
    ):
        base = (REFLECTOR, [figure(one) for one in plain])
        table.add(section, name, unit, [figure(one) for one in ours], base=base)
    assert min(one.worst for one in ours) == 100.0, "a rallypoint loses nothing on the way to who keeps up"
