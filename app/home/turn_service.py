"""Runs the TURN core on sockets: the port clients know, and one socket per allocation.

Knows asyncio and sockets; what to answer is `turn_core`'s business.
"""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import secrets
from collections import Counter
from collections.abc import Callable

from app.home.sockets import Address, Alarm, UdpSocket, cannot_listen, own_addresses
from app.home.turn_allocations import FiveTuple
from app.home.turn_core import TurnServer
from app.home.turn_io import CloseRelay, OpenRelay, SendToClient, SendToPeer, TurnLimits

log = logging.getLogger(__name__)

RELAY_PORTS = (49152, 65535)  # RFC 8656 section 7.2
_PORT_ATTEMPTS = 40
_OWN_ADDRESSES_EVERY_S = 10.0


class TurnService:
    """A TURN server on UDP. `hosts` are numeric addresses to listen at; port 0 takes any free one."""

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
    ) -> None:
        self._hosts = hosts
        self._port = port
        self._relay_host = relay_host
        self._core = TurnServer(
            realm,
            key_of,
            secret=secrets.token_bytes(32),
            limits=limits,
            families={6 if ":" in host else 4 for host in hosts},
            allow_own_peers=allow_own_peers,
        )
        self._sockets: list[UdpSocket] = []
        self._relays: dict[int, UdpSocket] = {}
        self._own: list[str] = []
        self._alarm = Alarm(self._timeout)
        self._own_timer: asyncio.TimerHandle | None = None

    @property
    def port(self) -> int:
        return self._port

    @property
    def allocations(self) -> int:
        return self._core.allocations

    def counters(self) -> Counter[str]:
        counters = Counter(self._core.counters)
        for each in (*self._sockets, *self._relays.values()):
            counters.update(each.counters)
        return counters

    def drop_user(self, username: str) -> None:
        self._core.drop_user(username)
        self._carry_out()

    def start(self) -> None:
        """Listen; HomeError says in words why that is not possible."""
        self._loop = asyncio.get_running_loop()
        self._note_own_addresses()
        for host in self._hosts:
            try:
                opened = UdpSocket.open(host, self._port, self._from_client, self._carry_out)
            except OSError as error:
                self.close()
                raise cannot_listen("TURN", host, self._port, error) from error
            self._sockets.append(opened)
            self._port = opened.address[1]

    def close(self) -> None:
        self._alarm.cancel()
        if self._own_timer is not None:
            self._own_timer.cancel()
        for each in (*self._sockets, *self._relays.values()):
            each.close()
        self._sockets.clear()
        self._relays.clear()

    def _from_client(self, data: bytes, source: Address, local: str) -> None:
        self._core.receive(data, FiveTuple(source, (local, self._port)), self._loop.time())

    def _carry_out(self) -> None:
        """Do what the core asks for until it asks for nothing more, then set its timer."""
        while outputs := self._core.take_outputs():
            for output in outputs:
                match output:
                    case SendToClient(path, data):
                        self._socket_for(path).send(data, path.client, path.server[0])
                    case SendToPeer(relay_id, peer, data):
                        relay = self._relays.get(relay_id)
                        if relay is not None:
                            relay.send(data, peer)
                    case OpenRelay():
                        self._open_relay(output)
                    case CloseRelay(relay_id):
                        relay = self._relays.pop(relay_id, None)
                        if relay is not None:
                            relay.close()
        self._alarm.set(self._core.next_timeout())

    def _socket_for(self, path: FiveTuple) -> UdpSocket:
        wants_ipv6 = ":" in path.server[0]
        exact = (each for each in self._sockets if each.address[0] == path.server[0])
        family = (each for each in self._sockets if (":" in each.address[0]) == wants_ipv6)
        return next(exact, None) or next(family)

    def _open_relay(self, wish: OpenRelay) -> None:
        host = self._relay_host_for(wish)
        relay_id = wish.relay_id

        def arrived(data: bytes, peer: Address, _local: str) -> None:
            self._core.receive_from_peer(relay_id, data, peer, self._loop.time())

        for _ in range(_PORT_ATTEMPTS):
            port = RELAY_PORTS[0] + secrets.randbelow(RELAY_PORTS[1] - RELAY_PORTS[0] + 1)
            port -= port % 2 if wish.even_port else 0
            try:
                relay = UdpSocket.open(host, port, arrived, self._carry_out)
            except OSError as error:
                log.debug("relay at %s:%d: %s", host, port, error)
                continue
            self._relays[relay_id] = relay
            self._core.relay_opened(relay_id, relay.address, self._loop.time())
            return
        log.warning("No relay port could be opened at %s", host)
        self._core.relay_failed(relay_id)

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
