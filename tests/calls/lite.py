"""An ICE-lite peer's media port: answers checks, sends none of its own, keeps the rest (RFC 8445 section 2.5)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from app.ice.stun import Attribute, Message, MessageClass, Method, is_stun
from tests.calls.by_hand import LOOPBACK

PWD = "0123456789012345678901"


class LitePort(asyncio.DatagramProtocol):
    """Takes any check that knows `PWD`."""

    def __init__(self) -> None:
        self.checked_from: list[tuple[str, int]] = []
        self.nominated_by: tuple[str, int] | None = None
        self.received: list[bytes] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: asyncio.DatagramTransport = transport  # type: ignore[assignment]
        self.port: int = transport.get_extra_info("sockname")[1]

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        if not is_stun(data):
            self.received.append(data)
            return
        message = Message.parse(data)
        if message.method != Method.BINDING or message.message_class is not MessageClass.REQUEST:
            return
        if not message.check_integrity(PWD.encode()):
            return
        self.checked_from.append(addr)
        if message.has(Attribute.USE_CANDIDATE):
            self.nominated_by = addr
        answer = message.success().add_address(Attribute.XOR_MAPPED_ADDRESS, addr)
        self.transport.sendto(answer.encode(PWD.encode(), fingerprint=True), addr)


@asynccontextmanager
async def lite_port() -> AsyncIterator[LitePort]:
    loop = asyncio.get_running_loop()
    transport, port = await loop.create_datagram_endpoint(LitePort, local_addr=(LOOPBACK, 0))
    try:
        yield port
    finally:
        transport.close()
