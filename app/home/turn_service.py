"""Runs the TURN core on sockets: the ports clients know (UDP and TCP on one, TLS on another), and one per relay.

Knows asyncio and sockets; what to answer is `turn_core`'s business.
"""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import secrets
import socket
import ssl
from collections import Counter
from collections.abc import Callable

from app.home.errors import HomeError
from app.home.sockets import CAN_FORBID_FRAGMENTS, Address, Alarm, UdpSocket, bind, cannot_listen, own_addresses
from app.home.turn_allocations import FiveTuple, Path
from app.home.turn_core import TurnServer
from app.home.turn_io import CloseRelay, OpenRelay, SendToClient, SendToPeer, TurnLimits
from app.home.turn_relaying import is_only_passed_on
from app.home.turn_streams import TurnStreams

log = logging.getLogger(__name__)

RELAY_PORTS = (49152, 65535)  # RFC 8656 section 7.2
_PORT_ATTEMPTS = 40
_BIND_ATTEMPTS = 20
_OWN_ADDRESSES_EVERY_S = 10.0


class TurnService:
    """A TURN server over UDP and TCP on `port`, and over TLS on `tls_port` where there is a certificate.

    `hosts` are numeric addresses to listen at; port 0 takes any free one. All calls on the loop that started it.
    """

    def __init__(
        self,
        hosts: tuple[str, ...],
        port: int,
        realm: str,
        key_of: Callable[[str], bytes | None],
        *,
        limits: TurnLimits | None = None,
        relay_host: str | None = None,
        allow_own_peers: bool = False,
        tls: ssl.SSLContext | None = None,
        tls_port: int = 0,
    ) -> None:
        self._hosts = hosts
        self._port = port
        self._tls = tls
        self._tls_port = tls_port
        self._relay_host = relay_host
        self._core = TurnServer(
            realm,
            key_of,
            secret=secrets.token_bytes(32),
            limits=limits,
            families={6 if ":" in host else 4 for host in hosts},
            allow_own_peers=allow_own_peers,
            dont_fragment=CAN_FORBID_FRAGMENTS,
        )
        self._relaying = self._core.relaying
        limits = limits or TurnLimits()
        self._streams = TurnStreams(
            on_message=self._received,
            on_drained=self._carry_out,
            on_closed=self._stream_closed,
            has_allocation=self._core.has_allocation,
            max_connections=limits.connections,
            max_per_source=limits.connections_per_source,
        )
        self._sockets: list[UdpSocket] = []
        self._by_host: dict[str, UdpSocket] = {}  # at most one for each address of this machine
        self._relays: dict[int, UdpSocket] = {}
        self._own: list[str] = []
        self._alarm = Alarm(self._timeout)
        self._own_timer: asyncio.TimerHandle | None = None

    @property
    def port(self) -> int:
        return self._port

    @property
    def tls_port(self) -> int | None:
        """The port for TLS, once started; None without a certificate."""
        return self._tls_port if self._tls is not None else None

    @property
    def allocations(self) -> int:
        return self._core.allocations

    def counters(self) -> Counter[str]:
        counters = Counter(self._core.counters)
        counters.update(self._streams.counters)
        for each in (*self._sockets, *self._relays.values()):
            counters.update(each.counters)
        counters["connections_now"] = len(self._streams)
        return counters

    def drop_user(self, username: str) -> None:
        self._core.drop_user(username)
        self._carry_out()

    async def start(self) -> None:
        """Listen; HomeError says in words why that is not possible, and leaves no port open."""
        self._loop = asyncio.get_running_loop()
        self._note_own_addresses()
        try:
            for sock in self._bind_pairs():
                await self._streams.listen(sock)
            if self._tls is not None:
                await self._listen_tls(self._tls)
        except HomeError:
            self.close()
            raise

    def _bind_pairs(self) -> list[socket.socket]:
        """Bind UDP and TCP of all hosts to one port; where any port will do, try until one is free for both."""
        for attempt in range(_BIND_ATTEMPTS):
            streams: list[socket.socket] = []
            port = self._port
            try:
                for host in self._hosts:
                    streams.append(bind(socket.SOCK_STREAM, host, port))
                    port = streams[-1].getsockname()[1]
                    self._sockets.append(UdpSocket.open(host, port, self._from_client, self._carry_out))
            except OSError as error:
                for sock in streams:
                    sock.close()
                for each in self._sockets:
                    each.close()
                self._sockets.clear()
                if self._port or attempt == _BIND_ATTEMPTS - 1:
                    raise cannot_listen("TURN", host, port, error) from error
            else:
                self._port = port
                return streams
        raise HomeError("No port is free for TURN.")

    async def _listen_tls(self, context: ssl.SSLContext) -> None:
        for host in self._hosts:
            try:
                sock = bind(socket.SOCK_STREAM, host, self._tls_port)
            except OSError as error:
                raise cannot_listen("TURN over TLS", host, self._tls_port, error) from error
            self._tls_port = sock.getsockname()[1]
            await self._streams.listen(sock, context)

    def close(self) -> None:
        self._alarm.cancel()
        if self._own_timer is not None:
            self._own_timer.cancel()
        self._streams.close()
        for each in (*self._sockets, *self._relays.values()):
            each.close()
        self._sockets.clear()
        self._relays.clear()

    # Packets ------------------------------------------------------------------------------------------------

    def _from_client(self, data: bytes, source: Address, local: str) -> None:
        self._received(data, (source, (local, self._port), "udp"))

    def _received(self, data: bytes, path: Path) -> None:
        """Pass on at once what is only passed on; everything else is the core's."""
        now = self._loop.time()
        if not is_only_passed_on(data):
            self._core.receive(data, FiveTuple(*path), now)
            return
        sent = self._relaying.from_client(data, path, now)
        if sent is not None:
            self._relays[sent[0]].send(sent[2], sent[1])

    def _send_to_client(self, path: FiveTuple, data: bytes) -> None:
        client, server, transport = path
        if transport == "udp":
            (self._by_host.get(server[0]) or self._socket_for(server[0])).send(data, client, server[0])
        else:
            self._streams.send(data, path)

    def _stream_closed(self, path: FiveTuple) -> None:
        self._core.path_closed(path)
        self._carry_out()

    def _carry_out(self) -> None:
        """Do what the core asks for until it asks for nothing more, then set its timer."""
        while outputs := self._core.take_outputs():
            for output in outputs:
                match output:
                    case SendToClient(path, data):
                        self._send_to_client(path, data)
                    case SendToPeer(relay_id, peer, data, dont_fragment):
                        relay = self._relays.get(relay_id)
                        if relay is not None:
                            relay.send(data, peer, dont_fragment=dont_fragment)
                    case OpenRelay():
                        self._open_relay(output)
                    case CloseRelay(relay_id):
                        relay = self._relays.pop(relay_id, None)
                        if relay is not None:
                            relay.close()
        self._streams.flush()
        self._alarm.set(self._core.next_timeout())

    def _socket_for(self, host: str) -> UdpSocket:
        """Give the socket that serves this address of ours: its own, or that of all addresses of its family."""
        wants_ipv6 = ":" in host
        exact = (each for each in self._sockets if each.address[0] == host)
        family = (each for each in self._sockets if (":" in each.address[0]) == wants_ipv6)
        chosen = self._by_host[host] = next(exact, None) or next(family)
        return chosen

    # Relays -------------------------------------------------------------------------------------------------

    def _open_relay(self, wish: OpenRelay) -> None:
        host = self._relay_host_for(wish)
        ids = (wish.relay_id,) if wish.reserve_id is None else (wish.relay_id, wish.reserve_id)
        for _ in range(_PORT_ATTEMPTS):
            port = RELAY_PORTS[0] + secrets.randbelow(RELAY_PORTS[1] - RELAY_PORTS[0] + 1)
            port -= port % 2 if wish.even_port else 0
            opened: list[UdpSocket] = []
            try:
                for offset, relay_id in enumerate(ids):
                    opened.append(self._bind_relay(host, port + offset, relay_id))
            except OSError as error:
                log.debug("relay at %s:%d: %s", host, port, error)
                for relay in opened:
                    relay.close()
                continue
            self._relays.update(zip(ids, opened, strict=True))
            for relay_id in reversed(ids):
                self._core.relay_opened(relay_id, self._relays[relay_id].address, self._loop.time())
            return
        log.warning("No relay port could be opened at %s", host)
        for relay_id in reversed(ids):
            self._core.relay_failed(relay_id, self._loop.time())

    def _bind_relay(self, host: str, port: int, relay_id: int) -> UdpSocket:
        def arrived(data: bytes, peer: Address, _local: str) -> None:
            framed = self._relaying.from_peer(relay_id, data, peer, self._loop.time())
            if framed is not None:
                self._send_to_client(*framed)

        return UdpSocket.open(host, port, arrived, self._carry_out, fragments=True)

    def _relay_host_for(self, wish: OpenRelay) -> str:
        """Give the address to relay at: the configured one, or the one the client knows this server by.

        A client on this machine may come in through loopback; nobody else could reach a relay there, so it gets an
        address of the network if the server listens on all of them.
        """
        if self._relay_host is not None and (":" in self._relay_host) == wish.ipv6:
            return self._relay_host
        known_as = wish.path.server[0]
        family_fits = (":" in known_as) == wish.ipv6
        if family_fits and (not ipaddress.ip_address(known_as).is_loopback or known_as in self._hosts):
            return known_as
        of_family = [host for host in self._own if (":" in host) == wish.ipv6 and not host.startswith("fe80:")]
        return of_family[0] if of_family else ("::1" if wish.ipv6 else "127.0.0.1")

    def _note_own_addresses(self) -> None:
        """Learn this machine's addresses, now and regularly: networks come and go."""
        self._own = own_addresses()
        named = [host for host in self._hosts if not ipaddress.ip_address(host).is_unspecified]
        self._core.set_own_addresses([*self._own, *named, *([self._relay_host] if self._relay_host else [])])
        self._own_timer = self._loop.call_later(_OWN_ADDRESSES_EVERY_S, self._note_own_addresses)

    def _timeout(self) -> None:
        self._core.handle_timeout(self._loop.time())
        self._carry_out()
