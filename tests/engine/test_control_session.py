"""Whom the control channel tells of who is refused for the time of their clock."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime

from app.channels.channel_keys import channel_key
from app.channels.links import LinkKind, LinkState, OnDatagram, OnState
from app.channels.mission import Group, GroupType
from app.channels.presence import Emergency, Identity, Presence
from app.channels.sealing import protection
from app.engine import missions
from app.engine.control_session import MOST_AGES_TOLD, ControlSession
from app.engine.missions import ChannelWish, MissionWishes

HOUR_S = 3_600.0
BEHIND = "their clock is 60 minutes behind this machine's, or it is a recording."


class Wire:
    """A link that is up, and carries what a test gives it."""

    on_datagram: OnDatagram
    on_state: OnState
    state = LinkState(LinkKind.MULTICAST, is_up=True, words="")

    async def start(self) -> None: ...

    async def close(self) -> None: ...

    def network_changed(self) -> None: ...

    def send(self, datagram: bytes, now: float) -> None: ...


def control_group() -> Group:
    made = missions.make(MissionWishes("Relief", (ChannelWish("Alpha"),)), datetime(2026, 11, 22, tzinfo=UTC))
    return next(one for one in made.groups if one.type is GroupType.MISSION_CONTROL)


class Late:
    """People whose clocks are an hour behind, and what is told of them."""

    def __init__(self, group: Group, wire: Wire, key: bytes) -> None:
        self.told: list[str] = []
        self._wire = wire
        self._sealed = protection(group.id, key)
        self._number = 0

    def say(self, name: str, emergency: str | None = None) -> None:
        self._number += 1
        alarm = None if emergency is None else Emergency(emergency, 1)
        self.send(str(Presence(Identity(name.lower(), name), self._number, 30.0, emergency=alarm)).encode())

    def send(self, words: bytes) -> None:
        self._wire.on_datagram(self._sealed.seal(words, time.time() - HOUR_S), "somewhere", time.monotonic())


@asynccontextmanager
async def late() -> AsyncIterator[Late]:
    group, wire = control_group(), Wire()
    password = group.crypto_password
    assert password is not None
    made = Late(group, wire, await channel_key(password))
    session = ControlSession(
        *("relief", group, Identity("me", "Me"), wire, lambda: None, lambda text: None),
        made.told.append,
    )
    await session.start()
    yield made
    await session.close()


async def test_everybody_with_a_wrong_clock_is_told_of_once_and_an_emergency_at_once() -> None:
    async with late() as people:
        people.send(b"what cannot be understood hides nobody")
        for name in ("Anna", "Ben", "Anna"):
            people.say(name)
        assert people.told == [f"Anna is not seen: {BEHIND}", f"Ben is not seen: {BEHIND}"]
        people.told.clear()
        for emergency in ("fire", "fire", "flood", None):
            people.say("Ben", emergency)
        assert people.told == [f"Ben has an emergency, and is otherwise not seen: {BEHIND}"] * 2


async def test_what_is_remembered_of_wrong_clocks_has_an_end() -> None:
    async with late() as people:
        for number in range(MOST_AGES_TOLD + 1):
            people.say(f"N{number}")
        people.told.clear()
        people.say(f"N{MOST_AGES_TOLD}")
        assert people.told == []
        people.say("N0")  # whom nobody remembers
        assert people.told == [f"N0 is not seen: {BEHIND}"]
