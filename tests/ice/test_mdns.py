"""Names of the local network between two sessions of this machine, over real multicast on loopback."""

from __future__ import annotations

import asyncio
import time

import pytest

from app.ice import mdns
from app.ice.mdns import LocalNames, unicast

HERE = "127.0.0.1"
NAME = "0b7a0a5c-5f0e-4d46-9b0c-6f2b1c9d8e7f.local"


class Side:
    def __init__(self, *addresses: str) -> None:
        self.problems: asyncio.Queue[str] = asyncio.Queue()
        self.names = LocalNames(addresses, self.problems.put_nowait)
        self.found: asyncio.Queue[list[str]] = asyncio.Queue()

    def ask(self, name: str) -> None:
        self.names.look_up(name, self.found.put_nowait)


async def test_a_name_is_found_while_somebody_answers_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    ours, theirs, late = Side(HERE), Side(HERE), Side(HERE)
    ours.names.answer({"192.0.2.7": NAME})
    theirs.ask(NAME)
    theirs.ask(NAME)
    for _ in range(2):  # two candidates of one name: each is told
        assert await asyncio.wait_for(theirs.found.get(), 5) == ["192.0.2.7"]
    theirs.ask(NAME)
    assert theirs.found.get_nowait() == ["192.0.2.7"]
    await ours.names.close()
    monkeypatch.setattr(mdns, "LOOKUP_S", 0.3)
    late.ask(NAME)
    assert NAME in await asyncio.wait_for(late.problems.get(), 5)
    assert theirs.found.empty()
    assert late.found.empty()
    await theirs.names.close()
    await late.names.close()


async def test_closing_ends_what_is_looked_up_and_is_quick() -> None:
    side = Side(HERE)
    side.ask(NAME)
    side.names.answer({"192.0.2.8": "1b7a0a5c-5f0e-4d46-9b0c-6f2b1c9d8e7f.local"})
    begun = time.monotonic()
    await side.names.close()
    await side.names.close()
    assert time.monotonic() - begun < 1.0
    assert side.found.empty()
    side.ask("another.local")


async def test_the_number_of_names_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    side = Side(HERE)
    for number in range(mdns.MAX_LOOKUPS + 5):
        side.ask(f"name-{number}.local")
    assert "more than 16" in side.problems.get_nowait()
    await side.names.close()


async def test_other_names_and_machines_without_a_network_ask_nobody() -> None:
    side, alone = Side(HERE), Side()
    side.ask("example.org")
    side.ask("a.b.local")
    alone.ask(NAME)
    alone.names.answer({"192.0.2.7": NAME})
    for one in (side, alone):
        assert one.problems.empty()
        await one.names.close()


async def test_where_multicast_cannot_be_had_it_is_said() -> None:
    side = Side("192.0.2.99")  # no address of this machine
    side.ask(NAME)
    assert "cannot be used" in side.problems.get_nowait()
    await side.names.close()


def test_only_addresses_that_one_machine_can_have_are_taken() -> None:
    answers = ["224.0.0.1", "0.0.0.0", "ff02::fb", "fe80::1", "255.255.255.255", "192.0.2.1", "192.0.2.2", "fd00::1"]
    assert unicast(answers) == ["192.0.2.1", "fd00::1"]
