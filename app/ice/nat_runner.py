"""Runs the discovery of nat_discovery.py with real sockets, for `parley doctor`. Not pure."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import socket
import time
from collections import Counter
from collections.abc import Callable, Sequence

from app.ice.interfaces import choose_addresses, system_addresses
from app.ice.nat_discovery import FILTERING_SOCKET, MAPPING_SOCKET, Behaviour, NatDiscovery, NatReport
from app.ice.sockets import UdpSocket
from app.ice.stun import Address
from app.names import NAMES
from app.settings import HostPort

LONGEST_S = 8.0
DEFAULT_PORT = 3478


async def discover_nat(server: HostPort, interface: str | None = None) -> NatReport:
    """Find out how the NAT toward a STUN server maps and filters; takes about two seconds, eight at most.

    `interface` is a name or an address of this machine; None: whichever the system sends from. Never raises: a
    server that cannot be found or does not answer makes a report with `udp_open` False.
    """
    try:
        async with asyncio.timeout(LONGEST_S / 2):
            place, local = await asyncio.to_thread(_way, await _places(server), interface)
    except (OSError, TimeoutError):
        return _nothing(f"The STUN server {server} was not found: check its name, and the network.")
    try:
        async with asyncio.timeout(LONGEST_S):
            return await _run(place, local)
    except (OSError, TimeoutError) as error:
        return _nothing(f"The STUN server {server} cannot be asked: {getattr(error, 'strerror', None) or 'no answer'}.")


def _nothing(sentence: str) -> NatReport:
    return NatReport(Behaviour.UNKNOWN, Behaviour.UNKNOWN, None, ("", 0), sentence, udp_open=False)


async def _places(server: HostPort) -> list[Address]:
    """The server's addresses, by SRV where no port is named."""
    host, port = server.host, server.port
    if not port:
        host, port = next(iter(await NAMES.services("_stun._udp", host)), (host, DEFAULT_PORT))
    return [(address, port) for address in await NAMES.addresses(host)]


def _way(places: Sequence[Address], interface: str | None) -> tuple[Address, str]:
    """Give the first of these places that there is a way to, and our address there. Blocks for a moment."""
    failure = OSError("no address")
    for place in places:
        try:
            return place, _local_address(place, interface)
        except OSError as error:
            failure = error
    raise failure


def _local_address(server: Address, interface: str | None) -> str:
    """Pick the address of this machine to ask from. Blocks for a moment; OSError when there is no way."""
    is_v6 = ":" in server[0]
    if interface is not None:
        chosen, _ = choose_addresses(system_addresses(), (interface,))
        found = next((one.address for one in chosen if one.is_v6 == is_v6), None)
        if found is None:
            raise OSError(f"{interface} has no address of that family")
        return found
    with socket.socket(socket.AF_INET6 if is_v6 else socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(server)  # sends nothing: asks the system for its route
        return str(probe.getsockname()[0])


async def _run(server: Address, local: str) -> NatReport:
    loop = asyncio.get_running_loop()
    changed = asyncio.Event()
    arrived: list[tuple[int, bytes, Address]] = []

    def taker(number: int) -> Callable[[bytes, Address], None]:
        def take(data: bytes, source: Address) -> None:
            arrived.append((number, data, source))
            changed.set()

        return take

    with contextlib.ExitStack() as opened:
        sockets = []
        for number in (MAPPING_SOCKET, FILTERING_SOCKET):
            one = UdpSocket(loop, local, taker(number), Counter())
            opened.callback(one.close)
            sockets.append(one)
        core = NatDiscovery(server, (sockets[0].address, sockets[1].address), secrets.randbits)
        core.start(time.monotonic())
        while core.report is None:
            while core.packets:
                number, data, place = core.packets.popleft()
                sockets[number].send(data, place)
            due = core.next_timeout()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(None if due is None else max(0.0, due - time.monotonic())):
                    await changed.wait()
            changed.clear()
            while arrived:
                core.receive(*arrived.pop(0), time.monotonic())
            core.handle_timeout(time.monotonic())
        return core.report
