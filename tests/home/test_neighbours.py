"""Parleys that find each other by multicast DNS, over the loopback interface."""

from __future__ import annotations

import asyncio
import ipaddress
import secrets
from collections.abc import AsyncIterator, Callable

import pytest
from zeroconf import IPVersion
from zeroconf.asyncio import AsyncServiceInfo, AsyncZeroconf

from app.home.errors import HomeError
from app.home.neighbours import MAX_NAME, SERVICE, Neighbour, Neighbours, clean_name, read_announcement

LOOPBACK = ("127.0.0.1",)
RUN = secrets.token_hex(3)  # other Parleys on this machine may be heard too: only those of this run count


class Seen:
    """What one Parley was told, and a way to wait for it."""

    def __init__(self) -> None:
        self.now: tuple[Neighbour, ...] = ()
        self._changed = asyncio.Event()

    def __call__(self, neighbours: tuple[Neighbour, ...]) -> None:
        self.now = tuple(each for each in neighbours if each.name.endswith(RUN))
        self._changed.set()

    async def until(self, wanted: Callable[[tuple[Neighbour, ...]], bool]) -> None:
        async with asyncio.timeout(10):
            while not wanted(self.now):
                self._changed.clear()
                await self._changed.wait()


@pytest.fixture
async def ada() -> AsyncIterator[tuple[Neighbours, Seen]]:
    seen = Seen()
    neighbours = Neighbours(f"Ada  L. {RUN}", "sip:ada@127.0.0.1:5071", seen, interfaces=LOOPBACK, version="0.1")
    await neighbours.start()
    yield neighbours, seen
    await neighbours.close()


async def test_two_find_each_other_and_notice_leaving(ada: tuple[Neighbours, Seen]) -> None:
    _, ada_sees = ada
    bob_sees = Seen()
    bob = Neighbours(f"Bob {RUN}", "sip:bob@0.0.0.0:5072", bob_sees, interfaces=LOOPBACK)
    await bob.start()
    await bob_sees.until(lambda found: len(found) == 1)
    await ada_sees.until(lambda found: len(found) == 1)
    assert [(each.name, each.uri, each.version) for each in bob_sees.now] == [
        (f"Ada L. {RUN}", "sip:ada@127.0.0.1:5071", "0.1")
    ]
    assert [(each.name, each.uri) for each in ada_sees.now] == [(f"Bob {RUN}", "sip:bob@127.0.0.1:5072")]
    await bob.rename(f"Robert {RUN}")
    await ada_sees.until(lambda found: [each.name for each in found] == [f"Robert {RUN}"])
    await bob.close()
    await ada_sees.until(lambda found: found == ())


async def test_a_house_full_of_parleys_is_found_at_once() -> None:
    """One answer may name more of them than are looked up at the same time."""
    house = AsyncZeroconf(interfaces=list(LOOPBACK), ip_version=IPVersion.V4Only)
    there = [
        AsyncServiceInfo(
            SERVICE,
            f"{RUN}{number}.{SERVICE}",
            port=6000 + number,
            addresses=[ipaddress.ip_address("127.0.0.1").packed],
            properties={"name": f"Room {number} {RUN}", "uri": f"sip:room{number}@127.0.0.1:{6000 + number}"},
            server=f"{RUN}{number}.local.",
        )
        for number in range(20)
    ]
    await asyncio.gather(*(house.async_register_service(each) for each in there))
    sees = Seen()
    ada = Neighbours(f"Ada {RUN}", "sip:ada@127.0.0.1:5071", sees, interfaces=LOOPBACK)
    try:
        await ada.start()
        await sees.until(lambda found: len(found) == len(there))
    finally:
        await ada.close()
        await house.async_unregister_all_services()
        await house.async_close()


def announcement(
    *, name: str = "Eve", uri: str = "sip:eve@192.0.2.7:5060", port: int = 5060, host: str = "192.0.2.7"
) -> AsyncServiceInfo:
    return AsyncServiceInfo(
        SERVICE,
        f"x.{SERVICE}",
        port=port,
        addresses=[ipaddress.ip_address(host).packed],
        properties={"name": name, "uri": uri, "version": "9\u202e9"},
        server="x.local.",
    )


def test_an_announcement_cannot_point_at_somebody_else() -> None:
    neighbour = read_announcement(announcement(uri="sip:bank@203.0.113.1:5060"), (), 1.0)
    assert neighbour is not None
    assert neighbour.uri == "sip:bank@192.0.2.7:5060"
    assert neighbour.version == "99"


@pytest.mark.parametrize(
    "bad",
    [
        {"uri": ""},
        {"uri": "http://x"},
        {"uri": "sip:192.0.2.7"},
        {"uri": f"sip:{'u' * 100}@192.0.2.7"},
        {"host": "224.0.0.1"},
        {"host": "0.0.0.0"},
        {"port": 0},
    ],
)
def test_what_cannot_be_called_is_no_neighbour(bad: dict[str, str]) -> None:
    assert read_announcement(announcement(**bad), (), 1.0) is None  # type: ignore[arg-type]


def test_the_address_in_a_network_of_ours_is_preferred() -> None:
    info = announcement()
    info.addresses = [ipaddress.ip_address(each).packed for each in ("10.0.0.7", "192.168.5.7", "203.0.113.7")]
    neighbour = read_announcement(info, ("192.168.5.1",), 1.0)
    assert neighbour is not None
    assert neighbour.uri == "sip:eve@192.168.5.7:5060"


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("Ada", "Ada"),
        ("  A\tda\n ", "A da"),
        ("\u202eevil\x07\x00", "evil"),
        ("Zoë 👋", "Zoë 👋"),
        ("x" * 1000, "x" * MAX_NAME),
        ("\x00", ""),
    ],
)
def test_names_are_fit_to_be_shown(text: str, clean: str) -> None:
    assert clean_name(text) == clean


@pytest.mark.parametrize("uri", ["", "sip:", "sip:ada@127.0.0.1", "tel:123"])
def test_what_cannot_be_announced(uri: str) -> None:
    with pytest.raises(HomeError):
        Neighbours("Ada", uri, lambda _: None)
