"""What was said on channels, for replay: kept as it ends, listed, played and deleted.

The files are opened with the first channel or command that needs them, and at the start where there are some, so that
what is too old goes. Nothing here makes the event loop wait for a disk.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from app.channels.timeline_records import TimelineError
from app.channels.timeline_store import TimelineStore
from app.engine.errors import EngineError
from app.engine.kept import Kept
from app.events import BurstInfo, BurstKept, ChannelId, Event, PlaybackChanged
from app.media import loading
from app.media.worker import call_soon
from app.owned_tasks import OwnedTasks
from app.people.errors import PeopleError

if TYPE_CHECKING:
    from app.channels.finished_burst import FinishedBurst
    from app.channels.mission_parts import TimelineOptions
    from app.channels.timeline_player import TimelinePlayer

log = logging.getLogger(__name__)

KEY_NAME = "timeline"
KEY_BYTES = 32
MOST_WAITING = 64  # bursts between a channel and a disk that is slow
TIDY_S = 600.0
STOP_S = 2.0

T = TypeVar("T")


class ChannelTimeline:
    """The timeline of one engine; used on its loop. `on_problem` gets one sentence for a person."""

    def __init__(self, kept: Kept, publish: Callable[[Event], None], on_problem: Callable[[str], None]) -> None:
        self._kept = kept
        self._publish = publish
        self._on_problem = on_problem
        self._store: TimelineStore | None = None
        self._opening = asyncio.Lock()
        self._failure: str | None = None  # why nothing is kept in this run
        self._last_problem = ""
        self._waiting = 0
        self._tasks = OwnedTasks("timeline")
        self._writing = OwnedTasks("timeline files")
        self._player: TimelinePlayer | None = None

    def start(self) -> None:
        """Begin to look after what is there; returns at once."""
        self._tasks.start(self._look_after(), "look after")

    async def close(self) -> None:
        """Stop what is played and keep what waits to be kept."""
        player = self._player
        await self.stop_playing()
        await self._tasks.close()
        await self._writing.finish()
        if self._store is not None:
            await asyncio.to_thread(self._store.tidy)  # how long this run was counts for the age of what is kept
        if player is not None:
            await asyncio.to_thread(player.join, STOP_S)

    # Bursts ---------------------------------------------------------------------------------------------------

    def take(self, burst: FinishedBurst, options: TimelineOptions) -> None:
        """Keep a burst as its channel says; BurstKept follows for each entry that the list has more."""
        if not options.enabled:
            return
        if self._waiting >= MOST_WAITING:
            self._tell("The disk is too slow: not everything that is said on channels is kept.")
            return
        self._waiting += 1
        self._writing.start(self._keep(burst, options), "keep")

    async def bursts(self, channel: ChannelId | None = None, most: int = 100) -> tuple[BurstInfo, ...]:
        """Give the last bursts of a channel, or of all, the newest first."""
        if not await self._is_there():
            return ()
        store = await self._opened()
        return await self._in_thread(lambda: store.bursts(channel, most))

    async def clear(self, channel: ChannelId | None = None) -> None:
        """Delete everything of a channel, or of all."""
        if not await self._is_there():
            return
        store = await self._opened()
        await self._in_thread(lambda: store.clear(channel))

    async def forget_mission(self, mission: str) -> None:
        """Delete everything of a mission that is closed; waits for what is being kept of it."""
        await self._writing.finish()
        if not await self._is_there():
            return
        store = await self._opened()
        await self._in_thread(lambda: store.forget_mission(mission))

    async def export(self, burst_id: str, path: Path) -> None:
        """Write a burst to a WAV file."""
        burst = await self._read(burst_id)
        from app.channels.burst_sound import sound_of
        from app.channels.timeline_player import write_wav

        try:
            await asyncio.to_thread(lambda: write_wav(path, sound_of(burst)))
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
            raise EngineError(f"{path} cannot be written ({reason}).") from error

    # Playing --------------------------------------------------------------------------------------------------

    async def play(self, burst_id: str) -> None:
        """Play a burst in place of another one that is played; PlaybackChanged says when it begins and ends."""
        burst = await self._read(burst_id)
        from app.channels.burst_sound import sound_of
        from app.channels.timeline_player import TimelinePlayer

        if self._player is not None:
            self._player.stop()
        media = self._kept.settings.media
        device = media.speaker if media.audio_to == "speaker" else None
        loop = asyncio.get_running_loop()

        def ended() -> None:  # on a thread of the player's
            call_soon(loop, lambda: self._ended(player))

        player = self._player = TimelinePlayer(sound_of(burst), device, ended)
        self._publish(PlaybackChanged(burst_id))
        player.start()

    async def stop_playing(self) -> None:
        """Fall silent; harmless when nothing is played."""
        player, self._player = self._player, None
        if player is not None:
            player.stop()
            self._publish(PlaybackChanged(None))

    def _ended(self, player: TimelinePlayer) -> None:
        if player is self._player:
            self._player = None
            self._publish(PlaybackChanged(None))
            if player.problem is not None:
                self._tell(player.problem)

    async def _read(self, burst_id: str) -> FinishedBurst:
        store = await self._opened()
        burst = await self._in_thread(lambda: store.read(burst_id))
        if not burst.packets:
            raise EngineError("Only that somebody talked is kept of this burst, not what was said.")
        await loading.loaded()
        return burst

    # Files ----------------------------------------------------------------------------------------------------

    async def _look_after(self) -> None:
        if not await self._is_there():
            return
        try:
            store = await self._opened()
            while True:
                await asyncio.sleep(TIDY_S)
                await asyncio.to_thread(store.tidy)
        except EngineError as error:
            self._tell(str(error))

    async def _is_there(self) -> bool:
        """Tell whether anything was ever kept: until then there is neither a folder nor a key."""
        return self._store is not None or await asyncio.to_thread(self._kept.profile.timeline_path.exists)

    async def _keep(self, burst: FinishedBurst, options: TimelineOptions) -> None:
        try:
            store = await self._opened()
            for info in await self._in_thread(lambda: store.keep(burst, options)):
                self._publish(BurstKept(info))
        except EngineError as error:
            self._tell(str(error))
        finally:
            self._waiting -= 1

    async def _opened(self) -> TimelineStore:
        """Give the files, opened at the first time; EngineError where they cannot be used in this run."""
        async with self._opening:
            if self._store is not None:
                return self._store
            if self._failure is None:
                try:
                    store = TimelineStore(self._kept.profile.timeline_path, await self._key())
                    await asyncio.to_thread(store.open)
                except (TimelineError, PeopleError) as error:
                    self._failure = str(error)
                else:
                    if store.damaged:
                        log.warning("%d places of the timeline could not be read", store.damaged)
                    self._store = store
                    return store
            raise EngineError(self._failure)

    async def _key(self) -> bytes:
        """Give the key of this profile's timeline, made at first use."""
        await self._kept.find_password(KEY_NAME)
        text = self._kept.password(KEY_NAME) or ""
        try:
            key = bytes.fromhex(text)
        except ValueError:
            key = b""
        if len(key) != KEY_BYTES:
            key = os.urandom(KEY_BYTES)
            await self._kept.save_password(KEY_NAME, key.hex())
        return key

    async def _in_thread(self, work: Callable[[], T]) -> T:
        try:
            return await asyncio.to_thread(work)
        except TimelineError as error:
            raise EngineError(str(error)) from error

    def _tell(self, sentence: str) -> None:
        """Tell of a problem, once as long as it is the same."""
        if sentence != self._last_problem:
            self._last_problem = sentence
            self._on_problem(sentence)
