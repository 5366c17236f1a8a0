"""TURN over TCP and TLS: connections, their messages, and what a slow or idle one may cost. RFC 8656 section 12.5.

Knows asyncio and how messages are cut out of a stream; what they mean is the core's business.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
from collections import Counter
from collections.abc import Callable
from typing import cast

from app.home.limits import source_key
from app.home.turn_allocations import FiveTuple
from app.ice.framing import StunFramer
from app.ice.stun import StunError

log = logging.getLogger(__name__)

SWEEP_EVERY_S = 5.0
IDLE_S = 30.0  # for a connection without an allocation; one with an allocation lives as long as that is refreshed
HALF_MESSAGE_S = 15.0
MAX_UNSENT_BYTES = 1 << 18
_HANDSHAKE_S = 5.0


class TurnStreams:
    """All connections of one TURN server. `on_message` takes each whole message, `on_drained` follows each batch,
    `on_closed` tells that a path is gone, `has_allocation` whether a path is in use."""

    def __init__(
        self,
        *,
        on_message: Callable[[bytes, FiveTuple], None],
        on_drained: Callable[[], None],
        on_closed: Callable[[FiveTuple], None],
        has_allocation: Callable[[FiveTuple], bool],
        max_connections: int,
        max_per_source: int,
    ) -> None:
        self.counters: Counter[str] = Counter()
        self.on_message = on_message
        self.on_drained = on_drained
        self._on_closed = on_closed
        self._has_allocation = has_allocation
        self._max_connections = max_connections
        self._max_per_source = max_per_source
        self._listeners: list[asyncio.Server] = []
        self._connections: dict[FiveTuple, _Connection] = {}
        self._per_source: Counter[bytes] = Counter()
        self._unsent: list[_Connection] = []
        self._sweeper: asyncio.TimerHandle | None = None

    async def listen(self, sock: socket.socket, tls: ssl.SSLContext | None = None) -> None:
        """Take connections at a bound socket, over TLS where there is a context."""
        loop = asyncio.get_running_loop()
        name = "tcp" if tls is None else "tls"
        timeout = None if tls is None else _HANDSHAKE_S
        self._listeners.append(
            await loop.create_server(lambda: _Connection(self, name), sock=sock, ssl=tls, ssl_handshake_timeout=timeout)
        )
        if self._sweeper is None:
            self._sweeper = loop.call_later(SWEEP_EVERY_S, self._sweep)

    def close(self) -> None:
        if self._sweeper is not None:
            self._sweeper.cancel()
            self._sweeper = None
        for listener in self._listeners:
            listener.close()
        self._listeners.clear()
        connections, self._connections = list(self._connections.values()), {}
        for connection in connections:
            connection.abort()

    def __len__(self) -> int:
        return len(self._connections)

    def send(self, data: bytes, path: FiveTuple) -> None:
        """Send with the next `flush`; what a client does not read in time is dropped, as the network would."""
        connection = self._connections.get(path)
        if connection is None or connection.unsent_bytes + len(data) > MAX_UNSENT_BYTES:
            self.counters["stream_dropped"] += connection is not None
            return
        if not connection.waiting:
            self._unsent.append(connection)
        connection.waiting.append(data)

    def flush(self) -> None:
        """Write what has gathered: over TCP one write for all that a wake-up brought to a client."""
        unsent, self._unsent = self._unsent, []
        for connection in unsent:
            connection.flush()

    def admit(self, connection: _Connection) -> bool:
        source = source_key(connection.path.client[0])
        if len(self._connections) >= self._max_connections or self._per_source[source] >= self._max_per_source:
            self.counters["connections_refused"] += 1
            return False
        self._connections[connection.path] = connection
        self._per_source[source] += 1
        self.counters["connections"] += 1
        return True

    def dismiss(self, connection: _Connection) -> None:
        if self._connections.get(connection.path) is connection:
            del self._connections[connection.path]
            source = source_key(connection.path.client[0])
            self._per_source[source] -= 1
            if not self._per_source[source]:
                del self._per_source[source]
            self._on_closed(connection.path)

    def _sweep(self) -> None:
        """End connections that hold nothing and say nothing, or never finish what they began."""
        loop = asyncio.get_running_loop()
        now = loop.time()
        for path, connection in list(self._connections.items()):
            quiet_s = now - connection.heard_at
            unfinished = connection.framer.waiting and quiet_s > HALF_MESSAGE_S
            if unfinished or (quiet_s > IDLE_S and not self._has_allocation(path)):
                self.counters["connections_idle"] += 1
                connection.abort()
        self._sweeper = loop.call_later(SWEEP_EVERY_S, self._sweep)


class _Connection(asyncio.Protocol):
    """One TCP or TLS connection of a client."""

    def __init__(self, owner: TurnStreams, transport_name: str) -> None:
        self.framer = StunFramer()
        self.path = FiveTuple(("", 0), ("", 0), transport_name)
        self.heard_at = 0.0  # when a message was last completed
        self.waiting: list[bytes] = []
        self._owner = owner
        self._transport: asyncio.Transport | None = None
        self._loop = asyncio.get_running_loop()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        peer, local = transport.get_extra_info("peername"), transport.get_extra_info("sockname")
        if not peer or not local:  # it has closed again already
            self._transport.abort()
            return
        self.path = FiveTuple(peer[:2], local[:2], self.path.transport)
        self.heard_at = self._loop.time()
        if not self._owner.admit(self):
            self._transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self._owner.dismiss(self)

    def data_received(self, data: bytes) -> None:
        try:
            messages = self.framer.feed(data)
        except StunError as error:
            log.debug("%s: %s", self.path, error)
            self._owner.counters["malformed"] += 1
            self.abort()
            return
        if messages or not self.framer.waiting:  # dripping bytes into one message buys no time
            self.heard_at = self._loop.time()
        for message in messages:
            self._owner.on_message(message, self.path)
        self._owner.on_drained()

    @property
    def unsent_bytes(self) -> int:
        unsent = sum(len(each) for each in self.waiting) if self.waiting else 0
        return unsent + (self._transport.get_write_buffer_size() if self._transport is not None else 0)

    def flush(self) -> None:
        waiting, self.waiting = self.waiting, []
        if self._transport is None or self._transport.is_closing():
            return
        if self.path.transport == "tls":  # clients (turnutils_uclient is one) lose what follows in the same record
            for message in waiting:
                self._transport.write(message)
        else:
            self._transport.write(b"".join(waiting))

    def abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()
