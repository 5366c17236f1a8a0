"""How long our agent takes until both sides may send, beside aioice over the very same wires.

Both sides have one host candidate, know each other's description and begin at the same moment; the wire in between
takes its time and loses what its seed says. Counted are round trips of the wire, or milliseconds where it has none.
"""

from __future__ import annotations

import asyncio
import statistics
from collections.abc import Awaitable, Callable
from dataclasses import replace

import aioice
import aioice.ice
import pytest

from app.ice.config import IceConfig
from app.ice.session import IceSession
from tests.bench.slow_wire import HERE, Address, SlowWire
from tests.bench.table import Table

SECTION = "From the first check until both sides may send, one host candidate each"
_AT_ONCE = 4  # runs side by side: they wait far more than they compute
_LIMIT_S = 60.0
Prepared = Callable[[], Awaitable[None]]
"""Waits until every run beside this one has gathered, so that none of that work is counted."""

WIRES = [
    pytest.param(rtt_ms, loss, marks=pytest.mark.short if (rtt_ms, loss) in ((100, 0), (20, 20)) else ())
    for rtt_ms in (0, 20, 100, 300)
    for loss in (0, 5, 20)
]


async def ours(wire: SlowWire, all_prepared: Prepared) -> float:
    config = IceConfig(interfaces=(HERE,), tcp=False)
    a, b = (IceSession(config, controlling, ["0"], on_event=lambda event: None) for controlling in (True, False))
    try:
        await asyncio.gather(a.gather(), b.gather())
        told = [session.local("0") for session in (a, b)]
        wire.ends = [_address(description.candidates[0]) for description in told]
        for session, description, (host, port) in ((a, told[1], wire.a_sees), (b, told[0], wire.b_sees)):
            candidate = replace(description.candidates[0], address=host, port=port)
            session.set_remote("0", replace(description, candidates=(candidate,)))
        await all_prepared()
        begun = asyncio.get_running_loop().time()
        for session in (a, b):
            session.start_checks()
        await asyncio.gather(a.wait_connected(), b.wait_connected())
        took = asyncio.get_running_loop().time() - begun
        assert a.send("0", b"\x80data")
        assert b.send("0", b"\x80data")
        return took
    finally:
        await asyncio.gather(a.close(), b.close())


async def theirs(wire: SlowWire, all_prepared: Prepared) -> float:
    a, b = (aioice.Connection(ice_controlling=controlling) for controlling in (True, False))
    try:
        await asyncio.gather(a.gather_candidates(), b.gather_candidates())
        wire.ends = [_address(one.local_candidates[0]) for one in (a, b)]
        for one, other, (host, port) in ((a, b, wire.a_sees), (b, a, wire.b_sees)):
            one.remote_username, one.remote_password = other.local_username, other.local_password
            told = other.local_candidates[0]
            await one.add_remote_candidate(
                aioice.Candidate(told.foundation, 1, "udp", told.priority, host, port, told.type)
            )
            await one.add_remote_candidate(None)
        await all_prepared()
        begun = asyncio.get_running_loop().time()
        await asyncio.gather(a.connect(), b.connect())
        return asyncio.get_running_loop().time() - begun
    finally:
        await asyncio.gather(a.close(), b.close())


def _address(candidate: object) -> Address:
    host = getattr(candidate, "address", None) or getattr(candidate, "host", "")
    return host, getattr(candidate, "port", 0)


async def times(
    run: Callable[[SlowWire, Prepared], Awaitable[float]], rtt_s: float, loss: float, runs: int
) -> list[float]:
    """Connect so many times, a few side by side, each with a seed of its own; `_LIMIT_S` stands for a failure."""

    async def one(seed: int, begin: asyncio.Barrier) -> float:
        async def all_prepared() -> None:
            await begin.wait()

        wire = SlowWire(rtt_s, loss, seed)
        await wire.open()
        try:
            async with asyncio.timeout(_LIMIT_S):
                return await run(wire, all_prepared)
        except (TimeoutError, ConnectionError):
            return _LIMIT_S
        finally:
            wire.close()

    took: list[float] = []
    side_by_side = _AT_ONCE if rtt_s and loss else 1
    for first in range(0, runs, side_by_side):
        seeds = range(first, min(first + side_by_side, runs))
        begin = asyncio.Barrier(len(seeds))
        took += await asyncio.gather(*(one(seed, begin) for seed in seeds))
    return took


@pytest.fixture(autouse=True)
def one_address(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let aioice use loopback, which it leaves out otherwise."""
    monkeypatch.setattr(aioice.ice, "get_host_addresses", lambda use_ipv4, use_ipv6: [HERE])


@pytest.mark.timeout(600)
@pytest.mark.parametrize(("rtt_ms", "loss"), WIRES)
async def test_connecting(table: Table, is_long: bool, rtt_ms: int, loss: int) -> None:
    runs = (48 if loss else 8) if is_long else 6
    found = {each: await times(each, rtt_ms / 1000, loss / 100, runs) for each in (ours, theirs)}
    unit, scale = ("round trips", 1000 / rtt_ms) if rtt_ms else ("ms", 1000)
    mine, other = ([took * scale for took in found[each]] for each in (ours, theirs))
    worst = " against ".join(f"{statistics.quantiles(each, n=10)[-1]:.3g}" for each in (mine, other))
    name = f"{rtt_ms} ms a round trip, {loss} % lost"
    row = table.add(
        SECTION, name, unit, mine, base=("aioice", other), note=f"nine of ten within {worst}", by_median=True
    )
    if not loss and rtt_ms >= 100:
        assert row.value < 1.2  # one round trip, and what the machine adds
