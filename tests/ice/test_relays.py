"""Relays from real TURN servers: time-limited users, other servers named, both families, proxies, and their end."""

from __future__ import annotations

import asyncio
import base64
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from app.events import CandidateType
from app.ice import servers
from app.ice.candidates import Candidate
from app.ice.certificates import distrust
from app.ice.config import IceConfig
from app.ice.events import IceEvent, RelayLost
from app.ice.proxies import proxy_for, shown
from app.ice.session import IceSession
from app.ice.stun import Attribute, Message
from app.ice.time_limited import LASTS_S, fresh_credentials
from app.path_events import ServerState
from app.settings import HostPort, IcePolicy, TurnServer
from tests.ice.conftest import ALICE, HERE, Coturn, free_port, make_certificate, running_coturn

LOOPBACK = IceConfig(interfaces=("127.0.0.1",), tcp=False)


@pytest.fixture(autouse=True)
def forgetful() -> None:
    servers.HEALTH.forget()


class Side:
    """A session with what it told."""

    def __init__(self, config: IceConfig, controlling: bool = True) -> None:
        self.told: asyncio.Queue[IceEvent] = asyncio.Queue()
        self.session = IceSession(config, controlling, ["0"], on_event=self.told.put_nowait)

    def relays(self) -> list[Candidate]:
        return [one for one in self.session.local("0").candidates if one.type is CandidateType.RELAY]

    async def lost(self) -> RelayLost:
        async with asyncio.timeout(10):
            while True:
                event = await self.told.get()
                if isinstance(event, RelayLost):
                    return event


@asynccontextmanager
async def gathered(config: IceConfig, controlling: bool = True) -> AsyncIterator[Side]:
    side = Side(config, controlling)
    try:
        await side.session.gather()
        yield side
    finally:
        await side.session.close()


# Users that end by themselves ----------------------------------------------------------------------------------


def test_credentials_are_made_from_the_secret() -> None:
    """The scheme as coturn describes it: the example can be checked with openssl dgst -sha1 -hmac."""
    turn, lasts_s = fresh_credentials(TurnServer(HostPort("t", 1), "udp", "ada", secret="north"), 1_700_000_000.7)
    assert turn.username == f"{1_700_000_000 + LASTS_S}:ada"
    assert len(base64.b64decode(turn.password)) == 20
    assert turn.secret == ""
    assert lasts_s == LASTS_S
    assert "north" not in repr(TurnServer(HostPort("t", 1), secret="north"))


@pytest.mark.parametrize(
    ("username", "lasts_s"), [("1700000100:ada", 100.0), ("1699999999", 0.0), ("ada", None), ("17:ada", None)]
)
def test_a_user_name_made_elsewhere_tells_its_end(username: str, lasts_s: float | None) -> None:
    turn = TurnServer(HostPort("t", 1), "udp", username, "p")
    assert fresh_credentials(turn, 1_700_000_000) == (turn, lasts_s)


async def test_a_server_with_a_shared_secret(tmp_path: Path) -> None:
    port = free_port()
    async with running_coturn(tmp_path, port, *HERE, "use-auth-secret", "static-auth-secret=north"):
        turn = TurnServer(HostPort("127.0.0.1", port), "udp", "ada", secret="north")
        async with gathered(replace(LOOPBACK, turn_servers=(turn,))) as side:
            assert side.relays()
        wrong = replace(turn, secret="south")
        async with gathered(replace(LOOPBACK, turn_servers=(wrong,))) as side:
            assert "user name and password" in side.session.snapshot().problems[0]


# Other servers -------------------------------------------------------------------------------------------------


@asynccontextmanager
async def redirecting(*answers: Callable[[Message], Message]) -> AsyncIterator[HostPort]:
    """A UDP server that gives these answers in turn, the last one again and again."""
    loop = asyncio.get_running_loop()
    given = list(answers)

    class Server(asyncio.DatagramProtocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            self.transport = transport

        def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
            answer = given.pop(0) if len(given) > 1 else given[0]
            self.transport.sendto(answer(Message.parse(data)).encode(), addr)  # type: ignore[attr-defined]

    transport, _ = await loop.create_datagram_endpoint(Server, local_addr=("127.0.0.1", 0))
    try:
        yield HostPort(*transport.get_extra_info("sockname"))
    finally:
        transport.close()


def elsewhere(place: HostPort) -> Callable[[Message], Message]:
    def answer(request: Message) -> Message:
        refused = request.failure(300, "Try Alternate")
        return refused.add_address(Attribute.ALTERNATE_SERVER, (place.host, place.port))

    return answer


async def test_a_server_that_names_another_is_followed(coturn: Coturn) -> None:
    async with redirecting(elsewhere(coturn.address)) as first, redirecting(elsewhere(first)) as before:
        turn = replace(coturn.turn(), server=before)
        async with gathered(replace(LOOPBACK, turn_servers=(turn,))) as side:
            assert side.relays()
            (server,) = side.session.snapshot().servers
            assert (server.name, server.state) == (str(before), ServerState.ANSWERED)


async def test_servers_that_name_each_other_are_left() -> None:
    places: list[HostPort] = []
    back = redirecting(lambda request: elsewhere(places[0])(request))
    async with back as second, redirecting(elsewhere(second)) as first:
        places.append(first)
        turn = TurnServer(first, "udp", "u", "p")
        async with gathered(replace(LOOPBACK, turn_servers=(turn,))) as side:
            assert side.relays() == []
            assert "names another server" in side.session.snapshot().problems[0]


async def test_no_more_than_two_steps_are_taken(coturn: Coturn) -> None:
    async with (
        redirecting(elsewhere(coturn.address)) as third,
        redirecting(elsewhere(third)) as second,
        redirecting(elsewhere(second)) as first,
    ):
        turn = replace(coturn.turn(), server=first)
        async with gathered(replace(LOOPBACK, turn_servers=(turn,))) as side:
            assert side.relays() == []


async def test_a_port_that_still_has_an_allocation_is_exchanged_for_another(coturn: Coturn) -> None:
    """437: somebody before us on this port did not hand back what it had; coturn itself answers from then on."""
    asked_from = set()

    class Front(asyncio.DatagramProtocol):
        """Refuses the first port that asks, and tells every other one where the real server is."""

        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            self.transport = transport

        def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
            request = Message.parse(data)
            asked_from.add(addr)
            answer = request.failure(437, "Mismatch") if len(asked_from) == 1 else elsewhere(coturn.address)(request)
            self.transport.sendto(answer.encode(), addr)  # type: ignore[attr-defined]

    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(Front, local_addr=("127.0.0.1", 0))
    try:
        turn = replace(coturn.turn(), server=HostPort(*transport.get_extra_info("sockname")))
        async with gathered(replace(LOOPBACK, turn_servers=(turn,))) as side:
            assert side.relays()
        assert len(asked_from) == 2
    finally:
        transport.close()


@pytest.mark.parametrize(("domain", "trusted"), [("localhost", True), ("elsewhere.example", False)])
async def test_over_tls_the_other_server_must_show_the_name_it_was_given(
    coturn: Coturn, tmp_path: Path, domain: str, trusted: bool
) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readexactly(20)
        request = Message.parse(head + await reader.readexactly(int.from_bytes(head[2:4], "big")))
        refused = elsewhere(HostPort("127.0.0.1", coturn.tls.port))(request)
        writer.write(refused.add_text(Attribute.ALTERNATE_DOMAIN, domain).encode())
        await reader.read()
        writer.close()

    there = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    there.load_cert_chain(tmp_path / "cert.pem", tmp_path / "key.pem")  # coturn's
    server = await asyncio.start_server(answer, "127.0.0.1", 0, ssl=there)
    first = HostPort("localhost", server.sockets[0].getsockname()[1])
    turn = replace(coturn.turn(transport="tls"), server=first)
    try:
        async with gathered(replace(LOOPBACK, turn_servers=(turn,), ca_file=str(coturn.ca_file))) as side:
            assert bool(side.relays()) is trusted
            if not trusted:
                assert "another name than elsewhere.example" in side.session.snapshot().problems[0]
    finally:
        server.close()


# The end of a relay --------------------------------------------------------------------------------------------


async def _over_relays(a: Side, b: Side) -> None:
    b.session.set_remote("0", a.session.local("0"))
    b.session.start_checks()
    a.session.set_remote("0", b.session.local("0"))
    a.session.start_checks()
    await asyncio.gather(a.session.wait_connected(), b.session.wait_connected())


@pytest.mark.parametrize("transport", ["udp", "tcp"])
async def test_a_server_that_dies_during_the_call_is_told_at_once(tmp_path: Path, transport: str) -> None:
    port = free_port()
    async with running_coturn(tmp_path, port, *HERE, *ALICE) as process:
        turn = TurnServer(HostPort("127.0.0.1", port), transport, "alice", "secret")
        relayed = replace(LOOPBACK, turn_servers=(turn,), policy=IcePolicy.RELAY)
        async with gathered(relayed) as a, gathered(LOOPBACK, controlling=False) as b:
            await _over_relays(a, b)
            process.kill()
            await process.wait()

            async def talk() -> None:
                while True:
                    a.session.send("0", b"\x80sound")
                    await asyncio.sleep(0.02)

            talking = asyncio.create_task(talk())
            try:
                lost = await a.lost()
            finally:
                talking.cancel()
            assert (lost.flow, lost.server, lost.carries) == ("0", str(turn.server), True)
            assert lost.reason.endswith(".")
            (server,) = a.session.snapshot().servers
            assert server.state is ServerState.LOST


# IPv6 ----------------------------------------------------------------------------------------------------------


def _has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


@pytest.mark.skipif(not _has_ipv6(), reason="this machine has no IPv6")
async def test_one_allocation_gives_relays_of_both_families(tmp_path: Path) -> None:
    port = free_port()
    both = ("listening-ip=127.0.0.1", "relay-ip=127.0.0.1", "relay-ip=::1")
    async with running_coturn(tmp_path, port, *both, *ALICE):
        turn = TurnServer(HostPort("127.0.0.1", port), "udp", "alice", "secret")
        async with gathered(replace(LOOPBACK, turn_servers=(turn,))) as side:
            assert sorted(relay.address for relay in side.relays()) == ["127.0.0.1", "::1"]
            six = replace(LOOPBACK, interfaces=("::1",))
            async with gathered(six, controlling=False) as other:
                await _over_relays(side, other)
                local, _ = side.session.selected("0") or (None, None)
                assert local is not None
                assert (local.type, local.address) == (CandidateType.RELAY, "::1")


# Certificates --------------------------------------------------------------------------------------------------


async def _distrust(certificate: tuple[Path, Path], ca_file: Path | None, name: str) -> str:
    """Connect to a TLS server with this certificate; gives why it is not trusted."""
    there = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    there.load_cert_chain(*certificate)
    server = await asyncio.start_server(lambda reader, writer: writer.close(), "127.0.0.1", 0, ssl=there)
    here = ssl.create_default_context(cafile=None if ca_file is None else str(ca_file))
    try:
        with pytest.raises(ssl.SSLError) as caught:
            await asyncio.open_connection(
                "127.0.0.1", server.sockets[0].getsockname()[1], ssl=here, server_hostname=name
            )
    finally:
        server.close()
    return distrust(caught.value, name)


async def test_what_is_wrong_with_a_certificate_is_said(tmp_path: Path) -> None:
    good = make_certificate(tmp_path)
    assert "another name than turn.example" in await _distrust(good, good[0], "turn.example")
    assert "unknown authority" in await _distrust(good, None, "localhost")
    old = tmp_path / "old"
    old.mkdir()
    expired = make_certificate(old, ends=datetime.now(UTC) - timedelta(hours=1))
    assert "has expired" in await _distrust(expired, expired[0], "localhost")


# Proxies -------------------------------------------------------------------------------------------------------

PROXIED = {"https_proxy": "http://web:1", "all_proxy": "socks5://any:2", "no_proxy": "lab,.inside.example,10.0.0.0/8"}


@pytest.mark.parametrize(
    ("host", "setting", "environment", "proxy"),
    [
        ("turn.example", "", PROXIED, "http://web:1"),
        ("turn.example", "", {"ALL_PROXY": "socks5://any:2"}, "socks5://any:2"),
        ("turn.example", "socks5://mine:3", PROXIED, "socks5://mine:3"),
        ("turn.example", "none", PROXIED, None),
        ("turn.example", "", {}, None),
        ("a.inside.example", "", PROXIED, None),
        ("outside.example", "", PROXIED, "http://web:1"),
        ("10.1.2.3", "", PROXIED, None),
        ("11.1.2.3", "", PROXIED, "http://web:1"),
        ("turn.example", "", {**PROXIED, "no_proxy": "*"}, None),
    ],
)
def test_which_proxy_is_taken(host: str, setting: str, environment: dict[str, str], proxy: str | None) -> None:
    assert proxy_for(host, setting, environment) == proxy


def test_a_proxys_password_is_not_shown() -> None:
    assert shown("http://ada:geheim@proxy:8080") == "http://proxy:8080"
    assert "geheim" not in repr(IceConfig(proxy="http://ada:geheim@proxy:8080"))


@asynccontextmanager
async def tinyproxy(folder: Path, *lines: str) -> AsyncIterator[int]:
    port = free_port()
    config = folder / "tinyproxy.conf"
    config.write_text("\n".join((f"Port {port}", "Listen 127.0.0.1", "Timeout 60", *lines)) + "\n")
    process = await asyncio.create_subprocess_exec(
        "tinyproxy", "-d", "-c", str(config), stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL
    )
    try:
        await _until(lambda: _connects(port))
        yield port
    finally:
        process.terminate()
        await process.wait()


async def _until(ready: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(5):
        while not await ready():  # noqa: ASYNC110 - what is awaited happens in another process
            await asyncio.sleep(0.02)


async def _connects(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    return True


@pytest.mark.parametrize("transport", ["tcp", "tls"])
async def test_a_relay_is_had_through_a_proxy_that_asks_who_we_are(
    coturn: Coturn, tmp_path: Path, transport: str
) -> None:
    async with tinyproxy(tmp_path, "BasicAuth ada geheim") as port:
        config = replace(
            LOOPBACK,
            turn_servers=(coturn.turn(transport=transport),),
            ca_file=str(coturn.ca_file),
            policy=IcePolicy.RELAY,
            proxy=f"http://ada:geheim@127.0.0.1:{port}",
        )
        async with gathered(config) as a, gathered(LOOPBACK, controlling=False) as b:
            assert a.relays(), a.session.snapshot().problems
            await _over_relays(a, b)
        config = replace(config, proxy=f"http://ada:falsch@127.0.0.1:{port}")
        async with gathered(config) as side:
            (problem,) = side.session.snapshot().problems
            assert "user name and password" in problem
            assert "falsch" not in problem


async def test_a_proxy_that_lets_nobody_through_is_named(coturn: Coturn, tmp_path: Path) -> None:
    turn = coturn.turn(transport="tcp")
    async with tinyproxy(tmp_path, "ConnectPort 443") as port:
        config = replace(LOOPBACK, turn_servers=(turn,), proxy=f"http://127.0.0.1:{port}")
        async with gathered(config) as side:
            assert "does not allow connections" in side.session.snapshot().problems[0]
    async with gathered(replace(config, proxy=f"http://127.0.0.1:{free_port()}")) as side:
        assert "cannot be reached" in side.session.snapshot().problems[0]
    async with gathered(replace(config, proxy="ftp://127.0.0.1:1")) as side:
        assert "starts with one of" in side.session.snapshot().problems[0]


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(ConnectionError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    writer.close()


async def _socks(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Serve one SOCKS5 client that wants a connection to an IPv4 address or to a name (RFC 1928)."""
    _, count = await reader.readexactly(2)
    await reader.readexactly(count)
    writer.write(b"\x05\x00")
    *_, kind = await reader.readexactly(4)
    if kind == 1:
        host = socket.inet_ntoa(await reader.readexactly(4))
    else:
        host = (await reader.readexactly((await reader.readexactly(1))[0])).decode()
    port = int.from_bytes(await reader.readexactly(2), "big")
    there, to_there = await asyncio.open_connection(host, port)
    writer.write(b"\x05\x00\x00\x01" + bytes(6))
    async with asyncio.TaskGroup() as both:
        both.create_task(_pump(reader, to_there))
        both.create_task(_pump(there, writer))


async def test_a_relay_is_had_through_socks(coturn: Coturn) -> None:
    serving: list[asyncio.Task[None]] = []
    server = await asyncio.start_server(
        lambda reader, writer: serving.append(asyncio.create_task(_socks(reader, writer))), "127.0.0.1", 0
    )
    proxy = f"socks5://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    turn = coturn.turn(transport="tls")
    config = replace(LOOPBACK, turn_servers=(turn,), ca_file=str(coturn.ca_file), proxy=proxy)
    try:
        async with gathered(config) as side:
            assert side.relays(), side.session.snapshot().problems
    finally:
        server.close()
        async with asyncio.timeout(5):
            await asyncio.gather(*serving)
