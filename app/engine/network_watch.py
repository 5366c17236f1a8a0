"""Notices when this machine's addresses change: another network, a cable, a VPN, a wake from sleep.

On Linux the kernel tells of it (rtnetlink), so that a call is moved within a fraction of a second; everywhere the
addresses are looked at every second or two. A sleep shows by the clock on the wall having run on without ours.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from app.calls.restarts import NetworkChange
from app.ice.candidates import normal_address
from app.ice.interfaces import LocalAddress, choose_addresses, system_addresses

log = logging.getLogger(__name__)

LOOK_EVERY_S = 1.0  # where nothing tells of a change
LOOK_RARELY_S = 2.0  # where the kernel does: for what it does not tell, such as a sleep
SETTLE_S = 0.05  # one change comes as several messages
READS_PER_WAKE = 64
SLEPT_S = 5.0  # the wall's clock ran on by so much more than ours

_LINKS_V4_V6 = 0x1 | 0x10 | 0x40 | 0x100 | 0x400  # RTMGRP_LINK, _IPV4_IFADDR, _IPV4_ROUTE, _IPV6_IFADDR, _IPV6_ROUTE
_NETS = Path("/sys/class/net")


def present_addresses() -> list[LocalAddress]:
    """List this machine's addresses on interfaces that have a carrier, as far as the system tells. Blocks briefly."""
    found = system_addresses()
    dead = {name for name in {address.interface for address in found} if not _has_carrier(name)}
    return [address for address in found if address.interface not in dead]


def _has_carrier(interface: str) -> bool:
    """An address stays on an interface whose cable is out, and nothing can be sent from it."""
    try:
        return (_NETS / interface / "operstate").read_text().strip() not in ("down", "lowerlayerdown", "notpresent")
    except (OSError, ValueError):
        return True


def drift_s() -> float:
    """How far the clock on the wall is ahead of ours: constant while the machine is awake."""
    return time.time() - time.monotonic()


async def watch_network(
    changed: Callable[[NetworkChange], None],
    *,
    addresses: Callable[[], Iterable[LocalAddress]] = present_addresses,
    drift: Callable[[], float] = drift_s,
    every_s: float | None = None,
) -> None:
    """Call `changed` with each change of the addresses, after a sleep, and when links or routes stir, until cancelled.

    `every_s` sets how often to look; None: as the system allows.
    """
    stirred = asyncio.Event()
    with _kernel_news(stirred) as told:
        pause_s = every_s if every_s is not None else LOOK_RARELY_S if told else LOOK_EVERY_S
        before = _Look(list(await asyncio.to_thread(addresses)), drift())
        while True:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stirred.wait(), pause_s)
                await asyncio.sleep(SETTLE_S)
            news = stirred.is_set()
            stirred.clear()
            now = _Look(list(await asyncio.to_thread(addresses)), drift())
            change = now.since(before)
            before = now
            if news or change.new or change.gone or change.woke:
                changed(change)


def why_unusable(change: NetworkChange, wanted: Iterable[str]) -> str | None:
    """Say that an address is gone that alone was to be used (`wanted`, as bound); None where nothing is amiss.

    Sockets at it stay open, and work again when it comes back; nothing else may take its place.
    """
    gone = [address for address in wanted if normal_address(address) in change.gone]
    if not gone:
        return None
    return (
        f"This computer no longer has the address {', '.join(gone)}, which Parley was told to use: join that network "
        "again, or name another address in the settings."
    )


class _Look:
    """What was there at one moment: every address, and those that calls would be offered from."""

    def __init__(self, addresses: list[LocalAddress], drift: float) -> None:
        self.present = frozenset(one.address for one in addresses)
        self.chosen = frozenset(one.address for one in choose_addresses(addresses)[0])
        self.drift = drift

    def since(self, before: _Look) -> NetworkChange:
        return NetworkChange(
            present=self.present,
            gone=before.chosen - self.present,
            new=self.chosen - before.present,
            woke=self.drift - before.drift > SLEPT_S,
        )


@contextlib.contextmanager
def _kernel_news(stirred: asyncio.Event) -> Iterator[bool]:
    """Set the event whenever the kernel tells of links, addresses or routes; gives whether it does so here."""
    family = getattr(socket, "AF_NETLINK", None)
    if family is None:
        yield False
        return
    loop = asyncio.get_running_loop()
    try:
        news = socket.socket(family, socket.SOCK_RAW | socket.SOCK_CLOEXEC, 0)  # NETLINK_ROUTE
        news.setblocking(False)
        news.bind((0, _LINKS_V4_V6))
    except OSError as error:
        log.info("the kernel tells nothing of the network: %s", error)
        yield False
        return

    def readable() -> None:
        stirred.set()
        for _ in range(READS_PER_WAKE):
            try:
                news.recv(65536)
            except BlockingIOError:
                return
            except OSError:  # more came than was kept for us: that is news too
                continue

    loop.add_reader(news, readable)
    try:
        yield True
    finally:
        loop.remove_reader(news)
        news.close()
