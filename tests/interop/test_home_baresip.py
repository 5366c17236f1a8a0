"""Two baresip phones that know nothing of Parley call each other through home: SIP over UDP and TCP, media relayed."""

from __future__ import annotations

import asyncio
from contextlib import ExitStack
from pathlib import Path

import pytest

from app.home.accounts import HomeUser
from app.home.config import HomeConfig
from app.home.server import HomeServer
from tests.interop.baresip import Baresip, Line
from tests.interop.ours import assert_tone
from tests.interop.programs import HERE, need
from tests.interop.servers import PASSWORDS, REALM

TONES_HZ = {"ada": 440, "bob": 880}

pytestmark = [pytest.mark.short, pytest.mark.timeout(120)]


async def test_two_phones_hear_each_other_over_our_relay(tmp_path: Path) -> None:
    need("baresip")
    users = tuple(HomeUser.from_password(name, REALM, password) for name, password in PASSWORDS.items())
    home = HomeServer(
        HomeConfig(
            listen=(HERE,),
            sip_port=0,
            turn_port=0,
            users=users,
            realm=REALM,
            digests=("MD5",),
            allow_own_peers=True,
        )
    )
    await home.start()
    stack = ExitStack()
    try:
        ada, bob = [await asyncio.to_thread(_start, stack, tmp_path, name, home) for name in TONES_HZ]
        await asyncio.to_thread(_talk, ada, bob, f"sip:bob@{home.sip_address}")
        counters = home.counters()
        await asyncio.to_thread(ada.hang_up)
        await asyncio.to_thread(bob.wait_for, "CALL_CLOSED")
    finally:
        await asyncio.to_thread(stack.close)
        await home.close()
    assert counters["sip_proxied_INVITE"] == 1
    assert counters["turn_allocations_now"] == 2
    assert counters["turn_relayed_packets"] > 300
    assert_tone(ada.heard(), TONES_HZ["bob"])
    assert_tone(bob.heard(), TONES_HZ["ada"])


def _start(stack: ExitStack, folder: Path, name: str, home: HomeServer) -> Baresip:
    line = Line(
        name,
        PASSWORDS[name],
        str(home.sip_address),
        transport="udp" if name == "ada" else "tcp",
        nat="turn",
        turn=str(home.turn_address),
        video=False,
    )
    phone = stack.enter_context(Baresip(folder / name, line, tone_hz=TONES_HZ[name]))
    phone.wait_until_registered()
    return phone


def _talk(caller: Baresip, callee: Baresip, uri: str) -> None:
    caller.dial(uri)
    callee.wait_for("CALL_ESTABLISHED")
    for phone in (caller, callee):
        phone.wait_until_heard(2.5)
