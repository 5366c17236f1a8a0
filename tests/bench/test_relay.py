"""How many packets a second of the processor passes through our TURN server, beside coturn under the same load.

The load comes from one process that sends as fast as the server passes on. Both servers run one after the other, each
alone; what counts is the processor time of the server's process, since on a machine of few cores the load itself
takes as much as what is measured.
"""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from app.ice.stun import Message, MessageClass, Method
from tests.bench.programs import ENVIRONMENT, ROOT, cpu_s
from tests.bench.relay_load import RelayLoad
from tests.bench.table import Table
from tests.bench.turn_end import PASSWORD, REALM, USER
from tests.ice.conftest import free_port

SECTION = "Packets through a TURN server for each second of its processor time, 172 bytes of payload"
WAYS = [
    pytest.param({}, "channels over UDP", id="udp", marks=pytest.mark.short),
    pytest.param({"indicates": True}, "indications over UDP", id="indications"),
    pytest.param({"over_tcp": True}, "channels over TCP", id="tcp"),
]


def answers(port: int) -> bool:
    """Tell whether a Binding request over UDP is answered: a server may take connections before it does that."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.settimeout(0.1)
        probe.connect(("127.0.0.1", port))
        try:
            probe.send(Message(Method.BINDING, MessageClass.REQUEST, bytes(12)).encode())
            return bool(probe.recv(2000))
        except (TimeoutError, ConnectionRefusedError):
            return False


@contextmanager
def server(command: list[str], port: int) -> Iterator[int]:
    """Run a server until it listens; gives its process id."""
    process = subprocess.Popen(command, cwd=ROOT, env=ENVIRONMENT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        for _ in range(200):
            if answers(port):
                break
            assert process.poll() is None, f"{command[0]} did not start"
            time.sleep(0.05)
        yield process.pid
    finally:
        process.terminate()
        process.wait(10)


def coturn(folder: Path, port: int) -> list[str]:
    config = folder / "turnserver.conf"
    config.write_text(
        f"listening-ip=127.0.0.1\nrelay-ip=127.0.0.1\nlistening-port={port}\nlt-cred-mech\nuser={USER}:{PASSWORD}\n"
        f"realm={REALM}\nno-cli\nno-dtls\nno-tls\nallow-loopback-peers\nlog-file=stdout\nsimple-log\n"
        f"userdb={folder}/turndb\npidfile={folder}/turnserver.pid\nrelay-threads=1\n"
    )
    return [shutil.which("turnserver") or "turnserver", "-c", str(config)]


def measure(pid: int, port: int, how: dict[str, bool], packets: int) -> tuple[list[float], list[float], float]:
    """Give packets per second of processor time outward and inward, and the most per second of the clock."""
    load = RelayLoad(port, **how)
    try:
        load.outward(packets // 10)
        load.inward(packets // 10)
        found: list[float] = []
        best = 0.0
        for run in (load.outward, load.inward):
            before = cpu_s(pid)
            passed = run(packets)
            used = max(cpu_s(pid) - before, 0.01)
            found.append(packets / used)
            best = max(best, passed.per_second)
        return found[:1], found[1:], best
    finally:
        load.close()


@pytest.mark.skipif(shutil.which("turnserver") is None, reason="coturn is not installed")
@pytest.mark.parametrize(("how", "name"), WAYS)
def test_packets_through_the_relay(
    table: Table, is_long: bool, how: dict[str, bool], name: str, tmp_path: Path
) -> None:
    packets = 150_000 if is_long else 20_000
    ours: tuple[list[float], list[float]] = [], []
    theirs: tuple[list[float], list[float]] = [], []
    fastest = [0.0, 0.0]
    for _ in range(3 if is_long else 1):
        for at, (rates, command) in enumerate(((ours, [sys.executable, "-m", "tests.bench.turn_end"]), (theirs, None))):
            port = free_port()
            with server([*command, str(port)] if command else coturn(tmp_path, port), port) as pid:
                out, into, best = measure(pid, port, how, packets)
            rates[0].extend(out)
            rates[1].extend(into)
            fastest[at] = max(fastest[at], best)
    note = f"on the clock {fastest[0]:.0f}/s against {fastest[1]:.0f}/s"
    for way, mine, other in (("to the peer", ours[0], theirs[0]), ("to the client", ours[1], theirs[1])):
        table.add(SECTION, f"{name}, {way}", "1/s", mine, base=("coturn", other), note=note)
