"""The sockets, names and clock around one IceCore, shared by the sessions of all forks of one offer.

Not pure: owns everything of asyncio that a session needs. Decides nothing.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import socket
import ssl
import time
from collections.abc import Callable, Sequence

from app.ice.config import IceConfig
from app.ice.core import IceCore, IceLeg
from app.ice.events import Gathered, IceEvent
from app.ice.interfaces import choose_addresses, system_addresses
from app.ice.sockets import TurnConnection, UdpSocket
from app.ice.stun import Address
from app.settings import HostPort, TurnServer

log = logging.getLogger(__name__)

GOODBYE_S = 0.3  # how long closing waits for the TURN servers to confirm

EventSink = Callable[[IceEvent], None]
DataSink = Callable[[str, bytes], None]


class Hub:
    """Runs one IceCore on the current event loop."""

    def __init__(self, config: IceConfig, controlling: bool, streams: Sequence[str]) -> None:
        self.core = IceCore(config, controlling, streams, secrets.randbits)
        self.first_leg = self.core.legs[0]
        self._config = config
        self._streams = tuple(streams)
        self._sockets: dict[int, UdpSocket | TurnConnection] = {}
        self._sinks: dict[int, tuple[EventSink, DataSink]] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = float("inf")
        self._gathered = asyncio.Event()
        self._all_free = asyncio.Event()  # every leg has ended and no allocation is held
        self._loop: asyncio.AbstractEventLoop | None = None

    def attach(self, leg: IceLeg, on_event: EventSink, on_datagram: DataSink) -> None:
        self._sinks[id(leg)] = on_event, on_datagram

    # Gathering -------------------------------------------------------------------------------------------

    async def gather(self) -> None:
        """Open the sockets, ask all servers at once, and return when all have answered or had their time."""
        self._loop = asyncio.get_running_loop()
        self.core.begin_gathering(time.monotonic())
        await self._open_sockets(self._loop)
        config = self._config
        turn_udp = {one.server for one in config.turn_servers if one.transport == "udp"}
        stun = [name for name in dict.fromkeys(config.stun_servers) if name not in turn_udp]  # Allocate tells both, R1
        async with asyncio.TaskGroup() as group:
            for name in stun:
                group.create_task(self._ask_stun(name))
            for index, turn in enumerate(config.turn_servers):
                group.create_task(self._ask_turn(index, turn))
        self.core.all_servers_asked(time.monotonic())
        self.flush()
        await self._gathered.wait()

    async def _open_sockets(self, loop: asyncio.AbstractEventLoop) -> None:
        available = await loop.run_in_executor(None, system_addresses)
        if not self.core.legs:
            return  # closed meanwhile
        addresses, problems = choose_addresses(available, self._config.interfaces)
        for problem in problems:
            self.core.gatherer.problem(problem)
        for stream in self._streams:
            for preference, local in enumerate(addresses):
                try:
                    self._open_socket(loop, stream, local.address, preference, local.interface)
                except OSError as error:
                    self.core.gatherer.problem(f"The address {local.address} cannot be used: {error.strerror}.")

    def _open_socket(
        self, loop: asyncio.AbstractEventLoop, stream: str, host: str, preference: int, interface: str
    ) -> None:
        number = 0

        def arrived(data: bytes, source: Address) -> None:
            self._receive(number, data, source)

        opened = UdpSocket(loop, host, arrived, self.core.counters)
        number = self.core.add_socket(stream, opened.address, preference, interface)
        self._sockets[number] = opened

    async def _ask_stun(self, name: HostPort) -> None:
        for address in await self._resolve(name):
            self.core.ask_stun(name, address)
        self.flush()

    async def _ask_turn(self, index: int, turn: TurnServer) -> None:
        addresses = await self._resolve(turn.server)
        if turn.transport == "udp":
            for address in addresses:
                self.core.ask_turn(index, turn, address)
            self.flush()
            return
        tls: ssl.SSLContext | None = None
        if turn.transport == "tls":
            try:
                tls = await asyncio.to_thread(self._tls_context)  # reads hundreds of authorities
            except OSError as error:  # ssl.SSLError too
                self.core.gatherer.problem(
                    f"The file of authorities {self._config.ca_file} cannot be used: {error.strerror or error}."
                )
                return
        async with asyncio.TaskGroup() as group:
            for stream in self._streams:
                group.create_task(self._connect_turn(index, turn, addresses, stream, tls))

    async def _connect_turn(
        self, index: int, turn: TurnServer, addresses: list[Address], stream: str, context: ssl.SSLContext | None
    ) -> None:
        """Connect one stream to a TURN server over TCP or TLS, from the best base of a family it can be reached by."""
        places = [
            (base, address) for address in addresses if (base := self.core.best_base(stream, address)) is not None
        ]
        if not places:
            return  # not found, which is said already, or of a family this machine does not have
        base, address = places[0]
        number = 0

        def arrived(data: bytes, source: Address) -> None:
            self._receive(number, data, source)

        def lost(why: str) -> None:
            self.core.carrier_lost(number, f"The TURN server {turn.server} is lost: {why}.", time.monotonic())
            self.flush()

        try:
            tls = None if context is None else (context, turn.server.host)
            async with asyncio.timeout(self._time_left()):
                connection = await TurnConnection.open(address, base.address[0], tls, arrived, lost)
        except ssl.SSLError as error:
            reason = getattr(error, "verify_message", "") or error.reason or "no common protocol"
            self.core.gatherer.problem(
                f"The TURN server {turn.server} is not trusted: {reason}. Check its name and CA."
            )
        except (OSError, TimeoutError) as error:
            reason = getattr(error, "strerror", None) or "it does not answer"
            self.core.gatherer.problem(f"The TURN server {turn.server} cannot be reached over TCP: {reason}.")
        else:
            if not self.core.legs:
                connection.close()  # the session was closed meanwhile
                return
            number = self.core.add_socket(stream, connection.address, base.preference, base.interface, candidate=False)
            self._sockets[number] = connection
            self.core.ask_turn(index, turn, connection.server, number)
            self.flush()

    def _tls_context(self) -> ssl.SSLContext:
        context = ssl.create_default_context()
        if self._config.ca_file is not None:
            context.load_verify_locations(self._config.ca_file)
        return context

    def _time_left(self) -> float:
        """Say how long names and connections may still take: what a silent server may cost, counted from the start."""
        since = self.core.gathering_since or 0.0
        return max(0.01, since + self._config.server_timeout_s - time.monotonic())

    async def _resolve(self, name: HostPort) -> list[Address]:
        """Look up a server: its first address of each family; none and a sentence when that fails."""
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(self._time_left()):
                found = await loop.getaddrinfo(name.host, name.port, type=socket.SOCK_DGRAM)
        except (OSError, TimeoutError, UnicodeError):
            self.core.gatherer.problem(f"The server {name} was not found: check its name, and the network.")
            return []
        first: dict[int, Address] = {}
        for family, _, _, _, address in found:
            first.setdefault(family, (str(address[0]).partition("%")[0], int(address[1])))
        return list(first.values())

    # Datagrams and time ----------------------------------------------------------------------------------

    def _receive(self, number: int, data: bytes, source: Address) -> None:
        if self._config.tap is not None:
            self._config.tap(False, self._sockets[number].address, source, data)
        got = self.core.receive(number, data, source, time.monotonic())
        if got is None:
            self.flush()
            return
        leg, stream, payload = got
        sink = self._sinks.get(id(leg))
        if sink is not None:
            _guarded(sink[1], stream, payload)

    def send(self, leg: IceLeg, stream: str, data: bytes) -> bool:
        packet = self.core.send(leg, stream, data)
        if packet is None:
            return False
        return self._put_out(*packet)

    def _put_out(self, number: int, data: bytes, destination: Address) -> bool:
        opened = self._sockets.get(number)
        if opened is None:
            return False
        if self._config.tap is not None:
            self._config.tap(True, opened.address, destination, data)
        return opened.send(data, destination)

    def flush(self) -> None:
        """Put out everything the core has for the network and for the sessions, then set the timer anew."""
        core = self.core
        while core.packets:
            self._put_out(*core.packets.popleft())
        while core.unused_sockets:
            self._close_socket(core.unused_sockets.popleft())
        while core.events:
            leg, event = core.events.popleft()
            if isinstance(event, Gathered):
                self._gathered.set()
            sink = self._sinks.get(id(leg))
            if sink is not None:
                _guarded(sink[0], event)
        if not core.legs and not core.gatherer.carriers():
            self._all_free.set()
        self._set_timer()

    def _close_socket(self, number: int) -> None:
        opened = self._sockets.pop(number, None)
        if opened is not None:
            opened.close()
        self.core.gatherer.forget(number)

    def _set_timer(self) -> None:
        at = self.core.next_timeout()
        if self._timer is not None:
            if at == self._timer_at:
                return
            self._timer.cancel()
            self._timer = None
        if at is not None and self._loop is not None and self._sockets:
            self._timer_at = at
            self._timer = self._loop.call_later(max(0.0, at - time.monotonic()), self._on_timer)

    def _on_timer(self) -> None:
        self._timer = None
        self.core.handle_timeout(time.monotonic())
        self.flush()

    # The end ---------------------------------------------------------------------------------------------

    async def close(self, leg: IceLeg) -> None:
        """End one leg; with the last one give allocations back, wait briefly for that, and close the sockets."""
        self._sinks.pop(id(leg), None)
        if leg.closed:
            return
        self.core.close_leg(leg, time.monotonic())
        self.flush()
        if self.core.legs:
            return
        try:
            async with asyncio.timeout(GOODBYE_S):
                await self._all_free.wait()
        except TimeoutError:
            log.info("a TURN server did not confirm that its allocation is handed back; it will run out by itself")
        for number in list(self._sockets):
            self._close_socket(number)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._gathered.set()


def _guarded(sink: Callable[..., None], *arguments: object) -> None:
    """Call a sink of the owner's; what it raises is the owner's defect and must not stop the session."""
    try:
        sink(*arguments)
    except Exception:
        log.exception("a callback of an ICE session raised")
