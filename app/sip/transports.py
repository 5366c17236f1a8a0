"""The sockets of a SIP endpoint: UDP and TCP listening on one port, connections out over TCP and TLS.

RFC 3261 section 18, RFC 5626 section 3.5 (keep-alive). Bounded against strangers. Everything runs on the loop that
called `start()`; one datagram socket is app/sip/datagrams.py, one connection app/sip/streams.py.
"""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import os
import socket
import ssl
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from itertools import count
from typing import Protocol, TypeVar

from app.authorities import Authorities
from app.names import is_address
from app.owned_tasks import OwnedTasks
from app.settings import HostPort
from app.sip.config import SipConfig
from app.sip.datagrams import DatagramSocket
from app.sip.errors import ParseError, SipError
from app.sip.hops import Hop
from app.sip.message import Request, Response, parse_message
from app.sip.streams import StreamConnection

log = logging.getLogger(__name__)

FIRST_PORT = 5060
PORT_ATTEMPTS = 20
CONNECT_S = 4.0
SWEEP_S = 5.0
MAX_QUEUED = 64  # messages waiting for one connection to open
MAX_OPENING = 32
MAX_SENT_TO = 256  # destinations for which we remember who sent there, for ICMP errors
ROUTE_REMEMBERED_S = 5.0
_ANY = {socket.AF_INET: "0.0.0.0", socket.AF_INET6: "::"}


_Way = tuple[str, HostPort, str]  # transport, far end, and the name for which TLS is to vouch
_T = TypeVar("_T")


class Receiver(Protocol):
    """Who gets what arrives."""

    def on_message(self, message: Request | Response, data: bytes, source: Hop) -> None:
        """A readable message; `data` as it came (a stream's: as it would be written)."""

    def on_bad(self, error: ParseError, source: Hop) -> None:
        """Something that is no SIP message."""

    def on_sent(self, data: bytes, hop: Hop) -> None:
        """A message was given to the wire."""

    def on_send_failed(self, transaction: int | None, detail: str) -> None:
        """What was sent for `transaction` did not arrive, and will not."""

    def on_connection_lost(self, hop: Hop) -> None:
        """A connection that was open is closed."""

    def may_close(self, hop: Hop) -> bool:
        """Whether an idle connection is of no more use."""


@dataclass(slots=True)
class _Opening:
    """A connection on its way; what waits for it."""

    queue: list[tuple[bytes, int | None]] = field(default_factory=list)


class Transports:
    """All sockets of one endpoint."""

    def __init__(self, config: SipConfig, receiver: Receiver, counters: Counter[str]) -> None:
        self.receiver = receiver
        self.port = 0
        self._config = config
        self._counters = counters
        self._tasks = OwnedTasks("SIP transports")
        self._datagrams: list[DatagramSocket] = []
        self._servers: list[asyncio.Server] = []
        self._connections: dict[int, StreamConnection] = {}
        self._outbound: dict[_Way, StreamConnection] = {}
        self._opening: dict[_Way, _Opening] = {}
        self._numbers = count(1)
        self._routes: dict[str, tuple[float, str]] = {}
        self._sent_to: dict[HostPort, dict[int, None]] = {}
        self._authorities = Authorities(config.ca_file)
        self._closed = False

    # Life ---------------------------------------------------------------

    async def start(self) -> None:
        """Listen; SipError with one sentence when that cannot be."""
        hosts = self._config.bind or _wildcards()
        wanted = [FIRST_PORT, 0] if self._config.sip_port is None else [self._config.sip_port]
        problem: OSError | None = None
        for port in wanted:
            for _ in range(PORT_ATTEMPTS if port == 0 else 1):
                try:
                    pairs = _bind_all(hosts, port)
                except OSError as error:
                    problem = error
                    continue
                await self._listen(pairs)
                return
        what = f"port {self._config.sip_port}" if self._config.sip_port else "any port"
        raise SipError(f"SIP cannot use {what} of this machine: {problem.strerror if problem else 'no port is free'}")

    async def _listen(self, pairs: list[tuple[socket.socket, socket.socket]]) -> None:
        loop = asyncio.get_running_loop()
        self.port = int(pairs[0][0].getsockname()[1])
        for udp, tcp in pairs:
            datagrams = DatagramSocket(udp, on_datagram=self._on_datagram, on_refused=self._on_refused)
            datagrams.open()
            self._datagrams.append(datagrams)
            self._servers.append(await loop.create_server(self._accepted, sock=tcp, backlog=32))
        self._tasks.start(self._sweep(), "sweep")

    async def close(self) -> None:
        self._closed = True
        await self._tasks.close()
        for server in self._servers:
            server.close()
        for connection in tuple(self._connections.values()):
            connection.close()
        for datagrams in self._datagrams:
            datagrams.close()
        self._datagrams.clear()
        await asyncio.sleep(0)  # lets closed connections say goodbye to the loop

    @property
    def local_addresses(self) -> tuple[HostPort, ...]:
        return tuple(datagrams.local for datagrams in self._datagrams)

    @property
    def connection_count(self) -> int:
        return len(self._connections)

    def local_toward(self, address: str) -> HostPort:
        """Our address as `address` would see it without a NAT, with the port we listen on; OSError if no route."""
        loop_time = asyncio.get_running_loop().time()
        known = self._routes.get(address)
        if known is not None and known[0] > loop_time:
            return HostPort(known[1], self.port)
        host = _route(address)
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        bound = [item.local.host for item in self._datagrams if item.family == family]
        if not bound:
            raise OSError(0, f"no {'IPv6' if family == socket.AF_INET6 else 'IPv4'} address is listened at")
        if _ANY[family] not in bound and host not in bound:
            host = bound[0]
        while len(self._routes) >= MAX_SENT_TO:
            del self._routes[next(iter(self._routes))]
        self._routes[address] = (loop_time + ROUTE_REMEMBERED_S, host)
        return HostPort(host, self.port)

    def network_changed(self, gone: Collection[str]) -> None:
        """The machine's addresses are others: routes are looked up anew, connections from a vanished one are closed.

        Whoever waits for an answer over one of those learns that it is lost, and asks again over a new one.
        """
        self._routes.clear()
        for connection in tuple(self._connections.values()):
            local = connection.hop.local if connection.hop is not None else None
            if local is not None and local.host in gone:
                log.info("Closing %s: this machine no longer has the address %s", connection.hop, local.host)
                connection.abort()

    def renew_stalled(self) -> None:
        """The network may be back: close connections that have been silent since something was sent over them."""
        for connection in tuple(self._connections.values()):
            if connection.is_stalled:
                log.info("Closing %s, which does not answer, for a new connection", connection.hop)
                connection.abort()

    # Out ----------------------------------------------------------------

    def send(self, data: bytes, hop: Hop, transaction: int | None) -> None:
        """Put `data` on the wire; failure is reported later, through the receiver."""
        if self._closed:
            return
        if hop.transport == "udp":
            if self._send_datagram(data, hop, transaction):
                self.receiver.on_sent(data, hop)
            return
        connection = self._connection_for(hop)
        if connection is not None:
            connection.note(transaction)
            if connection.write(data):
                self.receiver.on_sent(data, hop)
                return
        self._open(hop, data, transaction)

    def keep_alive(self, hop: Hop) -> None:
        """A double CRLF, which a server over TCP answers; over UDP it only keeps the NAT's hole open."""
        if hop.transport == "udp":
            self._send_datagram(b"\r\n\r\n", hop, None)
            return
        connection = self._connection_for(hop)
        if connection is not None:
            connection.write(b"\r\n\r\n")

    def _send_datagram(self, data: bytes, hop: Hop, transaction: int | None) -> bool:
        datagrams = self._socket_for(hop)
        problem = "no socket of that address family" if datagrams is None else datagrams.send(data, hop.remote)
        if problem is not None:
            self._later_failed(transaction, problem)
        elif transaction is not None:
            noted = self._sent_to.setdefault(hop.remote, {})
            noted[transaction] = None
            while len(noted) > 32:
                del noted[next(iter(noted))]
            while len(self._sent_to) > MAX_SENT_TO:
                del self._sent_to[next(iter(self._sent_to))]
        return problem is None

    def _socket_for(self, hop: Hop) -> DatagramSocket | None:
        family = socket.AF_INET6 if ":" in hop.remote.host else socket.AF_INET
        usable = [item for item in self._datagrams if item.family == family]
        local = hop.local.host if hop.local is not None else ""
        return next((item for item in usable if item.local.host == local), usable[0] if usable else None)

    def _connection_for(self, hop: Hop) -> StreamConnection | None:
        if hop.connection is not None and hop.connection in self._connections:
            return self._connections[hop.connection]
        return _along(self._outbound, _way(hop))

    def _open(self, hop: Hop, data: bytes, transaction: int | None) -> None:
        key = _way(hop)
        opening = _along(self._opening, key)
        if opening is None:
            if len(self._opening) >= MAX_OPENING:
                self._later_failed(transaction, "too many connections are being opened")
                return
            opening = self._opening[key] = _Opening()
            self._tasks.start(self._connect(hop, opening), f"connect {hop}")
        if len(opening.queue) < MAX_QUEUED:
            opening.queue.append((data, transaction))

    async def _connect(self, hop: Hop, opening: _Opening) -> None:
        loop = asyncio.get_running_loop()
        number = next(self._numbers)
        problem = ""
        try:
            tls = await self._tls_context() if hop.transport == "tls" else None
            async with asyncio.timeout(CONNECT_S):
                _, connection = await loop.create_connection(
                    lambda: StreamConnection(self, number, hop.transport, inbound=False),
                    hop.remote.host,
                    hop.remote.port,
                    ssl=tls,
                    server_hostname=(hop.server_name or hop.remote.host) if tls is not None else None,
                )
            self._outbound[_way(hop)] = connection
            for data, transaction in opening.queue:
                connection.note(transaction)
                if connection.write(data):
                    self.receiver.on_sent(data, hop)
        except TimeoutError:
            problem = f"{hop.remote} does not answer over {hop.transport.upper()}"
        except ssl.SSLCertVerificationError as error:
            problem = f"The certificate of {hop.server_name or hop.remote} is not trusted: {error.verify_message}"
        except ssl.SSLError as error:
            problem = f"No TLS with {hop.remote}: {error.reason or 'handshake failed'}"
        except OSError as error:
            why = os.strerror(error.errno) if error.errno else error.strerror or str(error)
            problem = f"{hop.remote} cannot be reached over {hop.transport.upper()}: {why}"
        finally:
            del self._opening[_way(hop)]
        if problem:
            log.info("%s", problem)
            for _, transaction in opening.queue:
                self.receiver.on_send_failed(transaction, problem)

    async def _tls_context(self) -> ssl.SSLContext:
        try:
            return await self._authorities.context()
        except OSError as error:  # ssl.SSLError too
            raise OSError(0, f"the CA file {self._config.ca_file} cannot be used ({error})") from None

    def _later_failed(self, transaction: int | None, problem: str) -> None:
        """Not at once: the caller is in the middle of something."""
        if transaction is not None:
            asyncio.get_running_loop().call_soon(self.receiver.on_send_failed, transaction, problem)

    # In -----------------------------------------------------------------

    def _on_datagram(self, data: bytes, remote: HostPort) -> None:
        if not data.strip(b"\r\n\x00"):
            self._counters["keep_alives"] += 1
            return
        try:
            source = Hop("udp", remote, self.local_toward(remote.host))
        except OSError:
            return  # no way back to it
        try:
            message = parse_message(data)
        except ParseError as error:
            self.receiver.on_bad(error, source)
            return
        self.receiver.on_message(message, data, source)

    def _on_refused(self, remote: HostPort, why: str) -> None:
        for transaction in tuple(self._sent_to.pop(remote, ())):
            self._later_failed(transaction, f"{remote} cannot be reached: {why}")

    def _accepted(self) -> StreamConnection:
        return StreamConnection(self, next(self._numbers), "tcp", inbound=True)

    def add(self, connection: StreamConnection) -> bool:
        """A connection is open; False when there are too many."""
        if connection.inbound and len(self._connections) >= self._config.max_connections:
            self._counters["connections_refused"] += 1
            return False
        self._connections[connection.number] = connection
        return not self._closed

    def remove(self, connection: StreamConnection, why: str) -> None:
        known = self._connections.pop(connection.number, None)
        for key, other in tuple(self._outbound.items()):
            if other is connection:
                del self._outbound[key]
        if known is None or self._closed or connection.hop is None:
            return
        for transaction in connection.noted:
            self._later_failed(transaction, why)
        self.receiver.on_connection_lost(connection.hop)

    async def _sweep(self) -> None:
        """Close what is stale, for ever."""
        while True:
            await asyncio.sleep(SWEEP_S)
            crowded = 2 * len(self._connections) > self._config.max_connections
            for connection in tuple(self._connections.values()):
                hop = connection.hop
                idle = connection.is_idle(self._config.idle_connection_s)
                useless = hop is None or self.receiver.may_close(hop) or (connection.inbound and crowded)
                if connection.is_stuck or (idle and useless):
                    log.debug("Closing the connection %s", hop)
                    connection.close()


def _wildcards() -> tuple[str, ...]:
    return ("0.0.0.0", "::") if socket.has_ipv6 and _has_ipv6() else ("0.0.0.0",)


def _has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


def _bind_all(hosts: tuple[str, ...], port: int) -> list[tuple[socket.socket, socket.socket]]:
    """A UDP and a TCP socket at each address, all on one port; OSError when one of them cannot be."""
    pairs: list[tuple[socket.socket, socket.socket]] = []
    try:
        for host in hosts:
            udp = _bound(host, port, socket.SOCK_DGRAM)
            port = int(udp.getsockname()[1])
            try:
                pairs.append((udp, _bound(host, port, socket.SOCK_STREAM)))
            except OSError:
                udp.close()
                raise
    except OSError:
        for pair in pairs:
            for sock in pair:
                sock.close()
        raise
    return pairs


def _bound(host: str, port: int, kind: socket.SocketKind) -> socket.socket:
    family = socket.AF_INET6 if ipaddress.ip_address(host).version == 6 else socket.AF_INET
    sock = socket.socket(family, kind)
    try:
        if kind == socket.SOCK_STREAM and hasattr(socket, "SO_REUSEADDR"):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.setblocking(False)
        sock.bind((host, port))
    except OSError:
        sock.close()
        raise
    return sock


def _route(address: str) -> str:
    """The source address the system would use toward `address`; no packet is sent for it."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        probe.connect((address, 9))
        return str(probe.getsockname()[0]).partition("%")[0]


def _way(hop: Hop) -> _Way:
    name = hop.server_name or ""
    return hop.transport, hop.remote, "" if hop.transport != "tls" or is_address(name) else name.lower()


def _along(ways: Mapping[_Way, _T], way: _Way) -> _T | None:
    """Find what goes this way. Another name has to prove itself; an address goes on over what there is, by any name."""
    found = ways.get(way)
    if found is None and not way[2]:
        found = next((each for other, each in ways.items() if other[:2] == way[:2]), None)
    return found
