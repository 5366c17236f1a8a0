"""The whole home server on loopback, spoken to by real sockets."""

from __future__ import annotations

import asyncio
import datetime
import gc
import random
import socket
import ssl
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import cast

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from app.home.accounts import HomeUser
from app.home.config import HomeConfig
from app.home.errors import HomeError
from app.home.server import HomeEvent, HomeServer
from app.home.sip_sockets import SipSockets
from app.ice.stun import Message, MessageClass, Method
from app.settings import HostPort
from app.sip.framing import Frame, StreamFramer
from app.sip.hops import Hop
from app.sip.message import Request, Response, parse_message, response_to
from tests.home.sip_driver import REALM, Phone, World

LOOPBACK = "127.0.0.1"


class UdpPhone(asyncio.DatagramProtocol):
    """A phone on a real UDP socket; `paper` writes its requests."""

    def __init__(self, name: str, server: HomeServer) -> None:
        self.name = name
        self.server = server
        self.heard: asyncio.Queue[Request | Response] = asyncio.Queue()

    async def open(self) -> UdpPhone:
        loop = asyncio.get_running_loop()
        transport, _ = await loop.create_datagram_endpoint(lambda: self, local_addr=(LOOPBACK, 0))
        self.transport = cast(asyncio.DatagramTransport, transport)
        self.paper = Phone(World(), self.name, *transport.get_extra_info("sockname")[:2])
        return self

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self.heard.put_nowait(parse_message(data))

    def say(self, message: Request | Response) -> None:
        self.transport.sendto(bytes(message), (LOOPBACK, self.server.sip_address.port))

    async def hear(self, *, skip_trying: bool = True) -> Request | Response:
        while True:
            message = await asyncio.wait_for(self.heard.get(), 3)
            if not (skip_trying and isinstance(message, Response) and message.status == 100):
                return message

    async def ask(self, request: Request) -> Response:
        self.say(request)
        answer = await self.hear()
        assert isinstance(answer, Response)
        return answer

    async def register(self) -> Response:
        request = self.paper.request("REGISTER", f"sip:{REALM}", to=f"<sip:{self.name}@{REALM}>")
        return await self.ask(self.paper.signed(request, await self.ask(request)))

    async def request(self, method: str) -> Request:
        message = await self.hear()
        assert isinstance(message, Request)
        assert message.method == method
        return message

    async def status(self) -> int:
        message = await self.hear()
        assert isinstance(message, Response)
        return message.status

    def answer(self, request: Request, status: int) -> None:
        response = response_to(request, status, to_tag=f"{self.name}-tag")
        response.headers.add("Contact", self.paper.contact)
        self.say(response)


def config(**changes: object) -> HomeConfig:
    users = tuple(HomeUser.from_password(name, REALM, f"{name}-secret") for name in ("ada", "bob"))
    values: dict[str, object] = {
        "listen": (LOOPBACK,),
        "sip_port": 0,
        "turn_port": 0,
        "users": users,
        "realm": REALM,
        "allow_own_peers": True,
    }
    return HomeConfig(**(values | changes))  # type: ignore[arg-type]


@pytest.fixture
def events() -> list[HomeEvent]:
    return []


@pytest.fixture
async def home(events: list[HomeEvent]) -> AsyncIterator[HomeServer]:
    server = HomeServer(config(), on_event=events.append)
    await server.start()
    yield server
    await server.close()


async def test_two_phones_call_each_other(home: HomeServer, events: list[HomeEvent]) -> None:
    ada, bob = await UdpPhone("ada", home).open(), await UdpPhone("bob", home).open()
    assert (await bob.register()).status == 200
    assert [event.user for event in events] == ["bob"]
    assert home.contacts_of("bob")
    invite = ada.paper.request("INVITE", f"sip:bob@{REALM}", sender=f"sip:ada@{REALM}")
    challenge = await ada.ask(invite)
    assert challenge.status == 407
    ada.say(ada.paper.signed(invite, challenge))
    arrived = await bob.request("INVITE")
    bob.answer(arrived, 180)
    assert await ada.status() == 180
    bob.answer(arrived, 200)
    ok = await ada.hear()
    assert isinstance(ok, Response)
    ada.say(ada.paper.in_dialog("ACK", ok))
    assert (await bob.request("ACK")).call_id == invite.call_id
    ada.say(ada.paper.in_dialog("BYE", ok))
    bob.answer(await bob.request("BYE"), 200)
    assert await ada.status() == 200
    assert home.counters()["sip_proxied_INVITE"] == 1


async def test_local_contact_is_called_without_registration(home: HomeServer) -> None:
    echo, eve = await UdpPhone("echo", home).open(), await UdpPhone("eve", home).open()
    home.bind_local("echo", f"sip:echo@{LOOPBACK}:{echo.paper.hop.remote.port}")
    eve.say(eve.paper.request("INVITE", f"sip:echo@{home.sip_address}"))
    assert str((await echo.request("INVITE")).to.uri) == f"sip:echo@{home.sip_address}"
    with pytest.raises(HomeError):
        home.bind_local("echo", "not an address")


async def read_messages(reader: asyncio.StreamReader, count: int) -> list[Request | Response]:
    framer = StreamFramer()
    found: list[Frame] = []
    while len(found) < count:
        found += framer.feed(await asyncio.wait_for(reader.read(65536), 3))
    return [each for each in found if isinstance(each, Request | Response)]


async def register_over(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, name: str, transport: str, contact: str
) -> Phone:
    paper = Phone(World(), name, LOOPBACK, 1, transport=transport, contact=contact)
    request = paper.request("REGISTER", f"sip:{REALM}", to=f"<sip:{name}@{REALM}>")
    writer.write(bytes(request))
    challenge = (await read_messages(reader, 1))[0]
    assert isinstance(challenge, Response)
    writer.write(bytes(paper.signed(request, challenge)))
    answer = (await read_messages(reader, 1))[0]
    assert isinstance(answer, Response)
    assert answer.status == 200
    return paper


async def test_calls_reach_a_phone_over_its_own_tcp_connection(home: HomeServer) -> None:
    reader, writer = await asyncio.open_connection(LOOPBACK, home.sip_address.port)
    await register_over(reader, writer, "bob", "tcp", "<sip:bob@192.0.2.1:5060;transport=tcp>")
    eve = await UdpPhone("eve", home).open()
    eve.say(eve.paper.request("INVITE", f"sip:bob@{REALM}", body=b"x" * 4000))
    invite = (await read_messages(reader, 1))[0]
    assert isinstance(invite, Request)
    assert len(invite.body) == 4000
    bob = Phone(World(), "bob", LOOPBACK, 1, transport="tcp")
    writer.write(bytes(bob_answer(bob, invite, 180)))
    assert await eve.status() == 180
    writer.close()


def bob_answer(phone: Phone, request: Request, status: int) -> Response:
    response = response_to(request, status, to_tag="bob-tag")
    response.headers.add("Contact", phone.contact)
    return response


async def test_server_opens_a_connection_where_a_contact_wants_tcp(home: HomeServer) -> None:
    arrived: asyncio.Queue[Request | Response] = asyncio.Queue()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for message in await read_messages(reader, 1):
            arrived.put_nowait(message)
        writer.close()

    listener = await asyncio.start_server(serve, LOOPBACK, 0)
    port = listener.sockets[0].getsockname()[1]
    home.bind_local("echo", f"sip:echo@{LOOPBACK}:{port};transport=tcp")
    eve = await UdpPhone("eve", home).open()
    eve.say(eve.paper.request("INVITE", f"sip:echo@{REALM}"))
    assert (await asyncio.wait_for(arrived.get(), 3)).top_via.transport == "TCP"
    listener.close()
    await listener.wait_closed()
    eve.say(eve.paper.request("INVITE", f"sip:echo@{REALM}"))
    assert await eve.status() == 480  # nobody listens there any more


async def test_a_call_over_tls_reads_the_authorities_beside_the_loop(
    authorities_read_in: list[threading.Thread],
) -> None:
    failed: asyncio.Queue[int] = asyncio.Queue()
    sockets = SipSockets((LOOPBACK,), 0, on_message=lambda *_: None, on_failed=lambda at, _: failed.put_nowait(at))
    await sockets.start()
    sockets.send(b"x", Hop("tls", HostPort(LOOPBACK, 1)), 7)
    assert await asyncio.wait_for(failed.get(), 3) == 7
    await sockets.close()
    assert len(authorities_read_in) == 1
    assert threading.main_thread() not in authorities_read_in


async def test_an_authority_of_the_ca_file_is_trusted(tmp_path: Path) -> None:
    """As everywhere else: a company's own server of another domain can be called."""
    cert, key = make_certificate(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    heard: asyncio.Queue[bytes] = asyncio.Queue()
    failed: asyncio.Queue[int] = asyncio.Queue()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.put_nowait(await reader.read(1))
        writer.close()

    other = await asyncio.start_server(serve, LOOPBACK, 0, ssl=context)
    place = HostPort(LOOPBACK, other.sockets[0].getsockname()[1])
    for ca_file in (str(cert), None):
        sockets = SipSockets(
            (LOOPBACK,), 0, on_message=lambda *_: None, on_failed=lambda at, _: failed.put_nowait(at), ca_file=ca_file
        )
        await sockets.start()
        sockets.send(b"x", Hop("tls", place, server_name="localhost"), 7)
        if ca_file is not None:
            assert await asyncio.wait_for(heard.get(), 3) == b"x"
        else:
            assert await asyncio.wait_for(failed.get(), 3) == 7
        await sockets.close()
    other.close()


async def test_tls_where_there_is_a_certificate(tmp_path: Path) -> None:
    cert, key = make_certificate(tmp_path)
    server = HomeServer(config(tls_cert=str(cert), tls_key=str(key)))
    await server.start()
    try:
        assert server.tls_address is not None
        context = ssl.create_default_context(cafile=str(cert))
        reader, writer = await asyncio.open_connection(
            LOOPBACK, server.tls_address.port, ssl=context, server_hostname="localhost"
        )
        await register_over(reader, writer, "bob", "tls", "<sip:bob@192.0.2.1:5061;transport=tls>")
        writer.close()
    finally:
        await server.close()


async def test_a_certificate_that_cannot_be_read_is_said_in_words(tmp_path: Path) -> None:
    with pytest.raises(HomeError, match="certificate"):
        HomeServer(config(tls_cert=str(tmp_path / "no.pem"), tls_key=str(tmp_path / "no.key")))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"listen": ("home.example",)}, "not an address"),
        ({"listen": ()}, "needs an address"),
        ({"realm": ""}, "realm"),
        ({"realm": 'a"b'}, "realm"),
        ({"digests": ("SHA-1",)}, "Digests"),
        ({"tls_cert": "x"}, "both a certificate and its key"),
    ],
)
def test_what_cannot_be_configured(changes: dict[str, object], words: str) -> None:
    with pytest.raises(HomeError, match=words):
        HomeServer(config(**changes))


async def test_ports_in_use_leave_nothing_open(home: HomeServer) -> None:
    for changes in ({"sip_port": home.sip_address.port}, {"turn_port": home.turn_address.port}):
        second = HomeServer(config(**changes))
        with pytest.raises(HomeError, match="in use"):
            await second.start()
        await second.close()


async def test_users_come_and_go(home: HomeServer) -> None:
    carl = await UdpPhone("carl", home).open()
    home.add_user(HomeUser.from_password("carl", REALM, "carl-secret"))
    assert (await carl.register()).status == 200
    home.remove_user("carl")
    assert home.contacts_of("carl") == ()
    assert (await carl.register()).status == 401


async def test_double_colon_listens_on_both_families() -> None:
    server = HomeServer(config(listen=("::",)))
    try:
        await server.start()
    except HomeError:
        pytest.skip("no IPv6 here")
    try:
        for host in ("127.0.0.1", "::1"):
            _, writer = await asyncio.open_connection(host, server.sip_address.port)
            writer.close()
        assert ":" not in server.sip_address.host
    finally:
        await server.close()


async def test_md5_alone_for_phones_that_stumble_over_more() -> None:
    server = HomeServer(config(digests=("MD5",)))
    await server.start()
    try:
        ada = await UdpPhone("ada", server).open()
        challenge = await ada.ask(ada.paper.request("REGISTER", f"sip:{REALM}", to=f"<sip:ada@{REALM}>"))
        assert [each.algorithm for each in challenge.challenges] == ["MD5"]
    finally:
        await server.close()


async def test_keep_alives_on_both_transports(home: HomeServer) -> None:
    ada = await UdpPhone("ada", home).open()
    ada.transport.sendto(b"\r\n\r\n", (LOOPBACK, home.sip_address.port))
    reader, writer = await asyncio.open_connection(LOOPBACK, home.sip_address.port)
    writer.write(b"\r\n\r\n")
    assert await asyncio.wait_for(reader.read(10), 2) == b"\r\n"
    writer.write(b"nonsense\r\n\r\n")
    assert await asyncio.wait_for(reader.read(), 2) == b""  # closed: nobody can tell where the next message begins
    writer.close()
    assert ada.heard.empty()


async def test_one_source_cannot_hold_all_connections(home: HomeServer) -> None:
    writers = []
    for _ in range(60):
        _, writer = await asyncio.open_connection(LOOPBACK, home.sip_address.port)
        writers.append(writer)
    await asyncio.sleep(0.05)
    assert home.counters()["sip_connections"] == 50
    assert home.counters()["sip_connections_refused"] == 10
    for writer in writers:
        writer.close()


async def test_ten_thousand_random_datagrams_leave_it_serving_and_small(home: HomeServer) -> None:
    random_ = random.Random(3)
    ada = await UdpPhone("ada", home).open()
    template = bytes(ada.paper.request("INVITE", f"sip:nobody@{REALM}"))
    stun = Message(Method.ALLOCATE, MessageClass.REQUEST, bytes(12)).encode()
    noise = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    before = 0
    for number in range(10_000):
        if number == 1000:  # what is allocated once has been allocated
            before = held_objects()
        for port, pattern in ((home.sip_address.port, template), (home.turn_address.port, stun)):
            data = random_.randbytes(random_.randrange(1, 400))
            if number % 5 == 0:
                damaged = bytearray(pattern)
                damaged[random_.randrange(len(damaged))] = random_.randrange(256)
                data = bytes(damaged)
            noise.sendto(data, (LOOPBACK, port))
        if number % 25 == 0:
            await asyncio.sleep(0)
    await asyncio.sleep(0.1)
    noise.close()
    assert held_objects() - before < 5000
    counters = home.counters()
    assert counters["sip_malformed"] > 7000
    assert counters["turn_malformed"] > 7000
    assert counters["turn_allocations_now"] == 0
    assert counters["sip_transactions_now"] < 200
    await asyncio.sleep(0.5)  # the noise came from ada's own address, whose allowance must fill up a little
    while not ada.heard.empty():  # answers to what was left of the requests that name her address
        ada.heard.get_nowait()
    assert (await ada.register()).status == 200


def held_objects() -> int:
    gc.collect()
    return len(gc.get_objects())


def make_certificate(folder: Path) -> tuple[Path, Path]:
    """Make a self-signed certificate for localhost."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    cert_path, key_path = folder / "cert.pem", folder / "key.pem"
    cert_path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    key_path.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return cert_path, key_path
