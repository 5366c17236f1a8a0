"""The TURN server on real sockets, asked by clients that are not ours."""

from __future__ import annotations

import asyncio
import contextlib
import random
import re
import shutil
import socket
from collections.abc import AsyncIterator
from typing import cast

import aioice.stun
import aioice.turn
import pytest

from app.home.accounts import HomeUser, Users
from app.home.errors import HomeError
from app.home.sockets import own_addresses
from app.home.turn_io import TurnLimits
from app.home.turn_service import TurnService
from app.ice.stun import Attribute, Message, MessageClass, Method

REALM = "home.test"
Address = tuple[str, int]


def make_service(hosts: tuple[str, ...] = ("127.0.0.1",), *, allow_own_peers: bool = True) -> TurnService:
    users = Users([HomeUser.from_password("ada", REALM, "secret")])
    return TurnService(hosts, 0, REALM, users.turn_key, allow_own_peers=allow_own_peers)


@pytest.fixture
async def service() -> AsyncIterator[TurnService]:
    service = make_service()
    await service.start()
    yield service
    service.close()


class Collector(asyncio.DatagramProtocol):
    """Keeps what arrives and, as a peer, sends it back with a mark."""

    def __init__(self, *, echo: bool = False) -> None:
        self.echo = echo
        self.heard: asyncio.Queue[tuple[bytes, Address]] = asyncio.Queue()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, addr: Address) -> None:
        self.heard.put_nowait((data, addr))
        if self.echo:
            self.transport.sendto(b"echo " + data, addr)


async def open_socket(host: str = "127.0.0.1", *, echo: bool = False) -> tuple[Collector, Address]:
    transport, protocol = await asyncio.get_running_loop().create_datagram_endpoint(
        lambda: Collector(echo=echo), local_addr=(host, 0)
    )
    return protocol, transport.get_extra_info("sockname")[:2]


async def bind_address(server: Address, *, host: str = "127.0.0.1") -> tuple[Address | None, Address]:
    """Ask with a Binding request; give (the address seen, the address the answer came from)."""
    client, _ = await open_socket(host)
    client.transport.sendto(Message(Method.BINDING, MessageClass.REQUEST, bytes(12)).encode(), server)
    data, source = await asyncio.wait_for(client.heard.get(), 2)
    client.transport.close()
    return Message.parse(data).address(Attribute.XOR_MAPPED_ADDRESS), source[:2]


async def test_aioice_relays_both_ways_through_us(service: TurnService) -> None:
    peer, peer_address = await open_socket(echo=True)
    client = Collector()
    transport, _ = await aioice.turn.create_turn_endpoint(
        lambda: client, server_addr=("127.0.0.1", service.port), username="ada", password="secret"
    )
    relayed = transport.get_extra_info("sockname")
    assert relayed[0] == "127.0.0.1"
    for number in range(20):
        transport.sendto(b"%d" % number, peer_address)
    answers = [await asyncio.wait_for(client.heard.get(), 2) for _ in range(20)]
    assert answers == [(b"echo %d" % number, peer_address) for number in range(20)]
    assert (await peer.heard.get())[1] == relayed
    transport.close()
    peer.transport.close()
    for _ in range(100):
        if service.allocations == 0:
            break
        await asyncio.sleep(0.01)
    assert service.allocations == 0


async def test_aioice_with_a_wrong_password_is_refused(service: TurnService) -> None:
    with pytest.raises(aioice.stun.TransactionFailed, match="401"):
        await aioice.turn.create_turn_endpoint(
            Collector, server_addr=("127.0.0.1", service.port), username="ada", password="wrong"
        )
    assert service.allocations == 0


async def test_an_answer_comes_from_the_address_that_was_asked() -> None:
    """A wildcard socket would answer a client on a network address from that address, also when asked at loopback."""
    network = next((host for host in own_addresses() if ":" not in host and not host.startswith("127.")), None)
    service = make_service(("0.0.0.0",))
    await service.start()
    try:
        for asked in ("127.0.0.1", "127.0.0.2", *([network] if network else [])):
            seen, answered_from = await bind_address((asked, service.port), host=network or "127.0.0.1")
            assert seen is not None
            assert answered_from == (asked, service.port)
    finally:
        service.close()


async def test_ipv6_is_served_beside_ipv4() -> None:
    if not socket.has_ipv6:
        pytest.skip("no IPv6 here")
    service = make_service(("0.0.0.0", "::"))
    await service.start()
    try:
        seen, answered_from = await bind_address(("::1", service.port), host="::1")
        assert seen is not None
        assert seen[0] == "::1"
        assert answered_from == ("::1", service.port)
    finally:
        service.close()


async def test_a_port_in_use_is_said_in_words(service: TurnService) -> None:
    second = TurnService(("127.0.0.1",), service.port, REALM, lambda _: None)
    with pytest.raises(HomeError, match="in use"):
        await second.start()


async def test_ten_thousand_random_datagrams_leave_it_serving(service: TurnService) -> None:
    random_ = random.Random(1)
    noise = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    for number in range(10_000):
        data = random_.randbytes(random_.randrange(1, 300))
        if number % 2:
            data = Message(random_.choice((1, 3, 4, 8, 9)), MessageClass.REQUEST, data[:12].ljust(12)).encode()
        noise.sendto(data, ("127.0.0.1", service.port))
        if number % 50 == 0:
            await asyncio.sleep(0)
    noise.close()
    async with asyncio.timeout(20):  # the noise came from the client's own address, whose allowance must fill up again
        while True:
            with contextlib.suppress(TimeoutError):
                seen, _ = await bind_address(("127.0.0.1", service.port))
                break
    assert seen is not None
    assert service.allocations == 0
    assert service.counters()["malformed"] > 4000


@pytest.mark.skipif(shutil.which("turnutils_uclient") is None, reason="coturn's client is not installed")
async def test_coturns_client_loses_nothing() -> None:
    """turnutils_uclient, two allocations that send to each other. Not over channels: it numbers them as RFC 5766 did,
    beyond the range that RFC 8656 leaves."""
    service = make_service()
    await service.start()
    try:
        process = await asyncio.create_subprocess_exec(
            "turnutils_uclient", "-u", "ada", "-w", "secret", "-p", str(service.port), "-y", "-s", "-c", "-n", "20",
            "-m", "2", "-l", "170", "127.0.0.1",
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip
        output = (await asyncio.wait_for(process.communicate(), 40))[0].decode()
        assert process.returncode == 0, output[-2000:]
        totals = re.findall(r"tot_send_msgs=(\d+), tot_recv_msgs=(\d+)", output)
        assert totals, output[-2000:]
        assert totals[-1][0] == totals[-1][1] != "0", output[-2000:]
    finally:
        service.close()


async def test_limits_reach_the_core() -> None:
    users = Users([HomeUser.from_password("ada", REALM, "secret")])
    service = TurnService(("127.0.0.1",), 0, REALM, users.turn_key, limits=TurnLimits(allocations_per_user=0))
    await service.start()
    try:
        with pytest.raises(aioice.stun.TransactionFailed, match="486"):
            await aioice.turn.create_turn_endpoint(
                Collector, server_addr=("127.0.0.1", service.port), username="ada", password="secret"
            )
    finally:
        service.close()
