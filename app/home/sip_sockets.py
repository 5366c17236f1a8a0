"""The SIP ports of the home server: UDP and TCP on one port, TLS beside them. RFC 3261 section 18.

Turns bytes into messages and messages into bytes; knows connections, but neither users nor transactions. Everything a
stranger opens is bounded: connections in all and from one address, the bytes a connection waits to write, and the time
an unfinished message may take.
"""

from __future__ import annotations

import asyncio
import ipaddress
import itertools
import logging
import socket
import ssl
from collections import Counter
from collections.abc import Callable, Coroutine
from typing import cast

from app.authorities import Authorities
from app.home.errors import HomeError
from app.home.limits import source_key
from app.home.sockets import Address, UdpSocket, bind, cannot_listen
from app.settings import HostPort
from app.sip.errors import ParseError
from app.sip.framing import FramingError, KeepAlive, StreamFramer
from app.sip.hops import Hop
from app.sip.message import Request, Response, parse_message

log = logging.getLogger(__name__)

MAX_CONNECTIONS = 500
MAX_CONNECTIONS_PER_SOURCE = 50
_IDLE_S = 900.0  # phones keep a connection alive every few minutes
_HALF_MESSAGE_S = 15.0
_CONNECT_S = 4.0
_KNOCK_S = 2.0  # over TCP, where nobody may answer: one lost SYN is repeated in this time
_SILENT_FOR_S = 600.0  # how long a place that swallowed an attempt is remembered
_MAX_SILENT = 1000
_MAX_UNSENT_BYTES = 1 << 20
_MAX_WAITING = 32  # messages for a connection that is still being opened
_BIND_ATTEMPTS = 20

OnMessage = Callable[[Request | Response | ParseError, Hop], None]
OnFailed = Callable[[int, str], None]


class SipSockets:
    """All SIP sockets of one server. `on_failed` names the transaction whose message could not be sent.

    `ca_file`: authorities (PEM) that other servers' certificates may be of, beside the system's.
    """

    def __init__(
        self,
        hosts: tuple[str, ...],
        port: int,
        *,
        on_message: OnMessage,
        on_failed: OnFailed,
        tls: ssl.SSLContext | None = None,
        tls_port: int = 0,
        ca_file: str | None = None,
    ) -> None:
        self.counters: Counter[str] = Counter()
        self.port = port
        self.tls_port = tls_port
        self._hosts = hosts
        self._tls = tls
        self._ca_file = ca_file
        self._authorities = Authorities(ca_file)
        self._on_message = on_message
        self._on_failed = on_failed
        self._udp: list[UdpSocket] = []
        self._listeners: list[asyncio.Server] = []
        self._connections: dict[int, Connection] = {}
        self._per_source: Counter[bytes] = Counter()
        self._waiting: dict[tuple[str, HostPort], list[tuple[bytes, int | None]]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._numbers = itertools.count(1)
        self._silent: dict[HostPort, float] = {}  # until when

    async def start(self) -> None:
        """Listen on UDP and TCP, and on TLS where there is a certificate; HomeError says why that fails."""
        self._loop = asyncio.get_running_loop()
        streams = self._bind_pairs()
        for sock in streams:
            self._listeners.append(await self._loop.create_server(lambda: Connection(self, "tcp"), sock=sock))
        if self._tls is not None:
            for host in self._hosts:
                try:
                    sock = bind(socket.SOCK_STREAM, host, self.tls_port)
                except OSError as error:
                    await self.close()
                    raise cannot_listen("TLS", host, self.tls_port, error) from error
                self.tls_port = sock.getsockname()[1]
                self._listeners.append(
                    await self._loop.create_server(
                        lambda: Connection(self, "tls"), sock=sock, ssl=self._tls, ssl_handshake_timeout=_CONNECT_S
                    )
                )

    async def close(self) -> None:
        for listener in self._listeners:
            listener.close()
        for each in self._udp:
            each.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for connection in list(self._connections.values()):
            connection.abort()
        self._listeners.clear()
        self._udp.clear()

    # What the core asks -----------------------------------------------------------------------------------

    def local_for(self, transport: str, host: str) -> HostPort:
        """Give this server's address and port as seen from `host`."""
        port = self.tls_port if transport == "tls" else self.port
        is_ipv6 = ":" in host
        own = next((each for each in self._hosts if (":" in each) == is_ipv6), None)
        if own is not None and not ipaddress.ip_address(own).is_unspecified:
            return HostPort(own, port)
        return HostPort(route_source(host), port)

    def is_silent(self, remote: HostPort) -> bool:
        """Say whether an attempt to connect there was swallowed a short while ago."""
        return self._loop.time() < self._silent.get(remote, 0.0)

    def is_open(self, connection: int) -> bool:
        return connection in self._connections

    def send(self, data: bytes, hop: Hop, transaction: int | None) -> None:
        """Send now, or as soon as a connection stands; failures are reported, later, not raised."""
        if hop.transport == "udp":
            if not self._send_udp(data, hop):
                self._fail(transaction, "the network refused it")
            return
        connection = self._connection_to(hop)
        if connection is not None:
            connection.send(data)
            return
        key = (hop.transport, hop.remote)
        waiting = self._waiting.get(key)
        if waiting is not None:
            if len(waiting) < _MAX_WAITING:
                waiting.append((data, transaction))
            else:
                self._fail(transaction, "too much waits for this connection")
        elif len(self._connections) >= MAX_CONNECTIONS:
            self._fail(transaction, "too many connections")
        else:
            self._waiting[key] = [(data, transaction)]
            self._own(self._connect(hop))

    def _send_udp(self, data: bytes, hop: Hop) -> bool:
        host = hop.remote.host
        is_ipv6 = ":" in host
        local = hop.local.host if hop.local is not None else None
        fitting = [each for each in self._udp if (":" in each.address[0]) == is_ipv6]
        exact = [each for each in fitting if each.address[0] == local]
        chosen = (exact or fitting)[:1]
        return bool(chosen) and chosen[0].send(data, (host, hop.remote.port), local)

    def _fail(self, transaction: int | None, detail: str) -> None:
        """Report later: the core is in the middle of handing out what to send."""
        self.counters["send_failed"] += 1
        if transaction is not None:
            self._loop.call_soon(self._on_failed, transaction, detail)

    # Connections ------------------------------------------------------------------------------------------

    def _connection_to(self, hop: Hop) -> Connection | None:
        if hop.connection is not None and hop.connection in self._connections:
            return self._connections[hop.connection]
        for connection in self._connections.values():
            if connection.transport_name == hop.transport and connection.remote == hop.remote:
                return connection
        return None

    async def _connect(self, hop: Hop) -> None:
        key = (hop.transport, hop.remote)
        try:
            async with asyncio.timeout(_KNOCK_S if hop.transport == "tcp" else _CONNECT_S):
                context = await self._trusted() if hop.transport == "tls" else None
                _, connection = await self._loop.create_connection(
                    lambda: Connection(self, hop.transport, outgoing=True),
                    hop.remote.host,
                    hop.remote.port,
                    ssl=context,
                    server_hostname=hop.server_name or (hop.remote.host if context else None),
                )
        except (OSError, TimeoutError) as error:
            log.debug("cannot connect to %s: %s", hop, error)
            if isinstance(error, TimeoutError):
                self._note_silence(hop.remote)
            for _, transaction in self._waiting.pop(key, ()):
                self._fail(transaction, "it does not take connections")
        else:
            for data, _ in self._waiting.pop(key, ()):
                connection.send(data)
        finally:
            self._waiting.pop(key, None)

    async def _trusted(self) -> ssl.SSLContext:
        try:
            return await self._authorities.context()
        except OSError as error:  # ssl.SSLError too
            log.warning("The CA file %s cannot be used: %s", self._ca_file, error)
            raise

    def _note_silence(self, remote: HostPort) -> None:
        self._silent.pop(remote, None)
        if len(self._silent) >= _MAX_SILENT:
            del self._silent[next(iter(self._silent))]  # the oldest
        self._silent[remote] = self._loop.time() + _SILENT_FOR_S

    def _own(self, coroutine: Coroutine[None, None, None]) -> None:
        task = self._loop.create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._task_done)

    def _task_done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("a connection attempt failed unexpectedly", exc_info=error)

    def admit(self, connection: Connection) -> bool:
        """Take a new connection into the books, or refuse it."""
        source = source_key(connection.remote.host)
        full = len(self._connections) >= MAX_CONNECTIONS or self._per_source[source] >= MAX_CONNECTIONS_PER_SOURCE
        if full and not connection.outgoing:
            self.counters["connections_refused"] += 1
            return False
        connection.number = next(self._numbers) & 0xFFFFFFFF
        self._connections[connection.number] = connection
        self._per_source[source] += 1
        self.counters["connections"] += 1
        return True

    def dismiss(self, connection: Connection) -> None:
        if self._connections.pop(connection.number, None) is not None:
            source = source_key(connection.remote.host)
            self._per_source[source] -= 1
            if not self._per_source[source]:
                del self._per_source[source]

    def deliver(self, message: Request | Response | ParseError, hop: Hop) -> None:
        self.counters["messages"] += 1
        self._on_message(message, hop)

    # UDP --------------------------------------------------------------------------------------------------

    def _from_udp(self, data: bytes, source: Address, local: str) -> None:
        if not data.strip(b"\r\n\0"):
            return  # a keep-alive; answering would only help to reflect
        hop = Hop("udp", HostPort(*source), HostPort(local, self.port))
        try:
            self.deliver(parse_message(data), hop)
        except ParseError as error:
            self.deliver(error, hop)

    def _bind_pairs(self) -> list[socket.socket]:
        """Bind UDP and TCP of all hosts to one port; where any port will do, try until one is free for both."""
        for attempt in range(_BIND_ATTEMPTS):
            streams: list[socket.socket] = []
            port = self.port
            try:
                for host in self._hosts:
                    streams.append(bind(socket.SOCK_STREAM, host, port))
                    port = streams[-1].getsockname()[1]
                    self._udp.append(UdpSocket.open(host, port, self._from_udp))
            except OSError as error:
                for sock in streams:
                    sock.close()
                for each in self._udp:
                    each.close()
                self._udp.clear()
                if self.port or attempt == _BIND_ATTEMPTS - 1:
                    raise cannot_listen("SIP", host, port, error) from error
            else:
                self.port = port
                return streams
        raise HomeError("No port is free for SIP.")


class Connection(asyncio.Protocol):
    """One TCP or TLS connection."""

    def __init__(self, owner: SipSockets, transport_name: str, *, outgoing: bool = False) -> None:
        self.number = 0
        self.transport_name = transport_name
        self.outgoing = outgoing
        self.remote = HostPort("", 0)
        self._owner = owner
        self._framer = StreamFramer()
        self._transport: asyncio.Transport | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._heard_at = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        peer = transport.get_extra_info("peername")
        local = transport.get_extra_info("sockname")
        if not peer or not local:  # it has closed again already
            self._transport.abort()
            return
        self.remote = HostPort(*peer[:2])
        if not self._owner.admit(self):
            self._transport.abort()
            return
        port = self._owner.tls_port if self.transport_name == "tls" else self._owner.port
        self._hop = Hop(self.transport_name, self.remote, HostPort(local[0], port), connection=self.number)
        self._heard_at = asyncio.get_running_loop().time()
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        self._owner.dismiss(self)
        if self._timer is not None:
            self._timer.cancel()

    def data_received(self, data: bytes) -> None:
        was_waiting = self._framer.waiting
        for frame in self._framer.feed(data):
            if isinstance(frame, KeepAlive):
                if frame is KeepAlive.PING:
                    self.send(b"\r\n")
            elif isinstance(frame, FramingError):
                self._owner.deliver(frame.error, self._hop)
                if frame.fatal and self._transport is not None:
                    self._transport.close()
                    return
            else:
                self._owner.deliver(frame, self._hop)
            was_waiting = False
        if not (was_waiting and self._framer.waiting):  # dripping bytes into one message buys no time
            self._heard_at = asyncio.get_running_loop().time()
            self._watch()

    def send(self, data: bytes) -> None:
        if self._transport is None or self._transport.is_closing():
            return
        self._transport.write(data)
        if self._transport.get_write_buffer_size() > _MAX_UNSENT_BYTES:
            self._owner.counters["connections_stuck"] += 1
            self._transport.abort()

    def abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def _watch(self) -> None:
        """Close a connection that says nothing for long, or does not finish what it began."""
        if self._timer is not None:
            self._timer.cancel()
        wait_s = _HALF_MESSAGE_S if self._framer.waiting else _IDLE_S
        self._timer = asyncio.get_running_loop().call_at(self._heard_at + wait_s, self.abort)


def route_source(host: str) -> str:
    """Give the address from which this machine would send to `host`; loopback when there is no route."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((host, 9))  # sends nothing: it only asks the routing table
        except OSError:
            return "::1" if ":" in host else "127.0.0.1"
        return str(probe.getsockname()[0])
