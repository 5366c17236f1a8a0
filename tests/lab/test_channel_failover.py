"""A channel by a rallypoint that dies and comes back, while somebody talks: multicast takes over and is left again."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from app.channels.cluster import ClusterPlan
from app.channels.failing_over import FailoverLink
from app.channels.multicast import MulticastLink, MulticastPlan
from app.channels.nats_link import RallypointTarget, subject_of
from app.channels.rallypoint import RallypointLink
from tests.channels.rallypoints import MISSING, SERVER, Authority, Rallypoint, clusters, tls
from tests.lab.conftest import wait_until
from tests.lab.network import Host, Lab
from tests.lab.test_multicast import Known

GROUP, PORT, FAILOVER_S, RETURN_S, FRAME_S = "239.255.77.6", 18_010, 1.0, 3.0, 0.02
SUBJECT = subject_of("lab")


class Station:
    """A channel on a host, with an event loop of its own there. It hears numbers, and can count them out."""

    def __init__(self, host: Host, target: RallypointTarget) -> None:
        self.heard: list[tuple[float, int]] = []
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._work, args=(host,), daemon=True)
        self._thread.start()
        plan = MulticastPlan(GROUP, PORT, GROUP, PORT)
        self.link = FailoverLink(
            RallypointLink([target], SUBJECT, ClusterPlan(1)),
            lambda: MulticastLink(plan, lambda: [Known("eth0", host.address)]),
            FAILOVER_S,
            RETURN_S,
        )
        self.link.on_datagram = lambda datagram, source, now: self.heard.append((now, int(datagram)))
        self._talking: asyncio.Task[None] | None = None
        self._run(self.link.start())

    def _work(self, host: Host) -> None:
        host.enter()
        self._loop.run_forever()

    def _run(self, work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(10)

    def talk(self) -> None:
        async def begin() -> None:
            self._talking = asyncio.ensure_future(self._count())

        self._run(begin())

    async def _count(self) -> None:
        number = 0
        while True:
            self.link.send(str(number).encode(), time.monotonic())
            number += 1
            await asyncio.sleep(FRAME_S)

    def close(self) -> None:
        async def end() -> None:
            if self._talking is not None:
                self._talking.cancel()
            await self.link.close()

        self._run(end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)
        self._loop.close()


@contextmanager
def stations(target: RallypointTarget, *hosts: Host) -> Iterator[list[Station]]:
    made: list[Station] = []
    try:
        for host in hosts:
            made.append(Station(host, target))
        yield made
    finally:
        for station in made:
            station.close()


@pytest.mark.skipif(SERVER is None, reason=MISSING)
def test_a_talker_is_heard_by_multicast_while_the_rallypoint_is_dead_and_never_twice(tmp_path: Path) -> None:
    authority = Authority.make(tmp_path)
    with Lab(["a", "b", "s"]) as lab:
        address = lab["s"].address
        body = tls(authority.issue("server", address))
        server = Rallypoint(tmp_path, 7443, body, address, tuple(lab["s"].command()))
        server.begin()
        target = RallypointTarget(address, 7443, ca_certificates=(authority.pem,))
        try:
            with stations(target, lab["a"], lab["b"]) as (anna, ben):
                wait_until(
                    lambda: all(one.link.state.words.startswith("Connected") for one in (anna, ben)), "connection"
                )
                anna.talk()
                wait_until(lambda: len(ben.heard) > 50, "the talker by the rallypoint")
                server.kill()
                wait_until(lambda: "by multicast" in ben.link.state.words, "multicast")
                before = len(ben.heard)
                wait_until(lambda: len(ben.heard) > before + 100, "the talker by multicast")
                by_multicast = ben.heard[-1][1]
                server.begin()
                wait_until(
                    lambda: all(one.link.state.words.startswith("Connected") for one in (anna, ben)), "the return"
                )
                before = len(ben.heard)
                wait_until(lambda: len(ben.heard) > before + 50, "the talker by the rallypoint again")
                heard = list(ben.heard)
        finally:
            server.kill()
    numbers = [number for _, number in heard]
    assert len(numbers) == len(set(numbers))  # no word twice
    after = [number for number in numbers if number >= by_multicast]
    assert sorted(after) == list(range(by_multicast, max(after) + 1))  # and none lost on the way back
    longest = max(later - sooner for (sooner, _), (later, _) in pairwise(heard))
    print(f"\nThe longest silence, with failover after {FAILOVER_S} s: {longest:.2f} s")
    assert longest < FAILOVER_S + 1.0


@pytest.mark.skipif(SERVER is None, reason=MISSING)
@pytest.mark.parametrize("whose", ["the talker's", "the listener's"])
@pytest.mark.parametrize(("how", "most_s"), [("killed", 1.0), ("silent", 2.5)])
async def test_a_node_that_dies_in_mid_burst_costs_little(tmp_path: Path, whose: str, how: str, most_s: float) -> None:
    """A silent one keeps its connections and does nothing more, as behind a way that is cut."""
    authority = Authority.make(tmp_path)
    servers = clusters(tmp_path, 3, authority.issue("node"))
    targets = [RallypointTarget("127.0.0.1", one.port, ca_certificates=(authority.pem,)) for one in servers]
    # By lot the one begins with the first node and the other with the last.
    anna = RallypointLink(targets, SUBJECT, ClusterPlan(3), lambda: 0.0)
    ben = RallypointLink(targets, SUBJECT, ClusterPlan(3), lambda: 0.9)
    heard: list[tuple[float, int]] = []
    ben.on_datagram = lambda datagram, source, now: heard.append((now, int(datagram)))
    number = 0

    async def talk_until(count: int) -> None:
        nonlocal number
        async with asyncio.timeout(20):
            while len(heard) < count:
                anna.send(str(number).encode(), time.monotonic())
                number += 1
                await asyncio.sleep(FRAME_S)

    try:
        for server in servers:
            await server.run()
        await anna.start()
        await ben.start()
        await talk_until(100)
        dead = servers[0 if whose == "the talker's" else 2]
        dead.kill() if how == "killed" else dead.stop_for_a_while()
        await talk_until(len(heard) + 100)
    finally:
        await anna.close()
        await ben.close()
        for server in servers:
            server.kill()
    numbers = [number for _, number in heard]
    assert len(numbers) == len(set(numbers))
    longest = max(later - sooner for (sooner, _), (later, _) in pairwise(heard))
    print(f"\nThe longest silence when {whose} node is {how}: {longest:.2f} s")
    assert longest < most_s
