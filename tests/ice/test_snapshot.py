from __future__ import annotations

import asyncio

from app.events import IceState, MomentKind, PairState
from app.ice.config import IceConfig
from app.ice.events import Connected, IceEvent
from app.ice.outcomes import NOT_NEEDED
from app.ice.session import IceSession
from tests.ice.test_session import eventually


async def test_a_session_tells_its_story_and_whether_its_path_is_alive() -> None:
    config = IceConfig(interfaces=("127.0.0.1",), tcp=False)
    connected = asyncio.Event()

    def told(event: IceEvent) -> None:
        if isinstance(event, Connected):
            connected.set()

    a = IceSession(config, True, ["0"], on_event=told)
    b = IceSession(config, False, ["0"], on_event=lambda event: None)
    try:
        await asyncio.gather(a.gather(), b.gather())
        a.timeline.generation = 2
        a.set_remote("0", b.local("0"))
        b.set_remote("0", a.local("0"))
        a.start_checks()
        b.start_checks()
        async with asyncio.timeout(10):
            await connected.wait()
            await asyncio.gather(a.wait_connected(), b.wait_connected())
        seen = a.snapshot()
    finally:
        await asyncio.gather(a.close(), b.close())
    kinds = [moment.kind for moment in seen.timeline]
    story = (MomentKind.CANDIDATE, MomentKind.PAIR, MomentKind.CHECK, MomentKind.ANSWER, MomentKind.CONNECTED)
    places = [kinds.index(kind) for kind in story]
    assert places == sorted(places)
    assert [moment.at for moment in seen.timeline] == sorted(moment.at for moment in seen.timeline)
    assert seen.state in (IceState.CHECKING, IceState.COMPLETED)
    (consent,) = seen.consent
    assert (consent.flow, consent.state) == ("0", "fresh")
    assert consent.heard_at is not None
    assert consent.expires_at is not None
    assert consent.expires_at > consent.heard_at
    pair = seen.selected_pair()
    assert pair is not None
    assert pair.generation == seen.generation == 2


async def test_a_way_that_was_not_needed_has_not_failed_when_its_connection_ends() -> None:
    config = IceConfig(interfaces=("127.0.0.1",))
    a = IceSession(config, True, ["0"], on_event=lambda event: None)
    b = IceSession(config, False, ["0"], on_event=lambda event: None)
    try:
        await asyncio.gather(a.gather(), b.gather())
        a.set_remote("0", b.local("0"))
        b.set_remote("0", a.local("0"))
        a.start_checks()
        b.start_checks()
        await eventually(lambda: a.snapshot().state is IceState.COMPLETED)
        agent = a._leg.agent
        pair = next(pair for pair in agent.lists["0"].pairs if pair.reason == NOT_NEEDED)
        agent.unreachable(*pair.key, "the other side closed the connection", 0.0, final=True)
        assert (pair.state, pair.reason) == (PairState.FROZEN, NOT_NEEDED)
    finally:
        await asyncio.gather(a.close(), b.close())
