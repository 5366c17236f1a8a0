"""The engine's timeline: bursts are kept as they end, told of, played, written out and deleted, over restarts."""

from __future__ import annotations

import asyncio
import os
import time
import wave
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from app.channel_events import BurstKept, ChannelId, PlaybackChanged
from app.channels.mission_parts import TimelineOptions
from app.engine.channel_timeline import ChannelTimeline
from app.engine.errors import EngineError
from app.engine.kept import Kept
from app.engine.options import EngineOptions
from app.events import Event
from app.settings import Settings
from tests.channels.test_timeline import ALPHA, burst, files


class Seen:
    """What the engine would publish."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.problems: list[str] = []
        self._more = asyncio.Event()

    def publish(self, event: Event) -> None:
        self.events.append(event)
        self._more.set()

    async def until(self, event: object, count: int = 1) -> None:
        """Wait for so many events of a kind, or equal to this one."""
        async with asyncio.timeout(10):
            while sum(each == event or type(each) is event for each in self.events) < count:
                self._more.clear()
                await self._more.wait()


@asynccontextmanager
async def a_timeline(profile: Path) -> AsyncIterator[tuple[ChannelTimeline, Seen]]:
    def quiet(settings: Settings) -> Settings:
        return replace(settings, media=replace(settings.media, audio_to="null"))

    kept = Kept(EngineOptions(profile=profile, adjust=quiet))
    await asyncio.to_thread(kept.read)
    seen = Seen()
    timeline = ChannelTimeline(kept, seen.publish, seen.problems.append)
    timeline.start()
    try:
        yield timeline, seen
    finally:
        await timeline.close()


async def test_a_burst_is_kept_told_of_and_there_after_a_restart(tmp_path: Path) -> None:
    now = time.time()
    async with a_timeline(tmp_path) as (timeline, seen):
        timeline.take(burst(began=now), TimelineOptions())
        timeline.take(burst(began=now), TimelineOptions(enabled=False))
        await seen.until(BurstKept)
    async with a_timeline(tmp_path) as (timeline, _):
        (info,) = await timeline.bursts()
        assert [each for each in seen.events if isinstance(each, BurstKept)] == [BurstKept(info)]
        assert await timeline.bursts(ChannelId("m-9", "g-9")) == ()
        await timeline.forget_mission(ALPHA.mission)
        assert await timeline.bursts() == ()
    assert files(tmp_path / "timeline") == []


async def test_until_something_is_said_there_is_neither_a_folder_nor_a_key(tmp_path: Path) -> None:
    async with a_timeline(tmp_path) as (timeline, _):
        assert await timeline.bursts() == ()
        await timeline.clear()
        await timeline.forget_mission("m-1")
    assert os.listdir(tmp_path) == []


async def test_a_burst_is_played_and_its_end_is_told(tmp_path: Path) -> None:
    now = time.time()
    async with a_timeline(tmp_path) as (timeline, seen):
        timeline.take(burst(began=now, seconds=0.1), TimelineOptions())
        timeline.take(burst(began=now + 1, seconds=60.0), TimelineOptions(max_audio_time_ms=60_000))
        await seen.until(BurstKept, 2)
        long, short = await timeline.bursts()
        await timeline.play(short.burst_id)
        await seen.until(PlaybackChanged(None))
        await timeline.play(long.burst_id)
        await timeline.play(short.burst_id)
        await seen.until(PlaybackChanged(None), 2)
        await timeline.play(long.burst_id)
        await timeline.stop_playing()
        played = [each.burst_id for each in seen.events if isinstance(each, PlaybackChanged)]
        assert played == [
            *(short.burst_id, None),
            *(long.burst_id, short.burst_id, None),
            *(long.burst_id, None),
        ]
        await timeline.export(short.burst_id, tmp_path / "burst.wav")
        with wave.open(str(tmp_path / "burst.wav")) as file:
            assert file.getnframes() == 4_800
        with pytest.raises(EngineError, match="cannot be written"):
            await timeline.export(short.burst_id, tmp_path / "nowhere" / "burst.wav")
        await timeline.clear()
        with pytest.raises(EngineError, match="not kept any more"):
            await timeline.play(short.burst_id)


async def test_a_folder_that_cannot_be_used_is_told_once(tmp_path: Path) -> None:
    (tmp_path / "timeline").write_text("in the way")
    async with a_timeline(tmp_path) as (timeline, seen):
        timeline.take(burst(), TimelineOptions())
        timeline.take(burst(), TimelineOptions())
        with pytest.raises(EngineError, match="cannot be kept"):
            await timeline.bursts()
    assert len(seen.problems) == 1


async def test_only_that_somebody_talked(tmp_path: Path) -> None:
    now = time.time()
    async with a_timeline(tmp_path) as (timeline, seen):
        timeline.take(burst(began=now), TimelineOptions(record_audio=False))
        await seen.until(BurstKept)
        (info,) = await timeline.bursts()
        with pytest.raises(EngineError, match="not what was said"):
            await timeline.play(info.burst_id)
