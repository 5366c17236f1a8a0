"""The talk key for other programs: real sockets, real commands, and channels that answer as the engine's do."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import stat
import sys
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path

import pytest

from app.channel_events import (
    BurstKept,
    Carrier,
    ChannelChanged,
    ChannelId,
    ChannelInfo,
    ChannelLink,
    MissionInfo,
    SendingInfo,
    TalkMode,
)
from app.engine import missions, trigger
from app.engine.errors import EngineError
from app.engine.talk_keys import TalkKeys
from app.engine.trigger import Trigger
from app.settings import Settings
from tests.engine.test_channels import fresh_mission
from tests.engine.test_engine import engine, quiet
from tests.media.hanging import Hanging, hanging

__all__ = ["hanging"]

LINK = ChannelLink(Carrier.MULTICAST, True, False, "Multicast.")


def channel(name: str, mission: str = "m1", *, primary: bool = False) -> ChannelInfo:
    group = ChannelId(mission, f"{mission}-{name}")
    return ChannelInfo(group, name, "", True, False, "Opus 24 kb/s", "", True, LINK, primary=primary)


class Channels:
    """Channels on which the key does what its mode says; `busy` talks over us until it is "", a key waits if `deaf`."""

    def __init__(self, *channels: ChannelInfo) -> None:
        self.now = {channel.id: channel for channel in channels}
        self.busy = ""
        self.deaf = False
        self.changed = asyncio.Event()
        self.keys = TalkKeys(self)

    def infos(self) -> tuple[MissionInfo, ...]:
        return tuple(self._mission(mission) for mission in dict.fromkeys(each.mission for each in self.now))

    def _mission(self, mission: str) -> MissionInfo:
        channels = tuple(each for each in self.now.values() if each.id.mission == mission)
        return MissionInfo(mission, f"Mission {mission}", "", channels, 0, False, False, None)

    def change(self, channel: ChannelId, **changes: object) -> None:
        self.now[channel] = replace(self.now[channel], **changes)
        self.keys.saw(ChannelChanged(self.now[channel]))
        self.changed.set()

    @property
    def sending(self) -> list[str]:
        return [each.name for each in self.now.values() if each.sending or each.armed]

    async def press(self, channel: ChannelId, *, emergency: bool = False) -> None:
        info = self.now[channel]
        sending = SendingInfo(1.0, None, False)
        changes: dict[str, object] = {"sending": None if info.sending else sending}
        if self.busy:
            changes = {"notice": f"{self.busy} is talking."}
        elif info.talk_mode is TalkMode.VOICE:
            changes = {"armed": not info.armed}
        elif self.deaf or info.waiting:
            changes = {"waiting": not info.waiting}
        self.change(channel, **changes)

    async def release(self, channel: ChannelId) -> None:
        self.change(channel, sending=None, waiting=False)

    def hear(self) -> None:
        """The microphone is open: what waits begins."""
        self.deaf = False
        for info in tuple(self.now.values()):
            if info.waiting:
                self.change(info.id, waiting=False, sending=SendingInfo(1.0, None, False))

    async def until(self, *sending: str) -> None:
        await self.wait(lambda: self.sending == list(sending))

    async def until_waiting(self, *waiting: str) -> None:
        await self.wait(lambda: [each.name for each in self.now.values() if each.waiting] == list(waiting))

    async def wait(self, done: Callable[[], bool]) -> None:
        async with asyncio.timeout(10):
            while not done():
                self.changed.clear()
                await self.changed.wait()


@pytest.fixture
def channels() -> Channels:
    return Channels(channel("Alpha", primary=True), channel("Bravo"), channel("Bravo", "m2"))


@pytest.fixture(params=["socket", "port"])
async def door(request: pytest.FixtureRequest, channels: Channels, tmp_path: Path) -> AsyncIterator[Trigger]:
    made = Trigger(tmp_path, channels.keys, unix=request.param == "socket")
    await made.open()
    yield made
    await made.close()


async def test_another_program_talks_and_stops(door: Trigger, channels: Channels, tmp_path: Path) -> None:
    assert await trigger.talk(tmp_path, True) == "Talking on Alpha."
    assert channels.sending == ["Alpha"]
    assert await trigger.talk(tmp_path, True) == "Talking on Alpha."
    assert await trigger.talk(tmp_path, False) == "No longer talking on Alpha."
    assert channels.sending == []
    assert await trigger.talk(tmp_path, False) == "Nobody talks on Alpha from here."


@pytest.mark.parametrize("mode", TalkMode)
async def test_on_and_off_mean_the_same_in_every_mode(
    channels: Channels, tmp_path: Path, door: Trigger, mode: TalkMode
) -> None:
    alpha = next(iter(channels.now))
    channels.change(alpha, talk_mode=mode)
    for _ in range(2):
        await trigger.talk(tmp_path, True)
        assert channels.sending == ["Alpha"]
    await trigger.talk(tmp_path, False)
    assert channels.sending == []


async def test_why_nothing_is_sent_is_said(door: Trigger, channels: Channels, tmp_path: Path) -> None:
    channels.busy = "Dispatch"
    for name, words in (
        (None, r"^Dispatch is talking\.$"),
        ("Charlie", r"^There is no channel 'Charlie'; there are: Alpha, Bravo\.$"),
        ("bravo", r"^Several missions have a channel 'bravo': say MISSION/bravo\.$"),
    ):
        with pytest.raises(EngineError, match=words):
            await trigger.talk(tmp_path, True, name)
    channels.busy = ""
    assert await trigger.talk(tmp_path, True, "mission M2/Bravo") == "Talking on Bravo."
    for info in tuple(channels.now.values()):
        channels.change(info.id, primary=False)
    with pytest.raises(EngineError, match="no primary channel"):
        await trigger.talk(tmp_path, True)
    channels.now.clear()
    with pytest.raises(EngineError, match="No mission is open"):
        await trigger.talk(tmp_path, True)


async def test_another_primary_channel_leaves_no_key_down(door: Trigger, channels: Channels, tmp_path: Path) -> None:
    alpha, bravo, _ = channels.now
    async with trigger.held(tmp_path):
        channels.change(alpha, primary=False)
        channels.change(bravo, primary=True)
        assert await trigger.talk(tmp_path, True) == "Talking on Alpha."
    await channels.until()
    assert await trigger.talk(tmp_path, True) == "Talking on Bravo."


async def test_a_held_key_is_let_go_with_its_holder(door: Trigger, channels: Channels, tmp_path: Path) -> None:
    async with trigger.held(tmp_path) as (words, ended):
        assert (words, channels.sending, ended.done()) == ("Talking on Alpha.", ["Alpha"], False)
    await channels.until()
    async with trigger.held(tmp_path) as (_, ended):
        alpha = next(iter(channels.now))
        channels.change(alpha, sending=None, notice="The burst was as long as the channel allows.")
        assert await ended == "The burst was as long as the channel allows."
    async with trigger.held(tmp_path) as (_, ended):
        await door.close()
        assert await ended == "Parley ended while the key was held."
    assert channels.sending == []


@pytest.mark.parametrize("mode", [TalkMode.HOLD, TalkMode.LATCH])
async def test_a_key_that_waits_can_be_let_go(
    channels: Channels, tmp_path: Path, door: Trigger, mode: TalkMode
) -> None:
    alpha = next(iter(channels.now))
    channels.change(alpha, talk_mode=mode)
    channels.deaf = True
    on = asyncio.ensure_future(trigger.talk(tmp_path, True))
    await channels.until_waiting("Alpha")
    assert await trigger.talk(tmp_path, False) == "No longer talking on Alpha."
    with pytest.raises(EngineError, match=r"^The key was let go before anything was sent on Alpha\.$"):
        await on
    channels.hear()
    assert channels.sending == []


@pytest.mark.parametrize("mode", [TalkMode.HOLD, TalkMode.LATCH])
async def test_a_key_that_waits_is_let_go_with_its_holder(
    channels: Channels, tmp_path: Path, door: Trigger, mode: TalkMode
) -> None:
    channels.change(next(iter(channels.now)), talk_mode=mode)

    async def hold() -> None:
        async with trigger.held(tmp_path):
            raise AssertionError("it talks")

    for end in ("the holder", "the door"):
        channels.deaf = True
        holding = asyncio.ensure_future(hold())
        await channels.until_waiting("Alpha")
        if end == "the door":
            await door.close()
        holding.cancel()
        await asyncio.gather(holding, return_exceptions=True)
        await channels.until_waiting()
        channels.hear()
        assert channels.sending == []


async def test_a_burst_of_the_window_is_not_the_commands(door: Trigger, channels: Channels, tmp_path: Path) -> None:
    alpha = next(iter(channels.now))
    channels.change(alpha, waiting=True, notice="Your emergency waits for a connection.")
    with pytest.raises(EngineError, match=r"^The key of Alpha is down already\. Your emergency waits"):
        await trigger.talk(tmp_path, True)
    with pytest.raises(EngineError, match=r"^The key of Alpha is down already\. Your emergency waits"):
        async with trigger.held(tmp_path):
            pass
    assert channels.now[alpha].waiting
    channels.change(alpha, notice="")
    channels.hear()
    with pytest.raises(EngineError, match=r"^The key of Alpha is down already\.$"):
        async with trigger.held(tmp_path):
            pass
    assert channels.sending == ["Alpha"]


async def test_nobody_runs(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="No Parley with this profile has channels open"):
        await trigger.talk(tmp_path, True)


async def test_only_this_user_may_knock_and_only_with_the_word(
    door: Trigger, channels: Channels, tmp_path: Path
) -> None:
    (file,) = (tmp_path / "talk").glob("*")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    facts = json.loads(file.read_text())
    if facts["path"]:
        assert stat.S_IMODE(os.stat(os.path.dirname(facts["path"])).st_mode) == 0o700
    request = {"version": 1, "token": "guessed", "do": "on", "channel": None}
    for line in (json.dumps(request), json.dumps(request | {"token": facts["token"], "version": 2}), "{", "[]", ""):
        assert await _knock(facts, line.encode() + b"\n") == b""
    assert await _knock(facts, b"x" * 100_000) == b""
    assert b"another version" in await _knock(
        facts, json.dumps(request | {"token": facts["token"], "do": "dance"}).encode() + b"\n"
    )
    assert channels.sending == []


async def _knock(door: dict[str, object], line: bytes) -> bytes:
    if door["path"]:
        reader, writer = await asyncio.open_unix_connection(str(door["path"]))
    else:
        reader, writer = await asyncio.open_connection("127.0.0.1", int(str(door["port"])))
    writer.write(line)
    try:
        return await asyncio.wait_for(reader.read(), 10)
    except ConnectionError:
        return b""
    finally:
        writer.close()


async def test_strangers_take_no_more_than_their_seats(door: Trigger, channels: Channels, tmp_path: Path) -> None:
    (file,) = (tmp_path / "talk").glob("*")
    facts = json.loads(file.read_text())
    waiting = [asyncio.ensure_future(_knock(facts, b"")) for _ in range(20)]
    done, rest = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED, timeout=10)
    assert done
    assert rest
    for task in rest:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)


async def test_what_a_killed_engine_left_is_cleared_away(channels: Channels, tmp_path: Path) -> None:
    killed = Trigger(tmp_path, channels.keys)
    await killed.open()
    (left,) = (tmp_path / "talk").glob("*.json")
    place = Path(json.loads(left.read_text())["path"])
    assert killed._server is not None
    killed._server.close()  # as a kill does: the file and the folder stay
    with pytest.raises(EngineError, match="No Parley"):
        await trigger.talk(tmp_path, True)
    assert not left.exists()
    assert not place.parent.exists()


async def test_a_window_and_a_command_run_beside_each_other(tmp_path: Path) -> None:
    window, command = Channels(channel("Alpha", primary=True)), Channels(channel("Zulu", "m9", primary=True))
    doors = [Trigger(tmp_path, each.keys) for each in (window, command)]
    for door in doors:
        await door.open()
    await trigger.talk(tmp_path, True, "Zulu")
    await trigger.talk(tmp_path, True, "Alpha")
    assert (window.sending, command.sending) == (["Alpha"], ["Zulu"])
    await trigger.talk(tmp_path, False)
    assert (window.sending, command.sending) == ([], [])
    for door in doors:
        await door.close()
    assert list((tmp_path / "talk").iterdir()) == []


async def test_the_command_as_programs_use_it(channels: Channels, tmp_path: Path) -> None:
    async def parley(*arguments: str) -> asyncio.subprocess.Process:
        words = ("-m", "app", "channel", "talk", "--profile", str(tmp_path), *arguments)
        pipe = asyncio.subprocess.PIPE
        return await asyncio.create_subprocess_exec(sys.executable, *words, stdout=pipe, stderr=pipe)

    nobody = await parley("on")
    out, err = await nobody.communicate()
    assert (nobody.returncode, out) == (1, b"")
    assert err.startswith(b"parley: No Parley with this profile")
    door = Trigger(tmp_path, channels.keys)
    await door.open()
    try:
        on, held = await parley("on", "--channel", "Alpha", "--json"), await parley("--channel", "mission m2/bravo")
        out, err = await on.communicate()
        assert (on.returncode, err) == (0, b"")
        assert json.loads(out) == {"report": {"talking": True, "words": "Talking on Alpha."}}
        await channels.until("Alpha", "Bravo")
        held.send_signal(signal.SIGKILL)
        await held.communicate()
        await channels.until("Alpha")
    finally:
        await door.close()


@pytest.mark.skipif(sys.platform != "linux", reason="multicast stays on the loopback interface of Linux")
async def test_a_running_engine_is_talked_on_from_outside(tmp_path: Path) -> None:
    mission = missions.pack(fresh_mission("Relief"))
    async with engine(tmp_path) as (parley, watch):
        with pytest.raises(EngineError, match="No Parley with this profile has channels open"):
            await trigger.talk(tmp_path, True)
        info = await parley.channels.open_mission(mission)
        await watch.first(ChannelChanged, lambda event: event.channel.link.up)
        for mode in TalkMode:
            await parley.channels.set_talk_mode(info.channels[0].id, mode)
            said = await trigger.talk(tmp_path, True)
            assert said in ("Talking on Alpha.", "Whoever speaks now talks on Alpha.")
            (now,) = await parley.channels.list()
            assert (now.channels[0].sending is not None, now.channels[0].armed) == (
                mode is not TalkMode.VOICE,
                mode is TalkMode.VOICE,
            )
            assert await trigger.talk(tmp_path, False) == "No longer talking on Alpha."
        await parley.channels.set_talk_mode(info.channels[0].id, TalkMode.HOLD)
        async with trigger.held(tmp_path, "Bravo") as (said, ended):
            assert said == "Talking on Bravo."
            await parley.channels.leave(info.channels[1].id)
            assert "Bravo" in await ended
        with pytest.raises(EngineError, match="Bravo is not joined"):
            await trigger.talk(tmp_path, True, "Relief/Bravo")
    assert not list((tmp_path / "talk").iterdir())


@pytest.mark.skipif(sys.platform != "linux", reason="multicast stays on the loopback interface of Linux")
async def test_nothing_is_sent_where_the_key_was_let_go_before_the_microphone_hears(
    tmp_path: Path, hanging: Hanging
) -> None:
    def at_the_microphone(settings: Settings) -> Settings:
        plain = {"echo_cancellation": False, "noise_suppression": False, "gain_control": False}
        return replace(quiet(settings), media=replace(quiet(settings).media, audio_from="mic", **plain))

    mission = missions.pack(fresh_mission("Relief", "Alpha"))
    hanging.opening = {0}
    async with engine(tmp_path, adjust=at_the_microphone) as (parley, watch):
        await parley.channels.open_mission(mission)
        await watch.first(ChannelChanged, lambda event: event.channel.link.up)
        on = asyncio.ensure_future(trigger.talk(tmp_path, True))
        await watch.first(ChannelChanged, lambda event: event.channel.waiting)
        assert await trigger.talk(tmp_path, False) == "No longer talking on Alpha."
        with pytest.raises(EngineError, match="let go"):
            await on
        hanging.release.set()
        await trigger.talk(tmp_path, True)  # the microphone hears now
        await watch.first(
            ChannelChanged,
            lambda event: event.channel.sending is not None and event.channel.sending.level_dbfs is not None,
        )
        await trigger.talk(tmp_path, False)
        await watch.first(BurstKept)
        assert sum(isinstance(event, BurstKept) for event in watch.events) == 1
