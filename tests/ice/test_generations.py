"""Restarts with real sockets on loopback: the old path carries the data until the new one is there."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from app.ice.candidates import IceFailed
from app.ice.config import IceConfig, Timing
from app.ice.events import Completed, Failed, IceEvent, Interrupted, RestartBegun, Restarted, RestartFailed, Silent
from app.ice.generations import IcePath
from tests.ice.test_session import eventually, open_sockets

LOOPBACK = IceConfig(interfaces=("127.0.0.1",))


class Side:
    """A path with what it told and received."""

    def __init__(self, controlling: bool, flows: tuple[str, ...], config: IceConfig) -> None:
        self.events: list[IceEvent] = []
        self.received: list[tuple[str, bytes]] = []
        self.path = IcePath(config, controlling, flows, on_event=self.events.append)
        self.path.on_datagram = lambda stream, data: self.received.append((stream, data))

    def told(self, kind: type[IceEvent]) -> int:
        return sum(isinstance(event, kind) for event in self.events)


@asynccontextmanager
async def connected(flows: tuple[str, ...] = ("0",), config: IceConfig = LOOPBACK) -> AsyncIterator[tuple[Side, Side]]:
    a, b = Side(True, flows, config), Side(False, flows, config)
    try:
        await asyncio.gather(a.path.gather(), b.path.gather())
        for one, other in ((b, a), (a, b)):
            for flow in flows:
                one.path.set_remote(flow, other.path.local(flow))
            one.path.start_checks()
        await eventually(lambda: bool(a.told(Completed) and b.told(Completed)))
        yield a, b
    finally:
        await asyncio.gather(a.path.close(), b.path.close())


async def restart(offerer: Side, answerer: Side, flows: tuple[str, ...] = ("0",)) -> None:
    """Begin a restart as offer and answer would; the answerer checks first."""
    ours, theirs = offerer.path.restart(True), answerer.path.restart(False)
    await asyncio.gather(ours.gather(), theirs.gather())
    for one, other in ((theirs, ours), (ours, theirs)):
        for flow in flows:
            one.set_remote(flow, other.local(flow))
        one.start_checks()


async def test_every_datagram_arrives_while_the_path_is_replaced() -> None:
    async with connected() as (a, b):
        before = a.path.selected("0")
        sent: list[bytes] = []

        async def talk() -> None:
            while a.told(Restarted) < 1 or b.told(Restarted) < 1 or len(sent) < 40:
                sent.append(b"\x80%d" % len(sent))
                assert a.path.send("0", sent[-1])
                await asyncio.sleep(0.005)

        talking = asyncio.create_task(talk())
        await restart(a, b)
        await asyncio.wait_for(talking, 5)
        await eventually(lambda: len(b.received) == len(sent))
        assert [data for _, data in b.received] == sent
        assert a.path.selected("0") != before
        assert a.path.snapshot().restarts == b.path.snapshot().restarts == 1
        assert sum(pair.selected for pair in a.path.snapshot().pairs) == 1
        assert a.told(RestartBegun) == a.told(Restarted) == 1


async def test_either_side_may_begin_again_and_again() -> None:
    async with connected(("0", "1")) as (a, b):
        for number, (one, other) in enumerate([(a, b), (b, a), (b, a)], start=1):
            await restart(one, other, ("0", "1"))
            await eventually(lambda count=number: a.told(Restarted) == b.told(Restarted) == count)  # type: ignore[misc]
        assert b.path.send("1", b"\x80still here")
        await eventually(lambda: ("1", b"\x80still here") in a.received)


async def test_a_restart_that_finds_no_path_changes_nothing() -> None:
    hurried = replace(LOOPBACK, timing=Timing(patience_s=0.3))
    async with connected(config=hurried) as (a, b):
        before = a.path.selected("0")
        ours = a.path.restart(True)
        await ours.gather()
        description = b.path.local("0")
        ours.set_remote("0", replace(description, candidates=()))
        ours.start_checks()
        await eventually(lambda: a.told(RestartFailed) == 1)
        assert a.path.next is None
        assert a.path.selected("0") == before
        assert a.path.send("0", b"\x80as before")
        await eventually(lambda: ("0", b"\x80as before") in b.received)
        assert a.path.snapshot().restarts == 0


async def test_a_newer_restart_takes_the_place_of_one_under_way() -> None:
    async with connected() as (a, b):
        first = a.path.restart(True)
        await first.gather()
        await restart(a, b)
        await eventually(lambda: a.told(Restarted) == b.told(Restarted) == 1)
        assert a.path.current is not first
        assert a.path.snapshot().restarts == 1


async def test_a_stream_that_was_given_up_is_not_made_again() -> None:
    async with connected(("0", "1")) as (a, b):
        for side in (a, b):
            side.path.remove_stream("1")
        await restart(a, b)
        await eventually(lambda: a.told(Restarted) == b.told(Restarted) == 1)
        assert {candidate.stream for candidate in a.path.snapshot().local} == {"0"}


async def test_nothing_is_left_open() -> None:
    before = open_sockets()
    async with connected() as (a, b):
        await restart(a, b)
        await eventually(lambda: a.told(Restarted) == b.told(Restarted) == 1)
        a.path.restart(True)
    assert open_sockets() == before


async def test_a_peer_without_ice_is_moved_to_at_once() -> None:
    async with connected() as (a, b):
        moved = a.path.restart(True)
        await moved.gather()
        place = b.path.default_candidate("0")
        assert place is not None
        moved.use_plain("0", place.address, place.port)
        a.path.adopt()
        assert a.path.current is moved
        assert a.told(Restarted) == 1


def look_in_vain(one: Side, other: Side) -> None:
    """Let one side's first generation check for a peer that names no address and never checks."""
    one.path.set_remote("0", replace(other.path.local("0"), candidates=()))
    one.path.start_checks()


@pytest.mark.parametrize("first_fails", [True, False])
async def test_who_waits_for_a_path_gets_the_one_that_a_restart_finds(first_fails: bool) -> None:
    """The peer restarts before the first generation has found anything: its address has changed meanwhile."""
    hurried = replace(LOOPBACK, timing=Timing(patience_s=0.2 if first_fails else 39.5))
    a, b = Side(True, ("0",), hurried), Side(False, ("0",), LOOPBACK)
    try:
        await asyncio.gather(a.path.gather(), b.path.gather())
        look_in_vain(a, b)
        waiting = asyncio.create_task(a.path.wait_connected())
        ours, theirs = a.path.restart(True), b.path.restart(False)
        await asyncio.gather(ours.gather(), theirs.gather())
        if first_fails:
            await eventually(lambda: a.told(Failed) == 1)
        assert not waiting.done()
        theirs.set_remote("0", ours.local("0"))
        theirs.start_checks()
        ours.set_remote("0", theirs.local("0"))
        ours.start_checks()
        await asyncio.wait_for(waiting, 2)
        assert a.path.current is ours
    finally:
        await asyncio.gather(a.path.close(), b.path.close())


async def test_without_a_path_in_any_generation_the_first_cause_is_told() -> None:
    hurried = replace(LOOPBACK, timing=Timing(patience_s=0.2))
    a, b = Side(True, ("0",), hurried), Side(False, ("0",), LOOPBACK)
    try:
        await asyncio.gather(a.path.gather(), b.path.gather())
        look_in_vain(a, b)
        waiting = asyncio.create_task(a.path.wait_connected())
        a.path.restart(True)
        await eventually(lambda: a.told(Failed) == 1)
        assert not waiting.done()
        a.path.abandon()
        with pytest.raises(IceFailed, match="named no network address"):
            await waiting
    finally:
        await asyncio.gather(a.path.close(), b.path.close())


async def test_a_restart_after_the_end_opens_nothing_and_ends_by_itself() -> None:
    before = open_sockets()
    async with connected() as (a, _):
        await a.path.close()
        late = a.path.restart(True)
        await asyncio.wait_for(late.gather(), 2)
        assert a.path.next is None
        assert late.default_candidate("0") is None
    assert open_sockets() == before


@pytest.mark.parametrize("steps", range(4))
async def test_closing_that_is_cancelled_still_frees_everything(steps: int) -> None:
    before = open_sockets()
    async with connected() as (a, b):
        await restart(a, b)
        await eventually(lambda: a.told(Restarted) == b.told(Restarted) == 1)
        await a.path.restart(True).gather()
        closing = asyncio.create_task(a.path.close())
        for _ in range(steps):
            await asyncio.sleep(0)
        closing.cancel()
        await asyncio.gather(closing, return_exceptions=True)
    await eventually(lambda: open_sockets() == before)


async def test_a_silent_flow_of_a_restart_under_way_is_told_when_it_takes_over() -> None:
    """One flow of the next generation was agreed on and dies before the other: the call itself is well."""
    quick = replace(LOOPBACK, timing=Timing(consent_interval_s=0.2, silent_s=0.2, burst_s=0.05, interrupted_s=0.4))
    async with connected(("0", "1"), quick) as (a, b):
        ours, theirs = a.path.restart(True), b.path.restart(False)
        await asyncio.gather(ours.gather(), theirs.gather())
        for one, other in ((theirs, ours), (ours, theirs)):
            one.set_remote("0", other.local("0"))
            one.start_checks()
        await eventually(lambda: ours.selected("0") is not None)
        theirs.remove_flow("0")
        await eventually(lambda: any(one.state == "interrupted" for one in ours.snapshot().consent))
        assert (a.told(Silent), a.told(Interrupted)) == (0, 0)
        for one, other in ((theirs, ours), (ours, theirs)):
            one.set_remote("1", other.local("1"))
        await eventually(lambda: a.told(Restarted) == 1)
        assert a.told(Silent) == 1
