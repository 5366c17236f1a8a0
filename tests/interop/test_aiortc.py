"""Calls between Parley and a phone made of aiortc and aioice, each way: direct, and with only the relay left."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.events import CallState
from app.ice.config import IceConfig, Timing
from app.settings import HostPort, IcePolicy, TurnServer
from tests.calls.parties import Party, on_the_phone, party
from tests.heard import read_wav
from tests.interop.aiortc_phone import AiortcPhone
from tests.interop.ours import assert_tone
from tests.interop.servers import PASSWORDS, coturn

OUR_HZ, THEIR_HZ = 440, 880

pytestmark = pytest.mark.timeout(60)


def _ours(folder: Path, ice: IceConfig) -> Party:
    # aioice has no candidates on loopback, so every interface of this machine is taken.
    return party("ada", tone_hz=OUR_HZ, audio_to=str(folder / "heard.wav"), video=False, ice=ice)


async def talk(ada: Party, phone: AiortcPhone, *, they_call: bool) -> None:
    """A call of two seconds each way; ends it from the side that was called."""
    if they_call:
        await phone.dial(ada.uri)
        ringing = await ada.reaches(CallState.RINGING)
        ada.manager.answer(ringing.call_id, video=False)
    else:
        ada.manager.place(phone.uri, "aiortc", video=False)
    call = await ada.reaches(CallState.CONNECTED)
    await phone.hears(2.5)
    if they_call:
        call.hang_up()
        await phone.closed.wait()
    else:
        phone.hang_up()
    await ada.ends()


@pytest.mark.parametrize("they_call", [False, True], ids=["we call", "they call"])
async def test_direct(tmp_path: Path, they_call: bool) -> None:
    ada = _ours(tmp_path, IceConfig(timing=Timing(patience_s=5.0)))
    async with on_the_phone(ada), AiortcPhone(tone_hz=THEIR_HZ) as phone:
        await talk(ada, phone, they_call=they_call)
    assert_tone(read_wav(tmp_path / "heard.wav"), THEIR_HZ)
    assert_tone(phone.heard(), OUR_HZ)


@pytest.mark.parametrize("they_call", [False, True], ids=["we call", "they call"])
async def test_with_our_relay_only(tmp_path: Path, they_call: bool) -> None:
    with coturn(tmp_path / "coturn") as relay:
        ours = TurnServer(HostPort.parse(relay.address), "udp", "ada", PASSWORDS["ada"])
        config = IceConfig(turn_servers=(ours,), policy=IcePolicy.RELAY, timing=Timing(patience_s=5.0))
        ada = _ours(tmp_path, config)
        phone = AiortcPhone(tone_hz=THEIR_HZ, turn=relay.address, user="bob", password=PASSWORDS["bob"])
        async with on_the_phone(ada), phone:
            await talk(ada, phone, they_call=they_call)
    assert_tone(read_wav(tmp_path / "heard.wav"), THEIR_HZ)
    assert_tone(phone.heard(), OUR_HZ)
