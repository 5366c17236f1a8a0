"""Two Parleys on one network, neither configured: they find each other and call directly."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.engine.options import HomeMode
from app.events import CallChanged, CallState, Contact, Direction, PeopleChanged
from tests.engine.test_engine import engine


def others(event: PeopleChanged) -> list[Contact]:
    return [contact for contact in event.contacts if contact.source == "network"]


@pytest.mark.timeout(90)
async def test_they_stand_in_each_others_list_and_call(tmp_path: Path) -> None:
    async with (
        engine(tmp_path / "a", neighbours=True, home=HomeMode.ON_DEMAND) as (ada, at_ada),
        engine(tmp_path / "b", neighbours=True, home=HomeMode.ON_DEMAND) as (bob, at_bob),
    ):
        found = await at_ada.first(PeopleChanged, lambda event: bool(others(event)))
        await at_bob.first(PeopleChanged, lambda event: bool(others(event)))
        await ada.calls.place(others(found)[0].uri, video=False)
        ringing = await at_bob.first(
            CallChanged,
            lambda event: event.call.state is CallState.RINGING and event.call.direction is Direction.INCOMING,
        )
        await bob.calls.answer(ringing.call.call_id, video=False)
        await at_ada.first(CallChanged, lambda event: event.call.state is CallState.CONNECTED)
