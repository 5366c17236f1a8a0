"""Our agent against another one: aioice, in both roles, with host candidates and through coturn."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import aioice
import pytest

from app.events import IceState
from app.ice.candidates import Candidate, IceDescription
from app.ice.config import IceConfig
from app.ice.session import IceSession
from app.settings import IcePolicy
from tests.ice.conftest import Coturn

ANY = IceConfig()


async def connect(ours: IceSession, theirs: aioice.Connection) -> None:
    await asyncio.gather(ours.gather(), theirs.gather_candidates())
    mine = ours.local("audio")
    theirs.remote_username, theirs.remote_password = mine.ufrag, mine.pwd
    for candidate in mine.candidates:
        await theirs.add_remote_candidate(aioice.Candidate.from_sdp(str(candidate)))
    await theirs.add_remote_candidate(None)
    candidates = tuple(Candidate.parse(one.to_sdp()) for one in theirs.local_candidates)
    ours.set_remote("audio", IceDescription(theirs.local_username, theirs.local_password, candidates))
    ours.start_checks()
    async with asyncio.timeout(10):
        await asyncio.gather(ours.wait_connected(), theirs.connect())


@pytest.mark.parametrize("controlling", [True, False], ids=["we control", "aioice controls"])
@pytest.mark.parametrize("way", ["direct", "relayed"])
async def test_data_crosses_both_ways(coturn: Coturn, controlling: bool, way: str) -> None:
    config = ANY
    if way == "relayed":
        config = replace(
            ANY, turn_servers=(coturn.turn(),), policy=IcePolicy.RELAY, interfaces=("127.0.0.1",), server_timeout_s=3
        )
    received: asyncio.Queue[bytes] = asyncio.Queue()
    ours = IceSession(config, controlling, ["audio"], on_event=lambda event: None)
    ours.on_datagram = lambda stream, data: received.put_nowait(data)
    theirs = aioice.Connection(ice_controlling=not controlling, components=1)
    try:
        await connect(ours, theirs)
        assert ours.send("audio", b"\x80 from us")
        assert await theirs.recv() == b"\x80 from us"
        await theirs.send(b"\x80 from aioice")
        assert await received.get() == b"\x80 from aioice"
        assert ours.snapshot().state is IceState.COMPLETED
    finally:
        await theirs.close()
        await ours.close()


@pytest.mark.parametrize("controlling", [True, False])
async def test_both_sides_with_the_same_role_settle_it(controlling: bool) -> None:
    ours = IceSession(ANY, controlling, ["audio"], on_event=lambda event: None)
    theirs = aioice.Connection(ice_controlling=controlling, components=1)
    try:
        await connect(ours, theirs)
        assert (ours.snapshot().role == "controlling") is not theirs.ice_controlling
        assert ours.send("audio", b"\x80x")
        assert await theirs.recv() == b"\x80x"
    finally:
        await theirs.close()
        await ours.close()
