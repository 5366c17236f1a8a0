"""Multicast on this machine's own loopback: two links hear each other; what is wrong stands in the state."""

from __future__ import annotations

import asyncio
import errno
import socket
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from app.channels import multicast, multicast_sockets
from app.channels.errors import ChannelError
from app.channels.links import LinkState
from app.channels.multicast import MulticastLink, MulticastPlan, choose
from app.channels.multicast_sockets import DSCP, GroupSocket, Nic, Sending, SendSocket, reason

GROUP_V4, GROUP_V6 = "239.255.77.1", "ff05::7701"


@dataclass(frozen=True)
class Known:
    """An address as whoever lists interfaces gives it."""

    interface: str
    address: str


LO_V4, LO_V6 = Known("lo", "127.0.0.1"), Known("lo", "::1")


def v6_interface() -> Known | None:
    """Find an interface with IPv6: loopback has no route for its multicast."""
    listing = Path("/proc/net/if_inet6")
    names = [line.split()[-1] for line in listing.read_text().splitlines()] if listing.exists() else []
    return next((Known(name, "192.0.2.77") for name in names if name != "lo"), None)


OTHER = v6_interface()
STAYS_HERE = Sending(ttl=0, loop=True)
linux_only = pytest.mark.skipif(sys.platform != "linux", reason="the loopback interface has another name elsewhere")


def free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("", 0))
        return int(probe.getsockname()[1])


class Heard:
    """A link, and what came by it."""

    def __init__(self, group: str, port: int, interfaces: Callable[[], list[Known]], name: str = "lo") -> None:
        self.link = MulticastLink(MulticastPlan(group, port, group, port, name, STAYS_HERE), interfaces)
        self.datagrams: asyncio.Queue[bytes] = asyncio.Queue()
        self.states: list[LinkState] = []
        self.link.on_datagram = lambda datagram, source, now: self.datagrams.put_nowait(datagram)
        self.link.on_state = self.states.append

    async def next(self) -> bytes:
        return await asyncio.wait_for(self.datagrams.get(), 5)


@asynccontextmanager
async def two(group: str, known: Known) -> AsyncIterator[tuple[Heard, Heard]]:
    port = free_port()
    pair = [Heard(group, port, lambda: [known], known.interface) for _ in range(2)]
    for one in pair:
        await one.link.start()
    try:
        yield pair[0], pair[1]
    finally:
        for one in pair:
            await one.link.close()


@linux_only
@pytest.mark.parametrize(("group", "known"), [(GROUP_V4, LO_V4), (GROUP_V6, OTHER)])
async def test_two_programs_share_the_port_and_hear_each_other(group: str, known: Known | None) -> None:
    if known is None:
        pytest.skip("no interface here has IPv6")
    async with two(group, known) as (anna, ben):
        assert anna.link.state.is_up, anna.link.state.words
        assert (
            anna.link.state.words
            == f"Multicast {group} port {anna.link._plan.rx_port} is joined through {known.interface}."
        )
        anna.link.send(b"hello", 0.0)
        assert await ben.next() == b"hello"
        assert await anna.next() == b"hello"  # its own comes back here, where loop is on: the receiver knows it
        ben.link.send(b"x" * 4097, 0.0)
        ben.link.send(b"after what is too long", 0.0)
        assert await anna.next() == b"after what is too long"
        ben.link.send(b"x" * 4096, 0.0)
        assert len(await anna.next()) == 4096
    assert not anna.link.state.is_up


@linux_only
async def test_a_flood_costs_the_loop_no_more_than_its_share(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(multicast_sockets, "MOST_A_TURN", 40)
    loop = asyncio.get_running_loop()
    async with two(GROUP_V4, LO_V4) as (anna, ben):
        came: list[float] = []
        take = ben.link.on_datagram

        def taken(datagram: bytes, source: str, now: float) -> None:
            came.append(loop.time())
            take(datagram, source, now)

        ben.link.on_datagram = taken
        for number in range(100):
            anna.link.send(b"%d" % number, 0.0)
        assert [await ben.next() for _ in range(100)] == [b"%d" % number for number in range(100)]
        assert came[40] - came[0] >= multicast_sockets.TURN_S * 0.9
        assert came[80] - came[40] >= multicast_sockets.TURN_S * 0.9
        for number in range(100):
            anna.link.send(b"%d" % number, 0.0)
        await ben.next()  # and is left while it rests


@linux_only
async def test_each_turn_joins_again_also_while_somebody_is_heard(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(multicast, "REJOIN_S", 0.01)
    joins, turns = list[Nic](), list[Known]()
    join = GroupSocket.join

    def counted(group: GroupSocket, nic: Nic) -> None:
        joins.append(nic)
        join(group, nic)

    def interfaces() -> list[Known]:
        turns.append(LO_V4)
        return [LO_V4]

    monkeypatch.setattr(GroupSocket, "join", counted)
    port, number = free_port(), 0
    anna, ben = Heard(GROUP_V4, port, interfaces), Heard(GROUP_V4, port, interfaces)
    await anna.link.start()
    await ben.link.start()
    while len(turns) < 20:
        number += 1
        anna.link.send(b"%d" % number, 0.0)
        assert await ben.next() == b"%d" % number
    assert len(joins) == len(turns)
    await anna.link.close()
    await ben.link.close()


@linux_only
async def test_an_interface_that_comes_later_is_joined_when_the_network_changes() -> None:
    port, there = free_port(), list[Known]()
    anna = Heard(GROUP_V4, port, lambda: there)
    ben = Heard(GROUP_V4, port, lambda: [LO_V4])
    await anna.link.start()
    await ben.link.start()
    assert not anna.link.state.is_up
    assert anna.link.state.words.endswith("this machine has no network interface 'lo'.")
    anna.link.send(b"nobody hears", 0.0)
    there.append(LO_V4)
    anna.link.network_changed()
    assert anna.states[-1].is_up
    anna.link.send(b"heard", 0.0)
    assert await ben.next() == b"heard"
    there.clear()
    anna.link.network_changed()
    assert not anna.states[-1].is_up
    await anna.link.close()
    await ben.link.close()
    anna.link.send(b"after the end", 0.0)
    anna.link.network_changed()


@linux_only
async def test_a_network_that_fails_is_one_sentence_and_does_not_raise(monkeypatch: pytest.MonkeyPatch) -> None:
    anna = Heard(GROUP_V4, free_port(), lambda: [LO_V4])
    await anna.link.start()

    def fail(*args: object) -> None:
        raise OSError(errno.ENETUNREACH, "Network is unreachable")

    monkeypatch.setattr(SendSocket, "send", fail)
    anna.link.send(b"lost", 0.0)
    assert not anna.states[-1].is_up
    assert anna.states[-1].words.endswith("is joined through lo; there is no route for multicast through lo.")
    anna.link.send(b"lost", 0.0)
    assert len(anna.states) == 2
    monkeypatch.undo()
    anna.link.network_changed()
    assert anna.states[-1].is_up
    await anna.link.close()


@linux_only
async def test_an_interface_that_does_not_exist_is_named() -> None:
    anna = MulticastLink(
        MulticastPlan(GROUP_V4, free_port(), GROUP_V4, 1), lambda: [Known("nowhere0", "203.0.113.7"), LO_V4]
    )
    await anna.start()
    assert not anna.state.is_up
    assert anna.state.words.endswith("cannot be joined; this machine has no network interface nowhere0 that is up.")
    await anna.close()


@linux_only
async def test_a_listing_that_fails_is_tried_again() -> None:
    def fail() -> list[Known]:
        raise OSError("no netlink")

    anna = MulticastLink(MulticastPlan(GROUP_V4, free_port(), GROUP_V4, 1), fail)
    await anna.start()
    assert not anna.state.is_up
    await anna.close()


@linux_only
@pytest.mark.parametrize("v6", [False, True])
def test_packets_carry_their_hops_and_their_priority(v6: bool) -> None:
    for priority, dscp in DSCP.items():
        sender = SendSocket(Nic("lo", "127.0.0.1"), v6, Sending(ttl=7, priority=priority))
        asked = sender._socket
        if v6:
            assert asked.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS) == 7
            assert asked.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_TCLASS) >> 2 == dscp
            assert asked.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_LOOP) == 0
        else:
            assert asked.getsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL) == 7
            assert asked.getsockopt(socket.IPPROTO_IP, socket.IP_TOS) >> 2 == dscp
            assert asked.getsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_LOOP) == 0
        sender.close()


def test_each_interface_is_used_once_and_loopback_only_when_named() -> None:
    there = [
        LO_V4,
        Known("eth0", "fd77::2"),
        Known("eth0", "192.0.2.2"),
        Known("eth0", "192.0.2.3"),
        Known("wlan0", "198.51.100.9"),
        LO_V6,
    ]
    assert choose(there, False, "") == [Nic("eth0", "192.0.2.2"), Nic("wlan0", "198.51.100.9")]
    assert choose(there, True, "") == [Nic("eth0", "fd77::2"), Nic("wlan0", "198.51.100.9")]
    assert choose(there, False, "wlan0") == [Nic("wlan0", "198.51.100.9")]
    assert choose(there, False, "192.0.2.3") == [Nic("eth0", "192.0.2.3")]
    assert choose(there, False, "lo") == [Nic("lo", "127.0.0.1")]
    assert choose(there, True, "lo") == [Nic("lo", "::1")]
    assert choose(there, False, "ppp0") == []


@pytest.mark.parametrize(
    ("address", "port", "ttl", "words"),
    [
        ("192.0.2.1", 5000, 1, "'192.0.2.1' is no multicast address"),
        ("example.org", 5000, 1, "is no multicast address"),
        (GROUP_V4, 0, 1, "0 is no UDP port"),
        (GROUP_V4, 65536, 1, "65536 is no UDP port"),
        (GROUP_V4, 5000, 256, "256 hops"),
    ],
)
def test_a_plan_that_cannot_work_is_refused(address: str, port: int, ttl: int, words: str) -> None:
    with pytest.raises(ChannelError, match=words):
        MulticastPlan(address, port, address, port, "", Sending(ttl))


@pytest.mark.parametrize("number", [errno.EPERM, errno.ENOBUFS, errno.EMSGSIZE, errno.EIO])
def test_every_error_has_words(number: int) -> None:
    assert "eth0" in reason(OSError(number, "Some words"), "eth0")
