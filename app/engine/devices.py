"""Microphones, speakers and cameras of this machine: their list, kept fresh, and trying them out before a call.

Everything runs on the engine's loop and waits for devices in threads; the facade has a thin method for each. The list
is read in a thread of its own, one at a time: where a sound server hangs it never comes back, and must keep neither the
threads in which names are looked up and files are written, nor the program from ending.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from app.engine.errors import EngineError
from app.events import DeviceInfo, DevicesChanged, Event, TrialChanged
from app.frames import FrameMailbox
from app.media.errors import MediaError
from app.media.worker import Worker, call_soon
from app.owned_tasks import OwnedTasks
from app.settings import MediaSettings, is_shared

Found = tuple[tuple[DeviceInfo, ...], tuple[str, ...]]

if TYPE_CHECKING:
    from app.media.device_watch import DeviceWatch
    from app.media.qr_camera import QrCamera
    from app.media.trial import DeviceTrial

TELL_EVERY_S = 0.1
READ_LIMIT_S = 8.0
_SCAN_SIZE = 1280, 720  # a large code has four points a module then
NO_ANSWER = "The sound devices of this machine do not answer."


class EngineDevices:
    """Publishes DevicesChanged while `watch` runs, and TrialChanged while devices are tried out."""

    def __init__(self, publish: Callable[[Event], None]) -> None:
        self.picture = FrameMailbox()
        self.scanned_picture = FrameMailbox()
        self._publish = publish
        self._tasks = OwnedTasks("devices")
        self._changed = asyncio.Event()
        self._found: Found = ((), ())
        self._reading: asyncio.Task[Found] | None = None
        self._following: asyncio.Task[None] | None = None
        self._watching: asyncio.Future[DeviceWatch] | None = None
        self._trial: DeviceTrial | None = None
        self._trial_lock = asyncio.Lock()  # one after the other: a trial that is only being made is to be ended too
        self._telling: asyncio.Task[None] | None = None

    async def read(self) -> Found:
        """The devices, and one sentence for each kind that is missing; those of before where they do not answer."""
        try:
            return await asyncio.wait_for(self._read(), READ_LIMIT_S)
        except TimeoutError:
            return self._found[0], (NO_ANSWER,)

    async def list(self) -> tuple[DeviceInfo, ...]:
        return (await self.read())[0]

    def watch(self) -> None:
        """Tell of the devices now, and whenever they have changed; harmless when that is done already."""
        if self._following is None:
            self._changed.set()
            self._following = self._tasks.start(self._follow(), "look for devices")

    def watch_for(self, media: MediaSettings) -> None:
        """The same for a call with such settings: a command has looked for no device until then."""
        if media.audio_from == "mic" or media.audio_to == "speaker":
            self.watch()

    async def _follow(self) -> None:
        loop = asyncio.get_running_loop()
        told = None
        while True:
            await self._changed.wait()
            self._changed.clear()
            found = await self._read()
            if found != told:
                told = found
                self._publish(DevicesChanged(*found))
            if self._watching is None:
                self._watching = asyncio.ensure_future(asyncio.to_thread(_new_watch, loop, self._changed.set))

    async def _read(self) -> Found:
        """Wait for a list that is read from now on, however long that takes."""
        before = self._reading
        if before is not None and not before.done():
            await asyncio.wait((before,))
        if self._reading is before:  # else another one has asked since
            self._reading = asyncio.ensure_future(_in_thread(_read_devices))
        assert self._reading is not None
        self._found = await asyncio.shield(self._reading)
        return self._found

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

    async def scan_qr(self, media: MediaSettings) -> str:
        """Look through the camera until a QR code is seen; cancelled, the camera is released."""
        loop = asyncio.get_running_loop()
        ended: asyncio.Future[str | MediaError] = loop.create_future()

        def settle(end: str | MediaError) -> None:
            if not ended.done():
                ended.set_result(end)

        camera = await asyncio.to_thread(
            _new_qr_camera, media, self.scanned_picture, lambda end: call_soon(loop, lambda: settle(end))
        )
        try:
            camera.start()
            end = await ended
        finally:
            await asyncio.to_thread(camera.close)
        if isinstance(end, MediaError):
            raise EngineError(str(end)) from end
        return end

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
        if self._reading is not None:
            self._reading.cancel()
        if self._watching is not None:
            await asyncio.to_thread((await self._watching).stop)


async def _in_thread(work: Callable[[], Found]) -> Found:
    """Do something that may never come back in a thread that nobody waits for at the end."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[Found] = loop.create_future()

    def finish(outcome: Callable[[], None]) -> None:
        call_soon(loop, lambda: None if done.done() else outcome())

    def run(stopping: threading.Event) -> None:
        try:
            found = work()
        except Exception as error:
            failure = error
            finish(lambda: done.set_exception(failure))
        else:
            finish(lambda: done.set_result(found))

    Worker("device-list", run).start()
    return await done


def _read_devices() -> Found:
    """Blocks; loads the sound library the first time."""
    from app.media.devices import list_devices, missing_devices

    devices = list_devices()
    return devices, missing_devices(devices)


def _new_watch(loop: asyncio.AbstractEventLoop, on_change: Callable[[], None]) -> DeviceWatch:
    from app.media.device_watch import DeviceWatch

    watch = DeviceWatch(lambda: call_soon(loop, on_change))
    watch.start()
    return watch


def _new_qr_camera(media: MediaSettings, picture: FrameMailbox, on_end: Callable[[str | MediaError], None]) -> QrCamera:
    from app.media.qr_camera import QrCamera
    from app.media.sources import open_video_source

    if media.video_from in ("pattern", "none") or is_shared(media.video_from):
        media = replace(media, video_from="camera")  # what a call would send is no camera now
    wide = replace(media, width=_SCAN_SIZE[0], height=_SCAN_SIZE[1])
    return QrCamera(open_video_source(wide)[0], picture, on_end)


def _new_trial(picture: FrameMailbox) -> DeviceTrial:
    from app.media.trial import DeviceTrial

    return DeviceTrial(picture)
