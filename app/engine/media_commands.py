"""Commands about the sound and picture of a running call: what they need beside the call itself stands here.

Everything runs on the engine's loop; the facade has a thin method for each.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from app.calls.call import Call
from app.calls.manager import CallManager
from app.engine.errors import EngineError
from app.engine.kept_files import new_file, not_there_yet, recording_folder, stills_folder
from app.events import Event, FileKept, ShareChoice
from app.frames import VideoPicture

if TYPE_CHECKING:
    from app.calls.recording import Recorder
    from app.media.call_recorder import RecordingPlan

RECORDING_SUFFIXES = (".mkv", ".mp4", ".wav")


HEARD_KEYS = 8  # of those that are pressed at once
KEY_VOLUME = 0.5


class CallMedia:
    """`manager` gives the calls of now; it raises EngineError while there is no endpoint."""

    def __init__(self, manager: Callable[[], CallManager], publish: Callable[[Event], None]) -> None:
        self._manager = manager
        self._publish = publish

    # Sharing --------------------------------------------------------------------------------------------------

    async def share(self, call_id: str, video_from: str) -> None:
        self._manager().get(call_id).share(video_from)

    async def show_at(self, call_id: str, width: int, height: int) -> None:
        self._manager().get(call_id).set_view_size(width, height)

    async def press(self, call_id: str, keys: str) -> None:
        """Send keys of a telephone; a comma is a pause of two seconds. The first are heard here too."""
        manager = self._manager()
        manager.get(call_id).keys.press(keys)
        media = manager.services.settings.media
        if media.audio_to != "speaker":
            return
        # Here, not above: they need NumPy, which no INVITE waits for. In a call that is connected it is there.
        from app.media import tones
        from app.media.rings import RingPlayer

        sound = tones.key_tones("".join(keys.split()).upper()[:HEARD_KEYS])
        RingPlayer(KEY_VOLUME, media.speaker, sound=sound, repeat=False).start()

    async def stop_sharing(self, call_id: str) -> None:
        self._manager().get(call_id).stop_sharing()

    async def share_choices(self) -> tuple[ShareChoice, ...]:
        """What can be shared, with small pictures. EngineError says why nothing can."""
        return await asyncio.to_thread(_share_choices)

    # Recording ------------------------------------------------------------------------------------------------

    async def record(self, call_id: str, path: str | None) -> str:
        """Record the call into this file, or one in the folder of the settings; gives the file, which is always new.

        FileKept follows when it is finished. EngineError or CallError says why it cannot begin.
        """
        if path is not None and Path(path).suffix.lower() not in RECORDING_SUFFIXES:
            raise EngineError(f"A call can be recorded to .mkv, .mp4 or .wav, not to {Path(path).name[:60]!r}.")
        manager = self._manager()
        call = manager.get(call_id)
        call.recording.check()
        settings = manager.services.settings.recording
        name = call.info.remote_name
        if path is not None:
            file = await asyncio.to_thread(not_there_yet, Path(path))
        else:
            file = await asyncio.to_thread(new_file, recording_folder(settings), name, ".mkv")
        try:
            self._begin(call, file)
        except BaseException:
            with suppress(OSError):
                await asyncio.to_thread(file.unlink)
            raise
        return str(file)

    def _begin(self, call: Call, file: Path) -> None:
        # Not above: they need NumPy and av, which a running call has loaded.
        from app.media.call_recorder import CallRecorder, RecordingPlan

        settings = self._manager().services.settings.recording
        info, loop = call.info, asyncio.get_running_loop()
        with_picture = info.has_video and file.suffix.lower() != ".wav"
        plan = RecordingPlan(
            file, settings.sound, with_picture, info.remote_name, settings.tell, large=bool(info.sharing)
        )

        def ended(problem: str | None) -> None:
            with suppress(RuntimeError):  # the loop has closed: nobody is there to be told
                loop.call_soon_threadsafe(self._ended, call, recorder, plan, problem)

        recorder = CallRecorder(plan, ended)
        call.recording.begin(recorder)

    def _ended(self, call: Call, recorder: Recorder, plan: RecordingPlan, problem: str | None) -> None:
        call.recording.ended(recorder)
        self._publish(FileKept(call.call_id, str(plan.path), recorder.seconds, problem))

    async def stop_recording(self, call_id: str) -> None:
        self._manager().get(call_id).recording.end()

    # Stills ---------------------------------------------------------------------------------------------------

    async def keep_still(self, call_id: str, picture: VideoPicture, *, own: bool) -> str:
        """Keep one picture of a call as PNG in the folder of the settings; gives the file."""
        manager = self._manager()
        name = manager.get(call_id).info.remote_name + (" - own picture" if own else "")
        return await asyncio.to_thread(_write_still, stills_folder(manager.services.settings.recording), name, picture)


def _write_still(folder: Path, name: str, picture: VideoPicture) -> str:
    from app.media.still import write_png

    path = new_file(folder, name, ".png")
    try:
        write_png(picture, path)
    except OSError as error:
        with suppress(OSError):
            path.unlink()
        raise EngineError(f"The picture cannot be kept in {folder} ({error.strerror or error}).") from error
    return str(path)


def _share_choices() -> tuple[ShareChoice, ...]:
    from app.media.screens import NotShared, share_choices

    try:
        return share_choices(with_pictures=True)
    except NotShared as error:
        raise EngineError(str(error)) from error
