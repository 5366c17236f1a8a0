"""A UDP relay of the tests that lets every datagram take its time: a server behind it answers late, or when it may."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from app.settings import HostPort

LOOPBACK = "127.0.0.1"


class _Way(asyncio.DatagramProtocol):
    """One client's own port toward the server."""

    def __init__(self, road: SlowRoad, client: tuple[str, int]) -> None:
        self._road = road
        self._client = client

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: asyncio.DatagramTransport = transport  # type: ignore[assignment]

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self._road.later(lambda: self._road.answer(data, self._client))


class SlowRoad(asyncio.DatagramProtocol):
    """Clients speak to `address`; the server sees a port of its own for each of them."""

    def __init__(self, server: HostPort, delay_s: float) -> None:
        self._server = server
        self._delay_s = delay_s
        self._ways: dict[tuple[str, int], asyncio.Task[_Way]] = {}
        self._held: list[tuple[bytes, tuple[str, int]]] | None = None  # answers that may not go yet
        self.transport: asyncio.DatagramTransport

    @property
    def address(self) -> HostPort:
        return HostPort(*self.transport.get_extra_info("sockname")[:2])

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        if addr not in self._ways:
            self._ways[addr] = asyncio.get_running_loop().create_task(self._open(addr))
        self._ways[addr].add_done_callback(lambda way: self._pass(way.result(), data))

    async def _open(self, client: tuple[str, int]) -> _Way:
        loop = asyncio.get_running_loop()
        _, way = await loop.create_datagram_endpoint(lambda: _Way(self, client), local_addr=(LOOPBACK, 0))
        return way

    def _pass(self, way: _Way, data: bytes) -> None:
        def arrive() -> None:
            if not way.transport.is_closing():
                way.transport.sendto(data, (self._server.host, self._server.port))

        self.later(arrive)

    def later(self, arrive: Callable[[], None]) -> None:
        asyncio.get_running_loop().call_later(self._delay_s / 2, arrive)

    def hold(self) -> None:
        """Let no answer through until `release`, however long a busy machine takes for what does not wait for one."""
        self._held = []

    def release(self) -> None:
        held, self._held = self._held or [], None
        for data, client in held:
            self.answer(data, client)

    def answer(self, data: bytes, client: tuple[str, int]) -> None:
        if self._held is not None:
            self._held.append((data, client))
            return
        if not self.transport.is_closing():
            self.transport.sendto(data, client)

    async def close(self) -> None:
        for way in self._ways.values():
            (await way).transport.close()
        self.transport.close()


@asynccontextmanager
async def slow_road(server: HostPort, delay_s: float) -> AsyncIterator[SlowRoad]:
    """A road on which a question and its answer take `delay_s` together."""
    loop = asyncio.get_running_loop()
    _, road = await loop.create_datagram_endpoint(lambda: SlowRoad(server, delay_s), local_addr=(LOOPBACK, 0))
    try:
        yield road
    finally:
        await road.close()
