"""Two Parleys on one network, neither configured: they find each other and call directly."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from app.engine.options import HomeMode
from app.events import CallChanged, CallState, Contact, Direction, PeopleChanged
from app.settings import Settings
from tests.engine.test_engine import engine, quiet


def named(name: str) -> Callable[[Settings], Settings]:
    return lambda settings: replace(quiet(settings), display_name=name)


def found(event: PeopleChanged, name: str) -> list[Contact]:
    """Other runs of Parley on this machine may be heard too: only this one counts."""
    return [contact for contact in event.contacts if contact.source == "network" and contact.name == name]


@pytest.mark.timeout(90)
async def test_they_stand_in_each_others_list_and_call(tmp_path: Path) -> None:
    a, b = f"ada {secrets.token_hex(4)}", f"bob {secrets.token_hex(4)}"
    async with (
        engine(tmp_path / "a", neighbours=True, home=HomeMode.ON_DEMAND, adjust=named(a)) as (ada, at_ada),
        engine(tmp_path / "b", neighbours=True, home=HomeMode.ON_DEMAND, adjust=named(b)) as (bob, at_bob),
    ):
        seen = await at_ada.first(PeopleChanged, lambda event: bool(found(event, b)))
        await at_bob.first(PeopleChanged, lambda event: bool(found(event, a)))
        await ada.calls.place(found(seen, b)[0].uri, video=False)
        ringing = await at_bob.first(
            CallChanged,
            lambda event: event.call.state is CallState.RINGING and event.call.direction is Direction.INCOMING,
        )
        await bob.calls.answer(ringing.call.call_id, video=False)
        await at_ada.first(CallChanged, lambda event: event.call.state is CallState.CONNECTED)
