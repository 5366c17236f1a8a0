"""The endpoint over real sockets on the loopback interface."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import os
import random
import socket
import ssl
import threading
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, TypeVar

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from app.names import NAMES
from app.settings import Account, HostPort
from app.sip.config import SipConfig
from app.sip.datagrams import DatagramSocket
from app.sip.endpoint import SipEndpoint
from app.sip.errors import SipError
from app.sip.events import (
    AckReceived,
    Answered,
    Bye,
    IncomingInvite,
    Provisional,
    ProvisionalConfirmed,
    RegistrationChanged,
    SessionClosed,
    TransportFailed,
)
from app.sip.hops import Hop
from app.sip.message import Request, parse_message, response_to
from app.sip.resolver import Resolver
from app.sip.uri import SipUri
from tests.sip.registrar import Registrar

E = TypeVar("E")
SMALL, LARGE = b"v=0 small", b"v=0 " + b"x" * 1400


class Phone:
    """An endpoint on 127.0.0.1 and what it reported."""

    def __init__(self, name: str, **config: Any) -> None:
        settings = {"sip_port": 0, "bind": ("127.0.0.1",), "user": name, **config}
        self.events: list[Any] = []
        self.traces: list[tuple[str, str, bytes]] = []
        self.react: Callable[[Any], None] = lambda event: None
        self.endpoint = SipEndpoint(SipConfig(**settings), on_event=self._on_event, on_trace=self._on_trace)
        self._changed = asyncio.Event()

    def _on_event(self, event: Any) -> None:
        self.events.append(event)
        self.react(event)
        self._changed.set()

    def _on_trace(self, direction: str, transport: str, local: str, remote: str, data: bytes, at: float) -> None:
        self.traces.append((direction, transport, data))

    @property
    def uri(self) -> str:
        return f"sip:{self.endpoint.config.user}@127.0.0.1:{self.endpoint.port}"

    async def expect(self, kind: type[E], count: int = 1, timeout_s: float = 5.0) -> E:
        """Wait until `count` events of that kind have come; the last of them."""
        async with asyncio.timeout(timeout_s):
            while len(found := [event for event in self.events if isinstance(event, kind)]) < count:
                self._changed.clear()
                await self._changed.wait()
        return found[count - 1]

    def lines(self, direction: str) -> list[str]:
        return [
            f"{transport} {data.splitlines()[0].decode()}" for way, transport, data in self.traces if way == direction
        ]


@pytest.fixture
async def phones() -> AsyncIterator[Callable[..., Any]]:
    opened: list[Phone] = []

    async def phone(name: str, **config: Any) -> Phone:
        made = Phone(name, **config)
        opened.append(made)
        await made.endpoint.start()
        return made

    yield phone
    for made in opened:
        await made.endpoint.close()


def picks_up(phone: Phone, body: bytes = SMALL) -> None:
    """Answer every call as a phone of ours does: reliable 183, 180, 200."""

    def react(event: Any) -> None:
        match event:
            case IncomingInvite():
                event.session.provisional(183, body=body)
            case ProvisionalConfirmed():
                event.session.provisional(180)
                event.session.accept(body)

    phone.react = react


@pytest.mark.parametrize(("body", "transport"), [(SMALL, "udp"), (LARGE, "tcp")])
async def test_a_call_over_the_transport_its_size_asks_for(phones, body: bytes, transport: str):
    ada, bob = await phones("ada"), await phones("bob")
    picks_up(bob, body)
    session = ada.endpoint.invite(bob.uri, body=body)
    answered = await ada.expect(Answered)
    assert answered.body == body
    await bob.expect(AckReceived)
    assert session.transport == transport
    session.bye()
    await bob.expect(Bye)
    await ada.expect(SessionClosed)
    assert [line.split()[1] for line in ada.lines("out")] == ["INVITE", "PRACK", "ACK", "BYE"]
    assert [line.split(maxsplit=2)[2] for line in ada.lines("in")] == [
        *("183 Session Progress", "200 OK", "180 Ringing", "200 OK", "200 OK")
    ]
    assert ada.lines("out")[0].startswith(transport)
    assert (await ada.expect(Provisional)).reliable


async def test_udp_and_tcp_listen_on_one_port_and_addresses_are_right(phones):
    bob = await phones("bob", bind=())
    addresses = bob.endpoint.local_addresses
    assert {address.port for address in addresses} == {bob.endpoint.port}
    reader, writer = await asyncio.open_connection("127.0.0.1", bob.endpoint.port)
    writer.write(b"\r\n\r\n")
    assert await reader.readexactly(2) == b"\r\n"
    writer.close()
    assert bob.endpoint.own_uri(HostPort("127.0.0.1", 5060)) == bob.uri
    ada = await phones("ada")
    await ada.endpoint.options(f"sip:bob@127.0.0.1:{bob.endpoint.port}")
    answer = parse_message(ada.traces[-1][2])
    assert answer.top_via.received == "127.0.0.1"
    assert answer.top_via.rport == ada.endpoint.port


async def test_5060_where_it_is_free_and_another_port_otherwise(phones):
    first = await phones("ada", sip_port=None)
    second = await phones("bob", sip_port=None)
    assert first.endpoint.port != second.endpoint.port
    with pytest.raises(SipError, match=str(first.endpoint.port)):
        await phones("eve", sip_port=first.endpoint.port)


async def test_options_says_who_is_there(phones):
    ada, bob = await phones("ada"), await phones("bob")
    for target in (bob.uri, f"{bob.uri};transport=tcp"):
        answer = await ada.endpoint.options(target)
        assert (answer.status, answer.reason) == (200, "OK")
        assert answer.rtt_s is not None
        assert 0 < answer.rtt_s < 2


async def test_where_tcp_is_refused_the_call_goes_over_udp(phones):
    ada = await phones("ada")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as old_phone:
        old_phone.bind(("127.0.0.1", 0))
        old_phone.setblocking(False)
        ada.endpoint.invite(f"sip:old@127.0.0.1:{old_phone.getsockname()[1]}", body=LARGE)
        data, address = await asyncio.wait_for(asyncio.get_running_loop().sock_recvfrom(old_phone, 65535), timeout=5)
        request = parse_message(data)
        assert isinstance(request, Request)
        assert (request.method, request.top_via.transport, len(request.body)) == ("INVITE", "UDP", len(LARGE))
        await asyncio.get_running_loop().sock_sendto(old_phone, bytes(response_to(request, 486)), address)
        await ada.expect(SessionClosed)
    assert [line.split()[:2] for line in ada.lines("out")] == [["udp", "INVITE"], ["udp", "ACK"]]  # and nothing by TCP


@pytest.mark.parametrize("suffix", ["", ";transport=tcp"])
async def test_a_dead_address_is_said_at_once(phones, suffix: str):
    ada = await phones("ada")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    ada.endpoint.invite(f"sip:nobody@127.0.0.1:{port}{suffix}", body=SMALL)
    failed = await ada.expect(TransportFailed)
    assert f"127.0.0.1:{port}" in failed.sentence
    assert "refused" in failed.sentence


async def test_a_name_that_does_not_exist(phones):
    ada = await phones("ada")
    ada.endpoint.invite("sip:bob@name.invalid", body=SMALL)
    failed = await ada.expect(TransportFailed, timeout_s=10)
    assert "name.invalid" in failed.sentence


async def test_a_name_is_looked_up(phones):
    ada, bob = await phones("ada"), await phones("bob")
    answer = await ada.endpoint.options(f"sip:bob@localhost:{bob.endpoint.port}")
    assert answer.status == 200


async def test_ten_thousand_datagrams_of_noise_harm_nothing(phones):
    bob = await phones("bob")
    picks_up(bob)
    rng = random.Random(3)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
        for number in range(10_000):
            stranger.sendto(rng.randbytes(rng.randrange(1, 200)), ("127.0.0.1", bob.endpoint.port))
            if number % 50 == 0:
                await asyncio.sleep(0)
    ada = await phones("ada")
    ada.endpoint.invite(bob.uri, body=SMALL)
    await ada.expect(Answered)
    assert bob.endpoint.counters()["malformed"] > 1000


async def test_noise_over_tcp_closes_that_connection_only(phones):
    bob = await phones("bob")
    reader, writer = await asyncio.open_connection("127.0.0.1", bob.endpoint.port)
    writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    await asyncio.wait_for(reader.read(), timeout=5)
    writer.close()
    ada = await phones("ada")
    assert (await ada.endpoint.options(f"{bob.uri};transport=tcp")).status == 200


async def ended(reader: asyncio.StreamReader) -> bool:
    """Whether the far end closed or reset the connection without a word."""
    try:
        return await asyncio.wait_for(reader.read(1), timeout=5) == b""
    except ConnectionResetError:
        return True


async def test_no_more_connections_than_allowed(phones):
    bob = await phones("bob", max_connections=2)
    held = [await asyncio.open_connection("127.0.0.1", bob.endpoint.port) for _ in range(2)]
    for _, writer in held:
        writer.write(b"\r\n\r\n")
    for reader, _ in held:
        assert await reader.readexactly(2) == b"\r\n"
    reader, writer = await asyncio.open_connection("127.0.0.1", bob.endpoint.port)
    assert await ended(reader)
    writer.close()
    for _, writer in held:
        writer.close()
    assert bob.endpoint.counters()["connections_refused"] == 1


@pytest.mark.parametrize("said", [b"", b"OPTIONS sip:bob@127.0.0.1 SIP/2.0\r\nVia: "])
async def test_a_connection_that_leads_nowhere_is_closed(phones, monkeypatch, said: bytes):
    monkeypatch.setattr("app.sip.transports.SWEEP_S", 0.02)
    monkeypatch.setattr("app.sip.streams.INCOMPLETE_S", 0.05)
    bob = await phones("bob")
    reader, writer = await asyncio.open_connection("127.0.0.1", bob.endpoint.port)
    writer.write(said)
    assert await ended(reader)
    writer.close()


async def test_an_idle_connection_is_closed_but_not_during_a_call(phones, monkeypatch):
    monkeypatch.setattr("app.sip.transports.SWEEP_S", 0.02)
    ada, bob = await phones("ada", idle_connection_s=0.1), await phones("bob")
    picks_up(bob)
    session = ada.endpoint.invite(f"{bob.uri};transport=tcp", body=SMALL)
    await ada.expect(Answered)
    await asyncio.sleep(0.3)
    assert ada.endpoint.connection_count == 1
    session.bye()
    await ada.expect(SessionClosed)
    async with asyncio.timeout(5):
        while ada.endpoint.connection_count:  # noqa: ASYNC110 (nothing reports it)
            await asyncio.sleep(0.02)


async def test_closing_hangs_up_and_unregisters(phones):
    ada, bob = await phones("ada"), await phones("bob")
    picks_up(bob)
    ada.endpoint.invite(bob.uri, body=SMALL)
    await bob.expect(AckReceived)
    await ada.endpoint.close()
    await bob.expect(Bye)
    assert ada.endpoint.sessions == ()


async def test_closing_does_not_wait_for_the_dead(phones):
    ada = await phones("ada")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as deaf:
        deaf.bind(("127.0.0.1", 0))
        ada.endpoint.invite(f"sip:deaf@127.0.0.1:{deaf.getsockname()[1]}", body=SMALL)
        await asyncio.sleep(0)
        async with asyncio.timeout(4):
            await ada.endpoint.close()


@pytest.mark.logs_error("owner of the endpoint failed")
async def test_an_owner_that_fails_does_not_stop_the_endpoint(phones):
    ada, bob = await phones("ada"), await phones("bob")
    picks_up(bob)

    def fail(event: Any) -> None:
        if isinstance(event, Provisional):
            raise ValueError("the owner's own mistake")

    ada.react = fail
    ada.endpoint.invite(bob.uri, body=SMALL)
    await ada.expect(Answered)


class RealRegistrar(Registrar):
    """The tests' registrar behind a real socket."""

    def __init__(self, password: str) -> None:
        super().__init__(password)
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sock.bind(("127.0.0.1", 0))
        self.socket = DatagramSocket(sock, on_datagram=self._came, on_refused=lambda remote, why: None)
        self.socket.open()

    def _came(self, data: bytes, remote: HostPort) -> None:
        if data.strip():
            self.receive(data, Hop("udp", remote, self.socket.local), 0.0)
            for send in self.take():
                self.socket.send(bytes(send.message), send.hop.remote)


async def test_registering_and_what_the_trace_shows(phones):
    registrar = RealRegistrar("top secret")
    account = Account("sip:ada@example.org", registrar=HostPort("127.0.0.1", registrar.socket.local.port))
    ada = await phones("ada", account=account, password=lambda: "top secret")
    ada.endpoint.register(600)
    changed = await ada.expect(RegistrationChanged, 2)
    assert (changed.state, changed.status) == ("registered", 200)
    assert registrar.bindings == {f"sip:ada@127.0.0.1:{ada.endpoint.port}": 600}
    sent = [data for direction, _, data in ada.traces if direction == "out"]
    assert b'response="********"' in sent[1]
    assert b"Authorization: Digest" in sent[1]
    real = registrar.requests[1].headers.get("Authorization") or ""
    digest = real.split('response="')[1].split('"')[0]
    assert len(digest) in (32, 64)
    assert digest.encode() not in b"".join(sent)
    await ada.endpoint.close()
    assert registrar.bindings == {}
    registrar.socket.close()


# TLS ------------------------------------------------------------------------------


def certificate(folder: Path) -> tuple[Path, ssl.SSLContext]:
    """A self-signed certificate for localhost, and a server context with it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
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
    pem = folder / "cert.pem"
    pem.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    key_file = folder / "key.pem"
    key_file.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem, key_file)
    return pem, context


@pytest.fixture
async def tls_server(tmp_path: Path) -> AsyncIterator[tuple[int, Path]]:
    """Answers every request with 200, over TLS."""
    pem, context = certificate(tmp_path)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError):
            while True:
                request = parse_message(await reader.readuntil(b"\r\n\r\n"))
                assert isinstance(request, Request)
                writer.write(bytes(response_to(request, 200, to_tag="s")))
                await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    yield server.sockets[0].getsockname()[1], pem
    server.close()


async def test_tls_with_a_trusted_certificate(phones, tls_server):
    port, pem = tls_server
    ada = await phones("ada", ca_file=str(pem))
    answer = await ada.endpoint.options(f"sips:bob@localhost:{port}")
    assert answer.status == 200
    request = parse_message(ada.traces[0][2])
    assert request.top_via.transport == "TLS"


async def test_a_ca_file_is_trusted_beside_the_systems_authorities(phones, tls_server, tmp_path, monkeypatch):
    port, pem = tls_server
    company = tmp_path / "company"
    company.mkdir()
    monkeypatch.setenv("SSL_CERT_FILE", str(pem))  # what the TLS library takes for the system's
    ada = await phones("ada", ca_file=str(certificate(company)[0]))
    answer = await ada.endpoint.options(f"sips:bob@localhost:{port}")
    assert answer.status == 200


@pytest.mark.parametrize(
    ("host", "trusted", "words"), [("localhost", False, "not trusted"), ("127.0.0.1", True, "not trusted")]
)
async def test_tls_with_a_certificate_of_somebody_else(phones, tls_server, host: str, trusted: bool, words: str):
    port, pem = tls_server
    ada = await phones("ada", ca_file=str(pem) if trusted else None)
    answer = await ada.endpoint.options(f"sip:bob@{host}:{port};transport=tls")
    assert answer.status is None
    assert words in answer.reason


async def test_a_connection_to_one_name_is_not_used_for_another_name_at_its_address(phones, tls_server, monkeypatch):
    """Who made a false name lead to his own server would else be taken for whom that name belongs to."""
    port, pem = tls_server
    find = NAMES.addresses

    async def addresses(host: str) -> list[str]:
        return await find("localhost" if host == "bank.example" else host)

    monkeypatch.setattr(NAMES, "addresses", addresses)
    ada = await phones("ada", ca_file=str(pem))
    assert (await ada.endpoint.options(f"sips:bob@localhost:{port}")).status == 200
    refused = await ada.endpoint.options(f"sips:bob@bank.example:{port}")
    assert refused.status is None
    assert "The certificate of bank.example is not trusted" in refused.reason
    # A route that names an address, as proxies write it, goes on over the connection that there is.
    assert (await ada.endpoint.options(f"sip:bob@127.0.0.1:{port};transport=tls")).status == 200


async def test_the_authorities_are_read_once_and_beside_the_loop(phones, tls_server, authorities_read_in):
    """Reading them takes tens of milliseconds, in which no packet of a call would be served."""
    port, pem = tls_server
    ada = await phones("ada", ca_file=str(pem))
    assert (await ada.endpoint.options(f"sip:bob@127.0.0.1:{port};transport=tls")).status is None  # no name of its
    assert (await ada.endpoint.options(f"sips:bob@localhost:{port}")).status == 200
    assert len(authorities_read_in) == 1
    assert threading.main_thread() not in authorities_read_in


async def test_a_ca_file_that_is_none(phones, tls_server):
    port, pem = tls_server
    ada = await phones("ada", ca_file=os.fspath(pem.parent / "missing.pem"))
    answer = await ada.endpoint.options(f"sips:bob@localhost:{port}")
    assert "missing.pem" in answer.reason


# Finding servers --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("uri", "transport", "remote"),
    [
        ("sip:bob@192.0.2.7", "udp", "192.0.2.7:5060"),
        ("sip:bob@192.0.2.7:5070;transport=tcp", "tcp", "192.0.2.7:5070"),
        ("sips:bob@192.0.2.7", "tls", "192.0.2.7:5061"),
        ("sip:bob@[2001:db8::7]:5070", "udp", "[2001:db8::7]:5070"),
        ("sip:bob@example.org;maddr=192.0.2.9", "udp", "192.0.2.9:5060"),
    ],
)
def test_an_address_needs_no_lookup(uri: str, transport: str, remote: str):
    resolver = Resolver(lambda address: HostPort("192.0.2.1", 5060))
    found = resolver.at_once(SipUri.parse(uri))
    assert found is not None
    (hop,), problem = found
    assert (hop.transport, str(hop.remote), problem) == (transport, remote, "")


def test_an_unknown_transport_and_a_missing_route_are_said():
    def no_route(address: str) -> HostPort:
        raise OSError(101, "Network is unreachable")

    resolver = Resolver(no_route)
    assert resolver.at_once(SipUri.parse("sip:192.0.2.7;transport=sctp")) == ([], "The transport sctp is not supported")
    hops, problem = resolver.at_once(SipUri.parse("sip:192.0.2.7")) or ([], "")
    assert hops == []
    assert "Network is unreachable" in problem
    assert resolver.at_once(SipUri.parse("sip:example.org")) is None
