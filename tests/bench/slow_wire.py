"""A wire inside this process: two UDP sockets that pass datagrams on after half a round trip, or lose them.

Each side is told the socket that faces it as the other's candidate, so that any ICE agent runs over it unchanged.
"""

from __future__ import annotations

import asyncio
import random
from typing import cast

Address = tuple[str, int]
HERE = "127.0.0.1"


class SlowWire:
    """`a_sees` and `b_sees` are the addresses to tell each side as the other's; `ends` are their own, once known."""

    def __init__(self, rtt_s: float, loss: float, seed: int) -> None:
        self._delay_s = rtt_s / 2
        self._loss = loss
        self._random = random.Random(seed)
        self._faces: list[_Face] = []
        self.ends: list[Address] = []

    async def open(self) -> None:
        loop = asyncio.get_running_loop()
        for side in (0, 1):
            _, face = await loop.create_datagram_endpoint(lambda side=side: _Face(self, side), local_addr=(HERE, 0))
            self._faces.append(face)

    @property
    def a_sees(self) -> Address:
        return self._faces[0].address

    @property
    def b_sees(self) -> Address:
        return self._faces[1].address

    def carry(self, side: int, data: bytes) -> None:
        """Take what arrived at the face of one side; it leaves at the other's."""
        if self._random.random() < self._loss:
            return
        if self._delay_s:
            asyncio.get_running_loop().call_later(self._delay_s, self._deliver, 1 - side, data)
        else:
            self._deliver(1 - side, data)

    def _deliver(self, side: int, data: bytes) -> None:
        if self.ends and not self._faces[side].transport.is_closing():
            self._faces[side].transport.sendto(data, self.ends[side])

    def close(self) -> None:
        for face in self._faces:
            face.transport.close()


class _Face(asyncio.DatagramProtocol):
    def __init__(self, wire: SlowWire, side: int) -> None:
        self._wire = wire
        self._side = side

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.DatagramTransport, transport)
        self.address: Address = transport.get_extra_info("sockname")[:2]

    def datagram_received(self, data: bytes, addr: Address) -> None:
        self._wire.carry(self._side, data)
