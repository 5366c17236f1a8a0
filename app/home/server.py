"""The home server: registrar, proxy, STUN and TURN on the sockets of one asyncio loop. See docs/home.md."""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import secrets
import socket
import ssl
from collections import Counter
from collections.abc import Callable

from app.home.accounts import HomeUser, Users
from app.home.config import HomeConfig
from app.home.errors import HomeError
from app.home.names import OwnNames
from app.home.sip_core import ContactsChanged, SipCore
from app.home.sip_sockets import SipSockets
from app.home.sockets import Alarm, own_addresses
from app.home.turn_service import TurnService
from app.settings import HostPort
from app.sip.digest import ALGORITHMS
from app.sip.errors import ParseError
from app.sip.hops import Hop
from app.sip.message import Request, Response
from app.sip.timers import Timers
from app.sip.uri import SipUri

log = logging.getLogger(__name__)

HomeEvent = ContactsChanged
_OWN_ADDRESSES_EVERY_S = 10.0
_TURNS_PORT = 5349  # RFC 8656 section 6


class HomeServer:
    """Serves from `start` to `close`; all calls on the loop that started it.

    `on_event` is called on that loop; it must not block.
    """

    def __init__(self, config: HomeConfig, *, on_event: Callable[[HomeEvent], None] | None = None) -> None:
        _check(config)
        self._config = config
        self._users = Users(config.users)
        self._names = OwnNames((config.realm, *config.names, socket.gethostname()))
        self._hosts = _hosts(config)
        tls = _tls_context(config)
        self._sip = SipSockets(
            self._hosts,
            config.sip_port,
            on_message=self._received,
            on_failed=self._send_failed,
            tls=tls,
            tls_port=config.tls_port or (config.sip_port + 1 if config.sip_port else 0),
            ca_file=config.ca_file,
        )
        secret = secrets.token_bytes(32)
        self._core = SipCore(
            config.realm,
            self._users,
            self._names,
            self._sip,
            secret=secret,
            on_contacts=on_event,
            digests=config.digests,
            limits=config.sip_limits,
            timers=Timers(t1_s=config.t1_s),
        )
        self._turn = TurnService(
            self._hosts,
            config.turn_port,
            config.realm,
            self._users.turn_key,
            limits=config.turn_limits,
            relay_host=config.relay_host,
            allow_own_peers=config.allow_own_peers,
            tls=tls,
            tls_port=config.turn_tls_port or (_TURNS_PORT if config.turn_port else 0),
        )
        self._alarm = Alarm(self._timeout)
        self._refresh: asyncio.TimerHandle | None = None
        self._sending = False

    async def start(self) -> None:
        """Open all ports; HomeError says in one sentence why that is not possible, and leaves none open."""
        self._loop = asyncio.get_running_loop()
        await self._sip.start()
        try:
            await self._turn.start()
        except HomeError:
            await self._sip.close()
            raise
        self._note_own_addresses()
        log.info("home serves SIP at %s and TURN at %s", self.sip_address, self.turn_address)

    async def close(self) -> None:
        """Close every socket; calls that are up go on without this server, as far as they can."""
        if self._refresh is not None:
            self._refresh.cancel()
        self._alarm.cancel()
        self._turn.close()
        await self._sip.close()

    @property
    def realm(self) -> str:
        return self._config.realm

    @property
    def sip_address(self) -> HostPort:
        """Where phones on the network reach the registrar and proxy, over UDP and TCP."""
        return HostPort(self._public_host(), self._sip.port)

    @property
    def tls_address(self) -> HostPort | None:
        return HostPort(self._public_host(), self._sip.tls_port) if self._config.tls_cert else None

    @property
    def turn_address(self) -> HostPort:
        """Where relays are to be had, over UDP and TCP."""
        return HostPort(self._public_host(), self._turn.port)

    @property
    def turns_address(self) -> HostPort | None:
        """Where relays are to be had over TLS; None without a certificate."""
        port = self._turn.tls_port
        return HostPort(self._public_host(), port) if port is not None else None

    def counters(self) -> dict[str, int]:
        """What was served, refused and dropped so far, and what is held now; names begin with sip_ or turn_."""
        sip = self._core.all_counters() + self._sip.counters
        sip.update(transactions_now=self._core.transactions, contacts_now=len(self._core.location))
        turn = self._turn.counters()
        turn.update(allocations_now=self._turn.allocations)
        merged: Counter[str] = Counter()
        merged.update({f"sip_{name}": count for name, count in sip.items()})
        merged.update({f"turn_{name}": count for name, count in turn.items()})
        return dict(merged)

    def add_user(self, user: HomeUser) -> None:
        """Add a user, or give one a new password: what the old one opened is closed."""
        if user.name in self._users:
            self.remove_user(user.name)
        self._users.add(user)

    def remove_user(self, name: str) -> None:
        self._users.remove(name)
        self._core.drop_user(name, self._loop.time())
        self._turn.drop_user(name)
        self._flush()

    def bind_local(self, user: str, contact_uri: str) -> None:
        """Send calls for `user` to a contact of this very program, e.g. the echo, until the server closes."""
        try:
            uri = SipUri.parse(contact_uri)
        except ParseError as error:
            raise HomeError(f"The contact {contact_uri[:60]!r} is not a SIP address.") from error
        self._core.bind_local(user, uri, self._loop.time())
        self._flush()

    def contacts_of(self, user: str) -> tuple[str, ...]:
        return tuple(str(binding.uri) for binding in self._core.location.of(user, self._loop.time()))

    # Between sockets and core -------------------------------------------------------------------------------

    def _received(self, message: Request | Response | ParseError, hop: Hop) -> None:
        now = self._loop.time()
        if isinstance(message, ParseError):
            self._core.receive_bad(message, hop, now)
        else:
            self._core.receive(message, hop, now)
        self._flush()

    def _send_failed(self, transaction: int, detail: str) -> None:
        self._core.send_failed(transaction, self._loop.time(), detail)
        self._flush()

    def _timeout(self) -> None:
        self._core.handle_timeout(self._loop.time())
        self._flush()

    def _flush(self) -> None:
        for send in self._core.take_outputs():
            self._sip.send(bytes(send.message), send.hop, send.transaction)
        self._alarm.set(self._core.next_timeout())

    def _note_own_addresses(self) -> None:
        """Learn this machine's addresses, now and regularly: networks come and go."""
        ports = {self._sip.port, self._sip.tls_port} if self._config.tls_cert else {self._sip.port}
        named = [host for host in self._hosts if not ipaddress.ip_address(host).is_unspecified]
        self._names.set_addresses([*own_addresses(), *named], ports)
        self._refresh = self._loop.call_later(_OWN_ADDRESSES_EVERY_S, self._note_own_addresses)

    def _public_host(self) -> str:
        """Give the address to tell people: the first network address, loopback only where there is nothing else."""
        first = self._hosts[0]
        if not ipaddress.ip_address(first).is_unspecified:
            return first
        of_family = [host for host in own_addresses() if (":" in host) == (":" in first) and "fe80:" not in host]
        return of_family[0] if of_family else ("::1" if ":" in first else "127.0.0.1")


def _hosts(config: HomeConfig) -> tuple[str, ...]:
    """Give the addresses to bind: sockets of ours serve one family each, so "::" takes two."""
    if "::" in config.listen and "0.0.0.0" not in config.listen:
        return ("0.0.0.0", *config.listen)
    return config.listen


def _check(config: HomeConfig) -> None:
    for host in config.listen:
        try:
            ipaddress.ip_address(host)
        except ValueError:
            raise HomeError(
                f"{host[:60]!r} is not an address to listen on: give a numeric one, or 0.0.0.0 for all."
            ) from None
    if not config.listen:
        raise HomeError("The home server needs an address to listen on; 0.0.0.0 means all.")
    if not config.realm or any(not 32 < ord(char) < 127 or char in '":\\' for char in config.realm):
        raise HomeError(f"The realm {config.realm[:60]!r} cannot be used: letters, digits and dots are best.")
    if not config.digests or not set(config.digests) <= set(ALGORITHMS):
        raise HomeError(f"Digests are to be chosen from {', '.join(ALGORITHMS)}.")
    if (config.tls_cert is None) != (config.tls_key is None):
        raise HomeError("TLS needs both a certificate and its key.")


def _tls_context(config: HomeConfig) -> ssl.SSLContext | None:
    if config.tls_cert is None:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        context.load_cert_chain(config.tls_cert, config.tls_key)
    except (OSError, ssl.SSLError) as error:
        raise HomeError(
            f"The TLS certificate {config.tls_cert} or its key cannot be used: {error.strerror or error}."
        ) from error
    return context
