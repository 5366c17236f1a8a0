"""The face of the engine: what the window and the command line may ask of it.

Every command is a coroutine that runs on the engine's loop and is awaited on the caller's; every answer is plain data.
Events go through the `publish` callback, which is called on the engine's thread and must only hand them on.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from app.calls.errors import CallError
from app.engine.channel_commands import ChannelCommands
from app.engine.core import EngineCore
from app.engine.errors import EngineError
from app.engine.network_report import Examination
from app.engine.options import EngineOptions
from app.engine.thread import LoopThread
from app.events import CallFigures, Contact, DeviceInfo, Event, Problem, RegistrationChanged, ShareChoice, SipTrace
from app.frames import FrameMailbox, VideoPicture
from app.people.errors import PeopleError
from app.settings import Account, MediaSettings, Settings

log = logging.getLogger(__name__)

T = TypeVar("T")
CLOSE_LIMIT_S = 10.0


class Engine:
    """One running Parley without its window."""

    def __init__(self, options: EngineOptions, publish: Callable[[Event], None]) -> None:
        self._publish = publish
        self._thread = LoopThread("engine")
        self._core = EngineCore(options, publish)
        self._started = False
        self._closed = False
        self.calls = CallCommands(self)
        self.channels = ChannelCommands(self)
        self.media = MediaCommands(self)
        self.people = PeopleCommands(self)
        self.accounts = AccountCommands(self)
        self.settings = SettingsCommands(self)
        self.devices = DeviceCommands(self)
        self.diagnosis = DiagnosisCommands(self)

    def start(self) -> None:
        """Start the engine's thread and return at once; EngineStarted or Problem("engine") follows."""
        self._started = True
        self._thread.start()
        self._thread.submit(self._open())

    async def _open(self) -> None:
        try:
            await self._core.open()
        except (EngineError, PeopleError) as error:
            self._publish(Problem("engine", str(error)))
        except Exception as error:
            log.exception("the engine could not be started")
            self._publish(Problem("engine", f"Parley could not be started: {error}"))

    async def opened(self) -> None:
        """Wait until the engine is ready; EngineError when it could not be opened."""
        await self.run(self._core.wait_open())

    async def close(self) -> None:
        """End every call, release every device and stop the thread; from any loop."""
        if not self._started or self._closed:
            return
        self._closed = True
        await asyncio.wrap_future(self._thread.submit(self._core.close()))
        await asyncio.to_thread(self._thread.stop, CLOSE_LIMIT_S)

    def close_blocking(self, timeout_s: float = CLOSE_LIMIT_S) -> None:
        """The same where no loop runs any more: at the very end of the program."""
        if not self._started or self._closed:
            return
        self._closed = True
        self._thread.submit(self._core.close()).result(timeout_s)
        self._thread.stop(timeout_s)

    async def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Carry a coroutine to the engine's loop and await it here; its known errors become EngineError."""
        try:
            future = self._thread.submit(work)
        except RuntimeError as error:
            raise EngineError("Parley's engine is not running any more; start Parley again.") from error
        try:
            return await asyncio.wrap_future(future)
        except (CallError, PeopleError) as error:
            raise EngineError(str(error)) from error

    @property
    def core(self) -> EngineCore:
        """For the command groups of this module."""
        return self._core


class _Commands:
    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    @property
    def _core(self) -> EngineCore:
        return self._engine.core


class CallCommands(_Commands):
    """Calls: to place, to answer, to change and to end them."""

    async def place(self, target: str, *, video: bool = True) -> str:
        """Call a URI, a number or a name; gives the call's id. EngineError says what cannot be called."""
        return await self._engine.run(self._core.place(target, video=video))

    async def expect(self, *, video: bool = True) -> None:
        """Say that a call is likely (somebody begins to dial): its candidates are gathered ahead."""
        await self._engine.run(self._core.expect_call(video=video))

    async def answer(self, call_id: str, *, video: bool = True) -> None:
        await self._engine.run(self._core.answer(call_id, video=video))

    async def decline(self, call_id: str) -> None:
        await self._engine.run(self._core.decline(call_id))

    async def hang_up(self, call_id: str) -> None:
        await self._engine.run(self._core.hang_up(call_id))

    async def set_muted(self, call_id: str, on: bool) -> None:
        await self._engine.run(self._core.change_call(call_id, lambda call: call.set_muted(on)))

    async def set_camera(self, call_id: str, on: bool) -> None:
        await self._engine.run(self._core.change_call(call_id, lambda call: call.set_camera(on)))

    async def set_volume(self, call_id: str, volume: float) -> None:
        """0 is silent, 1 as received, at most 1.5."""
        await self._engine.run(self._core.change_call(call_id, lambda call: call.set_volume(volume)))

    async def set_held(self, call_id: str, on: bool) -> None:
        await self._engine.run(self._core.change_call(call_id, lambda call: call.set_held(on)))

    async def set_view_size(self, call_id: str, width: int, height: int) -> None:
        """Say at which size, in pixels, the far picture is shown: of a small one the other side need not send more."""
        await self._engine.run(self._core.media.show_at(call_id, width, height))

    async def send_digits(self, call_id: str, digits: str) -> None:
        """Press keys of a telephone: 0-9, *, #, A-D, and a comma for two seconds of pause. EngineError names others."""
        await self._engine.run(self._core.media.press(call_id, digits))

    async def figures(self, call_id: str) -> CallFigures | None:
        return await self._engine.run(self._core.figures(call_id))

    async def sip_trace(self, call_id: str | None = None) -> tuple[SipTrace, ...]:
        """The kept messages of one call, or of this run."""
        return await self._engine.run(self._core.sip_trace(call_id))

    def remote_picture(self, call_id: str) -> FrameMailbox:
        return self._core.pictures(call_id)[0]

    def own_picture(self, call_id: str) -> FrameMailbox:
        return self._core.pictures(call_id)[1]


class MediaCommands(_Commands):
    """The sound and picture of a call that goes on."""

    async def share(self, call_id: str, video_from: str) -> None:
        """Show a screen or a window ("screen", "screen:NAME", "window:ID") instead of the camera."""
        await self._engine.run(self._core.media.share(call_id, video_from))

    async def stop_sharing(self, call_id: str) -> None:
        await self._engine.run(self._core.media.stop_sharing(call_id))

    async def record(self, call_id: str, path: str | None = None) -> str:
        """Record a call into a file (.mkv, .mp4, .wav) or a new one; gives its path. FileKept tells of its end."""
        return await self._engine.run(self._core.media.record(call_id, path))

    async def stop_recording(self, call_id: str) -> None:
        await self._engine.run(self._core.media.stop_recording(call_id))

    async def keep_still(self, call_id: str, picture: VideoPicture, *, own: bool = False) -> str:
        """Keep one picture of a call as a PNG file; gives its path."""
        return await self._engine.run(self._core.media.keep_still(call_id, picture, own=own))

    async def share_choices(self) -> tuple[ShareChoice, ...]:
        """What can be shared, screens first. EngineError says why nothing can."""
        return await self._engine.run(self._core.media.share_choices())


class PeopleCommands(_Commands):
    """Contacts and history."""

    async def add(self, name: str, uri: str, favourite: bool = False) -> Contact:
        return await self._engine.run(self._core.add_contact(name, uri, favourite))

    async def update(self, contact: Contact) -> None:
        await self._engine.run(self._core.update_contact(contact))

    async def remove(self, contact_id: str) -> None:
        await self._engine.run(self._core.remove_contact(contact_id))

    async def clear_history(self) -> None:
        await self._engine.run(self._core.clear_history())

    async def mark_history_seen(self) -> None:
        await self._engine.run(self._core.mark_history_seen())


class AccountCommands(_Commands):
    """The one account of this profile."""

    async def set_account(self, account: Account, password: str) -> RegistrationChanged:
        """Keep the account and register it; gives the server's answer in words. "" keeps the kept password."""
        return await self._engine.run(self._core.set_account(account, password))

    async def remove_account(self) -> None:
        await self._engine.run(self._core.remove_account())

    async def password_kept(self) -> bool:
        return await self._engine.run(self._core.password_kept())


class SettingsCommands(_Commands):
    """What is kept in the settings file."""

    async def get(self) -> Settings:
        return await self._engine.run(self._core.get_settings())

    async def change(self, settings: Settings) -> None:
        """Keep other settings; they hold for the next call, addresses and ports after the last call has ended."""
        await self._engine.run(self._core.change_settings(settings))


class DeviceCommands(_Commands):
    """Microphones, speakers and cameras."""

    async def list(self) -> tuple[DeviceInfo, ...]:
        return await self._engine.run(self._core.devices.list())

    async def try_out(self, media: MediaSettings, *, camera: bool) -> None:
        """Open the microphone, and the camera if asked, that settings name; TrialChanged tells how it goes.

        Again with other settings to change them. The picture is in `trial_picture`. `stop_trial` ends it.
        """
        await self._engine.run(self._core.devices.try_out(media, camera=camera))

    async def stop_trial(self) -> None:
        """Release what `try_out` opened."""
        await self._engine.run(self._core.devices.stop_trial())

    async def scan_qr(self, media: MediaSettings) -> str:
        """Give the text of the first QR code that the camera sees; cancelled, the camera is released.

        What it sees is in `scanned_picture`.
        """
        return await self._engine.run(self._core.devices.scan_qr(media))

    def scanned_picture(self) -> FrameMailbox:
        """What the camera sees that looks for a QR code."""
        return self._core.devices.scanned_picture

    async def play_test_sound(self, device: str, volume: float = 0.8) -> None:
        """Play a short sound on a speaker, "" the system's."""
        await self._engine.run(self._core.devices.play_test_sound(device, volume))

    async def echo_test(self) -> None:
        """Record three seconds of the microphone that is tried out, and play them; TrialChanged tells the steps."""
        await self._engine.run(self._core.devices.echo_test())

    def trial_picture(self) -> FrameMailbox:
        """What the camera that is tried out sees."""
        return self._core.devices.picture


class DiagnosisCommands(_Commands):
    """What is wrong with this machine, its network or its servers."""

    async def examine(self) -> Examination:
        """Check devices, names, the network with its servers, and the registration, for real; takes some seconds."""
        return await self._engine.run(self._core.examine())
