from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from app.engine.network_examination import examine_network
from app.home.accounts import HomeUser
from app.home.config import HomeConfig
from app.home.server import HomeServer
from app.ice.config import IceConfig
from app.settings import HostPort, TurnServer

HERE = ("127.0.0.1",)


@contextmanager
def silent_port(*, tcp: bool) -> Iterator[int]:
    """A port at which nothing answers over UDP; over TCP somebody takes connections, or refuses them."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as deaf, socket.socket() as taker:
        taker.bind(("127.0.0.1", 0))
        port = int(taker.getsockname()[1])
        deaf.bind(("127.0.0.1", port))
        if tcp:
            taker.listen()
        yield port


async def test_without_servers_nothing_is_claimed() -> None:
    findings, report = await examine_network(IceConfig(interfaces=HERE))
    about = {finding.about: finding for finding in findings}
    assert about["network"].fine
    assert "127.0.0.1" in about["network"].sentence
    assert about["stun"].fine is None
    assert report.udp is None
    assert (report.nat, report.reach, report.servers, report.proxy) == (None, (), (), None)


async def test_a_server_is_told_of_with_what_it_said() -> None:
    server = HomeServer(HomeConfig(("127.0.0.1",), 0, 0, (HomeUser.from_password("ada", "parley.home", "secret"),)))
    await server.start()
    try:
        turn = TurnServer(server.turn_address, "udp", "ada", "secret")
        findings, report = await examine_network(IceConfig(interfaces=HERE, turn_servers=(turn,)))
    finally:
        await server.close()
    (asked,) = report.servers
    assert asked.state == "answered"
    assert report.udp is True
    assert report.relay
    assert report.nat is not None
    assert report.nat.kind == "none"
    assert [row.way for row in report.reach] == ["direct-udp"] * 5 + ["direct-tcp"]
    (finding,) = [finding for finding in findings if finding.about == "turn"]
    assert finding.fine
    assert "answers in" in finding.sentence
    assert "lends" in finding.sentence
    assert all("secret" not in finding.sentence for finding in findings)


@pytest.mark.parametrize(("tcp", "udp"), [(True, False), (False, None)])
async def test_udp_is_called_shut_only_when_the_server_is_there(tcp: bool, udp: bool | None) -> None:
    with silent_port(tcp=tcp) as port:
        config = IceConfig(interfaces=HERE, stun_servers=(HostPort("127.0.0.1", port),))
        findings, report = await examine_network(config)
    assert report.udp is udp
    about = {finding.about: finding for finding in findings}
    assert about["stun"].fine is False
    assert about["udp"].fine is (False if udp is False else None)
    ways = {row.way for row in report.reach}
    assert ways == ({"direct-tcp", "none"} if udp is False else set())


async def test_the_proxy_is_named_without_its_password() -> None:
    proxy = "http://me:secret@127.0.0.1:9"
    turn = TurnServer(HostPort("127.0.0.1", 9), "tcp", "ada", "x")
    findings, report = await examine_network(IceConfig(interfaces=HERE, turn_servers=(turn,), proxy=proxy))
    assert report.proxy == "http://127.0.0.1:9"
    assert all("secret" not in finding.sentence for finding in findings)


async def test_examining_can_be_broken_off() -> None:
    with silent_port(tcp=False) as port:
        config = IceConfig(interfaces=HERE, stun_servers=(HostPort("127.0.0.1", port),))
        task = asyncio.create_task(examine_network(config))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
