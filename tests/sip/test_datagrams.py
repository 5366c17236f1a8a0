"""The UDP socket of an endpoint, on both event loops that Parley runs on."""

from __future__ import annotations

import asyncio
import socket
import sys
from collections.abc import Callable

import pytest

from app.settings import HostPort
from app.sip.datagrams import DatagramSocket


def _uvloop() -> asyncio.AbstractEventLoop:
    return pytest.importorskip("uvloop").new_event_loop()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux says which datagram an ICMP error was about")
@pytest.mark.parametrize("new_loop", [asyncio.SelectorEventLoop, _uvloop])
@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6])
def test_it_is_told_who_refused_and_hears_on(
    new_loop: Callable[[], asyncio.AbstractEventLoop], family: socket.AddressFamily
) -> None:
    """libuv ends the watch of a socket that has an error; a stranger could make a phone deaf with one datagram."""
    host = "127.0.0.1" if family == socket.AF_INET else "::1"
    loop = new_loop()
    try:
        loop.run_until_complete(asyncio.wait_for(_refused_then_heard(host, family), 10))
    finally:
        loop.close()


async def _refused_then_heard(host: str, family: socket.AddressFamily) -> None:
    refused: asyncio.Queue[HostPort] = asyncio.Queue()
    heard: asyncio.Queue[bytes] = asyncio.Queue()
    bound = socket.socket(family, socket.SOCK_DGRAM)
    bound.bind((host, 0))
    phone = DatagramSocket(
        bound,
        on_datagram=lambda data, remote: heard.put_nowait(data),
        on_refused=lambda remote, why: refused.put_nowait(remote),
    )
    phone.open()
    with socket.socket(family, socket.SOCK_DGRAM) as other, socket.socket(family, socket.SOCK_DGRAM) as gone:
        gone.bind((host, 0))
        nobody = HostPort(host, gone.getsockname()[1])
        gone.close()
        for number in range(3):
            assert phone.send(b"anybody there?", nobody) is None
            assert await refused.get() == nobody
            other.sendto(b"hello %d" % number, (host, phone.local.port))
            assert await heard.get() == b"hello %d" % number
    phone.close()
