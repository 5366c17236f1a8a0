"""A call that somebody was expected to make, and the one after it, begin with gathering done."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from app.engine.facade import Engine
from app.events import CallChanged, CallState
from app.settings import HostPort, Settings, TurnServer
from tests.engine.test_engine import Watch, engine, quiet, until
from tests.ice.conftest import ALICE, HERE, free_port, running_coturn


@pytest.fixture
async def turn(tmp_path: Path) -> AsyncIterator[TurnServer]:
    port = free_port()
    async with running_coturn(tmp_path, port, *HERE, *ALICE):
        yield TurnServer(HostPort("127.0.0.1", port), "udp", "alice", "secret")


async def _call_and_hang_up(parley: Engine, watch: Watch) -> float:
    """Call the echo; gives the seconds the call itself spent gathering."""
    call_id = await parley.calls.place("echo")

    def mine(state: CallState) -> object:
        return lambda event: event.call.call_id == call_id and event.call.state is state

    await watch.first(CallChanged, mine(CallState.CONNECTED))  # type: ignore[arg-type]
    figures = await parley.calls.figures(call_id)
    await parley.calls.hang_up(call_id)
    await watch.first(CallChanged, mine(CallState.ENDED))  # type: ignore[arg-type]
    assert figures is not None
    assert figures.ice is not None
    assert figures.ice.gathered_in_s is not None
    return figures.ice.gathered_in_s


async def test_the_second_call_and_an_expected_one_need_not_gather(profile_dir: Path, turn: TurnServer) -> None:
    def with_turn(settings: Settings) -> Settings:
        return replace(quiet(settings), network=replace(quiet(settings).network, turn_servers=(turn,)))

    async with engine(profile_dir, adjust=with_turn) as (parley, watch):
        calls = parley._core._running_calls()
        first = await _call_and_hang_up(parley, watch)
        await until(lambda: calls._pool.holds_one and calls._pool._ahead.hub.gathered)  # type: ignore[union-attr]
        second = await _call_and_hang_up(parley, watch)
        assert second < first / 3

        await until(lambda: calls._pool.holds_one)
        await parley.run(_drop(parley))
        await parley.calls.expect()
        await until(lambda: calls._pool.holds_one and calls._pool._ahead.hub.gathered)  # type: ignore[union-attr]
        expected = await _call_and_hang_up(parley, watch)
        assert expected < first / 3


async def _drop(parley: Engine) -> None:
    parley._core._running_calls()._pool.drop()
    await asyncio.sleep(0)
