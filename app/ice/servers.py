"""The names of STUN and TURN servers, the connections to them, and their proxies, for one hub.

Not pure. Every server is asked by a task of its own with its own time limit, so that none waits for another; what
they answer, and which of them is still worth waiting for, the core knows.
"""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
import time
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from functools import partial

from app.authorities import Authorities
from app.ice.awaited import AskedServer
from app.ice.bases import Base, Retry
from app.ice.certificates import distrust
from app.ice.config import IceConfig
from app.ice.core import IceCore
from app.ice.health import ServerHealth
from app.ice.proxies import ProxyError, connect_through, proxy_for, shown
from app.ice.sockets import TurnConnection
from app.ice.stun import Address
from app.ice.time_limited import fresh_credentials
from app.names import NAMES, is_address, records_cost_little
from app.owned_tasks import OwnedTasks
from app.path_events import ServerState
from app.settings import HostPort, TurnServer

NEXT_ADDRESS_S = 0.25  # between attempts to connect to one server's addresses (RFC 8305 section 5)
OTHERS_FIRST_S = 0.15  # before a library is read that takes the interpreter from those who need no SRV record
MAX_TARGETS = 4  # of one SRV name
HEALTH = ServerHealth()  # what this process knows of every server it asked
_PORTS = {"udp": 3478, "tcp": 3478, "tls": 5349}
_SERVICES = {
    ("stun", "udp"): "_stun._udp",
    ("turn", "udp"): "_turn._udp",
    ("turn", "tcp"): "_turn._tcp",
    ("turn", "tls"): "_turns._tcp",
}


@dataclass(slots=True, eq=False)
class _Link:
    """A connection to a TURN server, which is a base of the hub once that has given it a number."""

    base: Base
    connection: TurnConnection
    number: int = 0


def forget_network() -> None:
    """Forget what names are and which servers are silent: on another network both may be otherwise."""
    HEALTH.forget()
    NAMES.forget()


class Servers:
    """Asks the configured servers.

    `open_socket` opens a further UDP socket of a flow beside a base, `take` makes a connection a base of the hub; both
    give its number. `changed` is called after each step.
    """

    def __init__(
        self,
        config: IceConfig,
        core: IceCore,
        flows: Sequence[str],
        *,
        tasks: OwnedTasks,
        open_socket: Callable[[str, Base], int],
        take: Callable[[str, TurnConnection, Base], int],
        arrived: Callable[[int, bytes, Address], bool | None],
        changed: Callable[[], None],
    ) -> None:
        self._config = config
        self._core = core
        self._flows = flows
        self._tasks = tasks
        self._open_socket = open_socket
        self._take = take
        self._arrived = arrived
        self._changed = changed
        self._authorities = Authorities(config.ca_file)
        core.gatherer.health = HEALTH

    def begin(self) -> None:
        """Ask all servers at once; returns before any has answered."""
        config, gatherer = self._config, self._core.gatherer
        turn_udp = {one.server for one in config.turn_servers if one.transport == "udp"}
        for name in dict.fromkeys(config.stun_servers):
            if name not in turn_udp:  # an Allocate tells both (R1)
                asked = gatherer.server("stun", "udp", name)
                gatherer.looks_for(asked, self._flows)
                self._start(partial(self._ask_stun, name, asked), asked, "ask a STUN server")
        for index, turn in enumerate(config.turn_servers):
            asked = gatherer.server("turn", turn.transport, turn.server)
            gatherer.looks_for(asked, self._flows)
            self._start(partial(self._ask_turn, index, turn, asked), asked, "ask a TURN server")

    def retry(self, retry: Retry) -> None:
        """Allocate once more over another socket or connection."""
        again = self._ask(partial(self._retry, retry), retry.visit.asked, [retry.flow])
        self._tasks.start(again, "ask a TURN server again")

    def _start(self, ask: Callable[[], Coroutine[None, None, None]], asked: AskedServer, name: str) -> None:
        self._tasks.start(self._ask(ask, asked, self._flows), name)

    async def _ask(
        self, ask: Callable[[], Coroutine[None, None, None]], asked: AskedServer, flows: Sequence[str]
    ) -> None:
        """Ask, and however that ended let nobody wait for what will not come."""
        gatherer = self._core.gatherer
        try:
            await ask()
            if asked.state is ServerState.ASKING and not asked.requests and not gatherer.ended:
                problem = f"The server {asked.name} cannot be reached from any address of this machine."
                gatherer.refused(asked, problem, time.monotonic())
        finally:
            gatherer.looked_for(asked, flows)
            self._changed()

    # UDP -------------------------------------------------------------------------------------------------

    async def _ask_stun(self, name: HostPort, asked: AskedServer) -> None:
        for address in _one_of_each_family(await self._places(name, asked)):
            self._core.ask_stun(name, address)

    async def _ask_turn(self, index: int, turn: TurnServer, asked: AskedServer) -> None:
        if turn.transport == "udp":
            fresh, lasts_s = fresh_credentials(turn, time.time())
            for address in _one_of_each_family(await self._places(turn.server, asked)):
                self._core.ask_turn(index, fresh, address, lasts_s=lasts_s)
        else:
            await self._connect_flows(index, turn, asked)

    async def _retry(self, retry: Retry) -> None:
        gatherer, asked, turn = self._core.gatherer, retry.visit.asked, retry.visit.turn
        base = self._base_at(retry.flow, retry.host)
        if base is not None and turn.transport == "udp":
            try:
                number = self._open_socket(retry.flow, base)
            except OSError as error:
                gatherer.refused(asked, f"No further socket can be opened: {error.strerror}.", time.monotonic())
            else:
                gatherer.visit_turn(number, retry.server, retry.visit)
        elif base is not None:
            domain = retry.visit.domain or turn.server.host
            proxy = proxy_for(turn.server.host, self._config.proxy, os.environ)
            opened = await self._connect(turn, asked, retry.flow, [retry.server], domain, proxy)
            if opened is not None:
                gatherer.visit_turn(opened[0], opened[1], retry.visit)

    def _base_at(self, flow: str, host: str) -> Base | None:
        bases = [base for base in self._core.gatherer.bases.values() if base.candidate and base.stream == flow]
        return next((base for base in bases if base.address[0] == host), bases[0] if bases else None)

    # TCP and TLS -----------------------------------------------------------------------------------------

    async def _connect_flows(self, index: int, turn: TurnServer, asked: AskedServer) -> None:
        """Connect every flow to a TURN server: each has a connection, and so an allocation, of its own."""
        proxy = proxy_for(turn.server.host, self._config.proxy, os.environ)
        if proxy is None:
            places = await self._places(turn.server, asked)
        else:  # it finds the server by itself, maybe where this machine cannot look it up
            places = [(turn.server.host, turn.server.port or _PORTS[turn.transport])]

        async def connect(flow: str) -> None:
            opened = await self._connect(turn, asked, flow, places, turn.server.host, proxy)
            if opened is not None:
                fresh, lasts_s = fresh_credentials(turn, time.time())
                self._core.ask_turn(index, fresh, opened[1], opened[0], lasts_s)
                self._changed()

        async with asyncio.TaskGroup() as group:
            for flow in self._flows if places else ():
                group.create_task(connect(flow))

    async def _connect(
        self,
        turn: TurnServer,
        asked: AskedServer,
        flow: str,
        places: Sequence[Address],
        domain: str,
        proxy: str | None = None,
    ) -> tuple[int, Address] | None:
        """Connect one flow; gives the number of its base and the far end. None, and a sentence, when that fails."""
        gatherer = self._core.gatherer
        try:
            tls = (await self._authorities.context(), domain) if turn.transport == "tls" else None
        except OSError as error:  # ssl.SSLError too
            why = error.strerror or error
            problem = f"The file of authorities {self._config.ca_file} cannot be used: {why}."
            gatherer.refused(asked, problem, time.monotonic())
            return None
        silent = False
        try:
            async with asyncio.timeout(gatherer.timeout_s):
                link = await self._reach(turn, flow, places, tls, proxy)
        except ssl.SSLError as error:
            problem = f"The TURN server {turn.server} is not trusted: {distrust(error, domain)}."
        except ProxyError as error:
            problem = f"The proxy {shown(proxy or '')} does not connect to the TURN server {turn.server}: {error}."
        except (OSError, TimeoutError) as error:
            reason = getattr(error, "strerror", None) or "it does not answer"
            silent = isinstance(error, TimeoutError)
            problem = f"The TURN server {turn.server} cannot be reached over TCP: {reason}."
        else:
            if link is None or link.connection.stands:
                return None if link is None else self._take_link(flow, link)
            problem = f"The TURN server {turn.server} cannot be reached over TCP: it closed the connection."
        gatherer.refused(asked, problem, time.monotonic(), silent=silent)
        return None

    def _take_link(self, flow: str, link: _Link) -> tuple[int, Address] | None:
        gatherer = self._core.gatherer
        if gatherer.ended or link.base.number not in gatherer.bases:
            link.connection.close()  # nobody needs it any more: the session was closed meanwhile, or has its path
            return None
        link.number = self._take(flow, link.connection, link.base)
        return link.number, link.connection.server

    async def _reach(
        self,
        turn: TurnServer,
        flow: str,
        places: Sequence[Address],
        tls: tuple[ssl.SSLContext, str] | None,
        proxy: str | None,
    ) -> _Link | None:
        """Connect through the proxy, or to the first of several addresses that lets us."""
        if proxy is None:
            bases = [(place, self._core.best_base(flow, place)) for place in places]
            attempts = [self._open(turn, place, base, tls) for place, base in bases if base is not None]
            return await first_to_succeed(attempts, NEXT_ADDRESS_S) if attempts else None
        base = self._core.best_base(flow, None)
        if base is None:
            return None
        return await self._open(turn, await connect_through(proxy, *places[0]), base, tls)

    async def _open(
        self, turn: TurnServer, place: Address | socket.socket, base: Base, tls: tuple[ssl.SSLContext, str] | None
    ) -> _Link:
        link: _Link | None = None

        def lost(why: str) -> None:
            if link is not None and link.number:
                problem = f"The TURN server {turn.server} is lost: {why}."
                self._core.carrier_lost(link.number, problem, time.monotonic())
                self._changed()

        def arrived(data: bytes, source: Address) -> None:
            if link is not None and link.number:  # nothing was asked before
                self._arrived(link.number, data, source)

        link = _Link(base, await TurnConnection.open(place, base.address[0], tls, arrived, lost))
        return link

    # Names -----------------------------------------------------------------------------------------------

    async def _places(self, name: HostPort, asked: AskedServer) -> list[Address]:
        """Look a server up, by SRV where no port is named; none, and a sentence, when that fails."""
        limit_s = self._core.gatherer.timeout_s
        late = False
        try:
            async with asyncio.timeout(limit_s):
                places = await self._look_up(name, asked)
        except TimeoutError:
            late, places = True, []
        except OSError:
            places = []
        if not places:
            problem = f"The server {name} was not found: check its name, and the network."
            self._core.gatherer.refused(asked, problem, time.monotonic(), silent=late)
        return places

    async def _look_up(self, name: HostPort, asked: AskedServer) -> list[Address]:
        port = name.port or _PORTS[asked.transport]
        targets: Sequence[tuple[str, int]] = [(name.host, port)]
        if not name.port and not is_address(name.host):
            if len(self._core.gatherer.servers) > 1 and not records_cost_little():
                await asyncio.sleep(OTHERS_FIRST_S)
            service = _SERVICES[asked.kind, asked.transport]
            targets = await NAMES.services(service, name.host) or targets
        places: list[Address] = []
        failure: OSError | None = None
        for host, at in targets[:MAX_TARGETS]:
            try:
                places += [(address, at) for address in await NAMES.addresses(host)]
            except OSError as error:
                failure = error
        if not places and failure is not None:
            raise failure
        return places


async def first_to_succeed(attempts: Sequence[Coroutine[None, None, _Link]], step_s: float) -> _Link:
    """Start each attempt a little later than the one before, or when that one fails; raises the last failure."""
    waiting = deque(attempts)
    running: set[asyncio.Task[_Link]] = set()
    failure: BaseException = OSError("nothing to try")
    winner: _Link | None = None
    try:
        while winner is None and (waiting or running):
            if waiting:
                running.add(asyncio.create_task(waiting.popleft()))
            done, running = await asyncio.wait(
                running, timeout=step_s if waiting else None, return_when=asyncio.FIRST_COMPLETED
            )
            for task in done:
                failure = task.exception() or failure
                if task.exception() is None and winner is None:
                    winner = task.result()
                elif task.exception() is None:
                    task.result().connection.close()
    finally:
        for attempt in waiting:
            attempt.close()
        for task in running:
            task.cancel()
        for late in await asyncio.gather(*running, return_exceptions=True):
            if isinstance(late, _Link):
                late.connection.close()
    if winner is None:
        raise failure
    return winner


def _one_of_each_family(places: Sequence[Address]) -> list[Address]:
    first: dict[bool, Address] = {}
    for address in places:
        first.setdefault(":" in address[0], address)
    return list(first.values())
