"""How many round trips a call needs over a wire of 100 ms, seen in the packets at both of its machines.

Picking up is the moment that counts for people: a phone that looks for its path and agrees its keys only then is
silent for some round trips after the 200. Parley does both before it rings (R5), so its first packet leaves each side
with the 200, and is heard half a round trip later.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest

from tests.bench.moments import Moments, moments
from tests.bench.peers import baresip
from tests.bench.table import Table
from tests.lab.capture import Capture
from tests.lab.network import Lab, missing
from tests.lab.parley import Outcome, Parley
from tests.lab.wire import Wire

WIRE = Wire(delay_s=0.050)
RINGS_S = 1.5
SECTION = "Setting up a call over a wire of 100 ms, in measured round trips"
_KNOCK = """
import socket, statistics, sys, time
def knock():
    began = time.perf_counter()
    with socket.socket() as door:
        assert door.connect_ex((sys.argv[1], 9)), "somebody is in"
    return time.perf_counter() - began
knock()  # the first one asks for the hardware address too
print(statistics.median(knock() for _ in range(7)))
"""
# A phone that has been open for a while, as the window is: everything is loaded when somebody is called.
_OPEN_FOR_A_WHILE = """
from app.media.loading import load
load()
from app.__main__ import main
raise SystemExit(main())
"""
WARM, COLD = ("-c", _OPEN_FOR_A_WHILE), ("-m", "app")
COMPILED = {"PYTHONDONTWRITEBYTECODE": ""}


@pytest.fixture
def lab() -> Lab:
    reason = missing()
    if reason is not None:
        pytest.skip(reason)
    return Lab(("a", "b"), wires={"a": WIRE})


def round_trip_s(lab: Lab) -> float:
    """Measure the wire by the kernel at its far end, which refuses a connection at once: the median, in seconds."""
    return float(lab["a"].run(sys.executable, "-c", _KNOCK, lab["b"].address))


def parley_call(lab: Lab, folder: Path, program: tuple[str, ...]) -> tuple[Moments, Outcome, Outcome]:
    """Hold a call between two Parleys that know each other's address."""
    media = ("--audio-from", "tone:440", "--audio-to", "null", "--video-from", "pattern", "--video-to", "null")
    a, b = lab["a"], lab["b"]
    folder.mkdir()
    with Capture(a, folder / "a.pcap") as at_a, Capture(b, folder / "b.pcap") as at_b:
        answers = ("--sip-port", "5060", "--calls", "1", "--answer-after", str(RINGS_S))
        with Parley(b, folder / "b", ["listen", *media, *answers], COMPILED) as listener:
            listener.wait_for("listening")
            target = f"sip:bob@{b.in_uri}"
            with Parley(a, folder / "a", ["call", target, *media, "--for", "1.5"], COMPILED, program) as dialler:
                called = dialler.finish()
            listened = listener.finish()
    return moments(at_a.packets(), at_b.packets(), a.address, b.address), called, listened


def heard_after_s(outcome: Outcome) -> float:
    """From this side's 200 to the first sound it decoded."""
    milestones = outcome.report["milestones"]
    return max(0.0, milestones["first_audio"] - milestones["answered"])  # it may overtake the 200


def add_first_packets(table: Table, who: str, seen: list[tuple[Moments, float]]) -> None:
    table.add(
        SECTION,
        f"{who}: 200 leaves -> callee's first RTP leaves",
        "RTT",
        [max(0.0, (at.callee_first_rtp - at.callee_200) / rtt_s) for at, rtt_s in seen],
    )
    table.add(
        SECTION,
        f"{who}: 200 arrives -> caller's first RTP leaves",
        "RTT",
        [max(0.0, (at.caller_first_rtp - at.caller_200) / rtt_s) for at, rtt_s in seen],
    )
    table.add(
        SECTION,
        f"{who}: 200 leaves -> caller's first RTP arrives",
        "RTT",
        [max(0.0, (at.caller_rtp_at_callee - at.callee_200) / rtt_s) for at, rtt_s in seen],
        note="1 is the least possible",
    )


@pytest.mark.short
def test_round_trips_of_a_call(table: Table, is_long: bool, lab: Lab, tmp_path: Path) -> None:
    seen: list[tuple[Moments, float]] = []
    ringing, heard_by_caller, heard_by_callee = [], [], []
    with lab:
        for number in range(5 if is_long else 1):
            rtt_s = round_trip_s(lab)
            at, called, listened = parley_call(lab, tmp_path / str(number), WARM)
            assert at.caller_180 is not None, "nobody rang"
            seen.append((at, rtt_s))
            ringing.append((at.caller_180 - at.caller_invite) / rtt_s)
            heard_by_caller.append(heard_after_s(called) / rtt_s)
            heard_by_callee.append(heard_after_s(listened) / rtt_s)
    table.add(SECTION, "the round trip itself", "s", [rtt_s for _, rtt_s in seen])
    table.add(SECTION, "parley: INVITE -> 180, path and keys agreed", "RTT", ringing)
    add_first_packets(table, "parley", seen)
    table.add(SECTION, "parley: 200 arrives -> caller decodes first sound", "RTT", heard_by_caller)
    table.add(SECTION, "parley: 200 leaves -> callee decodes first sound", "RTT", heard_by_callee)


def test_a_command_that_just_started(table: Table, lab: Lab, tmp_path: Path) -> None:
    """The same from a command that loads its codecs while the INVITE is on its way."""
    from_invite, from_start = [], []
    with lab:
        for number in range(3):
            rtt_s = round_trip_s(lab)
            at, called, _ = parley_call(lab, tmp_path / str(number), COLD)
            assert at.caller_180 is not None, "nobody rang"
            from_invite.append((at.caller_180 - at.caller_invite) / rtt_s)
            from_start.append(called.state_at("ringing"))
    table.add(SECTION, "parley call, just started: INVITE -> 180", "RTT", from_invite)
    table.add(SECTION, "parley call: start of the command -> 180", "s", from_start)


def test_round_trips_of_baresip(table: Table, lab: Lab, tmp_path: Path) -> None:
    if shutil.which("baresip") is None or baresip.MODULES is None:
        pytest.skip("baresip is not installed")
    seen = []
    with lab:
        for number in range(3):
            rtt_s = round_trip_s(lab)
            folder = tmp_path / str(number)
            folder.mkdir()
            a, b = lab["a"], lab["b"]
            with Capture(a, folder / "a.pcap") as at_a, Capture(b, folder / "b.pcap") as at_b:
                baresip.hold_call(a, b, folder, seconds=5.0)
            seen.append((moments(at_a.packets(), at_b.packets(), a.address, b.address), rtt_s))
    add_first_packets(table, "baresip", seen)
