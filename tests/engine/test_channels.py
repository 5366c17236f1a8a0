"""Channels through the face of the engine: two of them, with a profile each, over this machine's loopback."""

from __future__ import annotations

import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta, tzinfo
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Self

import psutil
import pytest

from app.channels.mission import GroupType
from app.channels.mission_parts import Presence
from app.channels.pin import PinDigest
from app.channels.presence import Connectivity
from app.engine import control_session, missions, open_mission, open_missions
from app.engine.connectivity import Kind
from app.engine.errors import EngineError
from app.engine.facade import Engine
from app.engine.missions import Address, ChannelWish, Mission, MissionWishes, PassphraseWanted, PinWanted
from app.events import (
    BurstKept,
    CallChanged,
    CallRule,
    CallState,
    ChannelChanged,
    ChannelId,
    ChannelInfo,
    MissionInfo,
    MissionsChanged,
    PlaybackChanged,
    RegistrationChanged,
    RosterChanged,
    TalkMode,
    TextSeen,
)
from app.ice.interfaces import LocalAddress
from app.media import portaudio
from app.settings import Settings
from tests.engine.test_engine import WAIT_S, Watch, engine, quiet
from tests.heard import read_wav, share_at
from tests.media.hanging import Hanging, hanging

__all__ = ["hanging"]

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="multicast stays on the loopback interface of Linux")


def fresh_mission(name: str, *channels: str) -> Mission:
    """A mission whose packets stay on this machine."""
    wishes = MissionWishes(name, tuple(ChannelWish(one) for one in channels or ("Alpha", "Bravo")))
    made = missions.make(wishes, datetime(2026, 11, 22, tzinfo=UTC))
    return replace(made, groups=tuple(replace(group, interface_name="lo") for group in made.groups)).canonical()


def named(name: str):  # type: ignore[no-untyped-def]
    def adjust(settings: Settings) -> Settings:
        return replace(quiet(settings), display_name=settings.display_name or name)

    return adjust


@asynccontextmanager
async def two(tmp_path: Path) -> AsyncIterator[tuple[tuple[Engine, Watch], tuple[Engine, Watch]]]:
    async with (
        engine(tmp_path / "ada", adjust=named("Ada")) as ada,
        engine(tmp_path / "ben", adjust=named("Ben")) as ben,
    ):
        yield ada, ben


async def up(*watches: Watch) -> None:
    """Wait until a channel can be talked on everywhere."""
    for watch in watches:
        await watch.first(ChannelChanged, lambda event: event.channel.link.up)


def channel(info: MissionInfo, name: str) -> ChannelInfo:
    return next(one for one in info.channels if one.name == name)


async def test_people_of_a_mission_see_each_other_write_and_raise_an_alarm(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # This machine may have no battery, and no network card.
    monkeypatch.setattr(psutil, "sensors_battery", lambda: SimpleNamespace(percent=81.6, power_plugged=False))
    monkeypatch.setattr(open_missions, "read_connectivity", lambda addresses: Connectivity(Kind.WIRELESS, -61, 78))
    slept_s = [0.0]
    clocks = SimpleNamespace(time=lambda: time.time() + slept_s[0], monotonic=time.monotonic)
    monkeypatch.setattr(control_session, "time", clocks)
    mission = fresh_mission("Roster")
    async with two(tmp_path) as ((ada, at_ada), (ben, at_ben)):
        info = await ada.channels.open_mission(missions.pack(mission))
        await ben.channels.open_mission(missions.pack(mission).encode())
        assert [one.name for one in info.channels] == ["Alpha", "Bravo"]
        assert (info.has_control, info.problem, channel(info, "Alpha").primary) == (True, "", True)

        seen = await at_ada.first(RosterChanged, lambda event: len(event.people) == 1)
        assert (seen.people[0].name, set(seen.people[0].channels)) == ("Ben", {one.id.group for one in info.channels})
        assert (seen.people[0].battery_percent, seen.people[0].connection) == (82, "Wi-Fi 78 %")
        await at_ada.first(MissionsChanged, lambda event: any(one.people == 1 for one in event.missions))

        await ada.channels.set_place(52.0, 5.0)
        await ben.channels.set_place(52.01, 5.0)
        await ben.channels.set_status("on the roof")
        alpha = channel(info, "Alpha").id
        await ben.channels.send_text(info.id, alpha, "Come to the gate.")
        text = await at_ada.first(TextSeen)
        assert (text.name, text.words, text.channel, text.own) == ("Ben", "Come to the gate.", alpha, False)
        assert [one.own for one in await ben.channels.texts(info.id)] == [True]

        slept_s[0] = 8 * 3_600.0  # both machines: the clock that never goes back stood still meanwhile
        await ben.channels.raise_emergency(info.id, "Smoke on deck 3")
        told = await at_ada.first(RosterChanged, lambda event: any(one.emergency for one in event.people))
        assert [(one.emergency, one.comment, one.place) for one in told.people] == [
            ("Smoke on deck 3", "on the roof", "1.1 km north")
        ]
        assert told.people[0].heard_wall > seen.people[0].heard_wall + slept_s[0]
        own = await at_ben.first(MissionsChanged, lambda event: any(one.own_emergency for one in event.missions))
        assert (own.missions[0].own_emergency, own.missions[0].own_place) == ("Smoke on deck 3", (52.01, 5.0))
        # Under another name, and with the mission edited, an emergency stands and what was written is there.
        await ben.settings.change(replace(await ben.settings.get(), reconnect_for_s=50.0, display_name="Benno"))
        await ben.channels.open_mission(str(replace(mission, description="edited")))
        renamed = await at_ada.first(RosterChanged, lambda event: any(one.name == "Benno" for one in event.people))
        again = await at_ada.first(
            RosterChanged, lambda event: any(one.name == "Benno" and one.emergency for one in event.people)
        )
        assert [len(one.people) for one in (renamed, again)] == [1, 1]
        assert len(await ben.channels.texts(info.id)) == 1
        at_ada.events.clear()
        await ben.channels.clear_emergency(info.id)
        await at_ada.first(RosterChanged, lambda event: [one.emergency for one in event.people] == [None])
        await ben.channels.close_mission(info.id)
        assert await ben.channels.list() == ()
        with pytest.raises(EngineError, match="not open any more"):
            await ben.channels.send_text(info.id, None, "Anybody?")


async def test_what_was_opened_is_there_after_a_restart_and_readable_by_nobody_else(tmp_path: Path) -> None:
    mission = fresh_mission("Kept")
    async with engine(tmp_path) as (parley, _):
        info = await parley.channels.open_mission(missions.pack(mission))
        bravo = channel(info, "Bravo").id
        await parley.channels.set_volume(bravo, 0.5)
        await parley.channels.set_primary(bravo)
        await parley.channels.leave(channel(info, "Alpha").id)
        with pytest.raises(EngineError, match=r"from 0 to 1\.5"):
            await parley.channels.set_volume(bravo, float("nan"))
    key = next(group.crypto_password for group in mission.groups if group.crypto_password)
    kept = (tmp_path / "channels.bin").read_bytes()
    assert key.encode() not in kept
    assert b"Bravo" not in kept
    async with engine(tmp_path) as (parley, watch):
        told = (await watch.first(MissionsChanged, lambda event: bool(event.missions))).missions[0]
        assert [(one.name, one.volume, one.primary, one.joined) for one in told.channels] == [
            ("Alpha", 1.0, False, False),
            ("Bravo", 0.5, True, True),
        ]
        assert [one.name for one in await parley.channels.list()] == ["Kept"]
        assert str(await parley.channels.mission(told.id)) == str(mission)
        await parley.channels.close_mission(told.id)
    async with engine(tmp_path) as (parley, _):
        assert await parley.channels.list() == ()


async def test_a_full_duplex_channel_is_talked_on_as_in_a_call_until_one_wants_it_otherwise(tmp_path: Path) -> None:
    wishes = MissionWishes("Call", (ChannelWish("Bravo"),), full_duplex=True)
    (bravo,) = (group for group in missions.make(wishes, datetime(2026, 11, 22, tzinfo=UTC)).groups if group.tx_audio)
    alpha = fresh_mission("Call", "Alpha")
    mission = replace(alpha, groups=(*alpha.groups, replace(bravo, interface_name="lo"))).canonical()
    async with engine(tmp_path) as (parley, _):
        info = await parley.channels.open_mission(missions.pack(mission))
        assert [(one.full_duplex, one.talk_mode) for one in info.channels] == [
            (False, TalkMode.HOLD),
            (True, TalkMode.LATCH),
        ]
        await parley.channels.set_talk_mode(channel(info, "Bravo").id, TalkMode.HOLD)
    async with engine(tmp_path) as (_, watch):
        told = (await watch.first(MissionsChanged, lambda event: bool(event.missions))).missions[0]
        assert channel(told, "Bravo").talk_mode is TalkMode.HOLD


async def test_a_mission_that_asks_for_something_is_opened_with_it_and_one_that_is_over_is_not(tmp_path: Path) -> None:
    mission = replace(fresh_mission("Guarded"), pin_digest=PinDigest.of("4711"))
    packed = missions.pack(mission, "correct horse battery")
    async with engine(tmp_path) as (parley, watch):
        with pytest.raises(PassphraseWanted):
            await parley.channels.open_mission(packed)
        with pytest.raises(PinWanted, match="asks for its PIN"):
            await parley.channels.open_mission(str(mission))
        with pytest.raises(PinWanted, match="wrong"):
            await parley.channels.open_mission(str(mission), pin="1234")
        assert (await parley.channels.open_mission(packed, passphrase="correct horse battery", pin="4711")).has_pin
        over = replace(fresh_mission("Over"), expires=datetime.now(UTC) - timedelta(days=1))
        with pytest.raises(EngineError, match="ended on"):
            await parley.channels.open_mission(missions.pack(over))
        soon = replace(fresh_mission("Soon"), expires=datetime.now(UTC) + timedelta(seconds=0.5))
        info = await parley.channels.open_mission(missions.pack(soon))
        assert not info.problem
        told = await watch.first(MissionsChanged, lambda event: any(one.problem for one in event.missions))
        ended = next(one for one in told.missions if one.id == info.id)
        assert ended.problem == ended.channels[0].link.words
        assert "ended on" in ended.problem
        with pytest.raises(EngineError, match=r"^The mission Soon ended on 20\d\d-"):  # not: is not joined
            await parley.channels.press(ended.channels[0].id)
        with pytest.raises(EngineError, match="no such channel"):
            await parley.channels.set_muted(ChannelId(info.id, "none"), True)


async def test_a_mission_comes_back_when_a_wrong_clock_is_set_right(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mission = replace(fresh_mission("Wrong clock", "Alpha"), expires=datetime.now(UTC) + timedelta(days=1))

    class NextYear(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> Self:
            return super().now(tz) + timedelta(days=365)

    async with engine(tmp_path) as (parley, watch):
        info = await parley.channels.open_mission(missions.pack(mission))
        (channel,) = info.channels
        await up(watch)
        with monkeypatch.context() as wrong:
            wrong.setattr(open_mission, "datetime", NextYear)
            await watch.first(MissionsChanged, lambda event: any("ended on" in one.problem for one in event.missions))
            watch.events.clear()
        await up(watch)
        await parley.channels.press(channel.id)
        await parley.channels.release(channel.id)


async def test_a_press_and_an_emergency_wait_for_a_connection(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mission = fresh_mission("Late", "Alpha")
    later = tuple(replace(group, interface_name="late0") for group in mission.groups)
    there: list[LocalAddress] = []
    present = open_missions.present_addresses
    monkeypatch.setattr(open_missions, "present_addresses", lambda: [*present(), *there])
    async with two(tmp_path) as ((ada, at_ada), (ben, at_ben)):

        async def plug() -> None:
            ada.core.channels.network_changed()

        async def call_comes() -> None:
            assert ada.core.channels._open is not None
            ada.core.channels._open.hold_back(CallRule.PAUSE)

        await ben.channels.open_mission(missions.pack(mission))
        await up(at_ben)
        info = await ada.channels.open_mission(missions.pack(replace(mission, groups=later)))
        alpha = info.channels[0].id
        with pytest.raises(EngineError, match=r"^Not connected: nobody gets this message\. Multicast .* waits"):
            await ada.channels.send_text(info.id, alpha, "Anybody?")
        await ada.channels.raise_emergency(info.id, "fire")
        waits = await at_ada.first(MissionsChanged, lambda event: any(one.emergency_waits for one in event.missions))
        assert waits.missions[0].own_emergency == "fire"
        await ada.channels.press(alpha)
        refused = await at_ada.first(ChannelChanged, lambda event: event.channel.notice.startswith("Not connected"))
        assert not refused.channel.waiting
        await ada.channels.release(alpha)

        await ada.channels.press(alpha, emergency=True)
        await at_ada.first(ChannelChanged, lambda event: event.channel.waiting)
        await ada.run(call_comes())
        assert (await ada.channels.list())[0].channels[0].waiting  # an emergency is not given up for a call
        at_ada.events.clear()
        there.append(LocalAddress("late0", "127.0.0.1"))
        await ada.run(plug())
        told = await at_ben.first(RosterChanged, lambda event: any(one.emergency for one in event.people))
        assert told.people[0].emergency == "fire"
        talks = await at_ben.first(ChannelChanged, lambda event: bool(event.channel.talkers))
        assert talks.channel.talkers[0].emergency
        sent = await at_ada.first(
            MissionsChanged, lambda event: any(one.own_emergency and not one.emergency_waits for one in event.missions)
        )
        assert sent.missions[0].own_emergency == "fire"
        await ada.channels.release(alpha)
        await at_ben.first(BurstKept)


async def test_an_emergency_goes_on_in_no_mission_where_nobody_can_be_told(tmp_path: Path) -> None:
    mission = fresh_mission("Edited", "Alpha")
    nowhere = Address("192.0.2.1", 18000)

    def with_control(**changes: object) -> str:
        groups = (replace(one, **changes) if one.type is GroupType.MISSION_CONTROL else one for one in mission.groups)  # type: ignore[arg-type]
        return str(replace(mission, groups=tuple(groups)).canonical())

    def emergency(info: MissionInfo) -> tuple[str | None, bool]:
        return info.own_emergency, info.emergency_waits

    listening, unreachable = with_control(presence=Presence(listen_only=True)), with_control(rx=nowhere, tx=nowhere)
    async with engine(tmp_path) as (parley, watch):
        info = await parley.channels.open_mission(str(mission))
        await up(watch)
        await parley.channels.raise_emergency(info.id, "fire")
        heard = await parley.channels.open_mission(listening)
        assert (heard.problem, emergency(heard)) == ("", (None, False))
        assert emergency(await parley.channels.open_mission(str(mission))) == (None, False)

        await parley.channels.raise_emergency(info.id, "fire")
        lost = await parley.channels.open_mission(unreachable)
        assert "no multicast address" in lost.problem
        assert emergency(lost) == ("fire", True)
        await parley.channels.clear_emergency(info.id)
        assert [emergency(one) for one in await parley.channels.list()] == [(None, False)]
        assert emergency(await parley.channels.open_mission(str(mission))) == (None, False)


async def test_a_channel_that_cannot_be_joined_says_why_and_stops_no_other(tmp_path: Path) -> None:
    mission = fresh_mission("Partly")
    there = Address("192.0.2.1", 18000)
    groups = tuple(replace(one, rx=there, tx=there) if one.name == "Bravo" else one for one in mission.groups)
    async with engine(tmp_path) as (parley, watch):
        info = await parley.channels.open_mission(str(replace(mission, groups=groups).canonical()))
        assert "no multicast address" in channel(info, "Bravo").link.words
        await watch.first(ChannelChanged, lambda event: event.channel.name == "Alpha" and event.channel.link.up)
        with pytest.raises(EngineError, match="no multicast address"):
            await parley.channels.press(channel(info, "Bravo").id)


async def test_who_presses_the_key_is_heard_and_seen_to_talk(tmp_path: Path) -> None:
    mission = fresh_mission("Sound", "Alpha")
    heard = tmp_path / "heard.wav"

    def listening(settings: Settings) -> Settings:
        media = replace(quiet(settings).media, audio_to=str(heard))
        return replace(quiet(settings), media=media, display_name="Ben")

    async with (
        engine(tmp_path / "ada", adjust=named("Ada")) as (ada, at_ada),
        engine(tmp_path / "ben", adjust=listening) as (ben, at_ben),
    ):
        info = await ada.channels.open_mission(missions.pack(mission))
        await ben.channels.open_mission(missions.pack(mission))
        alpha = info.channels[0].id
        await up(at_ada, at_ben)

        await ada.channels.press_primary()
        sending = await at_ada.first(ChannelChanged, lambda event: event.channel.sending is not None)
        assert sending.channel.notice == ""
        talks = await at_ben.first(ChannelChanged, lambda event: bool(event.channel.talkers))
        assert talks.channel.talkers[0].alias == "Ada"
        assert 0 <= talks.channel.talkers[0].since_at < WAIT_S
        level = await at_ada.first(
            ChannelChanged,
            lambda event: event.channel.sending is not None and event.channel.sending.level_dbfs is not None,
        )
        assert level.channel.sending is not None
        assert level.channel.sending.level_dbfs == pytest.approx(-9, abs=1)
        await ada.channels.release_primary()
        kept = await at_ben.first(BurstKept)
        own = await at_ada.first(BurstKept)
        assert (kept.burst.alias, kept.burst.own, own.burst.own) == ("Ada", False, True)
        assert kept.burst.seconds == pytest.approx(own.burst.seconds, abs=0.1)
        idle = await at_ben.first(ChannelChanged, lambda event: event.channel.last is not None)
        assert idle.channel.last is not None
        assert idle.channel.last.alias == "Ada"
        told = [event for event in at_ben.events if isinstance(event, ChannelChanged)]
        assert all(one != before for before, one in pairwise(told))  # nothing is told that has not changed
        assert len({talker.since_at for event in told for talker in event.channel.talkers}) == 1
        figures = (await ben.channels.figures(info.id))[0]
        assert (figures.id, figures.packets_sent, figures.refused, figures.talkers[0].alias) == (alpha, 0, 0, "Ada")
        assert figures.packets_received > 0

        assert [burst.burst_id for burst in await ben.channels.bursts(alpha)] == [kept.burst.burst_id]
        await ben.channels.play(kept.burst.burst_id)
        await at_ben.first(PlaybackChanged, lambda event: event.burst_id == kept.burst.burst_id)
        await at_ben.first(PlaybackChanged, lambda event: event.burst_id is None)
        await ben.channels.clear_bursts()
        assert await ben.channels.bursts() == ()
        await ada.channels.leave(alpha)
        await ada.channels.join(alpha)
        last = (await ada.channels.list())[0].channels[0].last
        assert last is not None
        assert last.own
    sound = read_wav(heard)
    assert share_at(sound, 440.0) > 0.3  # however busy the machine is: noise has a hundredth


def at_the_microphone(settings: Settings) -> Settings:
    plain = {"echo_cancellation": False, "noise_suppression": False, "gain_control": False}
    return replace(quiet(settings), media=replace(quiet(settings).media, audio_from="mic", **plain))


async def test_nothing_is_sent_before_the_microphone_hears(tmp_path: Path, hanging: Hanging) -> None:
    mission = fresh_mission("Cold", "Alpha")
    hanging.opening = {0}
    async with engine(tmp_path / "ada", adjust=at_the_microphone) as (ada, at_ada):
        info = await ada.channels.open_mission(missions.pack(mission))
        await up(at_ada)
        await ada.channels.press_primary()
        opening = await at_ada.first(ChannelChanged, lambda event: event.channel.waiting)
        assert (opening.channel.notice, opening.channel.sending) == ("Opening the microphone…", None)
        assert (await ada.channels.figures(info.id))[0].packets_sent == 0
        hanging.release.set()
        talks = await at_ada.first(ChannelChanged, lambda event: event.channel.sending is not None)
        assert (talks.channel.waiting, talks.channel.notice) == (False, "")
        await at_ada.first(
            ChannelChanged,
            lambda event: event.channel.sending is not None and event.channel.sending.level_dbfs is not None,
        )
        await ada.channels.release_primary()
        burst = (await at_ada.first(BurstKept)).burst
        assert min(burst.levels[:2]) > 0.9 * max(burst.levels)  # a tone from its first moment on

        at_ada.events.clear()
        await ada.channels.press_primary()  # the microphone is open still
        await at_ada.first(ChannelChanged, lambda event: event.channel.sending is not None)
        assert not any(isinstance(event, ChannelChanged) and event.channel.waiting for event in at_ada.events)
        await ada.channels.release_primary()


async def test_a_burst_whose_microphone_is_unplugged_ends_and_goes_on_when_it_is_back(
    tmp_path: Path, hanging: Hanging
) -> None:
    mission = fresh_mission("Loose", "Alpha")
    async with engine(tmp_path / "ada", adjust=at_the_microphone) as (ada, at_ada):
        alpha = (await ada.channels.open_mission(missions.pack(mission))).channels[0].id
        await up(at_ada)
        await ada.channels.press(alpha)
        await at_ada.first(ChannelChanged, lambda event: event.channel.sending is not None)
        at_ada.events.clear()
        hanging.gone = {"microphone"}
        lost = await at_ada.first(ChannelChanged, lambda event: event.channel.sending is None)
        assert (lost.channel.waiting, lost.channel.notice) == (True, "The microphone is gone: your burst was ended.")
        at_ada.events.clear()
        hanging.gone = set()
        portaudio.devices_changed()
        goes_on = await at_ada.first(ChannelChanged, lambda event: event.channel.sending is not None)
        assert (goes_on.channel.waiting, goes_on.channel.notice) == (False, "")
        await ada.channels.press(alpha, emergency=True)
        hanging.gone = {"microphone"}
        await at_ada.first(
            ChannelChanged, lambda event: event.channel.sending is not None and event.channel.sending.silent
        )
        await ada.channels.release(alpha)


async def test_who_has_a_higher_priority_interrupts_and_is_not_interrupted(tmp_path: Path) -> None:
    mission = fresh_mission("Rank", "Alpha")

    def first(settings: Settings) -> Settings:
        return replace(quiet(settings), display_name="Ben", talk_priority=100)

    async with (
        engine(tmp_path / "ada", adjust=named("Ada")) as (ada, at_ada),
        engine(tmp_path / "ben", adjust=first) as (ben, at_ben),
    ):
        info = await ada.channels.open_mission(missions.pack(mission))
        await ben.channels.open_mission(missions.pack(mission))
        alpha = info.channels[0].id
        await up(at_ada, at_ben)
        await ada.channels.press(alpha)
        await at_ben.first(ChannelChanged, lambda event: bool(event.channel.talkers))
        await ben.channels.press(alpha)
        ended = await at_ada.first(ChannelChanged, lambda event: bool(event.channel.notice))
        assert ended.channel.notice == "Ben goes first: your burst was ended."
        await at_ada.first(ChannelChanged, lambda event: [one.priority for one in event.channel.talkers] == [100])
        await ada.channels.release(alpha)
        await ada.channels.press(alpha)
        await at_ada.first(ChannelChanged, lambda event: event.channel.notice.startswith("Ben is talking: wait"))
        await ben.channels.release(alpha)


async def test_a_call_holds_channels_back_as_the_person_wants_but_no_emergency(tmp_path: Path) -> None:
    mission = fresh_mission("Rule", "Alpha")
    async with two(tmp_path) as ((ada, at_ada), (ben, at_ben)):
        info = await ada.channels.open_mission(missions.pack(mission))
        await ben.channels.open_mission(missions.pack(mission))
        alpha = info.channels[0].id
        await up(at_ada, at_ben)
        assert await ada.channels.call_rule() is CallRule.DUCK
        there = await at_ben.first(RegistrationChanged, lambda event: event.own_uri is not None)
        call = await ada.calls.place(there.own_uri or "", video=False)
        ringing = await at_ben.first(CallChanged, lambda event: event.call.state is CallState.RINGING)
        await ben.calls.answer(ringing.call.call_id, video=False)
        await at_ada.first(ChannelChanged, lambda event: event.channel.held_back is CallRule.DUCK)

        await ada.channels.press(alpha)  # the call is only louder
        await at_ada.first(ChannelChanged, lambda event: event.channel.sending is not None)
        await ada.channels.set_call_rule(CallRule.PAUSE)
        ended = await at_ada.first(BurstKept)
        assert (ended.burst.own, ended.burst.emergency) == (True, False)
        with pytest.raises(EngineError, match="paused while you are in a call"):
            await ada.channels.press(alpha)
        await ben.channels.press(alpha, emergency=True)
        heard = await at_ada.first(ChannelChanged, lambda event: any(one.emergency for one in event.channel.talkers))
        assert heard.channel.held_back is CallRule.PAUSE
        await ben.channels.release(alpha)
        await at_ada.first(BurstKept, lambda event: event.burst.emergency)
        await ada.channels.press(alpha, emergency=True)
        await at_ben.first(ChannelChanged, lambda event: any(one.emergency for one in event.channel.talkers))
        await ada.channels.release(alpha)

        at_ada.events.clear()
        await ada.calls.set_held(call, True)
        await at_ada.first(ChannelChanged, lambda event: event.channel.held_back is None)
        await ada.calls.hang_up(call)
        await at_ada.first(CallChanged, lambda event: event.call.state is CallState.ENDED)
        assert (await ada.channels.list())[0].channels[0].held_back is None
        assert (await ada.settings.get()).call_rule is CallRule.PAUSE
