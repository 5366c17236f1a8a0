"""TURN over TCP and TLS on real sockets: what connections may do, and what ends them."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from app.events import CandidateType
from app.home import turn_streams
from app.home.accounts import HomeUser, Users
from app.home.errors import HomeError
from app.home.turn_io import TurnLimits
from app.home.turn_service import TurnService
from app.ice.config import IceConfig
from app.ice.framing import StunFramer
from app.ice.session import IceSession
from app.ice.stun import Address, Attribute, Message, MessageClass, Method, encode_channel_data, long_term_key
from app.settings import HostPort, IcePolicy, TurnServer
from tests.home.test_server import make_certificate
from tests.home.turn_driver import UDP, code

REALM = "home.test"
HERE = "127.0.0.1"
KEY = long_term_key("ada", REALM, "secret")


def make_service(tls: ssl.SSLContext | None = None, **limits: float) -> TurnService:
    users = Users([HomeUser.from_password("ada", REALM, "secret")])
    return TurnService((HERE,), 0, REALM, users.turn_key, limits=TurnLimits(**limits), allow_own_peers=True, tls=tls)  # type: ignore[arg-type]


@pytest.fixture
async def service() -> AsyncIterator[TurnService]:
    service = make_service(connections_per_source=3)
    await service.start()
    yield service
    service.close()


class Client:
    """A TURN client over one connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer
        self.framer = StunFramer()
        self.waiting: list[bytes] = []
        self._nonce = ""
        self._sent = 0

    @classmethod
    async def connect(cls, port: int, tls: ssl.SSLContext | None = None) -> Client:
        name = "localhost" if tls is not None else None
        return cls(*await asyncio.open_connection(HERE, port, ssl=tls, server_hostname=name))

    async def message(self) -> bytes:
        """Give the next whole message; EOFError when the server closed."""
        while not self.waiting:
            data = await asyncio.wait_for(self.reader.read(65536), 5)
            if not data:
                raise EOFError
            self.waiting += self.framer.feed(data)
        return self.waiting.pop(0)

    async def ask(self, method: Method, build: Callable[[Message], Message] = lambda message: message) -> Message:
        self._sent += 1
        request = build(Message(method, MessageClass.REQUEST, self._sent.to_bytes(12, "big")))
        if self._nonce:
            request.add_text(Attribute.USERNAME, "ada").add_text(Attribute.REALM, REALM)
            request.add_text(Attribute.NONCE, self._nonce)
        self.writer.write(request.encode(KEY if self._nonce else None))
        answer = Message.parse(await self.message())
        if code(answer) == 401 and not self._nonce:
            self._nonce = answer.text(Attribute.NONCE) or ""
            return await self.ask(method, build)
        return answer

    async def allocate(self) -> Address:
        answer = await self.ask(Method.ALLOCATE, lambda message: message.add(*UDP))
        relayed = answer.address(Attribute.XOR_RELAYED_ADDRESS)
        assert relayed is not None
        return relayed

    async def bind(self, peer: Address) -> Message:
        return await self.ask(
            Method.CHANNEL_BIND,
            lambda message: message.add_channel_number(0x4001).add_address(Attribute.XOR_PEER_ADDRESS, peer),
        )

    async def is_closed(self) -> bool:
        try:
            while True:
                await self.message()
        except (EOFError, ConnectionError):
            return True


async def until(fits: Callable[[], bool]) -> None:
    for _ in range(500):
        if fits():
            return
        await asyncio.sleep(0.01)
    pytest.fail("it did not come to pass")


async def test_binding_and_relaying_over_tcp(service: TurnService) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer:
        peer.bind((HERE, 0))
        peer.setblocking(False)
        client = await Client.connect(service.port)
        seen = (await client.ask(Method.BINDING)).address(Attribute.XOR_MAPPED_ADDRESS)
        assert seen == client.writer.get_extra_info("sockname")
        relayed = await client.allocate()
        assert code(await client.bind(peer.getsockname())) is None
        client.writer.write(encode_channel_data(0x4001, b"there") + bytes(3))
        loop = asyncio.get_running_loop()
        assert await asyncio.wait_for(loop.sock_recvfrom(peer, 100), 5) == (b"there", relayed)
        peer.sendto(b"back", relayed)
        peer.sendto(b"again!", relayed)
        assert await client.message() == encode_channel_data(0x4001, b"back")
        assert await client.message() == encode_channel_data(0x4001, b"again!") + bytes(2)
        client.writer.close()
        await until(lambda: service.allocations == 0)


async def test_tls_has_a_port_of_its_own(tmp_path: Path) -> None:
    certificate, key = make_certificate(tmp_path)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, key)
    service = make_service(context)
    await service.start()
    try:
        assert service.tls_port is not None
        trusting = ssl.create_default_context(cafile=str(certificate))
        client = await Client.connect(service.tls_port, trusting)
        assert (await client.ask(Method.BINDING)).has(Attribute.XOR_MAPPED_ADDRESS)
        await client.allocate()
        assert service.allocations == 1
        client.writer.transport.abort()
        await until(lambda: service.allocations == 0)
    finally:
        service.close()


@pytest.mark.parametrize("transport", ["udp", "tcp", "tls"])
async def test_our_own_client_gets_its_relay_over_every_transport(transport: str, tmp_path: Path) -> None:
    certificate, key = make_certificate(tmp_path)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, key)
    service = make_service(context)
    await service.start()
    port = (service.tls_port or 0) if transport == "tls" else service.port
    server = TurnServer(HostPort("localhost", port), transport, "ada", "secret")
    config = IceConfig(
        interfaces=(HERE,), turn_servers=(server,), policy=IcePolicy.RELAY, ca_file=str(certificate), tcp=False
    )
    a, b = (IceSession(config, controlling, ["0"], on_event=lambda event: None) for controlling in (True, False))
    heard: asyncio.Queue[bytes] = asyncio.Queue()
    b.on_datagram = lambda flow, data: heard.put_nowait(data)
    try:
        await asyncio.gather(a.gather(), b.gather())
        assert {one.type for one in a.local("0").candidates} == {CandidateType.RELAY}, a.snapshot().problems
        a.set_remote("0", b.local("0"))
        b.set_remote("0", a.local("0"))
        for session in (a, b):
            session.start_checks()
        await asyncio.gather(a.wait_connected(), b.wait_connected())
        assert a.send("0", b"\x80over the relay")
        assert await asyncio.wait_for(heard.get(), 5) == b"\x80over the relay"
    finally:
        await asyncio.gather(a.close(), b.close())
        service.close()


async def test_what_is_no_stun_ends_the_connection(service: TurnService) -> None:
    client = await Client.connect(service.port)
    client.writer.write(b"\x16\x03\x01\x02\0\x01\0\x01")
    assert await client.is_closed()
    assert service.counters()["malformed"] == 1


async def test_connections_of_one_source_are_bounded(service: TurnService) -> None:
    clients = [await Client.connect(service.port) for _ in range(3)]
    for client in clients:
        await client.ask(Method.BINDING)
    assert await (await Client.connect(service.port)).is_closed()
    clients[0].writer.close()
    await until(lambda: service.counters()["connections_now"] == 2)
    await (await Client.connect(service.port)).ask(Method.BINDING)


async def test_connections_that_hold_nothing_end(service: TurnService, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, seconds in (("SWEEP_EVERY_S", 0.05), ("IDLE_S", 0.3), ("HALF_MESSAGE_S", 0.1)):
        monkeypatch.setattr(turn_streams, name, seconds)
    service = make_service()
    await service.start()
    try:
        idle, dripping, holding = [await Client.connect(service.port) for _ in range(3)]
        await holding.allocate()
        dripping.writer.write(b"\0\1\0\x08")
        assert await dripping.is_closed()
        assert await idle.is_closed()
        assert code(await holding.ask(Method.REFRESH)) is None
        assert service.counters()["connections_idle"] == 2
    finally:
        service.close()


async def test_a_reader_that_does_not_read_costs_a_bounded_buffer(
    service: TurnService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(turn_streams, "MAX_UNSENT_BYTES", 50_000)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer:
        peer.bind((HERE, 0))
        sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sock.connect((HERE, service.port))
        client = Client(*await asyncio.open_connection(sock=sock, limit=1024))
        relayed = await client.allocate()
        assert code(await client.bind(peer.getsockname())) is None
        for number in range(20_000):
            peer.sendto(bytes(1000), relayed)
            if number % 20 == 0:
                await asyncio.sleep(0)
            if service.counters()["stream_dropped"] > 100:
                break
        else:
            pytest.fail("nothing was dropped")
        (connection,) = service._streams._connections.values()
        assert connection.unsent_bytes <= 50_000
        assert service.allocations == 1
        client.writer.close()


async def test_a_tcp_port_in_use_is_said_in_words_and_leaves_udp_free(service: TurnService) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as taken:
        taken.bind((HERE, 0))
        taken.listen()
        second = TurnService((HERE,), taken.getsockname()[1], REALM, lambda _: None)
        with pytest.raises(HomeError, match="in use"):
            await second.start()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.bind(taken.getsockname())


async def test_closing_the_service_closes_its_connections() -> None:
    service = make_service()
    await service.start()
    client = await Client.connect(service.port)
    await client.allocate()
    service.close()
    assert await client.is_closed()
