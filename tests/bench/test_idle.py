"""What a path costs that carries nothing, with a hundred pairs known; and what dead servers cost before a call."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace

import aioice
import aioice.ice
import pytest

from app.home.accounts import HomeUser, Users
from app.home.turn_service import TurnService
from app.ice import servers
from app.ice.candidates import Candidate
from app.ice.config import IceConfig
from app.ice.session import IceSession
from app.settings import HostPort, TurnServer
from tests.bench.table import Table
from tests.ice.conftest import free_port

IDLE = "Processor time of a path that carries nothing, 100 pairs known to each of its two ends"
GATHERING = "Gathering, one host address"
HERE = "127.0.0.1"
FLOWS = ("0", "1", "2", "3")
DEAD = 24  # candidates of each flow that lead nowhere, beside the one that does


@pytest.fixture(autouse=True)
def one_address(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let aioice use loopback, which it leaves out otherwise."""
    monkeypatch.setattr(aioice.ice, "get_host_addresses", lambda use_ipv4, use_ipv6: [HERE])


@asynccontextmanager
async def ours() -> AsyncIterator[None]:
    config = IceConfig(interfaces=(HERE,), tcp=False)
    a, b = (IceSession(config, controlling, FLOWS, on_event=lambda event: None) for controlling in (True, False))
    try:
        await asyncio.gather(a.gather(), b.gather())
        for session, other in ((a, b), (b, a)):
            for flow in FLOWS:
                told = other.local(flow)
                live = told.candidates[0]
                dead = (_dead(live, port) for port in range(1, DEAD + 1))
                session.set_remote(flow, replace(told, candidates=(live, *dead)))
            session.start_checks()
        await asyncio.gather(a.wait_connected(), b.wait_connected())
        assert min(len(session.snapshot().pairs) for session in (a, b)) == len(FLOWS) * (DEAD + 1)
        yield
    finally:
        await asyncio.gather(a.close(), b.close())


def _dead(live: Candidate, port: int) -> Candidate:
    return replace(live, foundation=f"dead{port}", address="192.0.2.1", port=port, priority=live.priority - port)


@asynccontextmanager
async def theirs() -> AsyncIterator[None]:
    pairs = [(aioice.Connection(ice_controlling=True), aioice.Connection(ice_controlling=False)) for _ in FLOWS]
    ends = [end for pair in pairs for end in pair]
    try:
        await asyncio.gather(*(end.gather_candidates() for end in ends))
        for a, b in pairs:
            for end, other in ((a, b), (b, a)):
                end.remote_username, end.remote_password = other.local_username, other.local_password
                live = other.local_candidates[0]
                await end.add_remote_candidate(live)
                for port in range(1, DEAD + 1):
                    await end.add_remote_candidate(
                        aioice.Candidate(f"dead{port}", 1, "udp", live.priority - port, "192.0.2.1", port, "host")
                    )
                await end.add_remote_candidate(None)
        await asyncio.gather(*(end.connect() for end in ends))
        yield
    finally:
        await asyncio.gather(*(end.close() for end in ends))


@asynccontextmanager
async def nothing() -> AsyncIterator[None]:
    yield


async def used(path: Callable[[], AbstractAsyncContextManager[None]], seconds: float, times: int) -> list[float]:
    """Give the milliseconds of processor time that a second of silence costs, once the path has settled."""
    samples = []
    async with path():
        await asyncio.sleep(seconds / 2)
        for _ in range(times):
            before = time.process_time()
            await asyncio.sleep(seconds)
            samples.append((time.process_time() - before) * 1000 / seconds)
    return samples


@pytest.mark.short
@pytest.mark.timeout(300)
async def test_an_idle_path(table: Table, is_long: bool) -> None:
    seconds, times = (10.0, 4) if is_long else (2.0, 1)
    loop, mine, other = [await used(each, seconds, times) for each in (nothing, ours, theirs)]
    note = f"a bare loop: {min(loop):.2g} ms/s"
    table.add(IDLE, "four flows, both ends", "ms/s", mine, base=("aioice", other), note=note)


async def _seconds(prepare: Callable[[], Awaitable[Callable[[], Awaitable[None]]]], runs: int) -> list[float]:
    took = []
    for _ in range(runs):
        servers.HEALTH.forget()  # as in the first call of a run: nobody is known to be silent
        begun = time.perf_counter()
        close = await prepare()
        took.append((time.perf_counter() - begun) * 1000)
        await close()
    return took


@pytest.mark.short
@pytest.mark.timeout(120)
async def test_gathering_beside_dead_servers(table: Table, is_long: bool) -> None:
    runs = 5 if is_long else 1
    users = Users([HomeUser.from_password("ada", "bench", "secret")])
    service = TurnService((HERE,), 0, "bench", users.turn_key, allow_own_peers=True)
    await service.start()
    silent = [HostPort(HERE, free_port()) for _ in range(3)]
    listeners = [
        (await asyncio.get_running_loop().create_datagram_endpoint(asyncio.DatagramProtocol, local_addr=tuple(each)))[0]
        for each in ((one.host, one.port) for one in silent)
    ]  # ports that take packets and never answer; a closed one would tell that it is

    async def gather(config: IceConfig) -> Callable[[], Awaitable[None]]:
        session = IceSession(config, True, ["0"], on_event=lambda event: None)
        await session.gather()
        return session.close

    async def gather_theirs() -> Callable[[], Awaitable[None]]:
        connection = aioice.Connection(ice_controlling=True, stun_server=(silent[0].host, silent[0].port))
        await connection.gather_candidates()
        return connection.close

    home = HostPort(HERE, service.port)
    live, dead = (TurnServer(each, username="ada", password="secret") for each in (home, silent[2]))
    alive = IceConfig(interfaces=(HERE,), stun_servers=(home,), turn_servers=(live,))
    beside = replace(alive, stun_servers=(*silent[:2], home), turn_servers=(dead, live))
    try:
        alone = await _seconds(lambda: gather(alive), runs)
        with_dead = await _seconds(lambda: gather(beside), runs)
        table.add(
            GATHERING,
            "a STUN and a TURN server, and three dead ones beside",
            "ms",
            with_dead,
            base=("them alone", alone),
        )
        if is_long:
            only_dead = replace(alive, stun_servers=(silent[0],), turn_servers=())
            mine = await _seconds(lambda: gather(only_dead), 1)
            other = await _seconds(gather_theirs, 1)
            table.add(GATHERING, "a dead STUN server and no other", "ms", mine, base=("aioice", other))
    finally:
        for listener in listeners:
            listener.close()
        service.close()
