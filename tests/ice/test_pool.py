"""Gathered ahead: a call that was expected begins with gathering done, and nothing is kept for nobody."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path

import pytest

from app.events import CandidateType
from app.ice.config import IceConfig
from app.ice.events import Gathered, IceEvent
from app.ice.pool import IcePool
from app.ice.session import IceSession
from tests.ice.conftest import Coturn

LOOPBACK = IceConfig(interfaces=("127.0.0.1",), tcp=False)
FLOWS = ("0", "1")


@pytest.fixture
async def pool() -> AsyncIterator[IcePool]:
    pool = IcePool()
    yield pool
    await pool.close()


@pytest.fixture
def config(coturn: Coturn, pool: IcePool) -> IceConfig:
    return replace(LOOPBACK, turn_servers=(coturn.turn(),), pool=pool)


def open_sockets() -> int:
    return sum(os.readlink(link).startswith("socket:") for link in Path("/proc/self/fd").iterdir() if link.is_symlink())


async def eventually(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110 - what is awaited happens on another machine
            await asyncio.sleep(0.01)


async def gathered_ahead(pool: IcePool, config: IceConfig, flows: tuple[str, ...] = FLOWS) -> None:
    pool.prepare(config, flows)
    assert pool._ahead is not None
    await pool._ahead.hub.gather()


async def connect(a: IceSession, b: IceSession, flows: tuple[str, ...]) -> None:
    for flow in flows:
        b.set_remote(flow, a.local(flow))
        a.set_remote(flow, b.local(flow))
    b.start_checks()
    a.start_checks()
    await asyncio.gather(a.wait_connected(), b.wait_connected())


@pytest.mark.parametrize("controlling", [True, False])
async def test_an_expected_call_begins_with_gathering_done(config: IceConfig, pool: IcePool, controlling: bool) -> None:
    await gathered_ahead(pool, config)
    told: list[IceEvent] = []
    session = IceSession(config, controlling, FLOWS, on_event=told.append)
    other = IceSession(LOOPBACK, not controlling, FLOWS, on_event=lambda event: None)
    try:
        assert session.gathered
        await session.gather()
        await other.gather()
        assert sum(isinstance(event, Gathered) for event in told) == 1
        types = {candidate.type for flow in FLOWS for candidate in session.local(flow).candidates}
        assert types == {CandidateType.HOST, CandidateType.RELAY}
        snapshot = session.snapshot()
        assert snapshot.role == ("controlling" if controlling else "controlled")
        assert (snapshot.gathered_in_s or 0) < 0.01
        await connect(session, other, FLOWS)
        assert not pool.holds_one
    finally:
        await asyncio.gather(session.close(), other.close())


async def test_each_call_has_credentials_of_its_own(config: IceConfig, pool: IcePool) -> None:
    used = set()
    for _ in range(2):
        await gathered_ahead(pool, config)
        session = IceSession(config, True, FLOWS, on_event=lambda event: None)
        used.add(session.local("0").pwd)
        await session.close()
    assert len(used) == 2


async def test_a_call_takes_over_what_is_still_being_gathered(config: IceConfig, pool: IcePool) -> None:
    pool.prepare(config, FLOWS)
    session = IceSession(config, True, FLOWS, on_event=lambda event: None)
    assert not pool.holds_one
    await session.gather()
    assert CandidateType.RELAY in {candidate.type for candidate in session.local("0").candidates}
    await session.close()


async def test_a_call_with_fewer_streams_is_served_and_frees_the_rest(config: IceConfig, pool: IcePool) -> None:
    await gathered_ahead(pool, config)
    session = IceSession(config, True, ("0",), on_event=lambda event: None)
    other = IceSession(LOOPBACK, False, ("0",), on_event=lambda event: None)
    await session.gather()
    assert session.gathered
    assert {candidate.stream for candidate in session.snapshot().local} == {"0"}
    await other.gather()
    await connect(session, other, ("0",))
    await asyncio.gather(session.close(), other.close())


async def test_another_configuration_or_more_streams_are_not_served(config: IceConfig, pool: IcePool) -> None:
    for wanted, flows in ((replace(config, interfaces=("lo",)), FLOWS), (config, (*FLOWS, "2"))):
        await gathered_ahead(pool, config)
        session = IceSession(wanted, True, flows, on_event=lambda event: None)
        assert not session.gathered
        assert not pool.holds_one  # its relays may be all that this person is allowed
        await session.close()


async def test_nothing_is_kept_for_long_nor_after_the_network_changed(coturn: Coturn) -> None:
    before = open_sockets()
    pool = IcePool(keep_s=0.2)
    config = replace(LOOPBACK, turn_servers=(coturn.turn(),), pool=pool)
    await gathered_ahead(pool, config)
    assert open_sockets() > before
    await eventually(lambda: not pool.holds_one)
    await gathered_ahead(pool, config)
    pool.drop()
    assert not pool.holds_one
    await pool.close()
    assert open_sockets() == before


async def test_after_a_call_the_next_one_is_prepared_for(config: IceConfig, pool: IcePool) -> None:
    pool.refill()
    assert not pool.holds_one  # nobody has called yet
    session = IceSession(config, True, FLOWS, on_event=lambda event: None)
    await session.gather()
    await session.close()
    pool.refill()
    assert pool.holds_one


async def test_without_servers_nothing_is_kept(pool: IcePool) -> None:
    pool.prepare(replace(LOOPBACK, pool=pool), FLOWS)
    assert not pool.holds_one


async def test_a_closed_pool_keeps_nothing(config: IceConfig, pool: IcePool) -> None:
    await gathered_ahead(pool, config)
    await pool.close()
    pool.prepare(config, FLOWS)
    assert not pool.holds_one
