"""The recording of one call: follows what the call does, and ends with it at the latest."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Protocol

from app.calls.errors import CallError
from app.events import CallState, RecordingInfo

if TYPE_CHECKING:
    from app.calls.call import Call
    from app.media.taps import MediaTaps

log = logging.getLogger(__name__)

FINISH_S = 5.0  # how long the end of a call waits for the disk


class Recorder(Protocol):
    """What writes the file (`app.media.call_recorder.CallRecorder`)."""

    paused: bool
    own_is_large: bool
    is_seen: bool  # a picture of ours goes out, so that a label in it is seen

    @property
    def name(self) -> str: ...

    @property
    def seconds(self) -> float: ...

    @property
    def taps(self) -> MediaTaps: ...

    def start(self) -> None: ...

    def stop(self) -> None: ...

    def join(self, timeout_s: float) -> bool: ...


class CallRecording:
    """Loop thread only. There is one recording at a time; another may follow it."""

    def __init__(self, call: Call) -> None:
        self._call = call
        self._recorder: Recorder | None = None
        self._finishing: list[Recorder] = []

    @property
    def info(self) -> RecordingInfo | None:
        recorder = self._recorder
        if recorder is None:
            return None
        return RecordingInfo(recorder.name, recorder.seconds, self._call.services.clock(), recorder.paused)

    @property
    def taps(self) -> MediaTaps | None:
        return self._recorder.taps if self._recorder is not None else None

    def check(self) -> None:
        """CallError when no recording can begin now."""
        if self._recorder is not None:
            raise CallError("This call is being recorded already.")
        if self._call.state not in (CallState.CONNECTED, CallState.INTERRUPTED):
            raise CallError("A call can be recorded while it is going on: try again then.")

    def begin(self, recorder: Recorder) -> None:
        self.check()
        self._recorder = recorder
        self.follow()
        recorder.start()
        self._call.media_changed()

    def follow(self) -> None:
        """The call was held, resumed, or sends another picture."""
        if self._recorder is not None:
            info = self._call.info
            self._recorder.paused = info.held
            self._recorder.own_is_large = bool(info.sharing)
            self._recorder.is_seen = info.sending_video

    def end(self) -> None:
        """Finish the file; `finished` waits for it. Harmless when there is none."""
        recorder, self._recorder = self._recorder, None
        if recorder is not None:
            recorder.stop()
            self._finishing.append(recorder)
            self._call.media_changed()

    def ended(self, recorder: Recorder) -> None:
        """The recorder has finished, asked or not."""
        if recorder is self._recorder:
            self.end()
        if recorder in self._finishing:
            self._finishing.remove(recorder)

    async def finished(self) -> None:
        """Wait until every file is whole, but not for ever."""
        for recorder in tuple(self._finishing):
            if not await asyncio.to_thread(recorder.join, FINISH_S):
                log.warning("the disk is too slow: the end of %s may be missing", recorder.name)
