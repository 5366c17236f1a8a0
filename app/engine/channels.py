"""The channels of one engine, as far as an engine needs them that has no mission: next to nothing.

What talks and listens (`app.engine.open_missions`) is loaded in a thread when the first mission is opened, or at the
start where the profile has kept some.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, TypeVar

from app.engine.errors import EngineError
from app.engine.kept import Kept
from app.events import CallChanged, CallRule, CallState, Event, MissionInfo, MissionsChanged, Problem, SettingsChanged
from app.owned_tasks import OwnedTasks

if TYPE_CHECKING:
    from app.engine.capture import PacketCapture
    from app.engine.open_missions import OpenMissions

T = TypeVar("T")


class EngineChannels:
    """Used on the engine's loop. `keeps`: missions are kept in the profile, and those that are kept are opened."""

    def __init__(
        self, kept: Kept, publish: Callable[[Event], None], clock: Callable[[], float], *, keeps: bool
    ) -> None:
        self._kept = kept
        self._clock = clock
        self._calls: set[str] = set()  # that go on: connected, and not held
        self._publish = publish
        self._path = kept.profile.channels_path if keeps else None
        self.capture: PacketCapture | None = None  # set before missions are opened
        self._open: OpenMissions | None = None
        self._opening = asyncio.Lock()
        self._opened = asyncio.Event()
        self._tasks = OwnedTasks("channels")
        self._is_closed = False

    async def open(self) -> None:
        """Open the missions that are kept, and tell of them."""
        try:
            if self._path is not None and await asyncio.to_thread(self._path.exists):
                await self._loaded()
            else:
                self._publish(MissionsChanged(()))
        finally:
            self._opened.set()

    async def close(self) -> None:
        self._is_closed = True
        self._opened.set()
        await self._tasks.close()
        async with self._opening:
            if self._open is not None:
                await self._open.close()

    def network_changed(self) -> None:
        if self._open is not None:
            self._open.network_changed()

    def overhear(self, event: Event) -> None:
        """Publish an event of the engine's, and do what it means for channels."""
        self._publish(event)
        if isinstance(event, CallChanged):
            call = event.call
            goes_on = call.connected_at is not None and call.end is None and call.state is not CallState.ENDING
            (self._calls.add if goes_on and not call.held else self._calls.discard)(call.call_id)
        if self._open is not None and isinstance(event, (CallChanged, SettingsChanged)):
            self._open.hold_back(self._held_back)
        if self._open is not None and isinstance(event, SettingsChanged):
            self._tasks.start(self._open.settings_changed(), "other settings")

    @property
    def _held_back(self) -> CallRule | None:
        """What the calls of now ask of channels; None where there is none."""
        return self._kept.settings.call_rule if self._calls else None

    async def list(self) -> tuple[MissionInfo, ...]:
        await self._opened.wait()
        return () if self._open is None else self._open.infos()

    async def use(self, work: Callable[[OpenMissions], T]) -> T:
        """Do something with the open missions; what channels cannot do becomes an EngineError."""

        async def at_once(missions: OpenMissions) -> T:
            return work(missions)

        return await self.wait_for(at_once)

    async def wait_for(self, work: Callable[[OpenMissions], Awaitable[T]]) -> T:
        """The same for what takes time."""
        await self._opened.wait()
        missions = await self._loaded()
        from app.channels.errors import ChannelError

        try:
            return await work(missions)
        except ChannelError as error:
            raise EngineError(str(error)) from error

    async def _loaded(self) -> OpenMissions:
        async with self._opening:
            if self._is_closed:
                raise EngineError("Parley is being closed.")
            if self._open is None:
                make, store = await asyncio.to_thread(_load)
                missions = make(
                    store(self._kept, self._path, lambda words: self._publish(Problem("disk", words))),
                    self._kept,
                    self._publish,
                    self._clock,
                    keeps=self._path is not None,
                    capture=self.capture,
                )
                missions.hold_back(self._held_back)
                self._open = missions
                await missions.open()
            return self._open


def _load():  # type: ignore[no-untyped-def]
    from app.engine.mission_store import MissionStore
    from app.engine.open_missions import OpenMissions

    return OpenMissions, MissionStore
