"""The lab itself: its networks, its wire and its eyes do what the other tests rely on."""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.lab.capture import Capture, kind_of, relayed
from tests.lab.conftest import LabMaker, wait_until
from tests.lab.network import ROOT, SILENT_V4, Host, Lab
from tests.lab.wire import Direction, Wire

pytestmark = pytest.mark.short

# Sends twenty numbered datagrams to an echo and prints how long each took, one line each.
_ASK = """
import socket, sys, time
family = socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET
asked = socket.socket(family, socket.SOCK_DGRAM)
asked.settimeout(0.5)
for number in range(int(sys.argv[2])):
    at = time.monotonic()
    asked.sendto(b"%d" % number, (sys.argv[1], 7))
    try:
        asked.recv(100)
        print(time.monotonic() - at, flush=True)
    except TimeoutError:
        pass
"""
_ECHO = """
import socket
echo = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
echo.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
echo.bind(("::", 7))
print("ready", flush=True)
while True:
    data, source = echo.recvfrom(2000)
    echo.sendto(data, source)
"""


def start_echo(host: Host) -> subprocess.Popen[str]:
    process = host.popen(sys.executable, "-c", _ECHO, stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def ask(host: Host, address: str | None, count: int = 3) -> list[float]:
    """Give the round-trip times of the answers in seconds."""
    assert address is not None
    return [float(line) for line in host.run(sys.executable, "-c", _ASK, address, str(count)).splitlines()]


def test_hosts_reach_each_other_until_blocked(make_lab: LabMaker) -> None:
    lab = make_lab(v6=True)
    for name in "bs":
        start_echo(lab[name])
    assert len(ask(lab["a"], lab["b"].v4)) == len(ask(lab["a"], lab["b"].v6)) == 3
    lab.block("a", "b")
    assert ask(lab["a"], lab["b"].v4, 1) == ask(lab["a"], lab["b"].v6, 1) == []
    assert len(ask(lab["a"], lab["s"].v4)) == len(ask(lab["a"], lab["s"].v6)) == 3


def test_a_bad_wire_delays_both_ways(make_lab: LabMaker) -> None:
    lab = make_lab("a", "b", v6=True, wires={"a": Wire(delay_s=0.04)})
    start_echo(lab["b"])
    for address in (lab["b"].v4, lab["b"].v6):
        took_s = ask(lab["a"], address, 5)
        assert len(took_s) == 5
        assert 0.08 <= min(took_s) < 0.1


def test_whatever_leaves_a_host_is_seen_and_a_name_is_asked_for_on_the_wire(lab: Lab, tmp_path: Path) -> None:
    a = lab["a"]
    with Capture(a, tmp_path / "a.pcap") as capture:
        a.popen("getent", "ahosts", "nobody.example", stdout=subprocess.DEVNULL)
        wait_until(lambda: any(packet.destination == SILENT_V4 for packet in capture.packets()), "the question")
    asked = next(packet for packet in capture.packets() if packet.destination == SILENT_V4)
    assert (asked.protocol, asked.source, asked.destination_port) == ("udp", a.v4, 53)
    assert b"\x06nobody\x07example" in asked.payload


def test_a_wire_is_changed_under_way(make_lab: LabMaker) -> None:
    lab = make_lab("a", "b", wires={"a": Wire()})
    start_echo(lab["b"])
    assert max(ask(lab["a"], lab["b"].v4)) < 0.05
    lab.change_wire("a", Wire(delay_s=0.05))
    assert min(ask(lab["a"], lab["b"].v4)) >= 0.1
    lab.change_wire("a", Wire(loss=1.0))
    assert ask(lab["a"], lab["b"].v4, 1) == []


def test_a_killed_run_leaves_nothing_for_longer_than_to_the_next(tmp_path: Path) -> None:
    code = """
import subprocess, time
from tests.lab.network import Lab
lab = Lab(["a"]); lab.__enter__()
lab["a"].popen("sleep", "600")
print(lab.prefix, flush=True)
time.sleep(600)
"""
    killed = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert killed.stdout is not None
    prefix = killed.stdout.readline().strip()
    with Lab(["a"]):
        assert Path(f"/run/netns/{prefix}-a").exists(), "a living run's network was taken away"
        killed.send_signal(signal.SIGKILL)
        killed.wait(5)
    with Lab(["a"]) as other:
        left = {name for name in os.listdir("/run/netns") if name.startswith("parleylab-")}
        assert not {name for name in left if name.startswith(prefix)}
        mine = {name for name in left if name.startswith(other.prefix)}
        assert mine == {f"{other.prefix}-a", f"{other.prefix}-hub"}
        assert not Path(f"/etc/netns/{prefix}-a").exists()
    assert not any(name.startswith(other.prefix) for name in os.listdir("/run/netns"))


def through(wire: Wire, frames: list[tuple[float, bytes]], until: float) -> list[tuple[float, bytes]]:
    """Send frames at their times through one direction; give when each arrived."""
    way, arrived = Direction(wire, 1), []
    for at, frame in frames:
        way.take(frame, at)
    while (due := way.next_due()) is not None and due <= until:
        arrived += [(due, frame) for frame in way.give(due)]
    return arrived


def test_wire_loses_its_share() -> None:
    arrived = through(Wire(loss=0.05, queue=10_000), [(0.0, b"x")] * 10_000, 1.0)
    assert 9350 < len(arrived) < 9650


def test_wire_loses_its_share_in_bursts() -> None:
    frames = [(0.0, b"%d" % number) for number in range(20_000)]
    arrived = [int(frame) for _, frame in through(Wire(loss=0.1, burst=5, queue=20_000), frames, 1.0)]
    assert 17_600 < len(arrived) < 18_400
    gaps = [after - before - 1 for before, after in itertools.pairwise(arrived) if after - before > 1]
    assert min(gaps) == 5
    assert sum(gap % 5 for gap in gaps) == 0


def test_wire_jitters_around_its_delay_and_keeps_the_order() -> None:
    frames = [(number * 0.02, b"%d" % number) for number in range(500)]
    arrived = through(Wire(delay_s=0.05, jitter_s=0.005), frames, 100.0)
    assert [frame for _, frame in arrived] == [frame for _, frame in frames]
    delays = [at - sent for (at, _), (sent, _) in zip(arrived, frames, strict=True)]
    assert 0.045 < sum(delays) / len(delays) < 0.055
    assert max(delays) - min(delays) > 0.01


def test_wire_sends_no_faster_than_its_rate_and_drops_what_does_not_fit_the_queue() -> None:
    arrived = through(Wire(rate_bps=80_000, queue=10), [(0.0, bytes(1000))] * 50, 100.0)
    assert len(arrived) == 10
    assert [round(at, 3) for at, _ in arrived] == [round(0.1 * (number + 1), 3) for number in range(10)]


@pytest.mark.parametrize(
    ("payload", "kind"),
    [
        (b"\x00\x01\x00\x00\x21\x12\xa4\x42" + bytes(12), "stun"),
        (b"\x16\xfe\xff" + bytes(20), "dtls"),
        (b"\x40\x00\x00\x04data", "channel"),
        (b"\x80\x6f" + bytes(20), "rtp"),
        (b"\x90\x60" + bytes(1100), "rtp"),
        (b"\x81\xc8" + bytes(30), "rtcp"),
        (b"INVITE sip:bob@b SIP/2.0\r\n", "sip"),
        (b"BYE sip:bob@b SIP/2.0\r\n", "sip"),
        (b"\r\n\r\n", "sip"),
        (b"", "empty"),
        (b"\xff\xff", "other"),
    ],
)
def test_a_payload_is_told_by_its_first_bytes(payload: bytes, kind: str) -> None:
    assert kind_of(payload) == kind


def test_what_a_relay_carries_is_seen() -> None:
    media = b"\x80\x6f" + bytes(20)
    assert relayed(b"\x40\x01\x00\x16" + media) == media
    data = b"\x00\x12\x00\x08" + bytes(8) + b"\x00\x13\x00\x16" + media + bytes(2)
    header = len(data).to_bytes(2, "big") + b"\x21\x12\xa4\x42" + bytes(12)
    assert relayed(b"\x00\x16" + header + data) == media
    assert relayed(b"\x00\x01" + header + data) is None
    assert relayed(media) is None
