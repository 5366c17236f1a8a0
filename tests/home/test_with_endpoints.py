"""Home between our own endpoints: registration, calls both ways, and relayed paths, on loopback."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import TypeVar

import pytest

from app.events import RegistrationState
from app.home.accounts import HomeUser
from app.home.config import HomeConfig
from app.home.server import HomeServer
from app.ice.config import IceConfig
from app.ice.session import IceSession
from app.settings import Account, HostPort, IcePolicy, SipTransport, TurnServer
from app.sip.config import SipConfig
from app.sip.endpoint import SipEndpoint
from app.sip.events import (
    AckReceived,
    Answered,
    Bye,
    Cancelled,
    IncomingInvite,
    Provisional,
    ProvisionalConfirmed,
    Refused,
    RegistrationChanged,
    SipEvent,
)

LOOPBACK = "127.0.0.1"
REALM = "home.test"
Kind = TypeVar("Kind")


@pytest.fixture
async def home() -> AsyncIterator[HomeServer]:
    users = tuple(HomeUser.from_password(name, REALM, f"{name}-secret") for name in ("ada", "bob"))
    server = HomeServer(
        HomeConfig(
            listen=(LOOPBACK,), sip_port=0, turn_port=0, users=users, realm=REALM, allow_own_peers=True, t1_s=0.05
        )
    )
    await server.start()
    yield server
    await server.close()


class Person:
    """One endpoint and what it was told."""

    def __init__(self, name: str, home: HomeServer, transport: SipTransport, password: str | None = None) -> None:
        self.events: asyncio.Queue[SipEvent] = asyncio.Queue()
        account = Account(f"sip:{name}@{home.sip_address}", transport=transport)
        self.endpoint = SipEndpoint(
            SipConfig(
                sip_port=0,
                bind=(LOOPBACK,),
                user=name,
                account=account,
                password=lambda: password or f"{name}-secret",
                t1_s=0.1,
            ),
            on_event=self.events.put_nowait,
        )


async def until(person: Person, kind: type[Kind], fits: Callable[[Kind], bool] = lambda event: True) -> Kind:
    async with asyncio.timeout(8):
        while True:
            event = await person.events.get()
            if isinstance(event, kind) and fits(event):
                return event


async def people(home: HomeServer, transport: SipTransport) -> tuple[Person, Person]:
    ada, bob = Person("ada", home, transport), Person("bob", home, transport)
    for person in (ada, bob):
        await person.endpoint.start()
        person.endpoint.register(600)
        await until(person, RegistrationChanged, lambda event: event.state is RegistrationState.REGISTERED)
    return ada, bob


@pytest.mark.parametrize("transport", [SipTransport.UDP, SipTransport.TCP])
@pytest.mark.parametrize("size", [200, 4000])
async def test_call_with_a_reliable_183(home: HomeServer, transport: SipTransport, size: int) -> None:
    ada, bob = await people(home, transport)
    session = ada.endpoint.invite(f"sip:bob@{home.sip_address}", body=b"o" * size)
    incoming = await until(bob, IncomingInvite)
    assert incoming.body == b"o" * size
    incoming.session.provisional(183, body=b"a" * size)
    early = await until(ada, Provisional, lambda event: event.status == 183)
    assert early.reliable
    assert early.body == b"a" * size
    assert (await until(bob, ProvisionalConfirmed)).by == "prack"
    incoming.session.provisional(180)
    await until(ada, Provisional, lambda event: event.status == 180)
    incoming.session.accept(b"a" * size)
    await until(ada, Answered)
    await until(bob, AckReceived)
    session.bye()
    await until(bob, Bye)
    for person in (ada, bob):
        await person.endpoint.close()
    counters = home.counters()
    assert counters["sip_proxied_PRACK"] == counters["sip_proxied_BYE"] == 1
    assert counters.get("sip_send_failed", 0) == 0
    assert home.contacts_of("ada") == home.contacts_of("bob") == ()


async def test_callee_hangs_up_and_caller_cancels(home: HomeServer) -> None:
    ada, bob = await people(home, SipTransport.UDP)
    ada.endpoint.invite(f"sip:bob@{home.sip_address}", body=b"offer")
    incoming = await until(bob, IncomingInvite)
    incoming.session.accept(b"answer")
    await until(ada, Answered)
    await until(bob, AckReceived)
    incoming.session.bye()
    await until(ada, Bye)

    session = ada.endpoint.invite(f"sip:bob@{home.sip_address}", body=b"offer")
    incoming = await until(bob, IncomingInvite)
    incoming.session.provisional(180)
    await until(ada, Provisional, lambda event: event.status == 180)
    session.cancel()
    await until(bob, Cancelled)
    assert (await until(ada, Refused)).status == 487
    for person in (ada, bob):
        await person.endpoint.close()


async def test_wrong_password_is_refused(home: HomeServer) -> None:
    eve = Person("ada", home, SipTransport.UDP, password="guess")
    await eve.endpoint.start()
    eve.endpoint.register(600)
    changed = await until(eve, RegistrationChanged, lambda event: event.state is RegistrationState.FAILED)
    assert changed.status == 401
    await eve.endpoint.close()
    assert home.contacts_of("ada") == ()


async def test_relayed_path_through_home(home: HomeServer) -> None:
    sessions: list[IceSession] = []
    heard: list[asyncio.Queue[bytes]] = [asyncio.Queue(), asyncio.Queue()]
    for index, name in enumerate(("ada", "bob")):
        server = TurnServer(HostPort(LOOPBACK, home.turn_address.port), "udp", name, f"{name}-secret")
        config = IceConfig(turn_servers=(server,), policy=IcePolicy.RELAY, interfaces=(LOOPBACK,))
        session = IceSession(config, index == 0, ("audio",), on_event=lambda event: None)
        session.on_datagram = lambda stream, data, index=index: heard[index].put_nowait(data)
        await session.gather()
        sessions.append(session)
    ada, bob = sessions
    assert home.counters()["turn_allocations_now"] == 2
    ada.set_remote("audio", bob.local("audio"))
    bob.set_remote("audio", ada.local("audio"))
    ada.start_checks()
    bob.start_checks()
    async with asyncio.timeout(8):
        await asyncio.gather(ada.wait_connected(), bob.wait_connected())
        for number in range(50):
            ada.send("audio", b"\x80%d" % number)
            bob.send("audio", b"\x80%d" % -number)
        assert [await heard[1].get() for _ in range(50)] == [b"\x80%d" % number for number in range(50)]
        assert [await heard[0].get() for _ in range(50)] == [b"\x80%d" % -number for number in range(50)]
    for session in sessions:
        await session.close()
    for _ in range(100):
        if not home.counters()["turn_allocations_now"]:
            break
        await asyncio.sleep(0.01)
    assert home.counters()["turn_allocations_now"] == 0
