"""Brings channels and their sound together on the engine's loop: devices are open while channels are joined."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

from app.channels.channel_session import ChannelSession
from app.channels.channel_state import Cue
from app.media.worker import call_soon
from app.settings import MediaSettings

if TYPE_CHECKING:
    from app.engine.channel_sounds import ChannelSounds


class ChannelDesk:
    """One for all channels of an engine. `media` gives the settings of now."""

    def __init__(self, media: Callable[[], MediaSettings]) -> None:
        self._media = media
        self._used: MediaSettings | None = None
        self._sounds: ChannelSounds | None = None
        self._sessions: list[ChannelSession] = []
        self._changing = asyncio.Lock()

    @property
    def problems(self) -> tuple[str, ...]:
        """One sentence for each device that is not what was asked for."""
        return () if self._sounds is None else self._sounds.problems

    async def add(self, session: ChannelSession) -> None:
        """Let a channel be heard, and hear the microphone when it wants to."""
        async with self._changing:
            if self._sounds is None:
                self._used, loop = self._media(), asyncio.get_running_loop()
                self._sounds = await asyncio.to_thread(
                    _new_sounds, self._used, lambda: call_soon(loop, self._tell_hearing)
                )
            self._sessions.append(session)
            session.set_hearing(self._sounds.is_hearing)
            self._sounds.add(session)

    async def remove(self, session: ChannelSession) -> None:
        """Let a channel be silent; the last one releases the devices."""
        async with self._changing:
            if session not in self._sessions or self._sounds is None:
                return
            self._sessions.remove(session)
            self._sounds.remove(session)
            if not self._sessions:
                sounds, self._sounds = self._sounds, None
                await asyncio.to_thread(sounds.close)

    def capture_wanted(self, is_wanted: bool) -> None:
        """A channel wants blocks of the microphone, or no more."""
        if is_wanted and self._sounds is not None:
            self._sounds.capture()

    def _tell_hearing(self) -> None:
        if self._sounds is not None:
            for session in self._sessions:
                session.set_hearing(self._sounds.is_hearing)

    def sound(self) -> None:
        """A channel has something to play."""
        if self._sounds is not None:
            self._sounds.wake()

    def cue(self, cue: Cue) -> None:
        """Let the person at the key hear what it came to."""
        if self._sounds is not None:
            self._sounds.tone(cue.name)

    async def settings_changed(self) -> None:
        """Go on with the devices of other settings."""
        async with self._changing:
            media = self._media()
            if self._sounds is not None and media != self._used:
                self._used = media
                await asyncio.to_thread(self._sounds.use, media)


def _new_sounds(media: MediaSettings, on_hearing: Callable[[], None]) -> ChannelSounds:
    from app.engine.channel_sounds import ChannelSounds

    return ChannelSounds(media, on_hearing)
