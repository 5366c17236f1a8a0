"""Sessions that hide their addresses behind names of the local network, over real multicast on loopback."""

from __future__ import annotations

import asyncio
import re
from dataclasses import replace

import pytest

from app.ice.candidates import IceDescription
from app.ice.config import IceConfig
from app.ice.hiding import is_local_name
from tests.ice.conftest import Coturn
from tests.ice.test_session import Side, connect, eventually, two_sides

OPEN = IceConfig(interfaces=("127.0.0.1",))
HIDDEN = replace(OPEN, hide_addresses=True)
_ADDRESS = re.compile(r"127\.0\.0\.1|::1")


def written(description: IceDescription) -> str:
    return "\n".join(str(candidate) for candidate in description.candidates)


async def exchange(a: Side, b: Side) -> None:
    assert a.session.send("audio", b"\x80to b")
    assert b.session.send("audio", b"\x80to a")
    assert await asyncio.wait_for(b.received.get(), 5) == ("audio", b"\x80to b")
    assert await asyncio.wait_for(a.received.get(), 5) == ("audio", b"\x80to a")


@pytest.mark.parametrize("configs", [(HIDDEN, HIDDEN), (HIDDEN, OPEN), (OPEN, HIDDEN)], ids=["both", "we", "they"])
async def test_two_sessions_connect_by_names(configs: tuple[IceConfig, IceConfig]) -> None:
    async with two_sides(*configs) as (a, b):
        for side, config in ((a, configs[0]), (b, configs[1])):
            description = side.session.local("audio")
            assert bool(_ADDRESS.search(written(description))) != config.hide_addresses
            assert side.session.local("audio") == description
        await connect(a, b)
        await exchange(a, b)
        for side, config in ((a, configs[0]), (b, configs[1])):
            local, _ = side.session.selected("audio") or (None, None)
            assert local is not None
            assert is_local_name(local.address) == config.hide_addresses


async def test_a_name_alone_leads_to_its_address() -> None:
    """The hidden side never checks, so nothing but its name tells where it is."""
    async with two_sides(OPEN, HIDDEN) as (a, b):
        a.session.set_remote("audio", b.session.local("audio"))
        a.session.start_checks()
        await eventually(lambda: any(one.address == "127.0.0.1" for one in a.session.snapshot().remote))
        assert a.session.snapshot().problems == ()


async def test_later_names_are_looked_up_too() -> None:
    async with two_sides(OPEN, HIDDEN) as (a, b):
        theirs = b.session.local("audio")
        a.session.set_remote("audio", replace(theirs, candidates=()))
        a.session.start_checks()
        a.session.add_remote_candidate("audio", theirs.candidates[0])
        await eventually(lambda: [one.port for one in a.session.snapshot().remote] == [theirs.candidates[0].port])


async def test_no_address_is_the_default() -> None:
    async with two_sides(HIDDEN) as (a, _):
        default = a.session.default_candidate("audio")
        assert default is not None
        assert default.transport_address == ("0.0.0.0", 9)


async def test_a_relay_is_told_without_the_address_behind_it(coturn: Coturn) -> None:
    async with two_sides(replace(HIDDEN, turn_servers=(coturn.turn(),)), OPEN) as (a, _):
        relayed = a.session.default_candidate("audio")
        assert relayed is not None
        assert (relayed.type.value, relayed.related_address, relayed.related_port) == ("relay", "0.0.0.0", 9)


async def test_a_name_that_nobody_answers_to_is_said_and_harms_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.ice.mdns.LOOKUP_S", 0.2)
    async with two_sides(OPEN) as (a, b):
        theirs = b.session.local("audio")
        lost = replace(theirs.candidates[0], address="6e1f0e0c-3f5f-4d0b-9b7e-0123456789ab.local")
        a.session.set_remote("audio", replace(theirs, candidates=(*theirs.candidates, lost)))
        b.session.set_remote("audio", a.session.local("audio"))
        b.session.start_checks()
        a.session.start_checks()
        await asyncio.gather(a.session.wait_connected(), b.session.wait_connected())
        await eventually(lambda: any("nobody" in one for one in a.session.snapshot().problems))
