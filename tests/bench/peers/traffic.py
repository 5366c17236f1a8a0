"""What a host sends, read from the packets that leave it: the same yardstick for every phone, encrypted or not."""

from __future__ import annotations

import contextlib
import selectors
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from tests.lab.network import Host

_ALL_PROTOCOLS = 0x0003  # ETH_P_ALL
_OUTGOING = 4  # PACKET_OUTGOING of <linux/if_packet.h>
_UDP = 17
_UDP_HEADER_BYTES = 8
_ROOM_BYTES = 4 << 20


@dataclass(frozen=True, slots=True)
class Traffic:
    """What a host sent a second: pictures, and bits with all headers from IP on, of pictures and of everything."""

    pictures: float
    picture_bps: float
    bps: float


@dataclass(slots=True)
class _Source:
    """One RTP source: what it sent, and how many timestamps, which is one a picture (RFC 6184, RFC 7741)."""

    octets: int = 0
    pictures: int = 0
    timestamp: int = -1


@dataclass(slots=True)
class _Sent:
    octets: int = 0
    sources: dict[int, _Source] = field(default_factory=dict)

    def take(self, packet: bytes) -> None:
        """Count an IP packet; RTP is known by its first two bytes (RFC 7983, RFC 5761)."""
        self.octets += len(packet)
        version = packet[0] >> 4
        start = (packet[0] & 15) * 4 if version == 4 else 40
        protocol = packet[9] if version == 4 else packet[6]
        rtp = start + _UDP_HEADER_BYTES
        if protocol != _UDP or len(packet) < rtp + 12:
            return
        if not 128 <= packet[rtp] <= 191 or 192 <= packet[rtp + 1] <= 223:
            return
        source = self.sources.setdefault(int.from_bytes(packet[rtp + 8 : rtp + 12]), _Source())
        source.octets += len(packet)
        timestamp = int.from_bytes(packet[rtp + 4 : rtp + 8])
        source.pictures += timestamp != source.timestamp
        source.timestamp = timestamp

    def per_second(self, seconds: float) -> Traffic:
        """The source that sends most is taken for the picture."""
        most = max(self.sources.values(), key=lambda source: source.octets, default=_Source())
        return Traffic(most.pictures / seconds, most.octets * 8 / seconds, self.octets * 8 / seconds)


class TrafficMeter:
    """Counts what hosts send while it is open; use as a context, `traffic` is there afterwards, a host each."""

    traffic: list[Traffic]

    def __init__(self, *hosts: Host) -> None:
        self._sockets = [_listen(host) for host in hosts]
        self._sent = [_Sent() for _ in hosts]
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._began = 0.0

    def __enter__(self) -> TrafficMeter:
        self._began = time.monotonic()
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        took = time.monotonic() - self._began
        self._stopping.set()
        self._thread.join(5)
        for each in self._sockets:
            each.close()
        self.traffic = [sent.per_second(took) for sent in self._sent]

    def _run(self) -> None:
        with selectors.DefaultSelector() as selector:
            for each, sent in zip(self._sockets, self._sent, strict=True):
                selector.register(each, selectors.EVENT_READ, sent)
            while not self._stopping.wait(0.05):  # the room of a socket is enough for so long
                for key, _ in selector.select(0):
                    for packet in _packets(key.fileobj):  # type: ignore[arg-type]
                        key.data.take(packet)


def _packets(listening: socket.socket) -> Iterator[bytes]:
    """Give what has left the host since the last time."""
    with contextlib.suppress(BlockingIOError):
        while True:
            packet, (interface, _, kind, *_) = listening.recvfrom(65_536)
            if kind == _OUTGOING and interface != "lo" and packet:
                yield packet


def _listen(host: Host) -> socket.socket:
    def listen() -> socket.socket:
        host.enter()
        opened = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(_ALL_PROTOCOLS))
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _ROOM_BYTES)
        opened.setblocking(False)
        return opened

    with ThreadPoolExecutor(1) as elsewhere:  # a thread moves alone, and ends there
        return elsewhere.submit(listen).result()
