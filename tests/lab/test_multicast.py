"""Channels by multicast between hosts that have nothing but a switch in common."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from queue import Empty, Queue
from typing import Any

import pytest

from app.channels.multicast import MulticastLink, MulticastPlan
from app.channels.multicast_sockets import Sending
from tests.lab.network import Host, Lab

GROUP_V4, GROUP_V6, PORT = "239.255.77.5", "ff05::7705", 18_000
DSCP_VOICE = 46
IP_RECVTTL = 12  # linux/in.h


@dataclass(frozen=True)
class Known:
    """An address as whoever lists interfaces gives it."""

    interface: str
    address: str


class Radio:
    """A link on a host, with an event loop of its own there."""

    def __init__(self, host: Host, group: str, *others: Known) -> None:
        self.heard: Queue[bytes] = Queue()
        self.interfaces = [Known("eth0", host.v4 or ""), *others]
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._work, args=(host,), daemon=True)
        self._thread.start()
        self.link = MulticastLink(MulticastPlan(group, PORT, group, PORT, "", Sending(ttl=3)), lambda: self.interfaces)
        self.link.on_datagram = lambda datagram, source, now: self.heard.put(datagram)
        self.run(self.link.start())

    def _work(self, host: Host) -> None:
        host.enter()
        self._loop.run_forever()

    def run(self, work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(10)

    def do(self, what: Callable[[], None]) -> None:
        async def work() -> None:
            what()

        self.run(work())

    def say(self, words: bytes) -> None:
        self.do(lambda: self.link.send(words, 0.0))

    def next(self) -> bytes:
        return self.heard.get(timeout=5)

    def close(self) -> None:
        self.run(self.link.close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)
        self._loop.close()


@contextmanager
def radios(group: str, *of: tuple[Host, tuple[Known, ...]]) -> Iterator[list[Radio]]:
    with ExitStack() as stack:
        made = []
        for host, others in of:
            made.append(Radio(host, group, *others))
            stack.callback(made[-1].close)
        yield made


@pytest.fixture(scope="module")
def lan() -> Iterator[Lab]:
    with Lab(["a", "b", "c"], v6=True) as lab:
        yield lab


@pytest.mark.short
@pytest.mark.parametrize("group", [GROUP_V4, GROUP_V6])
def test_one_talks_and_everybody_else_hears_it_once(lan: Lab, group: str) -> None:
    with radios(group, (lan["a"], ()), (lan["b"], ()), (lan["c"], ())) as (anna, ben, cara):
        assert anna.link.state.words == f"Multicast {group} port {PORT} is joined through eth0."
        assert group in lan["a"].run("ip", "maddr", "show", "dev", "eth0")
        for number in range(20):
            anna.say(bytes([number]))
        assert [ben.next() for _ in range(20)] == [cara.next() for _ in range(20)] == [bytes([n]) for n in range(20)]
        ben.say(b"from b")
        assert (anna.next(), cara.next()) == (b"from b", b"from b")
        with pytest.raises(Empty):
            ben.heard.get_nowait()  # what it said itself does not come back
    assert group not in lan["a"].run("ip", "maddr", "show", "dev", "eth0")


def test_packets_arrive_with_the_mark_of_voice_and_their_hops(lan: Lab) -> None:
    with radios(GROUP_V4, (lan["a"], ()), (lan["b"], ())) as (anna, _):
        probe = lan["b"].open_socket(address=GROUP_V4, port=PORT + 1)
        anna_side = MulticastPlan(GROUP_V4, PORT, GROUP_V4, PORT + 1, "", Sending(ttl=3, priority=3))
        with probe:
            probe.setsockopt(socket.IPPROTO_IP, socket.IP_RECVTOS, 1)
            probe.setsockopt(socket.IPPROTO_IP, IP_RECVTTL, 1)
            speaker = MulticastLink(anna_side, lambda: anna.interfaces)
            anna.run(speaker.start())
            anna.do(lambda: speaker.send(b"marked", 0.0))
            data, details, _, _ = probe.recvmsg(100, 256)
            anna.run(speaker.close())
        found = {kind: int.from_bytes(value, "little") for _, kind, value in details}
        assert data == b"marked"
        assert found[socket.IP_TOS] >> 2 == DSCP_VOICE
        assert found[socket.IP_TTL] == 3


def test_a_second_card_on_the_same_network_doubles_nothing(lan: Lab) -> None:
    host = lan["c"]
    host.run("ip", "link", "add", "eth1", "link", "eth0", "type", "macvlan", "mode", "bridge")
    host.run("ip", "addr", "add", "10.77.0.99/24", "dev", "eth1")
    host.run("ip", "link", "set", "eth1", "up")
    try:
        two = (Known("eth1", "10.77.0.99"),)
        with radios(GROUP_V4, (lan["a"], ()), (host, two)) as (anna, cara):
            assert "through eth0 and eth1." in cara.link.state.words
            for number in range(50):
                anna.say(bytes([number]))
            assert [cara.next() for _ in range(50)] == [bytes([number]) for number in range(50)]
            cara.say(b"by both cards")
            assert anna.next() == b"by both cards"
    finally:
        host.run("ip", "link", "del", "eth1")


def test_a_cable_that_was_out_takes_part_again(lan: Lab) -> None:
    host = lan["b"]
    with radios(GROUP_V4, (lan["a"], ()), (host, ())) as (anna, ben):
        host.run("ip", "link", "set", "eth0", "down")
        ben.say(b"into nothing")
        assert not ben.link.state.is_up
        assert "through eth0" in ben.link.state.words
        kept, ben.interfaces = ben.interfaces, []
        ben.do(ben.link.network_changed)
        assert ben.link.state.words.endswith("this machine has no network interface that is up.")
        host.run("ip", "link", "set", "eth0", "up")
        ben.interfaces = kept
        ben.do(ben.link.network_changed)
        assert ben.link.state.is_up
        for number in range(200):  # until the switch forwards to the port again
            anna.say(bytes([number]))
            try:
                ben.heard.get(timeout=0.05)
            except Empty:
                continue
            break
        else:
            raise AssertionError("nothing was heard")
        ben.say(b"back")
        assert anna.next() == b"back"
