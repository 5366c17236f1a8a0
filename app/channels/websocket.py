"""The client's end of a WebSocket (RFC 6455) over TLS, as a transport of nats-py's. Impure: sockets.

Only what a nats-server needs: binary messages, pings, the end. What nats-py has itself needs aiohttp and seven more
packages; this needs none.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import os
import ssl
from collections.abc import Iterable
from urllib.parse import ParseResult

from nats.aio.transport import Transport

MOST_HEAD = 8_192
MOST_FRAME = 1 << 20
_GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # section 1.3
_CONTINUED, _TEXT, _BINARY, _CLOSE, _PING, _PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA


class WebSocketError(ConnectionError):
    """What the server says is no WebSocket, or against its rules."""


def frame(kind: int, payload: bytes, mask: bytes) -> bytes:
    """Give one whole frame of a client's (sections 5.2, 5.3); `mask` is 4 bytes drawn anew for each."""
    size = len(payload)
    if size < 126:
        head = bytes((0x80 | kind, 0x80 | size))
    elif size < 1 << 16:
        head = bytes((0x80 | kind, 0x80 | 126)) + size.to_bytes(2, "big")
    else:
        head = bytes((0x80 | kind, 0x80 | 127)) + size.to_bytes(8, "big")
    key = (mask * (size // 4 + 1))[:size]
    masked = int.from_bytes(payload, "big") ^ int.from_bytes(key, "big")
    return head + mask + masked.to_bytes(size, "big")


def accepts(key: str) -> str:
    """Give what a server answers to a client's key (section 4.2.2)."""
    return base64.b64encode(hashlib.sha1(f"{key}{_GUID}".encode(), usedforsecurity=False).digest()).decode()


class WebSocketTransport(Transport):
    """One connection. `host`: the name that the certificate must show."""

    def __init__(self, host: str) -> None:
        self._host = host
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._read = bytearray()
        self._is_over = False

    def __bool__(self) -> bool:
        return True

    async def connect(self, uri: ParseResult, buffer_size: int, connect_timeout: int) -> None:
        """Refuse: without TLS nothing is sent."""
        raise WebSocketError("a WebSocket without TLS is not used")

    async def connect_tls(
        self, uri: str | ParseResult, ssl_context: ssl.SSLContext, buffer_size: int, connect_timeout: int
    ) -> None:
        """Connect, and ask for a WebSocket. A second time does nothing: nats-py asks again once it has the greeting."""
        if self._writer is not None:
            return
        assert isinstance(uri, ParseResult)
        async with asyncio.timeout(connect_timeout):
            self._reader, self._writer = await asyncio.open_connection(
                uri.hostname, uri.port, ssl=ssl_context, server_hostname=self._host, limit=MOST_HEAD
            )
            key = base64.b64encode(os.urandom(16)).decode()
            self._writer.write(
                f"GET / HTTP/1.1\r\nHost: {uri.netloc}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
            )
            try:
                head = (await self._reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            except asyncio.LimitOverrunError as error:
                raise WebSocketError("its answer has no end") from error
        status, _, rest = head.partition("\r\n")
        fields = {
            name.strip().lower(): value.strip() for name, _, value in (one.partition(":") for one in rest.split("\r\n"))
        }
        if not status.startswith("HTTP/1.1 101") or fields.get("sec-websocket-accept") != accepts(key):
            raise WebSocketError("no WebSocket is there")

    def write(self, payload: bytes) -> None:
        """Send one message."""
        self._send(_BINARY, bytes(payload))

    def writelines(self, payload: Iterable[bytes]) -> None:
        """Send several pieces as one message."""
        self._send(_BINARY, b"".join(payload))

    def _send(self, kind: int, payload: bytes) -> None:
        assert self._writer is not None
        self._writer.write(frame(kind, payload, os.urandom(4)))

    async def drain(self) -> None:
        if self._writer is not None:
            await self._writer.drain()

    async def read(self, buffer_size: int) -> bytes:
        """Give what has come, at least a byte; b"" at the end."""
        if not self._read:
            await self._receive()
        data = bytes(self._read)
        self._read.clear()
        return data

    async def readline(self) -> bytes:
        """Give one line; less at the end."""
        while b"\n" not in self._read and await self._receive():
            pass
        end = self._read.find(b"\n") + 1 or len(self._read)
        line = bytes(self._read[:end])
        del self._read[:end]
        return line

    async def _receive(self) -> bool:
        """Take frames until there is something to read; False at the end."""
        assert self._reader is not None
        try:
            while not self._is_over:
                first, second = await self._reader.readexactly(2)
                size = second & 0x7F
                if size > 125:
                    size = int.from_bytes(await self._reader.readexactly(2 if size == 126 else 8), "big")
                if second & 0x80 or first & 0x70 or size > MOST_FRAME:
                    raise WebSocketError("it breaks the rules of a WebSocket")
                payload = await self._reader.readexactly(size)
                kind = first & 0x0F
                if kind == _PING:
                    self._send(_PONG, payload[:125])
                elif kind == _CLOSE:
                    self._is_over = True
                elif kind in (_CONTINUED, _TEXT, _BINARY) and payload:
                    self._read += payload
                    return True
        except asyncio.IncompleteReadError:
            self._is_over = True
        return False

    def at_eof(self) -> bool:
        return self._is_over and not self._read

    def close(self) -> None:
        if self._writer is not None:
            if not self._is_over and not self._writer.is_closing():
                self._send(_CLOSE, b"")
            self._is_over = True
            self._writer.close()

    async def wait_closed(self) -> None:
        if self._writer is not None:
            with contextlib.suppress(OSError):
                await self._writer.wait_closed()
