"""The sockets of a session on each event loop that a system may have."""

from __future__ import annotations

import asyncio
import socket
import struct
import sys
import time
from collections import Counter
from typing import Any

import pytest

from app.ice.sockets import TurnConnection, UdpSocket, _waited_s
from app.ice.stun import Address, Message, MessageClass, Method


async def _ask_over_tcp() -> bytes:
    """Send one request over a connection to a server that sends it back; gives what came."""

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(await reader.read(100))
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    heard: asyncio.Queue[bytes] = asyncio.Queue()
    connection = await TurnConnection.open(
        server.sockets[0].getsockname(),
        "127.0.0.1",
        None,
        lambda data, source: heard.put_nowait(data),
        lambda why: None,
    )
    assert connection.send(Message(Method.BINDING, MessageClass.REQUEST, b"t" * 12).encode(), connection.server)
    answer = await asyncio.wait_for(heard.get(), 5)
    connection.close()
    server.close()
    return answer


@pytest.mark.parametrize("loops", ["asyncio", "uvloop"])
def test_a_connection_to_a_turn_server_carries_messages(loops: str) -> None:
    runner = asyncio if loops == "asyncio" else pytest.importorskip("uvloop", reason="not on this system")
    assert Message.parse(runner.run(_ask_over_tcp())).transaction_id == b"t" * 12


async def _hear_that_nobody_listens() -> tuple[list[Address], list[bytes]]:
    """Send where nobody listens, several times, and to ourselves in between; gives what was told and what came."""
    loop = asyncio.get_running_loop()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as gone:
        gone.bind(("127.0.0.1", 0))
        nowhere: Address = gone.getsockname()
    told: list[Address] = []
    came: list[bytes] = []
    changed = asyncio.Event()

    def note(kept: list[Any], what: object) -> None:
        kept.append(what)
        changed.set()

    opened = UdpSocket(
        loop, "127.0.0.1", lambda data, source: note(came, data), Counter(), lambda place: note(told, place)
    )
    try:
        for number in range(3):
            opened.send(b"anybody?", nowhere)
            assert opened.send(b"%d" % number, opened.address)  # the error of the one before loses no later one
            async with asyncio.timeout(5):
                while len(came) <= number or not told:
                    changed.clear()
                    await changed.wait()
    finally:
        opened.close()
    assert set(told) == {nowhere}
    return told, came


@pytest.mark.skipif(sys.platform != "linux", reason="other systems do not tell which destination it was")
@pytest.mark.parametrize("loops", ["asyncio", "uvloop"])
def test_that_nobody_listens_is_told_and_the_socket_goes_on(loops: str) -> None:
    runner = asyncio if loops == "asyncio" else pytest.importorskip("uvloop", reason="not on this system")
    told, came = runner.run(_hear_that_nobody_listens())
    assert told
    assert came == [b"0", b"1", b"2"]


async def _hear_late() -> tuple[float, float, list[float]]:
    """Send to ourselves while the loop stands still; gives the time before and after, and when it came."""
    loop, came, arrived = asyncio.get_running_loop(), asyncio.Event(), []

    def note(data: bytes, source: Address) -> None:
        arrived.append(opened.arrived_at)
        came.set()

    opened = UdpSocket(loop, "127.0.0.1", note, Counter())
    try:
        before = time.monotonic()
        assert opened.send(b"late", opened.address)
        after = time.monotonic()
        while time.monotonic() < after + 0.03:
            pass  # nobody reads it meanwhile
        async with asyncio.timeout(5):
            await came.wait()
    finally:
        opened.close()
    return before, after, arrived


@pytest.mark.skipif(sys.platform != "linux", reason="other systems' stamps are not asked for")
@pytest.mark.parametrize("loops", ["asyncio", "uvloop"])
def test_a_datagram_that_waited_is_known_to_have_come_earlier(loops: str) -> None:
    runner = asyncio if loops == "asyncio" else pytest.importorskip("uvloop", reason="not on this system")
    before, after, arrived = runner.run(_hear_late())
    clocks_s = 0.002  # between readings of two clocks
    assert before - clocks_s <= arrived[0] <= after + clocks_s


@pytest.mark.parametrize("seconds", [-5.0, 3600.0])
def test_a_stamp_of_a_clock_that_was_set_is_not_believed(seconds: float) -> None:
    stamp = time.time() - seconds
    details = [(socket.SOL_SOCKET, 35, struct.pack("@ll", int(stamp), int(stamp % 1 * 1e9)))]
    assert _waited_s(details, time.time()) == 0.0
    assert _waited_s([], time.time()) == 0.0


async def _hear_pictures(pictures: int, *, is_ours: bool = True) -> tuple[list[int], list[float]]:
    """Send thick datagrams of numbers to a socket, then a few single ones; gives the numbers, and how old each was."""
    loop = asyncio.get_running_loop()
    numbers: list[int] = []
    ages: list[float] = []
    last = asyncio.Event()

    def came(data: bytes, source: Address) -> bool:
        number, sent_at = struct.unpack_from("=Ld", data)
        numbers.append(number)
        ages.append(opened.arrived_at - sent_at)
        if len(numbers) == pictures * 6 + 3:
            last.set()
        return is_ours

    opened = UdpSocket(loop, "127.0.0.1", came, Counter())
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sending:
            for picture in range(pictures):
                for packet in range(6):
                    data = struct.pack("=Ld", picture * 6 + packet, time.monotonic())
                    sending.sendto(data + bytes(1_000), opened.address)
                await asyncio.sleep(0.02)
            for number in range(3):  # when nothing comes it is watched again
                await asyncio.sleep(0.15)
                sending.sendto(struct.pack("=Ld", pictures * 6 + number, time.monotonic()), opened.address)
            async with asyncio.timeout(5):
                await last.wait()
    finally:
        opened.close()
    return numbers, ages


@pytest.fixture
def together(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Each time a socket is read: whether that was at the loop's beat."""
    found: list[bool] = []
    read = UdpSocket._readable
    monkeypatch.setattr(UdpSocket, "_readable", lambda self: (found.append(self._is_at_beat), read(self))[1])
    return found


@pytest.mark.parametrize("loops", ["asyncio", "uvloop"])
def test_what_comes_thick_is_read_together_and_none_of_it_lost(loops: str, together: list[bool]) -> None:
    runner = asyncio if loops == "asyncio" else pytest.importorskip("uvloop", reason="not on this system")
    numbers, ages = runner.run(_hear_pictures(60))
    assert numbers == list(range(60 * 6 + 3))
    assert min(ages) >= -0.001  # by the kernel's time, not by when they were read
    assert sum(age < 0.005 for age in ages) > len(ages) * 0.9
    if sys.platform == "linux":
        assert any(together)
    assert not together[-1]


def test_what_strangers_send_makes_nobody_wait(together: list[bool]) -> None:
    numbers, _ = asyncio.run(_hear_pictures(60, is_ours=False))
    assert len(numbers) == 60 * 6 + 3
    assert not any(together)


@pytest.mark.skipif(sys.platform != "linux", reason="only there a socket is read at the beat")
def test_a_socket_that_is_read_at_the_beat_closes_with_its_loop_or_after_it() -> None:
    async def open_one() -> UdpSocket:
        opened = UdpSocket(asyncio.get_running_loop(), "127.0.0.1", lambda data, source: True, Counter())
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sending:
            async with asyncio.timeout(10):
                while not opened._is_at_beat:
                    for _ in range(6):
                        sending.sendto(bytes(1_000), opened.address)
                    await asyncio.sleep(0.02)
        return opened

    opened = asyncio.run(open_one())
    opened.close()
    assert opened._socket.fileno() < 0
