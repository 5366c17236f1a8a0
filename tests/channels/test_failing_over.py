"""The link with two ways, on a virtual clock: who is sent what when, and what is handed on."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest

from app.channels.failing_over import FailoverLink
from app.channels.links import LinkKind, LinkState, OnDatagram, OnState
from tests import virtual_time


class Fake:
    """A link that is up when the test says so."""

    def __init__(self, kind: LinkKind, is_up: bool) -> None:
        self.on_datagram: OnDatagram = lambda datagram, source, now: None
        self.on_state: OnState = lambda state: None
        self.state = LinkState(kind, is_up, f"{kind.name.title()} is {'up' if is_up else 'down'}.")
        self.sent: list[bytes] = []
        self.is_open = False
        self.changes = 0

    async def start(self) -> None:
        self.is_open = True

    async def close(self) -> None:
        self.is_open = False

    def network_changed(self) -> None:
        self.changes += 1

    def send(self, datagram: bytes, now: float) -> None:
        self.sent.append(datagram)

    def turn(self, is_up: bool) -> None:
        self.state = LinkState(
            self.state.kind, is_up, f"{self.state.kind.name.title()} is {'up' if is_up else 'down'}."
        )
        self.on_state(self.state)


class Channel:
    """A link under test, and what it is made of."""

    def __init__(self, failover_s: float | None = 10.0) -> None:
        self.rallypoint = Fake(LinkKind.RALLYPOINT, False)
        self.multicasts: list[Fake] = []
        self.link = FailoverLink(self.rallypoint, self._make, failover_s)
        self.heard: list[bytes] = []
        self.words: list[str] = []
        self.link.on_datagram = lambda datagram, source, now: self.heard.append(datagram)
        self.link.on_state = lambda state: self.words.append(f"{'up' if state.is_up else 'down'}: {state.words}")

    def _make(self) -> Fake:
        self.multicasts.append(Fake(LinkKind.MULTICAST, True))
        return self.multicasts[-1]

    async def say(self, words: bytes) -> None:
        self.link.send(words, asyncio.get_running_loop().time())
        await asyncio.sleep(0)


def play(scene: Coroutine[Any, Any, None]) -> None:
    virtual_time.run(scene, seed=1)


def test_an_outage_from_end_to_end() -> None:
    async def scene() -> None:
        channel = Channel()
        await channel.link.start()
        channel.rallypoint.turn(True)
        await asyncio.sleep(60)
        await channel.say(b"by the rallypoint")
        channel.rallypoint.turn(False)
        due = channel.link.state.failover_at
        assert due == pytest.approx(asyncio.get_running_loop().time() + 10)
        assert channel.link.state.by is None
        await asyncio.sleep(9.9)
        assert not channel.multicasts
        await asyncio.sleep(0.2)
        (multicast,) = channel.multicasts
        assert multicast.is_open
        assert (channel.link.state.by, channel.link.state.failover_at) == (LinkKind.MULTICAST, None)
        await channel.say(b"by multicast")
        channel.link.network_changed()
        assert (channel.rallypoint.changes, multicast.changes) == (1, 1)
        multicast.on_datagram(b"from a neighbour", "192.0.2.9:5000", 0.0)
        channel.rallypoint.turn(True)
        await channel.say(b"by both")
        for way in (multicast, channel.rallypoint):
            way.on_datagram(b"said on both", "somewhere", asyncio.get_running_loop().time())
        await asyncio.sleep(39)
        assert multicast.is_open
        await asyncio.sleep(2)
        assert not multicast.is_open
        assert channel.link.state.by is LinkKind.RALLYPOINT
        await channel.say(b"by the rallypoint again")
        assert channel.rallypoint.sent == [b"by the rallypoint", b"by both", b"by the rallypoint again"]
        assert multicast.sent == [b"by multicast", b"by both"]
        assert channel.heard == [b"from a neighbour", b"said on both"]
        await channel.link.close()
        assert not channel.rallypoint.is_open
        assert channel.words == [
            "down: Limited connectivity: Rallypoint is down.",
            "up: Rallypoint is up.",
            "down: Limited connectivity: Rallypoint is down.",
            "up: Limited connectivity, by multicast: Multicast is up. Rallypoint is down.",
            "up: By the rallypoint again, and by multicast for a while: Rallypoint is up.",
            "up: Rallypoint is up.",
            "down: The channel has been left.",
        ]

    play(scene())


def test_each_outage_joins_anew() -> None:
    async def scene() -> None:
        channel = Channel(failover_s=2.0)
        await channel.link.start()
        for _ in range(3):
            channel.rallypoint.turn(True)
            await asyncio.sleep(60)
            channel.rallypoint.turn(False)
            await asyncio.sleep(20)
        assert [one.is_open for one in channel.multicasts] == [False, False, True]
        await channel.link.close()
        assert not channel.multicasts[-1].is_open

    play(scene())


@pytest.mark.parametrize("failover_s", [None, 1e9])
def test_without_failover_nothing_is_joined(failover_s: float | None) -> None:
    async def scene() -> None:
        channel = Channel(failover_s)
        await channel.link.start()
        await asyncio.sleep(3600)
        assert not channel.multicasts
        assert not channel.link.state.is_up
        await channel.link.close()
        await channel.link.close()
        channel.rallypoint.turn(True)
        assert not channel.link.state.is_up

    play(scene())
