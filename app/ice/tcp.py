"""ICE over TCP, RFC 6544: a base that listens and a base that connects, each with the face of a UDP socket.

A datagram is a frame with its length before it (RFC 4571); each remote address has a connection of its own. A
connection that nobody has vouched for (its sender has passed no authenticated check) is closed after a few
seconds, so that a stranger holds nothing for long.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import socket
from collections import Counter, deque
from collections.abc import Callable
from typing import cast

from app.ice.framing import LengthFramer, frame
from app.ice.sockets import MAX_UNSENT_BYTES
from app.ice.stun import Address
from app.owned_tasks import OwnedTasks

log = logging.getLogger(__name__)

DISCARD_PORT = 9  # what an active candidate names, since nobody can connect there (RFC 6544 section 4.5)
MAX_CONNECTIONS = 24  # of one base
MAX_STRANGERS = 12  # accepted connections of which no check has been answered yet; the oldest makes room
MAX_STRANGERS_OF_ONE = 4  # the same from one address
STRANGER_S = 5.0
STRANGER_BYTES = 1500  # the longest frame a stranger may send: a check fits, a flood of memory does not
CONNECT_S = 10.0
ACCEPT_AGAIN_S = 1.0  # after this process could open no more
MAX_WAITING = 4  # datagrams kept until a connection stands: checks
_NO_MORE = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)

Arrived = Callable[[bytes, Address], None]
Lost = Callable[[Address, str], None]
Vouched = Callable[[Address], bool]


class _Connection(asyncio.Protocol):
    """One connection of a base; `accepted` is one that a stranger may have made."""

    def __init__(self, owner: TcpBase, remote: Address, *, accepted: bool) -> None:
        self.remote = remote
        self.trusted = not accepted  # we chose to connect there
        self._accepted = accepted
        self.opened_at = 0.0
        self.waiting: deque[bytes] = deque(maxlen=MAX_WAITING)
        self._owner = owner
        self._framer = LengthFramer()
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is no subclass of it
        self.opened_at = asyncio.get_running_loop().time()
        if self._accepted and not self._owner.admit(self):
            self._transport.abort()
            self._transport = None
            return
        while self.waiting:
            self.send(self.waiting.popleft())

    def data_received(self, data: bytes) -> None:
        for message in self._framer.feed(data):
            if self._transport is None:
                return  # closed by what the last one led to
            self._owner.arrived(message, self.remote)
        if not self.trusted and self._framer.awaited > STRANGER_BYTES and not self._owner.vouch(self):
            self._owner.drop(self, "it sent more than a check before any check")

    def connection_lost(self, exc: Exception | None) -> None:
        if self._transport is not None:
            self._transport = None
            self._owner.drop(self, "the other side closed the connection" if exc is None else "the connection broke")

    @property
    def stands(self) -> bool:
        return self._transport is not None

    def send(self, data: bytes) -> bool:
        """Send now, or not at all when the connection has fallen behind; before it stands, a little is kept."""
        if self._transport is None:
            self.waiting.append(data)
            return True
        if self._transport.is_closing() or self._transport.get_write_buffer_size() > MAX_UNSENT_BYTES:
            return False
        self._transport.write(frame(data))
        return True

    def close(self, *, at_once: bool = False) -> None:
        transport, self._transport = self._transport, None
        if transport is not None:
            if at_once:
                transport.abort()
            else:
                transport.close()


class TcpBase:
    """The connections of one base. `on_lost` (remote, why) is called for one that ends by itself.

    `vouched` tells whether a remote address has passed an authenticated check on this base.
    """

    def __init__(
        self, host: str, on_datagram: Arrived, on_lost: Lost, vouched: Vouched, counters: Counter[str]
    ) -> None:
        self.address: Address = (host, DISCARD_PORT)
        self._on_datagram = on_datagram
        self._on_lost = on_lost
        self._vouched = vouched
        self._counters = counters
        self._connections: dict[Address, _Connection] = {}
        self._gone: set[Address] = set()
        self._closed = False

    def arrived(self, data: bytes, source: Address) -> None:
        if data:
            self._on_datagram(data, source)

    def admit(self, connection: _Connection) -> bool:
        """Take an accepted connection in; False when there is no room. The oldest stranger makes room."""
        strangers = [one for one in self._connections.values() if not self.vouch(one)]
        alike = [one for one in strangers if one.remote[0] == connection.remote[0]]
        crowd = alike if len(alike) >= MAX_STRANGERS_OF_ONE else strangers if len(strangers) >= MAX_STRANGERS else []
        if crowd:
            self._forget(min(crowd, key=lambda one: one.opened_at))
        if self._closed or len(self._connections) >= MAX_CONNECTIONS:
            self._counters["connections beyond the limits"] += 1
            return False
        self._connections[connection.remote] = connection
        return True

    def vouch(self, connection: _Connection) -> bool:
        connection.trusted = connection.trusted or self._vouched(connection.remote)
        return connection.trusted

    def drop(self, connection: _Connection, why: str) -> None:
        """End a connection and tell it."""
        if self._connections.get(connection.remote) is connection:
            self._forget(connection)
            log.debug("connection of %s with %s: %s", self.address, connection.remote, why)
            if not self._closed:
                self._on_lost(connection.remote, why)

    def _forget(self, connection: _Connection) -> None:
        self._connections.pop(connection.remote, None)
        connection.close(at_once=True)

    def send(self, data: bytes, destination: Address) -> bool:
        """Send over the connection with that address; False when there is none."""
        connection = self._connections.get(destination)
        return connection is not None and connection.send(data)

    def close(self) -> None:
        """Close every connection; what was sent before still leaves."""
        self._closed = True
        for connection in list(self._connections.values()):
            connection.close()
        self._connections.clear()


class TcpListener(TcpBase):
    """A passive candidate's base: others connect to `address`."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        host: str,
        on_datagram: Arrived,
        on_lost: Lost,
        vouched: Vouched,
        counters: Counter[str],
    ) -> None:
        """Listen on a free port at once; OSError when that is not possible."""
        super().__init__(host, on_datagram, on_lost, vouched, counters)
        self._socket = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
        try:
            self._socket.setblocking(False)
            self._socket.bind((host, 0))
            self._socket.listen(MAX_STRANGERS)
            self.address = self._socket.getsockname()[:2]
        except OSError:
            self._socket.close()
            raise
        self._loop = loop
        self._tasks = OwnedTasks("ICE over TCP")
        self._sweep: asyncio.TimerHandle | None = None
        self._pause: asyncio.TimerHandle | None = None
        self._listen()

    def _listen(self) -> None:
        self._loop.add_reader(self._socket, self._acceptable)

    def _acceptable(self) -> None:
        try:
            accepted, source = self._socket.accept()
        except OSError as error:
            if error.errno in _NO_MORE:  # the loop would call again and again
                self._loop.remove_reader(self._socket)
                self._pause = self._loop.call_later(ACCEPT_AGAIN_S, self._listen)
            return  # or it left again
        accepted.setblocking(False)
        log.debug("%s connected to %s", source[:2], self.address)
        taking = self._tasks.start(self._take(accepted, source[:2]), "accept")
        taking.add_done_callback(lambda task: accepted.close() if task.cancelled() else None)
        if self._sweep is None:
            self._sweep = self._loop.call_later(STRANGER_S, self._drop_strangers)

    async def _take(self, accepted: socket.socket, source: Address) -> None:
        try:
            await self._loop.connect_accepted_socket(lambda: _Connection(self, source, accepted=True), accepted)
        except OSError:
            accepted.close()

    def _drop_strangers(self) -> None:
        """Close what has been nobody's for its time; look again while there are strangers."""
        self._sweep = None
        now = self._loop.time()
        strangers = [one for one in self._connections.values() if not self.vouch(one)]
        for connection in strangers:
            if now - connection.opened_at >= STRANGER_S:
                self._counters["connections of strangers"] += 1
                self._forget(connection)
        left = [one.opened_at for one in strangers if one.stands]
        if left:
            self._sweep = self._loop.call_later(max(0.0, min(left) + STRANGER_S - now), self._drop_strangers)

    def close(self) -> None:
        if self._socket.fileno() >= 0:
            self._loop.remove_reader(self._socket)
            self._socket.close()
        for timer in (self._sweep, self._pause):
            if timer is not None:
                timer.cancel()
        self._tasks.cancel()
        super().close()


class TcpConnector(TcpBase):
    """An active candidate's base: connects to whatever address is first sent to.

    A connection that was lost is not made again: its port would be another, which is another candidate.
    """

    def __init__(
        self, host: str, on_datagram: Arrived, on_lost: Lost, vouched: Vouched, counters: Counter[str]
    ) -> None:
        super().__init__(host, on_datagram, on_lost, vouched, counters)
        self._tasks = OwnedTasks("ICE over TCP")

    def send(self, data: bytes, destination: Address) -> bool:
        """Send, connecting first if need be; False when that cannot be."""
        if destination not in self._connections:
            if self._closed or destination in self._gone or len(self._connections) >= MAX_CONNECTIONS:
                return False
            self._connections[destination] = connection = _Connection(self, destination, accepted=False)
            self._tasks.start(self._connect(connection), "connect")
        return super().send(data, destination)

    async def _connect(self, connection: _Connection) -> None:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(CONNECT_S):
                await loop.create_connection(lambda: connection, *connection.remote, local_addr=(self.address[0], 0))
        except TimeoutError:
            self.drop(connection, "no TCP connection within its time")
        except OSError as error:
            self.drop(connection, f"no TCP connection: {os.strerror(error.errno or errno.ECONNREFUSED).lower()}")
        if self._connections.get(connection.remote) is not connection:
            connection.close()  # the base was closed meanwhile

    def _forget(self, connection: _Connection) -> None:
        self._gone.add(connection.remote)
        super()._forget(connection)

    def close(self) -> None:
        self._tasks.cancel()
        super().close()
