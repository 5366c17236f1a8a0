"""Sessions with real sockets on loopback: between each other, with coturn, with dead servers, with strangers."""

from __future__ import annotations

import asyncio
import os
import random
import socket
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from app.events import CandidateType, IceState
from app.ice.candidates import IceError, IceFailed
from app.ice.config import IceConfig, Timing
from app.ice.events import BindingRequestSeen, Completed, Gathered, IceEvent, Nominated, Silent
from app.ice.session import IceSession
from app.settings import HostPort, IcePolicy, TurnServer
from tests.ice.conftest import Coturn, free_port

LOOPBACK = IceConfig(interfaces=("127.0.0.1",), tcp=False)  # test_tcp_paths.py has both


class Side:
    """A session with what it told and received."""

    def __init__(self, config: IceConfig, controlling: bool, streams: tuple[str, ...]) -> None:
        self.events: list[IceEvent] = []
        self.received: asyncio.Queue[tuple[str, bytes]] = asyncio.Queue()
        self.session = IceSession(config, controlling, streams, on_event=self.events.append)
        self.session.on_datagram = lambda stream, data: self.received.put_nowait((stream, data))

    def told(self, kind: type[IceEvent]) -> int:
        return sum(isinstance(event, kind) for event in self.events)


@asynccontextmanager
async def two_sides(
    config: IceConfig = LOOPBACK, other: IceConfig | None = None, streams: tuple[str, ...] = ("audio",)
) -> AsyncIterator[tuple[Side, Side]]:
    a, b = Side(config, True, streams), Side(other or config, False, streams)
    try:
        await asyncio.gather(a.session.gather(), b.session.gather())
        yield a, b
    finally:
        await asyncio.gather(a.session.close(), b.session.close())


async def connect(a: Side, b: Side, streams: tuple[str, ...] = ("audio",)) -> None:
    for stream in streams:
        b.session.set_remote(stream, a.session.local(stream))
    b.session.start_checks()
    for stream in streams:
        a.session.set_remote(stream, b.session.local(stream))
    a.session.start_checks()
    await asyncio.gather(a.session.wait_connected(), b.session.wait_connected())
    await eventually(lambda: all(side.told(Completed) for side in (a, b)))


def open_sockets() -> int:
    return sum(os.readlink(link).startswith("socket:") for link in Path("/proc/self/fd").iterdir() if link.is_symlink())


async def eventually(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110 - what is awaited happens in another process or on a socket
            await asyncio.sleep(0.01)


async def test_two_streams_connect_and_carry_data_both_ways() -> None:
    streams = ("audio", "video")
    async with two_sides(streams=streams) as (a, b):
        await connect(a, b, streams)
        assert a.session.send("audio", b"\x80to b")
        assert b.session.send("video", b"\x80to a")
        assert await b.received.get() == ("audio", b"\x80to b")
        assert await a.received.get() == ("video", b"\x80to a")
        for side in (a, b):
            assert (side.told(Gathered), side.told(Nominated), side.told(Completed)) == (1, 2, 1)
            assert side.told(BindingRequestSeen) == 2
            assert side.session.binding_request_seen("audio")
        local, remote = a.session.selected("audio") or (None, None)
        assert remote == b.session.local("audio").candidates[0]
        assert local == a.session.default_candidate("audio")


async def test_the_snapshot_is_true() -> None:
    async with two_sides(replace(LOOPBACK, clock_zero=time.monotonic())) as (a, b):
        assert a.session.snapshot().state is IceState.GATHERED
        await connect(a, b)
        a.session.send("audio", b"\x80" * 100)
        b.session.send("audio", b"\x80" * 30)
        await a.received.get()
        snapshot = a.session.snapshot()
        pair = snapshot.selected_pair()
        assert pair is not None
        assert (snapshot.role, snapshot.state) == ("controlling", IceState.COMPLETED)
        assert (pair.sent_bytes, pair.received_bytes) == (100, 30)
        assert 0 < (pair.rtt_s or 0) < 0.2
        assert pair.started_at is not None
        assert pair.finished_at is not None
        assert 0 < pair.started_at < pair.finished_at < 2
        assert 0 < (snapshot.connected_in_s or 0) < 1
        assert 0 < (snapshot.gathered_in_s or 0) < 1
        info = snapshot.local[pair.local]
        assert (info.type, info.address, info.interface) == (CandidateType.HOST, "127.0.0.1", "lo")
        assert info.base == f"127.0.0.1:{info.port}"
        assert snapshot.remote[pair.remote].port == b.session.local("audio").candidates[0].port
        assert snapshot.problems == ()


async def test_an_early_check_is_answered_and_followed_up_when_the_description_comes() -> None:
    """The callee checks as soon as its answer is sent; the answer may arrive after its checks do."""
    async with two_sides() as (a, b):
        b.session.set_remote("audio", a.session.local("audio"))
        b.session.start_checks()
        await eventually(lambda: bool(a.told(BindingRequestSeen)))
        a.session.set_remote("audio", b.session.local("audio"))
        a.session.start_checks()
        await asyncio.gather(a.session.wait_connected(), b.session.wait_connected())


async def test_coturn_gives_relay_and_reflexive_by_one_allocate(coturn: Coturn) -> None:
    """R1. On loopback the reflexive address equals the host's and is left out as redundant."""
    config = replace(LOOPBACK, turn_servers=(coturn.turn(),))
    async with two_sides(config) as (a, b):
        types = [candidate.type for candidate in a.session.local("audio").candidates]
        assert types == [CandidateType.HOST, CandidateType.RELAY]
        default = a.session.default_candidate("audio")
        assert default is not None
        assert default.type is CandidateType.RELAY
        assert a.session.snapshot().local[1].server == str(coturn.address)
        await connect(a, b)
        pair = a.session.selected("audio")
        assert pair is not None
        assert pair[0].type is CandidateType.HOST


@pytest.mark.parametrize("transport", ["udp", "tcp", "tls"])
@pytest.mark.parametrize("both", [True, False], ids=["both relay", "one relays"])
async def test_media_goes_through_coturn_when_only_relays_are_allowed(
    coturn: Coturn, both: bool, transport: str
) -> None:
    turn = coturn.turn(transport=transport)
    relay = replace(LOOPBACK, turn_servers=(turn,), policy=IcePolicy.RELAY, ca_file=str(coturn.ca_file))
    async with two_sides(relay, relay if both else LOOPBACK) as (a, b):
        await connect(a, b)
        local, _ = a.session.selected("audio") or (None, None)
        assert local is not None
        assert local.type is CandidateType.RELAY
        for number in range(50):  # the first ones as indications, the later ones over the channel
            assert a.session.send("audio", b"\x80" + bytes([number]) * 1100)
            assert b.session.send("audio", b"\x80" + bytes([number]))
            assert (await b.received.get())[1] == b"\x80" + bytes([number]) * 1100
            assert (await a.received.get())[1] == b"\x80" + bytes([number])


async def test_a_wrong_turn_password_is_said_in_a_sentence_and_costs_no_time(coturn: Coturn) -> None:
    config = replace(LOOPBACK, turn_servers=(coturn.turn("wrong"),))
    async with two_sides(config, LOOPBACK) as (a, b):
        snapshot = a.session.snapshot()
        assert "user name and password" in snapshot.problems[0]
        assert (snapshot.gathered_in_s or 9) < 1
        await connect(a, b)


async def test_a_certificate_nobody_vouches_for_is_said(coturn: Coturn) -> None:
    side = Side(replace(LOOPBACK, turn_servers=(coturn.turn(transport="tls"),)), True, ("audio",))
    await side.session.gather()
    assert "is not trusted" in side.session.snapshot().problems[0]
    await side.session.close()


async def test_authorities_are_read_beside_the_loop_and_a_bad_file_is_named(
    coturn: Coturn, tmp_path: Path, authorities_read_in: list[threading.Thread]
) -> None:
    """Reading them takes tens of milliseconds, in which no packet of another call would be served."""
    broken = tmp_path / "authorities.pem"
    broken.write_text("no certificate")
    for ca_file in (str(broken), str(tmp_path / "nowhere.pem")):
        config = replace(LOOPBACK, turn_servers=(coturn.turn(transport="tls"),), ca_file=ca_file)
        side = Side(config, True, ("audio", "video"))
        await side.session.gather()
        (problem,) = side.session.snapshot().problems
        assert problem.startswith(f"The file of authorities {ca_file} cannot be used: ")
        await side.session.close()
    assert authorities_read_in
    assert threading.main_thread() not in authorities_read_in


async def test_a_relay_over_tcp_that_goes_away_is_said() -> None:
    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(20)
        writer.close()

    server = await asyncio.start_server(hang_up, "127.0.0.1", 0)
    address = HostPort(*server.sockets[0].getsockname())
    side = Side(replace(LOOPBACK, turn_servers=(TurnServer(address, "tcp", "u", "p"),)), True, ("audio",))
    await side.session.gather()
    snapshot = side.session.snapshot()
    assert "is lost" in snapshot.problems[0]
    assert (snapshot.gathered_in_s or 9) < 1
    await side.session.close()
    server.close()


async def test_dead_servers_and_unknown_names_cost_a_bounded_time() -> None:
    dead = HostPort("127.0.0.1", free_port())
    config = replace(
        LOOPBACK,
        stun_servers=(dead, HostPort("no-such-host.invalid", 3478)),
        turn_servers=(TurnServer(HostPort("127.0.0.1", free_port()), "udp", "u", "p"),),
        server_timeout_s=0.3,
    )
    async with two_sides(config, LOOPBACK) as (a, b):
        snapshot = a.session.snapshot()
        assert (snapshot.gathered_in_s or 9) < 0.8
        assert len(snapshot.problems) == 3
        assert all(sentence.endswith(".") for sentence in snapshot.problems)
        await connect(a, b)


async def test_an_interface_that_is_not_there_is_named() -> None:
    side = Side(replace(LOOPBACK, interfaces=("wlan77",)), True, ("audio",))
    await side.session.gather()
    assert side.session.local("audio").candidates == ()
    assert side.session.default_candidate("audio") is None
    assert "wlan77" in side.session.snapshot().problems[0]
    side.session.set_remote("audio", side.session.local("audio"))
    side.session.start_checks()
    with pytest.raises(IceFailed, match="wlan77"):
        await side.session.wait_connected()
    await side.session.close()


async def test_random_datagrams_change_nothing_and_are_not_answered() -> None:
    rng = random.Random(7)
    async with two_sides() as (a, b):
        target = a.session.local("audio").candidates[0].transport_address
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
            stranger.bind(("127.0.0.1", 0))
            stranger.setblocking(False)
            for at in range(10_000):
                stranger.sendto(rng.randbytes(rng.randrange(1, 200)), target)
                if at % 100 == 0:
                    await asyncio.sleep(0)
            await connect(a, b)
            with pytest.raises(BlockingIOError):
                stranger.recv(100)
        assert a.session.send("audio", b"\x80x")
        assert await b.received.get() == ("audio", b"\x80x")
        assert a.received.empty()
        assert a.session.counters()["data from strangers"] > 0


async def test_plain_mode_goes_where_authentic_packets_come_from() -> None:
    side = Side(LOOPBACK, True, ("audio",))
    judged: list[bytes] = []

    def is_authentic(flow: str, data: bytes, named: bool) -> bool:
        judged.append(data)
        return data.startswith(b"\x80peer")

    side.session.on_stranger = is_authentic
    await side.session.gather()
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger,
    ):
        for one in (peer, stranger):
            one.bind(("127.0.0.1", 0))
            one.settimeout(2)
        mine = side.session.local("audio").candidates[0].transport_address
        side.session.use_plain("audio", "127.0.0.1", free_port())  # behind its NAT the peer sends from elsewhere
        assert side.session.snapshot().state is IceState.DISABLED
        stranger.sendto(b"\x80first", mine)
        peer.sendto(b"\x80peer", mine)
        peer.sendto(b"\x80more", mine)
        assert await side.received.get() == ("audio", b"\x80more")  # what was judged is used already
        assert judged == [b"\x80first", b"\x80peer"]
        stranger.sendto(b"\x80late", mine)
        peer.sendto(b"\x80again", mine)
        assert await side.received.get() == ("audio", b"\x80again")
        side.session.send("audio", b"\x80back")
        assert peer.recv(100) == b"\x80back"
        assert side.session.counters()["data from strangers"] == 2
    with pytest.raises(IceError):
        side.session.use_plain("audio", "host.example", 5)
    await side.session.close()


async def test_plain_mode_over_a_relay(coturn: Coturn) -> None:
    side = Side(replace(LOOPBACK, turn_servers=(coturn.turn(),)), True, ("audio",))
    await side.session.gather()
    default = side.session.default_candidate("audio")
    assert default is not None
    assert default.type is CandidateType.RELAY
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer:
        peer.bind(("127.0.0.1", 0))
        peer.setblocking(False)
        side.session.use_plain("audio", *peer.getsockname())

        def reached() -> bool:
            side.session.send("audio", b"\x80out")
            try:
                return peer.recvfrom(100) == (b"\x80out", default.transport_address)
            except BlockingIOError:
                return False

        await eventually(reached)
        peer.sendto(b"\x80in", default.transport_address)
        assert await side.received.get() == ("audio", b"\x80in")
    await side.session.close()


async def test_a_removed_stream_is_not_waited_for() -> None:
    streams = ("audio", "video")
    async with two_sides(streams=streams) as (a, b):
        port = a.session.local("video").candidates[0].port
        for side in (a, b):
            side.session.remove_stream("video")
        await connect(a, b)
        assert not a.session.send("video", b"\x80x")
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as again:
            again.bind(("127.0.0.1", port))


async def test_nobody_there_fails_with_a_sentence() -> None:
    impatient = replace(LOOPBACK, timing=Timing(patience_s=0.3))
    async with two_sides(impatient, LOOPBACK) as (a, b):
        a.session.set_remote("audio", b.session.local("audio"))
        await b.session.close()
        a.session.start_checks()
        with pytest.raises(IceFailed, match="No way to the other side was found"):
            await a.session.wait_connected()
        assert a.session.snapshot().state is IceState.FAILED


async def test_closing_ends_the_wait_and_is_safe_twice() -> None:
    side = Side(LOOPBACK, True, ("audio",))
    await side.session.gather()
    waiting = asyncio.create_task(side.session.wait_connected())
    await asyncio.sleep(0)
    await side.session.close()
    await side.session.close()
    with pytest.raises(IceFailed):
        await waiting
    assert not side.session.send("audio", b"\x80x")
    assert side.session.snapshot().state is IceState.CLOSED


@pytest.mark.parametrize("after_s", [0, 0.001, 0.02, 0.1])
async def test_closing_while_gathering_leaves_no_socket_open(coturn: Coturn, after_s: float) -> None:
    """The person hangs up before the call is placed."""
    turn = tuple(coturn.turn(transport=transport) for transport in ("udp", "tcp", "tls"))
    dead = (HostPort("127.0.0.1", free_port()),)
    config = replace(LOOPBACK, turn_servers=turn, stun_servers=dead, ca_file=str(coturn.ca_file), server_timeout_s=0.4)
    before = open_sockets()
    side = Side(config, True, ("audio", "video"))
    gathering = asyncio.create_task(side.session.gather())
    await asyncio.sleep(after_s)
    await side.session.close()
    async with asyncio.timeout(2):
        await gathering
    await eventually(lambda: open_sockets() <= before)


async def test_closing_that_is_cancelled_gives_our_names_back() -> None:
    before = open_sockets()
    side = Side(replace(LOOPBACK, hide_addresses=True), True, ("audio",))
    await side.session.gather()
    assert side.session.local("audio").candidates[0].address.endswith(".local")
    closing = asyncio.create_task(side.session.close())
    await asyncio.sleep(0)
    closing.cancel()
    await asyncio.wait([closing])
    assert closing.cancelled()
    await eventually(lambda: open_sockets() <= before)


async def test_closing_hands_the_allocation_back_to_coturn(coturn: Coturn) -> None:
    """With a quota of nothing left over, as many sessions as you like can follow each other."""
    config = replace(LOOPBACK, turn_servers=(coturn.turn(),))
    for _ in range(3):
        side = Side(config, True, ("audio", "video"))
        await side.session.gather()
        assert len(side.session.local("video").candidates) == 2
        began = time.monotonic()
        await side.session.close()
        assert time.monotonic() - began < 0.25  # coturn has confirmed; nothing was waited out


async def test_two_forks_of_one_offer_connect_to_two_far_ends() -> None:
    async with two_sides() as (a, b):
        c = Side(LOOPBACK, False, ("audio",))
        await c.session.gather()
        fork = Side(LOOPBACK, True, ("audio",))
        fork.session = a.session.fork(on_event=fork.events.append)
        fork.session.on_datagram = lambda stream, data: fork.received.put_nowait((stream, data))
        await asyncio.gather(connect(a, b), connect(fork, c))
        for mine, far in ((a, b), (fork, c)):
            far.session.send("audio", b"\x80" + far.session.local("audio").ufrag.encode())
            assert await mine.received.get() == ("audio", b"\x80" + far.session.local("audio").ufrag.encode())
            assert mine.session.send("audio", b"\x80mine")
            assert await far.received.get() == ("audio", b"\x80mine")
        await a.session.close()
        assert fork.session.send("audio", b"\x80still")
        assert await c.received.get() == ("audio", b"\x80still")
        await fork.session.close()
        await c.session.close()


@pytest.mark.logs_error("a callback of an ICE session raised")
async def test_a_callback_that_raises_ends_nothing() -> None:
    async with two_sides() as (a, b):
        await connect(a, b)
        a.session.on_datagram = lambda stream, data: 1 // 0  # type: ignore[assignment,return-value]
        b.session.send("audio", b"\x80x")
        await eventually(lambda: (a.session.snapshot().pairs[0].received_bytes) == 2)
        assert a.session.send("audio", b"\x80y")
        assert await b.received.get() == ("audio", b"\x80y")


async def test_data_that_stops_on_real_sockets_is_noticed_in_a_second() -> None:
    """The watch is woken by the first data, not by the consent check that is due seconds later."""
    async with two_sides() as (a, b):
        await connect(a, b)
        for _ in range(10):
            b.session.send("audio", b"\x80sound")
            await a.received.get()
        for opened in b.session._hub._sockets.values():
            opened.close()
        began = time.monotonic()
        async with asyncio.timeout(3):
            while not a.told(Silent):  # noqa: ASYNC110 - what is awaited is a moment of the clock's
                await asyncio.sleep(0.02)
        assert 0.9 < time.monotonic() - began < 1.8


async def test_closing_that_is_cancelled_frees_the_sockets_and_whoever_waits(coturn: Coturn) -> None:
    before = open_sockets()
    session = IceSession(replace(LOOPBACK, turn_servers=(coturn.turn(),)), True, ["0"], on_event=lambda event: None)
    await session.gather()
    waiting = asyncio.create_task(session.wait_connected())
    closing = asyncio.create_task(session.close())
    await asyncio.sleep(0)
    closing.cancel()
    await asyncio.gather(closing, return_exceptions=True)
    assert closing.cancelled()
    with pytest.raises(IceFailed):
        await asyncio.wait_for(waiting, 1)
    assert open_sockets() == before
