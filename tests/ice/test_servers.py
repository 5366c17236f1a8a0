"""Real servers beside dead ones: what gathering waits for, and what the snapshot says of each."""

from __future__ import annotations

import asyncio
import socket
import statistics
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing, suppress
from dataclasses import replace

import pytest

from app import names
from app.events import CandidateType
from app.ice import proxies, servers
from app.ice.config import IceConfig
from app.ice.events import CandidateGathered, IceEvent
from app.ice.session import IceSession
from app.ice.stun import Message, MessageClass, Method
from app.path_events import ServerState
from app.settings import HostPort, IcePolicy, TurnServer
from tests.ice.conftest import Coturn, free_port

LOOPBACK = IceConfig(interfaces=("127.0.0.1",))
SLOW_NAME = "hangs.example"
ROUNDS = 5


@pytest.fixture(autouse=True)
def forgetful(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No server is remembered as silent from another test; a name that hangs hangs here too."""
    goes_on = threading.Event()

    def system(host: str) -> tuple[str, ...]:
        if host == SLOW_NAME:
            goes_on.wait(20)
        return ("127.0.0.1",)

    servers.HEALTH.forget()
    known = names.Names(system=system)
    for module in (servers, proxies):
        monkeypatch.setattr(module, "NAMES", known)
    yield
    goes_on.set()


@asynccontextmanager
async def gathered(config: IceConfig, flows: tuple[str, ...] = ("0", "1")) -> AsyncIterator[IceSession]:
    session = IceSession(config, True, flows, on_event=lambda event: None)
    try:
        await session.gather()
        yield session
    finally:
        await session.close()


async def seconds_to_gather(config: IceConfig) -> float:
    servers.HEALTH.forget()
    begun = time.monotonic()
    async with gathered(config):
        return time.monotonic() - begun


@pytest.fixture
def dead() -> Iterator[tuple[HostPort, HostPort]]:
    """A UDP port where everything vanishes, and a TCP port that takes connections and says nothing."""
    with (
        closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as hole,
        closing(socket.socket(socket.AF_INET, socket.SOCK_STREAM)) as mute,
    ):
        hole.bind(("127.0.0.1", 0))
        mute.bind(("127.0.0.1", 0))
        mute.listen(50)
        yield HostPort(*hole.getsockname()), HostPort(*mute.getsockname())


async def test_dead_servers_beside_live_ones_delay_nothing(coturn: Coturn, dead: tuple[HostPort, HostPort]) -> None:
    hole, mute = dead
    live = replace(LOOPBACK, stun_servers=(coturn.address,), turn_servers=(coturn.turn(),))
    slow = HostPort(SLOW_NAME, 3478)
    beside = replace(
        live,
        stun_servers=(hole, slow, coturn.address),
        turn_servers=(
            TurnServer(hole, "udp", "u", "p"),
            TurnServer(slow, "udp", "u", "p"),
            TurnServer(mute, "tcp", "u", "p"),
            TurnServer(mute, "tls", "u", "p"),
            coturn.turn(),
        ),
    )
    alone, with_dead = [], []
    for _ in range(ROUNDS):
        alone.append(await seconds_to_gather(live))
        with_dead.append(await seconds_to_gather(beside))
    added = statistics.median(with_dead) - statistics.median(alone)
    assert added < live.server_timeout_s / 10, (alone, with_dead)


async def test_what_the_dead_ones_are_is_known_in_the_end(coturn: Coturn, dead: tuple[HostPort, HostPort]) -> None:
    hole, mute = dead
    config = replace(
        LOOPBACK,
        stun_servers=(hole, HostPort(SLOW_NAME, 3478)),
        turn_servers=(TurnServer(mute, "tls", "u", "p"), coturn.turn()),
        server_timeout_s=0.4,
    )
    async with gathered(config) as session:
        early = {server.name: server.state for server in session.snapshot().servers}
        assert early[str(coturn.address)] is ServerState.ANSWERED
        assert early[str(hole)] is ServerState.ASKING
        await session.wait_servers()
        found = {server.name: server for server in session.snapshot().servers}
        for name in (str(hole), f"{SLOW_NAME}:3478", str(mute)):
            assert found[name].state is ServerState.SILENT
            assert (found[name].problem or "").endswith(".")
            assert found[name].problem in session.snapshot().problems
        alive = found[str(coturn.address)]
        assert (alive.kind, alive.transport, alive.problem) == ("turn", "udp", None)
        assert (alive.mapped or "").startswith("127.0.0.1:")
        assert (alive.relayed or "").startswith("127.0.0.1:")
        assert 0 < (alive.rtt_s or 0) < 0.4
        assert "no NAT" in (session.snapshot().nat or "")


async def test_a_server_that_was_silent_is_not_waited_for_again(dead: tuple[HostPort, HostPort]) -> None:
    config = replace(LOOPBACK, stun_servers=(dead[0],), server_timeout_s=0.5)
    took = []
    for _ in range(2):
        begun = time.monotonic()
        async with gathered(config):
            took.append(time.monotonic() - begun)
    assert took[0] > 0.4
    assert took[1] < took[0] / 3


async def test_with_relays_only_a_silent_server_is_waited_for_each_time(
    dead: tuple[HostPort, HostPort], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.ice.core.RELAY_ONLY_TIMEOUT_S", 0.3)
    turn = TurnServer(dead[0], "udp", "u", "p")
    config = replace(LOOPBACK, turn_servers=(turn,), server_timeout_s=0.3, policy=IcePolicy.RELAY)
    for _ in range(2):
        begun = time.monotonic()
        async with gathered(config):
            assert time.monotonic() - begun > 0.25


async def test_a_server_that_answers_late_still_gives_its_candidate(coturn: Coturn) -> None:
    """It was not waited for, being known to be silent; its relay comes all the same."""
    config = replace(LOOPBACK, turn_servers=(coturn.turn(),))
    asked_from = "127.0.0.1"
    servers.HEALTH.silent(("turn", "udp", str(coturn.address), asked_from), time.monotonic())
    told: asyncio.Queue[IceEvent] = asyncio.Queue()
    session = IceSession(config, True, ["0"], on_event=told.put_nowait)
    try:
        await session.gather()
        assert {candidate.type for candidate in session.local("0").candidates} == {CandidateType.HOST}
        async with asyncio.timeout(5):
            while True:
                event = await told.get()
                if isinstance(event, CandidateGathered) and event.candidate.type is CandidateType.RELAY:
                    break
        assert not servers.HEALTH.is_silent(("turn", "udp", str(coturn.address), asked_from), time.monotonic())
    finally:
        await session.close()


@pytest.mark.parametrize("transport", ["tcp", "tls"])
async def test_the_first_address_that_lets_us_connect_is_taken(
    coturn: Coturn, transport: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Names often have an address that leads nowhere; here nothing listens at the first one."""
    monkeypatch.setattr(servers, "NAMES", names.Names(system=lambda host: ("127.0.0.3", "127.0.0.1")))
    place = coturn.tls if transport == "tls" else replace(coturn.address, host="localhost")
    turn = TurnServer(place, transport, "alice", "secret")
    config = replace(LOOPBACK, turn_servers=(turn,), ca_file=str(coturn.ca_file))
    async with gathered(config, ("0",)) as session:
        assert CandidateType.RELAY in [candidate.type for candidate in session.local("0").candidates]


async def test_a_name_without_port_is_looked_up_by_service(coturn: Coturn, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    async def services(service: str, host: str) -> tuple[tuple[str, int], ...]:
        asked.append((service, host))
        return (("gone.example.org", free_port()), ("turn.example.org", coturn.address.port))

    def system(host: str) -> tuple[str, ...]:
        if host.startswith("gone"):
            raise OSError("unknown")
        return ("127.0.0.1",)

    known = names.Names(system=system)
    monkeypatch.setattr(known, "services", services)
    monkeypatch.setattr(servers, "NAMES", known)
    turn = TurnServer(HostPort("example.org", 0), "udp", "alice", "secret")
    config = replace(LOOPBACK, stun_servers=(HostPort("stun.example.org", 0),), turn_servers=(turn,))
    async with gathered(config, ("0",)) as session:
        assert CandidateType.RELAY in [candidate.type for candidate in session.local("0").candidates]
        assert [server.name for server in session.snapshot().servers] == ["stun.example.org", "example.org"]
    assert sorted(asked) == [("_stun._udp", "stun.example.org"), ("_turn._udp", "example.org")]


@pytest.mark.parametrize("transport", ["udp", "tcp"])
async def test_a_server_of_another_family_is_told(monkeypatch: pytest.MonkeyPatch, transport: str) -> None:
    monkeypatch.setattr(servers, "NAMES", names.Names(system=lambda host: ("::1",)))
    turn = TurnServer(HostPort("v6.example", 3478), transport, "u", "p")
    async with gathered(replace(LOOPBACK, turn_servers=(turn,)), ("0",)) as session:
        (server,) = session.snapshot().servers
        assert server.state is ServerState.REFUSED
        assert server.problem == "The server v6.example:3478 cannot be reached from any address of this machine."


@pytest.mark.parametrize("closes", [True, False])
async def test_a_server_that_speaks_before_it_is_asked_is_not_heard(closes: bool) -> None:
    async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        answer = Message(Method.BINDING, MessageClass.SUCCESS, bytes(12))
        writer.write(3 * answer.encode() + bytes.fromhex("40000004") + b"data")
        if closes:
            writer.close()
        with suppress(ConnectionError):
            await reader.read()
        writer.close()
        ended.set()

    seen = []
    ended = asyncio.Event()
    async with await asyncio.start_server(speak, "127.0.0.1", 0) as listening:
        turn = TurnServer(HostPort(*listening.sockets[0].getsockname()), "tcp", "u", "p")
        config = replace(LOOPBACK, turn_servers=(turn,), server_timeout_s=0.2, tap=lambda *seen_: seen.append(seen_))
        async with gathered(config, ("0",)) as session:
            (server,) = session.snapshot().servers
            assert server.state in (ServerState.REFUSED, ServerState.SILENT)
            if closes:
                assert "closed the connection" in (server.problem or "")
        await asyncio.wait_for(ended.wait(), 5)
    assert not any(data.startswith(b"@") for _, _, _, data in seen)


async def test_a_connection_that_comes_too_late_for_its_flow_is_closed() -> None:
    asked = asyncio.Event()
    goes_on = asyncio.Event()
    ended = asyncio.Event()

    async def proxy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        asked.set()
        await goes_on.wait()
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        if not await reader.read():
            ended.set()
        writer.close()

    async with await asyncio.start_server(proxy, "127.0.0.1", 0) as listening:
        turn = TurnServer(HostPort("turn.example", 3478), "tcp", "u", "p")
        proxy_url = f"http://proxy.example:{listening.sockets[0].getsockname()[1]}"
        config = replace(LOOPBACK, turn_servers=(turn,), proxy=proxy_url)
        session = IceSession(config, True, ("0", "1"), on_event=lambda event: None)
        try:
            await session.gather_hosts()
            async with asyncio.timeout(5):
                await asked.wait()
                session.remove_stream("0")
                session.remove_stream("1")
                goes_on.set()
                await ended.wait()
        finally:
            await session.close()


async def test_a_proxy_whose_name_is_looked_up_for_long_keeps_nobody_else_waiting(coturn: Coturn) -> None:
    turns = tuple(TurnServer(HostPort(f"{n}.example", 3478), "tcp", "u", "p") for n in range(6))
    slow = replace(LOOPBACK, turn_servers=turns, proxy=f"http://{SLOW_NAME}:3128", server_timeout_s=0.3)
    async with gathered(slow, ("0", "1")) as session:
        assert all(server.state is ServerState.SILENT for server in session.snapshot().servers)
        assert await seconds_to_gather(replace(LOOPBACK, turn_servers=(coturn.turn(),))) < 0.5
