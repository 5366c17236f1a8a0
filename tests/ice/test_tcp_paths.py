"""Sessions that have TCP beside UDP (RFC 6544): UDP where it works, TCP where it does not."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from app.events import CandidateType
from app.ice.candidates import Candidate, IceDescription, TcpType
from app.ice.config import IceConfig
from app.ice.events import Failed, Interrupted, Silent
from app.ice.framing import frame
from app.settings import IcePolicy
from tests.ice.test_session import Side, eventually, two_sides

LOOPBACK = IceConfig(interfaces=("127.0.0.1",))


def over_tcp(description: IceDescription, *kinds: TcpType) -> IceDescription:
    """Leave only these candidates for TCP, as if the others led nowhere."""
    wanted = kinds or tuple(TcpType)
    kept = tuple(one for one in description.candidates if one.tcptype in wanted)
    assert kept
    return replace(description, candidates=kept)


@asynccontextmanager
async def joined_over_tcp(*kinds: TcpType) -> AsyncIterator[tuple[Side, Side]]:
    """Two sides of which the controlling one knows only these TCP candidates of the other, which knows all TCP ones."""
    async with two_sides(LOOPBACK) as (a, b):
        b.session.set_remote("audio", over_tcp(a.session.local("audio")))
        b.session.start_checks()
        a.session.set_remote("audio", over_tcp(b.session.local("audio"), *kinds))
        a.session.start_checks()
        async with asyncio.timeout(10):
            await asyncio.gather(a.session.wait_connected(), b.session.wait_connected())
        yield a, b


def of_tcp(description: IceDescription) -> dict[TcpType, Candidate]:
    return {one.tcptype: one for one in description.candidates if one.tcptype is not None}


async def test_each_address_has_an_active_and_a_passive_candidate_below_every_direct_one() -> None:
    async with two_sides(LOOPBACK) as (a, _):
        description = a.session.local("audio")
        tcp = of_tcp(description)
        assert set(tcp) == {TcpType.ACTIVE, TcpType.PASSIVE}
        assert tcp[TcpType.ACTIVE].port == 9
        assert str(tcp[TcpType.PASSIVE]).endswith(f" 127.0.0.1 {tcp[TcpType.PASSIVE].port} typ host tcptype passive")
        udp = [one for one in description.candidates if one.protocol == "udp"]
        assert min(one.priority for one in udp) > max(one.priority for one in tcp.values())
        assert udp[0].foundation not in {one.foundation for one in tcp.values()}
        default = a.session.default_candidate("audio")
        assert default is not None
        assert default.protocol == "udp"


@pytest.mark.parametrize("config", [replace(LOOPBACK, tcp=False), replace(LOOPBACK, policy=IcePolicy.RELAY)])
async def test_without_the_setting_or_with_relays_only_there_is_none(config: IceConfig) -> None:
    async with two_sides(config) as (a, _):
        assert of_tcp(a.session.local("audio")) == {}


async def test_udp_is_taken_where_it_works() -> None:
    async with two_sides(LOOPBACK, streams=("audio", "video")) as (a, b):
        for one, other in ((b, a), (a, b)):
            for stream in ("audio", "video"):
                one.session.set_remote(stream, other.session.local(stream))
            one.session.start_checks()
        await asyncio.gather(a.session.wait_connected(), b.session.wait_connected())
        for side in (a, b):
            for stream in ("audio", "video"):
                local, remote = side.session.selected(stream) or (None, None)
                assert local is not None
                assert remote is not None
                assert local.protocol == remote.protocol == "udp"


@pytest.mark.parametrize("kinds", [(), (TcpType.ACTIVE,), (TcpType.PASSIVE,)], ids=["both", "it connects", "we do"])
async def test_data_goes_both_ways_where_only_tcp_works(kinds: tuple[TcpType, ...]) -> None:
    async with joined_over_tcp(*kinds) as (a, b):
        for number in range(100):
            assert a.session.send("audio", b"\x80" + bytes([number]) * 1100)
            assert b.session.send("audio", b"\x80" + bytes([number]) * 100)
        for side, size in ((a, 101), (b, 1101)):
            heard = [await asyncio.wait_for(side.received.get(), 5) for _ in range(100)]
            assert [len(data) for _, data in heard] == [size] * 100
            assert [data[1] for _, data in heard] == list(range(100))
        for side in (a, b):
            local, remote = side.session.selected("audio") or (None, None)
            assert local is not None
            assert remote is not None
            assert (local.protocol, remote.protocol) == ("tcp", "tcp")
            pair = side.session.snapshot().selected_pair()
            assert pair is not None
            assert pair.rtt_s is not None


async def test_a_lost_connection_is_silence_at_once() -> None:
    async with joined_over_tcp() as (a, b):
        begun = asyncio.get_running_loop().time()
        await b.session.close()
        await eventually(lambda: a.told(Interrupted) == 1)
        assert asyncio.get_running_loop().time() - begun < 1.0
        assert (a.told(Silent), a.told(Failed)) == (1, 0)


async def test_a_refused_connection_is_said_of_the_pair() -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
        nobody = Candidate(
            "1", 1, "tcp", 9, "127.0.0.1", port, CandidateType.HOST, extensions=(("tcptype", "passive"),)
        )
        async with two_sides(LOOPBACK) as (a, b):
            a.session.set_remote("audio", replace(b.session.local("audio"), candidates=(nobody,)))
            a.session.start_checks()
            await eventually(lambda: any("refused" in (pair.reason or "") for pair in a.session.snapshot().pairs))
            assert a.told(Failed) == 0  # checks of the peer's may still come


async def test_a_stranger_who_connects_is_nobody() -> None:
    async with joined_over_tcp() as (a, b):
        passive = of_tcp(a.session.local("audio"))[TcpType.PASSIVE]
        try:
            _, writer = await asyncio.open_connection(passive.address, passive.port)
        except ConnectionRefusedError:
            return  # not the base that carries the call, and given back already
        writer.write(frame(b"\x80 not for you") + frame(b"\0\1\0\0"))
        await writer.drain()
        await eventually(lambda: a.session.counters().get("data from strangers") == 1)
        assert b.session.send("audio", b"\x80 for you")
        assert await asyncio.wait_for(a.received.get(), 5) == ("audio", b"\x80 for you")
        writer.close()
