"""The sockets, names and clock around one IceCore, shared by the sessions of all forks of one offer.

Not pure: owns everything of asyncio that a session needs. Decides nothing.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections.abc import Callable, Sequence

from app.ice.bases import Base
from app.ice.candidates import TcpType
from app.ice.config import IceConfig
from app.ice.core import IceCore
from app.ice.events import Gathered, IceEvent
from app.ice.interfaces import LocalAddress, choose_addresses, system_addresses
from app.ice.leg import IceLeg
from app.ice.naming import Naming
from app.ice.servers import Servers
from app.ice.sockets import TurnConnection, UdpSocket
from app.ice.stun import Address
from app.ice.tcp import TcpConnector, TcpListener
from app.owned_tasks import OwnedTasks
from app.settings import IcePolicy

log = logging.getLogger(__name__)

MAX_TCP_ADDRESSES = 4  # of this machine, from which connections are made and taken
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
        self._sockets: dict[int, UdpSocket | TurnConnection | TcpListener | TcpConnector] = {}
        self._sinks: dict[int, tuple[EventSink, DataSink]] = {}
        self.arrived_at = 0.0  # when what a sink is given now came in (UdpSocket)
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = float("inf")
        self._gathered = asyncio.Event()
        self._opened = asyncio.Event()  # the sockets are there
        self._servers_settled = asyncio.Event()
        self._all_free = asyncio.Event()  # every leg has ended and no allocation is held
        self._loop: asyncio.AbstractEventLoop | None = None
        self._tasks = OwnedTasks("ICE hub")
        self._last = OwnedTasks("ICE hub")  # what goes on while the others are ended
        self.naming = Naming(config.hide_addresses, secrets.randbits, self.core.gatherer.problem)
        self._servers = Servers(
            config,
            self.core,
            self._streams,
            tasks=self._tasks,
            open_socket=lambda stream, base: self._open_socket(
                stream, base.address[0], base.preference, base.interface, candidate=False
            ),
            take=self._take_connection,
            arrived=self._receive,
            changed=self._advance,
        )

    def attach(self, leg: IceLeg, on_event: EventSink, on_datagram: DataSink) -> None:
        self._sinks[id(leg)] = on_event, on_datagram

    def adopt(self, controlling: bool, flows: Sequence[str]) -> None:
        """Make what was gathered ahead (pool.py) a call's: with its role and its flows, and from now on."""
        now = time.monotonic()
        agent = self.first_leg.agent
        agent.state.controlling = controlling
        for flow in [name for name in agent.lists if name not in flows]:
            self.core.remove_flow(self.first_leg, flow, now)
        self.core.gathering_since = now
        if self.gathered:
            self.core.gathered_at = now
        self.flush()

    # Gathering -------------------------------------------------------------------------------------------

    async def gather(self) -> None:
        """Gather; returns when nothing is worth waiting for any more. Safe to call twice, at the same time too."""
        await self.gather_hosts()
        await self._gathered.wait()

    async def gather_hosts(self) -> None:
        """Open the sockets and begin to ask all servers at once; returns as soon as there are host candidates."""
        if self._loop is None:
            self._loop = asyncio.get_running_loop()
            self.core.begin_gathering(time.monotonic())
            self._tasks.start(self._begin(self._loop), "open sockets")
        await self._opened.wait()

    async def wait_servers(self) -> None:
        """Return when every server has answered or had its time, also those that nobody waits for."""
        await self.gather()
        await self._servers_settled.wait()

    async def _begin(self, loop: asyncio.AbstractEventLoop) -> None:
        try:
            await self._open_sockets(loop)
            if self.core.legs:
                self._servers.begin()
                self.core.all_servers_asked(time.monotonic())
        except BaseException:
            for waited_for in (self._gathered, self._servers_settled):
                waited_for.set()  # nobody waits for what will not come
            raise
        finally:
            self._opened.set()
            self.flush()

    @property
    def gathered(self) -> bool:
        return self.core.gathered_at is not None

    async def _open_sockets(self, loop: asyncio.AbstractEventLoop) -> None:
        available = await loop.run_in_executor(None, system_addresses)
        if not self.core.legs:
            return  # closed meanwhile
        addresses, problems = choose_addresses(available, self._config.interfaces)
        for problem in problems:
            self.core.gatherer.problem(problem)
        if self._config.policy is not IcePolicy.RELAY:  # nobody here is asked or told that we are calling
            self.naming.speak_on([one.address for one in addresses if not one.is_tunnel])
        with_tcp = self._config.tcp and self._config.policy is IcePolicy.ALL
        for stream in self._streams:
            for preference, local in enumerate(addresses):
                try:
                    self._open_socket(stream, local.address, preference, local.interface)
                    if with_tcp and preference < MAX_TCP_ADDRESSES:
                        self._open_tcp(stream, local, preference, TcpType.ACTIVE)
                        self._open_tcp(stream, local, preference, TcpType.PASSIVE)
                except OSError as error:
                    self.core.gatherer.problem(f"The address {local.address} cannot be used: {error.strerror}.")

    def _open_socket(
        self, stream: str, host: str, preference: int, interface: str | None, *, candidate: bool = True
    ) -> int:
        """Open a UDP socket of a flow; gives the number of its base."""
        assert self._loop is not None
        number = 0

        def arrived(data: bytes, source: Address) -> bool:
            return self._receive(number, data, source, opened.arrived_at)

        def unreachable(destination: Address) -> None:
            self.core.unreachable(number, destination, time.monotonic())
            self.flush()

        opened = UdpSocket(self._loop, host, arrived, self.core.counters, unreachable)
        number = self.core.add_socket(stream, opened.address, preference, interface, candidate=candidate)
        self._sockets[number] = opened
        return number

    def _open_tcp(self, flow: str, local: LocalAddress, preference: int, tcptype: TcpType) -> None:
        """Make an address a base that connects to peers, or that they connect to."""
        assert self._loop is not None
        number = 0

        def arrived(data: bytes, source: Address) -> None:
            self._receive(number, data, source)

        def lost(remote: Address, why: str) -> None:
            self.core.connection_lost(number, remote, why, time.monotonic())
            self.flush()

        def vouched(remote: Address) -> bool:
            return self.core.vouches(number, remote)

        sinks = (arrived, lost, vouched, self.core.counters)
        opened: TcpListener | TcpConnector
        if tcptype is TcpType.PASSIVE:
            opened = TcpListener(self._loop, local.address, *sinks)
        else:
            opened = TcpConnector(local.address, *sinks)
        number = self.core.add_socket(flow, opened.address, preference, local.interface, tcptype=tcptype)
        self._sockets[number] = opened

    def _take_connection(self, stream: str, connection: TurnConnection, base: Base) -> int:
        """Make a connection to a TURN server a base of its own, beside the one it was made from."""
        number = self.core.add_socket(
            stream, connection.address, base.preference, base.interface, candidate=False, connection=True
        )
        self._sockets[number] = connection
        return number

    def _advance(self) -> None:
        """Let the core do what is due now, and put out what it says."""
        self.core.handle_timeout(time.monotonic())
        self.flush()

    # Datagrams and time ----------------------------------------------------------------------------------

    def _receive(self, number: int, data: bytes, source: Address, arrived_at: float | None = None) -> bool:
        """Take a datagram; tells whether it carried something of a leg's."""
        if self._config.tap is not None:
            self._config.tap(False, self._sockets[number].address, source, data)
        got = self.core.receive(number, data, source, time.monotonic())
        if got is None:
            self.flush()
            return False
        if self.core.routing.flow_began:
            self.core.routing.flow_began = False
            self._set_timer()
        leg, stream, payload = got
        sink = self._sinks.get(id(leg))
        if sink is not None:
            self.arrived_at = time.monotonic() if arrived_at is None else arrived_at
            _guarded(sink[1], stream, payload)
        return sink is not None

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
        while core.gatherer.retries:
            self._servers.retry(core.gatherer.retries.popleft())
        if self.gathered and core.gatherer.settled:
            self._servers_settled.set()
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
        names = self._last.start(self.naming.close(), "give names back")  # also when this is cancelled
        try:
            await self._tasks.close()
            await asyncio.shield(names)
            async with asyncio.timeout(GOODBYE_S):
                await self._all_free.wait()
        except TimeoutError:
            log.info("a TURN server did not confirm that its allocation is handed back; it will run out by itself")
        finally:
            self._free()

    def _free(self) -> None:
        for number in list(self._sockets):
            self._close_socket(number)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        for waited_for in (self._gathered, self._opened, self._servers_settled):
            waited_for.set()


def _guarded(sink: Callable[..., None], *arguments: object) -> None:
    """Call a sink of the owner's; what it raises is the owner's defect and must not stop the session."""
    try:
        sink(*arguments)
    except Exception:
        log.exception("a callback of an ICE session raised")
