"""Microphones, speakers and cameras of this machine: their list, kept fresh, and trying them out before a call.

Everything runs on the engine's loop and waits for devices in threads; the facade has a thin method for each.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

from app.engine.errors import EngineError
from app.events import DeviceInfo, DevicesChanged, Event, TrialChanged
from app.frames import FrameMailbox
from app.owned_tasks import OwnedTasks
from app.settings import MediaSettings

if TYPE_CHECKING:
    from app.media.device_watch import DeviceWatch
    from app.media.trial import DeviceTrial

TELL_EVERY_S = 0.1


class EngineDevices:
    """Publishes DevicesChanged while `watch` runs, and TrialChanged while devices are tried out."""

    def __init__(self, publish: Callable[[Event], None]) -> None:
        self.picture = FrameMailbox()
        self._publish = publish
        self._tasks = OwnedTasks("devices")
        self._changed = asyncio.Event()
        self._watching: asyncio.Future[DeviceWatch] | None = None
        self._trial: DeviceTrial | None = None
        self._trial_lock = asyncio.Lock()  # one after the other: a trial that is only being made is to be ended too
        self._telling: asyncio.Task[None] | None = None

    async def read(self) -> tuple[tuple[DeviceInfo, ...], tuple[str, ...]]:
        """The devices, and one sentence for each kind that is missing."""
        return await asyncio.to_thread(_read_devices)

    async def list(self) -> tuple[DeviceInfo, ...]:
        return (await self.read())[0]

    def watch(self) -> None:
        """Tell of the devices now, and whenever they have changed."""
        self._changed.set()
        self._tasks.start(self._follow(), "look for devices")

    async def _follow(self) -> None:
        loop = asyncio.get_running_loop()
        told = None
        while True:
            await self._changed.wait()
            self._changed.clear()
            found = await self.read()
            if found != told:
                told = found
                self._publish(DevicesChanged(*found))
            if self._watching is None:
                self._watching = asyncio.ensure_future(asyncio.to_thread(_new_watch, loop, self._changed.set))

    async def try_out(self, media: MediaSettings, *, camera: bool) -> None:
        async with self._trial_lock:
            if self._trial is None:
                self._trial = await asyncio.to_thread(_new_trial, self.picture)
                self._telling = self._tasks.start(self._tell(self._trial), "tell of the devices tried out")
            self._trial.use(media, camera=camera)

    async def stop_trial(self) -> None:
        async with self._trial_lock:
            trial, self._trial = self._trial, None
            if self._telling is not None:
                self._telling.cancel()
                self._telling = None
            if trial is not None:
                await asyncio.to_thread(trial.close)

    async def play_test_sound(self, device: str, volume: float) -> None:
        self._running_trial().play_test_sound(device, volume)

    async def echo_test(self) -> None:
        self._running_trial().echo_test()

    def _running_trial(self) -> DeviceTrial:
        if self._trial is None:
            raise EngineError("Nothing is tried out now.")
        return self._trial

    async def _tell(self, trial: DeviceTrial) -> None:
        told = TrialChanged()
        while True:
            state = trial.state()
            if state != told:
                told = state
                self._publish(state)
            await asyncio.sleep(TELL_EVERY_S)

    async def close(self) -> None:
        """Release everything."""
        await self.stop_trial()
        await self._tasks.close()
        if self._watching is not None:
            await asyncio.to_thread((await self._watching).stop)


def _read_devices() -> tuple[tuple[DeviceInfo, ...], tuple[str, ...]]:
    """Blocks; loads the sound library the first time."""
    from app.media.devices import list_devices, missing_devices

    devices = list_devices()
    return devices, missing_devices(devices)


def _new_watch(loop: asyncio.AbstractEventLoop, on_change: Callable[[], None]) -> DeviceWatch:
    from app.media.device_watch import DeviceWatch
    from app.media.worker import call_soon

    watch = DeviceWatch(lambda: call_soon(loop, on_change))
    watch.start()
    return watch


def _new_trial(picture: FrameMailbox) -> DeviceTrial:
    from app.media.trial import DeviceTrial

    return DeviceTrial(picture)
