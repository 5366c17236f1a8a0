"""What lies between a browser and Parley: a process with two sockets, and a bad wire each way.

It stands in the descriptions of both in place of the other, so no namespace and no rights are needed. A process of
its own keeps its time while the phones are busy. Run as `python -m tests.interop.strait WIRE`: prints its two ports,
and takes lines of JSON, each answered by one with the octets and the queue (seconds) of each way.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Collection, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from app.calls.sdp import Connection, MediaDescription, SessionDescription
from app.ice.candidates import Candidate
from tests.lab.wire import Direction, Wire

HERE = "127.0.0.1"
HEADERS_BYTES = 42  # of Ethernet, IP and UDP: what a wire counts beside a datagram
SIDES = ("browser", "parley")


class Strait:
    """The strait as a test has it; "browser" or "parley" names a side, and the way of what comes from there."""

    def __init__(self, wire: Wire) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.interop.strait", json.dumps(wire.as_dict())],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).resolve().parents[2],
        )
        self._ports: list[int] = self._answer()

    def change(self, wire: Wire) -> None:
        """Make it another wire for what comes next."""
        self._ask(wire=wire.as_dict())

    def lose(self, side: str, payload_types: Collection[int]) -> None:
        """Lose every RTP packet of these payload types that comes from a side, beside what the wire loses."""
        self._ask(lose=[side, list(payload_types)])

    def figures(self, side: str) -> tuple[int, float]:
        """How many octets came from a side so far, and for how long (seconds) what comes now waits."""
        octets, queue_s = self._ask()[SIDES.index(side)]
        return octets, queue_s

    def rewritten(self, body: bytes, side: str) -> bytes:
        """Put the strait into a side's description in place of that side."""
        description = SessionDescription.parse(body)
        port = self._ports[1 - SIDES.index(side)]
        lines = tuple(self._line(media, side, port) for media in description.media)
        return bytes(replace(description, connection=Connection(HERE), media=lines))

    def _line(self, media: MediaDescription, side: str, port: int) -> MediaDescription:
        found = [Candidate.parse(text) for text in media.all_attributes("candidate")]
        for candidate in found:
            if candidate.protocol == "udp" and ":" not in candidate.address:
                self._ask(place=[side, [candidate.address, candidate.port]])
        hidden = ("candidate", "rtcp", "remote-candidates")
        attributes = [pair for pair in media.attributes if pair[0] not in hidden]
        if found:
            attributes.append(("candidate", f"1 1 udp 2130706431 {HERE} {port} typ host"))
        port = port if media.port else 0
        return replace(media, port=port, connection=Connection(HERE), attributes=tuple(attributes))

    def close(self) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(10)
        self._process.stdout.close()

    def _ask(self, **what: object) -> list[Any]:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(what) + "\n")
        self._process.stdin.flush()
        return self._answer()

    def _answer(self) -> list[Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, "the strait has ended"
        return list(json.loads(line))


@contextlib.asynccontextmanager
async def strait(wire: Wire) -> AsyncIterator[Strait]:
    """Give a strait with this wire in each direction."""
    one = Strait(wire)
    try:
        yield one
    finally:
        one.close()


def main(parameters: str) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with contextlib.suppress(PermissionError):  # as tests/lab/wire.py does
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(10))
    wire = Wire(**json.loads(parameters))
    sockets = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in SIDES]
    for one in sockets:
        one.bind((HERE, 0))
        one.setblocking(False)
    ways = [Direction(wire, wire.seed + number) for number in range(2)]
    octets = [0, 0]
    places: list[tuple[str, int] | None] = [None, None]
    lost: list[frozenset[int]] = [frozenset(), frozenset()]
    print(json.dumps([one.getsockname()[1] for one in sockets]), flush=True)
    while True:
        due = [at for way in ways if (at := way.next_due()) is not None]
        wait_s = max(0.0, min(due) - time.monotonic()) if due else None
        ready, _, _ = select.select([*sockets, sys.stdin], [], [], wait_s)
        if sys.stdin in ready:
            line = sys.stdin.readline()
            if not line:
                return
            told = json.loads(line)
            if "wire" in told:
                changed = Wire(**told["wire"])
                for number, way in enumerate(ways):
                    way.change(changed, changed.seed + number)
            if "lose" in told:
                lost[SIDES.index(told["lose"][0])] = frozenset(told["lose"][1])
            if "place" in told:
                side = SIDES.index(told["place"][0])
                places[side] = places[side] or tuple(told["place"][1])
            now = time.monotonic()
            print(json.dumps([[octets[side], ways[side].queue_s(now)] for side in range(2)]), flush=True)
        for side in range(2):
            for data in _received(sockets[side], places, side):
                octets[side] += HEADERS_BYTES + len(data)
                if not (len(data) > 1 and data[0] >> 6 == 2 and data[1] & 0x7F in lost[side]):
                    ways[side].take(bytes(HEADERS_BYTES) + data, time.monotonic())
            place = places[1 - side]
            for frame in ways[side].give(time.monotonic()):
                if place is not None:
                    with contextlib.suppress(OSError):  # nobody is there any more
                        sockets[1 - side].sendto(frame[HEADERS_BYTES:], place)


def _received(one: socket.socket, places: list[tuple[str, int] | None], side: int) -> Iterator[bytes]:
    while True:
        try:
            data, places[side] = one.recvfrom(65_536)
        except BlockingIOError:
            return
        except OSError:
            continue  # word of an earlier datagram that nobody took
        yield data


if __name__ == "__main__":
    main(*sys.argv[1:])
