"""Bases that speak TCP: one connection for each remote address, frames, limits for strangers."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import struct
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.ice import tcp
from app.ice.framing import LengthFramer, frame
from app.ice.stun import Address
from app.ice.tcp import TcpBase, TcpConnector, TcpListener

HOST = "127.0.0.1"


class End:
    """A base with what came to it; `friends` have passed a check."""

    def __init__(self, listens: bool) -> None:
        self.heard: asyncio.Queue[tuple[bytes, Address]] = asyncio.Queue()
        self.lost: asyncio.Queue[tuple[Address, str]] = asyncio.Queue()
        self.friends: set[Address] = set()
        self.counters: Counter[str] = Counter()
        sinks = (
            lambda data, source: self.heard.put_nowait((data, source)),
            lambda remote, why: self.lost.put_nowait((remote, why)),
            lambda remote: remote in self.friends,
            self.counters,
        )
        loop = asyncio.get_running_loop()
        self.base: TcpBase = TcpListener(loop, HOST, *sinks) if listens else TcpConnector(HOST, *sinks)


async def within(what: asyncio.Queue[tuple[bytes, Address]]) -> tuple[bytes, Address]:
    return await asyncio.wait_for(what.get(), 5)


async def connected() -> tuple[End, End, Address]:
    """Give a listener, a connector that has connected to it, and the connector's address there."""
    server, client = End(True), End(False)
    assert client.base.send(b"first", server.base.address)
    data, source = await within(server.heard)
    assert data == b"first"
    return server, client, source


async def test_datagrams_go_both_ways_over_one_connection() -> None:
    server, client, source = await connected()
    assert client.base.address == (HOST, 9)
    assert server.base.send(b"x" * 1200, source)
    assert await within(client.heard) == (b"x" * 1200, server.base.address)
    for number in range(50):
        assert client.base.send(bytes([number]) * (number + 1), server.base.address)
    heard = [await within(server.heard) for _ in range(50)]
    assert heard == [(bytes([number]) * (number + 1), source) for number in range(50)]
    client.base.close()
    server.base.close()


def test_the_same_on_the_loop_that_the_engine_uses() -> None:
    uvloop = pytest.importorskip("uvloop", reason="not on this system")
    uvloop.run(test_datagrams_go_both_ways_over_one_connection())
    uvloop.run(test_a_lost_connection_is_told_on_both_sides())
    uvloop.run(test_a_refused_connection_is_told_at_once_and_not_tried_again())


async def test_a_listener_reaches_only_who_has_connected() -> None:
    server = End(True)
    assert not server.base.send(b"hello", (HOST, 5555))
    server.base.close()


async def test_a_refused_connection_is_told_at_once_and_not_tried_again() -> None:
    closed = socket.socket()
    closed.bind((HOST, 0))
    place = closed.getsockname()
    client = End(False)
    assert client.base.send(b"check", place)
    remote, why = await asyncio.wait_for(client.lost.get(), 5)
    assert remote == place
    assert "refused" in why.lower()
    assert not client.base.send(b"check", place)
    client.base.close()
    closed.close()


async def test_a_connection_that_never_stands_ends_in_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tcp, "CONNECT_S", 0.05)
    client = End(False)
    assert client.base.send(b"check", ("192.0.2.1", 9999))
    remote, why = await asyncio.wait_for(client.lost.get(), 5)
    assert remote == ("192.0.2.1", 9999)
    assert why
    client.base.close()


async def test_a_lost_connection_is_told_on_both_sides() -> None:
    server, client, source = await connected()
    server.base.close()
    remote, why = await asyncio.wait_for(client.lost.get(), 5)
    assert remote == server.base.address
    assert "closed" in why
    client.base.close()

    server, client, source = await connected()
    client.base.close()
    assert (await asyncio.wait_for(server.lost.get(), 5))[0] == source
    assert not server.base.send(b"late", source)
    server.base.close()


async def test_strangers_are_closed_after_their_time_and_friends_are_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tcp, "STRANGER_S", 0.1)
    server, friend, friendly = await connected()
    server.friends.add(friendly)
    reader, writer = await asyncio.open_connection(*server.base.address)
    assert await asyncio.wait_for(reader.read(1), 5) == b""
    assert server.counters["connections of strangers"] == 1
    assert server.base.send(b"still there", friendly)
    assert (await within(friend.heard))[0] == b"still there"
    writer.close()
    friend.base.close()
    server.base.close()


async def test_a_crowd_of_strangers_keeps_nobody_out() -> None:
    server = End(True)
    crowd = [await asyncio.open_connection(*server.base.address) for _ in range(30)]
    client = End(False)
    assert client.base.send(b"check", server.base.address)
    assert (await within(server.heard))[0] == b"check"
    closed = [await asyncio.wait_for(reader.read(1), 5) for reader, _ in crowd[: 30 - tcp.MAX_STRANGERS_OF_ONE]]
    assert set(closed) == {b""}
    for _, writer in crowd:
        writer.close()
    client.base.close()
    server.base.close()


async def test_a_stranger_may_not_announce_more_than_a_check() -> None:
    server = End(True)
    reader, writer = await asyncio.open_connection(*server.base.address)
    writer.write(b"\xff\xff" + b"a" * 2000)
    assert await asyncio.wait_for(reader.read(1), 5) == b""
    writer.close()
    server.base.close()


async def test_what_the_other_side_does_not_read_is_not_piled_up() -> None:
    server = End(True)
    deaf = socket.create_connection(server.base.address)
    deaf.sendall(frame(b"hello"))
    _, place = await within(server.heard)
    sent = 0
    while server.base.send(b"v" * 1200, place):
        sent += 1200
        assert sent < 64 << 20
    deaf.close()
    server.base.close()


@given(st.lists(st.binary(max_size=300), max_size=20), st.integers(1, 50))
def test_frames_survive_any_cutting(datagrams: list[bytes], step: int) -> None:
    stream = b"".join(frame(one) for one in datagrams)
    framer = LengthFramer()
    heard = [one for at in range(0, len(stream), step) for one in framer.feed(stream[at : at + step])]
    assert heard == datagrams
    assert framer.awaited == 0


async def _reset_before_it_is_taken() -> tuple[list[str], int]:
    """Connect and reset at once, then connect and stay; gives what the loop complained of, and who is left."""
    complaints: list[str] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda loop, context: complaints.append(str(context)))
    server = End(True)
    for _ in range(5):
        with socket.create_connection(server.base.address) as stranger:
            stranger.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client = End(False)
    assert client.base.send(b"hello", server.base.address)
    await within(server.heard)
    left = len(server.base._connections)
    client.base.close()
    server.base.close()
    return complaints, left


@pytest.mark.parametrize("loops", ["asyncio", "uvloop"])
def test_strangers_who_left_before_they_were_taken_leave_nothing(loops: str) -> None:
    runner = asyncio if loops == "asyncio" else pytest.importorskip("uvloop", reason="not on this system")
    assert runner.run(_reset_before_it_is_taken()) == ([], 1)


async def test_without_a_free_descriptor_the_loop_rests(monkeypatch: pytest.MonkeyPatch) -> None:
    resource = pytest.importorskip("resource", reason="not on this system")
    monkeypatch.setattr(tcp, "ACCEPT_AGAIN_S", 0.2)
    tried = 0
    accept = tcp.TcpListener._acceptable

    def counted(self: TcpListener) -> None:
        nonlocal tried
        tried += 1
        accept(self)

    monkeypatch.setattr(tcp.TcpListener, "_acceptable", counted)
    server = End(True)
    client = socket.create_connection(server.base.address)
    client.sendall(frame(b"hello"))
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    free = os.dup(0)
    resource.setrlimit(resource.RLIMIT_NOFILE, (free, limits[1]))
    os.close(free)
    try:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(server.heard.get(), 0.1)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    assert tried == 1
    assert (await within(server.heard))[0] == b"hello"
    client.close()
    server.base.close()


async def test_closing_while_connections_are_being_taken_closes_them() -> None:
    server = End(True)
    with socket.create_connection(server.base.address) as stranger:
        stranger.setblocking(False)
        assert isinstance(server.base, TcpListener)
        server.base._acceptable()
        server.base.close()
        loop = asyncio.get_running_loop()
        assert await asyncio.wait_for(loop.sock_recv(stranger, 1), 5) == b""
