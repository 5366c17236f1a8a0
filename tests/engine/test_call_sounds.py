"""What is heard of a call besides voices, and on which device."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import cast

import numpy as np
import pytest

from app.calls.call import Call
from app.engine.call_sounds import CallSounds
from app.events import CallEnd, CallState, EndedBy, EndKind
from app.media import tones
from app.settings import MediaSettings, Settings
from tests.media.wire import eventually

SETTINGS = Settings(ring_volume=0.5, media=MediaSettings(audio_to="speaker", speaker="Headset", ring_device="Desk"))


@dataclass
class Player:
    volume: float
    device: str
    sound: np.ndarray
    repeat: bool = True
    log: list[str] = field(default_factory=list)

    def start(self) -> None:
        self.log.append("start")

    def stop(self) -> None:
        self.log.append("stop")


@pytest.fixture
def players(monkeypatch: pytest.MonkeyPatch) -> list[Player]:
    made: list[Player] = []

    def make(volume: float, device: str, *, sound: np.ndarray, repeat: bool = True) -> Player:
        made.append(Player(volume, device, sound, repeat))
        return made[-1]

    monkeypatch.setattr("app.media.rings.RingPlayer", make)
    return made


def call(state: CallState, *, is_caller: bool, kind: EndKind | None = None, connected_at: float | None = None) -> Call:
    end = CallEnd(EndedBy.REMOTE, kind, None, None) if kind is not None else None
    info = SimpleNamespace(end=end, connected_at=connected_at)
    return cast(Call, SimpleNamespace(call_id="1", state=state, is_caller=is_caller, info=info))


async def test_an_incoming_call_rings_on_the_ring_device_until_it_is_taken(players: list[Player]) -> None:
    sounds = CallSounds(ring=True)
    sounds.changed(call(CallState.RINGING, is_caller=False), SETTINGS)
    sounds.changed(call(CallState.RINGING, is_caller=False), SETTINGS)
    sounds.changed(call(CallState.CONNECTED, is_caller=False), SETTINGS)
    (ring,) = players
    assert (ring.volume, ring.device, ring.log) == (0.5, "Desk", ["start", "stop"])
    assert ring.sound is tones.ring()
    await sounds.close()


async def test_an_outgoing_call_is_heard_to_ring_at_the_speaker(players: list[Player]) -> None:
    sounds = CallSounds(ring=True)
    sounds.changed(call(CallState.RINGING, is_caller=True), SETTINGS)
    await sounds.close()
    (ring,) = players
    assert (ring.volume, ring.device, ring.log) == (0.2, "Headset", ["start", "stop"])
    assert ring.sound is tones.ringback()


async def test_busy_is_heard_for_a_moment(players: list[Player]) -> None:
    sounds = CallSounds(ring=True)
    sounds.ended(call(CallState.ENDED, is_caller=True, kind=EndKind.BUSY), SETTINGS)
    await eventually(lambda: bool(players))
    assert players[0].sound.size == 3 * tones.busy().size
    assert (players[0].device, players[0].repeat, players[0].log) == ("Headset", False, ["start"])
    await sounds.close()
    assert players[0].log == ["start", "stop"]


async def test_the_end_of_a_conversation_is_heard(players: list[Player]) -> None:
    sounds = CallSounds(ring=True)
    sounds.ended(call(CallState.ENDED, is_caller=False, kind=EndKind.HUNG_UP, connected_at=1.0), SETTINGS)
    await eventually(lambda: bool(players))
    assert np.array_equal(players[0].sound, tones.call_ended())
    await sounds.close()


async def test_nothing_is_heard_where_nobody_listens_or_nothing_was_said(players: list[Player]) -> None:
    nowhere = Settings(media=MediaSettings(audio_to="null"))
    for sounds, settings in ((CallSounds(ring=True), nowhere), (CallSounds(ring=False), SETTINGS)):
        sounds.changed(call(CallState.RINGING, is_caller=False), settings)
        sounds.ended(call(CallState.ENDED, is_caller=False, connected_at=1.0), settings)
        await sounds.close()
    silent = CallSounds(ring=True)
    silent.ended(call(CallState.ENDED, is_caller=True, kind=EndKind.DECLINED), SETTINGS)
    silent.ended(call(CallState.ENDED, is_caller=False, kind=EndKind.BUSY), SETTINGS)
    await silent.close()
    assert players == []
