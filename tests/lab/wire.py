"""A bad wire between two interfaces: frames are forwarded by a program that delays, loses and queues them.

Run as `python -m tests.lab.wire NEAR FAR JSON` inside the namespace that holds both interfaces; prints `ready` when
it forwards. A further line of JSON on its stdin makes it another wire under way, which it says by another `ready`;
when stdin ends it does too. Both interfaces, and what is at their other ends, must have checksum and segmentation
offload off.
"""

from __future__ import annotations

import contextlib
import dataclasses
import heapq
import json
import os
import random
import select
import signal
import socket
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

ETH_P_ALL = 0x0003
SOL_PACKET, PACKET_ADD_MEMBERSHIP, PACKET_MR_PROMISC = 263, 1, 1
MAX_FRAME = 65536


@dataclass(frozen=True, slots=True)
class Wire:
    """What is wrong with a wire, in each direction.

    delay_s: how long a frame travels; jitter_s: the standard deviation of that (frames keep their order);
    loss: share of frames that are lost, 0 to 1; burst: how many frames in a row each loss takes; rate_bps: bits per
    second, 0 is unlimited; queue: frames that may wait for the rate or travel at one time, more are lost; seed: of the
    dice, so that a run can be repeated.
    """

    delay_s: float = 0.0
    jitter_s: float = 0.0
    loss: float = 0.0
    burst: int = 1
    rate_bps: int = 0
    queue: int = 1000
    seed: int = 1

    def as_dict(self) -> dict[str, float | int]:
        return dataclasses.asdict(self)

    @property
    def loss_begins(self) -> float:
        """How likely a frame that is not in a burst begins one, so that the share of lost frames is `loss`."""
        return self.loss / (self.burst * (1 - self.loss) + self.loss)


class Direction:
    """One direction of a wire on a virtual clock: takes frames, and gives each back when it is due."""

    def __init__(self, wire: Wire, seed: int) -> None:
        self.change(wire, seed)
        self._travelling: list[tuple[float, int, bytes]] = []
        self._count = 0
        self._free_at = 0.0  # when the sender's last bit has left
        self._last_due = 0.0

    def change(self, wire: Wire, seed: int) -> None:
        """Treat the next frames otherwise; those that are under way stay as they are."""
        self._wire = wire
        self._dice = random.Random(seed)
        self._still_lost = 0  # of a burst that has begun

    def take(self, frame: bytes, now: float) -> None:
        """Accept a frame at a time, or lose it."""
        wire = self._wire
        if self._still_lost == 0 and self._dice.random() < wire.loss_begins:
            self._still_lost = wire.burst
        if self._still_lost:
            self._still_lost -= 1
            return
        if len(self._travelling) >= wire.queue:
            return
        left_at = now
        if wire.rate_bps:
            self._free_at = max(self._free_at, now) + len(frame) * 8 / wire.rate_bps
            left_at = self._free_at
        travel_s = max(0.0, self._dice.gauss(wire.delay_s, wire.jitter_s)) if wire.jitter_s else wire.delay_s
        self._last_due = max(self._last_due, left_at + travel_s)
        self._count += 1
        heapq.heappush(self._travelling, (self._last_due, self._count, frame))

    def queue_s(self, now: float) -> float:
        """How long a frame that comes now waits for those before it."""
        return max(0.0, self._free_at - now)

    def next_due(self) -> float | None:
        return self._travelling[0][0] if self._travelling else None

    def give(self, now: float) -> list[bytes]:
        """Hand out the frames that have arrived."""
        arrived = []
        while self._travelling and self._travelling[0][0] <= now:
            arrived.append(heapq.heappop(self._travelling)[2])
        return arrived


def open_interface(name: str) -> socket.socket:
    """Open an interface for whole frames of everybody."""
    opened = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
    opened.bind((name, 0))
    everybody = socket.if_nametoindex(name).to_bytes(4, sys.byteorder) + PACKET_MR_PROMISC.to_bytes(2, sys.byteorder)
    opened.setsockopt(SOL_PACKET, PACKET_ADD_MEMBERSHIP, everybody + bytes(10))
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
    opened.setblocking(False)
    return opened


def received(interface: socket.socket) -> list[bytes]:
    """Give the frames that wait at an interface, without those that this program sent there itself."""
    frames = []
    while True:
        try:
            frame, source = interface.recvfrom(MAX_FRAME)
        except BlockingIOError:
            return frames
        if source[2] != socket.PACKET_OUTGOING:
            frames.append(frame)


def forward(near: socket.socket, far: socket.socket, wire: Wire, clock: Callable[[], float]) -> None:
    """Forward until stdin ends."""
    ways = ((near, far, Direction(wire, wire.seed)), (far, near, Direction(wire, wire.seed + 1)))
    while True:
        due = [at for _, _, way in ways if (at := way.next_due()) is not None]
        ready, _, _ = select.select([near, far, sys.stdin], [], [], max(0.0, min(due) - clock()) if due else None)
        if sys.stdin in ready:
            line = sys.stdin.readline()
            if not line:
                return
            changed = Wire(**json.loads(line))
            for number, (_, _, way) in enumerate(ways):
                way.change(changed, changed.seed + number)
            print("ready", flush=True)
        for source, sink, way in ways:
            now = clock()
            for frame in received(source):
                way.take(frame, now)
            for frame in way.give(clock()):
                send(sink, frame)


def send(interface: socket.socket, frame: bytes) -> None:
    """Send a frame; a full or vanished interface loses it, as a wire does."""
    try:
        interface.send(frame)
    except OSError as error:
        print(f"lost {len(frame)} bytes: {error}", file=sys.stderr)


def main(near: str, far: str, parameters: str) -> None:
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(0))
    with contextlib.suppress(PermissionError):  # a wire keeps its time, whatever else the machine does
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(10))
    interfaces = open_interface(near), open_interface(far)
    print("ready", flush=True)
    forward(*interfaces, Wire(**json.loads(parameters)), time.monotonic)


if __name__ == "__main__":
    main(*sys.argv[1:])
